"""Streams of exchanges of which there are no recordings: frames of the shapes that their documents show.

Bybit: "Trade"; Bitget: "Trading Channel"; Crypto.com: "trade.{instrument_name}"; Upbit: "Trade"; Bitvavo: "Trades";
WhiteBIT: "Market trades"; BingX: "Subscription transaction by transaction"; Bitfinex: "WS Trades".

Gate: "Public Trades Channel"; KuCoin: "Match Execution Data"; MEXC: "Trade Streams" (protobuf); Poloniex: "Trades";
Gemini: "Market Data v2"; HTX: "Trade Detail". The values are made up; the digits are those that get lost elsewhere.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from aiohttp import WSMsgType, web
from exgate_ccxt import loading
from exgate_ccxt.bounds import Boundless
from exgate_ccxt.markets import Listing
from exgate_ccxt.streams import pull_trade
from frames import SAMPLES, Sample, Told, bybit, htx, mexc_frame
from make_facts import MARKET, _market
from streaming import collect, trades_in

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import Unavailable
from exgate_core.models import Market, Trade

ccxt = pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(sample: Sample, late: Callable[[web.WebSocketResponse], Any] | None = None) -> AsyncIterator[str]:
    """An exchange that plays the frames of a sample to whoever subscribes, and then ``late``; its address."""
    playing = set[asyncio.Task[None]]()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return asked(sample, request.path)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for greeting in sample.greeting:
            await socket.send_str(greeting)
        await heard(socket, sample, lambda: playing.add(asyncio.create_task(play(socket, sample, late))))
        return socket

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        for task in playing:
            task.cancel()
        await runner.cleanup()


async def heard(socket: web.WebSocketResponse, sample: Sample, begin: Callable[[], None]) -> None:
    """Answer what is said; the first word begins the frames."""
    begun = False
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        for reply in sample.ack(json.loads(message.data)) if message.data[:1] in "{[" else ():
            await send(socket, reply)
        if not begun:
            begin()
        begun = True


async def play(socket: web.WebSocketResponse, sample: Sample, late: Any) -> None:
    """The frames, one after the other."""
    for frame in sample.frames:
        await send(socket, frame() if callable(frame) else frame)
    if late is not None:
        await late(socket)


def asked(sample: Sample, path: str) -> web.Response:
    """What is answered over HTTP: the book, or where KuCoin's streams are."""
    if sample.rest and "orderbook" in path:
        return web.Response(text=sample.rest, content_type="application/json")
    server = {"endpoint": "wss://ws-api-spot.kucoin.com/", "pingInterval": 18000, "pingTimeout": 10000}
    return web.json_response({"code": "200000", "data": {"token": "t", "instanceServers": [server]}})


async def send(socket: web.WebSocketResponse, frame: Any) -> None:
    await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))


def listing(exchange_id: str, name: str) -> Listing:
    """A market list with one market."""
    from exgate_ccxt.factory import exchange_class

    client = exchange_class(exchange_id)({})
    quote = "USD" if exchange_id in ("bitfinex", "gemini") else "USDT"
    own = {"id": name, "symbol": f"BTC/{quote}", "quote": quote, "quoteId": quote}
    places = 0.00000001 if client.precisionMode == 4 else 8
    client.set_markets([{**_market(places), **own, "lowercaseId": name.lower()}])
    return Listing.of(client, 0.0)


def told(trade: Trade) -> Told:
    return trade.id, trade.price, trade.qty, trade.time, trade.taker_side


@pytest.mark.parametrize("name", SAMPLES)
async def test_frames_of_the_documents_to_the_last_digit(name: str) -> None:
    if name == "mexc":
        pytest.importorskip("google.protobuf")
    sample, runtime = SAMPLES[name], Runtime()
    budget = Budget(10**6, 1, runtime.clock, runtime.sleep)
    async with serving(sample) as url, Transport(budget, runtime, upstream_prefix=url) as transport:
        context = transport.context(name)
        listed = listing(name, sample.market)
        client = await loading.open_client(context, name, private=False, streams=True, listing=listed)
        side, market = SimpleNamespace(client=client, context=context), listed.table.values[0]
        assert isinstance(market, Market)
        try:
            got = await collect(
                lambda emit: pull_trade(side, market, emit), lambda got: len(trades_in(got)) >= len(sample.trades), 5
            )
        finally:
            await loading.close_client(client)
    assert tuple(map(told, trades_in(got))) == sample.trades


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("bybit", bybit("1", "Buy", "1", "1e300", 1_700_000_000_123)),
        ("htx", htx(("1", "1", "1", "1E-300", "123"))),
        ("mexc", lambda: mexc_frame(("1e300", "1", 1, 1_700_000_000_123))),
    ],
)
async def test_a_number_that_nobody_may_compute_with_ends_the_stream(name: str, frame: Any) -> None:
    if name == "mexc":
        pytest.importorskip("google.protobuf")
    sample, runtime = SAMPLES[name]._replace(frames=(frame,)), Runtime()
    budget = Budget(10**6, 1, runtime.clock, runtime.sleep)
    async with serving(sample) as url, Transport(budget, runtime, upstream_prefix=url) as transport:
        context, listed = transport.context(name), listing(name, sample.market)
        client = await loading.open_client(context, name, private=False, streams=True, listing=listed)
        side = SimpleNamespace(client=client, context=context)
        try:
            with anyio.fail_after(5), pytest.raises(Boundless):
                await pull_trade(side, listed.table.values[0], lambda batch: None)
        finally:
            await loading.close_client(client)


async def test_without_protobuf_the_trades_of_mexc_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def recent_trades(*arguments: Any) -> list[Trade]:
        asked.append(arguments)
        raise Unavailable("asked, that's all.")

    monkeypatch.setattr("exgate_ccxt.streams.find_spec", lambda name: None)
    client = SimpleNamespace(id="mexc", has={"watchTrades": True})
    side = SimpleNamespace(client=client, context=SimpleNamespace(sleep=None), recent_trades=recent_trades)
    with pytest.raises(Unavailable, match="asked"):
        await pull_trade(side, MARKET, lambda batch: None)
    assert len(asked) == 1
