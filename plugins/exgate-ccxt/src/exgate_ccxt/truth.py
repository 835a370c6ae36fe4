"""What a 200 must be before ccxt's parsers see it: ccxt takes an HTML page for an empty book and goes on."""

from __future__ import annotations

from typing import Any

from exgate_core.fetch import Response, bad_answer

__all__ = ["checked"]


def checked(answer: Response, raw: str, parsed: Any, method: str) -> Any:
    """The decoded answer. Raises Unavailable (BAD_ANSWER) if the body isn't a JSON object or array.

    An answer to a request that changes something may be a bare JSON string (Coinbase Exchange names a cancelled order
    so); it is returned as ccxt would see it.
    """
    if isinstance(parsed, dict | list):
        return parsed
    if method != "GET" and len(raw) > 2 and raw[0] == raw[-1] == '"':
        return raw
    raise bad_answer(answer.url, "it is no JSON object or array" if raw else "it is empty")
