"""Behaviour of the weight budget."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.budget import Budget, Lane
from exgate_core.errors import RateLimited

from .support.clock import ManualClock, settle

pytestmark = pytest.mark.anyio

LANES: tuple[Lane, ...] = ("orders", "cancels", "lookups", "data")


def make(limit: int, window: float = 10.0, *, reserve: float = 0.0, fixed: bool = False) -> tuple[Budget, ManualClock]:
    clock = ManualClock(epoch=1_700_000_003.0)
    return Budget(limit, window, clock, clock.sleep, reserve=reserve, fixed=fixed), clock


async def test_what_fits_leaves_at_once_and_is_counted() -> None:
    budget, clock = make(10)
    await budget.take(4)
    assert (budget.used, budget.remaining) == (4, 6)
    await clock.advance(10.1)
    assert (budget.used, budget.remaining) == (0, 10)


async def test_what_does_not_fit_waits_for_the_window() -> None:
    budget, clock = make(10)
    await budget.take(10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.take, 1)
        await clock.advance(9.9)
        assert budget.used == 10
        await clock.advance(0.2)
        assert budget.used == 1


async def test_waiting_orders_go_before_cancels_before_lookups_before_data() -> None:
    budget, clock = make(1)
    left: list[str] = []

    async def one(lane: Lane, name: str) -> None:
        await budget.take(1, lane)
        left.append(name)

    await budget.take(1)
    async with anyio.create_task_group() as tasks:
        for lane in reversed(LANES):
            for number in range(2):
                tasks.start_soon(one, lane, f"{lane}{number}")
                await settle()
        await clock.advance(100)
    assert left == [f"{lane}{number}" for lane in LANES for number in range(2)]


async def test_data_never_touches_the_reserve() -> None:
    budget, _clock = make(100, reserve=0.2)
    await budget.take(80, "data")
    with pytest.raises(RateLimited):
        await budget.take(1, "data", patience=1)
    await budget.take(6, "lookups", patience=0)
    await budget.take(6, "orders", patience=0)
    await budget.take(8, "cancels", patience=0)
    assert budget.remaining == 0


async def test_a_wait_beyond_the_callers_deadline_is_refused_at_once() -> None:
    budget, clock = make(10)
    await budget.take(10)
    await clock.advance(4)
    with pytest.raises(RateLimited) as caught:
        await budget.take(1, patience=5)
    assert caught.value.retry_after == pytest.approx(6)
    assert budget.used == 10


async def test_nothing_leaves_during_a_ban() -> None:
    budget, clock = make(10)
    budget.pause(120)
    budget.pause(3)
    for lane in LANES:
        with pytest.raises(RateLimited) as caught:
            await budget.take(1, lane, patience=10)
        assert caught.value.retry_after == pytest.approx(120)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.take, 1, "orders")
        await clock.advance(119)
        assert budget.used == 0 and budget.paused_for == pytest.approx(1)
        await clock.advance(2)
        assert budget.used == 1 and budget.paused_for == 0


async def test_a_ban_that_comes_while_waiting_is_heeded() -> None:
    budget, clock = make(10)
    await budget.take(10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.take, 1)
        await settle()
        budget.pause(60)
        await clock.advance(59)
        assert budget.used == 0
        await clock.advance(2)
        assert budget.used == 1


async def test_the_exchanges_own_count_wins_when_it_is_higher() -> None:
    budget, _clock = make(100)
    await budget.take(5)
    budget.correct(70)
    assert budget.used == 70
    budget.correct(10)
    assert budget.used == 70


async def test_a_request_dearer_than_the_window_leaves_when_it_is_empty() -> None:
    budget, clock = make(10, reserve=0.1)
    await budget.take(50)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.take, 50)
        await clock.advance(9)
        assert budget.used == 50
        await clock.advance(2)
        assert budget.used == 50
        await clock.advance(8)
    assert budget.used == 50


async def test_a_cancelled_waiter_leaves_no_trace() -> None:
    budget, clock = make(10)
    await budget.take(10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.take, 10, "orders")
        await settle()
        tasks.cancel_scope.cancel()
    await clock.advance(10.1)
    await budget.take(10, patience=0)


async def test_a_fixed_window_ends_with_the_calendar() -> None:
    budget, clock = make(10, window=60, fixed=True)  # the epoch starts 23 s into a minute
    await budget.take(10)
    await clock.advance(36)
    assert budget.used == 10
    await clock.advance(1.1)
    assert budget.used == 0


requests = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 7), st.sampled_from(LANES)), min_size=1, max_size=30)


@given(requests, st.integers(7, 20), st.sampled_from([0.0, 0.3]))
def test_no_window_ever_holds_more_than_the_limit(
    wanted: list[tuple[float, int, Lane]], limit: int, reserve: float
) -> None:
    async def run() -> None:
        budget, clock = make(limit, reserve=reserve)
        left: list[tuple[float, int]] = []

        async def one(weight: int, lane: Lane) -> None:
            await budget.take(weight, lane)
            left.append((clock.monotonic(), weight))

        async with anyio.create_task_group() as tasks:
            for delay, weight, lane in wanted:
                await clock.advance(delay)
                tasks.start_soon(one, weight, lane)
            await clock.advance(20 * len(wanted))
        assert len(left) == len(wanted)
        for start, _ in left:
            assert sum(weight for at, weight in left if start <= at < start + budget.window) <= limit

    anyio.run(run)


@given(
    st.integers(10, 500),
    st.lists(st.tuples(st.sampled_from(("orders", "lookups", "data")), st.integers(1, 60)), max_size=60),
)
def test_whatever_storms_a_cancel_leaves_at_once(limit: int, storm: list[tuple[Lane, int]]) -> None:
    """A part of the limit is for cancels alone, and nobody who waits for something else keeps one from leaving."""

    async def run() -> None:
        budget, _clock = make(limit, reserve=0.1)
        async with anyio.create_task_group() as tasks:
            for lane, weight in storm:
                tasks.start_soon(budget.take, min(weight, limit // 2), lane)
            await settle()
            await budget.take(1, "cancels", patience=0)
            tasks.cancel_scope.cancel()

    anyio.run(run)


async def test_each_lane_leaves_something_to_those_before_it() -> None:
    budget, _clock = make(1000, reserve=0.1)
    lanes: tuple[tuple[Lane, int], ...] = (("data", 900), ("lookups", 30), ("orders", 30), ("cancels", 40))
    for lane, weight in lanes:
        await budget.take(weight, lane, patience=0)
        with pytest.raises(RateLimited):
            await budget.take(1, lane, patience=1)
