"""What an exchange could send where a number or an id should stand, and fakes that send it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

fakes = pytest.importorskip("exgate_testing.fakes")
subjects = pytest.importorskip("exgate_testing.subjects")

Path = tuple[str | int, ...]
_HERE = "\0here\0"

NUMBERS = [
    '""', '" 1"', '"1 "', '"1\\r\\nX: y"', '"NaN"', "NaN", '"sNaN"', '"Infinity"', '"-Infinity"', "-Infinity",
    '"1e999999999"', "1e999999999", '"1e-999999999"', "1e-999999999", '"1e201"', '"1e-201"',
    f'"{"9" * 100_000}"', "9" * 100_000, f'"0.{"9" * 100_000}"', '"\u0661\u0662"', '"\uff11"', '"1_000"', '"1,5"',
    '"0x10"', '"1.2.3"', '"--1"', '"."', '"1e"', '"abc"', "null", "true", "[]", "{}", "[1]",
]  # fmt: skip
"""JSON texts that are no number an exchange may mean."""

BELOW_ZERO = ['"-1"', '"-0.5"', '"-1e3"']

IDS = [
    '"../../x"', '"a..b"', '"1\\r\\nX: y"', '"1 2"', '"a/b"', '"a?b=c"', '"%2e%2e"', '"\\u0000"', '"\u0661\u0662"',
    '"\u00e9"', f'"{"9" * 100_000}"', f'"{"9" * 129}"', '""', '" "', '"null"', '"None"', "null", "true", "-1", "0",
    "1.5", "1e999999999", "[]", "{}",
]  # fmt: skip
"""JSON texts that are no order id."""


class Spoilt(NamedTuple):
    """One value of one operation's answers, and what stands there instead."""

    operation: str
    path: Path
    text: str
    """JSON, or what isn't even that."""


def spoilt_fake(exchange: str) -> Any:
    """The fake of an installed exchange whose ``spoilt`` says what is wrong with its answers; None = nothing."""
    base: Any = subjects.subject(exchange).fake

    def answer(self: Any, request: Any) -> Any:
        reply = base.answer(self, request)
        wrong: Spoilt | None = type(self).spoilt
        if wrong is None or self.operation(request) != wrong.operation or reply.status != 200:
            return reply
        return fakes.Reply(_replaced(reply.body, wrong), reply.status, reply.headers)

    return type("Spoilt", (base,), {"spoilt": None, "answer": answer})


def leaves(body: bytes) -> list[Path]:
    """The way to every value of a JSON answer; of each list only to its first element."""
    return list(_leaves(json.loads(body), ()))


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value if all(not isinstance(one, list | dict) for one in value) else value[:1]):
            yield from _leaves(inner, (*path, index))
    else:
        yield path


def _replaced(body: bytes, wrong: Spoilt) -> bytes:
    whole = json.loads(body)
    inner = whole
    try:
        for step in wrong.path[:-1]:
            inner = inner[step]
        inner[wrong.path[-1]] = _HERE
    except (LookupError, TypeError):
        return body  # another answer of the same operation
    return json.dumps(whole).replace(json.dumps(_HERE), wrong.text).encode()
