"""Looking orders up, in every place where one may stand (rest-api.md "Account Endpoints", 2026-07-21).

"The API system is asynchronous" ("Data Sources"): an order that was taken may show late in the database behind one
place and be in another already. So nothing is called missing before open orders, all orders and own trades agree.
Needs no permission to trade, and changes nothing.
"""

from __future__ import annotations

from typing import Final

from exgate_core.budget import Lane
from exgate_core.errors import NotFound, Unavailable
from exgate_core.listings import Listings
from exgate_core.models import Market

from . import forms, private
from .desk import Desk
from .hosts import NEWEST
from .private import OrderRow, OwnTrade

_ENDED: Final = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})
_MOST_LATE: Final = 10
"""So many orders that only show in trades are looked up one by one; with more nothing can be said."""


class Finder:
    """Looks up the orders of one account."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._weights = desk, desk.host.weights
        self._listings = Listings()

    async def one(self, market: Market, order_id: str, client_order_id: str, lane: Lane = "lookups") -> OrderRow | None:
        """The order that the exchange shows under this name; None = it shows none.

        Raises Unavailable if it shows another one.
        """
        form = {"symbol": market.id, **forms.naming(order_id, client_order_id)}
        try:
            row = await self._desk.ask("/api/v3/order", form, private.ORDER, self._weights.order, lane)
        except NotFound:
            return None
        if row.symbol != market.id or not _is_named(row, order_id, client_order_id):
            raise Unavailable(f"asked for one order, the exchange showed {row.order_id}", reason="BAD_ANSWER")
        return row

    async def by_id(self, market: Market, order_id: str) -> list[OrderRow]:
        """The order with this id, or nothing if no place has it. Raises Unavailable if only its trades are there."""
        found = await self.one(market, order_id, "")
        if found is not None:
            return [found]
        for rows in (await self._all(market, {"orderId": order_id, "limit": "1"}), await self._open(market)):
            if same := [row for row in rows if str(row.order_id) == order_id]:
                return same
        trades = await self._desk.ask(
            "/api/v3/myTrades",
            {"symbol": market.id, "orderId": order_id},
            private.OWN_TRADES,
            self._weights.trades_of_order,
            "lookups",
        )
        if trades:
            raise Unavailable(f"order {order_id} has trades, but the exchange doesn't list it yet")
        return []

    async def by_client_id(self, market: Market, client_order_id: str) -> list[OrderRow]:
        """Every order that has or had this client id, as far as one page of each list reaches.

        Client ids may be used again once their order is filled ("New order"), and which of several orders the
        exchange then shows isn't said: an order that is over doesn't end the search.
        """
        with self._listings.look_up() as began:
            return await self._by_client_id(market, client_order_id, began)

    async def _by_client_id(self, market: Market, client_order_id: str, began: int) -> list[OrderRow]:
        shown = await self.one(market, "", client_order_id)
        if shown is not None and shown.status not in _ENDED:
            return [shown]
        found = {shown.order_id: shown} if shown is not None else {}
        everything = await self._listings.ask(("all", market.id), began, lambda: self._newest(market))
        rows = [*await self._listings.ask(("open", market.id), began, lambda: self._open(market)), *everything]
        found |= {row.order_id: row for row in rows if row.client_order_id == client_order_id}
        if not found:
            late = await self._late(market, max((row.order_id for row in everything), default=0), began)
            found = {row.order_id: row for row in late if row.client_order_id == client_order_id}
        return list(found.values())

    async def _late(self, market: Market, newest: int, began: int) -> list[OrderRow]:
        """Orders that have traded and don't stand in the list of all orders yet. Raises Unavailable for one of which
        nothing is known: it may be the one that is looked for."""
        trades = await self._listings.ask(("trades", market.id), began, lambda: self._own_trades(market))
        ids = sorted({trade.order_id for trade in trades if trade.order_id > newest}, reverse=True)
        rows = [await self.one(market, str(order_id), "") for order_id in ids[:_MOST_LATE]]
        known = [row for row in rows if row is not None]
        if len(known) < len(ids):
            raise Unavailable("there are trades of orders that the exchange doesn't list yet")
        return known

    async def _own_trades(self, market: Market) -> list[OwnTrade]:
        form = {"symbol": market.id, "limit": str(NEWEST)}
        return await self._desk.ask("/api/v3/myTrades", form, private.OWN_TRADES, self._weights.own_trades, "lookups")

    async def _newest(self, market: Market) -> list[OrderRow]:
        return await self._all(market, {"limit": str(NEWEST)})

    async def _all(self, market: Market, form: dict[str, str]) -> list[OrderRow]:
        query = {"symbol": market.id, **form}
        return await self._desk.ask("/api/v3/allOrders", query, private.ORDERS, self._weights.all_orders, "lookups")

    async def _open(self, market: Market) -> list[OrderRow]:
        form = {"symbol": market.id}
        return await self._desk.ask("/api/v3/openOrders", form, private.ORDERS, self._weights.open_orders, "lookups")


def _is_named(row: OrderRow, order_id: str, client_order_id: str) -> bool:
    return str(row.order_id) == order_id if order_id else row.client_order_id == client_order_id
