"""Numbers that nobody may compute with: ccxt's ``Precise`` makes 10**999999999 of ``"1e999999999"``, for ever.

An answer is looked at as bytes, which costs less than to decode it; only where something may be wrong is each of its
texts and numbers judged.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

__all__ = ["EXPONENT", "Boundless", "judge", "may_be_boundless", "unpacked"]

EXPONENT: Final = 200
"""The farthest that the point of a number may be moved."""
_DIGITS: Final = 400
_DECODER: Final = msgspec.json.Decoder(float_hook=str)
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a packed frame, unpacked."""

_BETWEEN: Final = rb"+\-._ \t\r\n"
"""What may stand between the digits of what Python reads as one number."""
_DIGIT: Final = rb"0-9\x80-\xff"
"""Among them any of another script."""


def _powers_of(letter: bytes) -> re.Pattern[bytes]:
    """What may be an exponent of three digits; one letter a pattern, with which it begins, is fastest by far."""
    return re.compile(
        rb"%b(?<=[%b%b]%b)[%b]*(?:[%b][%b]*){3}" % (letter, _BETWEEN, _DIGIT, letter, _BETWEEN, _DIGIT, _BETWEEN)
    )


_SMALL_E: Final = _powers_of(b"e")
_LARGE_E: Final = _powers_of(b"E")
_KINDS: Final = bytes(ord("0") if byte in b"0123456789+-._ \t\r\n" or byte >= 0x80 else ord("x") for byte in range(256))
"""Bytes of numbers, and the rest."""
_MANY: Final = b"0" * (_DIGITS + 1)
_BEYOND: Final = 10**_DIGITS
_TOO_MANY: Final = f"a number of more than {_DIGITS} digits"

_LONG: Final = re.compile(rf"\d[\d_.]{{{_DIGITS}}}")
_POWER: Final = re.compile(r"(?<![\w.+-])\.*+[+-]?+[\d_.]*+[eE]\s*+[+-]?+([\d_]++)(?![\w.])")
"""A number with an exponent, alone or as a word of a text (Kraken: "buy 1.25 XBTUSD @ limit 27500.0"). ``Precise``
takes points out of it wherever they are and however many."""
_NAMES_ID: Final = re.compile(
    r"(?i:(?:^|[_.-]|order|trade|client|clt?|ord|deal|uu|gu|tx|match|fill|exec|account|user|req|ref|o)ids?$|hash$)|"
    r"[a-z]I[dD]s?$"
)
"""Keys of ids: sixteen hexadecimal digits are a number with an exponent now and then, and nobody computes with ids."""


class Boundless(ValueError):
    """A number that nobody may compute with."""


def may_be_boundless(body: bytes) -> bool:
    """Whether ``judge`` must look: there are so many digits, or so large an exponent, or text that hides it."""
    if b"\\" in body or (len(body) > _DIGITS and _MANY in body.translate(_KINDS)):
        return True
    return _SMALL_E.search(body) is not None or _LARGE_E.search(body) is not None


def judge(value: Any) -> None:
    """Raises Boundless if a number in decoded JSON, or a text that reads as one, has over 400 digits or an exponent
    beyond 200. Keys count, and JSON in a text does."""
    parts = [("", value)]
    while parts:
        key, part = parts.pop()
        if type(part) is str:
            _judge_text(key, part)
            parts.extend((key, inner) for inner in _inside(part))
        elif type(part) is int:
            if abs(part) >= _BEYOND:
                raise Boundless(_TOO_MANY)
        elif isinstance(part, float):
            _judge_text(key, str(part))
        elif isinstance(part, dict):
            parts.extend(("", name) for name in part)
            parts.extend((str(name), inner) for name, inner in part.items())
        elif isinstance(part, list):
            parts.extend((key, inner) for inner in part)


def _judge_text(key: str, text: str) -> None:
    if _LONG.search(text):
        raise Boundless(_TOO_MANY)
    if _NAMES_ID.search(key):
        return
    for power in _POWER.finditer(text):
        if abs(int(power[1].replace("_", "") or 0)) > EXPONENT:
            raise Boundless(f"a number with an exponent beyond {EXPONENT}")


def _inside(text: str) -> Iterator[Any]:
    """What is in a text that is JSON itself: ccxt decodes such ones (Bitget's ``feeDetail``)."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            yield _DECODER.decode(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return


def unpacked(frame: bytes, *, bare: bool) -> bytes:
    """A packed frame, unpacked; ``bare``: without the header of gzip. Raises ValueError where it is too large."""
    packer = zlib.decompressobj(-zlib.MAX_WBITS if bare else 16 + zlib.MAX_WBITS)
    try:
        found = packer.decompress(frame, _LARGEST)
    except zlib.error as error:
        raise ValueError(f"a packed frame can't be unpacked: {error}") from None
    if packer.unconsumed_tail:
        raise ValueError(f"a packed frame holds more than {_LARGEST} bytes")
    return found
