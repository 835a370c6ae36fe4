"""The public side: questions over HTTP, streams over two WebSocket services."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import urlencode

from exgate_core.client import Context
from exgate_core.errors import InvalidArgument, Unavailable
from exgate_core.hookspecs import EmitDepth, EmitTrades, hookimpl
from exgate_core.models import Depth, Market, Trade
from exgate_core.sockets import Subscription

from . import limits, parse
from .dialect import OkxDialect, topic
from .hosts import BOOK, CAPABILITIES, HOSTS, NEWEST, capabilities_of
from .joining import Join
from .parse import TradeRow
from .settings import OkxSettings
from .wire import Wire, rows

_BOOKS_OF_A_CONNECTION = 29  # "each with less than 30 channels", says "WS / Order book channel"
_TRADES_OF_A_CONNECTION = 100
_PAGE = 100
_SNAPSHOTS = 20
_BEFORE_A_SNAPSHOT = 0.5


class Okx:
    """The public spot data of OKX."""

    capabilities = CAPABILITIES

    def __init__(self, context: Context) -> None:
        settings = context.settings or OkxSettings()
        host, demo = HOSTS[settings.host], context.sandbox
        self._wire = Wire(context)
        self._sleep = context.sleep
        merged = settings.trades == "merged"
        self.capabilities = capabilities_of(settings)
        """As the settings say."""
        self._read = parse.merged if merged else parse.trades
        self._channel = "trades" if merged else "trades-all"
        self._books = context.ws(host.socket("public", demo), OkxDialect(_BOOKS_OF_A_CONNECTION))
        business = context.ws(host.socket("business", demo), OkxDialect(_TRADES_OF_A_CONNECTION))
        self._trades = self._books if merged else business

    @hookimpl
    async def markets(self) -> Sequence[Market]:
        """All spot markets, those that don't trade now as inactive."""
        response = await self._wire.send("GET", limits.INSTRUMENTS, "instType=SPOT")
        return parse.markets(rows(response, parse.INSTRUMENTS))

    @hookimpl
    async def depth(self, market: Market, limit: int) -> Depth:
        """The best ``limit`` levels a side: up to 400, or what the settings allow."""
        size = min(limit, self.capabilities.depth_max)
        query = urlencode({"instId": market.id, "sz": size})
        response = await self._wire.send("GET", limits.FULL_BOOKS if size > BOOK else limits.BOOKS, query)
        found = rows(response, parse.BOOKS)
        if len(found) != 1:
            raise Unavailable(f"OKX gave {len(found)} books of {market.id} for one.", reason="BAD_ANSWER")
        return parse.depth(found[0])

    @hookimpl
    async def recent_trades(self, market: Market, limit: int, since_id: str | None) -> Sequence[Trade]:
        """The newest trades, or the first after ``since_id`` of the last three months."""
        size = NEWEST if since_id is not None else min(limit, NEWEST)
        query = urlencode({"instId": market.id, "limit": size})
        newest = rows(await self._wire.send("GET", limits.TRADES, query), parse.TRADES)[::-1]
        if since_id is None:
            return self._read(newest)
        since = _number(since_id)
        if newest and len(newest) >= NEWEST and newest[0].trade_id > since + 1:
            # What the history doesn't reach shows as a hole before the newest.
            return await self._older(market, since, limit) or self._read(newest)[:limit]
        return self._read(row for row in newest if row.trade_id > since)[:limit]

    async def _older(self, market: Market, since: int, limit: int) -> list[Trade]:
        """Page by page upwards: ``before`` alone would give the newest, but ids count up by one, so ``after`` does."""
        found: list[TradeRow] = []
        while len(found) < limit:
            size = min(_PAGE, limit - len(found))
            query = urlencode({"instId": market.id, "type": 1, "after": since + size + 1, "limit": size})
            page = rows(await self._wire.send("GET", limits.TRADE_HISTORY, query), parse.TRADES)[::-1]
            fresh = [row for row in page if row.trade_id > since]
            found += fresh
            if len(fresh) < size:
                break
            since = fresh[-1].trade_id
        return self._read(found)

    @hookimpl
    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """``trades-all`` of the business service, or ``trades`` of the public one: what ``recent_trades`` gives too."""
        name = topic(self._channel, market.id)
        on_frame = partial(_trades, emit)
        async with self._trades.subscription(name, on_frame, lambda: emit(())) as stream:
            emit(())
            await stream.ended()

    @hookimpl
    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """The channel ``books`` of the public service: 400 levels a side, changes every 100 ms."""
        join = Join(emit)

        def alive() -> None:
            if join.joined:
                emit(None)

        name = topic("books", market.id)
        async with self._books.subscription(name, partial(_book, join), alive) as stream:
            await self._begin(join, market, stream)
            await stream.ended()

    async def _begin(self, join: Join, market: Market, stream: Subscription) -> None:
        # The channel's own snapshot comes right behind the confirmation. OKX has announced to stop sending it.
        for _ in range(_SNAPSHOTS):
            await self._sleep(_BEFORE_A_SNAPSHOT)
            if stream.over or join.joined or join.asked(await self.depth(market, BOOK)):
                return
        raise Unavailable(f"{_SNAPSHOTS} snapshots of {market.symbol} were all older than its stream.")


def _trades(emit: EmitTrades, frame: bytes) -> None:
    emit(parse.trade_frame(frame))


def _book(join: Join, frame: bytes) -> None:
    join.frame(parse.book_frame(frame))


def _number(since_id: str) -> int:
    if not (since_id.isascii() and since_id.isdecimal()):
        raise InvalidArgument.of("since_id", f"trade ids are integers here, not {since_id[:40]!r}")
    return int(since_id)
