"""What OKX checks before anything happens: who asks, and whether an order is one. Only the fake imports this module."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from exgate_testing.fakes import Keys, Request, Simulation

from exgate_core.models import Level, OrderRequest, Side, TimeInForce

from .signing import signature

ROUTES: Final = {
    "GET /public/instruments": "markets",
    "GET /market/books": "depth",
    "GET /market/books-full": "depth",
    "GET /market/trades": "recent_trades",
    "GET /market/history-trades": "recent_trades",
    "GET /account/balance": "balances",
    "POST /trade/order": "place_order",
    "POST /trade/batch-orders": "place_order",
    "GET /trade/order": "find_order",
    "POST /trade/cancel-order": "cancel_order",
    "GET /trade/orders-pending": "pending_orders",
    "GET /trade/fills-history": "find_order",
    "GET /trade/orders-history": "find_order",
    "GET /trade/orders-history-archive": "find_order",
    "GET /trade/fills": "find_order",
}
"""The hook that each request belongs to."""
PRIVATE: Final = frozenset(route for route in ROUTES if "/trade/" in route or "/account/" in route)

_LIFETIME_MS: Final = 30_000
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_TAG: Final = re.compile(r"[A-Za-z0-9]{1,16}", re.ASCII)
_SIZE: Final = re.compile(r"\d+(\.\d+)?", re.ASCII)
_SLIPPAGE: Final = re.compile(r"0(\.0[0-4]\d{0,2}|\.05)?", re.ASCII)
_FORCES: Final[Mapping[str, TimeInForce]] = {"limit": "GTC", "post_only": "GTC", "ioc": "IOC", "fok": "FOK"}
_CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "tdMode": ("cash",),
    "side": ("buy", "sell"),
    "ordType": ("limit", "market", "post_only", "ioc", "fok"),
    "tgtCcy": ("", "base_ccy", "quote_ccy"),
    "stpMode": ("", "cancel_maker", "cancel_taker", "cancel_both"),
    "pxAmendType": ("", "0", "1"),
    "banAmend": (True, False),
    "isElpTakerAccess": (True, False),
}
_PATTERNS: Final = {"clOrdId": _NAME, "tag": _TAG, "sz": _SIZE, "px": _SIZE, "slippagePct": _SLIPPAGE}


class Problem(Exception):
    """An answer that is an error: status and body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"code": code, "msg": message, "data": []}

    @classmethod
    def of_order(cls, code: str, message: str, client_order_id: str, order_id: str = "") -> Problem:
        """A refusal that stands in the order's own row."""
        problem = cls(200, "1", "All operations failed")
        row = {"clOrdId": client_order_id, "ordId": order_id, "tag": "", "sCode": code, "sMsg": message}
        problem.body["data"] = [row]
        return problem


def check_signed(request: Request, keys: Keys, now_ms: int) -> None:
    """ "REST Authentication", and the codes of "API Class". Raises Problem."""
    given = _given(request)
    if given["key"] != keys.api_key:
        raise Problem(401, "50111", "Invalid OK-ACCESS-KEY.")
    if not _STAMP.fullmatch(given["timestamp"]):
        raise Problem(401, "50112", "Invalid OK-ACCESS-TIMESTAMP.")
    stamp = datetime.strptime(given["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp() * 1000
    if abs(stamp - now_ms) > _LIFETIME_MS:
        raise Problem(401, "50102", "Timestamp request expired.")
    if given["passphrase"] != keys.passphrase:
        raise Problem(401, "50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.')
    target = f"{request.path}?{request.query}" if request.query else request.path
    if given["sign"] != signature(keys.api_secret, given["timestamp"], request.method, target, request.body.decode()):
        raise Problem(401, "50113", "Invalid signature.")
    if request.method == "POST":
        _check_post(request, now_ms)


def _given(request: Request) -> dict[str, str]:
    names = {"50103": "key", "50104": "passphrase", "50106": "sign", "50107": "timestamp"}
    given = {name: request.headers.get(f"ok-access-{name}", "") for name in names.values()}
    for code, name in names.items():
        if not given[name]:
            raise Problem(401, code, f'Request header "OK-ACCESS-{name.upper()}" cannot be empty.')
    return given


def _check_post(request: Request, now_ms: int) -> None:
    if request.headers.get("content-type") != "application/json":
        raise Problem(400, "50006", 'Invalid Content-Type. Please use "application/JSON".')
    if int(request.headers.get("exptime", now_ms)) < now_ms:
        raise Problem(200, "50036", "The expTime can't be earlier than the current system time.")


def needed(form: Mapping[str, Any], name: str) -> str:
    """A field that must be there. Raises Problem."""
    if not form.get(name):
        raise Problem(400, "50014", f"Parameter {name} can not be empty.")
    return str(form[name])


def limit_of(form: Mapping[str, str], name: str, most: int, usual: int) -> int:
    """How many rows are asked for. Raises Problem."""
    text = form.get(name) or str(usual)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise Problem(400, "51000", f"Parameter {name} error")
    return int(text)


def order_of(form: Mapping[str, Any], simulation: Simulation) -> OrderRequest:
    """The order that a body asks for. Raises Problem, Refused (UNKNOWN_SYMBOL)."""
    market = simulation.market_by_id(needed(form, "instId"))
    for name in ("tdMode", "side", "ordType", "sz"):
        needed(form, name)
    wrong = [name for name in form if not _fits(name, form[name], market.quote)]
    if wrong:
        raise Problem(400, "51000", f"Parameter {wrong[0]} error")
    kind, size = form["ordType"], form["sz"]
    if kind == "fok" and form.get("stpMode") == "cancel_both":
        raise Problem(200, "54036", "You can't place fill or kill orders when self-trade prevention is set to both.")
    if kind != "market" and not form.get("px"):
        raise Problem(200, "51204", "The price for the limit order cannot be empty.")
    unit = form.get("tgtCcy") or ("quote_ccy" if form["side"] == "buy" else "base_ccy")
    in_quote = kind == "market" and unit == "quote_ccy"
    return OrderRequest(
        market=market,
        side=cast(Side, form["side"]),
        type="market" if kind == "market" else "limit",
        client_order_id=form.get("clOrdId", ""),
        price="" if kind == "market" else form["px"],
        amount="" if in_quote else size,
        quote_amount=size if in_quote else "",
        time_in_force=_FORCES.get(kind, "GTC"),
        post_only=kind == "post_only",
    )


def _fits(name: str, value: Any, quote: str) -> bool:
    if name in _CHOICES:
        return any(value is choice or value == choice for choice in _CHOICES[name] if type(choice) is type(value))
    if name in _PATTERNS:
        return isinstance(value, str) and _PATTERNS[name].fullmatch(value) is not None
    return name == "instId" or (name == "tradeQuoteCcy" and value == quote)


def ordered_type(request: OrderRequest) -> str:
    """``ordType`` of an order that was accepted."""
    if request.type == "market":
        return "market"
    return "post_only" if request.post_only else {"GTC": "limit", "IOC": "ioc", "FOK": "fok"}[request.time_in_force]


def changes(before: Sequence[Level], now: Sequence[Level]) -> list[Level]:
    """Public data of a book stream: what turns one window of the book into the next: levels that left it are gone."""
    there, new = dict(before), dict(now)
    gone = [(price, "0") for price in there if price not in new]
    return gone + [(price, amount) for price, amount in now if there.get(price) != amount]
