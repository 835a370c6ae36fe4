"""Time limits and jobs that nobody waits for."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import anyio
import pytest

from exgate_core.waiting import Jobs, Limit, is_cancelled

pytestmark = pytest.mark.anyio

SOON, LATE = 0.01, 30.0


async def test_a_block_that_takes_too_long_ends_with_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        with Limit(SOON):
            await asyncio.sleep(LATE)
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left of the cancellation


async def test_a_block_that_is_in_time_is_left_alone() -> None:
    with Limit(LATE):
        await asyncio.sleep(0)
    with pytest.raises(KeyError), Limit(LATE):
        raise KeyError


async def test_code_that_swallows_its_cancellation_is_cancelled_again() -> None:
    swallowed = 0
    with pytest.raises(TimeoutError), Limit(SOON):
        while swallowed < 3:
            try:
                await asyncio.sleep(LATE)
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.sleep(LATE)
    assert swallowed == 3


async def test_what_a_block_says_at_its_end_is_heard_even_after_the_time() -> None:
    with pytest.raises(LookupError), Limit(SOON):
        try:
            await asyncio.sleep(LATE)
        except asyncio.CancelledError:
            raise LookupError from None


async def test_who_is_cancelled_from_outside_stays_cancelled() -> None:
    seen: list[bool] = []

    async def work() -> None:
        try:
            with Limit(SOON):
                await asyncio.sleep(LATE)
        except asyncio.CancelledError as error:
            seen.append(is_cancelled(error))
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [True]


async def test_limits_nest_with_anyios() -> None:
    with anyio.move_on_after(SOON) as outer, Limit(LATE):
        await asyncio.sleep(LATE)
    assert outer.cancelled_caught
    with anyio.fail_after(LATE), pytest.raises(TimeoutError), Limit(SOON):
        await anyio.sleep(LATE)


async def test_jobs_end_with_their_group_whatever_they_swallow() -> None:
    jobs, ended = Jobs(), asyncio.Event()

    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(LATE)
        try:
            await asyncio.sleep(LATE)
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(jobs.keep)
        jobs.start(stubborn())
        await asyncio.sleep(0)
        tasks.cancel_scope.cancel()
    assert ended.is_set()
    with pytest.raises(RuntimeError):
        jobs.start(stubborn())
