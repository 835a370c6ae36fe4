"""The public side: one class for every exchange of ccxt; ``context.name`` is ccxt's id."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any
from weakref import WeakSet

import anyio
from msgspec.structs import replace

from exgate_core.client import Context
from exgate_core.errors import ExGateError, InvalidArgument, Unimplemented
from exgate_core.hookspecs import EmitDepth, EmitTrades, hookimpl
from exgate_core.models import Depth, ExchangeCapabilities, Market, Trade

from . import streams
from .limits import BOOK_IDS, BOOK_TIMES, UNTIMED, trades_max
from .loading import close_client, digits_lost, fetch_listing, known_listing, open_client, use_listing
from .markets import Listing
from .parse import depth_of, trades_of
from .reading import ask
from .table import depth_argument, exchange_capabilities, row
from .truth import Note, bad_answer

__all__ = ["CcxtExchange"]

_FRESH = 600.0
_log = logging.getLogger("exgate.ccxt")


class CcxtExchange:
    """The public spot data of an exchange, as ccxt knows it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client: Any = None
        """The ccxt client, while the exchange is open."""
        self.listing: Listing | None = None
        """The newest market list."""
        self.dependants: WeakSet[Any] = WeakSet()
        """Clients of accounts, which get each new market list too."""
        self._row = row(context.name)
        self.capabilities: ExchangeCapabilities = exchange_capabilities(context.name)
        """As the canary found them."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> CcxtExchange:
        context, name = self.context, self.context.name
        async with AsyncExitStack() as stack:
            kept = await known_listing(context, name)
            self.listing = kept or await fetch_listing(context, name)
            self.client = await open_client(context, name, private=False, streams=True, listing=self.listing)
            stack.push_async_callback(close_client, self.client)
            await self._prove()
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            if kept is not None:
                tasks.start_soon(self._renew_quietly)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self.client = None

    @hookimpl(trylast=True)
    async def markets(self) -> Sequence[Market]:
        """All spot markets; asked for anew if the list is older than ten minutes and the exchange is long open."""
        assert self.listing is not None
        if self._handed_out and self.context.clock.time() - self.listing.at > _FRESH:
            await self._renew()
        self._handed_out = True
        return self.listing.table.values

    @hookimpl(trylast=True)
    async def depth(self, market: Market, limit: int) -> Depth:
        """The best levels of the book, at least ``limit`` where the exchange gives as many."""
        if not self._row.fetch_order_book:
            raise Unimplemented(f"{self.context.name} has no order book to ask for")
        size = depth_argument(self._row.id, limit)
        book, note = await ask(
            self.client, self.context.name, lambda: self.client.fetch_order_book(market.symbol, size)
        )
        depth: Depth = self._read(note, lambda: depth_of({**book, **self._told(note.answer)}))
        if not depth.bids and not depth.asks and note.empty_lists_read < 2:
            raise bad_answer(note.url, "there is no book in it")
        return depth

    @hookimpl(trylast=True)
    async def recent_trades(self, market: Market, limit: int, since_id: str | None) -> Sequence[Trade]:
        """The newest trades; with ``since_id`` those of the newest page that came after it."""
        if not self._row.fetch_trades:
            raise Unimplemented(f"{self.context.name} has no trades to ask for")
        most = trades_max(self._row.id)
        size = most if since_id is not None else min(limit, most)
        found, note = await ask(
            self.client, self.context.name, lambda: self.client.fetch_trades(market.symbol, None, size)
        )
        trades: list[Trade] = self._read(note, lambda: trades_of(found, self._row.id))
        if not trades and not note.empty_lists_read and not (note.top and self._row.trades_are_top):
            raise bad_answer(note.url, "there are no trades in it")
        return trades if since_id is None else _after(trades, since_id)

    @hookimpl(trylast=True)
    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """Every trade once, over ccxt.pro's connection."""
        await streams.pull_trade(self, market, emit)

    @hookimpl(trylast=True)
    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """The book over ccxt.pro's connection."""
        await streams.pull_depth(self, market, levels, emit)

    _handed_out = False

    async def _prove(self) -> None:
        """ccxt changes every week: what it does to digits is tried before the exchange says that it keeps them."""
        wrong = await digits_lost(self.context, self.context.name)
        stated = exchange_capabilities(self._row.id)
        if wrong and stated.exact:
            _log.warning("%s: the installed ccxt changes digits of %s: exact is false", self.context.name, wrong)
        self.capabilities = replace(stated, exact=not wrong)

    def _told(self, answer: Any) -> dict[str, Any]:
        """What an answer says of the time and the number of its book, where ccxt reads it otherwise."""
        told: dict[str, Any] = {"timestamp": None} if self._row.id in UNTIMED else {}
        if self._row.id in BOOK_TIMES and (time := answer.get(BOOK_TIMES[self._row.id])) is not None:
            told["timestamp"] = self.client.parse8601(time) if isinstance(time, str) else time
        if self._row.id in BOOK_IDS:
            outer, inner = BOOK_IDS[self._row.id]
            told["nonce"] = answer[outer].get(inner)
        return told

    def _read(self, note: Note, parse: Any) -> Any:
        try:
            return parse()
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise bad_answer(note.url or self.context.name, str(error)) from error

    async def _renew(self) -> None:
        self.listing = await fetch_listing(self.context, self.context.name)
        for client in (self.client, *self.dependants):
            use_listing(client, self.listing)

    async def _renew_quietly(self) -> None:
        """The list on disk is used as it is; whatever goes wrong here, the next hour asks again."""
        try:
            await self._renew()
        except ExGateError as error:
            _log.warning("%s: the market list is an old one: %s", self.context.name, error)


def _after(trades: Sequence[Trade], since_id: str) -> list[Trade]:
    if not since_id.isdecimal():
        raise InvalidArgument.of("since_id", f"trade ids are integers here, not {since_id[:40]!r}")
    return [trade for trade in trades if trade.id.isdecimal() and int(trade.id) > int(since_id)]
