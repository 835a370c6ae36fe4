"""Recorded and documented private answers through the adapter: every character of every oracle. Needs EXGATE_SHARED."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from exgate_binance import Binance, BinanceAccount

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import Unavailable
from exgate_core.markets import MarketList
from exgate_core.models import Market, OrderRequest
from exgate_core.settings import Credentials, Secret

pytestmark = pytest.mark.anyio

NAMES = {"BTCUSDT": "BTC/USDT", "LTCBTC": "LTC/BTC", "SOLUSDT": "SOL/USDT", "BTCUDT": "BTC/UDT"}
MARKETS = {
    native: Market(symbol=symbol, id=native, base=symbol.partition("/")[0], quote=symbol.partition("/")[2])
    for native, symbol in NAMES.items()
}
NOT_EQUAL = {
    "binance/gct-rest/r0033": "asks for one order by two ids, gets the cancel of a third",
    "binance/gct-rest/r0034": "asks to cancel order 1, gets the cancel of order 28: told as no answer",
}
"""Samples whose answer doesn't belong to their question; the adapter must notice."""


class Public:
    """The public side of an account under test."""

    def __init__(self, adapter: Binance) -> None:
        self.name = "binance"
        self.adapters = (adapter,)
        self.markets = MarketList(MARKETS.values())


def records(shared: Path, operation: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [record for record in found if record["op"] == operation and record["exchange"] in ("binance", "binanceus")]


def body_of(shared: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The recorded answer itself."""
    session, _, number = record["record"].rpartition("/")
    folder = shared / "recordings" / session
    plain = folder / "rest.jsonl"
    with plain.open() if plain.exists() else gzip.open(folder / "rest.jsonl.gz", "rt") as lines:
        (text,) = (row["r"] for row in map(json.loads, lines) if row["id"] == number)
    found: dict[str, Any] = json.loads(text)
    return found


@asynccontextmanager
async def opened(venue: Any, record: dict[str, Any]) -> AsyncIterator[BinanceAccount]:
    runtime = Runtime()
    budget = Budget(100_000, 1, runtime.clock, runtime.sleep)
    now = int(runtime.clock.time() * 1000)
    venue.state.config.update(session={"binance": record["record"].rpartition("/")[0]})
    venue.state.faults = [{"match": "/api/v3/time", "status": 200, "body": f'{{"serverTime":{now}}}', "times": -1}]
    async with Transport(budget, runtime, upstream_prefix=venue.url) as transport:
        public = Public(Binance(transport.context("binance")))
        credentials = Credentials(Secret("k"), Secret("s"))
        async with BinanceAccount(transport.context("binance", credentials=credentials, exchange=public)) as account:
            yield account


def asked(record: dict[str, Any]) -> dict[str, str]:
    query = parse_qs(urlsplit(record["request"].split()[1]).query)
    return {name: values[0] for name, values in query.items()}


def served(venue: Any, record: dict[str, Any]) -> bool:
    """Whether the last answer was this record's."""
    return bool(venue.state.log[-1].get("record") == record["record"])


async def test_every_balance(venue: Any, shared: Path) -> None:
    rows = records(shared, "balances")
    for record in rows:
        async with opened(venue, record) as account:
            found = [
                {"asset": row.asset, "available": row.available, "frozen": row.frozen}
                for row in await account.balances()
            ]
            assert served(venue, record) and found == record["expect"], record["record"]
    assert len(rows) == 2


async def test_every_open_order(venue: Any, shared: Path) -> None:
    rows = records(shared, "pending_orders")
    for record in rows:
        symbol = asked(record).get("symbol")
        async with opened(venue, record) as account:
            orders = await account.pending_orders(MARKETS[symbol] if symbol else None)
            assert served(venue, record), record["record"]
        assert [
            {
                "order_id": order.order_id,
                "symbol": order.native_symbol,
                "type": order.type,
                "side": order.side,
                "price": order.price,
                "amount": order.amount,
            }
            for order in orders
        ] == record["expect"], record["record"]
        assert [order.symbol for order in orders] == [NAMES[row["symbol"]] for row in record["expect"]]
    assert len(rows) == 5


async def test_every_placed_order(venue: Any, shared: Path) -> None:
    rows = [record for record in records(shared, "order") if record["request"].startswith("POST")]
    for record in rows:
        body = body_of(shared, record)
        order = OrderRequest(
            market=MARKETS[body["symbol"]],
            side="buy",
            type="limit",
            price="1",
            amount="1",
            client_order_id=body["clientOrderId"],
        )
        async with opened(venue, record) as account:
            assert await account.place_order(order) == record["expect"]["order_id"]
    assert len(rows) == 3


async def test_an_order_that_is_looked_up(venue: Any, shared: Path) -> None:
    (record,) = (record for record in records(shared, "order") if record["request"].startswith("GET"))
    body = body_of(shared, record)
    async with opened(venue, record) as account:
        (found,) = await account.find_order(MARKETS["BTCUSDT"], "1337", "")
        assert served(venue, record)
    assert (found.order_id, found.status) == (record["expect"]["order_id"], "open")
    assert (found.price, found.amount, found.filled) == (body["price"], body["origQty"], body["executedQty"])
    assert (found.client_order_id, found.time) == (body["clientOrderId"], body["time"])


async def test_every_cancel(venue: Any, shared: Path) -> None:
    compared = 0
    for record in records(shared, "cancel"):
        query, order_id = asked(record), record["expect"]["order_id"]
        body = body_of(shared, record)
        async with opened(venue, record) as account:
            if record["record"] in NOT_EQUAL:
                with pytest.raises(Unavailable):
                    await account.cancel_order(MARKETS[body["symbol"]], query["orderId"], "")
                continue
            market = MARKETS[query.get("symbol", body["symbol"])]
            if market.id != body["symbol"]:  # of the same kind: asked for another market than it answers with
                with pytest.raises(Unavailable):
                    await account.cancel_order(market, order_id, "")
                continue
            for name in ((order_id, ""), ("", body["origClientOrderId"])):
                assert (await account.cancel_order(market, *name)).status == "canceled"
            compared += 1
    assert compared == 1
