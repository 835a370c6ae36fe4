"""The same recordings through this plugin and through exgate-ccxt: equal values, equal text. Needs EXGATE_SHARED."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from exgate_binance import Binance, BinanceAccount

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.exchange import open_exchange
from exgate_core.models import ExchangeCapabilities
from exgate_core.settings import Credentials, Secret

pytest.importorskip("ccxt")
ccxt = pytest.importorskip("exgate_ccxt")
pytestmark = pytest.mark.anyio

MARKETS = "binance/20210404-btc-eth-dot"
ANOTHER_MARKET = {
    "binance/gct-rest/r0032": "asked for BTCUSDT, answered with BTCUDT: ccxt drops the row, this plugin shows it",
    "binance/samples/r0005": "asked for BTCUSDT, answered with LTCBTC: likewise",
}

OTHER_NAMES = {"BCHSV": "BSV", "YOYO": "YOYOW"}
"""Delisted assets that ccxt calls by other names than the exchange."""


def records(shared: Path, *operations: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [row for row in found if row["exchange"] == "binance" and row["op"] in operations]


@asynccontextmanager
async def both(venue: Any) -> AsyncIterator[list[tuple[Any, Any]]]:
    """(exchange, account) of this plugin and of exgate-ccxt, over the replay server."""
    runtime = Runtime()
    keys = Credentials(Secret("k"), Secret("s"))
    venue.state.config.update(session={"binance": MARKETS})
    now = int(runtime.clock.time() * 1000)
    venue.state.faults = [{"match": "/api/v3/time", "status": 200, "body": f'{{"serverTime":{now}}}', "times": -1}]
    budget = Budget(1_000_000, 1, runtime.clock, runtime.sleep)
    kinds = ((Binance, BinanceAccount), (ccxt.CcxtExchange, ccxt.CcxtAccount))
    async with Transport(budget, runtime, upstream_prefix=venue.url) as transport:
        (native, ours), (generic, theirs) = kinds
        async with (
            open_exchange("binance", [(native(transport.context("binance")), ExchangeCapabilities())], 30) as first,
            open_exchange("binance", [(generic(transport.context("binance")), ExchangeCapabilities())], 30) as second,
            ours(transport.context("binance", credentials=keys, exchange=first)) as mine,
            theirs(transport.context("binance", credentials=keys, exchange=second)) as other,
        ):
            yield [(first, mine), (second, other)]


def fields(value: Any, *names: str) -> list[Any]:
    return [getattr(value, name) for name in names]


async def test_both_say_the_same(venue: Any, shared: Path) -> None:
    compared = []
    async with both(venue) as sides:
        native, generic = ({market.symbol: market for market in exchange.markets} for exchange, _ in sides)
        # ccxt also lists what isn't traded on the spot market
        shared_symbols = native.keys() & generic.keys()
        assert len(shared_symbols) > 1600 and len(native) - len(shared_symbols) < 10
        assert all(native[name].id == generic[name].id for name in shared_symbols)
        for record in records(shared, "depth", "recent_trades", "balances", "pending_orders"):
            if record["record"] in ANOTHER_MARKET or "historical" in record["request"]:
                continue
            venue.state.config.update(session={"binance": record["record"].rpartition("/")[0]})
            native, generic = [await said(exchange, account, record) for exchange, account in sides]
            assert native == generic, record["record"]
            assert native, record["record"]
            compared.append(record["op"])
    assert {op: compared.count(op) for op in set(compared)} == {
        "depth": 8,
        "recent_trades": 4,
        "balances": 2,
        "pending_orders": 3,
    }


async def said(exchange: Any, account: Any, record: dict[str, Any]) -> Any:
    """One answer, as far as both plugins promise the same."""
    markets = {market.id: market for market in exchange.markets}
    market = markets.get(record["symbol"] or "")
    if record["op"] == "balances":
        rows = await account.balances()
        return sorted([OTHER_NAMES.get(row.asset, row.asset), row.available, row.frozen] for row in rows)
    if record["op"] == "pending_orders":
        names = ("order_id", "symbol", "side", "type", "price", "amount", "filled", "client_order_id", "time", "status")
        return [fields(order, *names) for order in await account.pending_orders(market)]
    assert market is not None, record["symbol"]
    if record["op"] == "depth":
        book = await exchange.depth(market, 1000)
        return [list(map(tuple, book.bids)), list(map(tuple, book.asks)), book.last_update_id, book.timestamp]
    trades = await exchange.recent_trades(market, 1000)
    return [fields(trade, "id", "price", "qty", "time", "taker_side") for trade in trades]
