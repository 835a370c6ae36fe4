"""What tests and proofs of the whole gateway share: callers over HTTP and WebSocket, one-file plugins, the judge."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiohttp
import anyio
from exgate_paper import Engine
from exgate_paper.adapter import PaperExchange
from exgate_paper.ledger import Accepted

from exgate_core.gateway import Gateway
from exgate_core.plugins import Catalogue, load_catalogue
from exgate_core.settings import Settings

from .doors import Address, frame, handshake
from .serving import Served, serving

T = TypeVar("T")

STEP = 100_000
"""Steps of an amount of the paper exchange's BTC/USDT in one BTC."""


class Reply(NamedTuple):
    """One answer: what was placed, or why not, where it is one about an order."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def outcome(self) -> str:
        """placed, refused, not-sent or unknown; empty = the gateway doesn't say, so unknown."""
        return self.headers.get("exgate-outcome", "")

    @property
    def reason(self) -> str:
        """Of an error."""
        return self.headers.get("exgate-reason", "")

    @property
    def order_id(self) -> str:
        """Of an order that was placed."""
        return str(self.body.get("order_id", ""))


class Caller:
    """A client of one gateway."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def get(self, path: str, **headers: str) -> Reply:
        """One GET; the names of headers are written with underscores."""
        return await self._ask("GET", path, None, _named(headers))

    async def post(self, path: str, body: Mapping[str, Any], **headers: str) -> Reply:
        """One POST."""
        return await self._ask("POST", path, body, _named(headers))

    async def buy(self, amount: int, *, name: str = "paper", client_order_id: str = "", **headers: str) -> Reply:
        """A limit order of so many steps, far from the market, so that it rests."""
        options = {"client_order_id": client_order_id} if client_order_id else {}
        body = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "100.00", "options": options}
        return await self.post(f"/v1/{name}/order", {**body, "amount": f"{amount / STEP:.5f}"}, **headers)

    def stream(self, name: str = "paper", symbol: str = "BTC/USDT") -> Any:
        """A WebSocket of trades, for ``async with``."""
        return self._session.ws_connect(f"{self._url}/v1/{name}/pull_trade?symbol={symbol}", max_msg_size=0)

    async def _ask(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Reply:
        async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, found, json.loads(await answer.read()))


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    """A client with as many connections as it wants."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)
    ) as session:
        yield Caller(url, session)


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class Wire:
    """A WebSocket client that takes a frame when it is told to, and has room for little more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str, path: str = "/v1/paper/pull_trade?symbol=BTC/USDT", room: int = 4096) -> Wire:
        """Connect; ``room`` is the receive buffer's size. Raises ConnectionError where the handshake is refused."""
        host, _, port = url.rpartition("/")[2].partition(":")
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        found.setblocking(False)
        await asyncio.get_running_loop().sock_connect(found, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=found, limit=max(room, 2048))
        writer.write(handshake(Address(host, int(port)), path=path))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head:
            writer.close()
            raise ConnectionError(head.decode("latin-1"))
        return cls(reader, writer)

    async def next(self) -> tuple[int, bytes]:
        """The next frame but pings: opcode and payload. Raises EOFError or OSError at the end."""
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
            payload = await self._reader.readexactly(size)
            if first & 0x0F != 9:
                return first & 0x0F, payload
            self._writer.write(frame(payload, 10))

    def leave(self, how: str) -> None:
        """``close`` = a close frame, ``fin`` = without a word, ``reset`` = as a client that dies."""
        if how == "close":
            self._writer.write(frame(b"\x03\xe8", 8))
        if how == "reset":
            self._writer.transport.abort()
        else:
            self._writer.close()


class Heard:
    """What one reader of a stream got."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.statuses: list[dict[str, Any]] = []
        self.code = 0
        """The close code; 0 = it ended without one."""

    @property
    def missing(self) -> int:
        """Trades between the first and the last that didn't come."""
        return self.ids[-1] - self.ids[0] + 1 - len(set(self.ids)) if self.ids else 0

    @property
    def misplaced(self) -> int:
        """Trades that came twice or too late."""
        return sum(second <= first for first, second in zip(self.ids, self.ids[1:], strict=False))

    def take(self, opcode: int, payload: bytes) -> None:
        """One frame."""
        if opcode == 8:
            self.code = int.from_bytes(payload[:2])
            return
        found = json.loads(payload)
        if "status" in found:
            self.statuses.append(found)
        self.ids.extend(int(trade["trade_id"]) for trade in found.get("trades", ()))

    async def rest(self, wire: Wire) -> None:
        """Everything up to the end."""
        try:
            while not self.code:
                self.take(*await wire.next())
        except (EOFError, OSError):
            pass


class House:
    """A whole gateway in a thread with a loop of its own, so that what it holds can be counted."""

    def __init__(self, settings: Settings, catalogue: Catalogue | None) -> None:
        self._settings, self._catalogue = settings, catalogue
        self._served: Future[Served] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Until it serves."""
        self._thread.start()
        self.served = self._served.result(30)

    def stop(self) -> None:
        """As SIGTERM does."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.served.url

    @property
    def tasks(self) -> int:
        """How many tasks it has."""
        return len(asyncio.all_tasks(self._loop))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Something in its loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with serving(self._settings, self._catalogue) as served:
                self._served.set_result(served)
                await self._over.wait()
        except BaseException as error:
            if not self._served.done():
                self._served.set_exception(error)
            raise


@contextmanager
def house(settings: Settings, catalogue: Catalogue | None = None) -> Iterator[House]:
    """A gateway in a thread."""
    found = House(settings, catalogue)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def engine(gateway: Gateway, name: str = "paper") -> Engine:
    """The paper exchange's truth."""
    adapters = gateway.entries[name].exchange.adapters
    return next(adapter.engine for adapter in adapters if isinstance(adapter, PaperExchange))


def accepted(truth: Engine, amount: int) -> list[str]:
    """The ids of all orders of so many steps that truly came into being."""
    return [str(entry.order_id) for entry in truth.ledger.of(Accepted) if entry.amount == amount]


def is_lie(reply: Reply, really: list[str]) -> bool:
    """Whether an answer about an order contradicts what happened. Unknown never does."""
    if reply.outcome == "placed":
        return reply.status != 200 or reply.order_id not in really
    if reply.outcome in ("refused", "not-sent"):
        return reply.status == 200 or bool(really)
    return reply.status == 200


def plugin(folder: Path, name: str, text: str) -> Catalogue:
    """What is installed, and one plugin in one file: ``name`` without its ending."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    return load_catalogue(plugins_dir=folder)


async def reached(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0) -> float:
    """Wait for a condition, at most so long; the seconds that it took. Raises TimeoutError."""
    start = anyio.current_time()
    with anyio.fail_after(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return anyio.current_time() - start
            await anyio.sleep(0.005)
