"""OKX's limits: each endpoint by itself, per address, or per user and for some per instrument too.

The figures stand at each endpoint of www.okx.com/docs-v5/en (2026-06-27); "Rate Limits" says what they count.
"""

from __future__ import annotations

from msgspec import Struct

from exgate_core.budget import Budget, Lane
from exgate_core.clock import Clock, Sleep

WINDOW = 2.0
"""Seconds to which every figure refers; also how long to wait after "too many"."""


class Endpoint(Struct, frozen=True):
    """A path and how many requests OKX takes for it in two seconds."""

    path: str
    limit: int
    each: bool = False
    """The limit holds for each instrument by itself."""


TIME = Endpoint("/api/v5/public/time", 10)
INSTRUMENTS = Endpoint("/api/v5/public/instruments", 20)
BOOKS = Endpoint("/api/v5/market/books", 40)
FULL_BOOKS = Endpoint("/api/v5/market/books-full", 10)
TRADES = Endpoint("/api/v5/market/trades", 100)
TRADE_HISTORY = Endpoint("/api/v5/market/history-trades", 20)
BALANCE = Endpoint("/api/v5/account/balance", 10)
PLACE = Endpoint("/api/v5/trade/order", 60, each=True)
DETAILS = Endpoint("/api/v5/trade/order", 60, each=True)
CANCEL = Endpoint("/api/v5/trade/cancel-order", 60, each=True)
PENDING = Endpoint("/api/v5/trade/orders-pending", 60)
HISTORY = Endpoint("/api/v5/trade/orders-history", 40)
ARCHIVE = Endpoint("/api/v5/trade/orders-history-archive", 20)
FILLS = Endpoint("/api/v5/trade/fills", 60)


class Meter:
    """The budgets of one address or one user: one per endpoint, or per endpoint and instrument."""

    def __init__(self, clock: Clock, sleep: Sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._budgets: dict[tuple[str, str, str], Budget] = {}

    async def take(self, method: str, endpoint: Endpoint, instrument: str, lane: Lane, patience: float) -> None:
        """Return when the request may leave. Raises RateLimited if that would take longer than ``patience``."""
        await self._of(method, endpoint, instrument).take(1, lane, patience)

    def pause(self, method: str, endpoint: Endpoint, instrument: str) -> None:
        """OKX said that it was too much: let nothing of this kind leave for one window."""
        self._of(method, endpoint, instrument).pause(WINDOW)

    def _of(self, method: str, endpoint: Endpoint, instrument: str) -> Budget:
        key = (method, endpoint.path, instrument if endpoint.each else "")
        if key not in self._budgets:
            self._budgets[key] = Budget(endpoint.limit, WINDOW, self._clock, self._sleep, reserve=0.0)
        return self._budgets[key]
