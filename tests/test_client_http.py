"""What a hostile or broken HTTP server can and can't do to those who ask it: raw bytes on a real socket."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from typing import Any

import anyio
import pytest

from exgate_core.errors import DeadlineExceeded, ExGateError, NotSent, RateLimited, Unavailable

from .support.wire import Talk, Visit, Wire, wire
from .test_client import transport, until

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


def says(*parts: bytes) -> Talk:
    """A server that reads a request and sends that."""

    async def talk(visit: Visit) -> None:
        await visit.request()
        visit.send(*parts)
        await visit.gone()

    return talk


def repeats(begin: bytes, part: bytes) -> Talk:
    """A server whose answer never ends."""

    async def talk(visit: Visit) -> None:
        await visit.request()
        visit.send(begin)
        while True:
            visit.send(part)
            await visit.writer.drain()

    return talk


async def serve(visit: Visit) -> None:
    """A good server."""
    while True:
        await visit.request()
        visit.answer()


async def ask(it: Wire, method: str = "GET", **options: Any) -> Any:
    async with transport() as its:
        return await its.http(it.url).request(method, "/x", deadline=options.pop("deadline", 5), **options)


@pytest.mark.parametrize("lane", ["data", "orders"])
async def test_what_came_unasked_is_not_the_answer_to_the_next_request(lane: Any) -> None:
    pushed = asyncio.Event()

    async def talk(visit: Visit) -> None:
        await visit.request()
        visit.answer(b"first")
        if len(visit.wire.visits) == 1:
            await pushed.wait()
            visit.answer(b"of somebody else")
        while True:
            await visit.request()
            visit.answer(b"second")

    async with wire(talk) as it, transport() as its:
        http = its.http(it.url)
        assert (await http.request("GET", "/x")).body == b"first"
        pushed.set()
        await until(lambda: arrived(its))
        answer = await http.request("POST" if lane == "orders" else "GET", "/x", lane=lane)
        assert answer.body == b"first", "a new connection was made"
        assert len(it.visits) == 2


def arrived(its: Any) -> bool:
    """Whether bytes wait on the idle connection."""
    pool = its._session.open().connector
    return any(protocol.should_close for waiting in pool._conns.values() for protocol, _ in waiting)


async def test_two_answers_to_one_question_end_the_connection() -> None:
    async def talk(visit: Visit) -> None:
        while True:
            await visit.request()
            visit.send(2 * b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with wire(talk) as it, transport() as its:
        for _ in range(2):
            assert (await its.http(it.url).request("GET", "/x")).body == b"ok"
        assert len(it.visits) == 2


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: " + 4000 * b"y" + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", 4000 * b"y"),
        (b"", 4000 * b"y"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: " + 4000 * b"y" + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 4000 * b"1"),
        (b"HTTP/1.1 200 OK\r\n\r\n", 4000 * b"y"),
    ],
    ids=["headers", "one header", "status line", "trailers", "chunk size", "body without length"],
)
async def test_an_endless_answer_is_cut_and_keeps_no_memory(begin: bytes, part: bytes) -> None:
    async with wire(repeats(begin, part)) as it:
        tracemalloc.start()
        try:
            with pytest.raises(Unavailable):
                await ask(it)
            assert tracemalloc.get_traced_memory()[1] < 25 * MIB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b""),
        (b"", b""),
    ],
    ids=["100 continue", "half a head", "nothing"],
)
@pytest.mark.parametrize("lane", ["data", "orders"])
async def test_the_deadline_covers_what_never_becomes_an_answer(begin: bytes, part: bytes, lane: Any) -> None:
    async with wire(repeats(begin, part) if part else says(begin)) as it:
        with pytest.raises(DeadlineExceeded), anyio.fail_after(5):
            await ask(it, deadline=0.2, lane=lane)
        assert len(it.requests) == 1


async def test_a_handshake_that_never_ends_is_not_sent() -> None:
    async with wire(Visit.gone) as it, transport() as its:
        with pytest.raises(NotSent), anyio.fail_after(5):
            await its.http(it.url.replace("http", "https")).request("POST", "/order", lane="orders", deadline=0.3)


async def test_a_name_that_is_never_found_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        await anyio.sleep_forever()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never, raising=False)
    async with transport() as its:
        with pytest.raises(NotSent), anyio.fail_after(5):
            await its.http("https://api.example.com").request("POST", "/order", lane="orders", deadline=0.2)


async def test_a_packed_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(100 * MIB), 9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with wire(says(head, bomb)) as it:
        tracemalloc.start()
        try:
            with pytest.raises(Unavailable) as caught:
                await ask(it)
            assert tracemalloc.get_traced_memory()[1] < 25 * MIB
        finally:
            tracemalloc.stop()
    assert caught.value.reason == "BAD_ANSWER"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b??",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["damaged gzip", "two lengths", "bad chunk", "bad status", "ssh", "tls alert", "nul"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_no_http_is_no_answer(answer: bytes, method: str) -> None:
    async with wire(says(answer)) as it:
        with pytest.raises(Unavailable):
            await ask(it, method, lane="data" if method == "GET" else "orders")
        assert len(it.requests) == 1


@pytest.mark.parametrize("query", ["a=1\r\nX: y", "a=1\n", "a=1 b", "a=1#b", "a=é", "a=\x00", "a=\x7f"])
async def test_nothing_but_an_encoded_query_becomes_a_request(query: str) -> None:
    async with wire(serve) as it:
        with pytest.raises(ValueError, match="not an encoded query"):
            await ask(it, params=query)
        assert it.requests == []


async def test_a_header_that_holds_a_line_end_is_not_sent() -> None:
    async with wire(serve) as it:
        with pytest.raises(ValueError, match="header"):
            await ask(it, "POST", headers={"X-Key": "a\r\nX-Other: b"})
        assert it.requests == []


@pytest.mark.parametrize(
    ("said", "wait"),
    [("259200", 259200), ("259201", 10), (400 * "9", 10), ("Fri, 31 Dec 9999 23:59:59 GMT", 10), ("-5", 10), ("٣", 10)],
)
async def test_a_wait_that_cant_be_true_is_not_believed(said: str, wait: float) -> None:
    answer = f"HTTP/1.1 429 X\r\nRetry-After: {said}\r\nContent-Length: 0\r\n\r\n".encode()
    async with wire(says(answer)) as it, transport() as its:
        await its.http(it.url).request("GET", "/x")
        assert its.budget.paused_for == pytest.approx(wait, abs=1)
        with pytest.raises(RateLimited):
            await its.http(it.url).request("POST", "/x", lane="orders", deadline=1)


async def test_a_wait_until_a_date_is_by_the_exchanges_clock() -> None:
    dates = "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nRetry-After: Tue, 14 Nov 2023 22:13:50 GMT"
    answer = f"HTTP/1.1 429 X\r\n{dates}\r\nContent-Length: 0\r\n\r\n".encode()
    async with wire(says(answer)) as it, transport() as its:
        await its.http(it.url).request("GET", "/x")
        assert its.budget.paused_for == pytest.approx(30, abs=1)


@pytest.mark.parametrize("said", [5000 * "9", "٣", "-1", "1.5", ""])
async def test_a_weight_that_cant_be_true_is_not_taken_over(said: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nX-Used: {said}\r\nContent-Length: 2\r\n\r\nok".encode()
    async with wire(says(head)) as it, transport(limit=10**6) as its:
        assert (await its.http(it.url, used_weight="X-Used").request("POST", "/x", lane="orders")).body == b"ok"
        assert its.budget.used <= 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_neither_keys_nor_orders_follow_a_redirect(method: str, status: int) -> None:
    async with wire(serve) as elsewhere:
        head = f"HTTP/1.1 {status} X\r\nLocation: {elsewhere.url}/x\r\nContent-Length: 0\r\n\r\n".encode()
        async with wire(says(head)) as it:
            options = {"headers": {"X-Key": "SECRET"}, "body": b"{}" if method == "POST" else None}
            answer = await ask(it, method, lane="data" if method == "GET" else "orders", **options)
            assert (answer.status, len(it.requests)) == (status, 1)
    assert elsewhere.visits == []


async def test_an_order_does_not_wait_for_answers_that_never_come() -> None:
    async def talk(visit: Visit) -> None:
        if b"/order" in await visit.request():
            visit.answer(b"placed")
        await visit.gone()

    async def read(http: Any, deadline: float, errors: list[type[ExGateError]]) -> None:
        try:
            await http.request("GET", "/x", deadline=deadline)
        except ExGateError as error:
            errors.append(type(error))

    errors: list[type[ExGateError]] = []
    async with wire(talk) as it, transport(limit=1000) as its:
        http = its.http(it.url)
        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(read, http, 60.0, errors)
            await until(lambda: len(it.requests) == 64)
            for _ in range(6):
                tasks.start_soon(read, http, 0.05, errors)
            await until(lambda: len(errors) == 6)
            assert (await http.request("POST", "/order", lane="orders")).body == b"placed"
            tasks.cancel_scope.cancel()
    assert errors == [NotSent] * 6
    assert len(it.requests) == 65


class Tunnel:
    """An HTTP proxy."""

    def __init__(self, target: int, refuses: bytes = b"") -> None:
        self.target, self.refuses = target, refuses

    async def __call__(self, visit: Visit) -> None:
        await visit.request()
        if self.refuses:
            visit.send(self.refuses)
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pump, visit.reader, writer)
                tasks.start_soon(pump, reader, visit.writer)
        finally:
            writer.close()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
    sink.close()


@pytest.mark.parametrize(
    "refusal",
    [b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 502 X\r\n\r\n", b"HTTP/1.1 ", b"SSH-2.0\r\n\r\n"],
)
async def test_a_proxy_that_refuses_means_not_sent(refusal: bytes) -> None:
    async with wire(serve) as target, wire(Tunnel(target.port, refusal)) as proxy:
        async with transport(proxy=proxy.url) as its:
            with pytest.raises(NotSent):
                await its.http("https://127.0.0.1:" + str(target.port)).request("POST", "/order", lane="orders")
    assert target.requests == []
    assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:")


async def test_no_proxy_there_means_not_sent() -> None:
    async with transport(proxy="http://127.0.0.1:1") as its:
        with pytest.raises(NotSent):
            await its.http("https://api.example.com").request("POST", "/order", lane="orders")
