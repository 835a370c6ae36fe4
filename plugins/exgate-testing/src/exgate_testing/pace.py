"""Time that passes faster: pauses, back-offs and heartbeats of the gateway, without a change to what they mean."""

from __future__ import annotations

import random
import time

import anyio

from exgate_core.clock import Runtime

_MONOTONIC, _EPOCH = time.monotonic(), time.time()
"""When all of these clocks were right."""


class FastClock:
    """A clock that runs ``factor`` times as fast. Two with one factor agree, also in different gateways."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.skipped = 0.0
        """Seconds that went by in no time: it is later than it was, and nobody has waited."""
        self.jumped = 0.0
        """Seconds by which the time of day was put forward since; ``monotonic`` knows nothing of it."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return (time.monotonic() - _MONOTONIC) * self.factor + self.skipped

    def time(self) -> float:
        """Seconds since the Unix epoch, as this clock has it: it runs ahead."""
        return _EPOCH + self.monotonic() + self.jumped

    async def sleep(self, seconds: float) -> None:
        """Wait so many of these seconds."""
        await anyio.sleep(seconds / self.factor)


def runtime(factor: float, seed: int = 1) -> Runtime:
    """A runtime on such a clock, with dice that are the same in every run."""
    clock = FastClock(factor)
    return Runtime(clock, clock.sleep, random.Random(seed))
