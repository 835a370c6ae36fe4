"""Kraken's recorded answers and frames, to the last character. Needs EXGATE_SHARED."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from exgate_kraken import Kraken, KrakenAccount, KrakenSettings
from kraken_stage import KEYS, Public, collect

from exgate_core import numbers
from exgate_core.book import Book
from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.models import Depth, Market, Order, OrderRequest, Trade
from exgate_core.settings import Credentials, Secret

pytestmark = pytest.mark.anyio

STREAMED = "kraken/20210417-v2"
NOT_ASKED = {"kraken/samples/r0001": "Balance doesn't tell what orders hold: BalanceEx is asked, r0000"}


def oracles(shared: Path, *operations: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["exchange"] == "kraken" and row["op"] in operations]


def frames_of(shared: Path) -> dict[str, Any]:
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        found: dict[str, Any] = json.load(text)[STREAMED]
        return found


def market(name: str, symbol: str = "") -> Market:
    return Market(symbol=symbol or name, id=name, base="", quote="")


@asynccontextmanager
async def transport(venue: Any, session: str) -> AsyncIterator[Transport]:
    venue.state.config.update(speed="max", session={"kraken": session} if session else {})
    runtime = Runtime()
    async with Transport(Budget(1000, 60, runtime.clock, runtime.sleep), runtime, upstream_prefix=venue.url) as found:
        yield found


@asynccontextmanager
async def account_of(venue: Any, session: str) -> AsyncIterator[tuple[KrakenAccount, Public]]:
    async with transport(venue, session) as lines:
        venue.state.config["session"] = {"kraken": STREAMED}
        public = Public(await Kraken(lines.context("kraken")).markets())
        venue.state.config["session"] = {"kraken": session}
        credentials = Credentials(Secret(KEYS.api_key), Secret(KEYS.api_secret))
        settings = KrakenSettings(tier="negotiated")
        yield KrakenAccount(lines.context("kraken", settings, credentials=credentials, exchange=public)), public


def session_of(row: dict[str, Any]) -> str:
    return str(row["record"]).rpartition("/")[0]


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


async def test_every_recorded_book(venue: Any, shared: Path) -> None:
    rows = oracles(shared, "depth")
    for row in rows:
        async with transport(venue, session_of(row)) as lines:
            book = await Kraken(lines.context("kraken")).depth(market(row["symbol"]), 500)
        assert [list(level) for level in book.bids] == row["expect"]["bids"], row["record"]
        assert [list(level) for level in book.asks] == row["expect"]["asks"], row["record"]
        assert (book.last_update_id, book.timestamp) == (0, 0)
        assert row["expect"]["timeStamp"] is None
    assert len(rows) == 22


async def test_every_recorded_list_of_trades(venue: Any, shared: Path) -> None:
    rows = oracles(shared, "recent_trades")
    for row in rows:
        async with transport(venue, session_of(row)) as lines:
            trades = await Kraken(lines.context("kraken")).recent_trades(market(row["symbol"]), 1000, None)
        assert [plain(trade) for trade in trades] == expected(row["expect"]), row["record"]
    assert len(rows) == 6


async def test_the_ids_of_a_recorded_page_rise_with_the_time(venue: Any, shared: Path) -> None:
    """1000 trades captured from the exchange."""
    async with transport(venue, "kraken/samples") as lines:
        trades = await Kraken(lines.context("kraken")).recent_trades(market("XBTUSDT"), 1000, None)
    ids = [int(trade.id) for trade in trades]
    assert ids == list(range(10218208, 10219208))
    assert [trade.time_ns for trade in trades] == sorted(trade.time_ns for trade in trades)
    assert trades[0].time_ns == 1762795433971744500


async def test_the_recorded_market_list(venue: Any, shared: Path) -> None:
    async with transport(venue, STREAMED) as lines:
        found = {market.symbol: market for market in await Kraken(lines.context("kraken")).markets()}
    assert len(found) == 293
    bitcoin = found["BTC/USD"]
    assert (bitcoin.id, bitcoin.tick_size, bitcoin.step_size) == ("XXBTZUSD", "0.1", "0.00000001")
    assert (bitcoin.min_amount, bitcoin.min_notional, bitcoin.active) == ("0.0002", "", True)
    assert found["DOGE/BTC"].id == "XXDGXXBT"
    assert found["ETH2.S/ETH"].base == "ETH2.S"
    assert set(frames_of(shared)) <= set(found)


async def test_every_recorded_trade_of_the_streams(venue: Any, shared: Path) -> None:
    oracle = {symbol: row["trades"] for symbol, row in frames_of(shared).items() if row["trades"]}
    assert {symbol: len(trades) for symbol, trades in oracle.items()} == {"SC/EUR": 6, "XMR/USD": 4}
    async with transport(venue, STREAMED) as lines:
        adapter = Kraken(lines.context("kraken"))
        for symbol, wanted in oracle.items():
            batches = await collect(
                lambda emit, symbol=symbol: adapter.pull_trade(market(symbol, symbol), emit),  # type: ignore[misc]
                lambda got, wanted=wanted: sum(map(len, got)) >= len(wanted),  # type: ignore[misc]
            )
            trades = [plain(trade) for batch in batches for trade in batch]
            assert trades == expected(wanted), symbol


@pytest.mark.parametrize("symbol", ["ADA/BTC", "BTC/CHF", "ETH/CHF", "GRT/ETH", "KSM/BTC", "OCEAN/BTC"])
async def test_every_recorded_book_of_the_streams(venue: Any, shared: Path, symbol: str) -> None:
    await follow(venue, shared, symbol)


@pytest.mark.parametrize("symbol", ["OMG/USD", "SC/EUR", "WAVES/EUR", "XMR/USD"])
async def test_every_recorded_busy_book_of_the_streams(venue: Any, shared: Path, symbol: str) -> None:
    await follow(venue, shared, symbol)


def book_frames(shared: Path, symbol: str) -> int:
    with gzip.open(shared / "recordings" / STREAMED / "ws.jsonl.gz", "rt") as lines:
        frames = [json.loads(row["x"]) for row in map(json.loads, lines) if row["d"] == "<"]
    return sum(frame.get("channel") == "book" and frame["data"][0]["symbol"] == symbol for frame in frames)


async def follow(venue: Any, shared: Path, symbol: str) -> None:
    """Every frame against its checksum, the last state against the oracle."""
    wanted = frames_of(shared)[symbol]
    count = book_frames(shared, symbol)
    async with transport(venue, STREAMED) as lines:
        adapter = Kraken(lines.context("kraken"))
        items = await collect(
            lambda emit: adapter.pull_depth(market(symbol, symbol), 1000, emit),
            lambda got: sum(item is not None for item in got) >= count,
        )
    book, checked = Book("crc32-kraken", levels=1000, window=True), 0
    for item in filter(None, items):
        assert book.reset(item) if isinstance(item, Depth) else book.apply(item), book.fault
        checked += bool(item.checksum)
    assert checked == count
    top = book.top(25)
    assert [list(level) for level in top.bids] == wanted["final_book"]["bids"]
    assert [list(level) for level in top.asks] == wanted["final_book"]["asks"]


async def test_recorded_balances(venue: Any, shared: Path) -> None:
    rows = [row for row in oracles(shared, "balances") if row["record"] not in NOT_ASKED]
    for row in rows:
        async with account_of(venue, session_of(row)) as (account, _):
            found = [(balance.asset, balance.available, balance.frozen) for balance in await account.balances()]
        names = {"ZUSD": "USD", "XXBT": "BTC"}
        assert found == [(names[one["asset"]], one["available"], one["frozen"]) for one in row["expect"]]
    assert len(rows) == 1


async def test_recorded_open_orders(venue: Any, shared: Path) -> None:
    rows = oracles(shared, "pending_orders")
    symbols = {"XBTUSD": "BTC/USD", "LTCUSDT": "LTC/USDT"}
    for row in rows:
        async with account_of(venue, session_of(row)) as (account, _):
            found = {order.order_id: order for order in await account.pending_orders(None)}
        assert {name: told(order) for name, order in found.items()} == {one["order_id"]: one for one in row["expect"]}
        assert all(order.symbol == symbols[order.native_symbol] for order in found.values())
    assert len(rows) == 2
    assert found["OQCLML-BW3P3-BUCMWZ"].status == "partially_filled"
    assert found["OQCLML-BW3P3-BUCMWZ"].remaining == "0.87500000"
    assert found["OQCLML-BW3P3-BUCMWZ"].time == 1688666559897


def told(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "symbol": order.native_symbol,
        "type": order.type,
        "price": order.price,
        "amount": order.amount,
        "side": order.side,
    }


RECORDED_ORDERS = {
    "kraken/ccxt-static": {"market": "LTC/USDT", "type": "market", "amount": "0.1"},
    "kraken/samples": {"market": "BTC/USD", "type": "limit", "amount": "2.1234", "price": "25000.1"},
}


async def test_recorded_orders_and_cancels(venue: Any, shared: Path) -> None:
    rows = oracles(shared, "order", "cancel")
    for row in rows:
        async with account_of(venue, session_of(row)) as (account, public):
            if row["op"] == "cancel":
                assert (await account.cancel_order(None, "OUF4EM-FRGI2-MQMWZD", "")).status == "canceled"
                continue
            wanted: dict[str, Any] = dict(RECORDED_ORDERS[session_of(row)])
            wanted["market"] = public.markets.get(wanted["market"])
            placed = await account.place_order(OrderRequest(side="buy", client_order_id="a" * 32, **wanted))
            assert placed == row["expect"]["order_id"]
    assert len(rows) == 3
