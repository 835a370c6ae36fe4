"""Bitstamp's own answers, and what each means: "Response codes", "Authentication" and "Orders" of the HTTP API v2.

Only the fake imports this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from exgate_core.errors import DUPLICATE
from exgate_core.models import Order
from exgate_testing.fakes import Reply
from exgate_testing.own import Example, Meaning
from msgspec.structs import replace

_AUTH: Final = "EXCHANGE_AUTH_FAILED"
_KEYS: Final = (
    ("API0001", "API key not found"),
    ("API0003", "No permission found"),
    ("API0004", "Invalid nonce"),
    ("API0005", "Invalid signature"),
    ("API0006", "Your account is frozen"),
    ("API0017", "X-Auth-Timestamp is not in range"),
)
_REFUSED: Final = (
    ("400.001", "Unknown validation error.", ""),
    ("400.003", "Trading for provided market is disabled.", "MARKET_CLOSED"),
    ("400.009", "Insufficient balance for provided user.", "INSUFFICIENT_BALANCE"),
    ("400.019", "Provided client_order_id already exists.", DUPLICATE),
    ("400.020", "Provided order size is lower than minimum order value.", "MIN_NOTIONAL"),
    ("400.021", "Provided price is out of range.", "BAD_PRICE"),
    ("400.026", "POST parameter(s) is malformed: amount.", "BAD_AMOUNT"),
    ("403.004", "Trading is currently unavailable for your account.", ""),
)
_PLACED: Final = {"id": "77", "market": "BTC/USDT", "type": "0", "price": "1.00", "amount": "1"}
_STATE: Final = {
    "id": 77,
    "datetime": "2022-01-31 14:43:15.796000",
    "type": "1",
    "subtype": "LIMIT",
    "market": "BTC/USDT",
    "price": "50.00",
    "client_order_id": "example-1",
}
_FOUND: Final = Order(
    order_id="77",
    symbol="BTC/USDT",
    side="sell",
    type="limit",
    price="50.00",
    amount="1.50000000",
    filled="0.50000000",
    remaining="1.00000000",
    client_order_id="example-1",
    time=1643640195796,
    native_symbol="btcusdt",
)


def examples() -> Iterator[Example]:
    """All of them."""
    for operation in ("place_order", "cancel_order", "find_order", "balances"):
        doubt: Meaning = "unknown" if operation in ("place_order", "cancel_order") else "unavailable"
        for code, words in _KEYS:
            body = {"status": "error", "reason": words, "code": code}
            yield _of(operation, "refused", body, 403, reason=_AUTH)
        yield _of(operation, doubt, _error("500.001", "Server error"), 500)
        yield _of(operation, doubt, {"error": "Order could not be placed."}, 400)
        yield _of(operation, doubt, {"status": "error", "reason": "Something else"}, 400)
        yield Example(operation=operation, reply=Reply(b"<html>Access denied</html>", 403), means=doubt)
        limited = Reply(_text(_error("400.002", "Request rejected due to exceeded rate limit.")), 400)
        yield Example(operation=operation, reply=limited, means="limited", wait=10.0)
    yield from _orders()


def _orders() -> Iterator[Example]:
    for code, words, reason in _REFUSED:
        yield _of("place_order", "refused", _error(code, words), int(code[:3]), reason=reason)
        yield _of("place_order", "refused", _error(code, {"__all__": [words]}), 200, reason=reason)
    own = Order(order_id="77", symbol="", side="buy", type="limit", price="", amount="")
    yield _of("place_order", "placed", {**_PLACED, "client_order_id": "example-1"}, order=own)
    yield _of("place_order", "placed", _PLACED, order=own)
    yield _of("place_order", "unknown", {**_PLACED, "client_order_id": "another"})
    yield _of("cancel_order", "canceled", {"id": 77, "amount": 0.02, "price": 2100.45, "type": 0, "market": "BTC/USDT"})
    yield _of("cancel_order", "pending", {"id": "77", "status": "Cancel pending"})
    yield _of("cancel_order", "unknown", {"id": 78, "amount": 0.02, "price": 2100.45, "type": 0})
    yield _of("cancel_order", "not-found", _error("404.002", "Order not found"), 404)
    states = (("Open", "1.00000000", "partially_filled"), ("Canceled", "1.00000000", "canceled"))
    for told, left, status in (*states, ("Expired", "1.00000000", "expired")):
        transactions = [{"tid": 1, "price": "50.00", "btc": "0.50000000", "usdt": "25.00", "fee": "0.1", "type": 2}]
        body = {**_STATE, "status": told, "amount_remaining": left, "transactions": transactions}
        yield _of("find_order", "found", body, order=_with(status))


def _with(status: Any) -> Order:
    return replace(_FOUND, status=status)


def _of(operation: Any, means: Meaning, body: object, status: int = 200, **more: Any) -> Example:
    return Example(operation=operation, means=means, reply=Reply(_text(body), status), **more)


def _error(code: str, reason: object) -> dict[str, object]:
    return {"status": "error", "reason": reason, "response_code": code}


def _text(body: object) -> bytes:
    return json.dumps(body).encode()
