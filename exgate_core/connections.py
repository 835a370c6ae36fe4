"""The connections of one running server: how many, how long each may take, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr
from msgspec import Struct

from .http2 import Http2
from .protocols import Http, Http1, WebSocket, refusal

_LOG = logging.getLogger("exgate.server")
_PING = b"\x89\x00"
_HIGH_WATER = 64 * 1024


class Deadlines(Struct, frozen=True, kw_only=True):
    """Seconds after which a connection is ended; looked at once a second."""

    idle: float = 75.0
    """Without a request."""
    head: float = 10.0
    """From the first byte of a request to the end of its head."""
    body: float = 15.0
    """From the end of the head to the end of the body, or of a WebSocket message; the app's own deadline is shorter."""
    write: float = 20.0
    """With answers that the client doesn't take."""
    linger: float = 2.0
    """Between our end and the client's."""
    ping: float = 20.0
    """Between pings to a WebSocket client; after three without a byte from it, it is gone."""


class Connection(TCPServer):
    """One connection. Its deadlines are looked at by ``Connections``, so that no request pays for a timer."""

    def __init__(self, owner: Connections, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(owner.app, loop, owner.config, owner.context, {}, reader, writer)
        self._owner, self._deadlines = owner, owner.deadlines
        self._transport = writer.transport
        self._task: asyncio.Task[None] | None = None
        self.idle_since: float | None = loop.time()
        self._head_since: float | None = None
        self._blocked_since: float | None = None
        self._closing_since: float | None = None
        self._heard = self._pinged = loop.time()

    @property
    def is_stream(self) -> bool:
        """Whether it carries a WebSocket."""
        return isinstance(getattr(self._http, "stream", None), WebSocket)

    async def run(self) -> None:
        """Serve until either side is done."""
        self._task = asyncio.current_task()
        try:
            async with TaskGroup(self.loop) as self._task_group:
                self.protocol = self._negotiated()
                if isinstance(self._http, Http1):
                    self._http.write = self._write_now
                await self.protocol.initiate()
                await self._read_data()
        except* OSError:
            pass
        except* Exception:
            _LOG.exception("a connection broke")
        finally:
            await self._finish()

    async def protocol_send(self, event: Event) -> None:
        """Act on what the protocol wants: write, close, or note that it is idle."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed):
            await self._close()
        elif isinstance(event, Updated):
            self.idle_since = self.loop.time() if event.idle else None
            self._head_since = None
            self._owner.moved(self)

    def end_if_idle(self) -> None:
        """End it unless a request is under way."""
        if self.idle_since is not None:
            self._end()

    def abort(self) -> None:
        """Drop it now."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()

    def look(self, now: float) -> None:
        """End it if a deadline has passed."""
        limits = self._deadlines
        if _past(self._closing_since, limits.linger, now) or _past(self._blocked_since, limits.write, now):
            self.abort()
        elif self._closing_since is not None:
            return
        elif _past(self.idle_since, limits.idle, now) or _past(self._head_since, limits.head, now):
            self._end()
        else:
            self._look_at_streams(now)

    def _look_at_streams(self, now: float) -> None:
        http = self._http
        if isinstance(http, Http2):
            self._look_at_http2(http, now)
        for stream in self._streams():
            if isinstance(stream, Http) and not stream.complete and now - stream.started > self._deadlines.body:
                self.abort()
            elif isinstance(stream, WebSocket) and _past(stream.partial_since, self._deadlines.body, now):
                self._task_group.spawn(stream.end, 1008)
        if self.is_stream:
            self._ping(now)

    def _look_at_http2(self, http: Http2, now: float) -> None:
        for number in http.stuck(self._deadlines.write, self._deadlines.body, now):
            self._task_group.spawn(http.give_up, number)
        if self.idle_since is None and not http.streams:
            # The client took its requests back, or they were refused: hypercorn doesn't say so.
            self.idle_since = now
            self._owner.moved(self)

    def _ping(self, now: float) -> None:
        if now - self._heard > 3 * self._deadlines.ping:
            self.abort()
        elif now - self._pinged > self._deadlines.ping and next(iter(self._streams())).live:
            self._pinged = now
            self._transport.write(_PING)

    def _negotiated(self) -> ProtocolWrapper:
        socket = self.writer.get_extra_info("socket")
        tls = self.writer.get_extra_info("ssl_object")
        return ProtocolWrapper(
            self.app,
            self.config,
            self.context,
            self._task_group,
            ConnectionState({}),
            tls is not None,
            parse_socket_addr(socket.family, socket.getpeername()),
            parse_socket_addr(socket.family, socket.getsockname()),
            self.protocol_send,
            tls.selected_alpn_protocol() if tls is not None else "http/1.1",
        )

    @property
    def _http(self) -> Any:
        return getattr(getattr(self, "protocol", None), "protocol", None)

    def _streams(self) -> Iterable[Any]:
        if isinstance(self._http, Http2):
            return list(self._http.streams.values())
        stream = getattr(self._http, "stream", None)
        return () if stream is None else (stream,)

    async def _read_data(self) -> None:
        try:
            while not self.reader.at_eof():
                data = await self.reader.read(MAX_RECV)
                self._heard = self.loop.time()
                if self._closing_since is None and data:
                    await self.protocol.handle(RawData(data))
                    self._note_head()
        finally:
            await self.protocol.handle(Closed())

    def _note_head(self) -> None:
        if self.idle_since is None or self._head_since is not None:
            return
        if isinstance(self._http, Http1) and self._http.half_a_head:
            self._head_since = self._heard

    async def _write(self, data: bytes) -> None:
        transport = self._transport
        if self._closing_since is not None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > _HIGH_WATER:
            self._blocked_since = self._blocked_since or self.loop.time()
            try:
                await self.writer.drain()
            except (OSError, RuntimeError):
                await self.protocol.handle(Closed())
            finally:
                self._blocked_since = None

    def _write_now(self, data: bytes) -> bool:
        transport = self._transport
        if self._closing_since is not None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > _HIGH_WATER:
            return False
        transport.write(data)
        return True

    async def _close(self) -> None:
        self._end()

    def _end(self) -> None:
        """Send what is buffered and our end; ``look`` waits for the client's, so that it can read the last answer."""
        if self._closing_since is not None:
            return
        self._closing_since = self.loop.time()
        if isinstance(self._http, Http2) and not self._transport.is_closing():
            self._transport.write(self._http.farewell())
        try:
            self.writer.write_eof()
        except (NotImplementedError, OSError, RuntimeError):
            self._transport.close()

    async def _finish(self) -> None:
        self._closing_since = self._closing_since or self.loop.time()
        self._transport.close()
        try:
            await self.writer.wait_closed()
        except (OSError, RuntimeError):
            pass


class Connections:
    """All connections of a server. Where there are too many, the one that has been idle longest goes first."""

    def __init__(self, app: AppWrapper, config: Config, limit: int, deadlines: Deadlines) -> None:
        self.app, self.config, self.deadlines = app, config, deadlines
        self.context = WorkerContext(None)
        self._limit = limit
        self._all: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        self._last = asyncio.Event()

    def __len__(self) -> int:
        return len(self._all)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one new connection; the callback of ``asyncio.start_server``."""
        if not self._room():
            headers, body = refusal(
                503, f"{self._limit} connections are open and busy, as many as server.max_connections allows"
            )
            lines = b"".join(b"%s: %s\r\n" % header for header in headers)
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\n" + lines + b"\r\n" + body)
            writer.close()
            return
        connection = Connection(self, reader, writer)
        self._all.add(connection)
        self._idle[connection] = None
        try:
            await connection.run()
        except asyncio.CancelledError:
            # By abort(), or because the loop ends: this task does too, and asyncio would log the cancellation.
            pass
        finally:
            self._all.discard(connection)
            self._idle.pop(connection, None)
            if not self._all:
                self._last.set()

    def moved(self, connection: Connection) -> None:
        """A connection became idle or busy."""
        self._idle.pop(connection, None)
        if connection.idle_since is not None:
            self._idle[connection] = None

    async def watch(self) -> None:
        """Look at every deadline once a second, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            now = loop.time()
            for connection in list(self._all):
                connection.look(now)

    async def stop(self) -> None:
        """Nothing new on any connection: idle ones end now, the others after what is under way."""
        await self.context.terminated.set()
        for connection in list(self._all):
            connection.end_if_idle()

    async def ended(self) -> None:
        """Wait until the last connection has ended."""
        if self._all:
            self._last.clear()
            await self._last.wait()

    def abort(self) -> None:
        """Drop every connection now."""
        for connection in list(self._all):
            connection.abort()

    def _room(self) -> bool:
        if len(self._all) < self._limit:
            return True
        if sum(not connection.is_stream for connection in self._all) < self._limit:
            return True
        oldest = next(iter(self._idle), None)
        if oldest is not None:
            oldest.abort()
            self._idle.pop(oldest)
        return oldest is not None


def _past(since: float | None, limit: float, now: float) -> bool:
    return since is not None and now - since > limit
