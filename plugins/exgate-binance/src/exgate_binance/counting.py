"""How many unfilled orders the account may still place (rest-api.md "Unfilled Order Count", 2026-07-21).

Windows are those of the exchange's clock, and the exchange's own count stands above ours: fills lower it. Only windows
of a minute and less are held to here. In a longer one the fills that we don't see would soon make our count wrong, so
that the exchange is left to refuse by itself; after it did, no order leaves until it takes some again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from exgate_core.errors import RateLimited

_SECONDS: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
_LONGEST: Final = 60


class OrderLimit(Struct, frozen=True):
    """So many orders per window of so many seconds; ``header`` is where the exchange tells the count."""

    seconds: int
    limit: int
    header: str


class RateLimit(Struct, frozen=True, rename="camel"):
    """One of ``rateLimits`` in ``GET /api/v3/exchangeInfo`` (enums.md "Rate limiters")."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


def order_limits(stated: Iterable[RateLimit]) -> list[OrderLimit]:
    """The limits of orders among those that the market list states, as far as they are held to here."""
    orders = [
        OrderLimit(
            rule.interval_num * _SECONDS.get(rule.interval, _LONGEST + 1),
            rule.limit,
            f"X-MBX-ORDER-COUNT-{rule.interval_num}{rule.interval[:1]}",
        )
        for rule in stated
        if rule.rate_limit_type == "ORDERS"
    ]
    return [limit for limit in orders if limit.seconds <= _LONGEST]


class OrderCounts:
    """The counts of one account. Times are the exchange's, in ms."""

    def __init__(self) -> None:
        self._counts: dict[OrderLimit, tuple[int, int]] = {}  # (window, orders in it)
        self._closed_until = 0

    def take(self, limits: Iterable[OrderLimit], now: int) -> None:
        """One more order. Raises RateLimited with the seconds to wait if it would be one too many."""
        fresh: dict[OrderLimit, tuple[int, int]] = {}
        free_at = self._closed_until
        for limit in limits:
            window = now // (limit.seconds * 1000)
            known, count = self._counts.get(limit, (window, 0))
            count = count if known == window else 0
            if count >= limit.limit:
                free_at = max(free_at, (window + 1) * limit.seconds * 1000)
            fresh[limit] = window, count + 1
        if free_at > now:
            text = "The account has placed as many unfilled orders as the exchange takes for now. Nothing was sent."
            raise RateLimited(text, reason="TOO_MANY_ORDERS", retry_after=(free_at - now) / 1000)
        self._counts.update(fresh)

    def note(self, headers: Mapping[str, str], now: int) -> None:
        """Take over the exchange's own counts; those of a window that is over say nothing about the next."""
        for limit, (window, _) in list(self._counts.items()):
            told = headers.get(limit.header, "")
            if told.isdecimal() and now // (limit.seconds * 1000) == window:
                self._counts[limit] = window, int(told)

    def close(self, seconds: float, now: int) -> None:
        """The exchange takes no orders of this account for so long."""
        self._closed_until = max(self._closed_until, now + int(seconds * 1000))
