"""What benchmarks of running servers share: processes of their own, their processor time, a bare server, a crowd."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import anyio
import psutil

from exgate_core.server import Stop, listen, run
from exgate_core.settings import Server, Settings
from exgate_core.watchdog import collect_less
from tests.support.serving import serving

try:
    import uvloop

    _loops: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
except ImportError:
    _loops = None

T = TypeVar("T")

_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_KEPT = 512
_PATIENCE = 60.0


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used, its kernel time included."""
    if sys.platform == "linux":
        return time.clock_gettime(~pid << 3 | 2)  # its own clock; psutil's ticks of 10 ms are too coarse
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


class Orders:
    """A child's end of the line to its parent."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._orders: asyncio.Queue[Any] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._read)

    async def next(self) -> Any:
        """The parent's next order; None when it wants no more."""
        return await self._orders.get()

    def say(self, value: Any) -> None:
        """Answer the parent."""
        self._pipe.send(value)

    def _read(self) -> None:
        try:
            self._orders.put_nowait(self._pipe.recv())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._orders.put_nowait(None)


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run it on the loop that a gateway would have."""
    with asyncio.Runner(loop_factory=_loops) as runner:
        return runner.run(main)


Main = Callable[..., Awaitable[None]]


class Child:
    """A process that runs ``main(orders, *arguments)``; ``main`` ends when it is given None."""

    def __init__(self, main: Main, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(main, theirs, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def tell(self, order: Any) -> None:
        """Give an order."""
        self._pipe.send(order)

    async def hear(self) -> Any:
        """What the child says next. Raises EOFError if it has ended."""
        return await asyncio.wait_for(asyncio.to_thread(self._pipe.recv), _PATIENCE)

    async def ask(self, order: Any) -> Any:
        """Give an order and hear its answer."""
        self.tell(order)
        return await self.hear()

    @property
    def spent(self) -> float:
        """Seconds of processor time that the process has used, its kernel time included."""
        return processor_time(self.pid)

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process.pid is not None
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()


@contextmanager
def child(main: Main, *arguments: Any) -> Iterator[Child]:
    """A child for the time of a block."""
    made = Child(main, *arguments)
    try:
        yield made
    finally:
        made.close()


def _child(main: Main, pipe: Connection, arguments: tuple[Any, ...]) -> None:
    async def live() -> None:
        await main(Orders(pipe), *arguments)

    run_loop(live())


async def serve_bare(app: Any, orders: Orders, obey: Callable[[Any], Awaitable[None]] | None = None) -> None:
    """Serve an ASGI app on ExGate's own server until the parent has enough; says its port first."""

    class Nothing:
        async def drain(self, seconds: float) -> None:
            pass

    stop, server = Stop(), Server(port=0)
    listener = listen(server)
    port = listener.getsockname()[1]
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await run(app, server, listener, Nothing(), stop, ready=lambda line: orders.say(port))

        tasks.start_soon(serve)
        while (order := await orders.next()) is not None:
            assert obey is not None
            await obey(order)
        stop.ask()
        stop.ask()


async def serve_exgate(orders: Orders, settings: Settings) -> None:
    """Serve a whole gateway until the parent has enough, as ``exgate serve`` does; says its port first."""
    collect_less()
    async with serving(settings) as served:
        orders.say(int(served.url.rpartition(":")[2]))
        while await orders.next() is not None:
            pass
        served.stop.ask()
        served.stop.ask()


class _Client(asyncio.Protocol):
    """Reads and forgets, but for the last bytes."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd, self._tail = crowd, b""

    def data_received(self, data: bytes) -> None:
        self._tail = data[-_KEPT:] if len(data) >= _KEPT else (self._tail + data)[-_KEPT:]
        if self._crowd.marker in self._tail:
            self._tail = b""
            self._crowd.seen()

    def connection_lost(self, error: Exception | None) -> None:
        self._crowd.lost += 1


class Crowd:
    """WebSocket clients of one stream."""

    def __init__(self) -> None:
        self.marker = b"\r\n\r\n"
        self.lost = 0
        self._transports: list[asyncio.Transport] = []
        self._left, self._all = 0, asyncio.Event()

    def __len__(self) -> int:
        return len(self._transports)

    def expect(self, marker: bytes) -> None:
        """From now on ``everybody`` waits until each client got these bytes; they come once, at an end of a frame."""
        self.marker, self._left = marker, len(self._transports)
        self._all.clear()

    async def everybody(self) -> None:
        """Raises TimeoutError if somebody doesn't get it."""
        await asyncio.wait_for(self._all.wait(), _PATIENCE)
        assert not self.lost, f"{self.lost} clients were cut"

    def seen(self) -> None:
        """Called by a client that got the marker."""
        self._left -= 1
        if self._left <= 0:
            self._all.set()

    async def join(self, port: int, path: str, count: int) -> None:
        """So many more clients; returns when the server has accepted them."""
        for _ in range(count):
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: _Client(self), "127.0.0.1", port)
            self._transports.append(transport)
            self.marker, self._left = b"\r\n\r\n", 1
            self._all.clear()
            transport.write(_HANDSHAKE.format(path=path, port=port).encode())
            await self.everybody()

    def leave(self) -> None:
        """Cut every connection."""
        for transport in self._transports:
            transport.abort()


@asynccontextmanager
async def crowd(port: int, path: str, count: int) -> AsyncIterator[Crowd]:
    """So many WebSocket clients for the time of a block."""
    made = Crowd()
    try:
        await made.join(port, path, count)
        yield made
    finally:
        made.leave()


def allow_files(count: int) -> None:
    """Let this process have so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count if hard < 0 else min(count, hard), hard))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
