"""What the exchange checks before it looks at a request: parameters, key, time and signature, with its own codes.

rest-api.md ("Request Security", "New order (TRADE)") and errors.md of 2026-07-21. Serves ``fake`` only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote

_NUMBER: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_WHOLE: Final = r"^[0-9]{1,20}$"
_LEGAL: Final = {
    **dict.fromkeys(("quantity", "quoteOrderQty", "price", "stopPrice", "icebergQty"), _NUMBER),
    **dict.fromkeys(("orderId", "limit", "fromId", "timestamp", "trailingDelta", "strategyId", "strategyType"), _WHOLE),
    **dict.fromkeys(("newClientOrderId", "origClientOrderId"), r"^[a-zA-Z0-9-_]{1,36}$"),
    "pegOffsetValue": _WHOLE,
    "recvWindow": r"^[0-9]{1,5}(\.[0-9]{1,3})?$",
}
_TIMED: Final = frozenset({"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
_CONDITIONAL: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
_TRIGGERS: Final = frozenset({"stopPrice", "trailingDelta"})
PRICED: Final = _TIMED | {"LIMIT_MAKER"}
"""Types of orders with a price of their own."""
TYPES: Final = PRICED | {"MARKET", "STOP_LOSS", "TAKE_PROFIT"}
OWN: Final = tuple(
    "trailingDelta icebergQty strategyId strategyType selfTradePreventionMode pegPriceType pegOffsetValue".split()
)
"""Parameters of an order that ExGate knows as options of this exchange."""
_ORDER: Final = frozenset(
    """symbol side type timeInForce quantity quoteOrderQty price newClientOrderId stopPrice newOrderRespType
    pegOffsetType""".split()
) | {*OWN}
_SIGNED: Final = frozenset({"recvWindow", "timestamp", "signature"})
_ONE: Final = frozenset({"symbol", "orderId", "origClientOrderId"})
_PAGE: Final = frozenset({"symbol", "limit", "fromId"})


class Problem(Exception):
    """What is wrong with a request, as the exchange says it."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


class Keys(Protocol):
    """The credentials that are accepted."""

    @property
    def api_key(self) -> str: ...
    @property
    def api_secret(self) -> str: ...


class Route(NamedTuple):
    """One endpoint."""

    operation: str
    allowed: frozenset[str]
    signed: bool = True


ROUTES: Final = {
    "GET /api/v3/time": Route("", frozenset(), signed=False),
    "GET /api/v3/exchangeInfo": Route("markets", frozenset({"showPermissionSets"}), signed=False),
    "GET /api/v3/depth": Route("depth", frozenset({"symbol", "limit"}), signed=False),
    "GET /api/v3/trades": Route("recent_trades", frozenset({"symbol", "limit"}), signed=False),
    "GET /api/v3/historicalTrades": Route("recent_trades", _PAGE, signed=False),
    "GET /api/v3/aggTrades": Route("recent_trades", _PAGE, signed=False),
    "GET /api/v3/account": Route("balances", frozenset({"omitZeroBalances"})),
    "POST /api/v3/order": Route("place_order", _ORDER),
    "DELETE /api/v3/order": Route("cancel_order", _ONE),
    "GET /api/v3/order": Route("find_order", _ONE),
    "GET /api/v3/openOrders": Route("pending_orders", frozenset({"symbol"})),
    "GET /api/v3/allOrders": Route("find_order", frozenset({"symbol", "orderId", "limit"})),
    "GET /api/v3/myTrades": Route("find_order", _PAGE | {"orderId"}),
}
_WEIGHTS: Final = {
    # endpoint: (Binance, Binance.US), as their documents state it; with one symbol, with an order id where that matters
    "GET /api/v3/exchangeInfo": (20, 10),
    "GET /api/v3/trades": (25, 1),
    "GET /api/v3/historicalTrades": (25, 5),
    "GET /api/v3/aggTrades": (4, 1),
    "GET /api/v3/account": (20, 10),
    "GET /api/v3/order": (4, 2),
    "GET /api/v3/openOrders": (6, 3),
    "GET /api/v3/allOrders": (20, 10),
    "GET /api/v3/myTrades": (20, 10),
}
_DEPTH: Final = ((100, 5, 1), (500, 25, 5), (1000, 50, 10), (5000, 250, 50))


def weight_of(method: str, path: str, form: dict[str, str], *, us: bool) -> int:
    """What a request costs."""
    if path == "/api/v3/depth":
        limit = int(form.get("limit", 100))
        row = next((row for row in _DEPTH if limit <= row[0]), _DEPTH[-1])
        return row[2] if us else row[1]
    if path == "/api/v3/openOrders" and "symbol" not in form:
        return 40 if us else 80
    if path == "/api/v3/myTrades" and "orderId" in form and not us:
        return 5
    return _WEIGHTS.get(f"{method} {path}", (1, 1))[us]


def check_signed(text: str, key: str, keys: Keys, now_ms: int) -> None:
    """The key, the signature over what was sent, and its time. Raises Problem."""
    if not re.fullmatch(r"[A-Za-z0-9]{64}", key):
        raise Problem(-2014, "API-key format invalid.", 401)
    if key != keys.api_key:
        raise Problem(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    form = dict(parse_qsl(text, keep_blank_values=True))
    for name in ("timestamp", "signature"):
        needed(form, name)
    payload, _, signature = text.rpartition("&signature=")
    right = hmac.new(keys.api_secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right, unquote(signature).lower()):
        raise Problem(-1022, "Signature for this request is not valid.")
    _check_time(form, now_ms)


def _check_time(form: dict[str, str], now_ms: int) -> None:
    window, stamp = float(form.get("recvWindow", 5000)), int(form["timestamp"])
    if window > 60_000:
        raise Problem(-1131, "recvWindow must be less than 60000")
    if stamp >= now_ms + 1000:
        raise Problem(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - stamp > window:
        raise Problem(-1021, "Timestamp for this request is outside of the recvWindow.")


def check_form(text: str, route: Route) -> dict[str, str]:
    """The fields of a request, each known to the endpoint, legal and sent once. Raises Problem."""
    pairs = parse_qsl(text, keep_blank_values=True)
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Problem(-1101, "Duplicate values for a parameter detected.")
    for name, value in form.items():
        if not value:
            raise Problem(-1105, f"Parameter '{name}' was empty.")
        if name in _LEGAL and not re.match(_LEGAL[name], value):
            raise Problem(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_LEGAL[name]}'.")
    read = len([name for name in form if name in route.allowed or (route.signed and name in _SIGNED)])
    if len(form) > read:
        text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(form)}'."
        raise Problem(-1104, text)
    return form


def needed(form: dict[str, str], name: str) -> str:
    """A field that must be there. Raises Problem."""
    if not form.get(name):
        raise Problem(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return form[name]


def limit_of(form: dict[str, str], default: int) -> int:
    """The size of a page. Raises Problem."""
    limit = int(form.get("limit", default))
    if limit < 1:
        raise Problem(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def page_of(form: dict[str, str]) -> int:
    """The size of a page of trades or orders, "Default: 500; Maximum: 1000". Raises Problem for more."""
    limit = limit_of(form, 500)
    if limit > 1000:
        raise Problem(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def check_history(host: str, headers: Mapping[str, str]) -> None:
    """ "Old trade lookup" wants a key on the exchange of the United States. Raises Problem."""
    if host.endswith(".us") and not headers.get("x-mbx-apikey"):
        raise Problem(-2014, "API-key format invalid.", 401)


def refusal_of_stream(number: int, asked: Any) -> dict[str, Any]:
    """How a request over the WebSocket is refused ("Live Subscribing/Unsubscribing to streams")."""
    shapes: tuple[dict[str, Any], ...] = (
        {"code": 0, "msg": "Unknown property", "id": asked},
        {"error": {"code": 2, "msg": "Invalid request: unknown stream"}, "id": asked},
        {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 73"},
    )
    return shapes[number]


def named(form: dict[str, str]) -> tuple[str, str]:
    """The order that is meant: its id, its client id. Raises Problem."""
    if "orderId" not in form and "origClientOrderId" not in form:
        raise Problem(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    return form.get("orderId", ""), form.get("origClientOrderId", "")


def kind_of(form: dict[str, str]) -> str:
    """The order's type, if everything that it needs is there and nothing that it doesn't take. Raises Problem."""
    kind = needed(form, "type")
    if kind not in TYPES:
        raise Problem(-1116, "Invalid orderType.")
    if needed(form, "side") not in ("BUY", "SELL"):
        raise Problem(-1117, "Invalid side.")
    for name, takes in (("timeInForce", kind in _TIMED), ("price", kind in PRICED)):
        if takes:
            needed(form, name)
        elif name in form:
            raise Problem(-1106, f"Parameter '{name}' sent when not required.")
    if kind != "MARKET" or "quoteOrderQty" not in form:
        needed(form, "quantity")
    _check_conditions(kind, form)
    return kind


def _check_conditions(kind: str, form: dict[str, str]) -> None:
    triggers = _TRIGGERS & form.keys()
    if kind in _CONDITIONAL and not triggers:
        raise Problem(-1102, "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!")
    if kind not in _CONDITIONAL and triggers:
        raise Problem(-1106, "Parameter 'stopPrice' sent when not required.")
    if form.get("timeInForce", "GTC") not in ("GTC", "IOC", "FOK"):
        raise Problem(-1115, "Invalid timeInForce.")
    if "icebergQty" in form and (kind not in PRICED or form.get("timeInForce", "GTC") != "GTC"):
        raise Problem(-2010, "Unsupported order combination")
