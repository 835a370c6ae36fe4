"""What time it is at an exchange, as far as its adapters measured it, and how far this machine's clock is off.

Orders are dated by the exchange. Whether one is older than a send is told by its clock: this machine's may be wrong by
hours without anything else going wrong.
"""

from __future__ import annotations

import logging
from typing import Final

from .clock import Clock

TOLERATED: Final = 5.0
"""Seconds by which the two clocks may differ without a word."""


class ExchangeClock:
    """Runs on the clock that never jumps, from the last measurement on.

    ``label``: what the log calls it; ``exchange``: the exchange's name.
    """

    def __init__(self, clock: Clock, label: str, exchange: str, log: logging.Logger | None = None) -> None:
        self._clock, self._label, self._exchange = clock, label, exchange
        self._log = log or logging.getLogger("exgate.clock")
        self._ahead: float | None = None
        """Seconds: the exchange's clock before the monotonic one; None = never measured."""
        self._warned = False

    def report(self, milliseconds: float) -> None:
        """Note what the exchange's clock says now, ms since the epoch. Warns once where this machine's is far off."""
        self._ahead = milliseconds / 1000 - self._clock.monotonic()
        problem = self.problem
        if problem and not self._warned:
            self._log.warning("%s: %s", self._label, problem)
        self._warned = bool(problem)

    def now_ms(self) -> int:
        """The exchange's time, ms since the epoch; 0 = never measured."""
        return 0 if self._ahead is None else int((self._clock.monotonic() + self._ahead) * 1000)

    @property
    def skew(self) -> float | None:
        """Seconds by which this machine's clock is ahead of the exchange's; None = never measured."""
        return None if self._ahead is None else self._clock.time() - self._clock.monotonic() - self._ahead

    @property
    def problem(self) -> str:
        """What is wrong with this machine's clock and what to do; empty = nothing that is known."""
        skew = self.skew or 0.0
        if abs(skew) <= TOLERATED:
            return ""
        way = "ahead of" if skew > 0 else "behind"
        return (
            f"this machine's clock is {abs(skew):.1f} s {way} {self._exchange}'s: set it, or switch time "
            "synchronisation on (timedatectl set-ntp true); until then orders are told apart by the exchange's clock"
        )
