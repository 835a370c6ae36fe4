"""Hypercorn's HTTP and WebSocket protocols with the doors shut that it leaves open.

Importing this module puts the classes below in the place of hypercorn's own. What they change: heads are read
strictly (``heads``), h2c upgrades are ignored, nothing is compressed, refusals carry a google.rpc.Status, inbound
WebSocket frames are limited, bodies that nobody reads are dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
import hypercorn.protocol
import hypercorn.protocol.h11
from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WSStream
from hypercorn.typing import WebsocketAcceptEvent
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping

from . import heads
from .access import MAX_BODY
from .errors import ExGateError, Internal, InvalidArgument, PermissionDenied, Unavailable
from .status import status_json
from .streams import WRITE

MAX_FRAME = 64 * 1024
"""Bytes of a WebSocket message from a client."""

MAX_INBOUND, INBOUND_WINDOW = 200, 10.0
"""WebSocket frames that a client may send in so many seconds."""

_EARLY = 4096
_SLACK = 64 * 1024
_ONE_LINERS = frozenset((b"connection", b"upgrade", b"sec-websocket-extensions", b"sec-websocket-protocol"))


def refusal(status: int, text: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of an answer that the server itself gives: a google.rpc.Status, then the end.

    What the server refuses never reached the app, so it sent nothing, whatever it was; of a crash (500) nobody knows.
    """
    error, outcome = _error(status, text)
    body = status_json(error)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"exgate-reason", error.reason.encode("ascii")),
        (b"connection", b"close"),
    ]
    if outcome:
        headers.append((b"exgate-outcome", outcome))
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    return headers, body


def _error(status: int, text: str) -> tuple[ExGateError, bytes]:
    if status == 403:
        return PermissionDenied(f"{text}. Nothing was sent.", reason="HOST_NOT_ALLOWED"), b"refused"
    if status == 503:
        return Unavailable(f"{text}. Nothing was sent.", reason="TOO_MANY_CONNECTIONS", retry_after=1), b"not-sent"
    if status >= 500:
        return Internal("a bug in ExGate or a plugin; the log has it."), b""
    return InvalidArgument(f"{text}. Nothing was sent.", reason="BAD_HTTP", status=status), b"refused"


class StrictConnection(h11.Connection):
    """h11, after ``heads.fault`` has seen each head. ``fault`` says what was wrong last."""

    fault = "the request can't be understood"
    head_asked = False
    """Whether the last request is a HEAD, whose answer has no body."""
    _foreign = False

    def next_event(self) -> Any:
        """As h11's; raises RemoteProtocolError also for what h11 tolerates."""
        if self.their_state is h11.IDLE:
            self.head_asked = False
            data = self.trailing_data[0]
            found = heads.fault(data) if data else None
            if found is not None:
                self._refuse(found)
            self._foreign = not data.isascii()
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.head_asked = event.method == b"HEAD"
            if self._foreign and not one_liners_ascii(list(event.headers)):
                self._refuse(heads.Fault(400, "a header of the handshake is not ASCII"))
        return event

    def _refuse(self, found: heads.Fault) -> None:
        self.fault = found.text
        raise h11.RemoteProtocolError(found.text, error_status_hint=found.status)


class Http1(H11Protocol):
    """HTTP/1.0 and 1.1."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._strict = StrictConnection(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)
        self.connection = self._strict
        self.write: Callable[[bytes], bool] | None = None
        """Writes bytes at once unless the client lags; set by the connection."""

    @property
    def half_a_head(self) -> bool:
        """Whether a request has begun whose head isn't complete."""
        return self.stream is None and bool(self._strict.trailing_data[0])

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.method == b"PRI" and event.http_version == b"2.0":
            raise H2ProtocolAssumedError(b"PRI * HTTP/2.0\r\n\r\n" + self._strict.trailing_data[0])

    async def _create_stream(self, request: h11.Request) -> None:
        if not request.target.startswith(b"/"):
            request = h11.Request(
                method=request.method,
                headers=request.headers,
                target=heads.origin_form(request.target),
                http_version=request.http_version,
            )
        await super()._create_stream(request)
        if isinstance(self.stream, WebSocket) and self.write is not None:
            self.stream.offer(self.write)

    async def _send_error_response(self, status_code: int) -> None:
        headers, body = refusal(status_code, self._strict.fault)
        all_headers = headers + self.config.response_headers("h11")
        await self._send_h11_event(h11.Response(status_code=status_code, headers=all_headers))
        if not self._strict.head_asked:
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class Http(HTTPStream):
    """One request and its answer."""

    complete = False
    """Whether the whole body has come."""
    started = 0.0
    """When its head had come, on the loop's clock."""
    _received = 0

    async def handle(self, event: Event) -> None:
        """Pass an event on to the app."""
        if isinstance(event, Request):
            self.started = asyncio.get_running_loop().time()
        elif isinstance(event, Body):
            self._received += len(event.data)
            if self._received > MAX_BODY + _SLACK:
                return
        elif isinstance(event, EndBody):
            self.complete = True
        await super().handle(event)

    async def _send_error_response(self, status_code: int) -> None:
        headers, body = refusal(status_code, "")
        await self.send(Response(stream_id=self.stream_id, headers=headers, status_code=status_code))
        await self.send(Body(stream_id=self.stream_id, data=body))
        await self.send(EndBody(stream_id=self.stream_id))
        self.state = ASGIHTTPState.CLOSED


class WebSocket(WSStream):
    """One WebSocket. No extension is ever negotiated."""

    partial_since: float | None = None
    """Since when a message has been under way without its end, on the loop's clock."""
    _count = 0
    _window = 0.0
    _early = b""

    @property
    def live(self) -> bool:
        """Whether frames may be sent."""
        return not self.closed and self.state == ASGIWebsocketState.CONNECTED

    def offer(self, write: Callable[[bytes], bool]) -> None:
        """Let the app write texts without a detour: an extension of its scope, see ``streams.WRITE``."""

        def write_text(text: bytes) -> bool:
            return self.live and self.connection.state is ConnectionState.OPEN and write(text_frame(text))

        # A refused handshake has no scope; else the app's task was made just now and has not run yet.
        if self.app_put is not None:
            extensions: Any = self.scope["extensions"]
            extensions[WRITE] = write_text

    async def handle(self, event: Event) -> None:
        """Pass an event on to the app; frames that come before the accept wait for it, after a refusal nobody does."""
        if isinstance(event, (Body, Data)) and not self.handshake.accepted:
            self._early += event.data if self.app_put is not None else b""
            if len(self._early) > _EARLY:
                await self.send(StreamClosed(stream_id=self.stream_id))
            return
        if isinstance(event, (Body, Data)) and self.connection.state is ConnectionState.CLOSED:
            return
        await super().handle(event)

    async def app_send(self, message: Any) -> None:
        """What the app says. Texts go out without wsproto's detour: unmasked, whole, never compressed."""
        if message is not None and message["type"] == "websocket.send" and message.get("text") is not None:
            if self.live and self.connection.state is ConnectionState.OPEN:
                await self.send(Data(stream_id=self.stream_id, data=text_frame(message["text"].encode())))
        else:
            await super().app_send(message)

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        # Hypercorn accepts permessage-deflate without a switch: so nothing was offered.
        self.handshake.extensions = None
        await super()._accept(message)
        if self._early:
            await self.handle(Data(stream_id=self.stream_id, data=self._early))

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, CloseConnection):
                await self._closed(event)
                return
            if self._flooded():
                return await self.end(1008)
            if isinstance(event, Message):
                try:
                    await self._message(event)
                except FrameTooLargeError:
                    return await self.end(1009)
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())

    async def end(self, code: int) -> None:
        """Close with a code, whatever the app is doing."""
        await self._send_wsproto_event(CloseConnection(code=code))
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _closed(self, event: CloseConnection) -> None:
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            await self._send_wsproto_event(event.response())
            await self.send(StreamClosed(stream_id=self.stream_id))
        elif self.connection.state is ConnectionState.OPEN:
            await self.end(event.code)
        else:
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _message(self, event: Message[Any]) -> None:
        self.buffer.extend(event)
        if not event.message_finished:
            self.partial_since = self.partial_since or asyncio.get_running_loop().time()
            return
        self.partial_since = None
        if self.app_put is not None:
            await self.app_put(self.buffer.to_message())
        self.buffer.clear()

    def _flooded(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._window > INBOUND_WINDOW:
            self._window, self._count = now, 0
        self._count += 1
        return self._count > MAX_INBOUND

    async def _send_error_response(self, status_code: int) -> None:
        headers, body = refusal(status_code, "the WebSocket handshake is not valid")
        await self.send(Response(stream_id=self.stream_id, headers=headers, status_code=status_code))
        await self.send(Body(stream_id=self.stream_id, data=body))
        await self.send(EndBody(stream_id=self.stream_id))


def text_frame(payload: bytes) -> bytes:
    """A server's WebSocket frame that holds one whole text."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def one_liners_ascii(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the headers that the libraries decode as ASCII are."""
    return all(value.isascii() for name, value in headers if name in _ONE_LINERS)


for _module, _name, _ours in (
    (hypercorn.protocol, "H11Protocol", Http1),
    (hypercorn.protocol.h11, "HTTPStream", Http),
    (hypercorn.protocol.h11, "WSStream", WebSocket),
):
    setattr(_module, _name, _ours)
