"""What doors send over HTTP: an answer with its headers, or any error as a Status."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from .settling import advise, settle
from .status import status_json

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
"""On every answer."""

_MOST_IGNORED, _LONGEST_IGNORED = 20, 40
_EXTENDED = re.compile(rb"(?:^|&)extended=(?:true|1)(?:&|$)", re.IGNORECASE)


class Reply(NamedTuple):
    """One whole answer; ``headers`` holds all of them but the length."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


def ok(body: bytes, *headers: Header) -> Reply:
    """A successful answer in JSON."""
    return Reply(200, (*JSON_HEADERS, *headers), body)


def header(name: bytes, text: str) -> Header:
    """A header whose text came from elsewhere: what isn't printable ASCII is percent-encoded."""
    return name, quote(text, safe=" !#$&'()*+,/:;=?@[]~").encode()


def ignored(names: Sequence[str]) -> tuple[Header, ...]:
    """``ExGate-Ignored`` with the names of the parameters that mean nothing here, if there are any."""
    shown = ", ".join(name[:_LONGEST_IGNORED] for name in names[:_MOST_IGNORED])
    return (header(b"exgate-ignored", shown),) if names else ()


async def respond(send: Send, reply: Reply, head: bool = False) -> None:
    """Send it; the answer to HEAD has headers only."""
    status, headers, body = reply
    length = ((b"content-length", b"%d" % len(body)),) if body or not head else ()
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": b"" if head else body})


def failure(scope: Mapping[str, Any], error: Exception, *more: Header) -> Reply:
    """Any error as a Status. On orders and cancels it says whether something was sent."""
    known = settle(error, may_have_left=False) if is_order(scope) else advise(error)
    headers = [*JSON_HEADERS, *more]
    if is_order(scope):
        headers.append((b"exgate-outcome", known.metadata["outcome"].encode()))
    if known.metadata.get("client_order_id"):
        headers.append(header(b"exgate-client-order-id", known.metadata["client_order_id"]))
    headers.append(header(b"exgate-reason", known.reason))
    if known.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(0, math.ceil(known.retry_after))))
    if known.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    extended = _EXTENDED.search(scope.get("query_string", b"")) is not None
    return Reply(known.status, tuple(headers), status_json(known, extended))


def is_order(scope: Mapping[str, Any]) -> bool:
    """Whether the request places or cancels, so that its answer must say whether anything was sent."""
    return scope.get("method") == "POST" and str(scope["path"]).endswith(("/order", "/cancel"))
