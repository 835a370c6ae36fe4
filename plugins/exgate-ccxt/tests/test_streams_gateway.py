"""Recorded streams through a whole gateway: what its WebSocket clients and local reads get. Needs EXGATE_SHARED."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from streaming import SESSIONS, FastClock, streamed, wanted

from exgate_core.settings import Local, Section, Server, Settings
from tests.support.serving import serving

aiohttp = pytest.importorskip("aiohttp")
pytestmark = pytest.mark.anyio

AGGREGATE = {"ccxt": {"options": {"watchTrades": {"name": "aggTrade"}, "fetchTradesMethod": "publicGetAggTrades"}}}
HISTORY = "GET .*(/trades|/Trades|/aggTrades|/transactions|ticker)"


@asynccontextmanager
async def gateway(venue: Any, state: Path, session: str) -> AsyncIterator[str]:
    """The URL of a gateway's exchange over a recording."""
    name = session.partition("/")[0]
    venue.state.config.update(speed="max", session={name: session})
    extra = AGGREGATE if name.startswith("binance") else {}
    section = Section(exchange=name, plugin="exgate-ccxt", upstream_prefix=venue.url, extra=extra)
    settings = Settings(
        server=Server(port=0, state_dir=str(state)), local=Local(idle_stop=60.0), exchanges={"one": section}
    )
    async with serving(settings, runtime=FastClock(5).runtime()) as running:
        yield f"{running.url}/v1/one"


async def read_trades(url: str, count: int) -> list[tuple[str, ...]]:
    """The first ``count`` trades that a client gets; fails on a gap."""
    trades: list[tuple[str, ...]] = []
    async with aiohttp.ClientSession() as client, client.ws_connect(url, max_msg_size=0) as socket:
        while len(trades) < count:
            frame = json.loads((await socket.receive(timeout=20)).data)
            for trade in frame.get("trades", ()):
                maker = str(trade["isBuyerMaker"])
                trades.append((trade["trade_id"], trade["price"], trade["qty"], str(trade["time"]), maker))
    return trades


STREAMED = [
    ("binance/20210404-btc-eth-dot", "DOTUSDT"),
    ("bitstamp/20220105", "ethusd"),
    ("coinbase/20210417-a-adv", "SKL-USD"),
    ("coinbaseexchange/20210417-a", "SKL-USD"),
    ("kraken/20210417-v2", "SC/EUR"),
    ("okx/20220513", "BTC-USDT"),
]


@pytest.mark.parametrize(("session", "symbol"), STREAMED)
async def test_every_trade_once_though_the_stream_is_cut(
    venue: Any, shared: Path, tmp_path: Path, session: str, symbol: str
) -> None:
    expected = [wanted(trade) for trade in streamed(shared)[session][symbol]["trades"]]
    # The exchange's history is of another day; the recording starts again when the stream is opened again.
    venue.state.faults = [
        {"match": HISTORY, "status": 503, "times": -1},
        {"kind": "ws", "cut_after": max(3, len(expected) // 2), "times": 1},
    ]
    async with gateway(venue, tmp_path, session) as url:
        with anyio.fail_after(45):
            got = await read_trades(f"{url}/pull_trade?symbol={symbol}", len(expected))
    assert got == expected


@pytest.mark.parametrize("session", [session for session in SESSIONS if "small" not in session])
async def test_local_depth_is_the_final_book(venue: Any, shared: Path, tmp_path: Path, session: str) -> None:
    symbol = SESSIONS[session][0]
    expected = streamed(shared)[session][symbol]["final_book"]
    query = {"symbol": symbol, "limit": "25", "isLocal": "true", "tolerate_interval": "30"}
    async with gateway(venue, tmp_path, session) as url, aiohttp.ClientSession() as client:
        with anyio.fail_after(30):
            while True:
                async with client.get(f"{url}/depth", params=query) as answer:
                    found = await answer.json()
                    if answer.headers.get("ExGate-Source") == "local" and levels(found) == expected_levels(expected):
                        return
                await anyio.sleep(0.05)


def levels(answer: Any) -> list[Any]:
    sides = (answer["bid_list"][0]["bid"], answer["ask_list"][0]["bid"])
    return [[[level["price"], level["amount"]] for level in side] for side in sides]


def expected_levels(expected: dict[str, Any]) -> list[Any]:
    return [expected["bids"], expected["asks"]]
