"""Recorded answers and frames: every digit of every one comes out as it went in."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.models import Depth, DepthDelta, Market, OrderRequest, Trade
from exgate_core.numbers import product

from exgate_bitstamp import Bitstamp, BitstampAccount, parse, private_parse

pytestmark = pytest.mark.anyio

Run = Callable[[Callable[[Any], None]], Coroutine[Any, Any, None]]
Lines = Callable[[str], list[dict[str, Any]]]

SESSION = "bitstamp/20220105"
STREAMS = ["adaeur", "batbtc", "bateur", "ethusd", "galaeur", "usdteur", "usdtusd", "xlmgbp", "xrpeur"]
BTC = Market(symbol="BTC/USD", id="btcusd", base="BTC", quote="USD")


def market(name: str) -> Market:
    return Market(symbol=name, id=name, base="", quote="")


@pytest.fixture
def records(lines: Lines) -> dict[str, dict[str, Any]]:
    """Every recorded answer of Bitstamp by its name."""
    sessions = (SESSION, "bitstamp/gct-rest")
    return {f"{name}/{row['id']}": row for name in sessions for row in lines(f"recordings/{name}/rest.jsonl.gz")}


@pytest.fixture
def oracles(lines: Lines) -> list[dict[str, Any]]:
    """What must come out."""
    return [row for row in lines("oracles/rest.jsonl.gz") if row["exchange"] == "bitstamp"]


def streamed(shared: Path, symbol: str) -> dict[str, Any]:
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        found: dict[str, Any] = json.load(text)[SESSION][symbol]
        return found


class Secret:
    def reveal(self) -> str:
        return "a secret"


@asynccontextmanager
async def opened(replay: str) -> AsyncIterator[tuple[Bitstamp, BitstampAccount]]:
    runtime = Runtime()
    async with Transport(
        Budget(10_000, 600, runtime.clock, runtime.sleep), runtime, upstream_prefix=replay
    ) as transport:
        keys = SimpleNamespace(api_key=Secret(), api_secret=Secret())
        side = SimpleNamespace(markets=[BTC])
        account = BitstampAccount(transport.context("bitstamp", credentials=keys, exchange=side))
        yield Bitstamp(transport.context("bitstamp")), account


def as_oracle(trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.id,
        "price": trade.price,
        "qty": trade.qty,
        "quoteQty": product(trade.price, trade.qty),
        "time": str(trade.time),
        "isBuyerMaker": trade.taker_side == "sell",
    }


def same_trades(found: list[Trade], expected: list[dict[str, Any]]) -> bool:
    wanted = [{name: value for name, value in row.items() if name != "quoteQty_sent"} for row in expected]
    return [as_oracle(trade) for trade in found] == wanted


def test_every_recorded_book(records: dict[str, Any], oracles: list[dict[str, Any]]) -> None:
    tried = [row for row in oracles if row["op"] == "depth"]
    assert len(tried) == 11
    for row in tried:
        depth = parse.depth(parse.BOOK.decode(records[row["record"]]["r"]))
        assert [list(level) for level in depth.bids] == row["expect"]["bids"], row["record"]
        assert [list(level) for level in depth.asks] == row["expect"]["asks"], row["record"]
        assert str(depth.last_update_id) == (row["expect"]["lastUpdateId"] or "0")
        assert str(depth.timestamp) == row["expect"]["timeStamp"]


def test_every_recorded_history(records: dict[str, Any], oracles: list[dict[str, Any]]) -> None:
    tried = [row for row in oracles if row["op"] == "recent_trades"]
    assert len(tried) == 2
    for row in tried:
        found = parse.trades(parse.TRANSACTIONS.decode(records[row["record"]]["r"]))
        assert same_trades(found[::-1], row["expect"]), row["record"]  # Bitstamp's order is newest first


def test_every_recorded_private_list(records: dict[str, Any], oracles: list[dict[str, Any]]) -> None:
    done = 0
    for row in oracles:
        body = records[row["record"]]["r"]
        if row["op"] == "balances":
            balances = private_parse.balances(private_parse.BALANCES.decode(body))
            found = [{"asset": b.asset, "available": b.available, "frozen": b.frozen} for b in balances]
        elif row["op"] == "pending_orders":
            orders = [private_parse.open_order(order, {}) for order in private_parse.OPEN_ORDERS.decode(body)]
            found = [{name: getattr(order, name) for name in row["expect"][0]} for order in orders]
        else:
            continue
        for mine, theirs in zip(found, row["expect"], strict=True):
            assert {**theirs, **{k: v for k, v in mine.items() if theirs[k] is not None}} == theirs, row["record"]
        done += 1
    assert done == 3


def test_the_market_list(records: dict[str, Any]) -> None:
    found = {m.symbol: m for m in parse.markets(parse.MARKETS.decode(records[f"{SESSION}/r0011"]["r"]))}
    assert len(found) == 140
    assert found["BTC/USD"] == Market(
        symbol="BTC/USD",
        id="btcusd",
        base="BTC",
        quote="USD",
        tick_size="0.01",
        step_size="0.00000001",
        min_notional="20.0",
    )
    assert {found[name].id for name in ("BAT/BTC", "XLM/GBP")} == {"batbtc", "xlmgbp"}


@pytest.mark.parametrize("symbol", STREAMS)
async def test_a_recorded_book_stream_ends_where_the_exchanges_book_ended(
    symbol: str, replay: str, shared: Path
) -> None:
    expected = streamed(shared, symbol)["final_book"]
    sides: list[dict[str, str]] = [{}, {}]

    def levels() -> list[list[list[str]]]:
        """Both sides, best first."""
        ranked = [sorted(side.items(), key=lambda level: Decimal(level[0])) for side in sides]
        return [[list(level) for level in reversed(ranked[0])], [list(level) for level in ranked[1]]]

    def emit(item: Depth | DepthDelta | None) -> bool:
        if isinstance(item, Depth):
            sides[:] = [dict(item.bids), dict(item.asks)]
        elif item is not None:
            for side, changed in zip(sides, (item.bids, item.asks), strict=True):
                for price, amount in changed:
                    side.pop(price, None)
                    if Decimal(amount):
                        side[price] = amount
        bids, asks = levels()
        return [bids[:25], asks[:25]] == [list(expected["bids"]), list(expected["asks"])]

    async with opened(replay) as (bitstamp, _):
        await until(lambda done: bitstamp.pull_depth(market(symbol), 1000, done), emit)
    assert [len(side) for side in levels()] == expected["levels"]


async def test_a_recorded_stream_of_trades(replay: str, shared: Path) -> None:
    expected = streamed(shared, "ethusd")["trades"]
    found: list[Trade] = []

    def emit(batch: list[Trade]) -> bool:
        found.extend(batch)
        return len(found) == len(expected)

    async with opened(replay) as (bitstamp, _):
        await until(lambda done: bitstamp.pull_trade(market("ethusd"), done), emit)
    assert same_trades(found, expected)
    assert all(trade.time_ns // 1_000_000 == trade.time for trade in found)


async def test_recorded_answers_over_http(replay: str, oracles: list[dict[str, Any]]) -> None:
    [book] = [row["expect"] for row in oracles if row["record"] == f"{SESSION}/r0002"]
    async with opened(replay) as (bitstamp, account):
        depth = await bitstamp.depth(market("ethusd"), 5)
        assert [list(level) for level in depth.bids] == book["bids"]
        assert len(await bitstamp.markets()) == 140
        assert [trade.id for trade in await bitstamp.recent_trades(market("btcusd"), 2, None)] == [
            "90574282",
            "90574283",
        ]
        assert [(row.asset, row.available) for row in await account.balances()] == [
            ("BTC", "1.00000000"),
            ("USD", "90.00"),
        ]
        [order] = await account.pending_orders(None)
        assert (order.order_id, order.symbol) == ("1234123412341234", "BTC/USD")
        request = OrderRequest(
            market=BTC, side="buy", type="limit", client_order_id="123456789", price="2211.00", amount="45"
        )
        assert await account.place_order(request) == "1234123412341234"
        assert (await account.cancel_order(BTC, "1453282316578816", "")).status == "canceled"


async def until(
    run: Callable[[Callable[[Any], None]], Coroutine[Any, Any, None]], enough: Callable[[Any], bool]
) -> None:
    """Run a stream until one of its items is enough."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            def emit(item: Any) -> None:
                if enough(item):
                    tasks.cancel_scope.cancel()

            tasks.start_soon(run, emit)
