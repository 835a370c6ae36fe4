"""What OKX's error codes prove ("Error Code", "REST API" of www.okx.com/docs-v5/en, 2026-06-27).

A code of a class that refuses, in an answer below 500, is a refusal. Codes with which OKX says that it doesn't know
itself, answers of 500 and more, and whatever has no code prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from exgate_core.errors import DUPLICATE, ExGateError, NotFound, RateLimited, Refused

from .limits import WINDOW

__all__ = ["CANCELING", "STALE_CLOCK", "judged"]

CANCELING: Final = "51410"
"""The order is already being canceled."""
STALE_CLOCK: Final = frozenset({"50036", "50037", "50102", "50112"})
"""Earlier than OKX's time: ``expTime``, the order, the timestamp."""

_LIMITS: Final = frozenset({"50011", "50040", "50061"})
"""Rejected because of a limit: the endpoint's, too frequent operations, the sub-account's orders."""
_MISSING: Final = frozenset({"51063", "51400", "51401", "51402", "51603"})
"""No such order; for a cancel also: it is filled or canceled already."""
_DOUBLES: Final = frozenset({"50071", "51011", "51016"})
_UNDECIDED: Final = frozenset({"50001", "50004", "50013", "50026", "50042", "51054", "51149", "51412", "51820"})
"""Unavailable, timed out, busy, system error, repeated: the request may have been carried out."""
_REFUSING: Final = re.compile(r"5(?:0|1|4)\d{3}(?:_\d+)?", re.ASCII)
"""General, API and trade class (50000 to 51999), and the trade class's continuation (54000 to 54999)."""
_DOUBTFUL: Final = re.compile(r"tim(?:ed?)? ?-?out|check the request result", re.IGNORECASE)
_LONGEST: Final = 200

_REASONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("51008", "51127", "51131"), "INSUFFICIENT_BALANCE"),
    **dict.fromkeys(("51005", "51101", "51201", "51202", "51203"), "TOO_LARGE"),
    **dict.fromkeys(("51020", "51120", "50122"), "TOO_SMALL"),
    **dict.fromkeys(("51121",), "BAD_AMOUNT"),
    **dict.fromkeys(("51006", "51116", "51122", "51137", "51138"), "BAD_PRICE"),
    **dict.fromkeys(("51001", "51021"), "UNKNOWN_SYMBOL"),
    **dict.fromkeys(("50102", "50112"), "CLOCK_SKEW"),
    **dict.fromkeys(("50036", "50037"), "ORDER_EXPIRED"),
    **{f"50{number}": "EXCHANGE_AUTH_FAILED" for number in (100, 101, *range(103, 112), 113, 114, 119, 120, 121)},
}


def judged(status: int, code: str, message: str) -> ExGateError | None:
    """The error that an answer's code stands for; None where it proves nothing."""
    plain = code.partition("_")[0]
    text = " ".join(f"{code} {message}".split())[:_LONGEST]
    if plain in _LIMITS and status < 500:
        return RateLimited(text, retry_after=WINDOW)
    if status >= 500 or plain in _UNDECIDED or not _REFUSING.fullmatch(code) or _DOUBTFUL.search(message):
        return None
    metadata = {"exchange_code": code}
    if plain in _MISSING:
        return NotFound(text, reason="NO_SUCH_ORDER", metadata=metadata)
    reason = DUPLICATE if plain in _DOUBLES else _REASONS.get(plain, "")
    return Refused(text, reason=reason, metadata=metadata)
