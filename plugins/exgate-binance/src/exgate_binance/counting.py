"""When the account may place no more orders for now (rest-api.md "Unfilled Order Count", 2026-07-21).

The exchange tells its count with every order that it takes; fills lower it, so that nobody else can count for it. When
the count stands at the limit, no order leaves until the window is over: one of the exchange's clock. Only windows of
seconds are waited for: long before the end of a day fills may have made room. There the exchange refuses by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from exgate_core.errors import RateLimited


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
    """The limits of orders among those that the market list states, as far as they are waited for here."""
    return [
        OrderLimit(rule.interval_num, rule.limit, f"X-MBX-ORDER-COUNT-{rule.interval_num}S")
        for rule in stated
        if (rule.rate_limit_type, rule.interval) == ("ORDERS", "SECOND")
    ]


class OrderGate:
    """Closed while the exchange takes no orders of one account. Times are the exchange's, in seconds."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    def check(self, now: float) -> None:
        """Raise RateLimited, with the seconds to wait, if no order may leave now."""
        if now < self._closed_until:
            text = "The account has placed as many unfilled orders as the exchange takes for now. Nothing was sent."
            raise RateLimited(text, reason="TOO_MANY_ORDERS", retry_after=self._closed_until - now)

    def note(self, headers: Mapping[str, str], limits: Iterable[OrderLimit], now: float) -> None:
        """Close where the exchange's count stands at a limit."""
        for limit in limits:
            told = headers.get(limit.header, "")
            if told.isdecimal() and int(told) >= limit.limit:
                self.close(limit.seconds - now % limit.seconds, now)

    def close(self, seconds: float, now: float) -> None:
        """No order leaves for so long."""
        self._closed_until = max(self._closed_until, now + seconds)
