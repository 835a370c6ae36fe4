"""Requests and shared WebSocket connections, against a small exchange in the same process."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import WSMsgType, web

from exgate_core.budget import Budget
from exgate_core.client import Transport, check_url
from exgate_core.clock import Runtime
from exgate_core.dialects import Control, Limits
from exgate_core.errors import (
    DeadlineExceeded,
    ExGateError,
    NotSent,
    RateLimited,
    Refused,
    Unavailable,
)
from exgate_core.fetch import Response, decode, digits, exact_json, failure, seconds_of
from exgate_core.sockets import Gathered

pytestmark = pytest.mark.anyio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANY = msgspec.json.Decoder(dict[str, int])


class Exchange:
    """HTTP: whatever ``answer`` does. WebSocket: acknowledges {"do", "topics", "id"}, sends ``topic|text`` frames."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[web.Request] = []
        self.answer: Handler = self.fine
        self.sockets: list[web.WebSocketResponse] = []
        self.messages: list[dict[str, Any]] = []
        self.pings = 0
        self.mute = False
        self.refuse: dict[str, str] | None = None

    async def fine(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"a": 1})

    async def http(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.answer(request)

    async def ws(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.refuse is not None:
            return web.Response(status=503, headers=self.refuse)
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type == WSMsgType.PING and not self.mute:
                self.pings += 1
                await socket.pong(message.data)
            elif message.type == WSMsgType.TEXT:
                await self.asked_for(socket, json.loads(message.data))
        return socket

    async def asked_for(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        self.messages.append(message)
        if self.mute:
            return
        verb = "no" if "bad" in message["topics"] else "ok"
        await socket.send_str(f"{verb}|{message['id']}")

    async def say(self, topic: str, text: str, socket: int = -1) -> None:
        await self.sockets[socket].send_str(f"{topic}|{text}")


class Talk:
    """The dialect of that exchange."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**({"rate": 1000.0} | limits))

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        return json.dumps({"do": "subscribe", "topics": list(topics), "id": number})

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        return json.dumps({"do": "unsubscribe", "topics": list(topics), "id": number})

    def ping(self) -> str:
        return ""

    def route(self, frame: bytes) -> str | Control:
        topic, _, text = frame.decode().partition("|")
        if topic in ("ok", "no"):
            return Control("confirmed" if topic == "ok" else "rejected", int(text), message="no such topic")
        return Control("replace") if topic == "bye" else topic


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    it = Exchange()
    app = web.Application()
    app.router.add_get("/ws", it.ws)
    app.router.add_route("*", "/{tail:.*}", it.http)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        for socket in it.sockets:
            await socket.close()
        await runner.cleanup()


@asynccontextmanager
async def transport(limit: int = 100, **options: Any) -> AsyncIterator[Transport]:
    runtime = options.pop("runtime", Runtime())
    budget = Budget(limit, 60, runtime.clock, runtime.sleep)
    async with Transport(budget, runtime, **options) as it:
        yield it


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while True:
            if condition():
                return
            await anyio.sleep(0.001)


# -- HTTP


async def test_a_request_carries_what_it_was_given(exchange: Exchange) -> None:
    async with transport() as its:
        http = its.http(exchange.url + "/api")
        answer = await http.request("POST", "/v1/x", params={"a": "1 2", "b": "[]"}, headers={"K": "v"}, body=b"body")
    (asked,) = exchange.asked
    assert (asked.method, asked.raw_path, asked.headers["K"]) == ("POST", "/api/v1/x?a=1%202&b=%5B%5D", "v")
    assert "Content-Type" not in asked.headers  # nobody said it, and Bitstamp refuses one on an empty body
    assert (answer.status, answer.body, answer.url) == (200, b'{"a": 1}', exchange.url + "/api/v1/x")


async def test_connections_are_kept_and_signed_queries_left_alone(exchange: Exchange) -> None:
    async with transport() as its:
        http = its.http(exchange.url)
        for _ in range(3):
            await http.request("GET", "/x", params="b=2&a=%7e&sig=A+B")
    assert {request.raw_path for request in exchange.asked} == {"/x?b=2&a=%7e&sig=A+B"}
    assert len({request.transport for request in exchange.asked}) == 1


@pytest.mark.parametrize("path", ["x", "//evil", "/a/../b", "/a?b", "/a#b", "/@evil", "/a\\b", "/a b", ""])
async def test_only_paths_of_the_host_are_asked(exchange: Exchange, path: str) -> None:
    async with transport() as its:
        with pytest.raises(ValueError, match="not a path"):
            await its.http(exchange.url).request("GET", path)
    assert exchange.asked == []


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("http://api.example.com", "https"),
        ("ws://api.example.com", "wss"),
        ("https://me:pw@api.example.com", "https"),
        ("ftp://127.0.0.1", "https"),
        ("https://", "https"),
    ],
)
def test_only_encrypted_urls_leave_this_machine(url: str, scheme: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        check_url(url, scheme)


async def test_the_prefix_is_the_last_hop(exchange: Exchange) -> None:
    async with transport(upstream_prefix=exchange.url) as its:
        await its.http("https://api.example.com").request("GET", "/v3/x", params={"s": "a/b"})
        assert its.last_hop("wss://s.example.com:9443/ws").startswith("ws://127.0.0.1:")
    assert exchange.asked[0].raw_path == "/https://api.example.com/v3/x?s=a%2Fb"


async def test_nothing_to_connect_to_is_not_sent(exchange: Exchange) -> None:
    async with transport() as its:
        for url in ("http://127.0.0.1:1", "https://127.0.0.1:" + exchange.url.rpartition(":")[2]):
            with pytest.raises(NotSent, match=r"127\.0\.0\.1"):
                await its.http(url).request("POST", "/order", lane="orders")
    assert exchange.asked == []


async def test_a_dropped_connection_is_asked_again_once_for_data_only_and_paid_for(exchange: Exchange) -> None:
    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    exchange.answer = drop
    async with transport() as its:
        http = its.http(exchange.url)
        for method, lane, times in (
            ("GET", "data", 2),
            ("GET", "orders", 1),
            ("POST", "data", 1),
            ("DELETE", "data", 1),
        ):
            exchange.asked.clear()
            before = its.budget.used
            with pytest.raises(Unavailable):
                await http.request(method, "/x", lane=lane, weight=3)  # type: ignore[arg-type]
            assert (len(exchange.asked), its.budget.used - before) == (times, 3 * times)


async def test_an_exchange_that_drops_everything_is_hardly_asked_more_than_callers_ask(exchange: Exchange) -> None:
    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with transport(1000) as its:
        http = its.http(exchange.url)
        exchange.answer = drop
        for _ in range(200):
            with pytest.raises(Unavailable):
                await http.request("GET", "/x")
        assert 200 < len(exchange.asked) <= 210
        exchange.answer = exchange.fine  # and once it answers again, a dead connection is made good again
        for _ in range(10):
            await http.request("GET", "/x")
        exchange.asked.clear()
        exchange.answer = drop
        with pytest.raises(Unavailable):
            await http.request("GET", "/x")
        assert len(exchange.asked) == 2


async def test_no_answer_in_time(exchange: Exchange) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await anyio.sleep_forever()
        raise AssertionError

    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await anyio.sleep(0.01)

    async with transport() as its:
        for handler in (hang, drip):
            exchange.answer = handler
            with pytest.raises(DeadlineExceeded):
                await its.http(exchange.url).request("GET", "/x", deadline=0.1)
    assert len(exchange.asked) == 2


@pytest.mark.parametrize(("method", "kind"), [("GET", DeadlineExceeded), ("POST", NotSent)])
async def test_without_time_nothing_is_asked(exchange: Exchange, method: str, kind: type[ExGateError]) -> None:
    async with transport() as its:
        for deadline in (0.0, -1.0):
            with pytest.raises(kind):
                await its.http(exchange.url).request(method, "/x", deadline=deadline)
    assert exchange.asked == []


@pytest.mark.parametrize("packed", [False, True])
async def test_an_endless_answer_is_refused(exchange: Exchange, packed: bool) -> None:
    async def bomb(request: web.Request) -> web.StreamResponse:
        body = b" " * (9 * 1024 * 1024)
        return web.Response(
            body=gzip.compress(body) if packed else body, headers={"Content-Encoding": "gzip"} if packed else {}
        )

    exchange.answer = bomb
    async with transport() as its:
        with pytest.raises(Unavailable) as caught:
            await its.http(exchange.url).request("GET", "/x")
    assert caught.value.reason == "BAD_ANSWER"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_redirects_are_not_followed(exchange: Exchange, method: str) -> None:
    async def away(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("/elsewhere")

    exchange.answer = away
    async with transport() as its:
        answer = await its.http(exchange.url).request(method, "/x")
        assert isinstance(failure(answer), Unavailable)
    assert (answer.status, len(exchange.asked)) == (307, 1)


async def test_half_an_answer_is_no_answer(exchange: Exchange) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b'{"a": 1}')
        assert request.transport is not None
        request.transport.abort()
        return answer

    exchange.answer = half
    async with transport() as its:
        with pytest.raises(Unavailable):
            await its.http(exchange.url).get_json("/x", ANY)


@pytest.mark.parametrize("body", ["", "null", "[]", '{"a": 1', "<html>", '{"a": "1"}', '{"a": 1} x', '{"a": 1.5}'])
def test_a_200_that_is_not_what_was_asked_for_is_refused(body: str) -> None:
    with pytest.raises(Unavailable) as caught:
        decode(Response(200, {}, body.encode()), ANY)
    assert caught.value.reason == "BAD_ANSWER"


def test_digits_stay_text() -> None:
    body = b'{"price": 0.10000000000000000001, "id": 100532865385255757382218709, "small": 1.10E-7}'
    read = exact_json(Response(200, {}, body))
    assert read == {"price": "0.10000000000000000001", "id": 100532865385255757382218709, "small": "1.10E-7"}
    for bad in (b"NaN", b"{", b"", b"[" * 100_000):
        with pytest.raises(Unavailable):
            exact_json(Response(200, {}, bad))
    assert [digits(msgspec.Raw(text)) for text in (b"1.10E-7", b'"0.50"', b"12.00")] == ["0.000000110", "0.50", "12.00"]
    with pytest.raises(ValueError, match="not a decimal"):
        digits(msgspec.Raw(b"[1]"))


@pytest.mark.parametrize(
    ("status", "kind", "wait"),
    [
        (429, RateLimited, 10.0),
        (418, RateLimited, 120.0),
        (400, Refused, None),
        (404, Refused, None),
        (403, Unavailable, None),
        (451, Unavailable, None),
        (302, Unavailable, None),
        (500, Unavailable, None),
        (503, Unavailable, None),
    ],
)
def test_what_a_status_means(status: int, kind: type[ExGateError], wait: float | None) -> None:
    error = failure(Response(status, {}, b""), "their words")
    assert type(error) is kind and error.retry_after == wait
    assert "their words" in error.message or kind is RateLimited


def test_retry_after_is_seconds_or_a_date() -> None:
    assert [
        seconds_of(text, 1_700_000_000.0) for text in ("3", "2.5", "Tue, 14 Nov 2023 22:13:50 GMT", "soon", "")
    ] == [
        3.0,
        2.5,
        30.0,
        None,
        None,
    ]


@pytest.mark.parametrize("wrong", [-7200.0, 0.0, 7200.0, 40 * 86_400.0])
def test_a_date_to_wait_for_is_seen_from_the_answers_own(wrong: float) -> None:
    """Whatever this machine's clock says, nothing is kept waiting for longer, or sent earlier."""
    until, sent = "Tue, 14 Nov 2023 22:13:50 GMT", "Tue, 14 Nov 2023 22:13:20 GMT"
    assert seconds_of(until, 1_700_000_000.0 + wrong, sent) == 30.0
    assert seconds_of("3", 1_700_000_000.0 + wrong, sent) == 3.0
    assert seconds_of(until, 1_700_000_000.0, "no date") == 30.0


@pytest.mark.parametrize(("status", "sent", "wait"), [(429, "7", 7.0), (418, "300", 300.0), (429, "", 10.0)])
async def test_after_too_many_requests_nothing_leaves(exchange: Exchange, status: int, sent: str, wait: float) -> None:
    async def many(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Retry-After": sent} if sent else {})

    exchange.answer = many
    async with transport() as its:
        http = its.http(exchange.url)
        with pytest.raises(RateLimited) as first:
            await http.get_json("/x", ANY)
        with pytest.raises(RateLimited) as second:
            await http.request("POST", "/order", lane="orders", deadline=1)
    assert first.value.retry_after == wait
    assert second.value.retry_after == pytest.approx(wait, abs=0.5)
    assert len(exchange.asked) == 1


async def test_the_exchanges_own_count_is_taken_over(exchange: Exchange) -> None:
    async def counted(request: web.Request) -> web.StreamResponse:
        return web.json_response({"a": 1}, headers={"X-Used": "57"})

    exchange.answer = counted
    async with transport() as its:
        assert await its.http(exchange.url, used_weight="x-used").get_json("/x", ANY, weight=5) == {"a": 1}
        assert its.budget.used == 57


async def test_a_context_shows_what_adapters_may_use_and_keeps_secrets_out_of_its_text() -> None:
    async with transport() as its:
        context = its.context("x", {"a": 1}, credentials="SECRET")
        assert (context.name, context.settings, context.credentials) == ("x", {"a": 1}, "SECRET")
        assert (context.clock, context.sleep) == (its.runtime.clock, its.runtime.sleep)
        assert "SECRET" not in repr(context)


async def test_what_ends_a_transports_block_comes_out_as_it_was(exchange: Exchange) -> None:
    with pytest.raises(KeyError):
        async with transport() as its, its.ws(ws_url(exchange), Talk()).subscription("a", print):
            raise KeyError
    with anyio.move_on_after(0.05) as scope:
        async with transport() as its, its.ws(ws_url(exchange), Talk()).subscription("a", print):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_sockets_need_an_open_transport() -> None:
    runtime = Runtime()
    its = Transport(Budget(1, 1, runtime.clock, runtime.sleep), runtime)
    with pytest.raises(RuntimeError):
        its.ws("wss://s.example.com", Talk())


# -- WebSocket


async def test_one_connection_carries_many_subscriptions(exchange: Exchange) -> None:
    got: dict[str, list[bytes]] = {"a": [], "b": [], "b2": []}
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        assert socket is its.ws(ws_url(exchange), Talk())
        async with (
            socket.subscription("a", got["a"].append),
            socket.subscription("b", got["b"].append),
            socket.subscription("b", got["b2"].append),
        ):
            await exchange.say("a", "1")
            await exchange.say("b", "2")
            await until(lambda: all(got.values()))
            assert socket.connections == len(exchange.sockets) == 1
        await until(lambda: socket.connections == 0)
    assert got == {"a": [b"a|1"], "b": [b"b|2"], "b2": [b"b|2"]}
    assert [m["topics"] for m in exchange.messages if m["do"] == "subscribe"] == [["a"], ["b"]]


async def test_a_topic_that_is_left_and_wanted_again_is_asked_for_again(exchange: Exchange) -> None:
    got: list[bytes] = []
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        async with socket.subscription("keep", got.append):
            async with socket.subscription("a", got.append):
                pass
            async with socket.subscription("a", got.append):
                await exchange.say("a", "1")
                await until(lambda: got == [b"a|1"])
    asked = [(m["do"], m["topics"][0]) for m in exchange.messages]
    assert asked[:4] == [("subscribe", "keep"), ("subscribe", "a"), ("unsubscribe", "a"), ("subscribe", "a")]


async def test_a_topic_is_not_asked_for_again_before_its_end_is_confirmed(exchange: Exchange) -> None:
    async with transport() as its, anyio.create_task_group() as tasks:
        socket = its.ws(ws_url(exchange), Talk())
        async with socket.subscription("keep", print):
            async with socket.subscription("a", print):
                exchange.mute = True
            await until(lambda: exchange.messages[-1]["do"] == "unsubscribe")
            tasks.start_soon(hold, socket.subscription("a", print))
            tasks.start_soon(hold, socket.subscription("other", print))
            await until(lambda: exchange.messages[-1]["topics"] == ["other"])
            await exchange.say("ok", str(exchange.messages[-2]["id"]))
            await until(lambda: exchange.messages[-1] == {"do": "subscribe", "topics": ["a"], "id": 5})
            tasks.cancel_scope.cancel()


async def test_subscriptions_are_batched_capped_and_spread(exchange: Exchange) -> None:
    async with transport() as its, anyio.create_task_group() as tasks:
        socket = its.ws(ws_url(exchange), Talk(topics=3, batch=2))
        for name in "abcde":
            tasks.start_soon(hold, socket.subscription(name, lambda _: None))
        await until(lambda: sum(len(m["topics"]) for m in exchange.messages) == 5)
        assert len(exchange.sockets) == 2
        assert max(len(m["topics"]) for m in exchange.messages) == 2
        tasks.cancel_scope.cancel()


async def test_no_more_messages_a_second_than_allowed(exchange: Exchange) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await anyio.sleep(0 if seconds < 1 else 60)

    async with transport(runtime=Runtime(sleep=nap)) as its, anyio.create_task_group() as tasks:
        socket = its.ws(ws_url(exchange), Talk(batch=1, rate=4.0))
        for name in "abc":
            tasks.start_soon(hold, socket.subscription(name, lambda _: None))
        await until(lambda: len(exchange.messages) == 3 and naps.count(0.25) == 3)
        tasks.cancel_scope.cancel()


async def test_a_cut_ends_the_subscriptions_and_nothing_reopens(exchange: Exchange) -> None:
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        async with socket.subscription("a", print) as one, socket.subscription("b", print) as two:
            await exchange.sockets[0].close(code=1012, message=b"restart")
            for subscription in (one, two):
                with pytest.raises(Unavailable, match="1012 restart"):
                    await subscription.ended()
        assert socket.connections == 0
    assert len(exchange.sockets) == 1


async def test_a_rejected_topic_leaves_the_others_alone(exchange: Exchange) -> None:
    got: list[bytes] = []
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        async with socket.subscription("a", got.append):
            with pytest.raises(Refused, match="no such topic"):
                async with socket.subscription("bad", print):
                    raise AssertionError
            await exchange.say("a", "1")
            await until(lambda: bool(got))


async def test_a_frame_that_cant_be_used_ends_its_own_subscription(exchange: Exchange, caplog: Any) -> None:
    got: list[bytes] = []
    caplog.set_level(logging.CRITICAL)
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        async with socket.subscription("a", lambda frame: got.append(frame[99:100] or [][0])) as bad:
            async with socket.subscription("b", got.append):
                await exchange.say("a", "x")
                with pytest.raises(Unavailable, match="can't be used"):
                    await bad.ended()
                await exchange.say("b", "1")
                await until(lambda: got == [b"b|1"])


async def test_a_frame_that_belongs_to_nothing_known_cuts(exchange: Exchange, caplog: Any) -> None:
    caplog.set_level(logging.CRITICAL)
    async with transport() as its:
        async with its.ws(ws_url(exchange), Talk()).subscription("a", print) as subscription:
            await exchange.say("ok", "no number")
            with pytest.raises(Unavailable, match="can't be read"):
                await subscription.ended()


async def test_pongs_prove_a_quiet_subscription_alive(exchange: Exchange) -> None:
    alive: list[int] = []
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk(ping=0.01))
        async with socket.subscription("a", print, lambda: alive.append(1)):
            await until(lambda: len(alive) >= 3)
    assert exchange.pings >= 3


async def test_a_dead_connection_is_noticed(exchange: Exchange) -> None:
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk(ping=0.01, pong=0.3))
        async with socket.subscription("a", print) as subscription:
            exchange.mute = True
            with pytest.raises(Unavailable, match="no sign of life"), anyio.fail_after(5):
                await subscription.ended()


async def test_a_subscription_that_nobody_confirms_fails(exchange: Exchange) -> None:
    exchange.mute = True
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk(ping=0.01, pong=60, confirm=0.05))
        with pytest.raises(Unavailable, match="did not confirm"), anyio.fail_after(5):
            async with socket.subscription("a", print):
                raise AssertionError


async def test_an_old_connection_is_replaced_with_overlap(exchange: Exchange) -> None:
    got: list[bytes] = []
    held = anyio.Event()

    async def nap(seconds: float) -> None:
        if seconds == 7.0:
            await held.wait()
        await anyio.sleep(seconds)

    async with transport(runtime=Runtime(sleep=nap)) as its:
        socket = its.ws(ws_url(exchange), Talk(overlap=7.0))
        async with socket.subscription("a", got.append) as one, socket.subscription("b", got.append):
            await exchange.say("bye", "")
            await until(lambda: len(exchange.sockets) == 2 and len(exchange.messages) == 3)
            assert exchange.messages[-1]["topics"] == ["a", "b"]
            await exchange.say("a", "old", 0)
            await exchange.say("a", "new", 1)
            await until(lambda: sorted(got) == [b"a|new", b"a|old"])
            async with socket.subscription("c", got.append):
                await exchange.say("c", "1", 1)
                await until(lambda: b"c|1" in got)
            await exchange.sockets[0].close()
            await until(lambda: socket.connections == 1)
            await exchange.say("b", "on", 1)
            await until(lambda: b"b|on" in got)
            await exchange.sockets[1].close()
            with pytest.raises(Unavailable):
                await one.ended()


async def test_age_alone_replaces_a_connection_and_drops_the_old_one(exchange: Exchange) -> None:
    got: list[bytes] = []
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk(ping=0.01, lifetime=0.05, overlap=0.01))
        async with socket.subscription("a", got.append):
            await until(lambda: len(exchange.sockets) >= 3 and exchange.sockets[0].closed)
            await until(lambda: socket.connections == 1)
            count = len(got)
            await exchange.say("a", "1")
            await until(lambda: len(got) > count)


async def test_a_replacement_cut_during_the_overlap_is_tried_again(exchange: Exchange) -> None:
    got: list[bytes] = []
    overlaps: list[anyio.Event] = []

    async def nap(seconds: float) -> None:
        if seconds == 7.0:
            overlaps.append(anyio.Event())
            await overlaps[-1].wait()
        await anyio.sleep(min(seconds, 0.01))

    async with transport(runtime=Runtime(sleep=nap)) as its:
        socket = its.ws(ws_url(exchange), Talk(overlap=7.0))
        async with socket.subscription("a", got.append) as subscription:
            await exchange.say("bye", "")
            await until(lambda: len(overlaps) == 1)
            await exchange.sockets[1].close()
            await until(lambda: socket.connections == 1)
            overlaps[0].set()
            await until(lambda: len(overlaps) == 2)
            assert not subscription.over
            overlaps[1].set()
            await until(lambda: exchange.sockets[0].closed)
            await exchange.say("a", "1", 2)
            await until(lambda: got == [b"a|1"])


async def test_a_replacement_that_fails_is_tried_again_while_the_old_one_serves(exchange: Exchange) -> None:
    got: list[bytes] = []

    async def nap(seconds: float) -> None:
        await anyio.sleep(min(seconds, 0.01))

    async with transport(runtime=Runtime(sleep=nap)) as its:
        socket = its.ws(ws_url(exchange), Talk())
        async with socket.subscription("a", got.append):
            exchange.refuse = {}
            await exchange.say("bye", "")
            await until(lambda: len(exchange.asked) >= 3)
            await exchange.say("a", "1", 0)
            await until(lambda: got == [b"a|1"])
            exchange.refuse = None
            await until(lambda: len(exchange.sockets) == 2 and exchange.sockets[0].closed)


async def test_a_refused_handshake_says_how_long_to_wait(exchange: Exchange) -> None:
    exchange.refuse = {"Retry-After": "30"}
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                async with socket.subscription("a", print):
                    raise AssertionError
            assert caught.value.retry_after == pytest.approx(30, abs=1)
    assert len(exchange.asked) == 1


async def test_a_hundred_callers_do_not_knock_a_hundred_times(exchange: Exchange) -> None:
    exchange.refuse = {}
    errors: list[Unavailable] = []

    async def one(socket: Any) -> None:
        with pytest.raises(Unavailable) as caught:
            await hold(socket.subscription("a", print))
        errors.append(caught.value)

    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for _ in range(30):
                    tasks.start_soon(one, socket)
        assert len(exchange.asked) == 1 and len(errors) == 90
        assert 0 < (errors[-1].retry_after or 0) <= 1
        exchange.refuse = None
        await until(lambda: not refused(socket))


async def test_no_websocket_there_is_not_sent() -> None:
    async with transport() as its:
        with pytest.raises(NotSent):
            async with its.ws("ws://127.0.0.1:1/ws", Talk()).subscription("a", print):
                raise AssertionError


async def test_fragments_are_put_together(exchange: Exchange) -> None:
    got: list[bytes] = []
    async with transport() as its:
        async with its.ws(ws_url(exchange), Talk()).subscription("a", got.append):
            writer = exchange.sockets[0]._writer
            assert writer is not None
            writer.transport.write(b"\x01\x02a|\x00\x011\x80\x012")
            await until(lambda: got == [b"a|12"])


def ws_url(exchange: Exchange) -> str:
    return exchange.url.replace("http", "ws") + "/ws"


def refused(socket: Any) -> bool:
    subscription = socket.subscription("a", print)
    try:
        socket.join(subscription)
    except Unavailable:
        return True
    return False


async def hold(subscription: Any) -> None:
    async with subscription:
        await subscription.ended()


async def test_frames_of_one_turn_are_handed_on_together_and_none_is_lost_at_the_end(exchange: Exchange) -> None:
    batches: list[list[bytes]] = []
    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        stream = socket.subscription("a", lambda frame: gathered.add(frame))
        gathered: Gathered[bytes] = Gathered(lambda items: batches.append(list(items)), lambda: stream)
        async with stream:
            for text in "123":
                gathered.add(text.encode())
            assert batches == [], "not before the turn is over"
            await anyio.lowlevel.checkpoint()
            assert batches == [[b"1", b"2", b"3"]]
            await exchange.say("a", "4")
            await until(lambda: len(batches) == 2)
            gathered.add(b"5")
            gathered.flush()
            gathered.flush()
            await anyio.lowlevel.checkpoint()
    assert batches[1:] == [[b"a|4"], [b"5"]]


async def test_a_frame_that_cant_be_handed_on_ends_its_subscription(exchange: Exchange) -> None:
    def broken(items: Sequence[bytes]) -> None:
        raise ValueError("no number")

    async with transport() as its:
        socket = its.ws(ws_url(exchange), Talk())
        stream = socket.subscription("a", lambda frame: gathered.add(frame))
        gathered: Gathered[bytes] = Gathered(broken, lambda: stream)
        with pytest.raises(Unavailable, match="no number"):
            async with stream:
                await exchange.say("a", "1")
                await stream.ended()
