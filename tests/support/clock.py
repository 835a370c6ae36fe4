"""A clock that moves only when a test says so."""

from __future__ import annotations

import heapq
import random

import anyio
import anyio.lowlevel

from exgate_core.clock import Runtime


class ManualClock:
    """Both clocks of ``exgate_core.clock`` and the sleep that goes with them.

    ``await clock.advance(seconds)`` wakes, in order, everybody whose time has come, and lets them run.
    """

    def __init__(self, start: float = 1_000.0, epoch: float = 1_700_000_000.0) -> None:
        self._now, self._epoch = start, epoch - start
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return self._epoch + self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        event = anyio.Event()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._count, event))
        await event.wait()

    async def advance(self, seconds: float) -> None:
        until = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            self._now, _, event = heapq.heappop(self._sleepers)
            event.set()
            await settle()
        self._now = until

    def runtime(self, seed: int = 0) -> Runtime:
        return Runtime(clock=self, sleep=self.sleep, random=random.Random(seed))


async def settle(rounds: int = 50) -> None:
    """Let every task that can run do so."""
    for _ in range(rounds):
        await anyio.lowlevel.checkpoint()
