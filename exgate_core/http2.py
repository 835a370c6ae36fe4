"""HTTP/2 with bounds: what one client can make this process hold, and for how long."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import h2.events
import h2.exceptions
import hypercorn.protocol
from h2.connection import ConnectionState
from h2.errors import ErrorCodes
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Request, StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.utils import filter_pseudo_headers

from .frames import Frames
from .outbox import Outbox
from .protocols import Http, WebSocket, one_liners_ascii

MAX_STREAMS = 10
"""Requests and WebSockets that may be under way on one HTTP/2 connection; more are refused, which is safe to repeat."""

_BEFORE_LIMIT = 100


class Http2(H2Protocol):
    """HTTP/2, by prior knowledge or by TLS.

    A client that lets a stream wait too long loses it, is given no new one, and loses the connection with the last.
    Priorities are not followed: nobody needs them for so few streams.
    """

    _leaving = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._frames = Frames()
        self._boxes: dict[int, Outbox] = {}
        self.stream_buffers: Any = self._boxes

    async def initiate(self, headers: list[tuple[bytes, bytes]] | None = None, settings: bytes | None = None) -> None:
        """Say hello."""
        await super().initiate(headers, settings)
        # Streams that came before the client knew the limit are refused one by one: h2 would end the connection.
        limits = self.connection.local_settings
        limits.max_concurrent_streams = _BEFORE_LIMIT
        limits.acknowledge()

    async def handle(self, event: Event) -> None:
        """Bytes of the client, a few frames at a time, or its end."""
        if not isinstance(event, RawData):
            return await super().handle(event)
        for piece in self._frames.slices(event.data):
            if self._frames.flooded(asyncio.get_running_loop().time()):
                return await self._end(ErrorCodes.ENHANCE_YOUR_CALM)
            await super().handle(RawData(data=piece))
            await asyncio.sleep(0)

    def stuck(self, write: float, body: float, now: float) -> list[int]:
        """The streams whose client has taken too little for ``write`` seconds or sent no whole body for ``body``."""
        boxes = [number for number, box in self._boxes.items() if box.since and now - box.since > write]
        return boxes + [
            number
            for number, stream in self.streams.items()
            if isinstance(stream, Http) and not stream.complete and now - stream.started > body
        ]

    async def give_up(self, number: int) -> None:
        """End a stream, and the connection after the others."""
        self._leaving = True
        if number in self._boxes:
            await self._boxes[number].close()
        await self._close_stream(number)
        self._reset(number, ErrorCodes.CANCEL)
        await self._window_updated(number)
        await self._flush()
        await self._end_after_last()

    def farewell(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> bytes:
        """The last bytes, after which a client knows which of its requests were never taken; empty if all is said."""
        if self.connection.state_machine.state is not ConnectionState.CLOSED:
            self.connection.close_connection(code)
        return bytes(self.connection.data_to_send())

    async def stream_send(self, event: StreamEvent) -> None:
        """What a stream has to say."""
        if isinstance(event, StreamClosed):
            stream = self.streams.get(event.stream_id)
            if isinstance(stream, Http) and not stream.complete:
                self._leaving = True
                self._reset(event.stream_id, ErrorCodes.NO_ERROR)
        await super().stream_send(event)
        await self._end_after_last()

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                with suppress(h2.exceptions.ProtocolError):
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.RequestReceived) and self._is_leaving():
                self._reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
                await self._flush()
            else:
                await super()._handle_events([event])

    async def _priority_updated(self, event: h2.events.PriorityUpdated) -> None:
        pass

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        number, fields = request.stream_id, dict(request.headers)
        if not _is_sound(request.headers):
            return self._reset(number, ErrorCodes.PROTOCOL_ERROR)
        if len(self.streams) >= MAX_STREAMS:
            return self._reset(number, ErrorCodes.REFUSED_STREAM)
        method = fields[b":method"].decode("ascii").upper()
        stream = (WebSocket if method == "CONNECT" else Http)(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            number,
        )
        self.streams[number], self._boxes[number] = stream, Outbox()
        self.priority.insert_stream(number)
        self.priority.block(number)
        headers = filter_pseudo_headers(request.headers)
        path, state = fields[b":path"], self.connection_state
        await stream.handle(
            Request(stream_id=number, headers=headers, http_version="2", method=method, raw_path=path, state=state)
        )

    def _reset(self, number: int, code: ErrorCodes) -> None:
        with suppress(h2.exceptions.ProtocolError):
            self.connection.reset_stream(number, code)

    def _is_leaving(self) -> bool:
        return self._leaving or self.context.terminated.is_set()

    async def _end_after_last(self) -> None:
        if self._is_leaving() and not self.streams:
            await self._end(ErrorCodes.NO_ERROR)

    async def _end(self, code: ErrorCodes) -> None:
        await self.send(RawData(data=self.farewell(code)))
        await self.send(Closed())


def _is_sound(headers: list[Any]) -> bool:
    fields = dict(headers)
    path, authority = fields.get(b":path", b""), fields.get(b":authority")
    method = fields.get(b":method", b"")
    if not path.startswith(b"/") or not (path + method).isascii() or not one_liners_ascii(headers):
        return False
    if method.upper() == b"CONNECT" and fields.get(b":protocol") != b"websocket":
        return False
    return authority is None or fields.get(b"host", authority) == authority


vars(hypercorn.protocol)["H2Protocol"] = Http2
