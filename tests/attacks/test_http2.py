"""HTTP/2 clients that open no window, send no body, or flood; and slow or busy ones that mean well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from h2.errors import ErrorCodes
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.connections import Deadlines
from exgate_core.frames import MOST, SLICE, Frames
from exgate_core.http2 import MAX_STREAMS
from exgate_core.outbox import HIGH_WATER, Outbox
from exgate_core.settings import Server

from ..support.doors import Address, Running, connect, is_closed, request, serving

WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
ORDER = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "1", "amount": "1"}


class Client:
    """An HTTP/2 client that does only what a test says."""

    def __init__(self, address: Address, window: int | None = None) -> None:
        self.connection = connect(address)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        if window is not None:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values={WINDOW: window})
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []

    def ask(self, stream: int, path: str, method: str = "GET", *, end: bool = True) -> None:
        """A request, not flushed."""
        head = [(":method", method), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", path)]
        if method == "POST":
            head.append(("content-type", "application/json"))
        self.h2.send_headers(stream, head, end_stream=end)

    def flush(self) -> None:
        """Send what waits."""
        self.connection.sendall(self.h2.data_to_send())

    def until(self, found: Callable[[], bool]) -> None:
        """Read until something has come; fails at the end of the connection."""
        self.flush()
        while not found():
            data = self.connection.recv(65536)
            assert data, "the connection ended"
            self.events.extend(self.h2.receive_data(data))
            self.flush()

    def statuses(self) -> dict[int, str]:
        """The status of every answer that has begun."""
        heads = [event for event in self.events if isinstance(event, h2.events.ResponseReceived)]
        return {event.stream_id: dict(event.headers)[b":status"].decode() for event in heads}

    def body(self, stream: int) -> bytes:
        """What has come of a body."""
        pieces = [event for event in self.events if isinstance(event, h2.events.DataReceived)]
        return b"".join(event.data for event in pieces if event.stream_id == stream)

    def ended(self) -> set[int]:
        """The streams that are complete."""
        return {event.stream_id for event in self.events if isinstance(event, h2.events.StreamEnded)}

    def resets(self) -> dict[int, int]:
        """Why streams were reset."""
        found = [event for event in self.events if isinstance(event, h2.events.StreamReset)]
        return {event.stream_id: int(event.error_code) for event in found}


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def served(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server over a stub that waits for nobody for long."""
    loop = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else None
    limits = Deadlines(idle=30.0, head=1.0, body=4.0, write=0.5, linger=0.5)
    with serving(Server(port=0, deadline=2.0), deadlines=limits, loop=loop) as running:
        yield running


@pytest.fixture
def where(served: Running) -> Address:
    """Where it listens."""
    return served.address


@pytest.fixture
def opened(where: Address) -> Iterator[Callable[..., Client]]:
    """Makes clients of the server, which end with the test."""
    with ExitStack() as stack:

        def make(window: int | None = None) -> Client:
            client = Client(where, window)
            stack.enter_context(client.connection)
            return client

        yield make


def test_a_client_that_opens_no_window_is_cut(opened: Callable[..., Client]) -> None:
    client = opened(window=0)
    for stream in range(1, 2 * MAX_STREAMS, 2):
        client.ask(stream, "/openapi.json")
    client.until(lambda: len(client.resets()) == MAX_STREAMS)
    assert set(client.resets().values()) == {ErrorCodes.CANCEL}
    assert is_closed(client.connection)


def test_a_window_for_one_answer_saves_that_answer_and_no_other(opened: Callable[..., Client], served: Running) -> None:
    client, before = opened(window=0), served.entry.orders
    client.ask(1, "/openapi.json")
    client.ask(3, "/v1/stub/order", "POST", end=False)
    client.h2.increment_flow_control_window(1_000, 3)
    client.until(lambda: 1 in client.resets())
    client.ask(5, "/healthz")
    client.until(lambda: 5 in client.resets())
    assert client.resets()[5] == ErrorCodes.REFUSED_STREAM, "nothing new on a connection that is about to end"
    client.h2.send_data(3, json.dumps(ORDER).encode(), end_stream=True)
    client.until(lambda: 3 in client.ended())
    assert (client.statuses()[3], served.entry.orders) == ("200", before + 1)
    assert is_closed(client.connection)


def test_a_client_that_reads_a_little_at_a_time_gets_everything(where: Address, opened: Callable[..., Client]) -> None:
    whole = request(where, "/openapi.json")
    assert whole is not None
    client = opened(window=70)
    client.ask(1, "/openapi.json")
    while 1 not in client.ended():
        seen = len(client.body(1))
        client.until(lambda seen=seen: len(client.body(1)) > seen or 1 in client.ended())  # type: ignore[misc]
        if 1 not in client.ended():
            client.h2.increment_flow_control_window(len(client.body(1)) - seen, 1)
            client.h2.increment_flow_control_window(len(client.body(1)) - seen)
    assert client.body(1) == whole.body


def test_requests_above_the_limit_are_refused_one_by_one_and_can_be_sent_again(
    opened: Callable[..., Client],
) -> None:
    client = opened(window=0)
    for stream in range(1, 50, 2):
        client.ask(stream, "/healthz")
    client.until(lambda: len(client.resets()) == 25 - MAX_STREAMS)
    assert client.h2.remote_settings.max_concurrent_streams == MAX_STREAMS
    assert set(client.resets().values()) == {ErrorCodes.REFUSED_STREAM}
    for stream in range(1, 2 * MAX_STREAMS, 2):
        client.h2.increment_flow_control_window(100, stream)
    client.until(lambda: len(client.ended()) == MAX_STREAMS)
    client.ask(51, "/healthz")
    client.h2.increment_flow_control_window(100, 51)
    client.until(lambda: 51 in client.ended())
    assert set(client.statuses().values()) == {"200"}


def test_bodies_that_never_come_end_the_connection(opened: Callable[..., Client]) -> None:
    client = opened()
    for stream in range(1, 2 * MAX_STREAMS, 2):
        client.ask(stream, "/v1/stub/order", "POST", end=False)
    client.flush()
    assert is_closed(client.connection)


def test_a_body_that_is_too_large_ends_the_connection_after_the_answer(opened: Callable[..., Client]) -> None:
    client = opened()
    client.ask(1, "/v1/stub/order", "POST", end=False)
    client.flush()
    with suppress(h2.exceptions.ProtocolError):
        for _ in range(8):
            client.until(lambda: client.h2.local_flow_control_window(1) >= 16_384 or 1 in client.statuses())
            client.h2.send_data(1, b" " * 16_384)
    client.until(lambda: 1 in client.resets())
    assert client.statuses()[1] == "413"
    assert is_closed(client.connection)


@pytest.mark.parametrize("sound", [True, False])
def test_a_connection_without_requests_is_idle_however_they_ended(sound: bool) -> None:
    with serving(deadlines=Deadlines(idle=0.1, linger=0.1)) as running:
        client = Client(running.address)
        with client.connection:
            if sound:
                client.ask(1, "/v1/stub/order", "POST", end=False)
                client.h2.reset_stream(1)
            else:
                client.h2.send_headers(
                    1, [(":method", "GET"), (":scheme", "http"), (":path", "x"), (":authority", "127.0.0.1")], True
                )
            client.flush()
            assert is_closed(client.connection)


@pytest.mark.parametrize("stopped", [False, True])
def test_an_idle_connection_ends_with_word_of_the_last_request_that_was_taken(stopped: bool) -> None:
    with serving(deadlines=Deadlines(idle=30.0 if stopped else 0.1)) as running:
        client = Client(running.address)
        with client.connection:
            client.ask(1, "/healthz")
            client.until(lambda: 1 in client.ended())
            if stopped:
                running.call(running.ask.ask)
            while data := client.connection.recv(65536):
                client.events.extend(client.h2.receive_data(data))
        ends = [event for event in client.events if isinstance(event, h2.events.ConnectionTerminated)]
        assert [(end.error_code, end.last_stream_id) for end in ends] == [(ErrorCodes.NO_ERROR, 1)]


def test_a_stop_refuses_new_requests_and_ends_the_connection_after_the_last_answer() -> None:
    with serving() as running:
        client, idle = Client(running.address), Client(running.address)
        with client.connection, idle.connection:
            client.ask(1, "/v1/stub/order", "POST", end=False)
            client.ask(3, "/healthz")
            client.until(lambda: 3 in client.ended())
            running.call(running.ask.ask)
            assert is_closed(idle.connection)
            client.ask(5, "/healthz")
            client.until(lambda: 5 in client.resets())
            assert client.resets()[5] == ErrorCodes.REFUSED_STREAM
            client.h2.send_data(1, json.dumps(ORDER).encode(), end_stream=True)
            client.until(lambda: 1 in client.ended())
            assert is_closed(client.connection)


def test_a_client_may_take_requests_back_for_as_long_as_it_lives(opened: Callable[..., Client]) -> None:
    client = opened()
    last = 2 * (MOST - 50) + 1
    for stream in range(1, last, 2):
        client.ask(stream, "/v1/stub/order", "POST", end=False)
        client.h2.reset_stream(stream)
    client.ask(last, "/healthz")
    client.until(lambda: last in client.ended())
    assert client.statuses()[last] == "200"


FLOODS = {
    "SETTINGS": b"\0\0\0\4\0\0\0\0\0",
    "PING": b"\0\0\x08\6\0\0\0\0\0" + b"\0" * 8,
    "PRIORITY": b"\0\0\5\2\0\0\0\0\3" + b"\0\0\0\0\1",
    "unknown": b"\0\0\0\x20\0\0\0\0\0",
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_commands_ends_the_connection(opened: Callable[..., Client], kind: str) -> None:
    client = opened()
    client.flush()
    with suppress(ConnectionError):
        client.connection.sendall(FLOODS[kind] * 2 * MOST)
        while data := client.connection.recv(65536):
            client.events.extend(client.h2.receive_data(data))
    [end] = [event for event in client.events if isinstance(event, h2.events.ConnectionTerminated)]
    assert end.error_code == ErrorCodes.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("kind", FLOODS)
def test_some_commands_do_no_harm(opened: Callable[..., Client], kind: str) -> None:
    client = opened()
    client.flush()
    client.connection.sendall(FLOODS[kind] * (MOST // 2))
    client.ask(1, "/healthz")
    client.until(lambda: 1 in client.ended())
    assert client.statuses() == {1: "200"}


# The parts


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10)), max_size=80), st.data())
def test_frames_are_counted_however_they_are_cut(frames: list[tuple[int, int]], data: st.DataObject) -> None:
    raw = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    raw += b"".join(size.to_bytes(3, "big") + bytes((kind, 0, 0, 0, 0, 1)) + b"x" * size for size, kind in frames)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=10)))
    whole, cut = Frames(), Frames()
    pieces = list(whole.slices(raw))
    assert b"".join(pieces) == raw
    assert len(pieces) <= len(frames) // SLICE + 1
    parts = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert b"".join(piece for part in parts for piece in cut.slices(part)) == raw
    assert whole.counts == cut.counts
    updates = sum(kind == 8 for _, kind in frames)
    free = sum(kind == 1 or (kind == 0 and size > 0) for size, kind in frames)
    assert whole.counts == (len(frames) - updates - free, updates)


@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(0, 40), min_size=1))
def test_what_goes_into_an_outbox_comes_out(parts: list[bytes], sizes: list[int]) -> None:
    async def all_of() -> bytes:
        box = Outbox()
        for part in parts:
            await box.push(part)
        taken = [await box.pop(size) for size in sizes]
        assert all(len(piece) <= size for piece, size in zip(taken, sizes, strict=True))
        rest = await box.pop(1_000_000)
        assert box.since is None
        return b"".join(taken) + rest

    assert asyncio.run(all_of()) == b"".join(parts)


@pytest.mark.anyio
async def test_a_writer_waits_while_no_byte_may_leave() -> None:
    box, written = Outbox(), []

    async def write() -> None:
        for number in range(10):
            await box.push(b"x" * HIGH_WATER)
            written.append(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        for _ in range(5):
            await box.pop(0)
            await anyio.lowlevel.checkpoint()
        assert written == [0]
        await box.pop(HIGH_WATER)
        await anyio.wait_all_tasks_blocked()
        assert written == [0, 1]
        tasks.cancel_scope.cancel()
