"""One supervised stream of a book: the local copy, its resync, and the check of a quiet copy."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import anyio

from . import numbers
from .book import Book
from .clock import Runtime
from .exchange import PublicSide
from .models import Depth, DepthDelta, ExchangeCapabilities, Level, Market
from .supervisor import Life, Status, Supervisor

GRACE = 2.0
"""Seconds that a change may take from the exchange's answers to its stream."""

_SIZES = (1000, 5000)
_REFILL = 5.0
_COMPARED = 5

_log = logging.getLogger("exgate.feeds")


def most_levels(able: ExchangeCapabilities) -> int:
    """The most levels a side that one answer of the exchange holds."""
    return min(able.depth_max, max(able.depth_sizes, default=able.depth_max))


def levels_for(able: ExchangeCapabilities, limit: int) -> int:
    """How many levels to open a stream with, so that ``limit`` of them stay known for a while."""
    if able.depth_windows:
        return next((size for size in able.depth_windows if size >= limit), able.depth_windows[-1])
    return min(next((size for size in _SIZES if size >= limit), _SIZES[-1]), most_levels(able))


class BookFeed:
    """The book of one market of one exchange, kept with ``levels`` levels a side."""

    stream = "depth"

    def __init__(
        self,
        exchange: PublicSide,
        market: Market,
        levels: int,
        runtime: Runtime,
        idle_stop: float,
        label: str = "",
    ) -> None:
        self.market = market
        self.levels = levels
        """How many levels a side the stream is opened with."""
        self._name = f"{label or exchange.name} {market.symbol} depth"
        self.supervisor = Supervisor(self._name, self._connect, self._lost, runtime, idle_stop)
        self.book = self._new_book(exchange.capabilities)
        """The copy; unreadable whenever it isn't proven right."""
        self._exchange = exchange
        self._runtime = runtime
        self._changed = self._refilled = runtime.clock.monotonic()

    @property
    def status(self) -> Status:
        """live = receiving and in sync."""
        status = self.supervisor.status
        return "starting" if status == "live" and not self.book.in_sync else status

    @property
    def desc(self) -> str:
        """Why the status is what it is, for people."""
        return self.supervisor.desc

    async def run(self) -> None:
        """Until idle, stopped or cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cross_check)
            await self.supervisor.run()
            tasks.cancel_scope.cancel()

    def close(self) -> None:
        """Make the copy unreadable for good."""
        self.supervisor.stopping = True
        self.book.invalidate("the stream was stopped")

    def readable(self, limit: int, tolerate: float) -> bool:
        """Whether the copy is what the exchange would answer, proven at most ``tolerate`` seconds ago.

        A copy that knows too few levels is opened anew, with more levels if need be.
        """
        self.supervisor.touch()
        if not self.book.in_sync:
            return False
        if not self.book.covers(limit):
            self._refill(limit)
            return False
        age = self.supervisor.age
        return age is not None and age <= tolerate

    def _refill(self, limit: int) -> None:
        able, now = self._exchange.capabilities, self._runtime.clock.monotonic()
        wanted = max(self.levels, levels_for(able, limit))
        if wanted == self.levels and now - self._refilled < _REFILL:
            return
        if wanted == self.levels and self.levels < limit:
            return
        self.levels, self._refilled = wanted, now
        self.supervisor.cut(f"too few levels are known for limit={limit}", hurry=True)

    def _new_book(self, able: ExchangeCapabilities) -> Book:
        return Book(able.checksum, levels=self.levels, window=bool(able.depth_windows))

    async def _connect(self, life: Life) -> None:
        self.book = self._new_book(self._exchange.capabilities)
        await self._exchange.pull_depth(self.market, self.levels, partial(self._emit, life))

    def _emit(self, life: Life, item: Depth | DepthDelta | None) -> None:
        if not self.supervisor.heard(life) or item is None:
            return
        self._changed = self._runtime.clock.monotonic()
        if isinstance(item, Depth):
            right = self.book.reset(item)
        elif self.book.version:
            right = self.book.apply(item)
        else:
            return  # Deltas before the snapshot say nothing.
        if not right:
            self.supervisor.cut(self.book.fault)

    def _lost(self, why: str) -> None:
        self.book.invalidate(why)

    async def _cross_check(self) -> None:
        period = self._exchange.capabilities.cross_check
        if period <= 0 or not self._exchange.has("depth"):
            return
        while True:
            await self._runtime.sleep(period)
            if self.book.in_sync and self._runtime.clock.monotonic() - self._changed >= period:
                await self._compare()

    async def _compare(self) -> None:
        # An answer that differs proves nothing yet: it may be older or newer than what has just arrived. If it still
        # differs later and the copy has not moved, the stream is silent.
        for last in (False, True):
            book, version, asked = self.book, self.book.version, self._runtime.clock.monotonic()
            try:
                theirs = await self._exchange.depth(self.market, _COMPARED)
            except Exception as error:
                _log.info("%s: no cross-check: %s", self._name, error)
                return
            if self.book is not book or book.version != version or not book.in_sync:
                return
            if _agree(book, theirs, 1 if self._exchange.capabilities.depth_rounded else 2):
                self.supervisor.proven(asked)
                return
            if last:
                self.supervisor.cut("the stream is silent while the exchange's book moves")
                return
            await self._runtime.sleep(GRACE)


def _agree(book: Book, theirs: Depth, numbers_of_a_level: int) -> bool:
    if theirs.last_update_id and book.sequence:
        return theirs.last_update_id <= book.sequence
    ours = book.top(max(len(theirs.bids), len(theirs.asks)))
    sides = ((ours.bids, theirs.bids), (ours.asks, theirs.asks))
    return all(_same(mine, other, numbers_of_a_level) for mine, other in sides)


def _same(ours: Sequence[Level], theirs: Sequence[Level], count: int) -> bool:
    # Answers and streams may spell a number differently.
    pairs = zip(ours, theirs, strict=False)
    return len(ours) <= len(theirs) and all(
        numbers.compare(mine, other) == 0
        for one, two in pairs
        for mine, other in zip(one[:count], two[:count], strict=True)
    )
