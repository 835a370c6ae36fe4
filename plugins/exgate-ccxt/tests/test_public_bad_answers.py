"""A 200 that isn't the answer: whatever the body, it never becomes a 200 of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from exgate_ccxt.wire import Wire

from exgate_core.settings import Section
from tests.support.serving import Served, serving, settings_for

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio

SYMBOLS = {
    "binance": "BTC/USDT",
    "binanceus": "OMG/BUSD",
    "bitstamp": "ETH/USD",
    "coinbase": "BTC/USD",
    "coinbaseexchange": "SKL/USD",
    "kraken": "XMR/USD",
    "okx": "BTC/USDT",
}
BODIES = {
    "half": '{"bids":[["1.0","2.0"],["0.9","3',
    "html": "<html><body>maintenance</body></html>",
    "empty": "",
    "null": "null",
    "text": '"ok"',
    "a number": "17",
    "an empty object": "{}",
    "an object of another kind": '{"a": []}',
    "a list of another kind": "[{}]",
    "a list of lists": '[["a"]]',
    "null inside": '{"data":null,"result":null,"bids":null,"asks":null,"trades":null}',
    "levels without numbers": '{"bids":[[null,null]],"asks":[[null,null]]}',
}


@pytest.fixture
async def served(venue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    async def at_once(_wire: Wire, _milliseconds: float) -> None:
        """The matrix asks more often than Kraken allows."""

    monkeypatch.setattr(Wire, "take", at_once)
    sections = {name: Section(exchange=name, plugin="exgate-ccxt", upstream_prefix=venue.url + "/") for name in SYMBOLS}
    async with serving(settings_for(tmp_path, **sections)) as running:
        for name in SYMBOLS:
            await running.gateway.entry(name)
        yield running


async def test_what_is_no_answer_is_refused(served: Served, venue: Any) -> None:
    accepted, tried = [], 0
    async with aiohttp.ClientSession() as client:
        for kind, body in BODIES.items():
            venue.state.faults = [{"match": "GET .*", "times": -1, "status": 200, "body": body}]
            for exchange, symbol in SYMBOLS.items():
                for operation in ("depth", "recent_trades"):
                    url = f"{served.url}/v1/{exchange}/{operation}"
                    async with client.get(url, params={"symbol": symbol}) as answer:
                        found = await answer.json()
                    tried += 1
                    if answer.status == 200:
                        accepted.append((kind, exchange, operation, answer.status, found))
    assert not accepted
    assert tried == len(BODIES) * len(SYMBOLS) * 2


async def test_an_empty_book_and_no_trades_are_answers_too(served: Served, venue: Any) -> None:
    cases = [
        ("binance", "depth", '{"lastUpdateId":1,"bids":[],"asks":[]}'),
        ("binance", "recent_trades", "[]"),
        ("okx", "recent_trades", '{"code":"0","msg":"","data":[]}'),
        ("kraken", "depth", '{"error":[],"result":{"XXMRZUSD":{"asks":[],"bids":[]}}}'),
    ]
    async with aiohttp.ClientSession() as client:
        for exchange, operation, body in cases:
            venue.state.faults = [{"match": "GET .*", "times": -1, "status": 200, "body": body}]
            url = f"{served.url}/v1/{exchange}/{operation}"
            async with client.get(url, params={"symbol": SYMBOLS[exchange]}) as answer:
                assert answer.status == 200, (exchange, operation, await answer.text())
