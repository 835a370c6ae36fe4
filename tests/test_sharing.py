"""Questions that many callers share: one to the exchange where one is enough, and an outcome for each who waits."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from exgate_core.errors import Refused, Unavailable
from exgate_core.models import ExchangeCapabilities, Freshness
from tests.support.clock import settle
from tests.support.upstream import BTC, Upstream, house

pytestmark = pytest.mark.anyio

NOW = Freshness()


async def test_a_question_under_way_is_shared_while_it_is_young_enough() -> None:
    async with house(Upstream(lacks=["pull_depth"])) as home:
        home.upstream.gate = anyio.Event()
        ages: list[float] = []

        async def ask(tolerate: float) -> None:
            ages.append((await home.reads.depth(BTC, 1, Freshness(tolerate=tolerate))).age)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, 0.0)
            await settle()
            await home.clock.advance(2.0)
            tasks.start_soon(ask, 2.0)
            tasks.start_soon(ask, 1.5)
            await settle()
            assert home.upstream.count("depth") == 1
            home.upstream.gate.set()
        assert sorted(ages) == [0.0, 2.0, 2.0]
        assert home.upstream.count("depth") == 2, "who takes nothing older than 1.5 s gets the next answer"


async def test_half_a_second_is_a_tolerance_too() -> None:
    async with house(Upstream(lacks=["pull_depth"])) as home:
        home.upstream.gate = anyio.Event()
        asked = []
        for tolerate in (0.0, 0.5):
            asked.append(asyncio.ensure_future(home.reads.depth(BTC, 1, Freshness(tolerate=tolerate))))
            await settle()
        home.upstream.gate.set()
        await asyncio.gather(*asked)
        await home.reads.depth(BTC, 1, Freshness(tolerate=0.5))
        assert home.upstream.count("depth") == 1


async def test_the_256_answers_that_came_last_are_kept() -> None:
    async with house(Upstream(ExchangeCapabilities(depth_max=300), lacks=["pull_depth"])) as home:
        tolerant = Freshness(tolerate=100.0)

        async def asks(limit: int, freshness: Freshness = tolerant) -> bool:
            before = home.upstream.count("depth")
            await home.reads.depth(BTC, limit, freshness)
            return home.upstream.count("depth") > before

        assert [await asks(limit) for limit in range(1, 257)] == [True] * 256
        assert not await asks(1)
        assert await asks(1, NOW)
        assert await asks(257)
        assert not await asks(1) and not await asks(3)
        assert await asks(2)


async def test_nobody_is_asked_for_callers_who_have_left() -> None:
    async with house(Upstream(lacks=["pull_depth"])) as home:
        home.upstream.gate = anyio.Event()
        asked = []
        for _ in range(3):
            asked.append(asyncio.ensure_future(home.reads.depth(BTC, 1, NOW)))
            await settle()
        for late in asked[1:]:
            late.cancel()
        await settle()
        home.upstream.gate.set()
        assert (await asked[0]).source == "exchange"
        await settle()
        assert home.upstream.count("depth") == 1
        assert (await home.reads.depth(BTC, 1, NOW)).source == "exchange"


@pytest.mark.parametrize("fault", [Refused("delisted"), RuntimeError("a bug")])
async def test_an_error_is_told_to_all_who_wait_and_to_nobody_later(fault: Exception) -> None:
    async with house(Upstream(lacks=["pull_depth"])) as home:
        home.upstream.gate, home.upstream.fault = anyio.Event(), fault  # type: ignore[assignment]
        tolerant = Freshness(tolerate=100.0)
        asked = [asyncio.ensure_future(home.reads.depth(BTC, 1, tolerant)) for _ in range(2)]
        await settle()
        home.upstream.gate.set()
        for each in asked:
            with pytest.raises(Refused if isinstance(fault, Refused) else Unavailable, match=str(fault)):
                await each
        home.upstream.fault = None
        assert (await home.reads.depth(BTC, 1, tolerant)).source == "exchange"


async def test_who_still_waits_when_the_gateway_stops_is_told() -> None:
    async with house(Upstream(lacks=["pull_depth"])) as home:
        home.upstream.gate = anyio.Event()
        asked = []
        for _ in range(2):
            asked.append(asyncio.ensure_future(home.reads.depth(BTC, 1, NOW)))
            await settle()
    done, late = await asyncio.wait(asked, timeout=1)
    assert not late
    for each in done:
        error = each.exception()
        assert isinstance(error, Unavailable) and error.reason == "SHUTTING_DOWN"
