"""The WebSocket sender: what it forwards, how it refuses, and that no client can hold it up."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
from contextlib import suppress
from typing import Any

import pytest

from exgate_core.connections import Deadlines
from exgate_core.errors import FailedPrecondition
from exgate_core.readers import ReaderClosed
from exgate_core.settings import Server
from exgate_core.streams import pull_trade_socket

from .support.clock import settle
from .support.doors import (
    RawSocket,
    Running,
    StubEntry,
    StubGateway,
    ask,
    connect,
    handshake,
    read_answer,
    request,
    serving,
    until,
)

pytestmark = pytest.mark.anyio
DENIAL: dict[str, Any] = {"websocket.http.response": {}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Client:
    """The other side of an ASGI WebSocket: what it was sent, and what it does."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.blocked = False

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self.blocked and message["type"] == "websocket.send":
            await asyncio.Event().wait()
        if message["type"] == "websocket.close":
            self.leave()

    def leave(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def say(self, text: str) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", "text": text, "bytes": None})

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    @property
    def last(self) -> dict[str, Any]:
        return self.sent[-1]


class Endless:
    """A reader that always has a frame and never waits."""

    async def next(self) -> bytes:
        """One more."""
        return b"{}"


class Broken:
    """A reader with a bug."""

    async def next(self) -> bytes:
        """Not there."""
        raise ZeroDivisionError


async def stream(
    client: Client, entry: StubEntry, *, draining: bool = False, extensions: Any = DENIAL, stall: float = 10.0
) -> None:
    """One whole stream."""
    gateway = StubGateway(Server(), entry)
    gateway.draining = draining
    scope = {
        "type": "websocket",
        "path_params": {"exchange": "stub"},
        "query_string": b"symbol=BTC/USDT",
        "headers": [],
        "extensions": extensions,
    }
    async with asyncio.timeout(5):
        await pull_trade_socket(scope, client.inbox.get, client.send, gateway, stall=stall)


async def test_frames_go_out_as_text_in_order_and_the_reason_of_the_end_too() -> None:
    client, entry = Client(), StubEntry()
    task = asyncio.create_task(stream(client, entry))
    await settle()
    entry.publish(b'{"n":1}', b'{"n":2}')
    entry.end(1012, "going away")
    await task
    assert client.texts == ['{"n":1}', '{"n":2}']
    assert client.last == {"type": "websocket.close", "code": 1012, "reason": "going away"}


async def test_a_client_that_left_ends_even_a_stream_that_never_waits() -> None:
    client = Client()
    client.leave()
    await stream(client, StubEntry(Endless()))
    assert client.last["type"] in ("websocket.accept", "websocket.send")


async def test_a_client_that_left_ends_a_quiet_stream() -> None:
    client, entry = Client(), StubEntry()
    client.leave()
    await stream(client, entry)
    assert (entry.readers, client.last["type"]) == (0, "websocket.accept")


async def test_a_client_that_takes_nothing_is_closed() -> None:
    client = Client()
    client.blocked = True
    await stream(client, StubEntry(Endless()), stall=0.02)
    assert client.last == {"type": "websocket.close", "code": 1008, "reason": "slow"}


async def test_a_slow_client_that_takes_something_is_not() -> None:
    client, entry = Client(), StubEntry()
    task = asyncio.create_task(stream(client, entry, stall=0.02))
    await settle()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 0.1)
    entry.end(1012, "")
    await task
    assert client.last["code"] == 1012


async def test_too_many_words_end_the_stream() -> None:
    client = Client()
    for _ in range(101):
        client.say("hello")
    await stream(client, StubEntry())
    assert client.last["code"] == 1008


async def test_a_bug_behind_an_accepted_stream_is_1011(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    await stream(client, StubEntry(Broken()))
    assert client.last["code"] == 1011
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("error", "status"), [(FailedPrecondition("no"), 400), (ZeroDivisionError(), 500)])
async def test_what_fails_before_the_accept_is_an_http_answer(
    error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    await stream(client, StubEntry(fails=error))
    assert [message["type"] for message in client.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert client.sent[0]["status"] == status


async def test_a_gateway_that_stops_takes_no_new_stream() -> None:
    client, entry = Client(), StubEntry()
    await stream(client, entry, draining=True)
    assert (client.sent[0]["status"], entry.readers) == (503, 0)


async def test_an_exchange_without_streams_is_501() -> None:
    client, entry = Client(), StubEntry()
    entry.exchange.has = lambda operation: operation != "pull_trade"
    await stream(client, entry)
    assert client.sent[0]["status"] == 501


async def test_a_server_that_can_not_deny_closes() -> None:
    client = Client()
    await stream(client, StubEntry(), draining=True, extensions={})
    assert client.last == {"type": "websocket.close", "code": 1008, "reason": "SHUTTING_DOWN"}


async def test_reader_closed_is_forwarded() -> None:
    client, entry = Client(), StubEntry()
    entry.closed = ReaderClosed(1008, "lagging")
    await stream(client, entry)
    assert client.last == {"type": "websocket.close", "code": 1008, "reason": "lagging"}


def test_a_stalled_reader_delays_nobody_and_is_dropped() -> None:
    with serving(deadlines=Deadlines(write=1.0, linger=0.5)) as running:
        stalled = RawSocket(running.address)
        stalled.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        live = RawSocket(running.address)
        until(lambda: running.entry.readers == 2)
        payload = b'"' + b"x" * 50_000 + b'"'
        for _ in range(300):
            running.call(running.entry.publish, payload)
            assert live.next() == (1, payload)
        until(lambda: running.entry.readers == 1)
        running.call(running.entry.publish, b"{}")
        assert live.next() == (1, b"{}")
        stalled.close()
        live.close()


def test_500_clients_that_come_and_vanish_leave_nothing_behind() -> None:
    with serving() as running:
        for _ in range(3):
            assert request(running.address, "/healthz") is not None
        until(lambda: running.count_tasks() <= 3)
        tasks, files = running.count_tasks(), len(os.listdir("/proc/self/fd"))
        answered: list[int] = []
        over = threading.Event()
        asker = threading.Thread(target=_ask_until, args=(running, over, answered))
        feeder = threading.Thread(target=_feed_until, args=(running, over))
        asker.start()
        feeder.start()
        _come_and_vanish(running, 500)
        over.set()
        asker.join()
        feeder.join()
        until(lambda: running.entry.readers == 0)
        until(lambda: running.count_tasks() <= tasks and len(os.listdir("/proc/self/fd")) <= files)
        assert answered and set(answered) == {200}  # how soon is measured by tests/proofs/front.py


def _come_and_vanish(running: Running, times: int) -> None:
    chance = random.Random(5)
    for _ in range(times):
        with suppress(ConnectionError, AssertionError):
            if chance.random() < 0.2:
                connection = connect(running.address)
                connection.sendall(handshake(running.address)[: chance.randrange(1, 200)])
                connection.close()
                continue
            client = RawSocket(running.address)
            chance.choice([client.reset, client.close, client.say_goodbye])()
            client.close()


def _ask_until(running: Running, over: threading.Event, answered: list[int]) -> None:
    with connect(running.address) as connection:
        while not over.wait(0.005):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = read_answer(connection)
            answered.append(0 if answer is None else answer.status)


def _feed_until(running: Running, over: threading.Event) -> None:
    while not over.wait(0.002):
        running.call(running.entry.publish, b'{"symbol":"BTC/USDT","trades":[]}')


def test_a_stream_over_the_cap_is_refused() -> None:
    with serving(Server(port=0, max_streams=2)) as running:
        clients = [RawSocket(running.address) for _ in range(2)]
        answer = ask(running.address, handshake(running.address))
        assert answer is not None
        assert answer.status == 429
        clients.pop().close()
        until(lambda: running.entry.readers == 1)
        clients.append(RawSocket(running.address))
        for client in clients:
            client.close()
