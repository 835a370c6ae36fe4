"""Kraken's counters of an account: each call adds, time takes away, and what would exceed the limit waits. Pure.

docs.kraken.com, "Spot REST Rate Limits" (calls, per API key) and "Spot Trading Limits" (transactions, per pair; the
same for REST, WebSocket and FIX), read at 2026-05-27.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple


class Limit(NamedTuple):
    """A counter may reach ``most`` and falls by ``decay`` a second."""

    most: float
    decay: float


_NONE: Final = Limit(math.inf, math.inf)

CALLS: Final[Mapping[str, Limit]] = {
    "starter": Limit(15, 0.33),
    "intermediate": Limit(20, 0.5),
    "pro": Limit(20, 1.0),
    "negotiated": _NONE,
}
"""Private questions, by tier."""
TRANSACTIONS: Final[Mapping[str, Limit]] = {
    "starter": Limit(60, 1.0),
    "intermediate": Limit(125, 2.34),
    "pro": Limit(180, 3.75),
    "negotiated": _NONE,
}
"""Orders and cancels of one pair, by tier."""
_CANCEL: Final = ((5.0, 8), (10.0, 6), (15.0, 5), (45.0, 4), (90.0, 2), (300.0, 1))
"""(an order younger than this many seconds, what its cancel adds)."""
_MOST_ORDERS: Final = 10_000


class Counter:
    """One counter, as Kraken keeps it. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._level, self._at = 0.0, 0.0

    def wait(self, cost: float, limit: Limit, now: float) -> float:
        """Seconds until this much may be added; 0 = now."""
        excess = self._now(limit, now) + min(cost, limit.most) - limit.most
        return max(0.0, excess / limit.decay)

    def add(self, cost: float, limit: Limit, now: float) -> None:
        """Count a request."""
        self._level, self._at = self._now(limit, now) + cost, now

    def fill(self, limit: Limit, now: float) -> None:
        """Kraken says that its counter is full: others use the key too."""
        if math.isfinite(limit.most):
            self._level, self._at = max(limit.most, self._now(limit, now)), now

    def _now(self, limit: Limit, now: float) -> float:
        if not math.isfinite(limit.decay):
            return 0.0
        return max(0.0, self._level - limit.decay * max(0.0, now - self._at))


class Ages:
    """When each order was placed: a cancel costs the more the younger its order is."""

    def __init__(self) -> None:
        self._placed: dict[str, tuple[str, float]] = {}

    def knows(self, order_id: str) -> bool:
        """Whether an order with this id was placed here before."""
        return order_id in self._placed

    def note(self, order_id: str, pair: str, now: float) -> None:
        """An order of a pair was placed."""
        self._placed[order_id] = pair, now
        if len(self._placed) > _MOST_ORDERS:
            del self._placed[next(iter(self._placed))]

    def cancel(self, order_id: str, now: float) -> tuple[str, int]:
        """The pair of an order and what its cancel adds; an order of others counts as old."""
        pair, placed = self._placed.get(order_id, ("", -math.inf))
        age = now - placed
        return pair, next((cost for younger, cost in _CANCEL if age < younger), 0)
