"""Time that passes faster: pauses, back-offs and heartbeats of the gateway, without a change to what they mean."""

from __future__ import annotations

import random
import time

import anyio

from exgate_core.clock import Runtime


class FastClock:
    """A monotonic clock that runs ``factor`` times as fast; the one for time stamps is the machine's."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self._start = time.monotonic()

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self._start + (time.monotonic() - self._start) * self.factor

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait so many of these seconds."""
        await anyio.sleep(seconds / self.factor)


def runtime(factor: float, seed: int = 1) -> Runtime:
    """A runtime on such a clock, with dice that are the same in every run."""
    clock = FastClock(factor)
    return Runtime(clock, clock.sleep, random.Random(seed))
