"""A whole gateway over recordings: the ones that exist, and ones made by the recorder."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from exgate_core.clock import Runtime
from exgate_core.settings import Section

from .support.serving import Served, serving, settings_for
from .test_recordings import (
    MARKET_LISTS,
    NOT_OVER_HTTP,
    asked_limit,
    depth_of,
    read_trades,
    records,
    trade_of,
)

aiohttp = pytest.importorskip("aiohttp")
replayer = pytest.importorskip("exgate_testing.replayer")
recorder = pytest.importorskip("exgate_testing.recorder")
pytestmark = pytest.mark.anyio


@asynccontextmanager
async def gateway(tmp_path: Path, prefix: str, *names: str) -> AsyncIterator[Served]:
    """A gateway whose exchanges are all behind this prefix; NAME-agg gives aggregate trades."""
    sections = {name: Section(exchange=name, upstream_prefix=prefix) for name in names}
    aggregate = {
        f"{name}-agg": Section(exchange=name, upstream_prefix=prefix, extra={"trades": "aggregate"}) for name in names
    }
    async with serving(settings_for(tmp_path, **sections, **aggregate)) as running:
        for name in (*sections, *aggregate):
            await running.gateway.entry(name)
        yield running


async def get(client: Any, url: str, **query: str) -> Any:
    async with client.get(url, params=query) as answer:
        found = await answer.json()
        assert answer.status == 200, (url, query, found)
        return found


async def test_the_replayer_reads_the_recordings_that_exist(shared: Path, tmp_path: Path) -> None:
    compared = 0
    folders = [shared / "recordings" / name for name in (*MARKET_LISTS.values(), *MARKET_LISTS)]
    async with replayer.replaying(folders, speed="max") as (it, prefix), aiohttp.ClientSession() as client:
        async with gateway(tmp_path, prefix, *MARKET_LISTS) as running:
            for record in records(shared):
                if record["record"] in NOT_OVER_HTTP:
                    continue
                exchange, operation = record["exchange"], record["op"]
                it.library.preferred = record["record"].rpartition("/")[0]
                query = {"symbol": record["symbol"], "limit": asked_limit(record)}
                found = await get(client, f"{running.url}/v1/{exchange}/{operation}", **query)
                if operation == "depth":
                    assert found == depth_of(record["expect"]), record["record"]
                else:
                    wanted = sorted((trade_of(trade) for trade in record["expect"]), key=lambda trade: trade["id"])
                    assert found == {"trades": wanted}, record["record"]
                compared += 1
    assert compared >= 14


@pytest.mark.parametrize(
    ("session", "symbol"), [("binance/20210404-btc-eth-dot", "DOTUSDT"), ("binanceus/20211012", "OMGBUSD")]
)
async def test_recorded_streams_are_replayed_whole(shared: Path, tmp_path: Path, session: str, symbol: str) -> None:
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        expected = json.load(text)[session][symbol]["trades"]
    exchange = session.partition("/")[0]
    folders = [shared / "recordings" / name for name in (session, MARKET_LISTS[exchange])]
    async with replayer.replaying(folders, speed="max") as (_, prefix), aiohttp.ClientSession() as client:
        async with gateway(tmp_path, prefix, exchange) as running:
            url = f"{running.url}/v1/{exchange}-agg/pull_trade?symbol={symbol}"
            found = await read_trades(client, url, len(expected))
    assert found == [{**trade_of(trade), "trade_id": trade["id"]} for trade in expected]


async def everything(client: Any, url: str) -> list[Any]:
    """What a gateway over Binance's recordings answers to some questions, and a stream to its end."""
    found = [
        await get(client, f"{url}/v1/binance/markets"),
        await get(client, f"{url}/v1/binance/depth", symbol="LRC/BTC", limit="100"),
        await get(client, f"{url}/v1/binance/depth", symbol="LRC/BTC", limit="5"),
        await get(client, f"{url}/v1/binance/recent_trades", symbol="ETH/BTC", limit="1000"),
    ]
    for query in ({"symbol": "NO/SUCH"}, {"symbol": "ETH/BTC", "limit": "x"}):
        async with client.get(f"{url}/v1/binance/depth", params=query) as answer:
            found.append((answer.status, await answer.json()))
    return [*found, await read_trades(client, f"{url}/v1/binance-agg/pull_trade?symbol=DOTUSDT", 177)]


async def test_what_was_recorded_is_replayed_exactly(venue: Any, tmp_path: Path) -> None:
    venue.state.config.update(speed="max", session={"binance": "binance/20210404-btc-eth-dot"})
    folder = tmp_path / "recorded"
    async with aiohttp.ClientSession() as client:
        async with recorder.recording(folder, Runtime().clock, upstream_prefix=venue.url) as (it, prefix):
            async with gateway(tmp_path / "one", prefix, "binance") as running:
                first = await everything(client, running.url)
            [(_, (requests, frames))] = it.counts.items()
        assert requests >= 4 and frames >= 177
        async with replayer.replaying([folder], speed="max") as (again, prefix):
            async with gateway(tmp_path / "two", prefix, "binance") as running:
                assert await everything(client, running.url) == first
        assert again.missed == []


def secrets_of(wire: Any) -> set[str]:
    """What must not be written of what a fake exchange was sent: keys, and what was made with them."""
    keys = wire.fake.credentials
    found = {keys.api_key, keys.api_secret, keys.passphrase}
    for seen in wire.requests:
        fields = seen.request.fields()
        found.update(value for name, value in fields.items() if "sign" in name.lower())
        found.update(value for name, value in seen.request.headers.items() if "sign" in name or "key" in name)
    return {spelling for value in found if len(value) > 4 for spelling in (value, quote(value, safe=""))}


@pytest.mark.parametrize("name", ["binance", "okx", "kraken"])
async def test_an_accounts_requests_are_recorded_without_its_keys_and_replayed(name: str, tmp_path: Path) -> None:
    house = pytest.importorskip("exgate_testing.house")
    serving_fakes = pytest.importorskip("exgate_testing.serving")
    subjects = pytest.importorskip("exgate_testing.subjects")
    if name not in subjects.names():
        pytest.skip(f"no fake of {name} is installed")
    subject = subjects.subject(name)
    folder = tmp_path / "recorded"
    async with serving_fakes.running(subject.fake) as wire:
        async with recorder.recording(folder, Runtime().clock, upstream_prefix=wire.prefix) as (_, prefix):
            wire.prefix = prefix
            async with house.open_house(subject, wire=wire) as home:
                placed = await home.order(home.body())
                assert placed.status == 200, placed
                first = [await home.get("balances"), await home.get("pending_orders", symbol=home.market.symbol)]
                canceled = await home.cancel(home.market, placed.json["order_id"])
                assert canceled.status == 200, canceled
            text = "".join(path.read_text() for path in folder.rglob("*.json*"))
            assert '"auth":true' in text and placed.json["order_id"] in text
            assert [secret for secret in secrets_of(wire) if secret in text] == []
        async with replayer.replaying([folder]) as (_, prefix):
            wire.prefix = prefix
            async with house.open_house(subject, wire=wire) as home:
                again = [await home.get("balances"), await home.get("pending_orders", symbol=home.market.symbol)]
    assert [answer.json for answer in again] == [answer.json for answer in first]
    assert first[1].json["orders"][0]["order_id"] == placed.json["order_id"]
