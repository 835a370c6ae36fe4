"""Time, waiting and chance as arguments, so that a test can replay a run from its seed."""

from __future__ import annotations

import random as _random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import anyio

Sleep = Callable[[float], Awaitable[None]]


class Clock(Protocol):
    """Two clocks: one that never jumps, for ages and deadlines; one that people read, for time stamps."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()


@dataclass(frozen=True)
class Runtime:
    """What the outside world gives to everything that waits or rolls dice."""

    clock: Clock = field(default_factory=SystemClock)
    sleep: Sleep = anyio.sleep
    random: _random.Random = field(default_factory=_random.SystemRandom)
