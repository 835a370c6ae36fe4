"""What time it is at Kraken: this machine's, corrected where Kraken's own differs much.

Orders carry a deadline (``orders.DEADLINE``), which a clock that is wrong by some seconds would turn into a refusal.
"Get Server Time" (docs.kraken.com, Spot REST API, read at 2026-05-27) tells whole seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from exgate_core.clock import Clock

_TOLERATED: Final = 2.0
"""Seconds of difference that are none: the answer has no fractions, and takes its time."""


class KrakenTime:
    """Kraken's clock as far as it was asked for."""

    def __init__(self, clock: Clock, report: Callable[[float], None]) -> None:
        self._clock, self._report = clock, report
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.time() + self._ahead

    def note(self, seconds: int) -> None:
        """What Kraken has just answered."""
        self._report((seconds + 0.5) * 1000)
        ahead = seconds + 0.5 - self._clock.time()
        self._ahead = ahead if abs(ahead) > _TOLERATED else 0.0
