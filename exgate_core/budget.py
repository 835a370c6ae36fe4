"""One budget of request weight per address and host: what may leave now, and in which order.

Four lanes: orders go before cancels, cancels before look-ups of orders whose outcome is unknown, those before data. A
part of the limit is out of reach for data, a part of that for look-ups, and the last part for everything but cancels:
whatever storms, an order can be taken back. After the exchange said "too many" nothing leaves until it allows it again.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

from .clock import Clock, Sleep
from .errors import RateLimited

Lane = Literal["orders", "cancels", "lookups", "data"]

_RANK: dict[Lane, int] = {"orders": 0, "cancels": 1, "lookups": 2, "data": 3}
_RESERVE = 0.1
_FOR_CANCELS, _FOR_ORDERS = 0.4, 0.3
"""The parts of the reserve that only cancels, and only orders and cancels, may use; look-ups may use the rest too."""
_GRAIN = 600
"""Entries closer together than this part of a window become one: memory and time stay bounded."""
_SHORTEST_SLEEP = 0.001


class Budget:
    """Weight that may be used in any ``window`` seconds, or per calendar window with ``fixed``.

    A sliding window never exceeds a fixed one's limit, so it is right wherever the exchange's document is silent.
    """

    def __init__(
        self,
        limit: int,
        window: float,
        clock: Clock,
        sleep: Sleep,
        *,
        fixed: bool = False,
        reserve: float = _RESERVE,
    ) -> None:
        self.limit = limit
        """Weight per window."""
        self.window = window
        """Seconds."""
        self._clock, self._sleep, self._fixed = clock, sleep, fixed
        self._ceilings = _ceilings(limit, int(limit * reserve))
        self._entries: deque[tuple[float, int]] = deque()  # (when it is free again, weight), rising
        self._used = 0
        self._closed_until = clock.monotonic()
        self._queue: list[tuple[int, int, int]] = []  # (rank, arrival, weight) of those who wait
        self._arrivals = 0

    @property
    def used(self) -> int:
        """Weight used in the current window."""
        self._expire(self._clock.monotonic())
        return self._used

    @property
    def remaining(self) -> int:
        """Weight left in the current window, all lanes together."""
        return max(0, self.limit - self.used)

    @property
    def paused_for(self) -> float:
        """Seconds until anything may leave again; 0 = now."""
        return max(0.0, self._closed_until - self._clock.monotonic())

    def pause(self, seconds: float) -> None:
        """Let nothing leave for so long (429, 418). A longer pause that is already under way stays."""
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)

    def correct(self, used: int) -> None:
        """Take over the exchange's own figure where it is higher: others use the same address too."""
        missing = used - self.used
        if missing > 0:
            self._spend(missing, self._clock.monotonic())

    async def take(self, weight: int, lane: Lane = "data", patience: float | None = None) -> None:
        """Return when a request of this weight may leave.

        Raises RateLimited at once, with the seconds to wait, if that would take longer than ``patience`` seconds.
        A request dearer than a whole window leaves when the window is empty.
        """
        rank = _RANK[lane]
        start = self._clock.monotonic()
        self._arrivals += 1
        me = (rank, self._arrivals, min(weight, self._ceilings[rank]))
        wait = self._wait(me, start)
        if wait <= 0:
            return self._spend(weight, start)
        self._queue.append(me)
        try:
            while wait > 0:
                now = self._clock.monotonic()
                if patience is not None and now + wait > start + patience:
                    raise self._too_long(wait)
                await self._sleep(max(wait, _SHORTEST_SLEEP))
                wait = self._wait(me, self._clock.monotonic())
            self._spend(weight, self._clock.monotonic())
        finally:
            self._queue.remove(me)

    def _too_long(self, wait: float) -> RateLimited:
        why = "The exchange asked for a pause" if self.paused_for else "The request budget of this exchange is used up"
        return RateLimited(f"{why}; free again in {wait:.1f} s. Nothing was sent.", retry_after=wait)

    def _wait(self, me: tuple[int, int, int], now: float) -> float:
        """Seconds until all that waits before me, and I, fit; a lower bound if that takes more than one window."""
        self._expire(now)
        rank, _, weight = me
        ahead = self._ahead(me) if self._queue else 0
        excess = self._used + ahead + weight - self._ceilings[rank]
        pause = max(0.0, self._closed_until - now)
        if excess <= 0 or (not self._entries and not ahead):
            return pause
        for free_at, freed in self._entries:
            excess -= freed
            if excess <= 0:
                return max(pause, free_at - now)
        return max(pause, self._entries[-1][0] - now if self._entries else self._free_at(now) - now)

    def _ahead(self, me: tuple[int, int, int]) -> int:
        """The weight of those who leave before me. Orders that wait for what only cancels may use keep no cancel."""
        ahead = 0
        for rank, ceiling in enumerate(self._ceilings):
            waiting = sum(other[2] for other in self._queue if other[0] == rank and other < me)
            within = waiting if ceiling >= self._ceilings[me[0]] else max(0, ceiling - self._used)
            ahead += min(waiting, within)
        return ahead

    def _free_at(self, now: float) -> float:
        if not self._fixed:
            return now + self.window
        return now + self.window - self._clock.time() % self.window

    def _spend(self, weight: int, now: float) -> None:
        free_at = self._free_at(now)
        self._used += weight
        if self._entries and free_at - self._entries[-1][0] <= self.window / _GRAIN:
            last_free, last_weight = self._entries.pop()
            free_at, weight = max(free_at, last_free), last_weight + weight
        self._entries.append((free_at, weight))

    def _expire(self, now: float) -> None:
        while self._entries and self._entries[0][0] <= now:
            self._used -= self._entries.popleft()[1]


def _ceilings(limit: int, reserve: int) -> tuple[int, int, int, int]:
    """How much of the limit may be used when a request of each lane leaves, by rank."""
    for_cancels = math.ceil(reserve * _FOR_CANCELS)
    for_orders = min(math.ceil(reserve * _FOR_ORDERS), reserve - for_cancels)
    orders = max(1, limit - for_cancels)
    return orders, limit, max(1, orders - for_orders), max(1, limit - reserve)
