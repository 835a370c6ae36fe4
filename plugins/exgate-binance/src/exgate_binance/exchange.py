"""The public side: questions over HTTP, streams over one shared WebSocket."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import msgspec

from exgate_core.client import Context
from exgate_core.errors import InvalidArgument, Unavailable
from exgate_core.fetch import bad_answer
from exgate_core.hookspecs import EmitDepth, EmitTrades, hookimpl
from exgate_core.models import Depth, Market, Trade
from exgate_core.sockets import Gathered, Subscription

from . import parse
from .counting import OrderLimit, order_limits
from .dialect import BinanceDialect
from .hosts import NEWEST, host_of
from .joining import Join
from .settings import BinanceSettings

T = TypeVar("T")

_SNAPSHOTS = 20
_BETWEEN_SNAPSHOTS = 0.5


class Binance:
    """The public spot data of Binance or Binance.US, as ``context.name`` says."""

    def __init__(self, context: Context) -> None:
        self._host = host = host_of(context.name, sandbox=context.sandbox)
        settings = context.settings or BinanceSettings()
        self._aggregate = settings.trades == "aggregate"
        self._sleep = context.sleep
        self._http = context.http(host.rest, used_weight="X-MBX-USED-WEIGHT-1M")
        self._socket = context.ws(host.stream, BinanceDialect())
        self.order_limits: list[OrderLimit] = []
        """How many orders an account may place in a while, as the last market list said."""

    @hookimpl
    async def markets(self) -> Sequence[Market]:
        """All spot markets, those that don't trade now as inactive."""
        weight = self._host.weights.markets
        path = "/api/v3/exchangeInfo"
        info = await self._get(path, parse.EXCHANGE_INFO, dict(self._host.markets), weight)
        try:
            found = parse.markets(info)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise bad_answer(f"{self._host.rest}{path}", str(error)) from error
        self.order_limits = order_limits(info.rate_limits)
        return found

    @hookimpl
    async def depth(self, market: Market, limit: int) -> Depth:
        """The best ``limit`` levels a side; any size up to 5000."""
        weight = self._host.weights.of_depth(limit)
        params = {"symbol": market.id, "limit": str(limit)}
        return parse.depth(await self._get("/api/v3/depth", parse.DEPTH, params, weight))

    @hookimpl
    async def recent_trades(self, market: Market, limit: int, since_id: str | None) -> Sequence[Trade]:
        """The newest trades, or the first after ``since_id``; raw or aggregate ones as the settings say."""
        limit = min(limit, NEWEST)
        params = {"symbol": market.id, "limit": str(limit)}
        if self._aggregate:
            return await self._aggregate_trades(params, since_id)
        weight = self._host.weights.trades
        if since_id is None:
            return parse.trades(await self._get("/api/v3/trades", parse.TRADES, params, weight))
        if self._host.keyless_history:
            params["fromId"] = str(_after(since_id))
            return parse.trades(await self._get("/api/v3/historicalTrades", parse.TRADES, params, weight))
        first, params["limit"] = _after(since_id), str(NEWEST)
        newest = await self._get("/api/v3/trades", parse.TRADES, params, weight)
        return parse.trades([row for row in newest if row.id >= first][:limit])

    @hookimpl
    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """``<symbol>@trade`` or ``@aggTrade``: the same ids as ``recent_trades``."""
        read = parse.aggregate_trade_frame if self._aggregate else parse.raw_trade_frame
        name = f"{market.id.lower()}@{'aggTrade' if self._aggregate else 'trade'}"
        trades: Gathered[Trade] = Gathered(emit, lambda: stream)
        stream = self._socket.subscription(name, lambda frame: trades.add(read(frame)), lambda: emit(()))
        async with stream:
            emit(())
            try:
                await stream.ended()
            finally:
                trades.flush()

    @hookimpl
    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """``<symbol>@depth@100ms``, joined to a snapshot by the exchange's rule."""
        join = Join(emit)

        def alive() -> None:
            if join.joined:
                emit(None)

        name = f"{market.id.lower()}@depth@100ms"
        on_frame = partial(_event, join)
        async with self._socket.subscription(name, on_frame, alive) as subscription:
            await self._begin(join, market, levels, subscription)
            await subscription.ended()

    async def _begin(self, join: Join, market: Market, levels: int, subscription: Subscription) -> None:
        limit = self._host.weights.same_price(levels)
        for _ in range(_SNAPSHOTS):
            snapshot = await self.depth(market, limit)
            if subscription.over or join.snapshot(snapshot):
                return
            await self._sleep(_BETWEEN_SNAPSHOTS)
        raise Unavailable(f"{_SNAPSHOTS} snapshots of {market.symbol} were all older than its stream.")

    async def _aggregate_trades(self, params: dict[str, str], since_id: str | None) -> list[Trade]:
        if since_id is not None:
            params["fromId"] = str(_after(since_id))
        weight = self._host.weights.aggregate
        return parse.aggregate_trades(await self._get("/api/v3/aggTrades", parse.AGGREGATES, params, weight))

    async def _get(self, path: str, decoder: msgspec.json.Decoder[T], params: dict[str, str], weight: int) -> T:
        return await self._http.get_json(path, decoder, params=params, weight=weight, explain=parse.words)


def _event(join: Join, frame: bytes) -> None:
    join.event(parse.depth_frame(frame))


def _after(since_id: str) -> int:
    if not since_id.isdecimal():
        raise InvalidArgument.of("since_id", f"trade ids are integers here, not {since_id!r}")
    return int(since_id) + 1
