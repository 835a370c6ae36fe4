"""What an answer other than 200 proves (rest-api.md "HTTP Return Codes", errors.md, 2026-07-21). Pure.

4xx are "malformed requests": a code on the list below, in the exchange's own JSON, proves that no order came of it.
5xx mean that "the execution status is UNKNOWN and could have been a success", whatever they hold; so do codes that say
so themselves (-1006, -1007), those of an exchange that is busy or about to stop, and any code that isn't on the list.
403 and 451 come from a wall in front of the exchange and prove nothing either.
"""

from __future__ import annotations

from typing import Final

from exgate_core.errors import DUPLICATE, ExGateError, NotFound, Refused, Unavailable
from exgate_core.fetch import Response, failure

from . import parse

CLOCK: Final = -1021
UNFILLED_ORDERS: Final = -1015
"""Too many unfilled orders: a limit of the account, which stops neither questions nor cancels."""

_KEYS: Final = (-1002, -1022, -2014, -2015)
_UNKNOWN_ORDER: Final = "unknown order sent"
_ARCHIVED: Final = -2026
_MISSING: Final = (-2013, _ARCHIVED)
_ENGINE: Final = (-1010, -2010, -2011)
_DEFINITE: Final = frozenset({CLOCK, -1013, -1014, -1020, -2039, *_KEYS, *_ENGINE, *range(-1225, -1099)})
"""Refusals: of the request (-11xx, -12xx), of the key, by a filter (-1013), by the matching engine (-1010, -20xx)."""

_REASONS: Final = {
    CLOCK: "CLOCK_SKEW",
    -1121: "UNKNOWN_SYMBOL",
    -1111: "BAD_PRECISION",
    **dict.fromkeys(_KEYS, "EXCHANGE_AUTH_FAILED"),
}
_MEANINGS: Final = (
    ("insufficient balance", "INSUFFICIENT_BALANCE"),
    ("immediately match and take", "WOULD_TAKE"),
    ("trigger immediately", "WOULD_TRIGGER"),
    ("price_filter", "BAD_PRICE"),
    ("percent_price", "BAD_PRICE"),
    ("lot_size", "BAD_AMOUNT"),
    ("notional", "MIN_NOTIONAL"),
    ("market is closed", "MARKET_CLOSED"),
)
NO_RETRY_AFTER: Final = 10.0
"""Seconds to wait where the exchange names none, as Binance.US does for orders."""


def of_order(response: Response) -> ExGateError:
    """What to raise after ``POST /api/v3/order``: Refused and RateLimited are proofs, Unavailable is none."""
    code, text = parse.error(response.body)
    if _is_answer(response) and code in _ENGINE and text.lower().startswith("duplicate order"):
        return _refused(response, code, text, reason=DUPLICATE)
    return _of_change(response, code, text)


def of_cancel(response: Response) -> ExGateError:
    """What to raise after ``DELETE /api/v3/order``; NotFound = the order isn't among the open ones."""
    code, text = parse.error(response.body)
    if _is_answer(response) and (code in _MISSING or text.lower().startswith(_UNKNOWN_ORDER)):
        return NotFound(f"{code} {text}", reason="UNKNOWN_ORDER", metadata={"exchange_code": str(code)})
    return _of_change(response, code, text)


def of_question(response: Response) -> ExGateError:
    """What to raise after a signed question."""
    code, text = parse.error(response.body)
    if _is_answer(response) and code in _MISSING:
        return NotFound(f"{code} {text}", reason="UNKNOWN_ORDER", metadata={"exchange_code": str(code)})
    if _is_answer(response) and code in _REASONS:
        return _refused(response, code, text)
    return failure(response, parse.words(response.body))


def is_clock(response: Response) -> bool:
    """Whether the exchange refused the request for its timestamp."""
    return _is_answer(response) and parse.error(response.body)[0] == CLOCK


def is_account_limit(response: Response) -> bool:
    """Whether a 429 is the account's limit of unfilled orders, not the address's limit of requests."""
    return response.status == 429 and parse.error(response.body)[0] == UNFILLED_ORDERS


def _of_change(response: Response, code: int, text: str) -> ExGateError:
    if response.status in (418, 429):
        return failure(response, parse.words(response.body))
    if _is_answer(response) and code in _DEFINITE:
        return _refused(response, code, text)
    message = f"{response.url} answered {response.status} {parse.words(response.body)}".rstrip()
    return Unavailable(message, retry_after=response.retry_after)


def _is_answer(response: Response) -> bool:
    """Whether the status is one with which the exchange itself refuses."""
    return 400 <= response.status < 500 and response.status not in (403, 408, 409, 451)


def _refused(response: Response, code: int, text: str, *, reason: str = "") -> Refused:
    lower = text.lower()
    meant = next((name for words, name in _MEANINGS if words in lower), "")
    metadata = {"exchange_code": str(code)}
    return Refused(f"{code} {text}", reason=reason or _REASONS.get(code, meant), metadata=metadata)
