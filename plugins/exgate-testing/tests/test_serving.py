"""The server around a fake: what arrives is what was sent, and faults are what they say."""

from __future__ import annotations

from typing import Any

import aiohttp
import anyio.lowlevel
import pytest
from exgate_testing.faults import FrameFault, WireFault
from exgate_testing.serving import FakeExchange, running
from exgate_testing.simulation import FIRST_ID
from tiny import BTC, TinyFake

from exgate_core.errors import NotFound, Refused
from exgate_core.models import OrderRequest

pytestmark = pytest.mark.anyio


def buy(price: str, amount: str = "1", **more: Any) -> OrderRequest:
    """An order of the account."""
    return OrderRequest(market=BTC, side="buy", type="limit", client_order_id="", price=price, amount=amount, **more)


async def ask(exchange: FakeExchange, path: str, **more: Any) -> tuple[int, str]:
    """One request, as an adapter behind a prefix sends it."""
    async with aiohttp.ClientSession() as client:
        url = f"{exchange.prefix}https://api.tiny.example{path}"
        async with client.request("POST", url, allow_redirects=False, **more) as answer:
            return answer.status, await answer.text()


async def test_a_request_arrives_as_it_was_sent() -> None:
    async with running(TinyFake) as exchange:
        status, _ = await ask(exchange, "/v1/depth?a=%2B1&b=2", data={"b": "3", "c": "x y"})
        seen = exchange.requests[-1]
    assert status == 200
    assert (seen.request.host, seen.request.path, seen.request.query) == (
        "api.tiny.example",
        "/v1/depth",
        "a=%2B1&b=2",
    )
    assert seen.request.fields() == {"a": "+1", "b": "3", "c": "x y"}
    assert seen.operation == "depth"
    assert seen.reply is not None


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("html", 200, "<html"),
        ("empty", 200, ""),
        ("null", 200, "null"),
        ("blank", 200, "{}"),
        ("redirect", 302, ""),
        ("too_many", 429, '{"error":"slow down"'),
        ("banned", 418, "{}"),
        ("error_502", 502, "<html"),
    ],
)
async def test_a_fault_strikes_once_and_only_its_operation(kind: Any, status: int, body: str) -> None:
    async with running(TinyFake) as exchange:
        exchange.faults.add(WireFault(operation="depth", kind=kind))
        assert (await ask(exchange, "/v1/time"))[0] == 200
        found, text = await ask(exchange, "/v1/depth")
        again, _ = await ask(exchange, "/v1/depth")
    assert (found, text[: len(body)], bool(text)) == (status, body, kind not in ("empty", "redirect"))
    assert again == 200
    assert [seen.reply is None for seen in exchange.requests] == [False, True, False]


@pytest.mark.parametrize("kind", ["drop", "cut"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_line_that_breaks_breaks_before_or_after_the_exchange_has_processed_it(kind: Any, when: Any) -> None:
    async with running(TinyFake) as exchange:
        exchange.faults.add(WireFault(operation="depth", kind=kind, when=when))
        with pytest.raises(aiohttp.ClientError):
            await ask(exchange, "/v1/depth")
    assert [seen.reply is None for seen in exchange.requests] == [when == "before"]


async def test_a_stale_answer_is_the_one_before() -> None:
    async with running(TinyFake) as exchange:
        _, first = await ask(exchange, "/v1/depth?n=1")
        exchange.faults.add(WireFault(operation="depth", kind="stale", when="after"))
        _, second = await ask(exchange, "/v1/depth?n=2")
    assert first == second
    assert '"n": "1"' in first


async def test_frames_are_skipped_repeated_swapped_and_spoilt() -> None:
    async with running(TinyFake) as exchange, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{exchange.prefix}wss://ws.tiny.example/all") as socket:
            assert await socket.receive_str(timeout=2) == '"hello"'
            exchange.faults.add(
                FrameFault(kind="skip"),
                FrameFault(kind="repeat"),
                FrameFault(kind="replace", old='"100.04", "1.000"', new='"100.04", "9"'),
            )
            for cents in range(1, 5):
                exchange.simulation.place(buy(f"100.0{cents}"))
            got = [await socket.receive_str(timeout=2) for _ in range(4)]
    assert [str(FIRST_ID + n) in text for n, text in zip((3, 3, 4, 5), got, strict=True)] == [True] * 4
    assert got[0] == got[1]
    assert '"9"' in got[3]


async def test_a_mute_exchange_answers_no_ping_and_a_cut_one_is_gone() -> None:
    async with running(TinyFake) as exchange, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{exchange.prefix}wss://ws.tiny.example/all", autoping=False) as socket:
            await socket.receive_str(timeout=2)
            await socket.ping(b"1")
            assert (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.PONG
            exchange.faults.mute = True
            await socket.ping(b"2")
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=0.05)
        exchange.faults.clear()
        async with client.ws_connect(f"{exchange.prefix}wss://ws.tiny.example/all") as socket:
            assert await socket.receive_str(timeout=2) == '"hello"'
            exchange.cut()
            assert (await socket.receive(timeout=2)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        while exchange.sessions:
            await anyio.lowlevel.checkpoint()


async def test_a_broken_fake_is_told() -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug of the fake")):
        async with running(TinyFake) as exchange:
            assert (await ask(exchange, "/broken"))[0] == 500


async def test_an_order_lives_its_life_in_the_simulation() -> None:
    async with running(TinyFake) as exchange:
        world = exchange.simulation
        order = world.place(buy("100.00", "1.500"))
        assert int(order.order_id) == FIRST_ID + 1
        assert world.open_orders("BTC/USDT") == [order]
        assert world.cancel("BTC/USDT", order.order_id).status == "canceled"
        with pytest.raises(Refused) as closed:
            world.cancel("BTC/USDT", order.order_id)
        assert closed.value.reason == "CANCELED"
        with pytest.raises(NotFound):
            world.cancel("BTC/USDT", "12")
        stop = world.place(buy("100.00", stop_price="99.00"))
        assert [found.order_id for found in world.open_orders()] == [stop.order_id]
        assert world.cancel(None, stop.order_id).status == "canceled"
        assert [asked.amount for asked, _ in world.accepted] == ["1.500", "1"]
