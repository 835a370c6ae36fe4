"""Real traffic of Binance through the gateway's HTTP and WebSocket: every digit, every trade, once and in order."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from exgate_core.settings import Section

from .support.serving import Served, serving, settings_for

aiohttp = pytest.importorskip("aiohttp")
pytestmark = pytest.mark.anyio

MARKET_LISTS = {"binance": "binance/20211012-small-prices", "binanceus": "binanceus/20211012"}
RECORDED = {"depth": "LRC/BTC", "recent_trades": "ETH/BTC"}
OVER_HTTP = tuple(RECORDED)
NOT_OVER_HTTP = {
    "binance/gct-rest/r0029": "historicalTrades is asked for only after a cut, by id",
}
READERS = 100


@pytest.fixture
async def served(venue: Any, tmp_path: Path) -> AsyncIterator[Served]:
    venue.state.config.update(speed="max", session=dict(MARKET_LISTS))
    raw = {name: Section(exchange=name, upstream_prefix=venue.url) for name in MARKET_LISTS}
    aggregate = {
        f"{name}-agg": Section(exchange=name, upstream_prefix=venue.url, extra={"trades": "aggregate"})
        for name in MARKET_LISTS
    }
    async with serving(settings_for(tmp_path, **raw, **aggregate)) as running:
        for name in (*raw, *aggregate):
            await running.gateway.entry(name)
        yield running


def records(shared: Path) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [record for record in found if record["exchange"] in MARKET_LISTS and record["op"] in OVER_HTTP]


def depth_of(expected: dict[str, Any]) -> dict[str, Any]:
    def side(levels: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        return [{"bid": [{"price": price, "amount": amount} for price, amount in levels]}]

    return {
        "lastUpdateId": int(expected["lastUpdateId"] or 0),
        "timeStamp": int(expected["timeStamp"] or 0),
        "bid_list": side(expected["bids"]),
        "ask_list": side(expected["asks"]),
    }


def trade_of(expected: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": int(expected["id"]),
        "price": expected["price"],
        "qty": expected["qty"],
        "quoteQty": expected["quoteQty"],
        "time": int(expected["time"]),
        "isBuyerMaker": expected["isBuyerMaker"],
    }


def asked_limit(record: dict[str, Any]) -> str:
    parameters: dict[str, str] = dict(pair.split("=") for pair in record["request"].partition("?")[2].split("&"))
    return parameters.get("limit", "1000")


async def test_every_recorded_answer_to_the_last_character(served: Served, venue: Any, shared: Path) -> None:
    compared = 0
    async with aiohttp.ClientSession() as client:
        for record in records(shared):
            if record["record"] in NOT_OVER_HTTP:
                continue
            exchange, operation = record["exchange"], record["op"]
            venue.state.config["session"] = {exchange: record["record"].rpartition("/")[0]}
            query = {"symbol": record["symbol"], "limit": asked_limit(record)}
            async with client.get(f"{served.url}/v1/{exchange}/{operation}", params=query) as answer:
                found = await answer.json()
                assert answer.status == 200, (record["record"], found)
                assert answer.headers["ExGate-Source"] == "exchange"
            expected = record["expect"]
            if operation == "depth":
                assert found == depth_of(expected), record["record"]
            else:
                wanted = sorted((trade_of(trade) for trade in expected), key=lambda trade: trade["id"])
                assert found == {"trades": wanted}, record["record"]
            compared += 1
    print(f"{compared} recorded answers equal, {len(NOT_OVER_HTTP)} not asked over HTTP")  # noqa: T201
    assert compared >= 14


async def read_trades(client: Any, url: str, count: int) -> list[dict[str, Any]]:
    trades: list[dict[str, Any]] = []
    async with client.ws_connect(url, max_msg_size=0) as socket:
        while len(trades) < count:
            frame = json.loads((await socket.receive(timeout=30)).data)
            trades += frame.get("trades", ())
    return trades


@pytest.mark.parametrize(
    ("exchange", "session", "symbol", "readers"),
    [
        ("binance", "binance/20210404-btc-eth-dot", "BTCUSDT", READERS),
        ("binance", "binance/20210404-btc-eth-dot", "ETHUSDT", READERS),
        ("binance", "binance/20210404-btc-eth-dot", "DOTUSDT", READERS),
        ("binance", "binance/20211012-small-prices", "LRCBTC", READERS),
        ("binance", "binance/20211012-small-prices", "NKNUSDT", READERS),
        ("binanceus", "binanceus/20211012", "OMGBUSD", READERS),
    ],
)
async def test_every_recorded_trade_to_a_hundred_clients_once_and_in_order(
    served: Served, venue: Any, shared: Path, exchange: str, session: str, symbol: str, readers: int
) -> None:
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        expected = json.load(text)[session][symbol]["trades"]
    venue.state.config["session"] = {exchange: session}
    # the recording starts to play when the first client subscribes: hold it until all have
    venue.state.faults = [{"kind": "ws", "match": "stream|ws", "stall_after": 0, "stall": 1.5, "times": -1}]
    url = f"{served.url}/v1/{exchange}-agg/pull_trade?symbol={symbol}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        everybody = await asyncio.gather(*(read_trades(client, url, len(expected)) for _ in range(readers)))
    wanted = [{**trade_of(trade), "trade_id": trade["id"]} for trade in expected]
    for trades in everybody:
        assert trades == wanted


def last_update(shared: Path, session: str, symbol: str) -> int:
    """The number of the last recorded change of a book."""
    folder = shared / "recordings" / session
    plain = folder / "ws.jsonl"
    with plain.open() if plain.exists() else gzip.open(folder / "ws.jsonl.gz", "rt") as lines:
        frames = [json.loads(record["x"]) for record in map(json.loads, lines) if record["d"] == "<"]
    newest: int = max(
        frame["data"]["u"] for frame in frames if frame.get("stream", "").startswith(f"{symbol.lower()}@depth")
    )
    return newest


@pytest.mark.parametrize(
    ("session", "symbol"),
    [
        ("binance/20210404-btc-eth-dot", "BTCUSDT"),
        ("binance/20210404-btc-eth-dot", "ETHUSDT"),
        ("binance/20210404-btc-eth-dot", "DOTUSDT"),
        ("binance/20211012-small-prices", "NKNUSDT"),
        ("binance/20211012-small-prices", "LRCBTC"),
        ("binance/20211012-small-prices", "BLZETH"),
        ("binance/20211012-small-prices", "RUNEEUR"),
        ("binanceus/20211012", "COMPUSDT"),
        ("binanceus/20211012", "OMGBUSD"),
        ("binanceus/20211012", "CRVUSDT"),
        ("binanceus/20211012", "ZRXUSDT"),
    ],
)
async def test_the_local_book_after_every_recorded_change(
    served: Served, venue: Any, shared: Path, session: str, symbol: str
) -> None:
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        expected = json.load(text)[session][symbol]["final_book"]
    exchange, wanted = session.partition("/")[0], last_update(shared, session, symbol)
    venue.state.config["session"] = {exchange: session}
    url, query = f"{served.url}/v1/{exchange}/depth", {"symbol": symbol, "limit": "25", "isLocal": "true"}
    async with aiohttp.ClientSession() as client:
        found: dict[str, Any] = {}
        while found.get("lastUpdateId") != wanted:
            async with client.get(url, params={**query, "tolerate_interval": "60"}) as answer:
                found = await answer.json()
                assert answer.status == 200, found
    assert answer.headers["ExGate-Source"] == "local"
    for side in ("bid", "ask"):
        levels = [[level["price"], level["amount"]] for level in found[f"{side}_list"][0]["bid"]]
        assert levels == expected[f"{side}s"][:25]


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "truncated": {"truncate": 60},
    "html": {"body": "<html>maintenance</html>", "content_type": "text/html"},
    "empty": {"body": ""},
    "null": {"body": "null"},
    "a list or an object of the other kind": {"body": '{"a": []}'},
    "error": {"status": 500, "body": "oops"},
    "an error in a 200": {"body": '{"code":-1003,"msg":"Too many requests."}'},
    "an array of an empty object": {"body": "[{}]"},
    "banned": {"status": 418, "headers": {"Retry-After": "1"}, "body": '{"code":-1003,"msg":"banned"}'},
}


@pytest.mark.parametrize("operation", OVER_HTTP)
@pytest.mark.parametrize("kind", BAD_ANSWERS)
async def test_a_bad_answer_never_becomes_a_good_one(served: Served, venue: Any, operation: str, kind: str) -> None:
    venue.state.faults = [{"match": "GET .*(depth|rades)", "times": -1, **BAD_ANSWERS[kind]}]
    async with aiohttp.ClientSession() as client:
        query = {"symbol": RECORDED[operation], "limit": "1000"}
        async with client.get(f"{served.url}/v1/binance/{operation}", params=query) as answer:
            status = await answer.json()
    assert answer.status in (429, 503, 504), (answer.status, status)
    assert set(status) == {"code", "message", "details"}
