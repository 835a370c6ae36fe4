"""The seed's schemas as Structs, to the letter: what the encoder writes and the OpenAPI document describes.

Numbers are ``number(double)`` in the seed. What is written is always an exact integer. Every field is optional in the
seed's document; here each is written, always.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

Double = Annotated[float, Meta(extra_json_schema={"format": "double"})]
Int32 = Annotated[int, Meta(extra_json_schema={"format": "int32"})]
Int64 = Annotated[str, Meta(extra_json_schema={"format": "int64"})]
Bytes = Annotated[str, Meta(extra_json_schema={"format": "byte"})]


class LevelRow(Struct, gc=False):
    """One price level."""

    price: str
    amount: str


class LevelList(Struct, gc=False):
    """One side of a book, best level first. The seed calls the field ``bid`` on both sides."""

    bid: list[LevelRow]


class DepthResponse(Struct, gc=False):
    """An order book; each list has one element that holds all levels."""

    lastUpdateId: Double
    timeStamp: Double
    bid_list: list[LevelList]
    ask_list: list[LevelList]


class TradeRow(Struct, gc=False):
    """One public trade."""

    id: Double
    price: str
    qty: str
    quoteQty: str
    time: Double
    isBuyerMaker: bool


class TradesResponse(Struct, gc=False):
    """Trades, oldest first."""

    trades: list[TradeRow]


class BalanceRow(Struct, gc=False):
    """What an account holds of one asset."""

    asset: str
    available: str
    frozen: str


class BalancesResponse(Struct, gc=False):
    """Every row that the exchange sends."""

    balances: list[BalanceRow]


class OrderRow(Struct, gc=False):
    """One open order."""

    order_id: str
    symbol: str
    type: str
    price: str
    amount: str
    side: str


class PendingOrdersResponse(Struct, gc=False):
    """All open orders."""

    orders: list[OrderRow]


class PlaceOrderResponse(Struct, gc=False):
    """The exchange's id of a placed order, never empty."""

    order_id: str


class CancelOrderResponse(Struct, gc=False):
    """``canceled``, ``already_canceled``, ``filled`` or ``pending``."""

    status: str


class PullTradeResponse(Struct, gc=False):
    """How the stream of trades stands: ``starting``, ``live`` or ``reconnecting``."""

    status: str
    desc: str


class Detail(Struct, gc=False):
    """One detail of a Status: a protobuf message in base64."""

    type_url: str
    value: Bytes


class Status(Struct, gc=False):
    """google.rpc.Status."""

    code: Int32
    message: str
    details: list[Detail]


class StreamTradeRow(Struct, gc=False):
    """One public trade as WebSocket frames carry it."""

    id: Double
    price: str
    qty: str
    quoteQty: str
    time: Double
    isBuyerMaker: bool
    trade_id: str


class ExtendedTradeRow(Struct, gc=False):
    """One public trade with what the seed leaves out."""

    id: Double
    price: str
    qty: str
    quoteQty: str
    time: Double
    isBuyerMaker: bool
    trade_id: str
    time_ns: Int64
    taker_side: str | None


class ExtendedOrderRow(Struct, gc=False):
    """One order with what the seed leaves out."""

    order_id: str
    symbol: str
    type: str
    price: str
    amount: str
    side: str
    client_order_id: str
    filled: str
    remaining: str
    status: str
    order_time: Double
    native_symbol: str


class ExtendedPlaceOrderResponse(Struct, gc=False):
    """The ids of a placed order."""

    order_id: str
    client_order_id: str


class ExtendedStatus(Struct, gc=False):
    """google.rpc.Status with its reason and metadata as plain JSON."""

    code: Int32
    message: str
    details: list[Detail]
    reason: str
    metadata: dict[str, str]


_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """JSON of Structs, dicts, lists and strings, compact, fields in their order.

    Text that is no valid Unicode (lone surrogates) is written with ``?`` in place of what can't be written.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_clean(value))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Struct):
        return _clean(structs.asdict(value))
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value
