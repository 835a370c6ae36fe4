"""Questions to an exchange, and what is made of ccxt's errors to them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from exgate_core.errors import (
    DeadlineExceeded,
    ExGateError,
    InvalidArgument,
    RateLimited,
    Refused,
    Unavailable,
    Unimplemented,
)

from .truth import Note, bad_answer, noting

__all__ = ["ask"]

_PAUSE = 5.0
_WORDS, _QUOTED = 160, 2000
_BLANK = re.compile(r"(?:^|\s)(?:\{\s*\}|\[\s*\])\s*$")
"""ccxt quotes the answer at the end of what it says."""


async def ask(client: Any, name: str, question: Callable[[], Awaitable[Any]]) -> tuple[Any, Note]:
    """The answer to a public question and how it was read. Raises only errors of the gateway.

    An error of Python's own is an answer of a shape that ccxt's parser doesn't know: BAD_ANSWER.
    """
    with noting() as note:
        try:
            return await question(), note
        except ExGateError:
            raise
        except Exception as error:
            raise _meaning(client, name, note, error) from error


def _meaning(client: Any, name: str, note: Note, error: Exception) -> ExGateError:
    import ccxt

    if not isinstance(error, ccxt.BaseError):
        return bad_answer(note.url or name, type(error).__name__)
    said = f"{name} refused ({type(error).__name__}): {_words(error)}"
    if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection) or note.status in (418, 429):
        return _limited(client, name)
    if isinstance(error, ccxt.NotSupported):
        return Unimplemented(f"{name} has no such question for this market")
    if isinstance(error, ccxt.BadSymbol):
        return InvalidArgument.of("symbol", said)
    if isinstance(error, ccxt.RequestTimeout):
        return DeadlineExceeded(f"{name} gave no answer in time")
    if isinstance(error, ccxt.OperationFailed | ccxt.BadResponse | ccxt.NullResponse):
        return Unavailable(f"{name} gave no usable answer ({type(error).__name__})")
    if type(error) is ccxt.ExchangeError and _BLANK.search(str(error)):
        return bad_answer(note.url or name, "there is nothing in it")
    return Refused(said)


def _limited(client: Any, name: str) -> RateLimited:
    from exgate_core.fetch import seconds_of

    headers = {key.lower(): value for key, value in (client.last_response_headers or {}).items()}
    context = client.exgate.context
    wait = seconds_of(headers.get("retry-after", ""), context.clock.time(), headers.get("date", "")) or _PAUSE
    if context.budget is not None:
        context.budget.pause(wait)
    return RateLimited(f"{name} answered too many requests; free again in {wait:.1f} s", retry_after=wait)


def _words(error: Exception) -> str:
    """The exchange's own words in ccxt's text, without the address."""
    return re.sub(r"\w{1,16}://\S+", "", " ".join(str(error).split())[:_QUOTED])[:_WORDS]
