"""Bitstamp's private JSON -> ExGate's values ("Account balances", "Orders" of the HTTP API v2, November 2026).

Ids come as integers or as texts, cancelled orders' prices as JSON numbers: both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from exgate_core import numbers
from exgate_core.fetch import digits
from exgate_core.models import Balance, Order, OrderStatus, Side
from msgspec import Raw, Struct, field

Type = Literal[0, 1, "0", "1"]
"""0 buy, 1 sell."""

_SIDES: Final[dict[str, Side]] = {"0": "buy", "1": "sell"}
_STATUSES: Final[dict[str, OrderStatus]] = {
    "Open": "open",
    "In Queue": "open",
    "Cancel pending": "open",
    "Finished": "filled",
    "Canceled": "canceled",
    "Expired": "expired",
}
_NOTHING: Final = Raw(b"")
"""No number: an amount that isn't told can't be read."""


class BalanceRow(Struct, frozen=True):
    """One row of ``POST /api/v2/account_balances/``."""

    currency: str
    available: str
    reserved: str


class Placed(Struct, frozen=True):
    """An answer of ``POST /api/v2/buy/MARKET/`` and its like."""

    id: int | str
    client_order_id: str | None = None


class Canceled(Struct, frozen=True):
    """An answer of ``POST /api/v2/cancel_order/``."""

    id: int | str
    status: str = ""


class OpenOrder(Struct, frozen=True):
    """One row of ``POST /api/v2/open_orders/all/``."""

    id: int | str
    type: Type
    price: str
    amount: str
    """What is left."""
    time: datetime = field(name="datetime")
    market: str = ""
    currency_pair: str = ""
    amount_at_create: str = ""
    client_order_id: str | None = None


class OrderState(Struct, frozen=True):
    """An answer of ``POST /api/v2/order_status/``."""

    id: int | str
    status: str
    type: Type
    subtype: str = ""
    market: str = ""
    price: str | None = None
    amount_remaining: str = "0"
    time: datetime | None = field(name="datetime", default=None)
    client_order_id: str | None = None
    transactions: list[dict[str, Raw]] = []
    """Each has the amounts under the names of the two currencies: ``{"btc": "0.1", "usd": "5000.0", ...}``."""


BALANCES: Final = msgspec.json.Decoder(list[BalanceRow])
PLACED: Final = msgspec.json.Decoder(Placed)
CANCELED: Final = msgspec.json.Decoder(Canceled)
OPEN_ORDERS: Final = msgspec.json.Decoder(list[OpenOrder])
ORDER_STATE: Final = msgspec.json.Decoder(OrderState)


def balances(rows: list[BalanceRow]) -> list[Balance]:
    """Every row that was sent."""
    return [Balance(asset=row.currency.upper(), available=row.available, frozen=row.reserved) for row in rows]


def open_order(row: OpenOrder, native: Mapping[str, str]) -> Order:
    """An open order; ``native`` tells a symbol's own name at the exchange."""
    symbol = row.market or row.currency_pair
    amount = row.amount_at_create or row.amount
    filled = numbers.subtract(amount, row.amount)
    return Order(
        order_id=str(row.id),
        symbol=symbol,
        side=_SIDES[str(row.type)],
        type="limit",
        price=row.price,
        amount=amount,
        status="open" if numbers.is_zero(filled) else "partially_filled",
        filled=filled,
        remaining=row.amount,
        client_order_id=row.client_order_id or "",
        time=_millis(row.time),
        native_symbol=native.get(symbol, ""),
    )


def order_state(row: OrderState, native: Mapping[str, str]) -> Order:
    """An order in any state. How much was ordered isn't told: it is what is left and what was traded."""
    base, filled = row.market.partition("/")[0].lower(), "0"
    for transaction in row.transactions:
        filled = numbers.add(filled, digits(transaction.get(base, _NOTHING)))
    market_order = "market" in row.subtype.lower() or "instant" in row.subtype.lower()
    status = _STATUSES.get(row.status, "open")
    if status == "open" and not numbers.is_zero(filled):
        status = "partially_filled"
    return Order(
        order_id=str(row.id),
        symbol=row.market,
        side=_SIDES[str(row.type)],
        type="market" if market_order else "limit",
        price="0" if market_order else row.price or "0",
        amount=numbers.add(filled, row.amount_remaining),
        status=status,
        filled=filled,
        remaining=row.amount_remaining,
        client_order_id=row.client_order_id or "",
        time=_millis(row.time),
        native_symbol=native.get(row.market, ""),
    )


def _millis(moment: datetime | None) -> int:
    """``2022-01-31 14:43:15.796000``, in UTC; 0 for none."""
    if moment is None:
        return 0
    return round((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)
