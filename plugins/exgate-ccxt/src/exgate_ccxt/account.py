"""The private side: two classes for every exchange of ccxt, one that places orders and one that only reads."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final

from exgate_core.client import Context
from exgate_core.errors import NotFound, Refused
from exgate_core.fetch import other_order
from exgate_core.hookspecs import hookimpl
from exgate_core.models import Balance, CancelResult, CancelStatus, Market, Order, OrderRequest

from .arguments import created
from .desk import Desk
from .evidence import acknowledged
from .facts import account_capabilities, fact
from .privates import is_over
from .truth import bad_answer

__all__ = ["CcxtAccount", "CcxtViewer"]

_ASYNCHRONOUS: Final = frozenset(
    """okx okxus myokx bybit bybiteu bybitid htx kucoin bitget bitfinex coinbase woo poloniex""".split()
)
"""Exchanges that answer a cancel when they have taken it in, not when it is done."""
_CANCELED_WITHOUT_MARKET: Final = frozenset({"coinbaseexchange"})
"""ccxt would send the unified symbol where the exchange's own belongs; the id says enough."""


class CcxtViewer:
    """The account of an exchange on which this plugin doesn't place orders: balances and orders can be read."""

    def __init__(self, context: Context) -> None:
        self._desk = Desk(context)

    async def __aenter__(self) -> CcxtViewer:
        await self._desk.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._desk.close()

    @hookimpl(trylast=True)
    async def balances(self) -> Sequence[Balance]:
        """Every row that the exchange sends."""
        return await self._desk.balances()

    @hookimpl(trylast=True)
    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders."""
        return await self._desk.pending_orders(market)


class CcxtAccount:
    """One set of credentials on one exchange."""

    def __init__(self, context: Context) -> None:
        self.desk = Desk(context)
        """The client and what guards it."""
        self._name = context.name
        self._found_again = account_capabilities(context.name).order_recovery == "full"

    async def __aenter__(self) -> CcxtAccount:
        await self.desk.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.desk.close()

    @hookimpl(trylast=True)
    async def balances(self) -> Sequence[Balance]:
        """Every row that the exchange sends."""
        return await self.desk.balances()

    @hookimpl(trylast=True)
    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders."""
        return await self.desk.pending_orders(market)

    @hookimpl(trylast=True)
    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """Orders with this id, open or not, as far as ``order_recovery`` says."""
        return await self.desk.find(market, order_id, client_order_id)

    @hookimpl(trylast=True)
    async def place_order(self, order: OrderRequest) -> str:
        """Send one order, once."""
        _refuse_unplaceable(self._name, order)
        desk, arguments = self.desk, created(self._name, order)
        desk.orders_may_leave()
        intent = desk.intent("place", order.market, order=order, client_order_id=order.client_order_id)
        answer = await desk.call(
            intent,
            "orders",
            lambda: desk.client.create_order(
                arguments.symbol,
                arguments.type,
                arguments.side,
                arguments.amount,
                arguments.price,
                arguments.params,
            ),
        )
        if not isinstance(answer, dict):
            raise bad_answer(intent.url, "it is no order")
        if not answer.get("id"):
            raise bad_answer(intent.url, "it names no order")
        named = str(answer.get("clientOrderId") or intent.client_order_id)
        if self._found_again and named not in (intent.client_order_id, order.client_order_id):
            raise other_order(intent.url, str(answer["id"]), named)
        return str(answer["id"])

    @hookimpl(trylast=True)
    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """Cancel one order; one that is named by its client id is looked up first."""
        if not order_id:
            found = await self.desk.find(market, "", client_order_id)
            still = [order for order in found if not is_over(order)]
            if not still:
                raise NotFound(f"{self._name} has no open order with the client order id {client_order_id}")
            order_id = still[0].order_id
        desk = self.desk
        symbol = market.symbol if market is not None and self._name not in _CANCELED_WITHOUT_MARKET else None
        intent = desk.intent("cancel", market, order_id=order_id)
        answer = await desk.call(intent, "cancels", lambda: desk.client.cancel_order(order_id, symbol))
        if not acknowledged(self._name, intent.body, order_id):
            raise bad_answer(intent.url, "it doesn't say that the cancel was taken in")
        return CancelResult(status=_canceled(self._name, answer))


def _canceled(name: str, answer: object) -> CancelStatus:
    said = answer.get("status") if isinstance(answer, dict) else None
    if name in _ASYNCHRONOUS:  # whatever ccxt says
        return "pending"
    if said in ("canceled", "expired"):
        return "canceled"
    if said == "closed":
        return "filled"
    return "pending" if said else "canceled"


def _refuse_unplaceable(name: str, order: OrderRequest) -> None:
    """What the capabilities can't say: market orders that an exchange takes only in the other unit."""
    known = fact(name)
    if order.type != "market":
        return
    if order.side == "sell" and order.quote_amount:
        raise Refused("a market sell takes amount here, not options.quote_amount", reason="AMOUNT_ONLY")
    if order.side == "buy" and order.amount and known.market_buy not in ("base", "both"):
        raise Refused(
            f"{name} takes market buys by the amount to spend; give options.quote_amount instead of amount",
            reason="QUOTE_AMOUNT_ONLY",
        )
