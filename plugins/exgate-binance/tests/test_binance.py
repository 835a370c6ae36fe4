"""The adapter against recorded traffic: every digit, every fault. Needs EXGATE_SHARED."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest
from exgate_binance import Binance, BinanceSettings
from exgate_binance.hosts import HOSTS

from exgate_core import numbers
from exgate_core.book import Book
from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import DeadlineExceeded, ExGateError, NotSent, RateLimited, Refused, Unavailable
from exgate_core.models import Depth, DepthDelta, Market, Trade

pytestmark = pytest.mark.anyio

STREAMS = {
    "binance/20210404-btc-eth-dot": ("BTCUSDT", "DOTUSDT", "ETHUSDT"),
    "binance/20211012-small-prices": ("BLZETH", "LRCBTC", "NKNUSDT", "RUNEEUR"),
    "binanceus/20211012": ("COMPUSDT", "CRVUSDT", "OMGBUSD", "ZRXUSDT"),
}
BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")


def market(name: str) -> Market:
    return Market(symbol=name, id=name, base="", quote="")


def oracles(shared: Path, operation: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        rows: Iterable[dict[str, Any]] = map(json.loads, lines)
        return [row for row in rows if row["op"] == operation and row["exchange"] in HOSTS]


def streamed(shared: Path, session: str, symbol: str) -> dict[str, Any]:
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        found: dict[str, Any] = json.load(text)[session][symbol]
        return found


@asynccontextmanager
async def opened(
    venue: Any, name: str = "binance", session: str = "", trades: Any = "raw", prefix: str = ""
) -> AsyncIterator[tuple[Binance, Transport]]:
    venue.state.config.update(speed="max", session={name: session} if session else {})
    runtime = Runtime()
    budget = Budget(HOSTS[name].capabilities.weight_limit, 60, runtime.clock, runtime.sleep)
    async with Transport(budget, runtime, upstream_prefix=prefix or venue.url) as transport:
        yield Binance(transport.context(name, BinanceSettings(trades=trades))), transport


async def collect(
    run: Callable[[Callable[[Any], None]], Coroutine[Any, Any, None]],
    enough: Callable[[list[Any]], bool],
    limit: float = 10,
) -> list[Any]:
    """What a pull emits until there is enough of it."""
    got: list[Any] = []
    full = anyio.Event()

    def emit(item: Any) -> None:
        got.append(item)
        if enough(got):
            full.set()

    with anyio.fail_after(limit):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, emit)
            await full.wait()
            tasks.cancel_scope.cancel()
    return got


def plain(trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.id,
        "price": trade.price,
        "qty": trade.qty,
        "quoteQty": trade.quote_qty or numbers.product(trade.price, trade.qty),
        "time": str(trade.time),
        "isBuyerMaker": trade.taker_side == "sell",
    }


def expected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "quoteQty_sent"} for row in rows]


# -- every recorded answer, to the last character


async def test_every_recorded_book(venue: Any, shared: Path) -> None:
    rows = oracles(shared, "depth")
    for row in rows:
        session = row["record"].rpartition("/")[0]
        async with opened(venue, row["exchange"], session) as (adapter, _):
            book = await adapter.depth(market(row["symbol"]), 1000)
        expect = row["expect"]
        assert [list(level) for level in book.bids] == expect["bids"], row["record"]
        assert [list(level) for level in book.asks] == expect["asks"], row["record"]
        assert (str(book.last_update_id), book.timestamp) == (expect["lastUpdateId"], 0)
    assert len(rows) == 12


async def test_every_recorded_list_of_trades(venue: Any, shared: Path) -> None:
    rows = oracles(shared, "recent_trades")
    for row in rows:
        url = urlsplit(row["request"].split()[1])
        limit = int(dict(parse_qsl(url.query)).get("limit", 500))
        since = "0" if "historical" in url.path else None
        async with opened(venue, row["exchange"], row["record"].rpartition("/")[0]) as (adapter, _):
            trades = await adapter.recent_trades(market(row["symbol"]), limit, since)
        assert [plain(trade) for trade in trades] == expected(row["expect"]), row["record"]
        assert all(row["quoteQty_sent"] for row in row["expect"])
    assert len(rows) == 5


@pytest.mark.parametrize(("session", "symbol"), [(s, symbol) for s, symbols in STREAMS.items() for symbol in symbols])
async def test_every_recorded_stream(venue: Any, shared: Path, session: str, symbol: str) -> None:
    """Trades in aggregate mode: there is no recording of a raw ``@trade`` stream."""
    expect = streamed(shared, session, symbol)
    async with opened(venue, session.partition("/")[0], session, trades="aggregate") as (adapter, _):
        trades = [
            plain(trade)
            for batch in await collect(
                lambda emit: adapter.pull_trade(market(symbol), emit),
                lambda got: sum(map(len, got)) >= len(expect["trades"]),
            )
            for trade in batch
        ]
        assert trades == expected(expect["trades"])

        last = last_update(venue, session, symbol)
        items = await collect(
            lambda emit: adapter.pull_depth(market(symbol), 1000, emit), lambda got: reached(got[-1], last)
        )
    book = Book()
    for item in items:
        if isinstance(item, Depth):
            assert book.reset(item)
        elif item is not None:
            assert book.apply(item), book.fault
    final, top = expect["final_book"], book.top(25)
    assert [list(level) for level in top.bids] == final["bids"]
    assert [list(level) for level in top.asks] == final["asks"]


def reached(item: Depth | DepthDelta | None, last: int) -> bool:
    if item is None:
        return False
    return (item.sequence if isinstance(item, DepthDelta) else item.last_update_id) == last


def last_update(venue: Any, session: str, symbol: str) -> int:
    """The last update id of the recording, or of its snapshot if that is newer."""
    (found,) = (one for one in venue.state.lib.sessions if one.id == session)
    stream = f'{{"stream":"{symbol.lower()}@depth@100ms"'
    updates = [json.loads(row["x"])["data"]["u"] for row in found.ws if row.get("x", "").startswith(stream)]
    books = [json.loads(row["r"])["lastUpdateId"] for row in found.rest if f"depth?symbol={symbol}&" in row["u"]]
    return int(max(updates + books))


@pytest.mark.parametrize(
    ("name", "session", "count"),
    [
        ("binance", "binance/20211012-small-prices", 1655),
        ("binanceus", "binanceus/20211012", 121),
        ("binance", "binance/gct-rest", 25),
    ],
)
async def test_recorded_markets(venue: Any, name: str, session: str, count: int) -> None:
    async with opened(venue, name, session) as (adapter, transport):
        markets = {market.id: market for market in await adapter.markets()}
        assert transport.budget.used == HOSTS[name].weights.markets
    assert len(markets) == count
    if name == "binanceus":
        assert markets["BTCUSD"] == Market(
            symbol="BTC/USD",
            id="BTCUSD",
            base="BTC",
            quote="USD",
            tick_size="0.0100",
            step_size="0.00000100",
            min_amount="0.00000100",
            max_amount="9000.00000000",
            min_notional="10.0000",
        )
    else:
        assert markets["ETHBTC"].min_notional == "0.00010000"
        assert {market.active for market in markets.values()} == {True, False}


# -- which request is made, and what it costs


@pytest.mark.parametrize(
    ("name", "trades", "since", "asked", "weight"),
    [
        ("binance", "raw", None, "/api/v3/trades?symbol=BTCUSDT&limit=7", 25),
        ("binance", "raw", "41", "/api/v3/historicalTrades?symbol=BTCUSDT&limit=7&fromId=42", 25),
        ("binance", "aggregate", None, "/api/v3/aggTrades?symbol=BTCUSDT&limit=7", 4),
        ("binance", "aggregate", "41", "/api/v3/aggTrades?symbol=BTCUSDT&limit=7&fromId=42", 4),
        ("binanceus", "raw", None, "/api/v3/trades?symbol=BTCUSDT&limit=7", 1),
        ("binanceus", "raw", "41", "/api/v3/trades?symbol=BTCUSDT&limit=1000", 1),
        ("binanceus", "aggregate", "41", "/api/v3/aggTrades?symbol=BTCUSDT&limit=7&fromId=42", 1),
    ],
)
async def test_pages_of_trades(venue: Any, name: str, trades: str, since: str | None, asked: str, weight: int) -> None:
    rows = [
        {"id": n, "price": "1", "qty": "2", "quoteQty": "2", "time": 3, "isBuyerMaker": True} for n in range(40, 60)
    ]
    invalid = {"a": 43, "p": "0", "q": "0", "f": -1, "l": -1, "T": 1, "m": True}
    aggregates = [{"a": n, "p": "1", "q": "2", "f": n, "l": n, "T": 3, "m": False} for n in range(42, 45)]
    body = json.dumps(rows if trades == "raw" else [*aggregates, invalid])
    venue.state.faults = [{"status": 200, "body": body, "times": -1}]
    async with opened(venue, name, trades=trades) as (adapter, transport):
        got = await adapter.recent_trades(BTC, 7, since)
        assert transport.budget.used == weight
    assert venue.state.log[-1]["url"] == HOSTS[name].rest + asked
    if trades == "aggregate":
        assert [trade.id for trade in got] == ["42", "43", "44"] and got[0].quote_qty == ""
    elif name == "binanceus" and since:
        assert [trade.id for trade in got] == [str(n) for n in range(42, 49)]


async def test_an_id_that_cant_be_one_is_refused(venue: Any) -> None:
    async with opened(venue) as (adapter, _):
        with pytest.raises(ExGateError, match="since_id"):
            await adapter.recent_trades(BTC, 5, "x1")
    assert not venue.state.log


@pytest.mark.parametrize(
    ("limit", "weight"), [(1, 5), (100, 5), (101, 25), (500, 25), (501, 50), (1000, 50), (5000, 250)]
)
async def test_books_cost_what_the_document_says(venue: Any, limit: int, weight: int) -> None:
    async with opened(venue) as (adapter, transport):
        await adapter.depth(market("LRCBTC"), limit)
        assert transport.budget.used == weight
    assert HOSTS["binance"].weights.same_price(limit) >= limit


async def test_the_exchanges_own_count_of_weight_is_taken_over(venue: Any) -> None:
    venue.state.faults = [{"headers": {"X-MBX-USED-WEIGHT-1M": "777"}}]
    async with opened(venue) as (adapter, transport):
        await adapter.depth(market("LRCBTC"), 5)
        assert transport.budget.used == 777


# -- faults

BAD = [
    ({"truncate": 300}, Unavailable, "BAD_ANSWER"),
    ({"body": "<html>busy</html>", "content_type": "text/html"}, Unavailable, "BAD_ANSWER"),
    ({"body": ""}, Unavailable, "BAD_ANSWER"),
    ({"body": "null"}, Unavailable, "BAD_ANSWER"),
    ({"body": "[]"}, Unavailable, "BAD_ANSWER"),
    ({"status": 500}, Unavailable, ""),
    ({"status": 403, "body": "<html>WAF</html>"}, Unavailable, ""),
    ({"drop": True, "times": -1}, Unavailable, ""),
    ({"status": 400, "body": '{"code":-1121,"msg":"Invalid symbol."}'}, Refused, ""),
    ({"status": 429, "headers": {"Retry-After": "3"}}, RateLimited, ""),
    ({"status": 418, "headers": {"Retry-After": "300"}}, RateLimited, ""),
]


@pytest.mark.parametrize(("rule", "kind", "reason"), BAD)
async def test_bad_answers_are_told_apart(
    venue: Any, rule: dict[str, Any], kind: type[ExGateError], reason: str
) -> None:
    venue.state.faults = [{"match": "GET .*depth", **rule}]
    async with opened(venue) as (adapter, _):
        with pytest.raises(kind) as caught:
            await adapter.depth(market("LRCBTC"), 5)
    assert type(caught.value) is kind
    assert caught.value.reason == (reason or kind.default_reason)
    if kind is Refused:
        assert "-1121 Invalid symbol." in caught.value.message


async def test_one_dropped_answer_is_asked_for_again(venue: Any) -> None:
    venue.state.faults = [{"drop": True}]
    async with opened(venue) as (adapter, transport):
        assert (await adapter.depth(market("LRCBTC"), 5)).bids
        assert transport.budget.used == 10
    assert len(venue.state.log) == 2


async def test_nothing_is_sent_during_a_ban(venue: Any) -> None:
    venue.state.faults = [{"status": 418, "headers": {"Retry-After": "300"}}]
    async with opened(venue) as (adapter, _):
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                await adapter.depth(market("LRCBTC"), 5)
            assert caught.value.retry_after == pytest.approx(300, abs=2)
    assert len(venue.state.log) == 1


async def test_no_connection(venue: Any) -> None:
    async with opened(venue, prefix="http://127.0.0.1:1") as (adapter, _):
        with pytest.raises(NotSent):
            await adapter.depth(BTC, 5)
        with pytest.raises(NotSent):
            await adapter.pull_trade(BTC, lambda batch: None)


async def test_a_refused_websocket_says_when_to_come_back(venue: Any) -> None:
    venue.state.faults = [{"kind": "ws_connect", "status": 503, "headers": {"Retry-After": "2"}}]
    async with opened(venue) as (adapter, _):
        with pytest.raises(Unavailable) as caught:
            await adapter.pull_trade(BTC, lambda batch: None)
    assert caught.value.retry_after == 2


@pytest.mark.parametrize("abort", [True, False])
async def test_a_cut_stream_ends(venue: Any, abort: bool) -> None:
    venue.state.faults = [{"kind": "ws", "cut_after": 20, "abort": abort, "code": 1012}]
    got: list[Any] = []
    async with opened(venue, session="binance/20210404-btc-eth-dot", trades="aggregate") as (adapter, _):
        with pytest.raises(Unavailable), anyio.fail_after(5):
            await adapter.pull_trade(BTC, got.append)
    assert sum(map(len, got)) == 20
    assert venue.state.stats["ws_connections"] == 1


async def test_a_frame_that_is_cut_short_ends_its_stream(venue: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    venue.state.faults = [{"kind": "ws", "malformed": [4]}]
    async with opened(venue, session="binance/20210404-btc-eth-dot", trades="aggregate") as (adapter, _):
        with pytest.raises(Unavailable) as caught, anyio.fail_after(5):
            await adapter.pull_trade(BTC, lambda batch: None)
    assert caught.value.reason == "BAD_ANSWER"


async def test_a_skipped_delta_breaks_the_book(venue: Any) -> None:
    venue.state.faults = [{"kind": "ws", "skip": [30]}]
    async with opened(venue, session="binance/20210404-btc-eth-dot") as (adapter, _):
        items = await collect(lambda emit: adapter.pull_depth(BTC, 1000, emit), lambda got: len(got) > 100)
    book = Book()
    good = [book.reset(item) if isinstance(item, Depth) else book.apply(item) for item in items if item]
    assert not all(good) and not book.in_sync


async def test_a_snapshot_older_than_the_stream_is_asked_for_again(venue: Any) -> None:
    old = json.dumps({"lastUpdateId": 5, "bids": [], "asks": []})
    venue.state.faults = [{"match": "GET .*depth", "status": 200, "body": old, "times": 1, "delay": 0.3}]
    async with opened(venue, session="binance/20210404-btc-eth-dot") as (adapter, _):
        items = await collect(lambda emit: adapter.pull_depth(BTC, 1000, emit), lambda got: len(got) > 3)
    assert isinstance(items[0], Depth) and items[0].last_update_id == 9893033066
    assert sum("depth?" in str(entry.get("url")) for entry in venue.state.log) == 2


async def test_no_book_is_handed_on_for_a_stream_that_was_cut_meanwhile(venue: Any) -> None:
    venue.state.faults = [{"match": "GET .*depth", "delay": 0.3}, {"kind": "ws", "cut_after": 3}]
    got: list[Any] = []
    async with opened(venue, session="binance/20210404-btc-eth-dot") as (adapter, _):
        with pytest.raises(Unavailable), anyio.fail_after(5):
            await adapter.pull_depth(BTC, 1000, got.append)
    assert got == []


async def test_streams_share_a_connection(venue: Any) -> None:
    names = ("BTCUSDT", "ETHUSDT", "DOTUSDT")
    got: dict[str, int] = dict.fromkeys(names, 0)
    done = anyio.Event()

    def count(name: str, batch: Any) -> None:
        got[name] += len(batch)
        if all(number > 50 for number in got.values()):
            done.set()

    async with opened(venue, session="binance/20210404-btc-eth-dot", trades="aggregate") as (adapter, _):
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(adapter.pull_trade, market(name), lambda batch, name=name: count(name, batch))
                await done.wait()
                tasks.cancel_scope.cancel()
    assert venue.state.stats["ws_connections"] == 1
    messages = [json.loads(entry["body"]) for entry in venue.state.log if "ws" in entry]
    assert len([message for message in messages if message["method"] == "SUBSCRIBE"]) <= 3


async def test_a_slow_answer_ends_in_time(venue: Any) -> None:
    venue.state.faults = [{"delay": 5}]
    async with opened(venue) as (adapter, transport):
        transport.deadline = 0.2
        with pytest.raises(DeadlineExceeded):
            await adapter.depth(market("LRCBTC"), 5)
