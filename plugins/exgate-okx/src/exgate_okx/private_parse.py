"""OKX's private JSON -> ExGate's values, and orders -> OKX's JSON: pure.

Shapes: "Get balance" of "Trading Account", and "POST / Place order", "POST / Cancel order", "GET / Order details",
"GET / Transaction details" of "Order Book Trading - Trade" of www.okx.com/docs-v5/en, 2026-06-27.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from exgate_core.errors import Refused
from exgate_core.models import Balance, Order, OrderRequest, OrderStatus
from exgate_core.numbers import add, rest

from .parse import Counted
from .wire import Envelope

SymbolOf = Callable[[str], str]
"""An ``instId`` -> the unified symbol."""


class _Asset(Struct, frozen=True, rename="camel"):
    ccy: str
    avail_bal: str
    frozen_bal: str


class Account(Struct, frozen=True):
    """The one row of ``GET /api/v5/account/balance``."""

    details: list[_Asset]


class Ack(Struct, frozen=True, rename="camel"):
    """The one row of the answer to an order or a cancel."""

    s_code: str
    s_msg: str = ""
    ord_id: str = ""
    cl_ord_id: str = ""


class OrderRow(Struct, frozen=True, rename="camel"):
    """One order, as ``trade/order``, ``orders-pending``, ``orders-history`` and its archive show it."""

    inst_id: str
    ord_id: str
    side: Literal["buy", "sell"]
    ord_type: str
    state: str
    sz: str
    c_time: Counted
    px: str = ""
    cl_ord_id: str = ""
    acc_fill_sz: str = ""
    tgt_ccy: str = ""
    cancel_source: str = ""


class Fill(Struct, frozen=True, rename="camel"):
    """One row of ``GET /api/v5/trade/fills``."""

    inst_id: str
    ord_id: str
    side: Literal["buy", "sell"]
    fill_px: str
    fill_sz: str
    ts: Counted
    cl_ord_id: str = ""


ACCOUNT = msgspec.json.Decoder(Envelope[Account])
ACKS = msgspec.json.Decoder(Envelope[Ack])
ORDERS = msgspec.json.Decoder(Envelope[OrderRow], strict=False)
FILLS = msgspec.json.Decoder(Envelope[Fill], strict=False)

_STATES: Final[Mapping[str, OrderStatus]] = {"live": "open", "mmp_canceled": "canceled"}
_LIMIT: Final = frozenset({"limit", "post_only", "fok", "ioc"})
_BOOLEAN: Final = frozenset({"banAmend", "isElpTakerAccess"})
_MARKET_ONLY: Final = ("banAmend", "slippagePct")
_KINDS: Final = {"GTC": "limit", "IOC": "ioc", "FOK": "fok"}


def balances(rows: Iterable[Account]) -> list[Balance]:
    """Every row ("Get balance"): ``availBal`` can be spent, ``frozenBal`` is held."""
    return [
        Balance(asset=row.ccy, available=row.avail_bal or "0", frozen=row.frozen_bal or "0")
        for account in rows
        for row in account.details
    ]


def order(row: OrderRow, symbol_of: SymbolOf) -> Order:
    """An order ("GET / Order details"). ``post_only``, ``fok`` and ``ioc`` are limit orders."""
    amount, filled = "0" if _in_quote(row) else row.sz, row.acc_fill_sz
    return Order(
        order_id=row.ord_id,
        symbol=symbol_of(row.inst_id),
        side=row.side,
        type="limit" if row.ord_type in _LIMIT else row.ord_type,
        price=row.px or "0",
        amount=amount,
        status=_STATES.get(row.state, row.state),  # the other states have our names
        filled=filled,
        remaining=_left(amount, filled),
        client_order_id=row.cl_ord_id,
        time=row.c_time,
        post_only=row.ord_type == "post_only",
        native_symbol=row.inst_id,
    )


def _in_quote(row: OrderRow) -> bool:
    """``tgtCcy``: a market buy is in the quote currency unless it says otherwise."""
    if row.ord_type != "market":
        return False
    return row.tgt_ccy == "quote_ccy" or (not row.tgt_ccy and row.side == "buy")


def _left(amount: str, filled: str) -> str:
    return "" if amount == "0" or not filled else rest(amount, filled)


def order_of_fills(rows: Iterable[Fill], symbol_of: SymbolOf) -> list[Order]:
    """The orders that own trades belong to: proof that they exist, though nothing of what is still open."""
    found: dict[str, Order] = {}
    for row in rows:
        before = found.get(row.ord_id)
        found[row.ord_id] = Order(
            order_id=row.ord_id,
            symbol=symbol_of(row.inst_id),
            side=row.side,
            type="limit",
            price=row.fill_px,
            amount="0",
            status="partially_filled",
            filled=add(before.filled, row.fill_sz) if before else row.fill_sz,
            client_order_id=row.cl_ord_id,
            time=min(before.time, row.ts) if before else row.ts,
            native_symbol=row.inst_id,
        )
    return list(found.values())


def order_body(request: OrderRequest, trade_mode: str, *, elp_for_all: bool = False) -> dict[str, str | bool]:
    """The body of ``POST /api/v5/trade/order``. Raises Refused for options that don't go with this order.

    ``elp_for_all``: whether this part of OKX takes ``isElpTakerAccess`` with every kind of order.

    The unit of a market order is always said. ``banAmend`` is true unless the caller says otherwise: OKX would fill
    a smaller order than was asked for.
    """
    body: dict[str, str | bool] = {
        "instId": request.market.id,
        "tdMode": trade_mode,
        "clOrdId": request.client_order_id,
        "side": request.side,
    }
    if request.type == "market":
        quote = bool(request.quote_amount)
        body |= {"ordType": "market", "sz": request.quote_amount or request.amount}
        body |= {"tgtCcy": "quote_ccy" if quote else "base_ccy", "banAmend": True}
    else:
        kind = "post_only" if request.post_only else _KINDS[request.time_in_force]
        body |= {"ordType": kind, "sz": request.amount, "px": request.price}
    return body | _options(request, str(body["ordType"]), elp_for_all)


def _options(request: OrderRequest, kind: str, elp_for_all: bool) -> dict[str, str | bool]:
    given = request.options
    for name in _MARKET_ONLY:
        if name in given and kind != "market":
            raise _misplaced(name, "market orders only")
    if given.get("isElpTakerAccess") == "true" and kind != "ioc" and not elp_for_all:
        raise _misplaced("isElpTakerAccess", "limit orders with time_in_force = IOC only, but with host us.okx.com")
    return {name: value == "true" if name in _BOOLEAN else value for name, value in given.items()}


def _misplaced(name: str, where: str) -> Refused:
    return Refused(f"options.{name} is for {where}. Nothing was sent.", reason="OPTION_NOT_APPLICABLE")
