"""The exchange's time of day, where it differs from ours: what a private client dates its requests by.

It is asked for when an account opens and after an answer that names the time as the reason, never before an order.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from .wire import DEADLINE

__all__ = ["RISING", "Turns", "is_about_time", "set_clock"]

_SAME: Final = 1.0
"""Seconds: some exchanges tell whole ones, and what is less may have been spent on the way."""
_PATIENCE: Final = 5.0
_TURN: Final = 2.0
_log = logging.getLogger("exgate.ccxt")


async def set_clock(client: Any) -> None:
    """Ask the exchange what time it is and date requests so. What it doesn't tell stays as it was. Raises nothing."""
    if not client.has.get("fetchTime"):
        return
    clock, patience = client.exgate.context.clock, DEADLINE.set(_PATIENCE)
    start = clock.time()
    try:
        told = float(await client.fetch_time()) / 1000
    except Exception as error:  # whatever ccxt makes of an answer; requests then go out with our own time
        _log.warning("%s didn't tell its time: %s", client.id, type(error).__name__)
        return
    finally:
        DEADLINE.reset(patience)
    end = clock.time()
    behind = told - (start + end) / 2
    client.exgate.context.report_time((told + (end - start) / 2) * 1000)
    client.exgate_behind = behind if abs(behind) > _SAME else 0.0
    if client.exgate_behind:
        _log.warning("%s: this machine's clock differs by %.1f s; requests go by the exchange's", client.id, behind)


RISING: Final = frozenset(
    """bit2c bitbank bitfinex bitso coinmate coinspot derive gemini hibachi hyperliquid independentreserve kraken
    mercado p2b paymium whitebit""".split()
)
"""Exchanges that want each number above the last, and don't compare it with a clock (``incrementing_nonce``)."""


def is_about_time(error: BaseException, judged: BaseException, exchange_id: str) -> bool:
    """Whether ccxt read an answer as "your time stamp is wrong", or it was judged to say so."""
    nonce = any(kind.__name__ == "InvalidNonce" for kind in type(error).__mro__)
    return exchange_id not in RISING and (nonce or getattr(judged, "reason", "") == "CLOCK_SKEW")


class Turns:
    """One signed request after the other, where a number that is overtaken on its way is refused."""

    def __init__(self, exchange_id: str) -> None:
        self._lock = anyio.Lock() if exchange_id in RISING else None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the one before, but not long: an exchange that doesn't answer mustn't hold up a cancel."""
        if self._lock is None:
            yield
            return
        with anyio.move_on_after(_TURN) as waiting:
            await self._lock.acquire()
        try:
            yield
        finally:
            if not waiting.cancelled_caught:
                self._lock.release()
