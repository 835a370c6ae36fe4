"""OKX's own answers, and what each means: "Error Code" and "Order Book Trading - Trade" of www.okx.com/docs-v5/en,
2026-06-27. Only the fake imports this module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from exgate_testing.fakes import Reply
from exgate_testing.own import Example

from exgate_core.errors import DUPLICATE
from exgate_core.models import Order

_NUMBER: Final = "77"
_AUTH: Final = "EXCHANGE_AUTH_FAILED"

_REFUSED: Final = (
    (400, "50014", "Parameter px can not be empty.", ""),
    (200, "50030", "You don't have permission to use this API endpoint", ""),
    (401, "50101", "APIKey does not match current environment.", _AUTH),
    (401, "50103", 'Request header "OK-ACCESS-KEY" cannot be empty.', _AUTH),
    (401, "50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.', _AUTH),
    (401, "50110", "Your IP 1.2.3.4 is not included in your API key's IP whitelist.", _AUTH),
    (401, "50111", "Invalid OK-ACCESS-KEY.", _AUTH),
    (401, "50113", "Invalid signature.", _AUTH),
    (200, "50120", "This API key doesn't have permission to use this function", _AUTH),
    (400, "51000", "Parameter instId error", ""),
    (200, "51001", "Instrument ID doesn't exist.", "UNKNOWN_SYMBOL"),
)
"""On top, of every private request."""
_UNKNOWN: Final = (
    (503, "50001", "Service temporarily unavailable. Please try again later."),
    (400, "50004", "API endpoint request timeout."),
    (429, "50013", "Systems are busy. Please try again later."),
    (500, "50026", "System error. Try again later"),
    (200, "1", "Operation failed."),
)
_ORDERS: Final = (
    ("51008", "Order failed. Insufficient USDT balance in account", "refused", "INSUFFICIENT_BALANCE"),
    ("51006", "Order price is not within the price limit", "refused", "BAD_PRICE"),
    ("51010", "Request unsupported under current account mode", "refused", ""),
    ("51016", "Client order ID already exists.", "refused", DUPLICATE),
    ("51020", "Your order should meet or exceed the minimum order amount.", "refused", "TOO_SMALL"),
    ("51121", "Order quantity must be a multiple of the lot size.", "refused", "BAD_AMOUNT"),
    ("51149", "Order timed out. Please try again.", "unknown", ""),
    ("54036", "You can't place fill or kill orders when self-trade prevention is set to both.", "refused", ""),
)
_CANCELS: Final = (
    ("0", "", "pending"),
    ("51400", "Order cancellation failed as the order has been filled, canceled or does not exist.", "not-found"),
    ("51404", "Order cancellation unavailable during the second phase of call auction.", "refused"),
    ("51410", "Cancellation failed as the order is already in canceling status.", "pending"),
    ("51412", "Cancellation timed out, please try again later.", "unknown"),
)


def _reply(code: str, message: str, data: list[dict[str, str]], status: int = 200) -> Reply:
    return Reply(json.dumps({"code": code, "msg": message, "data": data}).encode(), status)


def _row(code: str, message: str, order_id: str, name: str) -> list[dict[str, str]]:
    return [{"clOrdId": name, "ordId": order_id, "tag": "", "ts": "1695190491421", "sCode": code, "sMsg": message}]


def _everywhere(operation: Any) -> Iterator[Example]:
    doubt: Any = "unknown" if operation in ("place_order", "cancel_order") else "unavailable"
    for status, code, message, reason in _REFUSED:
        if operation != "find_order" or code != "51001":  # there the other places are asked then
            reply = _reply(code, message, [], status)
            yield Example(operation=operation, reply=reply, means="refused", reason=reason)
    for status, code, message in _UNKNOWN:
        yield Example(operation=operation, reply=_reply(code, message, [], status), means=doubt)
    limits = ((200, "50011", "Rate limit reached."), (429, "50011", "Too Many Requests"))
    for status, code, message in limits if operation != "cancel_order" else ():
        reply = _reply(code, message, [], status)
        own = operation == "place_order"
        yield Example(operation=operation, reply=reply, means="limited", wait=2.0, orders_only=own)


def _orders() -> Iterator[Example]:
    for code, message, means, reason in _ORDERS:
        reply = _reply("1", "", _row(code, message, "", ""))
        yield Example(operation="place_order", reply=reply, means=means, reason=reason)  # type: ignore[arg-type]
    placed = Order(order_id=_NUMBER, symbol="", side="buy", type="limit", price="1", amount="1")
    reply = _reply("0", "", _row("0", "", _NUMBER, ""))
    yield Example(operation="place_order", reply=reply, means="placed", order=placed)
    yield Example(operation="place_order", reply=_reply("0", "", _row("0", "", _NUMBER, "example0")), means="unknown")
    for code, message, means in _CANCELS:
        reply = _reply("0" if code == "0" else "1", "", _row(code, message, _NUMBER, ""))
        yield Example(operation="cancel_order", reply=reply, means=means)  # type: ignore[arg-type]
    yield Example(operation="cancel_order", reply=_reply("0", "", _row("0", "", "78", "")), means="unknown")


def _found() -> Iterator[Example]:
    """The example of "GET / Order details": a market buy by quote amount."""
    row = {
        "accFillSz": "0.00192834",
        "avgPx": "51858",
        "cTime": "1708587373361",
        "clOrdId": "",
        "instId": "BTC-USDT",
        "instType": "SPOT",
        "ordId": _NUMBER,
        "ordType": "market",
        "px": "",
        "side": "buy",
        "state": "filled",
        "sz": "100",
        "tgtCcy": "quote_ccy",
        "tdMode": "cash",
    }
    order = Order(
        order_id=_NUMBER,
        symbol="BTC/USDT",
        side="buy",
        type="market",
        price="0",
        amount="0",
        status="filled",
        filled="0.00192834",
        time=1708587373361,
        native_symbol="BTC-USDT",
    )
    yield Example(operation="find_order", reply=_reply("0", "", [row]), means="found", order=order)
    other = _reply("0", "", [{**row, "ordId": "78"}])
    yield Example(operation="find_order", reply=other, means="unavailable")


def all_examples() -> list[Example]:
    """For the market BTC-USDT."""
    operations = ("place_order", "cancel_order", "find_order", "balances")
    return [*(one for name in operations for one in _everywhere(name)), *_orders(), *_found()]
