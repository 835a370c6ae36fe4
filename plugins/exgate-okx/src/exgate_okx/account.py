"""The private side: one set of credentials' balances and spot orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final

from exgate_core.client import Context
from exgate_core.errors import ExGateError, InvalidArgument, NotFound, Refused, Unavailable
from exgate_core.fetch import Response, decode, failure, other_order
from exgate_core.hookspecs import hookimpl
from exgate_core.models import (
    AccountCapabilities,
    Balance,
    CancelResult,
    CancelStatus,
    ClientIds,
    Market,
    Option,
    Order,
    OrderRequest,
)

from . import limits, private_parse
from .codes import CANCELING, STALE_CLOCK, judged
from .desk import Desk
from .finding import Finder
from .hosts import HOSTS
from .settings import OkxSettings
from .wire import code_of

OPTIONS: Final[Mapping[str, Option]] = {
    "stpMode": Option(
        description="what happens when an order would trade with one of your own; else as the account says",
        choices=("cancel_maker", "cancel_taker", "cancel_both"),
    ),
    "banAmend": Option(
        description="market orders: false lets OKX make the order smaller where the balance is short; default true",
        kind="boolean",
    ),
    "pxAmendType": Option(
        description="1 lets OKX move a price outside its price limit to the limit; default 0, such an order is refused",
        choices=("0", "1"),
    ),
    "slippagePct": Option(
        description="market orders given in the currency received: the most slippage, 0 to 0.05",
        kind="decimal",
    ),
    "tradeQuoteCcy": Option(description="the quote currency that is traded, where the market has several"),
    "isElpTakerAccess": Option(
        description="IOC orders, every order with host us.okx.com: true trades with Enhanced Liquidity Program orders "
        "too, after a delay that post-only orders don't have",
        kind="boolean",
    ),
    "tag": Option(description="an order tag: up to 16 letters and digits"),
}
"""Options of "POST / Place order" by OKX's own names: all that spot orders have but attached algo orders."""

CAPABILITIES = AccountCapabilities(
    needs_passphrase=True,
    client_ids=ClientIds(pattern=r"[A-Za-z0-9]{1,32}", max_length=32),
    order_recovery="full",
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),
    post_only=True,
    quote_amount=True,
    options=OPTIONS,
)

_KINDS: Final = {"cash": ("SPOT",), "cross": ("SPOT", "MARGIN")}
_ENDED: Final[Mapping[str, CancelStatus]] = {"canceled": "canceled", "mmp_canceled": "canceled", "filled": "filled"}
_TOO_MANY: Final = (418, 429)
_WOULD_TAKE: Final = "31"
"""``cancelSource`` of a post-only order that would have traded ("WS / Order channel")."""
_LOOK: Final = 2.0
"""Seconds for a look after an order or a cancel that OKX has taken in."""


class OkxAccount:
    """One set of credentials."""

    capabilities = CAPABILITIES

    def __init__(self, context: Context) -> None:
        self._settings: OkxSettings = context.settings or OkxSettings()
        self._exchange = context.exchange
        self._desk = Desk(context)
        self._finder = Finder(self._desk, _KINDS[self._settings.trade_mode], self._symbol)

    async def __aenter__(self) -> OkxAccount:
        await self._desk.measure()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @hookimpl
    async def balances(self) -> Sequence[Balance]:
        """Every asset of the trading account that isn't zero."""
        return private_parse.balances(await self._desk.get(limits.BALANCE, {}, private_parse.ACCOUNT))

    @hookimpl
    async def place_order(self, order: OrderRequest) -> str:
        """Send one order, once. A post-only order that OKX cancels at once is refused, unless the settings say not to
        look."""
        elp_for_all = HOSTS[self._settings.host].elp_for_all
        body = private_parse.order_body(order, self._settings.trade_mode, elp_for_all=elp_for_all)
        response = await self._desk.post(limits.PLACE, body, "orders", expiry=self._settings.order_expiry)
        code, ack = _ack(response)
        if ack.cl_ord_id not in ("", order.client_order_id):
            refusal = _unproven("the order", "an answer about another order came:", ack.cl_ord_id)
            raise refusal if code != "0" else other_order(response.url, ack.ord_id, ack.cl_ord_id)
        if code == "0" and ack.ord_id:
            if order.post_only and await self._repelled(order.market.id, ack.ord_id):
                text = f"OKX cancelled post-only order {ack.ord_id} at once: it would have traded"
                raise Refused(text, reason="WOULD_TAKE", metadata={"order_id": ack.ord_id})
            return ack.ord_id
        if code in STALE_CLOCK:
            await self._desk.measure()  # for the next one: this one stays refused
        raise judged(response.status, code, ack.s_msg) or _unproven("the order", code, ack.s_msg)

    @hookimpl
    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """Cancel one order; OKX only says that it will, so the order is looked at."""
        instrument = market.id if market is not None else await self._instrument(order_id, client_order_id)
        named = {"ordId": order_id} if order_id else {"clOrdId": client_order_id}
        response = await self._desk.post(limits.CANCEL, {"instId": instrument, **named}, "cancels")
        code, ack = _ack(response)
        if order_id and ack.ord_id not in ("", order_id):
            raise _unproven("the cancel", "an answer about another order came:", ack.ord_id)
        if code in ("0", CANCELING):
            return CancelResult(status=await self._ended(instrument, order_id or ack.ord_id, client_order_id))
        if code in STALE_CLOCK:
            await self._desk.measure()
        raise judged(response.status, code, ack.s_msg) or _unproven("the cancel", code, ack.s_msg)

    @hookimpl
    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders, paged to the end."""
        return await self._finder.pending(market)

    @hookimpl
    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """The order, open or not, with or without trades."""
        return await self._finder.find(market, order_id, client_order_id)

    async def _instrument(self, order_id: str, client_order_id: str) -> str:
        found = await self._finder.find(None, order_id, client_order_id)
        if not found:
            raise NotFound(f"OKX has no order {order_id or client_order_id}", reason="NO_SUCH_ORDER")
        return found[0].native_symbol

    async def _repelled(self, instrument: str, order_id: str) -> bool:
        """OKX takes a post-only order in and cancels it a moment later where it would trade."""
        if not self._settings.post_only_check:
            return False
        try:
            row = await self._finder.look(instrument, order_id, "", _LOOK)
        except ExGateError:
            return False  # it was taken in: what became of it can be asked for
        return row is not None and (row.state, row.cancel_source) == ("canceled", _WOULD_TAKE)

    async def _ended(self, instrument: str, order_id: str, client_order_id: str) -> CancelStatus:
        try:
            row = await self._finder.look(instrument, order_id, client_order_id, _LOOK)
        except ExGateError:
            return "pending"
        return _ENDED.get(row.state, "pending") if row is not None else "pending"

    def _symbol(self, instrument: str) -> str:
        try:
            return str(self._exchange.markets.resolve(instrument).symbol)
        except InvalidArgument:
            return instrument.replace("-", "/")  # of a market that is no longer listed


def _ack(response: Response) -> tuple[str, private_parse.Ack]:
    """The code that counts ("General Info": ``sCode`` where there is one), and its row.

    Raises RateLimited where a wall before OKX let nothing through, Unavailable for what else isn't OKX's.
    """
    said = code_of(response)
    if said is None and response.status in _TOO_MANY:
        raise failure(response)
    if said is not None and (response.status != 200 or said.code not in ("0", "1", "2")):
        return said.code, private_parse.Ack(s_code=said.code, s_msg=said.msg)
    found = decode(response, private_parse.ACKS)
    if len(found.data) != 1:
        raise Unavailable(f"OKX answered {found.code} {found.msg} about {len(found.data)} orders.", reason="BAD_ANSWER")
    return found.data[0].s_code, found.data[0]


def _unproven(what: str, code: str, message: str) -> Unavailable:
    return Unavailable(f"OKX doesn't say what became of {what}: {code} {message}")
