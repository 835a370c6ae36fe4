"""What a 200 must be before it may be handed on: ccxt takes an HTML page for an empty book and goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from exgate_core.errors import Unavailable

if TYPE_CHECKING:
    from exgate_core.fetch import Response

__all__ = ["NOTE", "Note", "bad_answer", "checked", "noting"]

_SMALL = 4096
_EMPTY_LIST = re.compile(rb"\[\s*\]")


def checked(answer: Response, raw: str, parsed: Any, method: str) -> Any:
    """The decoded answer. Raises Unavailable (BAD_ANSWER) if the body isn't a JSON object or array.

    The answer to a DELETE may be a bare JSON string (Coinbase Exchange names a cancelled order so); it is returned as
    ccxt would see it.
    """
    if isinstance(parsed, dict | list):
        return parsed
    if method == "DELETE" and len(raw) > 2 and raw[0] == raw[-1] == '"':
        return raw
    raise bad_answer(answer.url, "it is no JSON object or array" if raw else "it is empty")


def bad_answer(url: str, why: str) -> Unavailable:
    """What a 200 is that can't be what was asked for."""
    parts = urlsplit(url)
    return Unavailable(
        f"{parts.netloc}{parts.path} gave an answer that can't be read ({why[:120]})", reason="BAD_ANSWER"
    )


class Note:
    """What a question read of its answers; ccxt reads an answer of another shape as "nothing there"."""

    def __init__(self) -> None:
        self.url = ""
        """The last URL that was asked."""
        self.status = 0
        """The HTTP status of the last answer."""
        self.answer: Any = None
        """The last answer, decoded."""
        self.empty_lists_read = 0
        """How many lists that are empty in the answer were looked up by name."""
        self.top = False
        """The answer itself is an empty list."""

    def watch(self, answer: Response, parsed: Any) -> Any:
        """The same answer, watched if it is so small that it may hold nothing."""
        self.url, self.answer = answer.url, parsed
        self.top = parsed == []
        if len(answer.body) > _SMALL or _EMPTY_LIST.search(answer.body) is None:
            return parsed
        return _watched(parsed, self)


class _Watched(dict[str, Any]):
    """A dictionary that notes which of its empty lists are looked up; ccxt looks up everything by subscript."""

    note: Note

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, list) and not value:
            self.note.empty_lists_read += 1
        return value


def _watched(value: Any, note: Note) -> Any:
    if isinstance(value, list):
        return [_watched(item, note) for item in value]
    if not isinstance(value, dict):
        return value
    watched = _Watched((key, _watched(item, note)) for key, item in value.items())
    watched.note = note
    return watched


NOTE: ContextVar[Note | None] = ContextVar("exgate_ccxt_note", default=None)
"""The note of the question that this task asks."""


@contextmanager
def noting() -> Iterator[Note]:
    """Watch the answers to the questions asked inside."""
    note = Note()
    token = NOTE.set(note)
    try:
        yield note
    finally:
        NOTE.reset(token)
