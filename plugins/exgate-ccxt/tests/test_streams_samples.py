"""Streams of exchanges of which there are no recordings: frames of the shapes that their documents show.

Gate: "Public Trades Channel"; KuCoin: "Match Execution Data"; MEXC: "Trade Streams" (protobuf); Poloniex: "Trades";
Gemini: "Market Data v2"; HTX: "Trade Detail". The values are made up; the digits are those that get lost elsewhere.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiohttp import WSMsgType, web
from exgate_ccxt import loading
from exgate_ccxt.markets import Listing
from exgate_ccxt.streams import pull_trade
from make_facts import MARKET, _market
from streaming import collect, trades_in

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import Unavailable
from exgate_core.models import Market, Trade

ccxt = pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio

Told = tuple[str, str, str, int, str | None]


class Sample(NamedTuple):
    """One exchange: what its market is called, its frames, and the trades that are in them."""

    market: str
    frames: tuple[Any, ...]
    trades: tuple[Told, ...]
    ack: Callable[[dict[str, Any]], list[Any]] = lambda message: []
    greeting: tuple[Any, ...] = ()
    rest: str = ""
    """The book that is asked for over HTTP."""


def packed(message: str) -> bytes:
    """HTX compresses each frame."""
    return gzip.compress(message.encode())


def mexc_frame(*deals: tuple[str, str, int, int]) -> bytes:
    """A protobuf frame of deals: price, quantity, 1 = buy or 2 = sell, time."""
    from ccxt.protobuf.mexc import PushDataV3ApiWrapper_pb2 as wrapper

    message = wrapper.PushDataV3ApiWrapper()
    message.channel = "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
    message.symbol = "BTCUSDT"
    for price, quantity, kind, at in deals:
        deal = message.publicAggreDeals.deals.add()
        deal.price, deal.quantity, deal.tradeType, deal.time = price, quantity, kind, at
    return bytes(message.SerializeToString())


def gate(number: int, side: str, amount: str, price: str, at: str) -> str:
    return (
        '{"time":1700000000,"time_ms":1700000000123,"channel":"spot.trades","event":"update","result":'
        f'{{"id":{number},"create_time":1700000000,"create_time_ms":"{at}","side":"{side}",'
        f'"currency_pair":"BTC_USDT","amount":"{amount}","price":"{price}","range":"1-1"}}}}'
    )


def kucoin(trade_id: str, side: str, size: str, price: str, at: str) -> str:
    return (
        '{"topic":"/market/match:BTC-USDT","type":"message","subject":"trade.l3match","data":'
        f'{{"sequence":"10067644377825280","symbol":"BTC-USDT","side":"{side}","size":"{size}","price":"{price}",'
        f'"takerOrderId":"a","makerOrderId":"b","time":"{at}","type":"match","tradeId":"{trade_id}"}}}}'
    )


def poloniex(number: str, side: str, quantity: str, price: str, at: int) -> str:
    return (
        '{"channel":"trades","data":[{"symbol":"BTC_USDT","amount":"52.1821","takerSide":"'
        f'{side}","quantity":"{quantity}","createTime":{at},"price":"{price}","id":"{number}","ts":{at + 7}}}]}}'
    )


def gemini(number: str, side: str, quantity: str, price: str, at: int) -> str:
    return (
        f'{{"type":"trade","symbol":"BTCUSD","event_id":{number},"timestamp":{at},"price":"{price}",'
        f'"quantity":"{quantity}","side":"{side}"}}'
    )


def htx(*rows: tuple[str, str, str, str]) -> bytes:
    data = ",".join(
        f'{{"id":{number},"ts":1700000000{at},"tradeId":10209072{at},"amount":{amount},"price":{price},"direction":"buy"}}'
        for number, amount, price, at in rows
    )
    return packed(
        f'{{"ch":"market.btcusdt.trade.detail","ts":1700000000999,"tick":{{"id":105,"ts":1700000000999,"data":[{data}]}}}}'
    )


def kucoin_ack(message: dict[str, Any]) -> list[Any]:
    return [json.dumps({"id": message["id"], "type": "pong" if message["type"] == "ping" else "ack"})]


SAMPLES = {
    "gate": Sample(
        "BTC_USDT",
        (
            gate(7_654_321_098_765_432_1, "sell", "0.20100000", "0.00000637", "1700000000123.456000"),
            gate(7_654_321_098_765_432_2, "buy", "1", "64000.10", "1700000000124.0"),
        ),
        (
            ("76543210987654321", "0.00000637", "0.20100000", 1_700_000_000_123, "sell"),
            ("76543210987654322", "64000.10", "1", 1_700_000_000_124, "buy"),
        ),
        ack=lambda message: [
            json.dumps({**message, "event": "subscribe", "error": None, "result": {"status": "success"}})
        ],
    ),
    "kucoin": Sample(
        "BTC-USDT",
        (
            kucoin("10067644377825280", "buy", "0.00536570", "64000.10", "1700000000123456789"),
            kucoin("10067644377825281", "sell", "1.00000000", "0.00000001", "1700000000124456789"),
        ),
        (
            ("10067644377825280", "64000.10", "0.00536570", 1_700_000_000_123, "buy"),
            ("10067644377825281", "0.00000001", "1.00000000", 1_700_000_000_124, "sell"),
        ),
        ack=kucoin_ack,
        greeting=('{"id":"1","type":"welcome"}',),
    ),
    "mexc": Sample(
        "BTCUSDT",
        (
            lambda: mexc_frame(
                ("93220.00", "0.04438240", 2, 1_700_000_000_123), ("93220.01", "1", 1, 1_700_000_000_124)
            ),
        ),
        (
            ("", "93220.00", "0.04438240", 1_700_000_000_123, "sell"),
            ("", "93220.01", "1", 1_700_000_000_124, "buy"),
        ),
        ack=lambda message: [json.dumps({"id": message.get("id", 0), "code": 0, "msg": "spot@public"})],
    ),
    "poloniex": Sample(
        "BTC_USDT",
        (
            poloniex("62486976", "buy", "0.00053700", "24983.80", 1_700_000_000_123),
            poloniex("62486977", "sell", "2", "0.00000637", 1_700_000_000_124),
        ),
        (
            ("62486976", "24983.80", "0.00053700", 1_700_000_000_123, "buy"),
            ("62486977", "0.00000637", "2", 1_700_000_000_124, "sell"),
        ),
        ack=lambda message: [json.dumps({"event": message["event"], "channel": "trades", "symbols": ["BTC_USDT"]})],
    ),
    "gemini": Sample(
        "btcusd",
        (
            '{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","22252.37","0.02"]],"trades":['
            + gemini("9007199254740992", "sell", "0.03", "22250.00", 1_700_000_000_122)
            + ","
            + gemini("9007199254740991", "buy", "0.0070", "22250.0", 1_700_000_000_121)
            + "]}",
            gemini("9007199254740993", "buy", "0.00004470", "22269.10", 1_700_000_000_123),
            gemini("9007199254740994", "sell", "1", "0.10", 1_700_000_000_124),
        ),
        (
            ("9007199254740991", "22250.0", "0.0070", 1_700_000_000_121, "buy"),
            ("9007199254740992", "22250.00", "0.03", 1_700_000_000_122, "sell"),
            ("9007199254740993", "22269.10", "0.00004470", 1_700_000_000_123, "buy"),
            ("9007199254740994", "0.10", "1", 1_700_000_000_124, "sell"),
        ),
    ),
    "htx": Sample(
        "btcusdt",
        (
            htx(("100500000012345678901234567", "0.003893", "9150.01", "123")),
            htx(
                ("100500000012345678901234569", "2.0", "9150.02", "125"),
                ("100500000012345678901234568", "1.1522E-4", "9150.010", "124"),
            ),
        ),
        (
            ("100500000012345678901234567", "9150.01", "0.003893", 1_700_000_000_123, "buy"),
            ("100500000012345678901234568", "9150.010", "0.00011522", 1_700_000_000_124, "buy"),
            ("100500000012345678901234569", "9150.02", "2.0", 1_700_000_000_125, "buy"),
        ),
        ack=lambda message: [
            packed(json.dumps({"id": message.get("id"), "status": "ok", "subbed": message.get("sub")}))
        ],
    ),
}


@asynccontextmanager
async def serving(sample: Sample, late: Callable[[web.WebSocketResponse], Any] | None = None) -> AsyncIterator[str]:
    """An exchange that plays the frames of a sample to whoever subscribes, and then ``late``; its address."""
    playing = set[asyncio.Task[None]]()

    async def play(socket: web.WebSocketResponse) -> None:
        for frame in sample.frames:
            await send(socket, frame() if callable(frame) else frame)
        if late is not None:
            await late(socket)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return asked(sample, request.path)
        socket, played = web.WebSocketResponse(), False
        await socket.prepare(request)
        for greeting in sample.greeting:
            await socket.send_str(greeting)
        async for message in socket:
            for reply in sample.ack(json.loads(message.data)) if message.type is WSMsgType.TEXT else ():
                await send(socket, reply)
            if not played and message.type is WSMsgType.TEXT:
                playing.add(asyncio.create_task(play(socket)))
                played = True
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
    quote = "USD" if exchange_id == "gemini" else "USDT"
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
