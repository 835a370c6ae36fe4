"""Digits: ccxt's numbers that keep the text they were made from, and JSON decoded without a float in between."""

from __future__ import annotations

from typing import Any

import msgspec

from exgate_core.numbers import plain

from .bounds import Boundless, judge, may_be_boundless

__all__ = ["Num", "decode", "text", "whole"]

_float = float.__new__
_DECODER = msgspec.json.Decoder(float_hook=str)
_BEYOND = 2**63


class Num(float):
    """A float for ccxt's arithmetic and sorting that prints as the text it was made from, to the last zero."""

    __slots__ = ("source",)
    source: str

    def __new__(cls, value: Any) -> Num:
        self = _float(cls, value)
        self.source = value if type(value) is str else str(value)
        return self

    def __str__(self) -> str:
        return self.source

    __repr__ = __str__

    def __reduce__(self) -> tuple[type[Num], tuple[str]]:
        return Num, (self.source,)

    def __copy__(self) -> Num:
        return self

    def __deepcopy__(self, memo: object) -> Num:
        return self


def decode(body: bytes | str) -> Any:
    """JSON with every number that has a point or an exponent as text, every integer exact.

    Text, and not ``Num``: ccxt's ``safe_string`` treats whatever is a float by its value. Raises ValueError, and for a
    number that nobody may compute with Boundless, which is one.
    """
    try:
        raw = body.encode() if isinstance(body, str) else body
        value = _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        if "out of range" in str(error):
            raise Boundless("a number of more digits than can be read") from None
        raise ValueError(f"not JSON: {error}") from None
    if may_be_boundless(raw):
        judge(value)
    return value


def text(value: object) -> str:
    """Anything that ccxt returned as a number, as exact decimal text in plain notation; ``None`` is empty.

    Raises ValueError for what is no finite number.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        raise ValueError(f"not a decimal number: {value}")
    return plain(value.source if type(value) is Num else str(value))


def whole(value: object) -> int:
    """A number or time of an exchange, as far as it is one; else 0. Raises ValueError beyond 64 bits."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() else 0
    found = int(value) if isinstance(value, int | float) else 0
    if abs(found) >= _BEYOND:
        raise ValueError("an integer of more than 64 bits")
    return found
