"""Where an order may be: asked one place after the other, until one has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from exgate_core.errors import NotFound, Refused, Unavailable
from exgate_core.listings import Listings
from exgate_core.models import Market, Order

from . import limits, private_parse
from .desk import Desk
from .limits import Endpoint
from .private_parse import Fill, OrderRow, SymbolOf
from .wire import Envelope

_Ask = Callable[[Endpoint, Mapping[str, str], msgspec.json.Decoder[Envelope[OrderRow]]], Awaitable[list[OrderRow]]]
_PAGE: Final = 100
_DIGITS: Final = 19
_MOST_PAGES: Final = 50
"""OKX keeps at most 4000 open orders ("General Info")."""


class Finder:
    """Looks for orders; never sends anything that changes.

    ``kinds`` are the values of ``instType`` that spot orders have in the account's mode.
    """

    def __init__(self, desk: Desk, kinds: Sequence[str], symbol_of: SymbolOf) -> None:
        self._desk, self._kinds, self._symbol_of = desk, kinds, symbol_of
        self._listings = Listings()

    async def find(self, market: Market | None, order_id: str, client_order_id: str) -> list[Order]:
        """The order in "Order details", "Order List", "Order history" of 7 days and of 3 months, "Transaction
        details"; empty only where all of them answered and none has it."""
        if order_id and not _is_number(order_id):
            return []
        with self._listings.look_up() as began:
            found = await self._details(market, order_id, client_order_id)
            for endpoint in (limits.PENDING, limits.HISTORY, limits.ARCHIVE):
                found = found or await self._listed(endpoint, market, order_id, client_order_id, began)
            if found:
                return [private_parse.order(row, self._symbol_of) for row in found]
            return await self._fills(market, order_id, client_order_id, began)

    async def pending(self, market: Market | None) -> list[Order]:
        """Every open order, page by page."""
        instrument = {"instId": market.id} if market is not None else {}
        found = [
            row for kind in self._kinds for row in await self._pages(self._desk.get, {"instType": kind, **instrument})
        ]
        return [private_parse.order(row, self._symbol_of) for row in found]

    async def look(self, instrument: str, order_id: str, client_order_id: str, deadline: float) -> OrderRow | None:
        """One look at an order whose market is known; None if OKX shows another. Raises what the question does."""
        params = {"instId": instrument, **_named(order_id, client_order_id)}
        found = await self._desk.get(limits.DETAILS, params, private_parse.ORDERS, lane="cancels", deadline=deadline)
        return next((row for row in found if _is(row, order_id, client_order_id)), None)

    async def _details(self, market: Market | None, order_id: str, client_order_id: str) -> list[OrderRow]:
        if market is None:
            return []
        params = {"instId": market.id, **_named(order_id, client_order_id)}
        try:
            found = await self._desk.get(limits.DETAILS, params, private_parse.ORDERS, lane="lookups")
        except NotFound:
            return []
        except Refused as error:
            if error.reason == "UNKNOWN_SYMBOL":  # "only applicable to live instruments"
                return []
            raise
        if any(not _is(row, order_id, client_order_id) for row in found):
            raise Unavailable("OKX answered about another order.", reason="BAD_ANSWER")
        return found

    async def _listed(
        self, endpoint: Endpoint, market: Market | None, order_id: str, client_order_id: str, began: int
    ) -> list[OrderRow]:
        instrument = {"instId": market.id} if market is not None else {}
        found: list[OrderRow] = []
        for kind in self._kinds:
            params = {"instType": kind, **instrument}
            if order_id and endpoint is not limits.PENDING:
                params |= {"after": str(int(order_id) + 1), "limit": "1"}
            key = endpoint.path, *params.items()
            found += await self._listings.ask(key, began, partial(self._list, endpoint, params))
        return [row for row in found if _is(row, order_id, client_order_id)]

    async def _list(self, endpoint: Endpoint, params: dict[str, str]) -> list[OrderRow]:
        if endpoint is limits.PENDING:
            return await self._pages(self._desk.look, params)
        return await self._desk.look(endpoint, params, private_parse.ORDERS)

    async def _fills(self, market: Market | None, order_id: str, client_order_id: str, began: int) -> list[Order]:
        instrument = {"instId": market.id} if market is not None else {}
        named = {"ordId": order_id} if order_id else {}
        found = list[Fill]()
        for kind in self._kinds:
            params = {"instType": kind, **instrument, **named}
            question = partial(self._desk.look, limits.FILLS, params, private_parse.FILLS)
            found += await self._listings.ask((limits.FILLS.path, *params.items()), began, question)
        mine = [row for row in found if _is(row, order_id, client_order_id)]
        return private_parse.order_of_fills(mine, self._symbol_of)

    async def _pages(self, ask: _Ask, params: dict[str, str]) -> list[OrderRow]:
        """All open orders: ``after`` asks for those before the oldest so far."""
        found: dict[str, OrderRow] = {}
        after: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = await ask(limits.PENDING, params | after, private_parse.ORDERS)
            fresh = {row.ord_id: row for row in page if row.ord_id not in found}
            found |= fresh
            if len(page) < _PAGE or not fresh:
                return list(found.values())
            after = {"after": page[-1].ord_id}
        raise Unavailable(f"OKX lists more than {_MOST_PAGES * _PAGE} open orders.")


def _is(row: OrderRow | Fill, order_id: str, client_order_id: str) -> bool:
    return row.ord_id == order_id if order_id else row.cl_ord_id == client_order_id


def _is_number(order_id: str) -> bool:
    return order_id.isascii() and order_id.isdecimal() and len(order_id) <= _DIGITS


def _named(order_id: str, client_order_id: str) -> dict[str, str]:
    return {"ordId": order_id} if order_id else {"clOrdId": client_order_id}
