"""An exchange without a network that does just what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from exgate_core.clock import Runtime
from exgate_core.errors import ExGateError
from exgate_core.feeds import Feeds
from exgate_core.hookspecs import EmitDepth, EmitTrades
from exgate_core.markets import MarketList
from exgate_core.models import Depth, DepthDelta, ExchangeCapabilities, Level, Market, Trade
from exgate_core.reads import Reads
from exgate_core.settings import Local
from tests.support.clock import ManualClock

BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")


class Stream:
    """One open upstream stream."""

    def __init__(self, emit: Any) -> None:
        self.emit = emit
        self.over = asyncio.get_running_loop().create_future()

    def cut(self, error: Exception | None = None) -> None:
        """End it: by an error, or as if the exchange closed it."""
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)


class Upstream:
    """A PublicSide. ``trade`` and ``change`` make the market move; what is cut or mute doesn't hear of it."""

    def __init__(self, capabilities: ExchangeCapabilities | None = None, lacks: Sequence[str] = ()) -> None:
        self.name = "fake"
        self.capabilities = capabilities or ExchangeCapabilities(
            trade_ids="contiguous", trades_reach=None, trades_max=100, cross_check=0
        )
        self.markets = MarketList([BTC])
        self.adapters: tuple[object, ...] = ()
        self.lacks = frozenset(lacks)
        self.past: list[Trade] = []
        self.step = 1
        self.bids: dict[str, str] = {"99": "1", "98.5": "2"}
        self.asks: dict[str, str] = {"100": "1", "101": "2"}
        self.sequence = 10
        self.trade_streams: list[Stream] = []
        self.book_streams: list[Stream] = []
        self.confirms = True
        """Whether a new stream of trades says at once that it lives."""
        self.mute = False
        self.calls: list[tuple[Any, ...]] = []
        self.fault: ExGateError | None = None
        self.gate: anyio.Event | None = None
        """Answers wait for it."""

    def has(self, operation: str) -> bool:
        """Whether the operation isn't lacking."""
        return operation not in self.lacks

    async def depth(self, market: Market, limit: int) -> Depth:
        """The book now."""
        await self._answer("depth", limit)
        return self.book(limit)

    async def recent_trades(self, market: Market, limit: int, since_id: str | None = None) -> Sequence[Trade]:
        """The newest, or the first after ``since_id`` as far back as ``trades_reach``."""
        await self._answer("recent_trades", limit, since_id)
        if since_id is None:
            return self.past[-limit:]
        reach = self.capabilities.trades_reach
        kept = self.past if reach is None else self.past[-reach:]
        return [trade for trade in kept if int(trade.id) > int(since_id)][:limit]

    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """Lives until cut."""
        await self._live(self.trade_streams, emit, () if self.confirms else None)

    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """Lives until cut; begins with the book as it is."""
        self.calls.append(("pull_depth", levels))
        await self._live(self.book_streams, emit, self.book(levels))

    async def _live(self, streams: list[Stream], emit: Any, word: object) -> None:
        stream = Stream(emit)
        streams.append(stream)
        try:
            if word is not None:
                emit(word)
            await stream.over
        finally:
            streams.remove(stream)

    async def _answer(self, *call: Any) -> None:
        self.calls.append(call)
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault

    def book(self, limit: int) -> Depth:
        """The book as the exchange would send it."""
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))[:limit]
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))[:limit]
        return Depth(bids=bids, asks=asks, last_update_id=self.sequence, timestamp=1)

    def trade(self, count: int = 1) -> list[Trade]:
        """So many trades happen."""
        last = int(self.past[-1].id) if self.past else 2**53
        made = [
            Trade(id=str(last + self.step * n), price="1.5", qty="2", time=n, taker_side="buy")
            for n in range(1, count + 1)
        ]
        self.past.extend(made)
        if not self.mute:
            for stream in list(self.trade_streams):
                stream.emit(made)
        return made

    def change(self, bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> DepthDelta:
        """The book changes."""
        for side, rows in ((self.bids, bids), (self.asks, asks)):
            side.update(rows)
            for price in [price for price, amount in side.items() if not amount.strip("0.")]:
                del side[price]
        self.sequence += 1
        delta = DepthDelta(bids=bids, asks=asks, previous=self.sequence - 1, sequence=self.sequence)
        if not self.mute:
            for stream in list(self.book_streams):
                stream.emit(delta)
        return delta

    def beat(self) -> None:
        """Every stream proves that it lives."""
        for stream in self.trade_streams:
            stream.emit(())
        for stream in self.book_streams:
            stream.emit(None)

    def count(self, *call: Any) -> int:
        """How often it was asked that."""
        return sum(asked[: len(call)] == call for asked in self.calls)


class House:
    """Feeds and reads over an Upstream, on a clock that the test moves."""

    def __init__(self, upstream: Upstream, feeds: Feeds, reads: Reads, clock: ManualClock) -> None:
        self.upstream, self.feeds, self.reads, self.clock = upstream, feeds, reads, clock


@asynccontextmanager
async def house(upstream: Upstream | None = None, *, idle_stop: float = 60.0, seed: int = 0) -> AsyncIterator[House]:
    """Everything up to ``Reads``; stopped at the end. Fails if an exception of a feed reaches the task group."""
    clock = ManualClock()
    runtime: Runtime = clock.runtime(seed)
    upstream = upstream or Upstream()
    local = Local(idle_stop=idle_stop)
    async with anyio.create_task_group() as tasks:
        feeds = Feeds(upstream, tasks, runtime, local)
        yield House(upstream, feeds, Reads(upstream, feeds, runtime, local), clock)
        await feeds.stop()
        tasks.cancel_scope.cancel()
