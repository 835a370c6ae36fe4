"""A real server on a free port over a gateway that is a stub, and raw sockets to talk to it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from exgate_core.access import Guard, Tokens
from exgate_core.app import make_app
from exgate_core.connections import Deadlines
from exgate_core.errors import InvalidArgument, NotFound
from exgate_core.models import Answer, Balance, Depth, Market
from exgate_core.readers import ReaderClosed
from exgate_core.server import Stop, listen, run
from exgate_core.settings import Server, Settings

BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")
STREAM = "/v1/stub/pull_trade?symbol=BTC/USDT"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class StubMarkets:
    """One market."""

    def resolve(self, text: str) -> Market:
        """BTC/USDT or a refusal."""
        if text.upper().replace("-", "/") != BTC.symbol:
            raise InvalidArgument.of("symbol", "no such market; the nearest is BTC/USDT")
        return BTC

    def __iter__(self) -> Iterator[Market]:
        return iter((BTC,))


class StubReader:
    """Hands out what its entry publishes, merged to one frame when behind."""

    def __init__(self, entry: StubEntry) -> None:
        self._entry = entry
        self._at = len(entry.frames)

    async def relay(self, write: Callable[[bytes], bool]) -> None:
        """Everything comes from ``next``."""

    async def next(self) -> bytes:
        """The next frame."""
        entry = self._entry
        while self._at == len(entry.frames):
            if entry.closed is not None:
                raise entry.closed
            entry.waiters.append(waiter := asyncio.get_running_loop().create_future())
            await waiter
        self._at += 1
        return entry.frames[self._at - 1]


class StubEntry:
    """A name of the API that answers at once and counts what it was asked."""

    name = "stub"

    def __init__(self, reader: Any = None, fails: Exception | None = None) -> None:
        self.private_real = False
        self._reader, self._fails = reader, fails
        self.exchange = SimpleNamespace(markets=StubMarkets(), has=lambda operation: True, name="stub")
        self.frames: list[bytes] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.closed: ReaderClosed | None = None
        self.readers = self.orders = self.pins = 0

    async def pull_trade(self, market: Market, since_id: str | None, serve: Callable[[Any], Awaitable[None]]) -> None:
        """Serve a reader of what is published."""
        if self._fails is not None:
            raise self._fails
        self.readers += 1
        try:
            await serve(self._reader or StubReader(self))
        finally:
            self.readers -= 1

    def publish(self, *frames: bytes) -> None:
        """Frames for every reader."""
        self.frames.extend(frames)
        self._wake()

    def end(self, code: int, reason: str) -> None:
        """Close every reader."""
        self.closed = ReaderClosed(code, reason)
        self._wake()

    def _wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def depth(self, market: Market, limit: int, freshness: Any) -> Answer[Depth]:
        """An empty book."""
        return Answer(Depth(bids=(), asks=()), "local", 0.0)

    async def balances(self, credentials: Any) -> Answer[list[Balance]]:
        """One row."""
        return Answer([Balance(asset="BTC", available="1", frozen="0")], "exchange", 0.0)

    async def place_order(self, *arguments: Any) -> Any:
        """Counted."""
        self.orders += 1
        return SimpleNamespace(order_id="1", client_order_id="c1", replayed=None)

    def pin(self, market: Market) -> tuple[str, str]:
        """Counted."""
        self.pins += 1
        return "starting", ""


class StubGateway:
    """One name, ``stub``; ``drain`` ends its streams."""

    def __init__(self, server: Server, entry: StubEntry) -> None:
        self.settings = Settings(server=server)
        self.entries: dict[str, Any] = {"stub": entry}
        self.ready: tuple[bool, dict[str, Any]] = (True, {})
        self.draining = False
        self.in_flight: asyncio.Future[None] | None = None

    def names(self) -> list[str]:
        """The one."""
        return list(self.entries)

    def known(self, name: str) -> Any:
        """The one."""
        return self.entries[name]

    async def entry(self, name: str) -> Any:
        """The one, or NotFound."""
        if name not in self.entries:
            raise NotFound("no such exchange", reason="UNKNOWN_EXCHANGE")
        return self.entries[name]

    async def drain(self, seconds: float) -> None:
        """Wait for the order in flight, then end the streams."""
        self.draining, self.ready = True, (False, {"draining": True})
        if self.in_flight is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.in_flight, seconds)
        for entry in self.entries.values():
            entry.end(1012, "going away")


class Running:
    """A server in a thread of its own."""

    def __init__(
        self, server: Server, tokens: Tokens, deadlines: Deadlines | None, loop: LoopFactory | None, app: Any
    ) -> None:
        self._server, self._tokens, self._deadlines = server, tokens, deadlines
        self.entry = StubEntry()
        self.gateway = StubGateway(server, self.entry)
        self.line = ""
        self._app = app
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(loop,), daemon=True)

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._address

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run a plain function in the server's loop."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def count_tasks(self) -> int:
        """Tasks in the server's loop."""
        return len(asyncio.all_tasks(self._loop))

    def start(self) -> None:
        """Until it listens."""
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Twice, so that it hurries; then wait for its end."""
        with suppress(RuntimeError):
            self.call(self.ask.ask)
            self.call(self.ask.ask)
        self.join()

    def join(self) -> None:
        """Until its thread has ended."""
        self._thread.join(15)
        assert not self._thread.is_alive()

    def _started(self, line: str) -> None:
        self.line = line
        self._ready.set()

    def _main(self, loop: LoopFactory | None) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        self._loop, self.ask = asyncio.get_running_loop(), Stop()
        listener = listen(self._server)
        port = None if self._server.uds else listener.getsockname()[1]
        self._address = Address(self._server.uds or self._server.host, port or 0)
        app = self._app or make_app(self.gateway, Guard(self._server, self._tokens, port))
        await run(app, self._server, listener, self.gateway, self.ask, ready=self._started, deadlines=self._deadlines)


@contextmanager
def serving(
    server: Server | None = None,
    tokens: Tokens | None = None,
    deadlines: Deadlines | None = None,
    loop: LoopFactory | None = None,
    app: Any = None,
) -> Iterator[Running]:
    """A running server on a free port."""
    running = Running(server or Server(port=0), tokens or Tokens({}, Path("/token")), deadlines, loop, app)
    running.start()
    try:
        yield running
    finally:
        running.stop()


class Answered(NamedTuple):
    """One HTTP answer, and whether the server closed the connection after it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def connect(address: Address, timeout: float = 10.0) -> socket.socket:
    """A TCP connection, or one to a Unix socket where the port is 0."""
    if not address.port:
        found = socket.socket(socket.AF_UNIX)
        found.settimeout(timeout)
        found.connect(address.host)
        return found
    return socket.create_connection(address, timeout)


def read_answer(connection: socket.socket) -> Answered | None:
    """The next answer; None where the connection ends without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = _receive(connection)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length and (more := _receive(connection)):
        body += more
    return Answered(int(first.split(" ")[1]), headers, body)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends the connection (within the socket's timeout)."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def ask(address: Address, raw: bytes) -> Answered | None:
    """Send bytes on a new connection, read one answer."""
    with connect(address) as connection:
        with suppress(ConnectionError):
            connection.sendall(raw)
        return read_answer(connection)


def request(
    address: Address, path: str, *lines: str, method: str = "GET", host: str | None = "", body: bytes = b""
) -> Answered | None:
    """One request on a new connection; ``host`` None leaves the header out."""
    name = f"{address.host}:{address.port}" if host == "" else host
    head = [f"{method} {path} HTTP/1.1", *([] if name is None else [f"Host: {name}"]), *lines]
    if body or method == "POST":
        head.append(f"Content-Length: {len(body)}")
    return ask(address, "\r\n".join([*head, "", ""]).encode("latin-1") + body)


def handshake(address: Address, *lines: str, path: str = STREAM, host: str = "") -> bytes:
    """The bytes that ask for a WebSocket."""
    head = [
        f"GET {path} HTTP/1.1",
        f"Host: {host or f'{address.host}:{address.port}'}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode("latin-1")


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A client's frame, masked."""
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    mask = os.urandom(4)
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)) if size < 70_000 else payload
    return head + mask + masked


class RawSocket:
    """A WebSocket client that does only what a test says."""

    def __init__(self, address: Address, *lines: str, host: str = "", path: str = STREAM) -> None:
        self.connection = connect(address)
        self.connection.sendall(handshake(address, *lines, host=host, path=path))
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self.connection.recv(65536)
        self.head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert b" 101 " in self.head, self.head

    def send(self, payload: bytes, opcode: int = 1, *, fin: bool = True, rsv1: bool = False) -> None:
        """One frame."""
        self.connection.sendall(frame(payload, opcode, fin=fin, rsv1=rsv1))

    def next(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises EOFError at the end."""
        first, second = self._take(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return first & 0x0F, self._take(size)

    def close_code(self) -> int | None:
        """Skip to the close frame; None where the connection ends without one."""
        with suppress(EOFError, ConnectionError):
            while True:
                opcode, payload = self.next()
                if opcode == 8:
                    return int.from_bytes(payload[:2], "big")
        return None

    def say_goodbye(self) -> None:
        """A close frame."""
        self.send(b"\x03\xe8", 8)

    def reset(self) -> None:
        """RST, as a client that dies."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def close(self) -> None:
        """FIN without a word."""
        self.connection.close()

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            more = self.connection.recv(65536)
            if not more:
                raise EOFError
            self._data += more
        found, self._data = self._data[:size], self._data[size:]
        return found


def resident() -> int:
    """Bytes of memory that this process uses."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition; fails when it doesn't come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition didn't come"
        threading.Event().wait(0.01)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""
