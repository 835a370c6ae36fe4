"""Recorded private answers through a whole gateway's HTTP: exact to the character. Needs EXGATE_SHARED."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from test_private_recordings import MARKETS, records, session_of

from exgate_core.settings import Secret, Section, Server, Settings
from tests.support.serving import serving

aiohttp = pytest.importorskip("aiohttp")
pytestmark = pytest.mark.anyio

NAMES = ("binance", "bitstamp", "coinbaseexchange", "kraken", "okx")
KEYS: dict[str, Any] = {
    "api_key": Secret("key"),
    "api_secret": Secret("c2VjcmV0c2VjcmV0"),
    "passphrase": Secret("pass"),
}


@pytest.fixture
async def client(venue: Any, tmp_path: Path) -> AsyncIterator[Any]:
    venue.state.config.update(session={name: MARKETS[name] for name in NAMES})
    sections = {
        f"{name}-c": Section(
            exchange=name, plugin="exgate-ccxt", upstream_prefix=venue.url, trading=True, settle=0.1, **KEYS
        )
        for name in NAMES
    }
    settings = Settings(server=Server(port=0, state_dir=str(tmp_path)), exchanges=sections)
    async with serving(settings) as running:
        for name in sections:
            await running.gateway.entry(name)
        token = (tmp_path / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(running.url, headers=headers) as session:
            yield session


async def get(client: Any, path: str, **params: str) -> Any:
    async with client.get(path, params=params) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_balances_over_http(client: Any, venue: Any, shared: Path) -> None:
    compared = 0
    for record in records(shared, "balances"):
        name = record["exchange"]
        if name not in NAMES:
            continue
        venue.state.config.update(session={name: session_of(record)})
        answer = await get(client, f"/v1/{name}-c/balances")
        rows = next(value for value in answer.values() if isinstance(value, list))
        # Assets are told in unified codes: which is which is compared in the adapter's test.
        found = sorted((row["available"], row["frozen"]) for row in rows)
        assert found == sorted((row["available"], row["frozen"]) for row in record["expect"]), record["record"]
        compared += 1
    assert compared >= 5


async def test_an_order_its_cancel_and_the_open_ones_over_http(client: Any, venue: Any) -> None:
    venue.state.config.update(session={"okx": "okx/samples"})
    order = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "59200", "amount": "1"}
    async with client.post("/v1/okx-c/order", json=order) as answer:
        assert (answer.status, await answer.json()) == (200, {"order_id": "312269865356374016"})
        assert answer.headers["ExGate-Outcome"] == "placed"
        sent = answer.headers["ExGate-Client-Order-Id"]
    asked = [entry for entry in venue.state.log if entry.get("method") == "POST"]
    assert len(asked) == 1
    assert f'"clOrdId":"{sent}"' in asked[0]["body"]
    assert '"px":"59200"' in asked[0]["body"]
    cancel = {"symbol": "BTC/USDT", "order_id": "312269865356374016"}
    async with client.post("/v1/okx-c/cancel", json=cancel) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "pending"})
    answer = await get(client, "/v1/okx-c/pending_orders", symbol="BTC/USDT")
    (row,) = next(value for value in answer.values() if isinstance(value, list))
    shown = (row["order_id"], row["symbol"], row["side"], row["price"], row["amount"])
    assert shown == ("301835739059335168", "BTC/USDT", "buy", "59200", "1")
