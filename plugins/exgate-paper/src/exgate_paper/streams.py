"""How changes of the engine reach a stream: a queue of frames, and the faults that befall them on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from exgate_core.clock import Sleep
from exgate_core.models import DepthDelta, Level

from .faults import Fault, Faults, crash

T = TypeVar("T")
ALIVE_EVERY = 1.0
"""Seconds between the signs of life of a stream."""
_BREATH = 100  # frames between two checkpoints, so that a burst doesn't hold the event loop


class StreamCut(ConnectionError):
    """The stream of this subscription ended."""


class Stream(Generic[T]):
    """The frames of one subscription: what the engine publishes, after the faults of ``point``.

    ``corrupt(frame, how)`` makes a wrong frame of a right one.
    """

    def __init__(self, faults: Faults, point: str, symbol: str, corrupt: Callable[[T, str], T]) -> None:
        self._faults, self._point, self._symbol, self._corrupt = faults, point, symbol, corrupt
        self._queue: deque[T | None] = deque()
        self._news = anyio.Event()
        self._held: list[T] = []

    def push(self, frame: T | None) -> None:
        """Queue a frame; None = a sign of life. Never blocks."""
        self._queue.append(frame)
        self._news.set()

    async def run(self, emit: Callable[[T | None], None], sleep: Sleep) -> None:
        """Hand frames on, with a sign of life at once and then every second, until the stream is cut: StreamCut."""
        cut: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._live, sleep)
            try:
                await self._forward(emit, sleep)
            except Exception as error:  # leaves as itself below, not in a group
                cut = error
            tasks.cancel_scope.cancel()
        if cut is not None:
            raise cut

    async def _live(self, sleep: Sleep) -> None:
        while True:
            self.push(None)
            await sleep(ALIVE_EVERY)

    async def _forward(self, emit: Callable[[T | None], None], sleep: Sleep) -> None:
        count = 0
        while True:
            if not self._queue:
                self._news = anyio.Event()
                await self._news.wait()
            frame = self._queue.popleft()
            if frame is None:
                if not self._faults.hits(f"{self._point}.alive", self._symbol):
                    emit(None)
                continue
            for fault in (hits := self._faults.hits(f"{self._point}.frame", self._symbol)):
                await _wait(fault, sleep)
            for sent in self._after(frame, hits):
                emit(sent)
            count += 1
            if count % _BREATH == 0:
                await anyio.lowlevel.checkpoint()

    def _after(self, frame: T, hits: list[Fault]) -> list[T]:
        frames = [frame]
        for fault in hits:
            frames = self._strike(fault, frames)
        if frames and self._held and not any(fault.kind == "reorder" for fault in hits):
            frames += self._held
            self._held = []
        return frames

    def _strike(self, fault: Fault, frames: list[T]) -> list[T]:
        if fault.kind == "skip":
            return []
        if fault.kind == "repeat":
            return frames * 2
        if fault.kind == "corrupt":
            return [self._corrupt(frame, fault.value) for frame in frames]
        if fault.kind == "reorder":  # goes out after the next frame
            self._held += frames
            return []
        return frames


async def _wait(fault: Fault, sleep: Sleep) -> None:
    if fault.kind == "crash":
        crash()
    elif fault.kind == "cut":
        raise StreamCut("the stream was cut")
    elif fault.kind == "error":
        raise RuntimeError(fault.value or "a broken frame")
    elif fault.kind == "delay":
        await sleep(fault.seconds)
    elif fault.kind == "hang":
        await anyio.sleep_forever()


def corrupt_delta(delta: DepthDelta, how: str) -> DepthDelta:
    """A wrong change: it crosses the book, or (``amount``) lies about an amount, or (``garbage``) is no number."""
    if how == "garbage":
        return replace(delta, bids=[("NaN", "x")])
    if how == "amount":
        return replace(delta, bids=_wrong(delta.bids), asks=_wrong(delta.asks))
    return replace(delta, bids=[*delta.bids, ("999999999", "1")])


def _wrong(levels: Sequence[Level]) -> list[Level]:
    return [(price, f"9{amount}") for price, amount in levels]


@contextmanager
def listening(stop: Callable[[], None]) -> Iterator[None]:
    """End a subscription at the engine when the block is left."""
    try:
        yield
    finally:
        stop()
