"""Binance's private JSON -> ExGate's values: pure, one typed decode per answer, every digit as it was sent.

Shapes: rest-api.md ("New order", "Cancel order", "Account information", "Query order", "Current open orders",
"All orders", "Account trade list") and enums.md ("Order status", "Order types") of binance/binance-spot-api-docs, read
at 2026-07-21. A field that must be there and isn't, or has another type, is an error of the decoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from exgate_core import numbers
from exgate_core.models import Balance, CancelStatus, Market, Order, OrderStatus

Id = Annotated[int, Meta(gt=0)]

_STATUSES: Final[Mapping[str, OrderStatus]] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PARTIALLY_FILLED": "partially_filled",
    "PENDING_CANCEL": "open",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "REJECTED": "rejected",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
}
_CANCELED: Final[Mapping[str, CancelStatus]] = {
    "CANCELED": "canceled",
    "EXPIRED": "canceled",
    "EXPIRED_IN_MATCH": "canceled",
    "REJECTED": "canceled",
    "FILLED": "filled",
}
_BEFORE: Final[Mapping[str, CancelStatus]] = {
    "filled": "filled",
    "canceled": "already_canceled",
    "expired": "already_canceled",
    "rejected": "already_canceled",
}
_TYPES: Final = {"LIMIT": "limit", "LIMIT_MAKER": "limit", "MARKET": "market"}


class ServerTime(Struct, frozen=True, rename="camel"):
    """``GET /api/v3/time``."""

    server_time: Id


class _Asset(Struct, frozen=True, gc=False):
    asset: str
    free: str
    locked: str


class AccountInfo(Struct, frozen=True):
    """``GET /api/v3/account``."""

    balances: list[_Asset]


class Placed(Struct, frozen=True, rename="camel"):
    """``POST /api/v3/order`` with ``newOrderRespType=ACK``."""

    symbol: str
    order_id: Id
    client_order_id: str


class Canceled(Struct, frozen=True, rename="camel"):
    """``DELETE /api/v3/order``; ``client_order_id`` is the name of the cancel itself."""

    symbol: str
    order_id: Id
    orig_client_order_id: str
    status: str


class OrderRow(Struct, frozen=True, rename="camel"):
    """``GET /api/v3/order``, and a row of ``openOrders`` and ``allOrders``."""

    symbol: str
    order_id: Id
    client_order_id: str
    price: str
    orig_qty: str
    executed_qty: str
    status: str
    type: str
    side: Literal["BUY", "SELL"]
    time: int


class OwnTrade(Struct, frozen=True, rename="camel", gc=False):
    """A row of ``GET /api/v3/myTrades``: of it only whose fill it is matters here."""

    order_id: Id


TIME: Final = msgspec.json.Decoder(ServerTime)
ACCOUNT: Final = msgspec.json.Decoder(AccountInfo)
PLACED: Final = msgspec.json.Decoder(Placed, strict=False)  # an id in quotes tells of an order all the same
CANCELED: Final = msgspec.json.Decoder(Canceled)
ORDER: Final = msgspec.json.Decoder(OrderRow)
ORDERS: Final = msgspec.json.Decoder(list[OrderRow])
OWN_TRADES: Final = msgspec.json.Decoder(list[OwnTrade])


def balances(account: AccountInfo) -> list[Balance]:
    """Every row that was sent, zeros included; the codes of assets are the common ones."""
    return [Balance(asset=row.asset, available=row.free, frozen=row.locked) for row in account.balances]


def order(row: OrderRow, symbol: str) -> Order:
    """An order; ``symbol`` is the unified name of its market."""
    return Order(
        order_id=str(row.order_id),
        symbol=symbol,
        side="buy" if row.side == "BUY" else "sell",
        type=_TYPES.get(row.type, row.type.lower()),
        price="0" if row.type == "MARKET" else row.price,
        amount=row.orig_qty,
        status=_STATUSES.get(row.status, row.status),
        filled=row.executed_qty,
        remaining=_remaining(row),
        client_order_id=row.client_order_id,
        time=row.time,
        post_only=row.type == "LIMIT_MAKER",
        native_symbol=row.symbol,
    )


def orders(rows: Iterable[OrderRow], markets: Iterable[Market]) -> list[Order]:
    """Orders of several markets; one that the market list doesn't have keeps the exchange's own name."""
    symbols = {market.id: market.symbol for market in markets}
    return [order(row, symbols.get(row.symbol, row.symbol)) for row in rows]


def canceled(answer: Canceled) -> CancelStatus:
    """What a cancel that was taken did."""
    return _CANCELED.get(answer.status, "pending")


def ended(found: Order) -> CancelStatus | None:
    """What to say of an order that a cancel didn't find among the open ones; None = it looks open."""
    return _BEFORE.get(found.status)


def _remaining(row: OrderRow) -> str:
    # An order by quote amount has no amount of its own to be compared with until it is filled.
    return "0" if numbers.is_zero(row.orig_qty) else numbers.rest(row.orig_qty, row.executed_qty)
