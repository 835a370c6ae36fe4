"""Answers of the exchange and what its document says of them (errors.md and rest-api.md "HTTP Return Codes",
2026-07-21). Serves ``fake`` only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from exgate_core.models import Order

_Row = tuple[str, str, int, int, str]
"""(what it means, reason, HTTP status, code, text)"""

_RANGES: Final = (
    "Illegal characters found in a parameter.",
    "Pending orders should not include the 'x' tag.",
)

_REFUSED: Final[tuple[_Row, ...]] = (
    ("refused", "INSUFFICIENT_BALANCE", 400, -2010, "Account has insufficient balance for requested action."),
    ("refused", "WOULD_TAKE", 400, -2010, "Order would immediately match and take."),
    ("refused", "WOULD_TRIGGER", 400, -2010, "Order would trigger immediately."),
    ("refused", "MARKET_CLOSED", 400, -2010, "Market is closed."),
    ("refused", "EXCHANGE_REFUSED", 400, -2010, "Unsupported order combination"),
    ("refused", "EXCHANGE_REFUSED", 400, -1010, "This action is disabled on this account."),
    ("refused", "BAD_PRICE", 400, -1013, "Filter failure: PRICE_FILTER"),
    ("refused", "BAD_PRICE", 400, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    ("refused", "BAD_AMOUNT", 400, -1013, "Filter failure: LOT_SIZE"),
    ("refused", "MIN_NOTIONAL", 400, -1013, "Filter failure: NOTIONAL"),
    ("refused", "EXCHANGE_REFUSED", 400, -1014, "Unsupported order combination."),
    ("refused", "EXCHANGE_REFUSED", 400, -1020, "This operation is not supported."),
    ("refused", "CLOCK_SKEW", 400, -1021, "Timestamp for this request is outside of the recvWindow."),
    ("refused", "EXCHANGE_AUTH_FAILED", 400, -1022, "Signature for this request is not valid."),
    ("refused", "EXCHANGE_AUTH_FAILED", 401, -1002, "You are not authorized to execute this request."),
    ("refused", "EXCHANGE_AUTH_FAILED", 401, -2014, "API-key format invalid."),
    ("refused", "EXCHANGE_AUTH_FAILED", 401, -2015, "Invalid API-key, IP, or permissions for action."),
    ("refused", "EXCHANGE_REFUSED", 400, -1100, _RANGES[0]),
    ("refused", "BAD_PRECISION", 400, -1111, "Parameter 'quantity' has too much precision."),
    ("refused", "UNKNOWN_SYMBOL", 400, -1121, "Invalid symbol."),
    ("refused", "EXCHANGE_REFUSED", 400, -1225, _RANGES[1]),
    ("refused", "EXCHANGE_REFUSED", 400, -2039, "Client order ID is not correct for this order ID."),
)
"""For orders and cancels alike."""

_UNKNOWN: Final[tuple[_Row, ...]] = (
    ("unknown", "", 500, -1000, "An unknown error occurred while processing the request."),
    ("unknown", "", 400, -1000, "An unknown error occurred while processing the request."),
    ("unknown", "", 400, -1001, "Internal error; unable to process your request. Please try again."),
    ("unknown", "", 400, -1003, "Too many requests queued."),
    ("unknown", "", 400, -1015, "Too many new orders."),
    ("unknown", "", 400, -1006, "An unexpected response was received. Execution status unknown."),
    ("unknown", "", 408, -1007, "Timeout waiting for response from backend server. Execution status unknown."),
    ("unknown", "", 400, -1007, "Timeout waiting for response from backend server. Execution status unknown."),
    ("unknown", "", 503, -1008, "Server is currently overloaded with other requests."),
    ("unknown", "", 400, -1008, "Server is currently overloaded with other requests."),
    ("unknown", "", 400, -1016, "This service is no longer available."),
    ("unknown", "", 400, -1099, "A code that nobody has documented"),
    ("unknown", "", 400, -1226, "A code that nobody has documented"),
    ("unknown", "", 400, -2009, "A code that nobody has documented"),
    ("unknown", "", 400, -2012, "A code that nobody has documented"),
    ("unknown", "", 400, -2016, "A code that nobody has documented"),
    ("unknown", "", 400, 0, "A code that nobody has documented"),
    ("unknown", "", 400, 1, "A code that nobody has documented"),
    ("unknown", "", 400, 2010, "Account has insufficient balance for requested action."),
    ("unknown", "", 399, -2010, "Account has insufficient balance for requested action."),
    ("unknown", "", 403, -2010, "Account has insufficient balance for requested action."),
    ("unknown", "", 408, -2010, "Account has insufficient balance for requested action."),
    ("unknown", "", 409, -2010, "Account has insufficient balance for requested action."),
    ("unknown", "", 451, -2010, "Account has insufficient balance for requested action."),
    ("unknown", "", 500, -2010, "Account has insufficient balance for requested action."),
    ("unknown", "", 503, -1121, "Invalid symbol."),
    ("unknown", "", 200, -2010, "Account has insufficient balance for requested action."),
    ("unknown", "", 499, -1, "A code that nobody has documented"),
)
_ORDERS: Final[tuple[_Row, ...]] = (
    ("refused", "DUPLICATE_CLIENT_ORDER_ID", 400, -2010, "Duplicate order sent."),
    ("refused", "DUPLICATE_CLIENT_ORDER_ID", 400, -1010, "Duplicate order sent."),
    ("unknown", "", 500, -2010, "Duplicate order sent."),
    ("refused", "EXCHANGE_REFUSED", 499, -1100, _RANGES[0]),
)
_CANCELS: Final[tuple[_Row, ...]] = (
    ("not-found", "UNKNOWN_ORDER", 400, -2011, "Unknown order sent."),
    ("not-found", "UNKNOWN_ORDER", 400, -2013, "Order does not exist."),
    ("not-found", "UNKNOWN_ORDER", 400, -2026, "Order was canceled or expired and has been archived."),
    ("refused", "EXCHANGE_REFUSED", 400, -2011, "Order was not canceled due to cancel restrictions."),
    ("unknown", "", 500, -2011, "Unknown order sent."),
    ("unknown", "", 500, -2013, "Order does not exist."),
)
_QUESTIONS: Final[tuple[_Row, ...]] = (
    ("not-found", "UNKNOWN_ORDER", 400, -2013, "Order does not exist."),
    ("refused", "EXCHANGE_AUTH_FAILED", 401, -2015, "Invalid API-key, IP, or permissions for action."),
    ("refused", "UNKNOWN_SYMBOL", 400, -1121, "Invalid symbol."),
    ("refused", "EXCHANGE_REFUSED", 400, -1102, "Mandatory parameter 'x' was not sent, was empty/null, or malformed."),
    ("unavailable", "", 500, -2013, "Order does not exist."),
    ("unavailable", "", 403, -2015, "Invalid API-key, IP, or permissions for action."),
    ("unavailable", "", 503, -1001, "Internal error; unable to process your request. Please try again."),
)

_LIMITED: Final[tuple[tuple[int, int, str, str, float, bool], ...]] = (
    (429, -1003, "Too much request weight used.", "7", 7.0, False),
    (418, -1003, "Way too much request weight used; IP banned.", "180", 180.0, False),
    (418, -1003, "Way too much request weight used; IP banned.", "", 120.0, False),
    (429, -1015, "Too many new orders; current limit is 50 orders per TEN_SECONDS.", "5", 5.0, True),
    (429, -1015, "Too many new orders.", "", 10.0, True),
)
"""(status, code, text, Retry-After, seconds to wait, whether only orders are meant)"""

_CANCELED: Final = (
    ("CANCELED", "canceled"),
    ("EXPIRED", "canceled"),
    ("EXPIRED_IN_MATCH", "canceled"),
    ("REJECTED", "canceled"),
    ("FILLED", "filled"),
    ("PENDING_CANCEL", "pending"),
    ("NEW", "pending"),
)
_FOUND: Final = (
    ("NEW", "LIMIT", "open", "limit"),
    ("PENDING_NEW", "LIMIT", "open", "limit"),
    ("PENDING_CANCEL", "LIMIT", "open", "limit"),
    ("PARTIALLY_FILLED", "LIMIT_MAKER", "partially_filled", "limit"),
    ("FILLED", "MARKET", "filled", "market"),
    ("CANCELED", "STOP_LOSS_LIMIT", "canceled", "stop_loss_limit"),
    ("REJECTED", "TAKE_PROFIT", "rejected", "take_profit"),
    ("EXPIRED", "LIMIT", "expired", "limit"),
    ("EXPIRED_IN_MATCH", "LIMIT", "expired", "limit"),
    ("OF_NEXT_YEAR", "LIMIT", "OF_NEXT_YEAR", "limit"),
)
"""(status, type, and what both are called by the adapter, which hands on a status that it doesn't know)"""


class Told(Struct, frozen=True, kw_only=True):
    """One answer, and what an adapter must make of it."""

    operation: Any
    by_client_id: bool = False
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    means: Any
    reason: str = ""
    wait: float | None = None
    orders_only: bool = False
    order: Order | None = None
    words: str = ""


def all_examples(market_id: str, symbol: str) -> list[Told]:
    """Everything above, for the market in which the kit asks."""
    found = [_said("place_order", row) for row in (*_REFUSED, *_UNKNOWN, *_ORDERS)]
    found += [_said("cancel_order", row) for row in (*_REFUSED, *_UNKNOWN, *_CANCELS)]
    found += [_said("balances", row) for row in _QUESTIONS]
    found += [_limited(*row) for row in _LIMITED]
    found += _cancels(market_id)
    found += [_found(market_id, symbol, *row) for row in _FOUND]
    return found + _placed(market_id) + _others(market_id)


def _error(code: int, text: str) -> bytes:
    return json.dumps({"code": code, "msg": text}).encode()


def _said(operation: str, row: _Row) -> Told:
    means, reason, status, code, text = row
    words = f"{code} {text}" if code and status != 200 else ""
    return Told(operation=operation, body=_error(code, text), status=status, means=means, reason=reason, words=words)


def _limited(status: int, code: int, text: str, after: str, wait: float, orders_only: bool) -> Told:
    headers = {"Retry-After": after} if after else {}
    body = _error(code, text)
    return Told(
        operation="place_order",
        body=body,
        status=status,
        headers=headers,
        means="limited",
        wait=wait,
        orders_only=orders_only,
    )


def _row(market_id: str, status: str, kind: str = "LIMIT", **more: Any) -> bytes:
    plain = {"symbol": market_id, "orderId": 77, "status": status, "type": kind, "side": "SELL"}
    amounts = {"price": "0.00000010", "origQty": "2.50000000", "executedQty": "0.50000000"}
    names = {"clientOrderId": "a-1", "origClientOrderId": "a-1"}
    return json.dumps({**plain, **amounts, **names, "time": 1499827319559, **more}).encode()


def _cancels(market_id: str) -> list[Told]:
    return [Told(operation="cancel_order", body=_row(market_id, status), means=means) for status, means in _CANCELED]


def _found(market_id: str, symbol: str, status: str, kind: str, shown: Any, shown_type: str) -> Told:
    order = Order(
        order_id="77",
        symbol=symbol,
        side="sell",
        type=shown_type,
        price="0" if kind == "MARKET" else "0.00000010",
        amount="2.50000000",
        status=shown,
        filled="0.50000000",
        remaining="2.00000000",
        client_order_id="a-1",
        time=1499827319559,
        post_only=kind == "LIMIT_MAKER",
        native_symbol=market_id,
    )
    return Told(operation="find_order", body=_row(market_id, status, kind), means="found", order=order)


def _placed(market_id: str) -> list[Told]:
    """Answers to an order: of it, of another, of none."""
    right = {"symbol": market_id, "orderId": 5, "clientOrderId": "example-1"}
    changes = ({"orderId": None}, {"orderId": 0}, {"clientOrderId": "other"}, {"symbol": "ETHBTC"})
    bodies = [json.dumps({**right, **change}).encode() for change in changes]
    found = [Told(operation="place_order", body=body, means="unknown") for body in bodies]
    own = Order(order_id="5", symbol="", side="buy", type="limit", price="", amount="")
    for order_id, text in ((1, "1"), (5, "5"), (5, '"5"')):  # the least one, any, and one in quotes
        body = json.dumps({**right, "orderId": order_id}).replace(f": {order_id},", f": {text},").encode()
        placed = replace(own, order_id=str(order_id))
        found.append(Told(operation="place_order", body=body, means="placed", order=placed))
    return found


def _others(market_id: str) -> list[Told]:
    """Answers about other orders than the one that is meant, and about that one."""
    right = {"clientOrderId": "example-77", "origClientOrderId": "example-77"}
    changes: tuple[tuple[bool, dict[str, Any]], ...] = (
        (False, {"orderId": 78}),
        (False, {"orderId": 76}),
        (False, {"symbol": "ETHBTC"}),
        (True, {"clientOrderId": "example-7", "origClientOrderId": "example-7"}),
        (True, {"clientOrderId": "z", "origClientOrderId": "z"}),
        (True, {**right, "symbol": "ETHBTC"}),
        (True, {**right, "symbol": "AAABBB"}),
    )
    meanings = (("cancel_order", "unknown"), ("find_order", "unavailable"))
    found = [
        Told(operation=operation, body=_row(market_id, "CANCELED", **change), means=means, by_client_id=by_client_id)
        for operation, means in meanings
        for by_client_id, change in changes
    ]
    own = _row(market_id, "CANCELED", **right)
    return [*found, Told(operation="cancel_order", body=own, means="canceled", by_client_id=True)]
