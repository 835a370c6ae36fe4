"""Every recorded book and trade list of all seven exchanges, through HTTP, to the last character."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from exgate_ccxt.table import exchange_capabilities
from exgate_ccxt.wire import Wire

from exgate_core.settings import Section
from tests.support.serving import Served, serving, settings_for

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio

EXCHANGES = ("binance", "binanceus", "bitstamp", "coinbase", "coinbaseexchange", "kraken", "okx")
NOT_ASKED = {
    "binance/gct-rest/r0029": "historicalTrades: ccxt is set to the newest raw trades",
    "okx/samples/r0004": "the replay has a newer answer to the same question, r0007",
    "coinbase/samples/r0003": "the same book at the path for keys; public questions carry none",
    "coinbase/samples/r0005": "the same trades at the path for keys; public questions carry none",
}
REFUSED = {
    "bitstamp/gct-rest/r0007": "of 2019, without the microtimestamp that ccxt insists on",
}


async def _at_once(_wire: Wire, _milliseconds: float) -> None:
    """Kraken allows one question a second: the recordings have more than a test has time for."""


@pytest.fixture
async def served(venue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    sections = {
        name: Section(exchange=name, plugin="exgate-ccxt", upstream_prefix=venue.url + "/") for name in EXCHANGES
    }
    monkeypatch.setattr(Wire, "take", _at_once)
    async with serving(settings_for(tmp_path, **sections)) as running:
        for name in EXCHANGES:
            await running.gateway.entry(name)
        yield running


def records(shared: Path) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [record for record in found if record["op"] in ("depth", "recent_trades")]


def depth_of(expected: dict[str, Any], limit: int) -> dict[str, Any]:
    def side(levels: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        return [{"bid": [{"price": price, "amount": amount} for price, amount in list(levels)[:limit]]}]

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


def asked(record: dict[str, Any]) -> int:
    """The number of trades that the recorded question asked for, by which the replay tells two answers apart."""
    return int(dict(parse_qsl(urlsplit(record["request"].partition(" ")[2]).query)).get("limit", "1000"))


async def test_every_recorded_answer_to_the_last_character(served: Served, venue: Any, shared: Path) -> None:
    compared: Counter[tuple[str, str]] = Counter()
    wrong = []
    async with aiohttp.ClientSession() as client:
        for record in records(shared):
            name = record["record"]
            if name in NOT_ASKED:
                continue
            exchange, operation = record["exchange"], record["op"]
            venue.state.config["session"] = {exchange: name.rpartition("/")[0]}
            limit = min(5000, exchange_capabilities(exchange).depth_max) if operation == "depth" else asked(record)
            query = {"symbol": record["symbol"], "limit": str(limit)}
            async with client.get(f"{served.url}/v1/{exchange}/{operation}", params=query) as answer:
                found = await answer.json()
            if name in REFUSED:
                assert answer.status >= 400, name
                continue
            expected = record["expect"]
            if operation == "depth":
                wanted = depth_of(expected, limit)
            else:
                wanted = {"trades": sorted(map(trade_of, expected), key=lambda trade: (trade["time"], trade["id"]))}
            if found != wanted:
                wrong.append(name)
            compared[exchange, operation] += 1
    lines = [f"{exchange} {operation}: {count}" for (exchange, operation), count in sorted(compared.items())]
    print("recorded answers compared:", ", ".join(lines))  # noqa: T201
    assert not wrong
    assert sum(compared.values()) == 73
