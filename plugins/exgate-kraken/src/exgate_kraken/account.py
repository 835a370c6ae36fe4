"""The private side: balances and orders of one set of credentials, by signed REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final

from exgate_core.client import Context
from exgate_core.errors import NotFound, Refused, Unavailable
from exgate_core.fetch import bad_answer, other_order
from exgate_core.hookspecs import hookimpl
from exgate_core.listings import Listings
from exgate_core.models import (
    AccountCapabilities,
    Balance,
    CancelResult,
    CancelStatus,
    Market,
    Order,
    OrderRequest,
)

from . import failures, orders, privates
from .desk import Desk
from .exchange import REST
from .names import Names, altname
from .privates import OrderRow

_BECAME: Final[Mapping[str, CancelStatus]] = {
    "filled": "filled",
    "canceled": "already_canceled",
    "expired": "already_canceled",
    "rejected": "already_canceled",
}

_ANY: Final[Mapping[str, str]] = {}
_MOST_SENT: Final = 10_000


class KrakenAccount:
    """One API key of Kraken."""

    # ``settle``: the engine takes no order after its deadline (orders.DEADLINE), and an order that it took shows up in
    # OpenOrders or ClosedOrders soon after.
    capabilities = AccountCapabilities(
        client_ids=orders.CLIENT_IDS,
        order_recovery="full",
        settle=20.0,
        times_in_force=frozenset({"GTC", "IOC", "FOK"}),
        post_only=True,
        quote_amount=True,
        stop_price=True,
        options=orders.OPTIONS,
    )

    def __init__(self, context: Context) -> None:
        self._desk = Desk(context)
        self._public = context.exchange
        self._names: tuple[object, Names] = (None, Names(()))
        self._listings = Listings()
        self._sent: dict[str, float] = {}
        """When orders were sent, on Kraken's clock, by their client order ids: the newest of this process."""

    async def __aenter__(self) -> KrakenAccount:
        """Compare clocks, so that the first order's deadline is right."""
        await self._desk.compare_clocks()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to close."""

    @hookimpl
    async def balances(self) -> Sequence[Balance]:
        """Every row of ``BalanceEx``; what is staked or lent is an asset of its own (``BTC.F``)."""
        rows = await self._desk.ask("BalanceEx", {}, privates.BALANCES)
        return privates.balances(rows)

    @hookimpl
    async def place_order(self, order: OrderRequest) -> str:
        """One ``AddOrder``. An answer that isn't about this order is none: then the outcome is unknown."""
        fields = orders.fields(order, self._desk.time.now())
        self._sent[order.client_order_id] = self._desk.time.now()
        if len(self._sent) > _MOST_SENT:
            del self._sent[next(iter(self._sent))]
        placed = await self._desk.place(order.market.id, fields)
        txid = placed.txid[0] if placed.txid else ""
        ages = self._desk.ages
        if not privates.is_txid(txid) or ages.knows(txid):
            raise bad_answer(f"{REST}/0/private/AddOrder", f"it is about order {txid[:40]!r}")
        if not privates.describes(placed, order, altname(order.market)):
            raise other_order(f"{REST}/0/private/AddOrder", txid)
        ages.note(txid, order.market.id, self._desk.clock.monotonic())
        return txid

    @hookimpl
    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """One ``CancelOrder``; an order that isn't open any more is looked at to say what became of it."""
        if order_id and not privates.is_txid(order_id):
            raise NotFound(f"{order_id} is no order id of Kraken: those look like OQCLML-BW3P3-BUCMWZ")
        fields = {"txid": order_id} if order_id else {"cl_ord_id": client_order_id}
        try:
            canceled = await self._desk.cancel(order_id, fields)
        except NotFound:
            return await self._became(market, order_id, client_order_id)
        if not canceled.count:
            return await self._became(market, order_id, client_order_id)
        return CancelResult(status="pending" if canceled.pending else "canceled")

    async def _became(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        found = await self.find_order(market, order_id, client_order_id)
        if not found:
            raise NotFound(f"Kraken has no order {order_id or client_order_id}", reason="UNKNOWN_ORDER")
        status = _BECAME.get(found[-1].status)
        if status is None:
            raise Unavailable(f"Kraken says that order {found[-1].order_id} isn't open, and shows it as open.")
        return CancelResult(status=status)

    @hookimpl
    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders; one answer of ``OpenOrders`` holds them all."""
        answer = await self._desk.ask("OpenOrders", {}, privates.OPEN)
        found = privates.orders(answer.open, self._known())
        return [order for order in found if market is None or order.symbol == market.symbol]

    @hookimpl
    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """By its id, of every status; by a client order id among open orders, then among closed ones.

        The lists are those of all orders, which look-ups of one moment share; of closed ones it is the newest page,
        and where the order may be older than that, those with its id alone.
        """
        if order_id:
            return await self._by_id(order_id)
        with self._listings.look_up() as began:
            rows = await self._listings.ask("open", began, self._open)
            if found := privates.orders(rows, self._known(), client_order_id):
                return found
            rows = await self._listings.ask("closed", began, self._closed)
        found = privates.orders(rows, self._known(), client_order_id)
        if found or privates.reach_back(rows, self._sent.get(client_order_id)):
            return found
        rows = await self._closed({"cl_ord_id": client_order_id})
        return privates.orders(rows, self._known(), client_order_id)

    async def _open(self) -> dict[str, OrderRow]:
        return (await self._desk.ask("OpenOrders", {"trades": "false"}, privates.OPEN, "lookups")).open

    async def _closed(self, named: Mapping[str, str] = _ANY) -> dict[str, OrderRow]:
        return (await self._desk.look("ClosedOrders", {**named, "without_count": "true"}, privates.CLOSED)).closed

    async def _by_id(self, order_id: str) -> list[Order]:
        if not privates.is_txid(order_id):
            return []
        try:
            rows = await self._desk.ask("QueryOrders", {"txid": order_id}, privates.ORDERS, "lookups")
        except NotFound:
            return []
        except Refused as error:
            if error.reason != failures.INVALID_ORDER:
                raise
            return []
        return privates.orders({txid: row for txid, row in rows.items() if txid == order_id}, self._known())

    def _known(self) -> Names:
        """The names of the market list as it is now; it is replaced when it is fetched anew."""
        markets = self._public.markets
        if self._names[0] is not markets:
            self._names = markets, Names(markets)
        return self._names[1]
