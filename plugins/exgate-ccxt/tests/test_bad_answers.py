"""A 200 that isn't the answer: whatever the body and the operation, it never becomes a 200 of ours.

Nor a refusal of an order that may stand: what became of it is then unknown.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import starmap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ccxt")
pytest.importorskip("cryptography")

import aiohttp
from recorded import Recorded, recorded, sections

from exgate_core.settings import Server, Settings
from tests.support.serving import serving

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
    "null inside": '{"data":null,"result":null,"bids":null,"asks":null,"trades":null,"balances":null,"results":null}',
    "levels without numbers": '{"bids":[[null,null]],"asks":[[null,null]]}',
}
EMPTY = {
    "binance": {"depth": '{"lastUpdateId":1,"bids":[],"asks":[]}', "recent_trades": "[]", "pending_orders": "[]"},
    "bitstamp": {"pending_orders": "[]", "balances": "[]"},
    "coinbase": {"pending_orders": '{"orders":[],"sequence":"0","has_next":false,"cursor":""}'},
    "coinbaseexchange": {"pending_orders": "[]", "balances": "[]"},
    "kraken": {
        "depth": '{"error":[],"result":{"XXMRZUSD":{"asks":[],"bids":[]}}}',
        "pending_orders": '{"error":[],"result":{"open":{}}}',
        "balances": '{"error":[],"result":{}}',
    },
    "okx": {
        "recent_trades": '{"code":"0","msg":"","data":[]}',
        "pending_orders": '{"code":"0","msg":"","data":[]}',
        "balances": '{"code":"0","msg":"","data":[{"details":[]}]}',
    },
}
"""Answers that say that there is nothing."""


@pytest.fixture
async def gateway(venue: Any, tmp_path: Path) -> AsyncIterator[Recorded]:
    async with recorded(venue, tmp_path, patience=0.6) as running:
        yield running


async def asked(gateway: Recorded, exchange: str) -> dict[str, tuple[int, str]]:
    """Every operation once: status and outcome."""
    symbol, known = SYMBOLS[exchange], {"order_id": "4711"}
    gets: dict[str, tuple[str, dict[str, str]]] = {
        "depth": ("depth", {"symbol": symbol}),
        "recent_trades": ("recent_trades", {"symbol": symbol}),
        "balances": ("balances", {}),
        "pending_orders": ("pending_orders", {}),
        "pending_orders of a market": ("pending_orders", {"symbol": symbol}),
        "order": ("order", {"symbol": symbol, **known}),
    }
    order = {"symbol": symbol, "side": "buy", "type": "limit", "price": "20", "amount": "100"}
    posts = {"place": ("order", order), "cancel": ("cancel", {"symbol": symbol, **known})}

    async def read(path: str, query: dict[str, str]) -> tuple[int, str]:
        return (await gateway.get(f"{exchange}/{path}", **query))[0], ""

    async def send(path: str, body: dict[str, str]) -> tuple[int, str]:
        status, _, headers = await gateway.post(f"{exchange}/{path}", body)
        return status, headers.get("ExGate-Outcome", "")

    reads, sends = starmap(read, gets.values()), starmap(send, posts.values())
    return dict(zip((*gets, *posts), await asyncio.gather(*reads, *sends), strict=True))


def right(operation: str, status: int, outcome: str) -> bool:
    if operation in ("place", "cancel"):
        return (status, outcome) in ((504, "unknown"), (503, "not-sent"))
    # Some unknown bodies of public answers are read as an error of the exchange: 400, and nothing is shown.
    return status in (503, 504) or (status == 400 and operation in ("depth", "recent_trades"))


async def test_what_is_no_answer_is_refused(gateway: Recorded) -> None:
    wrong, outcomes = dict[str, Any](), Counter[str]()
    for kind, body in BODIES.items():
        gateway.state.faults = [{"times": -1, "status": 200, "body": body}]
        answers = await asyncio.gather(*(asked(gateway, exchange) for exchange in SYMBOLS))
        for exchange, found in zip(SYMBOLS, answers, strict=True):
            for operation, answer in found.items():
                outcomes[answer[1] or str(answer[0])] += 1
                if not right(operation, *answer):
                    wrong[f"{kind}: {exchange} {operation}"] = answer
    assert not wrong
    print(f"{outcomes.total()} answers, none of them a 200: {dict(outcomes)}")  # noqa: T201
    assert outcomes.total() == len(BODIES) * len(SYMBOLS) * 8
    assert outcomes["unknown"] > len(BODIES) * len(SYMBOLS)


async def test_what_says_that_there_is_nothing_is_an_answer(gateway: Recorded) -> None:
    wrong = []
    for exchange, operations in EMPTY.items():
        for operation, body in operations.items():
            gateway.state.faults = [{"times": -1, "status": 200, "body": body}]
            public = operation in ("depth", "recent_trades")
            status, found = await gateway.get(
                f"{exchange}/{operation}", **({"symbol": SYMBOLS[exchange]} if public else {})
            )
            rows = [value for value in found.values() if isinstance(value, list)]
            if status != 200 or any(row and row != [{"bid": []}] for row in rows):
                wrong.append((exchange, operation, status, found))
    assert not wrong


@pytest.mark.parametrize("status", [400, 403, 404, 451])
async def test_an_exchange_that_refuses_to_list_its_markets_is_away(venue: Any, tmp_path: Path, status: int) -> None:
    """It isn't the caller who was refused, and nothing was sent."""
    body = '{"code":-2015,"msg":"Not from where you are."}'
    venue.state.faults = [{"times": -1, "status": status, "body": body}]
    section = {"binance": sections(venue.url)["binance"]}
    async with serving(Settings(server=Server(port=0, state_dir=str(tmp_path)), exchanges=section)) as running:
        headers = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        async with aiohttp.ClientSession(running.url, headers=headers) as client:
            found = await asked(Recorded(client, running.gateway, venue), "binance")
    assert found == {name: (503, "not-sent" if name in ("place", "cancel") else "") for name in found}
