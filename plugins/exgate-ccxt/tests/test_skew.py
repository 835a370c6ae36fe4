"""Numbers that must rise, and clocks that differ."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from exgate_ccxt import skew

from exgate_core.clock import SystemClock

pytestmark = pytest.mark.anyio


async def overlap(name: str) -> bool:
    """Whether a second request is under way while the first one is."""
    turns, first, inside = skew.Turns(name), asyncio.Event(), list[str]()

    async def one(what: str) -> None:
        async with turns.turn():
            inside.append(what)
            await first.wait()

    tasks = [asyncio.ensure_future(one(what)) for what in ("first", "second")]
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    found = len(inside) == 2
    first.set()
    await asyncio.gather(*tasks)
    assert inside == ["first", "second"]
    return found


async def test_where_numbers_must_rise_requests_leave_one_after_the_other() -> None:
    assert not await overlap("kraken")
    assert await overlap("binance")


async def test_an_exchange_that_does_not_answer_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skew, "_TURN", 0.01)
    turns, hung = skew.Turns("kraken"), asyncio.Event()

    async def hang() -> None:
        async with turns.turn():
            hung.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(hang())
    await hung.wait()
    with anyio.fail_after(1):
        async with turns.turn():
            pass
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with anyio.fail_after(1):
        async with turns.turn():
            pass


@pytest.mark.parametrize(("told", "behind"), [(-3600.0, -3600.0), (3600.0, 3600.0), (0.4, 0.0)])
async def test_requests_go_by_the_exchanges_clock(told: float, behind: float) -> None:
    clock = SystemClock()

    async def fetch_time() -> float:
        return (clock.time() + told) * 1000

    reported: list[float] = []
    client: Any = SimpleNamespace(
        id="x",
        has={"fetchTime": True},
        exgate=SimpleNamespace(context=SimpleNamespace(clock=clock, report_time=reported.append)),
        fetch_time=fetch_time,
        exgate_behind=9.0,
    )
    await skew.set_clock(client)
    assert client.exgate_behind == pytest.approx(behind, abs=0.1)
    assert reported == [pytest.approx((clock.time() + told) * 1000, abs=100)]


async def test_an_exchange_that_does_not_tell_its_time_changes_nothing() -> None:
    async def fetch_time() -> float:
        raise ValueError("no time")

    client: Any = SimpleNamespace(
        id="x",
        has={"fetchTime": True},
        exgate=SimpleNamespace(context=SimpleNamespace(clock=SystemClock())),
        fetch_time=fetch_time,
        exgate_behind=9.0,
    )
    await skew.set_clock(client)
    assert client.exgate_behind == 9.0
