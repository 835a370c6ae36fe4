"""The public side of the paper exchange, and the owner of its engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread
from msgspec.structs import replace

from exgate_core.hookspecs import EmitDepth, EmitTrades, hookimpl
from exgate_core.models import Depth, DepthDelta, ExchangeCapabilities, Market, Trade

from .calls import Context, travel
from .making import make_engine
from .market import HOUSE, SeededMarket
from .settings import MEMORY, PaperSettings
from .statefile import StateFile
from .streams import Stream, corrupt_delta, listening

_BOOK_LIMIT = 5000
_TRADES_LIMIT = 1000
_FASTEST = 0.02  # seconds; faster markets make several steps at once
_COMPACT_AT = 100_000  # records; some seconds of replay
_WARM_UP = 100  # steps a market that moves is given before it opens, so that it has trades to show


class PaperExchange:
    """A whole exchange in this process: ``engine`` is its truth, ``market`` its seeded life."""

    capabilities = ExchangeCapabilities(
        trade_ids="contiguous",
        trades_reach=200_000,
        depth_max=_BOOK_LIMIT,
        trades_max=_TRADES_LIMIT,
        weight_limit=1_000_000,
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings = context.settings or PaperSettings()
        markets = [market.market() for market in self.settings.markets]
        self.engine = make_engine(markets, self.settings, context.clock, HOUSE)
        self.market = SeededMarket(
            self.engine,
            {market.symbol: market.price for market in self.settings.markets},
            seed=self.settings.seed,
            levels=self.settings.levels,
        )
        self._file: StateFile | None = None
        self._tasks: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> PaperExchange:
        folder = self._folder()
        if folder is not None:
            await anyio.to_thread.run_sync(self._rebuild, folder)
        self._open_market()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        if self.settings.rate > 0:
            self._tasks.start_soon(self._live)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        try:
            await self._tasks.__aexit__(None, None, None)  # its errors are its own: what ends the block stays as it is
        finally:
            if self._file is not None:
                self._file.close()

    def _folder(self) -> Path | None:
        named = self.settings.state
        if named == MEMORY:
            return None
        return Path(named).expanduser() if named else self._context.state

    def _rebuild(self, folder: Path) -> None:
        self._file = StateFile(folder, self.engine.fingerprint, self.engine.faults)
        self.engine.attach(self._file)
        if self._file.records > _COMPACT_AT:
            for _ in self._file.compact(self.engine.snapshot()):
                pass

    def _open_market(self) -> None:
        fresh = not self.engine.time
        if self.settings.levels or self.settings.rate > 0:
            self.market.open()
        if fresh and self.settings.rate > 0:
            self.market.step(_WARM_UP * len(self.settings.markets))

    async def _live(self) -> None:
        """The market's own life, until the exchange closes. It never ends the exchange: it logs and goes on."""
        steps_a_second = self.settings.rate * len(self.settings.markets)
        pause = max(1 / steps_a_second, _FASTEST)
        due, told = 0.0, ""
        while True:
            await self._context.sleep(pause)
            due += pause * steps_a_second
            whole = math.floor(due + 1e-9)
            due -= whole
            try:
                self.market.step(whole)
                await self._compact()
            except Exception as error:
                if str(error) != told:  # a full disk would fill the log as well
                    self._context.log.warning("the seeded market stumbled: %s", error)
                told = str(error)

    async def _compact(self) -> None:
        if self._file is None or self._file.records <= _COMPACT_AT:
            return
        with closing(self._file.compact(self.engine.snapshot())) as work:
            for _ in work:
                await anyio.lowlevel.checkpoint()

    async def _call(self, point: str, market: Market | None = None) -> None:
        await travel(self.engine.faults, self._context.sleep, point, market.symbol if market else "")

    @hookimpl
    async def markets(self) -> Sequence[Market]:
        """All markets of this engine."""
        await self._call("markets")
        return self.engine.markets

    @hookimpl
    async def depth(self, market: Market, limit: int) -> Depth:
        """The book with at most ``limit`` levels a side."""
        await self._call("depth", market)
        return self.engine.depth(market.symbol, limit)

    @hookimpl
    async def recent_trades(self, market: Market, limit: int, since_id: str | None) -> Sequence[Trade]:
        """The newest ``limit`` trades, or the first after ``since_id``; from the first that is kept."""
        await self._call("recent_trades", market)
        return self.engine.trades(market.symbol, min(limit, _TRADES_LIMIT), since_id)

    @hookimpl
    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """One frame per command that traded; a sign of life every second."""
        await self._call("pull_trade", market)
        stream: Stream[Sequence[Trade]] = Stream(self.engine.faults, "pull_trade", market.symbol, _corrupt_trades)
        with listening(self.engine.on_trades(market.symbol, stream.push)):
            await stream.run(lambda frame: emit(() if frame is None else frame), self._context.sleep)

    @hookimpl
    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """The whole book, then one delta per command that changed it; a sign of life every second."""
        await self._call("pull_depth", market)
        stream: Stream[DepthDelta] = Stream(self.engine.faults, "pull_depth", market.symbol, corrupt_delta)
        with listening(self.engine.on_delta(market.symbol, stream.push)):
            emit(self.engine.depth(market.symbol, max(levels, _BOOK_LIMIT)))
            await stream.run(emit, self._context.sleep)


def _corrupt_trades(trades: Sequence[Trade], how: str) -> Sequence[Trade]:
    """The same ids with wrong figures."""
    return [replace(trade, price=how or "NaN") for trade in trades]
