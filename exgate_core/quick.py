"""The request that is asked most, a GET without a body, read and answered in one piece without h11's state machine.

``read`` takes only heads that can be read in one way; whatever else comes goes the whole way through h11, and so does
an answer that isn't whole, or has headers of its own about the connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, MutableMapping, Sequence
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from . import heads

if TYPE_CHECKING:
    from .protocols import Http, Http1

Header = tuple[bytes, bytes]
Message = MutableMapping[str, Any]

_HEAD = re.compile(rb"GET (/[!-~]*) HTTP/1\.1\r\n((?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t -~]*\r\n)+)\r\n")
_LINES = re.compile(rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+: [\t -~\x80-\xff]*\r\n)+")
_WHOLE_WAY = frozenset(
    b"content-length expect http2-settings proxy-connection te trailer transfer-encoding upgrade".split()
)
_OF_CONNECTION = frozenset((b"connection", b"keep-alive", b"trailer", b"transfer-encoding", b"upgrade"))
_WITHOUT_BODY = (204, 304)


class Head(NamedTuple):
    """A request as it was read."""

    target: bytes
    headers: list[Header]
    """With names in lower case."""


def read(data: bytes) -> Head | None:
    """The one whole request that ``data`` is, if it is a plain one; h11 would read it as exactly the same."""
    if len(data) > heads.MAX_LINE:
        return None
    match = _HEAD.fullmatch(data)
    if match is None:
        return None
    headers: list[Header] = []
    hosts = 0
    for line in match[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name in _WHOLE_WAY or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
        hosts += name == b"host"
        headers.append((name, value))
    return Head(match[1], headers) if hosts == 1 and len(headers) <= heads.MAX_FIELDS else None


class Turn:
    """One request of the plain kind, and its answer. Stands where hypercorn has its stream."""

    idle = False

    def __init__(self, protocol: Http1, data: bytes, head: Head, whole_way: Callable[[Turn, bytes], Http]) -> None:
        self._protocol, self._data, self._whole_way = protocol, data, whole_way
        self.scope = _scope(protocol, head)
        """The request as the app sees it."""
        self._start: Any = None
        self._asked = self._answered = False
        self._gone = asyncio.Event()
        self._stream: Http | None = None

    async def run(self) -> None:
        """Have the app answer."""
        protocol: Any = self._protocol
        try:
            await protocol.app(self.scope, self._receive, self._send, None, None)
        except Exception:
            await protocol.config.log.exception("Error in ASGI Framework")
        finally:
            if not self._answered and not (self._stream is None and self._gone.is_set()):
                await self._through_h11().app_send(None)

    async def handle(self, event: Any) -> None:
        """Hypercorn says only that the connection is over."""
        self._gone.set()

    async def put(self, message: Any) -> None:
        """What a stream of the whole way says: that the connection is over."""
        self._gone.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self._answered:
            return
        if self._stream is None and message["type"] == "http.response.start" and self._start is None:
            self._start = message
            return
        if self._stream is None and self._start is not None and message["type"] == "http.response.body":
            answer = None if message.get("more_body") else _whole(self._start, message.get("body", b""), self._protocol)
            if answer is not None:
                self._answered = True
                self._gone.set()
                await self._protocol.turned(answer)
                return
        stream, start, self._start = self._through_h11(), self._start, None
        if start is not None:
            await stream.app_send(start)
        await stream.app_send(message)

    def _through_h11(self) -> Http:
        if self._stream is None:
            self._stream = self._whole_way(self, self._data)
        return self._stream


def _scope(protocol: Http1, head: Head) -> dict[str, Any]:
    path, _, query = head.target.partition(b"?")
    return {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "method": "GET",
        "scheme": "https" if protocol.ssl else "http",
        "path": unquote(path.decode("ascii")) if b"%" in path else path.decode("ascii"),
        "raw_path": path,
        "query_string": query,
        "root_path": protocol.config.root_path,
        "headers": head.headers,
        "client": protocol.client,
        "server": protocol.server,
        "state": protocol.connection_state.copy(),
        "extensions": {},
    }


def _whole(start: Message, body: bytes, protocol: Http1) -> bytes | None:
    """The bytes of an answer that is complete and says nothing about the connection; None for any other."""
    status, headers = int(start["status"]), start.get("headers", ())
    if status < 200 or status in _WITHOUT_BODY or start.get("trailers") or not _has_length(headers, len(body)):
        return None
    lines = [b"%b: %b\r\n" % (name, value) for name, value in headers]
    text = b"".join(lines)
    # Neither a name nor a value can begin another line: what h11 sees to on the whole way.
    if text.count(b"\n") != len(lines) or _LINES.fullmatch(text) is None:
        return None
    return b"HTTP/1.1 %d \r\n%b%b\r\n%b" % (status, text, _own(protocol.config, int(time())), body)


def _has_length(headers: Sequence[Header], size: int) -> bool:
    lengths = 0
    for name, value in headers:
        name = name.lower()
        if name == b"content-length":
            lengths += 1
            if value != b"%d" % size:
                return False
        elif name in _OF_CONNECTION:
            return False
    return lengths == 1


@lru_cache(2)
def _own(config: Any, second: int) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in config.response_headers("h11"))
