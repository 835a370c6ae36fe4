"""Query and body -> values. Strict: what isn't understood is an InvalidArgument that names the field, never a guess."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from msgspec import Struct

from . import numbers
from .errors import InvalidArgument
from .models import Freshness

OPTIONS = ("client_order_id", "time_in_force", "post_only", "quote_amount", "stop_price")
"""The options that mean the same on every exchange."""
_CANCEL_OPTIONS = ("client_order_id",)
_DECIMAL_RULE = (
    'must be a decimal string above zero such as "0.015": digits and at most one point, no sign, exponent, '
    f"space or leading zero, at most {numbers.MAX_DIGITS} digits before and after the point"
)
_ORDER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_LONGEST_KEY = 255
_KEY = re.compile(rf"[\x20-\x7e]{{1,{_LONGEST_KEY}}}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\["\\])*"')
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


class PlaceBody(Struct, frozen=True, kw_only=True):
    """The body of place_order. What is absent is empty; side and type are in lower case."""

    symbol: str = ""
    side: str = ""
    type: str = ""
    price: str = ""
    """A decimal above zero, or empty; always empty where a market order says zero."""
    amount: str = ""
    """A decimal above zero, or empty."""
    options: dict[str, str] = {}


class CancelBody(Struct, frozen=True, kw_only=True):
    """The body of cancel_order. What is absent is empty."""

    symbol: str = ""
    order_id: str = ""
    options: dict[str, str] = {}


def parse_place(body: bytes) -> PlaceBody:
    """The order that a caller wants. Raises InvalidArgument; the market's own rules are checked later."""
    fields = _fields(body, PlaceBody.__struct_fields__)
    texts, options = _texts(fields), _options(fields.get("options"))
    for name in ("symbol", "side", "type"):
        if not texts.get(name):
            raise InvalidArgument.of(name, "is required")
    for name in ("side", "type"):
        texts[name] = _lower(name, texts[name])
    if texts["side"] not in ("buy", "sell"):
        raise InvalidArgument.of("side", f'must be "buy" or "sell", not {_show(texts["side"])}')
    if texts["type"] == "market" and _is_nothing(texts.get("price", "")):
        texts["price"] = ""
    for name in ("price", "amount"):
        if texts.get(name) and not numbers.is_positive(texts[name]):
            raise InvalidArgument.of(name, f"{_DECIMAL_RULE}; not {_show(texts[name])}")
    return PlaceBody(**texts, options=options)


def parse_cancel(body: bytes) -> CancelBody:
    """The order that a caller wants cancelled. Raises InvalidArgument."""
    fields = _fields(body, CancelBody.__struct_fields__)
    texts, options = _texts(fields), _options(fields.get("options"))
    for key in options:
        if key not in _CANCEL_OPTIONS:
            raise InvalidArgument.of(f"options.{_short(key)}", "unknown; cancel knows only options.client_order_id")
    check_order_id("order_id", texts.get("order_id", ""))
    check_order_id("options.client_order_id", options.get("client_order_id", ""))
    if not texts.get("order_id") and not options.get("client_order_id"):
        raise InvalidArgument.of("order_id", "is required, unless options.client_order_id names the order")
    return CancelBody(**texts, options=options)


def check_order_id(field: str, text: str) -> None:
    """Raise InvalidArgument unless the id is empty or safe in a path: ``[A-Za-z0-9_.:-]{1,128}`` without ``..``."""
    if text and not is_order_id(text):
        rule = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : - without two dots in a row"
        raise InvalidArgument.of(field, f"{rule}; not {_show(text)}")


def is_order_id(text: str) -> bool:
    """Whether an id may stand in a path: ``[A-Za-z0-9_.:-]{1,128}`` without ``..``."""
    return _ORDER_ID.fullmatch(text) is not None and ".." not in text


def _is_nothing(price: str) -> bool:
    return numbers.is_decimal(price) and numbers.is_zero(price)


def _lower(name: str, text: str) -> str:
    if not text.isascii():
        raise InvalidArgument.of(name, f"must be plain letters, not {_show(text)}")
    return text.lower()


class _Number(Struct, frozen=True):
    """A JSON number, never converted: no digits lost, no time lost on a long one."""

    text: str


def _fields(body: bytes, known: tuple[str, ...]) -> dict[str, Any]:
    """The members of the object, each name once and known, null ones left out."""
    value = _decode(body)
    if not isinstance(value, tuple):
        raise InvalidArgument.of("body", f"must be a JSON object, not {_kind(value)}")
    for name, _ in value:
        if name not in known:
            _unknown(name, known)
    return _once("", value)


def _unknown(name: str, known: tuple[str, ...]) -> NoReturn:
    names = {field: field for field in known} | {option: f"options.{option}" for option in OPTIONS}
    near = names[difflib.get_close_matches(name.lower()[:64], names, n=1, cutoff=0)[0]]
    raise InvalidArgument.of(_short(name), f"unknown field; the nearest known one is {near}", reason="UNKNOWN_FIELD")


def _once(prefix: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise InvalidArgument.of(prefix + _short(name), "stands there twice; write it once")
        seen[name] = value
    return {name: value for name, value in seen.items() if value is not None}


def _decode(body: bytes) -> Any:
    """JSON with objects as tuples of pairs, so that a repeated name is seen, and numbers as their text."""
    if not body.strip():
        raise InvalidArgument.of("body", "is empty; a JSON object is expected")
    if body.startswith(b"\xef\xbb\xbf"):
        raise InvalidArgument.of("body", "starts with a byte order mark; send plain UTF-8")
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=tuple,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
        )
    except UnicodeDecodeError as error:
        raise InvalidArgument.of("body", f"is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise InvalidArgument.of("body", "is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InvalidArgument.of("body", f"is not JSON: {error.msg} at character {error.pos}") from None


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(name, value) for name, value in fields.items() if name != "options"}


def _options(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, tuple):
        raise InvalidArgument.of("options", f"must be an object of strings, not {_kind(value)}")
    members = _once("options.", value)
    return {_text("options", name): _text(f"options.{_short(name)}", member) for name, member in members.items()}


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidArgument.of(field, f"must be a JSON string in quotes, not {_kind(value)}")
    if not value.isprintable():
        raise InvalidArgument.of(field, "holds control characters or invalid Unicode")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, _Number):
        return f"the number {_short(value.text)}"
    names = {tuple: "an object", list: "an array", bool: "a boolean", str: "a string", type(None): "null"}
    return names[type(value)]


def _short(text: str) -> str:
    """A caller's text for an error message: bounded, and no control characters."""
    shown = text if len(text) <= 40 else text[:37] + "..."
    return shown if shown.isprintable() else ascii(shown)[1:-1]


def _show(text: str) -> str:
    return f'"{_short(text)}"'


def parse_query(query_string: bytes, known: frozenset[str]) -> tuple[dict[str, str], list[str]]:
    """Known parameters by name, and the names of the others, which are ignored.

    Raises InvalidArgument for a known parameter that stands there twice, and for what isn't percent-encoded UTF-8.
    """
    params: dict[str, str] = {}
    ignored: list[str] = []
    for part in filter(None, query_string.split(b"&")):
        raw_name, _, raw_value = part.partition(b"=")
        name = _unquote("query", raw_name)
        value = _unquote(_short(name), raw_value)
        if name not in known:
            ignored.append(name)
        elif name in params:
            raise InvalidArgument.of(name, "stands there twice; give it once")
        else:
            params[name] = value
    return params, ignored


def _unquote(field: str, raw: bytes) -> str:
    if _BAD_ESCAPE.search(raw):
        raise InvalidArgument.of(field, "holds a bad percent escape")
    decoded = _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), raw.replace(b"+", b" "))
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidArgument.of(field, "is not UTF-8") from None
    if not text.isprintable():
        raise InvalidArgument.of(field, "holds control characters")
    return text


def parse_idempotency_key(values: list[bytes]) -> str:
    """The value of ``Idempotency-Key``, with or without the quotes of an RFC 8941 string; empty if there is none."""
    field = "Idempotency-Key"
    if not values:
        return ""
    if len(values) > 1:
        raise InvalidArgument.of(field, "stands there twice; give it once")
    text = values[0].strip(b" \t").decode("latin-1")
    if text.startswith('"'):
        if not _QUOTED.fullmatch(text):
            raise InvalidArgument.of(field, "is no RFC 8941 string: the quotes don't match")
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    if not _KEY.fullmatch(text):
        raise InvalidArgument.of(field, f"must be 1 to {_LONGEST_KEY} printable ASCII characters")
    return text


def parse_limit(text: str | None, default: int, maximum: int) -> int:
    """How many: absent, empty or 0 is the default; above the maximum is the maximum."""
    if not text:
        return default
    if not _DIGITS.fullmatch(text):
        raise InvalidArgument.of("limit", f"must be a whole number from 0 up, not {_show(text)}")
    digits = text.lstrip("0")[:19]  # however long it is: never a second to read it
    return min(int(digits), maximum) if digits else default


def parse_bool(field: str, text: str | None) -> bool:
    """true or false, 1 or 0, in any case; absent or empty is false."""
    lowered = (text or "false").lower()
    if lowered not in ("true", "false", "1", "0"):
        raise InvalidArgument.of(field, f"must be true, false, 1 or 0, not {_show(lowered)}")
    return lowered in ("true", "1")


def parse_freshness(params: Mapping[str, str]) -> Freshness:
    """How old an answer may be, from ``isLocal`` and ``tolerate_interval`` (seconds, decimals allowed)."""
    text = params.get("tolerate_interval")
    if text and not numbers.is_decimal(text):
        raise InvalidArgument.of("tolerate_interval", f"must be seconds from 0 up such as 2 or 0.5, not {_show(text)}")
    return Freshness(local=parse_bool("isLocal", params.get("isLocal")), tolerate=float(text) if text else None)
