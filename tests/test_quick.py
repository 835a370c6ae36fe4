"""Plain GETs without h11: read as h11 reads them, answered as h11 would, and everything else left to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgate_core import quick
from exgate_core.protocols import StrictConnection
from exgate_core.server import Stop, listen, run
from exgate_core.settings import Server

pytestmark = pytest.mark.anyio

App = Callable[[Any, Any, Any], Awaitable[None]]
GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"

NAMES = st.sampled_from(
    "Host host Accept Connection X-A Upgrade Content-Length Transfer-Encoding Expect TE Cookie a:b é x\0".split(" ")
) | st.text(max_size=4)
VALUES = st.sampled_from(
    ["x", "", " ", "keep-alive", "Keep-Alive", "close", "upgrade", "0", "5", "chunked", "a b", "a\tb ", "é", "a\rb"]
) | st.text(max_size=6)
TARGETS = st.sampled_from(["/", "/a?b=%20", "/a b", "/é", "//x/..", "*", "http://x/", "", "/\x7f"])
LINES = st.lists(st.tuples(NAMES, st.sampled_from([":", ": ", ":\t", " : ", ""]), VALUES), max_size=4)
ENDS = st.sampled_from(["\r\n\r\n", "\r\n", "\n\n", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "\r\n\r\nbody", "\r\n \r\n"])


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(["GET", "GET", "GET", "get", "HEAD", "POST", ""]),
    TARGETS,
    st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1"]),
    LINES,
    ENDS,
    st.booleans(),
)
def test_what_is_read_here_h11_reads_as_the_same(
    method: str, target: str, version: str, lines: list[tuple[str, str, str]], end: str, host: bool
) -> None:
    shown = ["".join(line) for line in lines] + ["Host: x"] * host
    data = "\r\n".join([f"{method} {target} {version}", *shown]).encode("utf-8", "surrogatepass") + end.encode()
    head = quick.read(data)
    if head is None:
        return
    connection = StrictConnection(h11.SERVER)
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target, list(request.headers)) == (b"GET", head.target, head.headers)
    assert request.http_version == b"1.1"
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)
    assert connection.their_state is h11.DONE, "the connection is kept"


@pytest.mark.parametrize(
    "line", ["", "Connection: keep-alive", "Accept: */*", "X-Empty:", "Cookie: a=b; c=d", "Authorization: Bearer x y"]
)
def test_common_requests_are_plain(line: str) -> None:
    data = GET[:-2] + line.encode() + b"\r\n\r\n" if line else GET
    assert quick.read(data) is not None


@pytest.mark.parametrize(
    "data",
    [
        GET[:-1],
        GET + b"x",
        GET + GET,
        GET.replace(b"GET", b"POST"),
        GET.replace(b"Host: x", b"Accept: x"),
        GET.replace(b"Host: x", b"Host: x\r\nHost: x"),
        GET.replace(b"1.1", b"1.0"),
        GET.replace(b"/a", b"http://x/a"),
        GET.replace(b"Host: x", b"Host: x\r\n y"),
        GET.replace(b"Host: x", b"Host: x\r\nContent-Length: 0"),
        GET.replace(b"Host: x", b"Host: x\r\nUpgrade: websocket"),
        GET.replace(b"Host: x", b"Host: x\r\nConnection: keep-alive, close"),
        GET.replace(b"Host: x", b"Host: x" + 101 * b"\r\nA: b"),
        GET.replace(b"/a", b"/" + 9000 * b"a"),
        GET.replace(b"Host: x", "Host: x\r\nA: é".encode()),
    ],
)
def test_everything_else_goes_the_whole_way(data: bytes) -> None:
    assert quick.read(data) is None


class _Nothing:
    async def drain(self, seconds: float) -> None:
        pass


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[int]:
    server, stop = Server(port=0, graceful_timeout=1), Stop()
    listener = listen(server)
    ready = asyncio.Event()
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await run(app, server, listener, _Nothing(), stop, ready=lambda line: ready.set())

        tasks.start_soon(serve)
        await ready.wait()
        yield listener.getsockname()[1]
        stop.ask()
        stop.ask()


class Line:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._h11 = h11.Connection(h11.CLIENT)

    async def ask(self, data: bytes = GET) -> tuple[int, dict[bytes, bytes], bytes]:
        self.writer.write(data)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Read with h11, which accepts only what is well framed."""
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        if self._h11.trailing_data[0]:
            client.receive_data(self._h11.trailing_data[0])
        found, body = None, b""
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await asyncio.wait_for(self.reader.read(65536), 5))
            elif isinstance(event, h11.Response):
                found = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                assert isinstance(event, h11.EndOfMessage) and found is not None
                self._h11 = client
                return found.status_code, dict(found.headers), body


@asynccontextmanager
async def line(port: int) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def answering(status: int, headers: list[tuple[bytes, bytes]], *pieces: bytes) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})

    return app


LENGTH = (b"content-length", b"2")


@pytest.mark.parametrize(
    ("app", "status", "body", "kept"),
    [
        (answering(200, [LENGTH], b"ok"), 200, b"ok", True),
        (answering(404, [(b"content-length", b"0")], b""), 404, b"", True),
        (answering(200, [], b"ok"), 200, b"ok", True),
        (answering(200, [], b"o", b"k"), 200, b"ok", True),
        (answering(200, [LENGTH], b"o", b"k"), 200, b"ok", True),
        (answering(204, [], b""), 204, b"", True),
        (answering(304, [LENGTH], b""), 304, b"", True),
        (answering(200, [LENGTH, (b"connection", b"close")], b"ok"), 200, b"ok", False),
        (answering(200, [LENGTH, (b"Connection", b"close")], b"ok"), 200, b"ok", False),
    ],
)
async def test_answers_are_framed_and_connections_kept_as_the_app_says(
    app: App, status: int, body: bytes, kept: bool
) -> None:
    async with serving(app) as port, line(port) as it:
        for _ in range(3 if kept else 1):
            found = await it.ask()
            assert (found[0], found[2]) == (status, body)
            assert b"date" in found[1]
        if not kept:
            assert await it.reader.read() == b""


@pytest.mark.parametrize(
    "bad", [(b"x", b"a\r\ny: b"), (b"x\r\ny", b"a"), (b"x y", b"a"), (b"x", b"a\0"), (b"x", b"a\nb")]
)
async def test_a_header_never_becomes_two(bad: tuple[bytes, bytes]) -> None:
    async with serving(answering(200, [LENGTH, bad], b"ok")) as port, line(port) as it:
        it.writer.write(GET)
        assert b"\r\ny: b" not in await it.reader.read()


async def test_a_length_that_is_wrong_is_not_sent_as_right() -> None:
    async with serving(answering(200, [(b"content-length", b"3")], b"ok")) as port, line(port) as it:
        it.writer.write(GET)
        assert not (await it.reader.read()).endswith(b"ok\r\n")


@pytest.mark.parametrize("started", [False, True])
async def test_an_app_that_breaks_is_a_status_500_and_the_end(started: bool, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": [LENGTH]})
        raise LookupError("a bug")

    async with serving(app) as port, line(port) as it:
        status, headers, body = await it.ask()
        assert (status, headers[b"connection"]) == (500, b"close")
        assert b'"code":13' in body
        assert await it.reader.read() == b""
    assert "a bug" in caplog.text


async def test_the_app_sees_what_h11s_way_shows() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, await receive()))
        await answering(200, [LENGTH], b"ok")(scope, receive, send)

    plain = b"GET /a%20b/%C3%A9?q=%20 HTTP/1.1\r\nHost: x\r\nX-A:  b \r\n\r\n"
    async with serving(app) as port, line(port) as it:
        await it.ask(plain)
        await it.ask(plain.replace(b"X-A", b"Content-Length: 0\r\nX-A"))
    (quick_scope, first), (scope, second) = seen
    scope["headers"].remove((b"content-length", b"0"))
    assert quick_scope == scope
    assert first == second == {"type": "http.request", "body": b"", "more_body": False}


async def test_who_asks_ahead_is_answered_in_order() -> None:
    asked: list[str] = []
    first, let = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        first.set()
        await let.wait()
        body = scope["path"].encode()
        await answering(200, [(b"content-length", b"%d" % len(body))], body)(scope, receive, send)

    async with serving(app) as port, line(port) as it:
        for path in (b"/1", b"/2", b"/3"):
            it.writer.write(GET.replace(b"/a", path))
            await it.writer.drain()
            await asyncio.sleep(0)
        await first.wait()
        assert asked == ["/1"]
        let.set()
        assert [(await it.answer())[2] for _ in range(3)] == [b"/1", b"/2", b"/3"]


async def test_the_app_hears_that_the_client_is_gone() -> None:
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        heard.set_result(await receive())

    async with serving(app) as port:
        async with line(port) as it:
            it.writer.write(GET)
            await it.writer.drain()
        assert await asyncio.wait_for(heard, 5) == {"type": "http.disconnect"}
