"""Recorded and documented private answers through the adapter: every character of every oracle. Needs EXGATE_SHARED."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from exgate_ccxt import CcxtAccount, CcxtExchange
from exgate_ccxt.facts import account_capabilities

from exgate_core import client_ids
from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.models import Market, Order, OrderRequest
from exgate_core.settings import Credentials, Secret

pytestmark = pytest.mark.anyio

MARKETS = {
    "binance": "binance/20210404-btc-eth-dot",
    "bitstamp": "bitstamp/20220105",
    "coinbase": "coinbase/20210417-a-adv",
    "coinbaseexchange": "coinbaseexchange/20210417-a",
    "kraken": "kraken/20210417-v2",
    "okx": "okx/20220513",
}
NOT_ASKED = {
    "binance/gct-rest/r0033": "a cancel by both ids at once",
    "binance/gct-rest/r0035": "GET order: the order of find_order, which has no oracle of its own",
    "binance/gct-rest/r0032": "asked for BTCUSDT, the sample answers with a market BTCUDT: ccxt drops it",
    "binance/samples/r0005": "asked for BTCUSDT, the sample answers with LTCBTC: ccxt drops it",
    "kraken/samples/r0001": "Balance: BalanceEx also says what is held",
    "okx/samples/r0001": "trade/order: ccxt places one order by trade/batch-orders",
    "okx/ccxt-static/r0000": "trade/order, as above",
    "okx/samples/r0006": "a second balance in one session: the first answers the same request",
    "coinbaseexchange/samples/r0000": "orders?status=open: ccxt asks without the status",
}
"""Records that ccxt never asks for, and why."""


class Public:
    """The public side of an account under test."""

    def __init__(self, adapter: CcxtExchange) -> None:
        self.name = adapter.context.name
        self.adapters = (adapter,)


def records(shared: Path, *operations: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [record for record in found if record["op"] in operations and record["record"] not in NOT_ASKED]


def keys(name: str) -> Credentials:
    secret = _pem() if name == "coinbase" else "c2VjcmV0c2VjcmV0"
    return Credentials(Secret("organizations/o/apiKeys/k"), Secret(secret), Secret("pass"))


def _pem() -> str:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    curves = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    form = serialization.PrivateFormat.TraditionalOpenSSL
    key = curves.generate_private_key(curves.SECP256R1())
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode())


@asynccontextmanager
async def opened(venue: Any, name: str, session: str) -> AsyncIterator[CcxtAccount]:
    """An account over one recorded session."""
    runtime = Runtime()
    budget = Budget(100_000, 1, runtime.clock, runtime.sleep)
    venue.state.config.update(session={name: MARKETS[name]})
    async with (
        Transport(budget, runtime, upstream_prefix=venue.url) as transport,
        CcxtExchange(transport.context(name)) as exchange,
        CcxtAccount(transport.context(name, credentials=keys(name), exchange=Public(exchange))) as account,
    ):
        venue.state.reset()
        venue.state.config.update(session={name: session})
        yield account


def session_of(record: dict[str, Any]) -> str:
    return str(record["record"].rpartition("/")[0])


def pick(account: CcxtAccount, native: str | None) -> Market | None:
    table = account.desk.client.exgate_markets
    symbol = table.symbol_of(native or "") or (native or "").replace("-", "/")
    return next((market for market in table.values if market.symbol == symbol), None)


def served(venue: Any) -> list[str]:
    return [entry["record"] for entry in venue.state.log if "record" in entry]


async def test_balances_to_the_last_character(venue: Any, shared: Path) -> None:
    compared = []
    for record in records(shared, "balances"):
        name = record["exchange"]
        async with opened(venue, name, session_of(record)) as account:
            rows = {row.asset: (row.available, row.frozen) for row in await account.balances()}
            assert served(venue)[-1] == record["record"]
            code = account.desk.client.safe_currency_code
            wanted = {code(row["asset"]): (row["available"], row["frozen"]) for row in record["expect"]}
            assert rows == wanted, record["record"]
        compared.append(record["record"])
    assert len(compared) == 8, compared


def told(order: Order, native: str) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "symbol": native,
        "type": order.type,
        "price": order.price,
        "amount": order.amount,
        "side": order.side,
    }


async def test_open_orders_to_the_last_character(venue: Any, shared: Path) -> None:
    compared = []
    for record in records(shared, "pending_orders"):
        name = record["exchange"]
        async with opened(venue, name, session_of(record)) as account:
            found = await account.pending_orders(pick(account, record["symbol"]))
            if served(venue)[-1] != record["record"]:
                continue

            wanted = sorted(record["expect"], key=lambda row: str(row["order_id"]))
            found = sorted(found, key=lambda order: order.order_id)
            shown = [told(order, row["symbol"]) for order, row in zip(found, wanted, strict=True)]
            assert shown == wanted, record["record"]
        compared.append(record["record"])
    assert len(compared) >= 7, compared


async def test_orders_placed_and_canceled_as_recorded(venue: Any, shared: Path) -> None:
    compared = []
    for record in records(shared, "order", "cancel"):
        name = record["exchange"]
        async with opened(venue, name, session_of(record)) as account:
            named = re.search(r"(?:pair|symbol)=(\w+)", record["request"])
            market = pick(account, record["symbol"] or (named[1] if named else "")) or next(
                iter(account.desk.client.exgate_markets.values)
            )
            if record["op"] == "order":
                rule = account_capabilities(name).client_ids
                identity = client_ids.own(rule, "recorded") if rule is not None else ""
                order = OrderRequest(
                    market=market, side="buy", type="limit", price="46", amount="1", client_order_id=identity
                )
                answer = await account.place_order(order)
                if served(venue)[-1] != record["record"]:
                    continue
                assert answer == record["expect"]["order_id"], record["record"]
            else:
                result = await account.cancel_order(market, record["expect"].get("order_id", "O-1"), "")
                assert result.status in ("canceled", "pending")
            if served(venue)[-1] == record["record"]:
                compared.append(record["record"])
    assert len(compared) >= 8, compared
