"""Opening on first use, sharing, failing alone, closing in the task that opened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from exgate_core.errors import Unavailable
from exgate_core.lives import Life

from .support.clock import ManualClock, settle

pytestmark = pytest.mark.anyio


class Door:
    """Something to open: counts, and can be told to fail or to wait."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.broken = False
        self.gate = anyio.Event()
        self.gate.set()
        self.tasks: list[object] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        self.opened += 1
        self.tasks.append(asyncio.current_task())
        await self.gate.wait()
        if self.broken:
            raise RuntimeError("no")
        try:
            yield "open"
        finally:
            self.closed += 1
            self.tasks.append(asyncio.current_task())


async def test_all_who_ask_share_one_opening() -> None:
    door, clock = Door(), ManualClock()
    async with anyio.create_task_group() as tasks:
        life = Life("x", door.open, tasks, clock.runtime())
        assert life.state == "closed"
        assert await asyncio.gather(*(life.get(1.0) for _ in range(20))) == ["open"] * 20
        assert (door.opened, life.state) == (1, "open")
        life.close()
    assert door.closed == 1
    assert door.tasks[0] is door.tasks[1]


async def test_who_waits_too_long_is_told_that_it_opens() -> None:
    door, clock = Door(), ManualClock()
    door.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        life = Life("x", door.open, tasks, clock.runtime())
        with pytest.raises(Unavailable, match="still opening") as caught:
            await life.get(0.01)
        assert caught.value.reason == "EXCHANGE_OPENING"
        door.gate.set()
        assert await life.get(1.0) == "open"
        assert door.opened == 1
        life.close()


async def test_a_failure_is_told_and_not_repeated_at_once() -> None:
    door, clock = Door(), ManualClock()
    door.broken = True
    async with anyio.create_task_group() as tasks:
        life = Life("x", door.open, tasks, clock.runtime())
        for _ in range(3):
            with pytest.raises(Unavailable, match="RuntimeError"):
                await life.get(1.0)
        assert (door.opened, life.state) == (1, "failed")
        door.broken = False
        await clock.advance(60)
        assert await life.get(1.0) == "open"
        life.close()


async def test_the_same_failure_again_is_no_new_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exgate.lives")
    door, clock = Door(), ManualClock()
    door.broken = True
    async with anyio.create_task_group() as tasks:
        life = Life("main (binance)", door.open, tasks, clock.runtime())
        tasks.start_soon(life.keep)
        await clock.advance(120)
        assert door.opened >= 4
        life.close()
        tasks.cancel_scope.cancel()
    assert [record.levelno for record in caplog.records][:3] == [logging.ERROR, logging.INFO, logging.INFO]
    assert all(record.getMessage().startswith("main (binance) ") for record in caplog.records)


async def test_what_the_settings_name_is_tried_for_ever() -> None:
    door, clock = Door(), ManualClock()
    door.broken = True
    async with anyio.create_task_group() as tasks:
        life = Life("x", door.open, tasks, clock.runtime())
        tasks.start_soon(life.keep)
        await clock.advance(120)
        assert door.opened >= 4
        door.broken = False
        await clock.advance(60)
        await settle()
        assert life.state == "open"
        life.close()


async def test_a_death_while_open_leaves_it_to_be_opened_again() -> None:
    clock = ManualClock()
    opened: list[int] = []
    die = anyio.Event()

    @asynccontextmanager
    async def dying() -> AsyncIterator[int]:
        opened.append(1)
        async with anyio.create_task_group() as inside:

            async def child() -> None:
                await die.wait()
                raise OSError("gone")

            if len(opened) == 1:
                inside.start_soon(child)
            yield len(opened)

    async with anyio.create_task_group() as tasks:
        life = Life("x", dying, tasks, clock.runtime())
        assert await life.get(1.0) == 1
        die.set()
        await settle()
        assert life.state == "failed"
        await clock.advance(60)
        assert await life.get(1.0) == 2
        life.close()


async def test_what_is_still_opening_can_be_closed() -> None:
    door, clock = Door(), ManualClock()
    door.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        life = Life("x", door.open, tasks, clock.runtime())
        asking = asyncio.ensure_future(life.get(1.0))
        await settle()
        assert life.state == "opening"
        await life.closed()
        with pytest.raises(Unavailable, match="closed"):
            await asking
    assert (door.opened, door.closed) == (1, 0)


async def test_an_opening_that_cancels_itself_has_failed_and_is_tried_again() -> None:
    door, clock = Door(), ManualClock()

    @asynccontextmanager
    async def cancelled() -> AsyncIterator[str]:
        door.opened += 1
        raise asyncio.CancelledError
        yield ""

    async with anyio.create_task_group() as tasks:
        life = Life("x", cancelled, tasks, clock.runtime())
        with pytest.raises(Unavailable, match="CancelledError"):
            await life.get(1.0)
        assert life.state == "failed"
