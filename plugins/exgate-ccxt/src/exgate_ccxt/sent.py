"""A built request taken apart again: host, path segments, and every leaf of query, body and payload header as text."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

_SAFE_SEGMENT = re.compile(r"[A-Za-z0-9_.:@~$=,+-]*", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}", re.ASCII)
_SPEAKING = frozenset({"orderconfiguration"})
"""Objects whose members' names say something: ``"market_market_ioc": {...}``."""
_PAYLOAD_HEADERS = ("x-gemini-payload", "x-bitpayload")


class Unreadable(ValueError):
    """The request can't be taken apart, so nobody can say what it would do."""


class Leaf(Struct, frozen=True):
    """One value of a request; ``key`` is lower case without ``_`` and ``-``, empty for a bare list element."""

    key: str
    value: str


class Sent(Struct, frozen=True):
    """A request as its receiver reads it."""

    scheme: str
    host: str
    method: str
    segments: tuple[str, ...]
    """Of the path, decoded."""
    leaves: tuple[Leaf, ...]


def plain_key(key: str) -> str:
    """A parameter's name without case, underscores and hyphens: exchanges spell the same names in many ways."""
    return key.replace("_", "").replace("-", "").lower()


def take_apart(url: str, method: str, headers: Mapping[str, Any] | None, body: Any) -> Sent:
    """Raises Unreadable for whatever two readers might read differently."""
    parts = urlsplit(url)
    if parts.username is not None or parts.fragment or "\\" in url or not parts.hostname:
        raise Unreadable(f"the URL has parts that no exchange's has: {url[:80]!r}")
    leaves = _form(parts.query)
    leaves += _of_body(body)
    for name, value in (headers or {}).items():
        if name.lower() in _PAYLOAD_HEADERS and isinstance(value, str):
            leaves += _of_body(value)
    return Sent(
        scheme=parts.scheme,
        host=parts.netloc.lower(),
        method=method.upper(),
        segments=tuple(_segments(parts.path)),
        leaves=tuple(leaves),
    )


def _segments(path: str) -> Iterator[str]:
    for raw in path.split("/"):
        segment = unquote(raw)
        if not _SAFE_SEGMENT.fullmatch(segment) or ".." in segment or segment == ".":
            raise Unreadable(f"the path has a segment that no exchange's has: {raw[:80]!r}")
        yield segment


def _of_body(body: Any) -> list[Leaf]:
    if body is None or body in ("", b""):
        return []
    if isinstance(body, bytes):
        body = body.decode()
    if not isinstance(body, str):
        raise Unreadable(f"the body is no text ({type(body).__name__})")
    text = body.strip()
    if text[:1] in ("{", "["):
        return list(_walk("", _json(text)))
    if _BASE64.fullmatch(text) and "=" not in text.rstrip("="):
        unpacked = _unpacked(text)
        if unpacked:
            return list(_walk("", _json(unpacked)))
    return _form(text)


def _form(text: str) -> list[Leaf]:
    """A query or a form; one that names a parameter twice is read differently by different servers."""
    pairs = parse_qsl(text, keep_blank_values=True)
    if len({key for key, _ in pairs if not key.endswith("[]")}) != sum(not key.endswith("[]") for key, _ in pairs):
        raise Unreadable("a parameter stands in it twice")
    return [Leaf(plain_key(key), value) for key, value in pairs]


def _unpacked(text: str) -> str:
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded if decoded[:1] == "{" else ""


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is no JSON that everybody reads alike: {error}") from None


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a repeated key")
    return found


def _walk(key: str, value: Any) -> Iterator[Leaf]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict) and plain_key(key) in _SPEAKING:
                yield Leaf(plain_key(key) + ".", name)
            yield from _walk(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(key, inner)
    elif isinstance(value, bool):
        yield Leaf(plain_key(key), "true" if value else "false")
    elif value is not None:
        yield Leaf(plain_key(key), str(value))
