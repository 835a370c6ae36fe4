"""A gateway that starts again: its paper orders and balances are there, each section's in a file of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from exgate_paper.statefile import NAME

from exgate_core.settings import Section, Settings
from tests.support.front import Caller, calling
from tests.support.running import serving as running
from tests.support.serving import serving, settings_for

pytestmark = pytest.mark.anyio
STILL = {"rate": 0.0, "levels": 0}


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Caller]:
    """One life of a gateway."""
    async with serving(settings) as served, calling(served.url) as caller:
        yield caller


def files(folder: Path) -> list[str]:
    """The folders in which a paper exchange keeps itself."""
    return [path.parent.name for path in folder.rglob(NAME)]


async def open_orders(caller: Caller, name: str = "paper") -> list[str]:
    reply = await caller.get(f"/v1/{name}/pending_orders")
    return [row["order_id"] for row in reply.body["orders"]]


async def frozen(caller: Caller, name: str = "paper") -> str:
    rows: list[dict[str, str]] = (await caller.get(f"/v1/{name}/balances")).body["balances"]
    return next(row["frozen"] for row in rows if row["asset"] == "USDT")


def paper(**more: Any) -> Section:
    return Section(exchange="paper", extra=STILL | more)


async def test_a_replayed_order_is_there_after_a_restart_and_can_be_cancelled(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, paper=paper())
    async with started(settings) as caller:
        placed = await caller.buy(60_000, Idempotency_Key="one")
        held = await frozen(caller)
        assert held.startswith("60.")
    async with started(settings) as caller:
        again = await caller.buy(60_000, Idempotency_Key="one")
        assert (again.order_id, "exgate-replayed" in again.headers) == (placed.order_id, True)
        assert await open_orders(caller) == [placed.order_id]
        assert await frozen(caller) == held
        cancel = await caller.post("/v1/paper/cancel", {"symbol": "BTC/USDT", "order_id": placed.order_id})
        assert (cancel.body, cancel.outcome) == ({"status": "canceled"}, "canceled")
    async with started(settings) as caller:
        assert await open_orders(caller) == []
        assert (await caller.buy(60_000)).order_id == str(int(placed.order_id) + 1)


async def test_sections_that_mean_different_markets_have_files_of_their_own(tmp_path: Path) -> None:
    sections = {"first": paper(), "same": paper(), "other": paper(maker_fee="0")}
    for order in (("first", "same", "other"), ("other", "same", "first")):
        async with started(settings_for(tmp_path, **sections)) as caller:
            for name in order:
                await caller.get(f"/v1/{name}/balances")
            if order[0] == "first":
                await caller.buy(60_000, name="same")
                await caller.buy(70_000, name="other")
            assert await open_orders(caller, "first") == await open_orders(caller, "same") == ["1"]
            assert (await frozen(caller, "first"))[:3] == "60."
            assert (await frozen(caller, "other"))[:3] == "70."
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("where", ["memory", "elsewhere"])
async def test_the_state_setting_stands_above_the_default(tmp_path: Path, where: str) -> None:
    state = str(tmp_path / where) if where == "elsewhere" else where
    settings = settings_for(tmp_path / "state", paper=paper(state=state))
    async with started(settings) as caller:
        await caller.buy(60_000)
    async with started(settings) as caller:
        assert len(await open_orders(caller)) == (where == "elsewhere")
    assert files(tmp_path) == ["elsewhere"] * (where == "elsewhere")


def test_kill_9_costs_no_order(tmp_path: Path) -> None:
    async def live(url: str) -> list[str]:
        async with calling(url) as caller:
            await caller.buy(60_000 + len(lives))
            return await open_orders(caller)

    lives: list[list[str]] = []
    for _ in range(2):
        with running(tmp_path, "-s", "exchanges.paper.rate=1000") as gateway:
            lives.append(anyio.run(live, gateway.url))
            gateway.process.kill()
    assert (len(lives[0]), len(lives[1]), lives[1][0]) == (1, 2, lives[0][0])
