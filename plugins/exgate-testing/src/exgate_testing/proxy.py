"""A broken line between a gateway and any upstream: bytes that come late, in pieces, damaged, half, or never.

``upstream_prefix = line.prefix`` puts it before a fake (``serving``), a replayer, a recorder, or another line. What a
server would say instead of the truth stands in ``faults``; here it is the network that fails, and it doesn't know where
a request begins, but for the two answers that no honest upstream gives: a bomb and a redirect.
"""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import anyio
from msgspec import Struct

from exgate_core.clock import Sleep

Kind = Literal["latency", "drip", "slice", "drop", "truncate", "reset", "corrupt", "bomb", "redirect"]
"""latency: each piece comes ``seconds`` late; drip: one byte every ``seconds``; slice: in pieces of ``size`` bytes;
drop: nothing comes, and nobody is told; truncate: the connection ends after ``after`` bytes; reset: it breaks there;
corrupt: the byte there has another bit; bomb: instead of an answer, ``size`` bytes, packed into a thousandth of that;
redirect: instead of an answer, a 307 to ``location``."""
Way = Literal["up", "down"]
"""To the exchange, or from it."""

_CHUNK = 65536


class LineFault(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong on the line."""

    kind: Kind
    way: Way = "down"
    """Of bomb and redirect always down."""
    after: int = 0
    """How many bytes pass that way first: of a new connection, or from now on of one that is open."""
    seconds: float = 0.05
    size: int = 1
    location: str = ""
    connections: int = 0
    """How many connections it strikes, the first that send something that way; 0 = all."""


class Line:
    """A proxy that is running."""

    def __init__(self, host: str, port: int, sleep: Sleep) -> None:
        self.prefix = ""
        """For ``upstream_prefix``."""
        self.accepted = 0
        """How many connections came."""
        self._host, self._port, self._sleep = host, port, sleep
        self._faults: list[_Armed] = []
        self._links: set[_Link] = set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    @contextmanager
    def faulty(self, *faults: LineFault) -> Iterator[None]:
        """The line has these faults while the block runs, for connections that are open and for new ones."""
        armed = [_Armed(fault) for fault in faults]
        for fault in faults:
            if fault.kind == "bomb":
                bomb(fault.size)  # takes a while
        self._faults += armed
        try:
            yield
        finally:
            for one in armed:
                self._faults.remove(one)

    def cut(self) -> None:
        """Break every connection."""
        for link in list(self._links):
            link.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until both ends are closed or it broke."""
        self.accepted += 1
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            with suppress(OSError):
                await link.run(self._host, self._port)
        finally:
            self._links.discard(link)
            link.abort()

    def struck(self, link: _Link, way: Way, passed: int) -> list[_Strike]:
        """The faults that this connection has now; ``passed`` bytes of it went that way so far."""
        found = (armed.strike(link, passed) for armed in self._faults if armed.fault.way == way)
        return [strike for strike in found if strike is not None]

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await self._sleep(seconds)


class _Strike(NamedTuple):
    fault: LineFault
    begun: int
    """How many bytes had passed when it first struck the connection."""

    @property
    def place(self) -> int:
        return self.begun + self.fault.after


class _Armed:
    def __init__(self, fault: LineFault) -> None:
        self.fault = fault
        self._struck: dict[_Link, int] = {}

    def strike(self, link: _Link, passed: int) -> _Strike | None:
        if link not in self._struck and (not self.fault.connections or len(self._struck) < self.fault.connections):
            self._struck[link] = passed
        return _Strike(self.fault, self._struck[link]) if link in self._struck else None


class _Link:
    """One connection with its two directions."""

    def __init__(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._line, self._near = line, (reader, writer)
        self._writers = [writer]
        self._passed = {"up": 0, "down": 0}

    async def run(self, host: str, port: int) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        self._writers.append(far_writer)
        near_reader, near_writer = self._near
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pump, "up", near_reader, far_writer)
            await self._pump("down", far_reader, near_writer)
            tasks.cancel_scope.cancel()

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                strikes = self._line.struck(self, way, self._passed[way])
                if way == "up" and (instead := self._instead()):
                    self._near[1].write(instead)
                elif not await self._pass(way, data, strikes, writer):
                    return
            await self._end(writer)

    def _instead(self) -> bytes:
        for fault, _ in self._line.struck(self, "down", self._passed["down"]):
            if fault.kind == "bomb":
                return bomb(fault.size)
            if fault.kind == "redirect":
                return b"HTTP/1.1 307 Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % fault.location.encode()
        return b""

    async def _pass(self, way: Way, data: bytes, strikes: list[_Strike], writer: asyncio.StreamWriter) -> bool:
        """Hand a piece on, as far as its faults let it; whether the connection goes on."""
        first = self._passed[way]
        last = self._passed[way] = first + len(data)
        for it in strikes:
            if it.fault.kind == "corrupt" and first <= it.place < last:
                place = it.place - first
                data = data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1 :]
        if any(it.fault.kind == "drop" and last > it.place for it in strikes):
            return True
        end = next((it for it in strikes if it.fault.kind in ("truncate", "reset") and last >= it.place), None)
        if end is not None:
            data = data[: max(0, end.place - first)]
        await self._write(data, [it.fault for it in strikes], writer)
        if end is not None:
            await (self._end if end.fault.kind == "truncate" else self._reset)(writer)
        return end is None

    async def _write(self, data: bytes, faults: list[LineFault], writer: asyncio.StreamWriter) -> None:
        size, between = len(data) or 1, 0.0
        for fault in faults:
            if fault.kind == "latency":
                await self._line.pause(fault.seconds)
            elif fault.kind == "slice":
                size = min(size, fault.size)
            elif fault.kind == "drip":
                size, between = 1, fault.seconds
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            if between or size < len(data):
                await self._line.pause(between)  # so that each piece leaves by itself

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        await writer.drain()
        writer.close()

    async def _reset(self, writer: asyncio.StreamWriter) -> None:
        await writer.drain()
        await self._line.pause(0)
        writer.transport.abort()


@asynccontextmanager
async def broken_line(upstream: str, *, sleep: Sleep = anyio.sleep) -> AsyncIterator[Line]:
    """A proxy before the server at ``upstream`` (``http://127.0.0.1:PORT/``), on a free port, until the block ends."""
    parts = urlsplit(upstream)
    line = Line(parts.hostname or "127.0.0.1", parts.port or 80, sleep)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.prefix = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield line
    finally:
        server.close()
        line.cut()
        await asyncio.sleep(0)


@functools.cache
def bomb(size: int) -> bytes:
    """An answer of ``size`` spaces, packed by gzip."""
    packer = zlib.compressobj(9, wbits=31)
    blank = b" " * _CHUNK
    pieces = [packer.compress(blank) for _ in range(size // _CHUNK)]
    packed = b"".join([*pieces, packer.compress(b" " * (size % _CHUNK)), packer.flush()])
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    return head % len(packed) + packed
