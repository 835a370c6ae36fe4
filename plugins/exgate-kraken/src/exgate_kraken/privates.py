"""Kraken's private answers -> ExGate's values: pure, every digit as it was sent.

Shapes: docs.kraken.com, Spot REST API, "Get Extended Balance", "Get Open Orders", "Get Closed Orders", "Query Orders
Info", "Add Order", "Cancel Order" (read at 2026-05-27). Amounts are strings or JSON numbers, and both are kept as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec
from msgspec import Raw, Struct

from exgate_core import numbers
from exgate_core.fetch import digits
from exgate_core.models import Balance, Order, OrderRequest, OrderStatus, Side

from .names import Names, unified
from .parse import Answer, nanoseconds

_ZERO: Final = Raw(b"0")
_STATUSES: Final[Mapping[str, OrderStatus]] = {
    "pending": "open",
    "open": "open",
    "closed": "filled",
    "canceled": "canceled",
    "expired": "expired",
}
_RELATIVE: Final = re.compile(r"[+#-].*|.*%", re.DOTALL)
"""How far a price is from the market's ("Add Order", price)."""
_TXID: Final = re.compile(r"[A-Z0-9]{3,10}(-[A-Z0-9]{3,10}){2}", re.ASCII)
_PAGE: Final = 50
"""The newest closed orders, and no more ("Get Closed Orders")."""
_MARGIN: Final = 60.0
"""Seconds by which Kraken's clock may be other than was measured."""
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", re.ASCII)


class Held(Struct, frozen=True):
    """One asset of ``BalanceEx``."""

    balance: Raw
    credit: Raw = _ZERO
    credit_used: Raw = _ZERO
    hold_trade: Raw = _ZERO


class _Description(Struct, frozen=True):
    pair: str
    type: Side
    ordertype: str
    price: str = "0"
    price2: str = "0"


class OrderRow(Struct, frozen=True):
    """One order of ``OpenOrders``, ``ClosedOrders`` and ``QueryOrders``."""

    status: str
    descr: _Description
    vol: Raw
    vol_exec: Raw = _ZERO
    opentm: Raw = _ZERO
    closetm: Raw = _ZERO
    oflags: str = ""
    cl_ord_id: str | None = None


class OpenOrders(Struct, frozen=True):
    """The result of ``OpenOrders``."""

    open: dict[str, OrderRow] = {}


class ClosedOrders(Struct, frozen=True):
    """The result of ``ClosedOrders``."""

    closed: dict[str, OrderRow] = {}


class _Placed(Struct, frozen=True):
    order: str = ""


class Placed(Struct, frozen=True):
    """The result of ``AddOrder``."""

    txid: list[str] = []
    descr: _Placed = _Placed()


class Canceled(Struct, frozen=True):
    """The result of ``CancelOrder``."""

    count: int = 0
    pending: bool = False


BALANCES = msgspec.json.Decoder(Answer[dict[str, Held]])
OPEN = msgspec.json.Decoder(Answer[OpenOrders])
CLOSED = msgspec.json.Decoder(Answer[ClosedOrders])
ORDERS = msgspec.json.Decoder(Answer[dict[str, OrderRow]])
PLACED = msgspec.json.Decoder(Answer[Placed])
CANCELED = msgspec.json.Decoder(Answer[Canceled])


def balances(rows: Mapping[str, Held]) -> list[Balance]:
    """Every row; available = balance + credit - credit_used - hold_trade ("Get Extended Balance")."""
    return [_balance(code, row) for code, row in rows.items()]


def _balance(code: str, row: Held) -> Balance:
    frozen, spendable = digits(row.hold_trade), digits(row.balance)
    for credit, plus in ((digits(row.credit), True), (digits(row.credit_used), False)):
        if not numbers.is_zero(credit):
            spendable = (numbers.add if plus else numbers.subtract)(spendable, credit)
    if not numbers.is_zero(frozen):
        spendable = numbers.subtract(spendable, frozen)
    return Balance(asset=unified(code), available=spendable, frozen=frozen)


def orders(rows: Mapping[str, OrderRow], names: Names, client_order_id: str = "") -> list[Order]:
    """The orders of an answer, oldest first; those with a client order id if one is given, however Kraken spells it."""
    found = [
        _order(txid, row, names, client_order_id or row.cl_ord_id or "")
        for txid, row in rows.items()
        if not client_order_id or _same(row.cl_ord_id or "", client_order_id)
    ]
    return sorted(found, key=_time)


def reach_back(closed: Mapping[str, OrderRow], sent: float | None) -> bool:
    """Whether the newest page of closed orders holds every one that was sent at this time (seconds,
    Kraken's clock; None = unknown) or later: the list is by the time of closing ("Get Closed Orders", closetime)."""
    if len(closed) < _PAGE:
        return True
    oldest = min(nanoseconds(digits(row.closetm)) for row in closed.values()) / 1e9
    return sent is not None and oldest < sent - _MARGIN


def _order(txid: str, row: OrderRow, names: Names, client_order_id: str) -> Order:
    flags, kind = row.oflags.split(","), row.descr.ordertype
    amount, filled = digits(row.vol), digits(row.vol_exec)
    in_quote = "viqc" in flags
    status = _STATUSES.get(row.status, row.status)
    return Order(
        order_id=txid,
        symbol=names.symbol(row.descr.pair),
        side=row.descr.type,
        type=kind,
        price=_price(kind, row.descr),
        amount="0" if in_quote else amount,
        status="partially_filled" if status == "open" and not numbers.is_zero(filled) else status,
        filled="" if in_quote else filled,
        remaining="" if in_quote else numbers.rest(amount, filled),
        client_order_id=client_order_id,
        time=nanoseconds(digits(row.opentm)) // 1_000_000,
        post_only="post" in flags,
        native_symbol=row.descr.pair,
    )


def _price(kind: str, said: _Description) -> str:
    """The limit, else the price that triggers; ``0`` where Kraken only knows how far from the market's it is."""
    limit = kind.endswith("-limit") and not numbers.is_zero(said.price2) and not _RELATIVE.fullmatch(said.price2)
    price = said.price2 if limit else said.price
    return "0" if kind != "limit" and _RELATIVE.fullmatch(price) else price


def _time(order: Order) -> int:
    return order.time


def _same(one: str, other: str) -> bool:
    """Kraken keeps a client order id as a number of 128 bits: a UUID may come back with other dashes or letters."""
    return one == other or bool(_UUID.fullmatch(one) and _UUID.fullmatch(other) and _bare(one) == _bare(other))


def _bare(uuid: str) -> str:
    return uuid.replace("-", "").lower()


def is_txid(text: str) -> bool:
    """Whether a text has the form of Kraken's order ids. Anything else must not be sent as one: ``CancelOrder`` takes
    an integer as a user reference and cancels every order that has it."""
    return _TXID.fullmatch(text) is not None


def describes(placed: Placed, order: OrderRequest, pair: str) -> bool:
    """Whether an answer to ``AddOrder`` can be about this order. ``pair``: Kraken's short name.

    "Add Order" shows no client order id, but says the order in words: ``buy 1.25000000 XBTUSD @ limit 27500.0``.
    """
    words = placed.descr.order.split()
    if not words:
        return True
    price = words[words.index("limit") + 1 :][:1] if "limit" in words else []
    same_price = not order.price or all(_equal(word, order.price) for word in price)
    same_amount = not order.amount or all(_equal(word, order.amount) for word in words[1:2])
    return words[0] == order.side and pair in words and same_price and same_amount


def _equal(one: str, other: str) -> bool:
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False
