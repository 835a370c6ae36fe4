"""Recorded traffic of OKX through a whole gateway's HTTP and WebSocket. Needs EXGATE_SHARED."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from okx_support import SESSION, oracles, requests, streamed

from exgate_core.settings import Local, Secret, Section, Server, Settings
from tests.support.serving import serving

aiohttp = pytest.importorskip("aiohttp")
pytestmark = pytest.mark.anyio

KEYS: dict[str, Any] = {
    "api_key": Secret("key"),
    "api_secret": Secret("22582BD0CFF14C41EDBF1AB98506286D"),
    "passphrase": Secret("pass"),
}


@pytest.fixture
async def client(venue: Any, tmp_path: Path) -> AsyncIterator[Any]:
    venue.state.config.update(speed="max", session={"okx": SESSION})
    common: dict[str, Any] = {"exchange": "okx", "plugin": "exgate-okx", "upstream_prefix": venue.url}
    sections = {"okx": Section(**common, trading=True, settle=0.1, **KEYS)}
    settings = Settings(server=Server(port=0, state_dir=str(tmp_path)), local=Local(idle_stop=60.0), exchanges=sections)
    async with serving(settings) as running:
        await running.gateway.entry("okx")
        headers = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        async with aiohttp.ClientSession(running.url, headers=headers) as session:
            yield session


async def get(client: Any, path: str, **params: str) -> Any:
    async with client.get(path, params=params) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def levels(answer: Any) -> list[list[list[str]]]:
    sides = (answer["bid_list"][0]["bid"], answer["ask_list"][0]["bid"])
    return [[[level["price"], level["amount"]] for level in side] for side in sides]


@pytest.mark.parametrize("limit", ["400", "500", "5000"])
async def test_the_recorded_book(client: Any, shared: Path, limit: str) -> None:
    (row,) = oracles(shared, "depth")
    found = await get(client, "/v1/okx/depth", symbol="BTC-USDT", limit=limit)
    assert levels(found) == [row["expect"]["bids"], row["expect"]["asks"]]
    assert (found["lastUpdateId"], found["timeStamp"]) == (0, int(row["expect"]["timeStamp"]))


async def test_the_recorded_trades(client: Any, shared: Path) -> None:
    (row,) = (row for row in oracles(shared, "recent_trades") if row["record"].startswith(SESSION))
    found = await get(client, "/v1/okx/recent_trades", symbol="BTC/USDT", limit="500")
    assert found["trades"] == [shown(trade) for trade in row["expect"]][::-1]


def shown(trade: dict[str, Any]) -> dict[str, Any]:
    names = ("price", "qty", "quoteQty", "isBuyerMaker")
    return {"id": int(trade["id"]), "time": int(trade["time"])} | {name: trade[name] for name in names}


@pytest.fixture
def matches(venue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The channel ``trades`` of 2022 told each match by itself, as ``trades-all`` does now: it is played as that."""
    dialect = type(venue.state).websocket.__globals__["DIALECTS"]["okx"]
    monkeypatch.setitem(dialect.alias, "trades-all", "trades")
    monkeypatch.setattr(dialect, "out", _renamed)


def _renamed(data: str, key: str, url: str) -> str:
    return data.replace('"channel":"trades"', '"channel":"trades-all"') if key.startswith("trades-all:") else data


async def test_every_recorded_trade_once_though_the_stream_is_cut(
    client: Any, venue: Any, shared: Path, matches: None
) -> None:
    """What the cut takes comes from the recorded history."""
    wanted = streamed(shared, "BTC-USDT")["trades"]
    venue.state.faults = [
        {"match": "GET .*trades", "status": 503, "times": 1},
        {"kind": "ws", "cut_after": 30, "times": 1},
    ]
    got: list[Any] = []
    with anyio.fail_after(20):
        async with client.ws_connect("/v1/okx/pull_trade?symbol=BTC/USDT") as socket:
            while len(got) < len(wanted):
                got += json.loads((await socket.receive()).data).get("trades", ())
    assert got == [shown(trade) | {"trade_id": trade["id"]} for trade in wanted]
    assert venue.state.stats["ws_connections"] >= 2


async def test_the_local_book_after_every_recorded_change(client: Any, shared: Path) -> None:
    final = streamed(shared, "BTC-USDT")["final_book"]
    query = {"symbol": "BTC/USDT", "limit": "25", "isLocal": "true", "tolerate_interval": "60"}
    with anyio.fail_after(20):
        while True:
            async with client.get("/v1/okx/depth", params=query) as answer:
                source, found = answer.headers.get("ExGate-Source"), await answer.json()
            if source == "local" and levels(found) == [final["bids"], final["asks"]]:
                return
            await anyio.sleep(0.02)


async def test_the_recorded_account(client: Any, venue: Any, shared: Path) -> None:
    for record in ("okx/samples/r0000", "okx/ccxt-static/r0001"):
        (row,) = (row for row in oracles(shared, "balances") if row["record"] == record)
        venue.state.config.update(session={"okx": record.rpartition("/")[0]})
        answer = await get(client, "/v1/okx/balances")
        assert next(value for value in answer.values() if isinstance(value, list)) == row["expect"]
    venue.state.config.update(session={"okx": "okx/samples"})
    (pending,) = oracles(shared, "pending_orders")
    answer = await get(client, "/v1/okx/pending_orders", symbol="BTC/USDT")
    (found,) = next(value for value in answer.values() if isinstance(value, list))
    (expected,) = pending["expect"]
    assert {**found, "symbol": "BTC-USDT"} == {**found, **expected}


async def test_an_order_and_its_cancel(client: Any, venue: Any, shared: Path) -> None:
    venue.state.config.update(session={"okx": "okx/samples"})
    order = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "59200", "amount": "1"}
    options = {"post_only": "true", "stpMode": "cancel_both", "client_order_id": "oktswap6"}
    async with client.post("/v1/okx/order", json={**order, "options": options}) as answer:
        placed = await answer.json()
        assert answer.status == 200, placed
        identity = answer.headers["ExGate-Client-Order-Id"]
        assert answer.headers["ExGate-Outcome"] == "placed"
    assert placed["order_id"] == "312269865356374016"
    (sent,) = (entry for entry in requests(venue, "trade/order") if entry["method"] == "POST")
    body = json.loads(sent["body"])
    assert body == {
        "instId": "BTC-USDT",
        "tdMode": "cash",
        "clOrdId": identity,
        "side": "buy",
        "ordType": "post_only",
        "sz": "1",
        "px": "59200",
        "stpMode": "cancel_both",
    }
    assert identity == "oktswap6"
    async with client.post("/v1/okx/cancel", json={"symbol": "BTC/USDT", "order_id": "12345689"}) as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "pending")


async def test_unknown_options_are_refused_with_the_known_ones(client: Any, venue: Any) -> None:
    order = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "59200", "amount": "1"}
    async with client.post("/v1/okx/order", json={**order, "options": {"tdMode": "cross"}}) as answer:
        refused = await answer.json()
    assert answer.status == 400 and "stpMode" in refused["message"] and "Nothing was sent" in refused["message"]
    assert not requests(venue, "trade/order")
