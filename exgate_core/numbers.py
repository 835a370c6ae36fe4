"""Rules for decimal strings: no digit is lost between an exchange and a client."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

import msgspec

MAX_DIGITS = 20
"""The most digits before, and the most after, the point of a number that a caller sends."""

# Possessive: nothing is ever tried twice, however long the text.
_STRICT = re.compile(rf"(?:0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}}+)(?:\.[0-9]{{1,{MAX_DIGITS}}}+)?+", re.ASCII)
_TWO_STRICT = re.compile(rf"{_STRICT.pattern}\n{_STRICT.pattern}", re.ASCII)
_WRITTEN = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_LONGEST = 400
_LONGEST_EXPONENT = 200
# Wide enough for the sum and product of any two that ``plain`` takes; what doesn't fit is an error, never rounded.
_EXACT = Context(prec=1000, Emin=-1300, Emax=1300, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
_multiply = _EXACT.multiply
_pack = msgspec.msgpack.Encoder(decimal_format="number").encode
_skip = msgspec.json.Decoder(msgspec.Raw).decode
# MessagePack puts one byte before a pair, and one before a text of 1 to 31 bytes; no character of a text begins so.
_SEPARATED = bytes(0x20 if code == 0x92 else 0x2C if 0xA1 <= code <= 0xBF else code for code in range(256))


class BadNumber(ValueError):
    """A text that should be a decimal number of bounded length and isn't. The core tells it of an exchange's answer as
    one that can't be used (reason BAD_ANSWER)."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not a decimal number: {text[:40]!r}")


def is_decimal(text: str) -> bool:
    """Whether the text is a non-negative decimal as callers may write it: digits, one point, no sign, no exponent."""
    return _STRICT.fullmatch(text) is not None


def is_positive(text: str) -> bool:
    """Whether the text is such a decimal and above zero."""
    return is_decimal(text) and not is_zero(text)


def is_zero(text: str) -> bool:
    """Whether a decimal string is zero in any spelling (``0``, ``0.000``)."""
    return not text.strip("0.")


def plain(text: str) -> str:
    """The same number in plain notation, all written digits kept: ``1.1522E-4`` -> ``0.00011522``.

    Raises BadNumber for what is no finite number in ASCII digits, spans more than 200 places or takes more than 400
    characters.
    """
    if _STRICT.fullmatch(text):
        return text
    if len(text) > _LONGEST or not _WRITTEN.fullmatch(text):
        raise BadNumber(text)
    value = Decimal(text)
    if abs(value.adjusted()) > _LONGEST_EXPONENT:
        raise BadNumber(text)
    return format(value or abs(value), "f")


def all_plain(texts: Sequence[str]) -> bool:
    """Whether ``plain`` is sure to leave each of them as it is; asking for many at once is much cheaper.

    False proves nothing: ask ``plain`` for each.
    """
    if len(texts) == 2:  # a frame of one trade: one regular expression costs less
        return _TWO_STRICT.fullmatch("\n".join(texts)) is not None
    return _surely_plain(texts, b"," * len(texts))


def all_pairs_plain(pairs: Sequence[tuple[str, str]]) -> bool:
    """``all_plain`` of both halves of all pairs."""
    return _surely_plain(pairs, b" ,," * len(pairs))


def _surely_plain(found: Sequence[object], shape: bytes) -> bool:
    # A few passes of C cost less than half of a regular expression. Where digits and points stand behind the separators
    # and nothing else, JSON takes it only if each is a number as JSON writes it: no leading zero, digits on both sides
    # of one point.
    count = len(found)
    try:
        packed = _pack(found)
        text = packed[1 if count < 16 else 3 if count < 65536 else 5 :].translate(_SEPARATED)
        if text.translate(None, b"0123456789.") != shape:
            return False
        _skip(b"[0" + text + b"]")
    except (ValueError, TypeError, OverflowError, msgspec.MsgspecError):
        return False
    return True


def product(a: str, b: str) -> str:
    """a x b, exactly, in plain notation, for numbers as ``plain`` gives them. Raises BadNumber for what is far from it.

    Every trade passes here, so neither is looked at again.
    """
    try:
        found = _multiply(Decimal(a), Decimal(b))
    except ArithmeticError:
        raise BadNumber(f"{a[:20]} x {b[:20]}") from None
    text = str(found)  # twice as fast as a format, and nearly always the same
    return format(found, "f") if "E" in text else text


def add(a: str, b: str) -> str:
    """a + b, exactly, in plain notation. Raises BadNumber."""
    return format(_calculated(_EXACT.add, a, b), "f")


def subtract(a: str, b: str) -> str:
    """a - b, exactly, in plain notation. Raises BadNumber."""
    return format(_calculated(_EXACT.subtract, a, b), "f")


def rest(whole: str, part: str) -> str:
    """whole - part, exactly, in plain notation; ``0`` where the part is more. Raises BadNumber."""
    return subtract(whole, part) if compare(whole, part) >= 0 else "0"


def compare(a: str, b: str) -> int:
    """-1, 0 or 1 as a is below, equal to or above b. Raises BadNumber."""
    return int(_calculated(_EXACT.compare_signal, a, b))


def is_multiple(value: str, step: str) -> bool:
    """Whether value is a whole multiple of step. An empty or zero step allows everything. Raises BadNumber."""
    return is_zero(step) or not _calculated(_EXACT.remainder, value, step)


def neighbours(value: str, step: str) -> tuple[str, str]:
    """The nearest multiples of step at or below, and above, value; with the places of step. Raises BadNumber."""
    below = product(format(_calculated(_EXACT.divide_int, value, step), "f"), step)
    return below, add(below, step)


def _calculated(operation: Callable[[Decimal, Decimal], Decimal], a: str, b: str) -> Decimal:
    if len(a) > _LONGEST or not _WRITTEN.fullmatch(a):
        raise BadNumber(a)
    if len(b) > _LONGEST or not _WRITTEN.fullmatch(b):
        raise BadNumber(b)
    try:
        return operation(Decimal(a), Decimal(b))
    except ArithmeticError:
        raise BadNumber(f"{a[:20]} with {b[:20]}") from None
