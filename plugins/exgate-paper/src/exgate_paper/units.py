"""Decimal strings <-> whole numbers of a unit: the engine computes with integers only."""

from __future__ import annotations

from exgate_core.numbers import is_decimal


def places(text: str) -> int:
    """How many digits stand after the point."""
    return len(text.partition(".")[2])


def units(text: str, scale: int) -> int | None:
    """The number in units of 10^-scale; None if it is no plain decimal or finer than that."""
    if not is_decimal(text):
        return None
    whole, _, fraction = text.partition(".")
    if fraction[scale:].strip("0"):
        return None
    return int(whole + fraction[:scale].ljust(scale, "0"))


def fixed(value: int, scale: int) -> str:
    """``value`` units of 10^-scale in plain notation with exactly ``scale`` places."""
    if scale == 0:
        return str(value)
    sign, digits = ("-", str(-value)) if value < 0 else ("", str(value))
    digits = digits.zfill(scale + 1)
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"
