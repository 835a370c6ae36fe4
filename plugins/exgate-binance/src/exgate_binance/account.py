"""The private side: balances and orders of one set of credentials, by signed REST."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from exgate_core.client import Context
from exgate_core.errors import ExGateError, NotFound, Refused, Unavailable
from exgate_core.fetch import Response, bad_answer, decode, other_order
from exgate_core.hookspecs import hookimpl
from exgate_core.models import Balance, CancelResult, Market, Order, OrderRequest

from . import failures, forms, private
from .counting import OrderGate, OrderLimit
from .desk import Desk
from .exchange import Binance
from .finding import Finder


class BinanceAccount:
    """One set of credentials on Binance, its test network or Binance.US, as ``context`` says."""

    def __init__(self, context: Context) -> None:
        self._desk = Desk(context)
        self._find = Finder(self._desk)
        self._public, self._log = context.exchange, context.log
        self._gate = OrderGate()

    async def __aenter__(self) -> BinanceAccount:
        """Compare clocks, so that the first order doesn't wait for that."""
        try:
            await self._desk.time.now()
        except ExGateError as error:
            self._log.warning("%s", error.message)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to close."""

    @hookimpl
    async def balances(self) -> Sequence[Balance]:
        """Every asset, zeros included ("Account information")."""
        weight = self._desk.host.weights.account
        return private.balances(await self._desk.ask("/api/v3/account", {}, private.ACCOUNT, weight))

    @hookimpl
    async def place_order(self, order: OrderRequest) -> str:
        """One ``POST /api/v3/order``. An answer that isn't about this order is none: then the outcome is unknown."""
        form = forms.placing(order)
        self._gate.check(await self._desk.time.now())
        response = await self._desk.change("POST", form, "orders")
        self._note(response)
        if response.status != 200:
            raise failures.of_order(response)
        placed = decode(response, private.PLACED)
        if (placed.symbol, placed.client_order_id) != (order.market.id, order.client_order_id):
            raise other_order(response.url, str(placed.order_id), placed.client_order_id)
        return str(placed.order_id)

    @hookimpl
    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """One ``DELETE /api/v3/order``; an order that isn't open any more is looked at to say what became of it."""
        market = _needed(market)
        if order_id and not forms.is_id(order_id):
            raise NotFound(f"{order_id} is no order id here: those are integers", reason="UNKNOWN_ORDER")
        form = {"symbol": market.id, **forms.naming(order_id, client_order_id)}
        response = await self._desk.change("DELETE", form, "cancels")
        if response.status != 200:
            self._note(response)
            error = failures.of_cancel(response)
            return await self._after(market, order_id, client_order_id, error)
        canceled = decode(response, private.CANCELED)
        named = str(canceled.order_id) == order_id if order_id else canceled.orig_client_order_id == client_order_id
        if canceled.symbol != market.id or not named:
            raise bad_answer(response.url, f"it is about order {canceled.order_id}")
        return CancelResult(status=private.canceled(canceled))

    @hookimpl
    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders in one answer ("Current open orders")."""
        weights, form = self._desk.host.weights, {"symbol": market.id} if market is not None else {}
        weight = weights.open_orders if form else weights.all_open_orders
        rows = await self._desk.ask("/api/v3/openOrders", form, private.ORDERS, weight)
        return private.orders(rows, self._public.markets)

    @hookimpl
    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """Open, closed and traded orders with this name. Raises Unavailable if that can't be said."""
        market = _needed(market)
        if order_id:
            rows = await self._find.by_id(market, order_id) if forms.is_id(order_id) else []
        else:
            rows = await self._find.by_client_id(market, client_order_id)
        return [private.order(row, market.symbol) for row in rows]

    def _limits(self) -> list[OrderLimit]:
        return [limit for side in self._public.adapters if isinstance(side, Binance) for limit in side.order_limits]

    def _note(self, response: Response) -> None:
        """What an answer says beside its body: counts of orders, or that the clocks differ."""
        if failures.is_clock(response):
            self._desk.time.forget()
        now = self._desk.time.reckoned
        self._gate.note(response.headers, self._limits(), now)
        if failures.is_account_limit(response):
            self._gate.close(response.retry_after or failures.NO_RETRY_AFTER, now)

    async def _after(self, market: Market, order_id: str, client_order_id: str, error: ExGateError) -> CancelResult:
        """What to say after a cancel was refused. Whatever goes wrong here, the cancel itself had left."""
        if not isinstance(error, NotFound):
            raise error
        try:
            row = await self._find.one(market, order_id, client_order_id, "cancels")
        except ExGateError:
            raise error from None
        if row is None:
            raise error
        status = private.ended(private.order(row, market.symbol))
        if status is None:
            raise Unavailable(f"the order to cancel isn't open, but listed as {row.status}") from error
        return CancelResult(status=status)


def _needed(market: Market | None) -> Market:
    if market is None:
        raise Refused("orders are found by their market here: give symbol", reason="SYMBOL_NEEDED")
    return market
