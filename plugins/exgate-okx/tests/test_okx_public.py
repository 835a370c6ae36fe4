"""The public side against recorded traffic: every digit, every fault. Needs EXGATE_SHARED."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from exgate_okx import Okx, parse
from okx_support import BTC, SESSION, collect, oracles, public, recorded, requests, streamed, transport

from exgate_core import numbers
from exgate_core.book import Book
from exgate_core.errors import ExGateError, RateLimited, Refused, Unavailable
from exgate_core.models import Depth, DepthDelta, Market, Trade

pytestmark = pytest.mark.anyio


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
    """Oldest first."""
    return [{key: value for key, value in row.items() if key != "quoteQty_sent"} for row in rows][::-1]


# -- every recorded answer, to the last character


async def test_every_recorded_book(venue: Any, shared: Path) -> None:
    (row,) = oracles(shared, "depth")
    async with public(venue) as adapter:
        book = await adapter.depth(BTC, 400)
    assert [list(level) for level in book.bids] == row["expect"]["bids"]
    assert [list(level) for level in book.asks] == row["expect"]["asks"]
    assert (book.last_update_id, str(book.timestamp)) == (0, row["expect"]["timeStamp"])


async def test_every_recorded_list_of_trades(venue: Any, shared: Path) -> None:
    rows = oracles(shared, "recent_trades")
    for row in rows:
        decoded = parse.TRADES.decode(recorded(shared, row["record"])).data[::-1]
        assert [plain(trade) for trade in parse.trades(decoded)] == expected(row["expect"]), row["record"]
    assert len(rows) == 3
    for record in ("okx/20220513/r0006", "okx/samples/r0007"):
        async with public(venue, record.rpartition("/")[0]) as adapter:
            trades = await adapter.recent_trades(BTC, 500, None)
        assert [plain(trade) for trade in trades] == next(
            expected(row["expect"]) for row in rows if row["record"] == record
        )


async def test_recorded_markets(venue: Any) -> None:
    async with public(venue) as adapter:
        markets = {market.id: market for market in await adapter.markets()}
    assert len(markets) == 513
    assert markets["BTC-USDT"] == Market(
        symbol="BTC/USDT",
        id="BTC-USDT",
        base="BTC",
        quote="USDT",
        tick_size="0.1",
        step_size="0.00000001",
        min_amount="0.00001",
        max_amount="9999999999",
    )


async def test_the_recorded_stream_of_trades(venue: Any, shared: Path) -> None:
    """The channel ``trades`` of 2022 told each match by itself, so its frames are those of both modes."""
    wanted = expected(streamed(shared, "BTC-USDT")["trades"])[::-1]
    async with public(venue, trades="merged") as adapter:
        batches = await collect(
            lambda emit: adapter.pull_trade(BTC, emit), lambda got: sum(map(len, got)) >= len(wanted)
        )
    assert [plain(trade) for batch in batches for trade in batch] == wanted


@pytest.mark.parametrize("symbol", ["BTC-USDT", "UNI-USD-SWAP", "BTC-USD-220527"])
async def test_every_recorded_book_stream(venue: Any, shared: Path, symbol: str) -> None:
    """Each of the recorded frames carries a checksum, and each is right."""
    expect = streamed(shared, symbol)
    last = [json.loads(text) for text in frames(venue, symbol)][-1]["data"][0]["ts"]
    market = Market(symbol=symbol, id=symbol, base="", quote="")
    async with public(venue) as adapter:
        items = await collect(lambda emit: adapter.pull_depth(market, 1000, emit), lambda got: reached(got[-1], last))
    book, changes = Book("crc32-okx", levels=400, window=True), 0
    for item in items:
        if isinstance(item, Depth):
            assert book.reset(item) and item.checksum
        elif item is not None:
            assert book.apply(item) and item.checksum, book.fault
            changes += 1
    top = book.top(25)
    assert [list(level) for level in top.bids] == expect["final_book"]["bids"]
    assert [list(level) for level in top.asks] == expect["final_book"]["asks"]
    assert changes == len(frames(venue, symbol)) - 1


def frames(venue: Any, symbol: str) -> list[str]:
    (found,) = (one for one in venue.state.lib.sessions if one.id == SESSION)
    texts = [row.get("x", "") for row in found.ws if row["d"] == "<"]
    return [text for text in texts if f'"instId":"{symbol}"' in text and '"channel":"books' in text and "data" in text]


def reached(item: Depth | DepthDelta | None, last: str) -> bool:
    return item is not None and str(item.timestamp) == last


# -- which request is made


@pytest.mark.parametrize(
    ("full", "limit", "asked"),
    [
        (False, 1, "/api/v5/market/books?instId=BTC-USDT&sz=1"),
        (False, 400, "/api/v5/market/books?instId=BTC-USDT&sz=400"),
        (False, 401, "/api/v5/market/books?instId=BTC-USDT&sz=400"),
        (True, 400, "/api/v5/market/books?instId=BTC-USDT&sz=400"),
        (True, 401, "/api/v5/market/books-full?instId=BTC-USDT&sz=401"),
        (True, 9000, "/api/v5/market/books-full?instId=BTC-USDT&sz=5000"),
    ],
)
async def test_the_freshest_book_that_has_enough_is_asked_for(venue: Any, full: bool, limit: int, asked: str) -> None:
    body = '{"code":"0","msg":"","data":[{"asks":[["2","1","1"]],"bids":[["1.0","0.30","2"]],"ts":"7","seqId":5}]}'
    venue.state.faults = [{"status": 200, "body": body}]
    async with public(venue, full_depth=full) as adapter:
        assert adapter.capabilities.depth_max == (5000 if full else 400)
        book = await adapter.depth(BTC, limit)
    assert venue.state.log[-1]["url"] == "https://www.okx.com" + asked
    assert book == Depth(bids=[("1.0", "0.30")], asks=[("2", "1")], last_update_id=5, timestamp=7)


def history(first: int, last: int) -> str:
    rows = [
        {"instId": "BTC-USDT", "side": "sell", "sz": "0.5", "px": "2", "tradeId": str(n), "ts": "9"}
        for n in range(last, first - 1, -1)
    ]
    return json.dumps({"code": "0", "msg": "", "data": rows})


async def test_the_first_trades_after_an_id_among_the_newest(venue: Any) -> None:
    venue.state.faults = [{"match": "market/trades", "status": 200, "body": history(1, 500), "times": -1}]
    async with public(venue) as adapter:
        assert [trade.id for trade in await adapter.recent_trades(BTC, 3, "490")] == ["491", "492", "493"]
        assert await adapter.recent_trades(BTC, 3, "500") == []
        assert [trade.id for trade in await adapter.recent_trades(BTC, 2, "0")] == ["1", "2"]
    assert not requests(venue, "history-trades")


async def test_older_trades_after_an_id_page_by_page(venue: Any) -> None:
    venue.state.faults = [
        {"match": "market/trades", "status": 200, "body": history(5001, 5500), "times": -1},
        {"match": "history-trades.*after=201", "status": 200, "body": history(101, 200), "times": -1},
        {"match": "history-trades.*after=251", "status": 200, "body": history(201, 250), "times": -1},
    ]
    async with public(venue) as adapter:
        trades = await adapter.recent_trades(BTC, 150, "100")
    assert [trade.id for trade in trades] == [str(n) for n in range(101, 251)]
    assert [entry["url"].partition("?")[2] for entry in requests(venue, "history-trades")] == [
        "instId=BTC-USDT&type=1&after=201&limit=100",
        "instId=BTC-USDT&type=1&after=251&limit=50",
    ]


async def test_the_one_trade_before_the_newest_comes_from_the_history(venue: Any) -> None:
    venue.state.faults = [
        {"match": "market/trades", "status": 200, "body": history(5002, 5501), "times": -1},
        {"match": "history-trades.*after=5003", "status": 200, "body": history(5001, 5002), "times": -1},
    ]
    async with public(venue) as adapter:
        trades = await adapter.recent_trades(BTC, 2, "5000")
    assert [trade.id for trade in trades] == ["5001", "5002"]


async def test_trades_that_the_history_has_lost_show_as_a_hole_before_the_newest(venue: Any) -> None:
    venue.state.faults = [
        {"match": "market/trades", "status": 200, "body": history(5001, 5500), "times": -1},
        {"match": "history-trades", "status": 200, "body": history(1, 0), "times": -1},
    ]
    async with public(venue) as adapter:
        trades = await adapter.recent_trades(BTC, 150, "100")
    assert (trades[0].id, len(trades)) == ("5001", 150)


async def test_an_id_that_cant_be_one_is_refused(venue: Any) -> None:
    async with public(venue) as adapter:
        with pytest.raises(ExGateError, match="since_id"):
            await adapter.recent_trades(BTC, 5, "x1")


@pytest.mark.parametrize("sandbox", [True, False])
async def test_demo_trading_is_said_in_every_request(venue: Any, sandbox: bool) -> None:
    async with public(venue, sandbox=sandbox) as adapter:
        await adapter.markets()
    headers = {name.lower(): value for name, value in venue.state.log[-1]["headers"].items()}
    assert headers.get("x-simulated-trading") == ("1" if sandbox else None)


@pytest.mark.parametrize(
    ("host", "sandbox", "stream"),
    [
        ("www.okx.com", False, "wss://ws.okx.com:443/ws/v5/business"),
        ("openapi.okx.com", True, "wss://wspap.okx.com:8443/ws/v5/business"),
        ("eea.okx.com", False, "wss://wseea.okx.com:8443/ws/v5/business"),
        ("eea.okx.com", True, "wss://wseeapap.okx.com:8443/ws/v5/business"),
        ("us.okx.com", False, "wss://wsus.okx.com:8443/ws/v5/business"),
        ("us.okx.com", True, "wss://wsuspap.okx.com:8443/ws/v5/business"),
    ],
)
async def test_requests_and_streams_go_to_the_region(venue: Any, host: Any, sandbox: bool, stream: str) -> None:
    venue.state.faults = [{"status": 200, "body": '{"code":"0","msg":"","data":[]}'}]
    async with public(venue, sandbox=sandbox, host=host) as adapter:
        await adapter.markets()
        assert adapter._trades.url == stream
    assert venue.state.log[-1]["url"].startswith(f"https://{host}/api/v5/")


# -- what goes wrong


BAD: dict[str, tuple[dict[str, Any], type[ExGateError]]] = {
    "truncated": ({"truncate": 60}, Unavailable),
    "html": ({"body": "<html>maintenance</html>", "content_type": "text/html"}, Unavailable),
    "empty": ({"body": ""}, Unavailable),
    "null": ({"body": "null"}, Unavailable),
    "nothing in it": ({"body": '{"code":"0","data":[{}]}'}, Unavailable),
    "a price that is a number": ({"body": '{"code":"0","data":[{"asks":[[1,2]],"bids":[],"ts":"1"}]}'}, Unavailable),
    "a time that is none": ({"body": '{"code":"0","data":[{"asks":[],"bids":[],"ts":"x"}]}'}, Unavailable),
    "half a level": ({"body": '{"code":"0","data":[{"asks":[["1"]],"bids":[],"ts":"1"}]}'}, Unavailable),
    "no book": ({"body": '{"code":"0","data":[]}'}, Unavailable),
    "no such instrument": (
        {"body": '{"code":"51001","msg":"Instrument ID doesn\'t exist","data":[]}'},
        Refused,
    ),
    "too many, said in a 200": ({"body": '{"code":"50011","msg":"Rate limit reached","data":[]}'}, RateLimited),
    "too many": ({"status": 429, "body": '{"code":"50011","msg":"Too Many Requests"}'}, RateLimited),
    "too many, without words": ({"status": 429, "body": ""}, RateLimited),
    "busy": ({"status": 503, "body": '{"code":"50001","msg":"Service temporarily unavailable"}'}, Unavailable),
    "system error": ({"status": 500, "body": '{"code":"50026","msg":"System error"}'}, Unavailable),
    "a wall": ({"status": 403, "body": "<html>"}, Unavailable),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_answer_never_becomes_a_book(venue: Any, kind: str) -> None:
    fault, error = BAD[kind]
    venue.state.faults = [{"match": "books", "times": -1, **fault}]
    async with public(venue) as adapter:
        with pytest.raises(error):
            await adapter.depth(BTC, 5)


@pytest.mark.parametrize(
    ("status", "body", "seconds"),
    [
        (200, '{"code":"50011","msg":"Rate limit reached","data":[]}', 2.0),
        (429, '{"code":"50011","msg":"Too Many Requests"}', 2.0),
        (429, "<html>", 10.0),
    ],
)
async def test_after_too_many_nothing_leaves_for_a_while(venue: Any, status: int, body: str, seconds: float) -> None:
    venue.state.faults = [{"match": "books", "status": status, "body": body}]
    async with transport(venue, SESSION) as way:
        adapter = Okx(way.context("okx"))
        with pytest.raises(RateLimited) as refused:
            await adapter.depth(BTC, 5)
        assert refused.value.retry_after == seconds
        assert math.isclose(way.budget.paused_for, seconds, abs_tol=0.5)
