"""Values -> the seed's JSON bytes. The other half, bytes -> values, is ``requests``; errors -> bytes is ``status``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from . import numbers
from .models import Balance, CancelResult, Depth, Level, Order, Trade
from .requests import (
    CancelBody,
    PlaceBody,
    check_order_id,
    is_order_id,
    parse_bool,
    parse_cancel,
    parse_freshness,
    parse_limit,
    parse_place,
    parse_query,
)
from .status import status_json
from .wire import (
    BalanceRow,
    BalancesResponse,
    CancelOrderResponse,
    DepthResponse,
    ExtendedOrderRow,
    ExtendedPlaceOrderResponse,
    ExtendedTradeRow,
    LevelList,
    LevelRow,
    OrderRow,
    PlaceOrderResponse,
    PullTradeResponse,
    StreamTradeRow,
    TradeRow,
    encode,
)

__all__ = [
    "CancelBody",
    "PlaceBody",
    "balances_json",
    "cancel_json",
    "check_order_id",
    "depth_json",
    "extended_trade_json",
    "is_order_id",
    "order_json",
    "orders_json",
    "parse_bool",
    "parse_cancel",
    "parse_freshness",
    "parse_limit",
    "parse_place",
    "parse_query",
    "placed_json",
    "pull_json",
    "status_frame",
    "status_json",
    "stream_trade_json",
    "trade_frame",
    "trade_json",
    "trades_json",
]

_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_HARMLESS = bytes(code for code in range(0x20, 0x7F) if code not in b'"\\')
_QUOTES = 12
# in a book without levels; each level adds eight
_ZERO = msgspec.Raw(b"0")


def depth_json(depth: Depth) -> bytes:
    """The book as exgatev1DepthResponse."""
    # Joins cost a third of msgspec's encoder. They escape nothing, so the outcome is checked for what needs it: of all
    # that isn't harmless only the quotes put here may be left.
    body = (
        f'{{"lastUpdateId":{depth.last_update_id},"timeStamp":{depth.timestamp},'
        f'"bid_list":[{{"bid":{_levels(depth.bids)}}}],"ask_list":[{{"bid":{_levels(depth.asks)}}}]}}'
    ).encode("utf-8", "surrogatepass")
    if len(body.translate(None, _HARMLESS)) == _QUOTES + 8 * (len(depth.bids) + len(depth.asks)):
        return body
    bids, asks = ([LevelRow(price, amount) for price, amount in side] for side in (depth.bids, depth.asks))
    return encode(DepthResponse(depth.last_update_id, depth.timestamp, [LevelList(bids)], [LevelList(asks)]))


def _levels(levels: Sequence[Level]) -> str:
    rows = '"},{"price":"'.join(map('","amount":"'.join, levels))
    return f'[{{"price":"{rows}"}}]' if levels else "[]"


def trade_json(trade: Trade) -> bytes:
    """One trade with the seed's six fields."""
    return encode(TradeRow(*_six(trade)))


def stream_trade_json(trade: Trade) -> bytes:
    """One trade as WebSocket frames carry it: the six fields and ``trade_id``, the exact id as a string."""
    return encode(StreamTradeRow(*_six(trade), trade.id))


def extended_trade_json(trade: Trade) -> bytes:
    """One trade with ``trade_id``, ``time_ns`` and ``taker_side`` added."""
    return encode(ExtendedTradeRow(*_six(trade), trade.id, str(trade.time_ns), trade.taker_side))


def _six(trade: Trade) -> tuple[Any, str, str, str, int, bool]:
    # The id stays text: msgspec writes no integer over 64 bits, and Raw costs no conversion.
    exact = msgspec.Raw(trade.id.encode()) if _is_integer(trade.id) else _ZERO
    quote = trade.quote_qty or numbers.product(trade.price, trade.qty)
    return exact, trade.price, trade.qty, quote, trade.time, trade.taker_side == "sell"


def _is_integer(text: str) -> bool:
    # Nearly every id is one of the first kind, which costs half of the regular expression.
    return (text.isdecimal() and text.isascii() and text[0] != "0") or _INTEGER.fullmatch(text) is not None


def trades_json(items: Iterable[bytes]) -> bytes:
    """Encoded trades, oldest first, as exgatev1RecentTradesListResponse."""
    return b'{"trades":[' + b",".join(items) + b"]}"


def trade_frame(symbol: str, items: Sequence[bytes]) -> bytes:
    """The WebSocket frame that carries encoded trades."""
    return b'{"symbol":' + encode(symbol) + b',"trades":[' + b",".join(items) + b"]}"


def status_frame(symbol: str, status: str, desc: str, **bounds: str) -> bytes:
    """The WebSocket frame that says how the stream stands; ``bounds`` tell what a gap lost."""
    return encode({"symbol": symbol, "status": status, "desc": desc, **bounds})


def balances_json(balances: Iterable[Balance]) -> bytes:
    """Balances as v1BalancesResponse."""
    return encode(BalancesResponse([BalanceRow(row.asset, row.available, row.frozen) for row in balances]))


def orders_json(orders: Iterable[Order], extended: bool = False) -> bytes:
    """Open orders as v1PendingOrdersResponse."""
    return encode({"orders": [_extended_row(order) if extended else _order_row(order) for order in orders]})


def order_json(order: Order) -> bytes:
    """One order with every field that ExGate knows: the answer of the look-up, which the seed doesn't have."""
    return encode(_extended_row(order))


def _order_row(order: Order) -> OrderRow:
    return OrderRow(order.order_id, order.symbol, order.type, order.price, order.amount, order.side)


def _extended_row(order: Order) -> ExtendedOrderRow:
    return ExtendedOrderRow(
        order.order_id,
        order.symbol,
        order.type,
        order.price,
        order.amount,
        order.side,
        order.client_order_id,
        order.filled,
        order.remaining,
        order.status,
        order.time,
        order.native_symbol,
    )


def placed_json(order_id: str, client_order_id: str = "", extended: bool = False) -> bytes:
    """The answer to a placed order, exgatev1PlaceOrderResponse."""
    if extended:
        return encode(ExtendedPlaceOrderResponse(order_id, client_order_id))
    return encode(PlaceOrderResponse(order_id))


def cancel_json(result: CancelResult) -> bytes:
    """The answer to a cancel, exgatev1CancelOrderResponse."""
    return encode(CancelOrderResponse(result.status))


def pull_json(status: str, desc: str) -> bytes:
    """The answer to a pulled stream, v1PullSpotTradeResponse."""
    return encode(PullTradeResponse(status, desc))
