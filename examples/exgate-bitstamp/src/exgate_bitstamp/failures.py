"""What Bitstamp's errors prove (HTTP API v2: "Response codes"; errors of authentication: "Authentication").

An error is ``{"status": "error", "reason": ..., "response_code": "400.009"}``, one of authentication has ``code``
(``API0005``) instead. A code of a class that refuses is a refusal. An answer without a code, or with one of the
class 500, proves nothing: an order may have been placed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from exgate_core.errors import DUPLICATE, ExGateError, NotFound, RateLimited, Refused, Unavailable
from exgate_core.fetch import Response, failure
from msgspec import Struct

PAUSE: Final = 10.0
"""Seconds to wait after a refusal because of the rate, where the exchange names none."""

_RATE: Final = "400.002"
_MISSING: Final = frozenset({"404.001", "404.002"})
_REFUSING: Final = re.compile(r"40[0-9]\.\d{3}", re.ASCII)
_OF_KEYS: Final = re.compile(r"API\d{4}", re.ASCII)
_REASONS: Final[Mapping[str, str]] = {
    "400.003": "MARKET_CLOSED",
    "404.003": "UNKNOWN_SYMBOL",
    "400.009": "INSUFFICIENT_BALANCE",
    "400.075": "INSUFFICIENT_BALANCE",
    "400.019": DUPLICATE,
    "400.020": "MIN_NOTIONAL",
    "400.021": "BAD_PRICE",
    "400.026": "BAD_AMOUNT",
}
_LONGEST: Final = 200


class _Failure(Struct, frozen=True):
    status: str = ""
    reason: Any = None
    error: Any = None
    code: str = ""
    response_code: str = ""
    response_explanation: str = ""

    @property
    def is_one(self) -> bool:
        return self.status == "error" or bool(self.code or self.response_code or self.error)


_FAILURE: Final = msgspec.json.Decoder(_Failure)


def judged(response: Response) -> ExGateError | None:
    """The error that an answer stands for; None for a 200 that is none."""
    said = _read(response.body)
    if said is None:
        return None if response.status == 200 else _wall(response)
    code = said.response_code or said.code
    text = " ".join(f"{code} {_words(said.reason or said.error or said.response_explanation)}".split())[:_LONGEST]
    if code == _RATE or response.status in (418, 429):
        return RateLimited(text, retry_after=response.retry_after or PAUSE)
    if response.status >= 500:
        return Unavailable(text)
    if _OF_KEYS.fullmatch(code):
        return Refused(text, reason="EXCHANGE_AUTH_FAILED")
    if code in _MISSING:
        return NotFound(text, reason="NO_SUCH_ORDER")
    if _REFUSING.fullmatch(code):
        return Refused(text, reason=_REASONS.get(code, ""))
    return Unavailable(text)


def _wall(response: Response) -> ExGateError:
    """An answer that isn't Bitstamp's own proves nothing, but that there were too many requests."""
    if response.status in (418, 429):
        return failure(response)
    return Unavailable(f"Bitstamp answered {response.status} without an error of its own")


def _read(body: bytes) -> _Failure | None:
    try:
        found = _FAILURE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.is_one else None


def _words(value: Any) -> str:
    """A reason is a text, or texts by field: ``{"__all__": ["..."]}``."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name.replace('__all__', '')} {_words(inner)}".strip() for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return "" if value is None else str(value)
