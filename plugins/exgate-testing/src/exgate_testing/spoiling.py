"""Answers and frames that an exchange should never send, made out of honest ones: whatever its dialect is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from .fakes import Reply

Alter = Callable[[Reply], Reply]
Place = tuple[str | int, ...]
"""Where a value stands in JSON: names and indices, from the outside in."""

_NUMERIC: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[,:{}\[\]]')
_ROWS: Final = 1
"""So many rows of a list stand for all of them."""
BOMBS: Final[Mapping[str, str]] = {
    "huge": "1e999999999",
    "tiny": "1e-999999999",
    "long": "9" * 100_000,
    "nan": "NaN",
    "negative": "-1",
    "arabic": "\u0661\u0662\u0663",
    "lines": "1\r\nX: y",
    "empty": "",
}
"""What stands in place of a number."""
_BARE: Final = ("huge", "tiny", "long", "nan", "negative")
"""Those that JSON's parsers may take without quotes."""


class Bare(str):
    """Text that is written into JSON without quotes."""


def numbers(body: str | bytes) -> list[Place]:
    """Where numbers stand, as JSON numbers or as text; of the rows of a list only the first. Empty where it is no
    JSON."""
    return [place for place, text in _leaves_of(body) if _NUMERIC.fullmatch(text)]


def places_of(body: str | bytes, text: str) -> list[Place]:
    """Where a text or a number stands."""
    return [place for place, found in _leaves_of(body) if found == text]


def places_of_number(body: str | bytes, number: str) -> list[Place]:
    """Where this number stands, with however many zeros at its end."""
    wanted = Decimal(number)
    return [place for place, text in _leaves_of(body) if _NUMERIC.fullmatch(text) and Decimal(text) == wanted]


def spaced(text: str) -> str:
    """The same JSON with white space wherever it may stand."""
    return "\n" + _TOKEN.sub(lambda found: f" {found[0]}\t\r\n", text)


def _leaves_of(body: str | bytes) -> list[tuple[Place, str]]:
    try:
        return list(_walk(json.loads(body, parse_float=Bare, parse_int=Bare), ()))
    except ValueError:
        return []


def _walk(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, (*place, name))
    elif isinstance(value, list):
        rows = value[:_ROWS] if value and isinstance(value[0], list | Mapping) else value
        for index, inner in enumerate(rows):
            yield from _walk(inner, (*place, index))
    elif isinstance(value, str):
        yield place, value


def spoilt(body: str | bytes, place: Place, bomb: str) -> str:
    """The same JSON with another text in one place: without quotes where it had none and JSON's parsers may take it."""
    whole = json.loads(body, parse_float=Bare, parse_int=Bare)
    inner = whole
    for step in place[:-1]:
        inner = inner[step]
    bare = isinstance(inner[place[-1]], Bare) and bomb in _BARE
    inner[place[-1]] = (Bare if bare else str)(BOMBS.get(bomb, bomb))
    return written(whole)


def written(value: Any) -> str:
    """JSON, with every digit as it came."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(name)}:{written(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return str(value) if isinstance(value, Bare) else json.dumps(value, ensure_ascii=False)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same JSON with every leaf changed."""
    if isinstance(value, Mapping):
        return {name: mapped(inner, change) for name, inner in value.items()}
    return [mapped(inner, change) for inner in value] if isinstance(value, list) else change(value)


def _leaves(change: Callable[[Any], Any]) -> Alter:
    return lambda reply: Reply(
        written(mapped(json.loads(reply.body, parse_float=Bare, parse_int=Bare), change)).encode()
    )


def _body(body: bytes, status: int = 200, kind: str = "application/json") -> Alter:
    return lambda reply: Reply(body, status, {"Content-Type": kind})


_PAGE: Final = b"<!doctype html><html><body><h1>Just a moment...</h1></body></html>"

HOSTILE: Final[Mapping[str, Alter]] = {
    "page": _body(_PAGE, kind="text/html"),
    "page as JSON": _body(_PAGE),
    "nothing": _body(b""),
    "nothing, 204": _body(b"", 204),
    "blanks": _body(b" \r\n\t "),
    "half": lambda reply: Reply(reply.body[: len(reply.body) * 2 // 3]),
    "all but the end": lambda reply: Reply(reply.body[:-1]),
    "more after the end": lambda reply: Reply(reply.body + b"}"),
    "null": _body(b"null"),
    "true": _body(b"true"),
    "a number": _body(b"1"),
    "a text": _body(b'"ok"'),
    "in a list": lambda reply: Reply(b"[[" + reply.body + b"]]"),
    "list of null": _body(b"[null]"),
    "object of null": _body(b'{"null":null}'),
    "another object": _body(b'{"status":"success","message":"ok"}'),
    "every value null": _leaves(lambda value: None),
    "every value an object": _leaves(lambda value: {}),
    "every value a list": _leaves(lambda value: [value]),
    "every value true": _leaves(lambda value: True),
    "every value text": _leaves(lambda value: "\u0000\u202e"),
    "deep": _body(b"[" * 100_000 + b"]" * 100_000),
    "deep object": _body(b'{"data":' * 20_000 + b"1" + b"}" * 20_000),
    "not UTF-8": _body(b'{"\xff\xfe":"\xc3\x28"}'),
    "UTF-16": lambda reply: Reply(reply.body.decode().encode("utf-16")),
    "half a surrogate": _body(b'{"status":"\\ud800"}'),
    "big": _body(b'{"status":"' + b"x" * 3_000_000 + b'"}'),
    "moved, 301": lambda reply: Reply(b"", 301, {"Location": "/elsewhere"}),
    "moved, 308": lambda reply: Reply(b"", 308, {"Location": "/elsewhere"}),
    "page, 403": _body(_PAGE, 403, "text/html"),
    "page, 404": _body(_PAGE, 404, "text/html"),
    "object, 409": _body(b"{}", 409),
    "page, 520": _body(_PAGE, 520, "text/html"),
}
"""Answers out of honest ones, none of which can be read: they prove nothing, not even that nothing was done."""
