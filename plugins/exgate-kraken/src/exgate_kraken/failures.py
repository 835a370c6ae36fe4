"""What Kraken's errors prove. Pure, but for the clock in ``Throttled``.

Sources: docs.kraken.com, "Spot Error Messages" and "Spot REST Introduction" (Error Details: any status but 200 means
that a request had trouble reaching Kraken), read at 2026-05-27; "Spot REST Rate Limits" (Errors), read at 2026-08;
support.kraken.com, "API error messages" and "What are the API rate limits?": one public call a second is never too much
for an address, and what is gets turned away "for a few seconds".
An error is ``<severity><category>:<description>[:<more>]``.

An order counts as refused only where the error comes from a check before the matching engine, or from the engine's own
rejection. ``EService`` and internal errors tell nothing: the order may be in the book.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from exgate_core.client import Context
from exgate_core.errors import DUPLICATE, ExGateError, FailedPrecondition, NotFound, RateLimited, Refused, Unavailable
from exgate_core.fetch import Response, failure

INVALID_NONCE: Final = "INVALID_NONCE"
"""The reason of a Refused: a request with a higher nonce came first, so this one was not looked at."""

INVALID_ORDER: Final = "INVALID_ORDER"
"""The reason of a Refused: what was asked about is no order."""

_WAITS: Final[Mapping[str, float]] = {
    "EAPI:Rate limit exceeded": 5.0,
    "EOrder:Rate limit exceeded": 5.0,
    "EOrder:Domain rate limit exceeded": 5.0,
    "EGeneral:Too many requests": 3.0,
    "EGeneral:Temporary lockout": 900.0,
    "EAuth:Rate limit exceeded": 60.0,
    "EAuth:Too many requests": 60.0,
    "EService:Throttled": 5.0,
}
"""Errors by which a request was turned away unprocessed, and seconds after which another may try."""
_OF_ADDRESS: Final = ("EGeneral:Too many requests", "EService:Throttled")
"""Limits that hold for everything from one address; the others are the API key's, or a pair's."""
LOCKOUT: Final = "EGeneral:Temporary lockout"
"""Each further try makes it longer."""
_THROTTLED: Final = re.compile(r"EService:Throttled:([0-9]{9,11})\b")

_REFUSING: Final = ("EOrder:", "EAPI:", "EQuery:", "EAuth:", "EAccount:", "EBM:", "ETrade:", "ESession:", "EFunding:")
_REFUSING_ALSO: Final = (
    "EGeneral:Invalid arguments",
    "EGeneral:Permission denied",
    "EGeneral:Unknown method",
    "EService:Market in ",
)
_UNDECIDED: Final = re.compile(
    r"internal|timed?-? ?out|unavailable|busy|unexpected|unknown error|deadline elapsed|try again|pending",
    re.IGNORECASE,
)
"""Words with which an exchange tells that it doesn't know itself."""
_DOUBLE: Final = re.compile(r"cl_?ord_?id|duplicat", re.IGNORECASE)
_NOT_DOUBLE: Final = re.compile(r"not supported", re.IGNORECASE)

_REASONS: Final[Mapping[str, str]] = {
    "EOrder:Insufficient funds": "INSUFFICIENT_BALANCE",
    "EOrder:Order minimum not met": "BAD_AMOUNT",
    "EOrder:Cost minimum not met": "MIN_NOTIONAL",
    "EOrder:Tick size check failed": "BAD_PRICE",
    "EOrder:Invalid price": "BAD_PRICE",
    "EGeneral:Invalid arguments:volume": "BAD_AMOUNT",
    "EOrder:Post only order": "WOULD_TAKE",
    "EOrder:Invalid order": INVALID_ORDER,
    "EQuery:Unknown asset pair": "UNKNOWN_SYMBOL",
    "EAPI:Invalid nonce": INVALID_NONCE,
    "EAPI:Invalid key": "BAD_CREDENTIALS",
    "EAPI:Invalid signature": "BAD_CREDENTIALS",
    "EGeneral:Permission denied": "PERMISSION_DENIED",
}
_LONGEST: Final = 300


def stated(errors: Sequence[str]) -> list[str]:
    """The errors without the warnings, each in one spelling: no spaces after its colons."""
    return [re.sub(r":\s+", ":", text.strip()) for text in errors if not text.startswith("W")]


def proven(errors: Sequence[str], now: float) -> ExGateError | None:
    """Refused, NotFound or RateLimited if the errors prove that nothing was done; else None.

    ``now``: seconds since the epoch.
    """
    texts = stated(errors)
    said = "; ".join(texts)[:_LONGEST]
    waits = [wait for text in texts if (wait := _wait(text, now)) is not None]
    if waits and len(waits) == len(texts):
        return RateLimited(f"Kraken turned it away: {said}", retry_after=max(waits))
    if not texts or not all(_refuses(text) for text in texts):
        return None
    if any(text.startswith("EOrder:Unknown order") for text in texts):
        return NotFound(f"Kraken has no such open order: {said}")
    return Refused(said, reason=_reason(texts))


def is_of_address(texts: Sequence[str]) -> bool:
    """Whether only the address has asked too much: that says nothing of the account's counters."""
    return all(text.startswith(_OF_ADDRESS) for text in texts)


def pause_of(texts: Sequence[str], now: float) -> float:
    """Seconds for which nothing may leave from this address; 0 if the errors don't ask for that."""
    return max((_wait(text, now) or 0.0 for text in texts if text.startswith(_OF_ADDRESS)), default=0.0)


def _wait(text: str, now: float) -> float | None:
    until = _THROTTLED.match(text)
    if until is not None:
        return max(1.0, float(until[1]) - now)
    return next((wait for name, wait in _WAITS.items() if text.startswith(name)), None)


def _refuses(text: str) -> bool:
    return text.startswith(_REFUSING + _REFUSING_ALSO) and not _UNDECIDED.search(text)


def _reason(texts: Sequence[str]) -> str:
    if any(_DOUBLE.search(text) and not _NOT_DOUBLE.search(text) for text in texts):
        return DUPLICATE
    found = (reason for text in texts for name, reason in _REASONS.items() if text.startswith(name))
    return next(found, "")


def of_question(errors: Sequence[str], now: float) -> ExGateError:
    """The error that a question's errors stand for; what proves nothing is Unavailable."""
    return proven(errors, now) or Unavailable(f"Kraken answered {'; '.join(stated(errors))[:_LONGEST]}")


def check_status(response: Response) -> None:
    """Raise unless an answer came from Kraken itself (200): RateLimited for 429 and 418, else Unavailable."""
    if response.status in (418, 429):
        raise failure(response)
    if response.status != 200:
        raise Unavailable(
            f"Kraken was not reached: something before it answered {response.status}", retry_after=response.retry_after
        )


def refuse_sandbox(context: Context) -> None:
    """Raise FailedPrecondition if a sandbox was asked for: Kraken has none for spot."""
    if context.sandbox:
        raise FailedPrecondition("Kraken has no sandbox for spot; remove sandbox = true", reason="NO_SANDBOX")
