"""A broken line before a server, and what the client that adapters use makes of each of its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from aiohttp import WSMsgType, web
from exgate_testing.proxy import Line, LineFault, broken_line

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.dialects import Control, Limits
from exgate_core.errors import DeadlineExceeded, ExGateError, NotSent, Unavailable

pytestmark = pytest.mark.anyio

BODY = b'{"price":"1.10","pad":"' + 3000 * b"x" + b'"}'


class Upstream:
    """Answers every request; repeats every WebSocket message."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.prefix = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if "websocket" in request.headers.get("Upgrade", "").lower():
            socket = web.WebSocketResponse(compress=False)
            await socket.prepare(request)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(message.data)
            return socket
        await request.read()
        self.asked.append(request.method)
        return web.Response(body=BODY, content_type="application/json")


class Talk:
    """A dialect in which every message is its own confirmation."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**({"rate": 1000.0} | limits))

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        return f"ok|{number}"

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        return f"ok|{number}"

    def ping(self) -> str:
        return ""

    def route(self, frame: bytes) -> str | Control:
        kind, _, number = frame.decode().partition("|")
        return Control("confirmed", int(number)) if kind == "ok" else kind


@asynccontextmanager
async def lined() -> AsyncIterator[tuple[Upstream, Line, Transport]]:
    upstream = Upstream()
    runner = web.ServerRunner(web.Server(upstream.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.prefix = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    runtime = Runtime()
    budget = Budget(1000, 60, runtime.clock, runtime.sleep)
    try:
        async with broken_line(upstream.prefix) as line, Transport(budget, runtime, upstream_prefix=line.prefix) as its:
            yield upstream, line, its
    finally:
        await runner.cleanup()


async def ask(its: Transport, method: str = "GET", deadline: float = 5) -> bytes:
    http = its.http("https://api.acme.example")
    lane: Any = "data" if method == "GET" else "orders"
    response = await http.request(method, "/x", body=b"{}" if method == "POST" else None, lane=lane, deadline=deadline)
    return response.body if response.status == 200 else str(response.status).encode()


METHODS = pytest.mark.parametrize("method", ["GET", "POST"])


@METHODS
@pytest.mark.parametrize(
    "faults",
    [
        [],
        [LineFault(kind="latency", seconds=0.01), LineFault(kind="latency", way="up", seconds=0.01)],
        [LineFault(kind="slice", size=7)],
        [LineFault(kind="slice", size=1, way="up")],
        [LineFault(kind="truncate", after=10_000_000)],
        [LineFault(kind="corrupt", after=10_000_000)],
    ],
    ids=["none", "latency", "slices", "slices up", "truncated far behind", "corrupt far behind"],
)
async def test_a_slow_line_is_a_line(faults: list[LineFault], method: str) -> None:
    async with lined() as (upstream, line, its):
        with line.faulty(*faults):
            assert await ask(its, method) == BODY
            assert await ask(its, method) == BODY
        assert upstream.asked == [method] * 2


@pytest.mark.parametrize(
    ("fault", "kind", "arrived"),
    [
        (LineFault(kind="drip", seconds=0.01), DeadlineExceeded, 1),
        (LineFault(kind="latency", seconds=1.0), DeadlineExceeded, 1),
        (LineFault(kind="drop"), DeadlineExceeded, 1),
        (LineFault(kind="drop", after=500), DeadlineExceeded, 1),
        (LineFault(kind="drop", way="up"), DeadlineExceeded, 0),
        (LineFault(kind="truncate", after=1000), Unavailable, 1),
        (LineFault(kind="reset", after=1000), Unavailable, 1),
        (LineFault(kind="truncate"), Unavailable, 1),
        (LineFault(kind="reset"), Unavailable, 1),
        (LineFault(kind="reset", way="up"), Unavailable, 0),
        (LineFault(kind="truncate", way="up", after=30), Unavailable, 0),
        (LineFault(kind="corrupt", after=2), Unavailable, 1),
        (LineFault(kind="bomb", size=16 * 1024 * 1024), Unavailable, 0),
    ],
    ids=lambda value: f"{value.kind} {value.way} {value.after}" if isinstance(value, LineFault) else "",
)
@METHODS
async def test_what_a_broken_line_proves(fault: LineFault, kind: type[ExGateError], arrived: int, method: str) -> None:
    """A question is asked once more where nothing came back at all; an order never is, and is never "not sent"."""
    async with lined() as (upstream, line, its):
        with line.faulty(fault):
            with pytest.raises(ExGateError) as caught:
                await ask(its, method, deadline=0.4)
        assert type(caught.value) is kind
        assert not isinstance(caught.value, NotSent)
        assert len(upstream.asked) <= (2 * arrived if method == "GET" else arrived)
        assert line.accepted <= (2 if method == "GET" else 1)
        assert await ask(its, method) == BODY, "afterwards all is well"


@METHODS
async def test_a_redirect_leads_nowhere(method: str) -> None:
    async with lined() as (_, elsewhere, _other), lined() as (upstream, line, its):
        with line.faulty(LineFault(kind="redirect", location=elsewhere.prefix)):
            assert await ask(its, method) == b"307"
        assert (upstream.asked, elsewhere.accepted) == ([], 0)


async def test_a_fault_can_strike_the_first_connections_only() -> None:
    async with lined() as (upstream, line, its):
        with line.faulty(LineFault(kind="reset", connections=1)):
            assert await ask(its) == BODY, "asked once more, on another connection"
        assert (line.accepted, len(upstream.asked)) == (2, 2)


async def test_connections_that_break_while_idle_cost_nothing() -> None:
    async with lined() as (upstream, line, its):
        assert await ask(its) == BODY
        line.cut()
        with anyio.fail_after(5):
            while line.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert await ask(its, "POST") == BODY
        assert upstream.asked == ["GET", "POST"]


@pytest.mark.parametrize("kind", ["drop", "corrupt", "reset", "truncate"])
async def test_a_handshake_over_a_broken_line_fails(kind: Any) -> None:
    async with lined() as (_, line, its):
        with line.faulty(LineFault(kind=kind, after=5)), pytest.raises(ExGateError) as caught, anyio.fail_after(5):
            async with its.ws("wss://stream.acme.example/ws", Talk(handshake=0.2)).subscription("a", print):
                raise AssertionError
    assert type(caught.value) in (Unavailable, DeadlineExceeded)


async def test_a_subscription_that_never_arrives_fails() -> None:
    async with lined() as (_, line, its):
        socket = its.ws("wss://stream.acme.example/ws", Talk(ping=0.05, pong=60.0, confirm=0.1))
        async with socket.subscription("a", print) as first:
            with line.faulty(LineFault(kind="drop", way="up")):
                with pytest.raises(Unavailable, match="did not confirm"), anyio.fail_after(5):
                    async with socket.subscription("b", print):
                        raise AssertionError
            assert first.over


@pytest.mark.parametrize("kind", ["drop", "truncate", "reset", "corrupt", "drip"])
async def test_a_stream_over_a_broken_line_is_cut(kind: Any) -> None:
    said = "no sign of life" if kind in ("drop", "drip") else "cut"
    async with lined() as (_, line, its):
        socket = its.ws("wss://stream.acme.example/ws", Talk(ping=0.05, pong=0.1))
        async with socket.subscription("a", print) as subscription:
            with line.faulty(LineFault(kind=kind, seconds=60)):
                with pytest.raises(Unavailable, match=said), anyio.fail_after(5):
                    await subscription.ended()


async def test_a_sliced_stream_is_a_stream() -> None:
    async with lined() as (_, line, its):
        with line.faulty(LineFault(kind="slice", size=1), LineFault(kind="slice", size=1, way="up")):
            async with its.ws("wss://stream.acme.example/ws", Talk()).subscription("a", print) as subscription:
                assert not subscription.over
