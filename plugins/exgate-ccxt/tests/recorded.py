"""Recorded REST traffic of all seven exchanges through one gateway's HTTP, and what each record must come out as."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from exgate_ccxt.table import exchange_capabilities
from exgate_ccxt.wire import Wire

from exgate_core.errors import Unavailable
from exgate_core.gateway import Gateway
from exgate_core.settings import Orders, Secret, Section, Server, Settings
from tests.support.serving import serving

MARKETS = {
    "binance": "binance/20210404-btc-eth-dot",
    "binanceus": "binanceus/20211012",
    "bitstamp": "bitstamp/20220105",
    "coinbase": "coinbase/20210417-a-adv",
    "coinbaseexchange": "coinbaseexchange/20210417-a",
    "kraken": "kraken/20210417-v2",
    "okx": "okx/20220513",
}
"""Exchange -> the session whose market list is used."""

NOT_ASKED = {
    "binance/gct-rest/r0029": "historicalTrades: ccxt is set to the newest raw trades",
    "binance/gct-rest/r0032": "asked for BTCUSDT, the sample answers with a market BTCUDT: ccxt drops it",
    "binance/gct-rest/r0033": "a cancel by both ids at once: one id says enough",
    "binance/samples/r0001": "POST order: the replay has a closer answer, r0007",
    "binance/samples/r0002": "DELETE order: the replay has a closer answer, r0006",
    "binance/samples/r0005": "asked for BTCUSDT, the sample answers with LTCBTC: ccxt drops it",
    "bitstamp/gct-rest/r0006": "open_orders/btcusd/: ccxt asks for all and keeps those of the market, r0005",
    "coinbase/samples/r0003": "the same book at the path for keys; public questions carry none",
    "coinbase/samples/r0005": "the same trades at the path for keys; public questions carry none",
    "coinbaseexchange/samples/r0000": "orders?status=open: ccxt asks without the status, r0003",
    "kraken/samples/r0001": "Balance: BalanceEx also says what is held",
    "okx/ccxt-static/r0000": "trade/order: ccxt places one order by trade/batch-orders",
    "okx/samples/r0001": "trade/order: ccxt places one order by trade/batch-orders",
    "okx/samples/r0004": "the replay has a newer answer to the same question, r0007",
    "okx/samples/r0006": "a second balance in one session: the first answers the same question",
}
"""Records of the seven operations that ccxt never asks for, and why."""
REFUSED = {
    "binance/gct-rest/r0034": "asked to cancel order 1, the sample answers that order 28 is cancelled",
    "bitstamp/gct-rest/r0007": "of 2019, without the microtimestamp that ccxt insists on",
}
"""Records that must not be answered with 200."""
PENDING = {"coinbase", "okx"}
"""Exchanges that answer a cancel when they have taken it in."""

_ALSO = {"XBTUSD": "BTC/USD"}
"""Kraken's second names in answers."""
_ORDER = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "46.00", "amount": "1"}
ORDERS: Mapping[str, Mapping[str, str]] = {
    "binance/ccxt-static/r0000": {**_ORDER, "symbol": "SOL/USDT", "price": "241.00", "amount": "0.05"},
    "binance/samples/r0007": _ORDER,
    "bitstamp/gct-rest/r0002": {**_ORDER, "symbol": "BTC/USD", "price": "2211.00", "amount": "45"},
    "bitstamp/gct-rest/r0003": {**_ORDER, "symbol": "BTC/USD", "type": "market", "price": "", "amount": "45.00000000"},
    "coinbase/samples/r0008": {**_ORDER, "symbol": "BTC/USD", "price": "10000.00", "amount": "0.001"},
    "coinbaseexchange/samples/r0001": {**_ORDER, "symbol": "SKL/USD", "price": "0.5", "amount": "10"},
    "kraken/ccxt-static/r0000": {**_ORDER, "symbol": "LTC/USDT", "type": "market", "price": "", "amount": "0.1"},
    "kraken/samples/r0002": {**_ORDER, "symbol": "BTC/USD"},
    "okx/samples/r0005": {**_ORDER, "price": "59200"},
}
"""Record of a placed order -> what is asked of the gateway."""
CANCELS: Mapping[str, tuple[str, str]] = {
    "binance/gct-rest/r0034": ("LTC/BTC", "1"),
    "binance/samples/r0006": ("BTC/USDT", "4"),
    "bitstamp/gct-rest/r0004": ("BTC/USD", "1453282316578816"),
    "coinbase/samples/r0009": ("BTC/USD", "0000-00000"),
    "coinbaseexchange/samples/r0004": ("SKL/USD", "b2cdd7fe-1f4a-495e-8b96-7a4be368f43c"),
    "kraken/samples/r0003": ("XMR/USD", "OUF4EM-FRGI2-MQMWZD"),
    "okx/samples/r0002": ("BTC/USDT", "12345689"),
}
"""Record of a cancel -> symbol and order id."""
FOUND: Mapping[str, tuple[str, str]] = {
    "binance/gct-rest/r0035": ("BTC/USDT", "1337"),
}
"""Record of an order that is looked up -> symbol and order id."""


UNJUDGED: Mapping[str, tuple[str, Any]] = {
    "bitstamp/gct-rest/r0002": ("order", {"order_id": "1234123412341234"}),
    "bitstamp/gct-rest/r0003": ("order", {"order_id": "1234123412341234"}),
    "bitstamp/gct-rest/r0004": ("cancel", {}),
    "coinbase/samples/r0001": (
        "pending_orders",
        [
            {
                **{"order_id": "0000-000000-000001", "symbol": "BTC-USD", "type": "limit", "price": "45000.00"},
                **{"amount": "0.01", "side": "buy"},
            }
        ],
    ),
    "coinbaseexchange/samples/r0004": ("cancel", {}),
}
"""Private records without an oracle: operation and what stands in the answer; of two orders there one is still open."""


class Recorded(NamedTuple):
    """A gateway over the recordings."""

    client: aiohttp.ClientSession
    gateway: Gateway
    venue: Any

    @property
    def state(self) -> Any:
        """The replay server's own object."""
        return self.venue.state

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        """Status and answer."""
        async with self.client.get(f"/v1/{path}", params=query) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any, Mapping[str, str]]:
        """Status, answer and headers."""
        async with self.client.post(f"/v1/{path}", json=dict(body)) as answer:
            return answer.status, await answer.json(), answer.headers

    def last(self) -> str:
        """The record that the exchange answered with last."""
        return next((entry["record"] for entry in reversed(self.state.log) if "record" in entry), "")

    def unified(self, exchange: str, native: str) -> str:
        """A market's unified name."""
        return self.gateway.entries[exchange].exchange.markets.resolve(_ALSO.get(native, native)).symbol

    def asset(self, exchange: str, native: str) -> str:
        """An asset's unified code."""
        adapter: Any = self.gateway.entries[exchange].exchange.adapters[0]
        code: str = adapter.client.safe_currency_code(native)
        return code


def sections(url: str) -> dict[str, Section]:
    """One section an exchange, with keys."""
    return {
        name: Section(
            exchange=name,
            plugin="exgate-ccxt",
            api_key=Secret("organizations/o/apiKeys/k"),
            api_secret=Secret(_pem() if name == "coinbase" else "c2VjcmV0c2VjcmV0"),
            passphrase=Secret("pass"),
            trading=True,
            settle=0.1,
            upstream_prefix=url + "/",
        )
        for name in MARKETS
    }


def _pem() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    form = serialization.PrivateFormat.TraditionalOpenSSL
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


async def _at_once(_wire: Wire, _milliseconds: float) -> None:
    """Kraken allows one question a second: the recordings have more than anybody has time for."""


def todays_kraken(venue: Any) -> dict[str, Any]:
    """A rule: Kraken's recorded market list with the status that it says of each market today; ccxt reads none as off.

    https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs: ``status``, "online".
    """
    session = next(found for found in venue.state.lib.sessions if found.id == MARKETS["kraken"])
    listed = json.loads(next(record["r"] for record in session.rest if "AssetPairs" in record["u"]))
    for market in listed["result"].values():
        market["status"] = "online"
    return {"match": "AssetPairs", "times": -1, "body": json.dumps(listed)}


async def opened(gateway: Gateway, name: str) -> Any:
    """The entry of a name, however long this machine takes to open it."""
    while True:
        try:
            return await gateway.entry(name)
        except Unavailable:
            continue


@asynccontextmanager
async def recorded(venue: Any, state: Path, patience: float = 8.0) -> AsyncIterator[Recorded]:
    """All seven exchanges and their accounts, open; orders are looked for ``patience`` seconds at most."""
    venue.state.config.update(speed="max", session=dict(MARKETS))
    venue.state.faults = [todays_kraken(venue)]
    settings = Settings(
        server=Server(port=0, state_dir=str(state)),
        orders=Orders(deadline=patience, reconcile_deadline=patience),
        exchanges=sections(venue.url),
    )
    with mock.patch.object(Wire, "take", _at_once):
        async with serving(settings) as running:
            for name in MARKETS:
                await opened(running.gateway, name)
            headers = {"Authorization": f"Bearer {(state / 'token').read_text().strip()}"}
            async with aiohttp.ClientSession(running.url, headers=headers) as client:
                yield Recorded(client, running.gateway, venue)


def records(shared: Path, *operations: str) -> list[dict[str, Any]]:
    """The oracles of these operations, also of those records that are never asked for."""
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [record for record in found if record["op"] in operations]


def public(shared: Path) -> list[dict[str, Any]]:
    """Books and trade lists."""
    return records(shared, "depth", "recent_trades")


def private(shared: Path) -> list[dict[str, Any]]:
    """Balances, open orders, orders and cancels."""
    more = [
        {"record": name, "exchange": name.partition("/")[0], "op": operation, "symbol": None, "expect": expected}
        for name, (operation, expected) in UNJUDGED.items()
    ]
    return records(shared, "balances", "pending_orders", "order", "cancel") + more


async def compared_all(gateway: Recorded, found: Iterable[dict[str, Any]]) -> tuple[Counter[str], list[str]]:
    """How many were compared, by exchange and operation; what was wrong."""
    wrong, done = list[str](), Counter[str]()
    for record in found:
        if record["record"] in NOT_ASKED:
            continue
        difference = await compared(gateway, record)
        wrong += [difference] if difference else []
        done[f"{record['exchange']} {record['op']}"] += record["record"] not in REFUSED
    return done, wrong


def session_of(record: str) -> str:
    """The session of a record."""
    return record.rpartition("/")[0]


async def compared(gateway: Recorded, record: Mapping[str, Any]) -> str:
    """Ask for what a record answers. Empty = the answer is its own to the last character; else what is wrong."""
    name, exchange, operation = record["record"], record["exchange"], record["op"]
    gateway.state.config["session"] = {**MARKETS, exchange: session_of(name)}
    ask = {"depth": _depth, "recent_trades": _trades, "balances": _balances, "pending_orders": _open_orders}
    if operation in ask:
        status, found, wanted = await ask[operation](gateway, record)
    else:
        status, found, wanted = await (_placed if operation == "order" else _canceled)(gateway, record)
    if name in REFUSED:
        return "" if status >= 400 else f"{name}: answered with 200"
    if gateway.last() != name:
        return f"{name}: {gateway.last()} answered instead"
    return "" if (status, found) == (200, wanted) else f"{name}: {status} {str(found)[:300]} != {str(wanted)[:300]}"


async def _depth(gateway: Recorded, record: Mapping[str, Any]) -> tuple[int, Any, Any]:
    exchange = record["exchange"]
    limit = min(5000, exchange_capabilities(exchange).depth_max)
    status, found = await gateway.get(f"{exchange}/depth", symbol=record["symbol"], limit=str(limit))
    return status, found, depth_of(record["expect"], limit)


async def _trades(gateway: Recorded, record: Mapping[str, Any]) -> tuple[int, Any, Any]:
    # the number that was asked for when it was recorded: by it the replay tells two answers apart
    limit = dict(parse_qsl(urlsplit(record["request"].partition(" ")[2]).query)).get("limit", "1000")
    status, found = await gateway.get(f"{record['exchange']}/recent_trades", symbol=record["symbol"], limit=limit)
    wanted = sorted(map(trade_of, record["expect"]), key=lambda trade: (trade["time"], trade["id"]))
    return status, found, {"trades": wanted}


async def _balances(gateway: Recorded, record: Mapping[str, Any]) -> tuple[int, Any, Any]:
    exchange = record["exchange"]
    status, found = await gateway.get(f"{exchange}/balances")
    rows = [{**row, "asset": gateway.asset(exchange, row["asset"])} for row in record["expect"]]
    if status == 200:
        found["balances"].sort(key=lambda row: row["asset"])
    return status, found, {"balances": sorted(rows, key=lambda row: row["asset"])}


async def _open_orders(gateway: Recorded, record: Mapping[str, Any]) -> tuple[int, Any, Any]:
    exchange, query = record["exchange"], {}
    asked = record["symbol"]
    if asked:
        query["symbol"] = gateway.unified(exchange, asked)
    status, found = await gateway.get(f"{exchange}/pending_orders", **query)
    rows = [{**row, "symbol": gateway.unified(exchange, row["symbol"])} for row in record["expect"]]
    if status == 200:
        found["orders"].sort(key=lambda row: row["order_id"])
    return status, found, {"orders": sorted(rows, key=lambda row: row["order_id"])}


async def _placed(gateway: Recorded, record: Mapping[str, Any]) -> tuple[int, Any, Any]:
    exchange, name = record["exchange"], record["record"]
    if name in FOUND:
        symbol, order_id = FOUND[name]
        status, found = await gateway.get(f"{exchange}/order", symbol=symbol, order_id=order_id)
        return status, {"order_id": found.get("order_id")}, {"order_id": record["expect"]["order_id"]}
    status, found, headers = await gateway.post(f"{exchange}/order", ORDERS[name])
    if status == 200 and headers["ExGate-Outcome"] != "placed":
        status = 0
    return status, found, {"order_id": record["expect"]["order_id"]}


async def _canceled(gateway: Recorded, record: Mapping[str, Any]) -> tuple[int, Any, Any]:
    exchange = record["exchange"]
    symbol, order_id = CANCELS[record["record"]]
    status, found, _ = await gateway.post(f"{exchange}/cancel", {"symbol": symbol, "order_id": order_id})
    return status, found, {"status": "pending" if exchange in PENDING else "canceled"}


def depth_of(expected: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """A book of the oracle as the contract has it."""

    def side(levels: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        return [{"bid": [{"price": price, "amount": amount} for price, amount in list(levels)[:limit]]}]

    return {
        "lastUpdateId": int(expected["lastUpdateId"] or 0),
        "timeStamp": int(expected["timeStamp"] or 0),
        "bid_list": side(expected["bids"]),
        "ask_list": side(expected["asks"]),
    }


def trade_of(expected: Mapping[str, Any]) -> dict[str, Any]:
    """A trade of the oracle as the contract has it."""
    return {
        "id": int(expected["id"]),
        "price": expected["price"],
        "qty": expected["qty"],
        "quoteQty": expected["quoteQty"],
        "time": int(expected["time"]),
        "isBuyerMaker": expected["isBuyerMaker"],
    }
