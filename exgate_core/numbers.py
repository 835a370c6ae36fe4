"""Rules for decimal strings: no digit is lost between an exchange and a client."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation, Overflow

MAX_DIGITS = 20
"""The most digits before, and the most after, the point of a number that a caller sends."""

_STRICT = re.compile(rf"(?:0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})(?:\.[0-9]{{1,{MAX_DIGITS}}})?", re.ASCII)
_ALL_STRICT = re.compile(rf"(?:{_STRICT.pattern}\n)*", re.ASCII)
_EXACT = Context(prec=400, traps=[InvalidOperation, Overflow])
_LONGEST_EXPONENT = 200


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

    Raises ValueError for what is no finite number or spans more than 200 places.
    """
    if _STRICT.fullmatch(text):
        return text
    try:
        value = _EXACT.create_decimal(text)
    except (InvalidOperation, Overflow):
        raise ValueError(f"not a decimal number: {text[:40]!r}") from None
    if not value.is_finite() or abs(value.adjusted()) > _LONGEST_EXPONENT:
        raise ValueError(f"not a decimal number: {text[:40]!r}")
    return format(value, "f")


def all_plain(texts: Sequence[str]) -> bool:
    """Whether ``plain`` leaves each of them as it is; asking for many at once is much cheaper."""
    lines = "\n".join((*texts, ""))
    return lines.count("\n") == len(texts) and _ALL_STRICT.fullmatch(lines) is not None


def product(a: str, b: str) -> str:
    """a x b, exactly, in plain notation."""
    return format(_EXACT.multiply(Decimal(a), Decimal(b)), "f")


def add(a: str, b: str) -> str:
    """a + b, exactly, in plain notation."""
    return format(_EXACT.add(Decimal(a), Decimal(b)), "f")


def subtract(a: str, b: str) -> str:
    """a - b, exactly, in plain notation."""
    return format(_EXACT.subtract(Decimal(a), Decimal(b)), "f")


def compare(a: str, b: str) -> int:
    """-1, 0 or 1 as a is below, equal to or above b."""
    return int(_EXACT.compare(Decimal(a), Decimal(b)))


def is_multiple(value: str, step: str) -> bool:
    """Whether value is a whole multiple of step. An empty or zero step allows everything."""
    return is_zero(step) or not _EXACT.remainder(Decimal(value), Decimal(step))


def neighbours(value: str, step: str) -> tuple[str, str]:
    """The nearest multiples of step at or below, and above, value; written with the places of step."""
    unit = Decimal(step)
    count = _EXACT.divide(Decimal(value), unit).quantize(Decimal(1), ROUND_DOWN, _EXACT)
    below = _EXACT.multiply(count, unit)
    return format(below, "f"), format(_EXACT.add(below, unit), "f")
