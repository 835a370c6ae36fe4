"""Kraken's answers and what they mean, for the kit only.

docs.kraken.com, "Spot Error Messages" and "Spot REST Introduction" (read at 2026-05-27), "Spot REST Rate Limits" and
"Add Order" (2026-08); support.kraken.com, "API error messages".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from exgate_testing.fakes import Reply
from exgate_testing.own import Example

from exgate_core.errors import DUPLICATE
from exgate_core.models import Order

_REFUSED: Final = {
    "EOrder:Insufficient funds": "INSUFFICIENT_BALANCE",
    "EOrder:Order minimum not met": "BAD_AMOUNT",
    "EOrder:Cost minimum not met": "MIN_NOTIONAL",
    "EOrder:Tick size check failed": "BAD_PRICE",
    "EOrder:Post only order": "WOULD_TAKE",
    "EOrder:Orders limit exceeded": "",
    "EOrder:Trading agreement required": "",
    "EGeneral:Invalid arguments": "",
    "EGeneral: Invalid arguments:ordertype": "",
    "EGeneral:Permission denied": "PERMISSION_DENIED",
    "EAPI:Invalid key": "BAD_CREDENTIALS",
    "EAPI:Invalid signature": "BAD_CREDENTIALS",
    "EAPI:Invalid nonce": "INVALID_NONCE",
    "EQuery:Unknown asset pair": "UNKNOWN_SYMBOL",
    "EService:Market in cancel_only mode": "",
    "EService:Market in post_only mode": "",
    "EAuth:Account temporary disabled": "",
    "EBM:limit exceeded:CAL": "",
    "EGeneral:Invalid arguments:cl_ord_id": DUPLICATE,
}
_UNKNOWN: Final = (
    "EService:Unavailable",
    "EService:Busy",
    "EService:Timeout",
    "EService:Deadline elapsed",
    "EGeneral:Internal error",
    "EDatabase:Internal error",
    "ESomething:That nobody knows yet",
)
_LIMITED: Final = {
    "EAPI:Rate limit exceeded": 5.0,
    "EOrder:Rate limit exceeded": 5.0,
    "EGeneral:Too many requests": 3.0,
    "EService:Throttled": 5.0,
    "EGeneral:Temporary lockout": 900.0,
}
_TXID: Final = "OUF4EM-FRGI2-MQMWZD"
_PLACED: Final = Order(order_id=_TXID, symbol="BTC/USDT", side="buy", type="limit", price="0", amount="0")
_PAGES: Final = (
    Reply(b"<html><title>520: Web server is returning an unknown error</title></html>", 520),
    Reply(b"<html><title>Attention Required! | Cloudflare</title></html>", 403),
    Reply(b'{"error":["EOrder:Insufficient funds"]}', 503),
)


def _said(*errors: str, result: object = None) -> Reply:
    return Reply(json.dumps({"error": errors} | ({} if result is None else {"result": result})).encode())


def _examples() -> Iterator[Example]:
    for text, reason in _REFUSED.items():
        yield Example(operation="place_order", reply=_said(text), means="refused", reason=reason)
    for reply in (*map(_said, _UNKNOWN), *_PAGES, _said(), _said(result={"txid": []}), _said(result={"txid": ["1"]})):
        yield Example(operation="place_order", reply=reply, means="unknown")
    yield Example(operation="place_order", reply=_said("EOrder:Insufficient funds", _UNKNOWN[0]), means="unknown")
    placed = _said(result={"txid": [_TXID], "descr": {}})
    yield Example(operation="place_order", reply=placed, means="placed", order=_PLACED)
    for reply in (*map(_said, _UNKNOWN), *_PAGES, _said()):
        yield Example(operation="balances", reply=reply, means="unavailable")
    yield Example(operation="balances", reply=_said("EGeneral:Permission denied"), means="refused")
    for text, wait in _LIMITED.items():
        yield Example(operation="place_order", reply=_said(text), means="limited", wait=wait)
        yield Example(operation="balances", reply=_said(text), means="limited", wait=wait)


EXAMPLES: Final = tuple(_examples())
"""For ``place_order`` and ``balances``; what cancels and look-ups make of answers stands in the package's own tests."""
