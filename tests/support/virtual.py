"""Time that passes only where everybody waits: hours of it in seconds, however busy the machine is.

The loop's own clock stands still while anything runs. When nothing is ready, it jumps to the next timer. That is exact
where all that is awaited happens in this process, and what a thread does is told by ``busy``.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

import anyio

from exgate_core.clock import Runtime
from exgate_core.journal import Journal

T = TypeVar("T")

_MOMENT = 0.001
"""What the machine's own network gets before each jump, in its seconds."""
_LOOK = 0.05
_EPOCH = 1_790_000_000.0


class Selector(selectors.DefaultSelector):
    """A selector that doesn't wait. ``jumps`` = whether it may: until then time passes as for everybody."""

    def __init__(self) -> None:
        super().__init__()
        self._start, self._now = time.monotonic(), 0.0
        self._jumps = False
        self.busy = 0
        """So much is being done by threads: no jump before that is ready."""
        self.stuck: Collection[str] = ()
        """Where threads stand still until somebody lets them go on: then there is nothing to wait for."""

    def time(self) -> float:
        """Seconds since it was made."""
        return self._now if self._jumps else time.monotonic() - self._start

    def jump(self) -> None:
        """From now on time passes only where everybody waits."""
        self._now, self._jumps = self.time(), True

    def walk(self) -> None:
        """From now on time passes as for everybody again: a loop that ends waits for threads, with a limit."""
        self._start, self._jumps = time.monotonic() - self.time(), False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; nothing after a jump."""
        if not self._jumps or timeout is None:
            return super().select(timeout)
        busy = self.busy and not self.stuck
        ready = super().select(0) or super().select(_LOOK if busy and timeout else min(timeout, _MOMENT))
        if not ready and not busy:
            self._now += timeout
        return ready


class LoopClock:
    """The clock of a loop."""

    def __init__(self, selector: Selector) -> None:
        self.monotonic = selector.time

    def time(self) -> float:
        """Seconds since the Unix epoch, as if the loop had been made at a certain moment."""
        return _EPOCH + self.monotonic()


class Virtual:
    """A loop of its own, with what a gateway needs to live in its time."""

    def __init__(self, seed: int = 1) -> None:
        self._selector = Selector()
        self.runtime = Runtime(LoopClock(self._selector), anyio.sleep, random.Random(seed))
        self.jump, self.walk = self._selector.jump, self._selector.walk

    def attend(self, journal: Journal, stuck: Collection[str] = ()) -> None:
        """Nothing jumps while the journal's thread writes, unless ``stuck`` says that it stands still."""
        submit, self._selector.stuck = journal._submit, stuck

        async def counted(*arguments: Any, **named: Any) -> Any:
            self._selector.busy += 1
            try:
                return await submit(*arguments, **named)
            finally:
                self._selector.busy -= 1

        journal._submit = counted  # type: ignore[method-assign]

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """As ``asyncio.run``."""
        with asyncio.Runner(loop_factory=self.loop) as runner:
            try:
                return runner.run(main)
            finally:
                self.walk()

    def loop(self) -> asyncio.AbstractEventLoop:
        """A loop that lives in this time."""
        loop = asyncio.SelectorEventLoop(self._selector)
        loop.time = self._selector.time  # type: ignore[method-assign]
        return loop
