"""The exchange's clock, as far as it is known here: what ``timestamp`` of signed requests is made of.

rest-api.md "Timing security" (2026-07-21): a timestamp may be at most one second ahead of the exchange, and at most
``recvWindow`` behind it. So the estimate is never ahead: the exchange's time counts from the moment its answer came,
not from the middle of the question. It runs on the clock that never jumps.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from exgate_core.clock import Clock
from exgate_core.errors import ExGateError, NotSent, RateLimited

MEASURED_EVERY = 1800.0
"""Seconds after which the clocks are compared again."""
_NEXT_TRY = 60.0


class ServerTime:
    """One comparison of clocks, renewed when it has grown old or the exchange didn't like a timestamp."""

    def __init__(
        self, ask: Callable[[], Awaitable[int]], clock: Clock, log: logging.Logger, report: Callable[[float], None]
    ) -> None:
        self._ask, self._clock, self._log, self._report = ask, clock, log, report
        self._known = False
        self._ahead = self._renew_at = 0.0  # the exchange's clock before the monotonic one; the time for the next look
        self._lock = anyio.Lock()

    async def now(self) -> float:
        """The exchange's time in seconds since the epoch.

        Raises NotSent or RateLimited if it was never asked for and can't be: then nothing can be signed.
        """
        if self._is_old():
            async with self._lock:
                if self._is_old():
                    await self._measure()
        return self.reckoned

    @property
    def reckoned(self) -> float:
        """The same, by what is known already: for what comes after a send, where nothing may fail any more."""
        return self._clock.monotonic() + self._ahead

    def forget(self) -> None:
        """The exchange refused a timestamp: ask for the time before the next one."""
        self._known = False

    def _is_old(self) -> bool:
        return not self._known or self._clock.monotonic() >= self._renew_at

    async def _measure(self) -> None:
        try:
            server_ms = await self._ask()
        except ExGateError as error:
            if not self._known:
                raise _unsigned(error) from error
            self._log.warning("the exchange's time couldn't be asked for: %s", error.message)
            self._renew_at = self._clock.monotonic() + _NEXT_TRY
            return
        self._report(server_ms)
        at = self._clock.monotonic()
        self._known, self._ahead, self._renew_at = True, server_ms / 1000 - at, at + MEASURED_EVERY


def _unsigned(error: ExGateError) -> ExGateError:
    text = f"The exchange's time, which every signed request needs, is not to be had: {error.message}"
    kind = RateLimited if isinstance(error, RateLimited) else NotSent
    return kind(text, retry_after=error.retry_after)
