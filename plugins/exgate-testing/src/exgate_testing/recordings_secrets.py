"""Credentials in traffic: found by where they stand, and taken out wherever they appear.

Headers are never written at all; their values are learned, and from then on taken out of everything. So are the
values of fields of a request whose name says that they are secret, and of answers that hand out a key or token.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

REDACTED: Final = "REDACTED"
"""Stands where a secret was."""

_HARMLESS = frozenset(
    (
        "accept accept-encoding accept-language cache-control connection content-encoding content-length content-type "
        "date host origin pragma sec-websocket-extensions sec-websocket-key sec-websocket-protocol "
        "sec-websocket-version transfer-encoding upgrade user-agent"
    ).split()
)
_ASKED = re.compile(r"sign|secret|pass|token|auth|key|otp|jwt|credential|cookie|mac\b", re.IGNORECASE)
_ANSWERED = frozenset(
    "apikey key secret secretkey apisecret passphrase password token accesstoken refreshtoken listenkey jwt sign "
    "signature authorization".split()
)
_PUBLIC_NAMES = frozenset("idempotencykey keyword signtype signaturemethod signatureversion".split())
_TIME = re.compile(r"[\d.,:TZ+\- ]*")
_NUMBER_FIELD = re.compile(r'"([^"\\]*)"(\s*:\s*)-?\d[\d.eE+-]*')
_SHORTEST, _SHORTEST_NAMED = 8, 5
_MOST = 200
_LONG_SEGMENT = re.compile(r"[A-Za-z0-9_\-=.]{40,}")


class Secrets:
    """What must not be written, as far as it was seen."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}  # the least recently seen first

    def learn_headers(self, headers: Mapping[str, str]) -> bool:
        """Learn the values of every header that isn't known to be harmless; whether one is named like a secret."""
        private = False
        for name, value in headers.items():
            if name.lower() in _HARMLESS:
                continue
            named = asked_for_secret(name)
            private = private or named
            for part in (value, *value.split(), *_basic(value)):
                self._learn(part, _SHORTEST_NAMED if named else _SHORTEST)
        return private

    def learn_request(self, url: str, body: str) -> bool:
        """Learn what stands in secret fields of a query or a body (form or JSON); whether there was one."""
        found = False
        for part in _split(url.partition("?")[0])[1].split("/"):
            if _session_key(part):
                self._learn(part)
        fields = [*parse_qsl(urlsplit(url).query), *_fields(body)]
        for name, value in fields:
            if asked_for_secret(name):
                found = True
                self._learn(value, _SHORTEST_NAMED)
        return found

    def learn_answer(self, text: str) -> None:
        """Learn the keys and tokens that an answer hands out."""
        for name, value in _fields(text) if "{" in text else ():
            if _plain(name) in _ANSWERED and len(value) >= 16:
                self._learn(value)

    def url(self, url: str) -> str:
        """The URL without secrets: fields of the query, and long words of the path, which are session keys."""
        head, mark, query = url.partition("?")
        origin, path = _split(head)
        path = "/".join(REDACTED if _session_key(part) else part for part in path.split("/"))
        kept = "&".join(_field(part) for part in query.split("&")) if query else ""
        return self.text(origin + path + mark + kept)

    def body(self, text: str) -> str:
        """The body of a request, or a frame to the exchange, without secrets. What isn't secret stays as it was."""
        if text[:1] not in "{[" and "=" in text:
            text = "&".join(_field(part) for part in text.split("&"))
        if text[:1] in ("{", "["):
            text = _NUMBER_FIELD.sub(_number_redacted, text)
        for name, value in _json_fields(text):
            if asked_for_secret(name) and value:
                encoded = json.dumps(value, ensure_ascii=False)
                text = text.replace(encoded, f'"{REDACTED}"').replace(json.dumps(value), f'"{REDACTED}"')
        return self.text(text)

    def text(self, text: str) -> str:
        """Any text without what was learned."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text

    def data(self, data: bytes) -> bytes:
        """The same for bytes; what is no text holds no secret that could be found."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return data
        cleaned = self.text(text)
        return data if cleaned == text else cleaned.encode()

    def _learn(self, value: str, shortest: int = _SHORTEST) -> None:
        named = shortest == _SHORTEST_NAMED
        if len(value) < shortest or (_TIME.fullmatch(value) and not (named and len(value) >= _SHORTEST)):
            return  # too short to be told from a price, or a time
        for spelling in {value, quote(value, safe=""), quote_plus(value), unquote(value), json.dumps(value)[1:-1]}:
            self._known.pop(spelling, None)
            self._known[spelling] = None
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]


def asked_for_secret(name: str) -> bool:
    """Whether the name of a field of a request says that its value is secret."""
    return bool(_ASKED.search(name)) and _plain(name) not in _PUBLIC_NAMES


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _field(part: str) -> str:
    name, equals, value = part.partition("=")
    return name + equals + REDACTED if value and asked_for_secret(unquote(name)) else part


def _split(head: str) -> tuple[str, str]:
    scheme, separator, rest = head.partition("://")
    host, slash, path = rest.partition("/")
    return scheme + separator + host, slash + path


def _number_redacted(found: re.Match[str]) -> str:
    return f'"{found[1]}"{found[2]}"{REDACTED}"' if asked_for_secret(found[1]) else found[0]


def _session_key(part: str) -> bool:
    return bool(_LONG_SEGMENT.fullmatch(part)) and any(letter.isdigit() for letter in part)


def _basic(value: str) -> Iterable[str]:
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "basic":
        return ()
    try:
        return base64.b64decode(rest, validate=True).decode().split(":")
    except ValueError:
        return ()


def _fields(text: str) -> list[tuple[str, str]]:
    if text[:1] in ("{", "["):
        return list(_json_fields(text))
    return parse_qsl(text) if "=" in text else []


def _json_fields(text: str) -> Iterator[tuple[str, str]]:
    if text[:1] not in ("{", "["):
        return
    try:
        waiting: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while waiting:
        it = waiting.pop()
        if isinstance(it, list):
            waiting += [each for each in it if isinstance(each, dict | list)]
            continue
        for name, value in it.items():
            if isinstance(value, str | int) and not isinstance(value, bool):
                yield name, str(value)
            elif isinstance(value, dict | list):
                waiting.append(value)
