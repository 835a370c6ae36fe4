"""What Kraken checks of a private request before its engine sees it, in Kraken's words. For the kit only.

docs.kraken.com: "Spot REST Authentication", "Add Order", "Spot Error Messages", "Spot Client Order Identifiers".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from exgate_testing.fakes import Keys, Request

from exgate_core import numbers
from exgate_core.errors import DUPLICATE

from . import signing

KINDS: Final = frozenset(
    "market limit iceberg stop-loss take-profit stop-loss-limit take-profit-limit trailing-stop".split()
)
STOPS: Final = frozenset("stop-loss take-profit stop-loss-limit take-profit-limit trailing-stop".split())
_FIELDS: Final = frozenset(
    """nonce ordertype type volume pair userref cl_ord_id displayvol price price2 trigger leverage reduce_only stptype
    oflags timeinforce starttm expiretm deadline validate""".split()
)
_CLIENT_ID: Final = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}|[ -~]{1,18}", re.ASCII)
_CHOICES: Final[Mapping[str, frozenset[str]]] = {
    "ordertype": KINDS,
    "type": frozenset({"buy", "sell"}),
    "timeinforce": frozenset({"GTC", "IOC", "GTD", "FOK"}),
    "trigger": frozenset({"last", "index"}),
    "stptype": frozenset({"cancel-newest", "cancel-oldest", "cancel-both"}),
}
REFUSALS: Final[Mapping[str, str]] = {
    "INSUFFICIENT_BALANCE": "EOrder:Insufficient funds",
    "WOULD_TAKE": "EOrder:Post only order",
    "BAD_PRICE": "EOrder:Tick size check failed",
    "BAD_AMOUNT": "EOrder:Order minimum not met",
    "MIN_NOTIONAL": "EOrder:Cost minimum not met",
    "UNKNOWN_SYMBOL": "EQuery:Unknown asset pair",
    DUPLICATE: "EGeneral:Invalid arguments:cl_ord_id",  # the document says that it is checked, not in which words
}
_LEAST, _MOST = 0.0, 60.0
"""Seconds from now on within which a deadline must lie; on arrival some of its least two are gone."""


class Problem(Exception):
    """One of Kraken's errors."""


class Gate:
    """The check of key, signature and nonce."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._last = 0

    def check(self, request: Request, form: Mapping[str, str]) -> None:
        """Raise Problem unless the request may pass; its nonce counts from then on."""
        if request.headers.get("api-key") != self._keys.api_key:
            raise Problem("EAPI:Invalid key")
        nonce, secret = form.get("nonce", ""), signing.key_of(self._keys.api_secret)
        if request.headers.get("api-sign") != signing.sign(request.path, nonce, request.body.decode(), secret):
            raise Problem("EAPI:Invalid signature")
        if not nonce.isdecimal() or not self._last < int(nonce) < 2**64:
            raise Problem("EAPI:Invalid nonce")
        self._last = int(nonce)


def check_order(form: Mapping[str, str], now: float) -> None:
    """Raise Problem for what ``AddOrder`` doesn't take; ``now`` in seconds since the epoch."""
    kind = form.get("ordertype", "")
    checks: dict[str, Callable[[], bool]] = {
        **{name: partial(_chosen, form, name) for name in _CHOICES},
        "volume": lambda: numbers.is_positive(form.get("volume", "")),
        "price": lambda: _price(kind, form.get("price", "")),
        "price2": lambda: numbers.is_positive(form.get("price2", "")) == kind.endswith("-limit"),
        "displayvol": lambda: ("displayvol" in form) == (kind == "iceberg"),
        "expiretm": lambda: ("expiretm" in form) == (form.get("timeinforce") == "GTD"),
        "oflags": lambda: _flags(form),
        "cl_ord_id": lambda: "userref" not in form and bool(_CLIENT_ID.fullmatch(form.get("cl_ord_id", "-"))),
        "deadline": lambda: "deadline" not in form or _LEAST < _deadline(form) - now <= _MOST,
    }
    wrong = [*sorted(set(form) - _FIELDS), *(name for name, right in checks.items() if not right())]
    if wrong:
        raise Problem(f"EGeneral:Invalid arguments:{wrong[0]}")


def _chosen(form: Mapping[str, str], name: str) -> bool:
    return form[name] in _CHOICES[name] if name in form else name not in ("ordertype", "type")


def _price(kind: str, price: str) -> bool:
    if kind == "market":
        return not price
    return numbers.is_positive(price.removeprefix("+").removesuffix("%")) and (kind == "trailing-stop") == (
        "+" in price
    )


def _flags(form: Mapping[str, str]) -> bool:
    flags = set(form["oflags"].split(",")) if "oflags" in form else set[str]()
    post = "post" not in flags or form["ordertype"] == "limit"
    quote = "viqc" not in flags or (form["ordertype"], form["type"]) == ("market", "buy")
    return flags <= {"post", "fcib", "fciq", "viqc"} and post and quote and not flags >= {"fcib", "fciq"}


def _deadline(form: Mapping[str, str]) -> float:
    try:
        return datetime.fromisoformat(form["deadline"]).timestamp()
    except ValueError:
        return 0.0
