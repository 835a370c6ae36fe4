"""The public side: questions over HTTP, streams over one shared WebSocket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import anyio
import msgspec
from exgate_core.client import Context
from exgate_core.errors import ExGateError, FailedPrecondition, InvalidArgument, RateLimited, Unavailable
from exgate_core.fetch import decode
from exgate_core.hookspecs import EmitDepth, EmitTrades, hookimpl
from exgate_core.models import Depth, ExchangeCapabilities, Market, Trade
from exgate_core.sockets import Subscription

from . import parse
from .dialect import BitstampDialect
from .failures import judged
from .joining import Join

REST: Final = "https://www.bitstamp.net"
STREAM: Final = "wss://ws.bitstamp.net"
QUIET: Final = 5.0
"""Seconds without a change after which any snapshot is newer than the subscription: the cache behind it isn't older."""

REFRESH: Final = 60.0
"""Seconds between snapshots of a book that is kept: for so long a lost change may stay in it."""

_REACH: Final = 1000
_LOOK: Final = 0.1
_AGAIN: Final = 1.0
_SNAPSHOTS: Final = 20

T = TypeVar("T")


class Bitstamp:
    """The public spot data of Bitstamp."""

    # "Request limits" (HTTP API v2): 400 requests a second, 10,000 in ten minutes. Trade ids rise over all markets
    # together; history is the trades of the last minute, hour or day.
    capabilities = ExchangeCapabilities(
        trade_ids="ordered",
        trades_reach=_REACH,
        trades_max=_REACH,
        weight_limit=10_000,
        weight_window=600.0,
    )

    def __init__(self, context: Context) -> None:
        if context.sandbox:
            raise FailedPrecondition("Bitstamp has no sandbox that is open to everybody", reason="NO_SANDBOX")
        self._http = context.http(REST)
        self._socket = context.ws(STREAM, BitstampDialect())
        self._clock, self._sleep, self._budget = context.clock, context.sleep, context.budget
        self._log = context.log

    @hookimpl
    async def markets(self) -> Sequence[Market]:
        """``GET /api/v2/markets/``."""
        return parse.markets(await self._get("/api/v2/markets/", parse.MARKETS))

    @hookimpl
    async def depth(self, market: Market, limit: int) -> Depth:
        """``GET /api/v2/order_book/MARKET/``: always the whole book."""
        return parse.depth(await self._book(market))

    @hookimpl
    async def recent_trades(self, market: Market, limit: int, since_id: str | None) -> Sequence[Trade]:
        """``GET /api/v2/transactions/MARKET/``: those of the last hour, of the last day where they are too few."""
        floor = None if since_id is None else _number(since_id)
        found = await self._transactions(market, "hour")
        if len(found) < limit or (floor is not None and int(found[0].id) > floor):
            found = await self._transactions(market, "day")
        if floor is None:
            return found[-limit:]
        return [trade for trade in found[-_REACH:] if int(trade.id) > floor][:limit]

    @hookimpl
    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """The channel ``live_trades_MARKET``."""

        def on_frame(frame: bytes) -> None:
            emit((parse.trade_frame(frame),))

        channel = f"live_trades_{market.id}"
        async with self._socket.subscription(channel, on_frame, lambda: emit(())) as stream:
            emit(())
            await stream.ended()

    @hookimpl
    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """The channel ``diff_order_book_MARKET``, joined to a snapshot."""
        join = Join(emit)

        def on_frame(frame: bytes) -> None:
            join.change(parse.book_frame(frame))

        def alive() -> None:
            if join.joined:
                emit(None)

        async with self._socket.subscription(f"diff_order_book_{market.id}", on_frame, alive) as stream:
            await self._begin(join, market, stream)
            await self._run(join, market, stream)

    async def _run(self, join: Join, market: Market, stream: Subscription) -> None:
        """Until the stream is cut, with a snapshot every now and then."""
        cut: ExGateError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._refresh, join, market)
            try:
                await stream.ended()
            except ExGateError as error:
                cut = error  # raised outside of the group, which would wrap it
            tasks.cancel_scope.cancel()
        if cut is not None:
            raise cut

    async def _refresh(self, join: Join, market: Market) -> None:
        while True:
            await self._sleep(REFRESH)
            try:
                join.snapshot(await self._book(market))
            except ExGateError as error:
                self._log.info("%s: no snapshot: %s", market.symbol, error.message)

    async def _begin(self, join: Join, market: Market, stream: Subscription) -> None:
        until = self._clock.monotonic() + QUIET
        while not join.first and not stream.over and self._clock.monotonic() < until:
            await self._sleep(_LOOK)
        for _ in range(_SNAPSHOTS):
            if stream.over or join.snapshot(await self._book(market)):
                return
            await self._sleep(_AGAIN)
        raise Unavailable(f"{_SNAPSHOTS} snapshots of {market.symbol} were all older than its stream.")

    async def _book(self, market: Market) -> parse.Book:
        return await self._get(f"/api/v2/order_book/{market.id}/", parse.BOOK)

    async def _transactions(self, market: Market, window: str) -> list[Trade]:
        path = f"/api/v2/transactions/{market.id}/"
        return parse.trades(await self._get(path, parse.TRANSACTIONS, {"time": window}))

    async def _get(self, path: str, decoder: msgspec.json.Decoder[T], params: Mapping[str, str] | None = None) -> T:
        response = await self._http.request("GET", path, params=params)
        error = judged(response)
        if isinstance(error, RateLimited) and self._budget is not None:
            self._budget.pause(error.retry_after or 0.0)
        if error is not None:
            raise error
        return decode(response, decoder)


def _number(since_id: str) -> int:
    if not (since_id.isascii() and since_id.isdecimal()):
        raise InvalidArgument.of("since_id", f"trade ids are integers here, not {since_id[:40]!r}")
    return int(since_id)
