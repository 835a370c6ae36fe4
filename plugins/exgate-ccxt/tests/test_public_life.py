"""An exchange through ccxt opens from disk, asks afterwards, closes without a trace, and admits what it can't do."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from exgate_ccxt import CcxtExchange, CcxtSettings
from exgate_ccxt.canary import Canary
from exgate_ccxt.loading import open_client

from exgate_core.budget import Budget
from exgate_core.client import Context, Transport
from exgate_core.clock import Runtime
from exgate_core.errors import ExGateError, FailedPrecondition, Unavailable

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio


@asynccontextmanager
async def context_of(
    venue: Any, name: str, cache: Path | None = None, *, sandbox: bool = False, settings: CcxtSettings | None = None
) -> AsyncIterator[Context]:
    runtime = Runtime()
    budget = Budget(10**9, 10.0, runtime.clock, runtime.sleep)
    async with Transport(
        budget, runtime, upstream_prefix=venue.url + "/", cache=cache, sandbox=sandbox, deadline=5.0
    ) as transport:
        yield transport.context(name, settings)


async def eventually(true: Any) -> None:
    for _ in range(1000):
        if true():
            return
        await anyio.sleep(0.01)
    raise AssertionError("it never came true")


def only(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


async def test_a_market_list_on_disk_is_used_at_once_and_renewed_behind(venue: Any, tmp_path: Path) -> None:
    async with context_of(venue, "okx", tmp_path) as context:
        async with CcxtExchange(context) as exchange:
            fetched = await exchange.markets()
        kept = only(tmp_path)
        written = kept.stat().st_mtime_ns
        venue.state.faults = [{"match": "GET .*instruments.*", "times": -1, "delay": 0.3}]
        async with CcxtExchange(context) as exchange:
            assert await exchange.markets() == fetched
            assert kept.stat().st_mtime_ns == written
            await eventually(lambda: kept.stat().st_mtime_ns != written)
            assert await exchange.markets() == fetched


async def test_with_a_list_on_disk_an_exchange_opens_while_it_is_down(venue: Any, tmp_path: Path) -> None:
    async with context_of(venue, "kraken", tmp_path) as context:
        async with CcxtExchange(context) as exchange:
            fetched = await exchange.markets()
        venue.state.faults = [{"match": "GET .*", "times": -1, "status": 503, "body": "oops"}]
        async with CcxtExchange(context) as exchange:
            assert await exchange.markets() == fetched
        kept = only(tmp_path)
        whole = kept.read_bytes()
        bombed = whole.replace(b'"info":{', b'"info":{"x":"1e999999999",', 1)
        assert bombed != whole
        for spoiled in (b"", b"{", b'{"at":1,"ccxt":"x","markets":[]}', whole[:1000], bombed):
            kept.write_bytes(spoiled)
            with pytest.raises(Unavailable):
                async with CcxtExchange(context):
                    pass


async def test_opening_an_exchange_does_not_hold_the_loop(venue: Any) -> None:
    longest, over = 0.0, False

    async def watch() -> None:
        nonlocal longest
        while not over:
            began = time.thread_time()  # what the loop computes: other programs on this machine don't count
            await anyio.sleep(0.005)
            longest = max(longest, time.thread_time() - began)

    async with context_of(venue, "coinbase") as context, anyio.create_task_group() as tasks:
        await open_client(context, "coinbase", private=False)  # the recording itself is served by this loop
        tasks.start_soon(watch)
        async with CcxtExchange(context):
            pass
        over = True
    print(f"longest turn of the loop: {longest * 1000:.0f} ms")  # noqa: T201
    assert longest < 0.1


async def test_open_and_close_cycles_leave_nothing(venue: Any) -> None:
    def clients() -> int:
        gc.collect()
        return sum(type(thing).__name__ == "okx" for thing in gc.get_objects())

    async with context_of(venue, "okx") as context:
        async with CcxtExchange(context):
            pass
        files, held, tasks = len(os.listdir("/proc/self/fd")), clients(), len(asyncio.all_tasks())
        for _ in range(25):
            async with CcxtExchange(context):
                pass
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
        assert clients() <= held
        assert len(os.listdir("/proc/self/fd")) <= files + 2


async def test_digits_that_the_installed_ccxt_loses_are_admitted(venue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with context_of(venue, "okx") as context:
        async with CcxtExchange(context) as exchange:
            assert exchange.capabilities.exact

        async def lost(_canary: Canary) -> bool:
            return False

        monkeypatch.setattr(Canary, "depth", lost)
        async with CcxtExchange(context) as exchange:
            assert not exchange.capabilities.exact


async def test_a_sandbox_that_does_not_exist_is_refused(venue: Any) -> None:
    async with context_of(venue, "kraken", sandbox=True) as context:
        with pytest.raises(FailedPrecondition, match="no sandbox"):
            await open_client(context, "kraken", private=False)
    async with context_of(venue, "binance", sandbox=True) as context:
        with pytest.raises(ExGateError):
            await open_client(context, "binance", private=False)
    assert any("testnet" in str(request) for request in venue.state.log)


def test_only_options_and_uid_may_be_given_to_ccxt() -> None:
    assert CcxtSettings(ccxt={"options": {"defaultType": "spot"}, "uid": "1"}).ccxt["uid"] == "1"
    for key in ("apiKey", "urls", "hostname", "verify", "proxyUrl", "session", "headers"):
        with pytest.raises(ValueError, match=key):
            CcxtSettings(ccxt={key: "x"})


async def test_nothing_that_a_setting_says_switches_on_repeats_or_fees(venue: Any) -> None:
    given = {"maxRetriesOnFailure": 3, "approvedBuilderFee": True, "builderFee": True}
    async with context_of(venue, "okx", settings=CcxtSettings(ccxt={"options": given})) as context:
        client = await open_client(context, "okx", private=False)
        assert {name: client.options[name] for name in given} == {
            "maxRetriesOnFailure": 0,
            "approvedBuilderFee": False,
            "builderFee": False,
        }
        assert json.loads(json.dumps(client.has["fetchCurrencies"])) is False
