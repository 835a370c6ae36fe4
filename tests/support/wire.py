"""A server that sends exactly the bytes that a test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Talk = Callable[["Visit"], Awaitable[object]]


class Visit:
    """One connection."""

    def __init__(self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.wire, self.reader, self.writer = wire, reader, writer

    async def request(self) -> bytes:
        """The next HTTP request with its body; raises IncompleteReadError at the end of the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        request = head + await self.reader.readexactly(length)
        self.wire.requests.append(request)
        return request

    def send(self, *parts: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(b"".join(parts))

    def answer(self, body: bytes = b'{"a":1}', head: bytes = b"") -> None:
        """A whole answer with 200."""
        self.send(b"HTTP/1.1 200 OK\r\n", head, b"Content-Length: %d\r\n\r\n" % len(body), body)

    async def upgrade(self, head: bytes = b"") -> None:
        """Accept a WebSocket handshake."""
        request = await self.request()
        [key] = [line[19:] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: ")]
        self.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        self.send(b"Sec-WebSocket-Accept: ", accept_key(key), b"\r\n", head, b"\r\n")

    async def frame(self) -> bytes:
        """The payload of the next (short) frame of the client."""
        _, size = await self.reader.readexactly(2)
        long = size & 127
        if long == 126:
            long = int.from_bytes(await self.reader.readexactly(2), "big")
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(long)
        return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        while await self.reader.read(65536):
            pass


class Wire:
    """Where it listens, and what came."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        """Called with every connection, which is closed when it returns."""
        self.requests: list[bytes] = []
        self.visits: list[Visit] = []
        self.port = 0

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """``ws://127.0.0.1:PORT``."""
        return f"ws://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its beginning to its end."""
        visit = Visit(self, reader, writer)
        self.visits.append(visit)
        try:
            await self.talk(visit)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def text_frame(text: str | bytes, *, first: int = 0x81) -> bytes:
    """A frame as a server sends it."""
    data = text.encode() if isinstance(text, str) else text
    if len(data) < 126:
        return bytes([first, len(data)]) + data
    if len(data) < 65536:
        return bytes([first, 126]) + len(data).to_bytes(2, "big") + data
    return bytes([first, 127]) + len(data).to_bytes(8, "big") + data


def accept_key(key: bytes) -> bytes:
    """RFC 6455, 4.2.2: what answers a ``Sec-WebSocket-Key``."""
    return base64.b64encode(hashlib.sha1(key.strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


@asynccontextmanager
async def wire(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Serve on a free port of 127.0.0.1."""
    it = Wire(talk)
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        for visit in it.visits:
            visit.writer.transport.abort()
