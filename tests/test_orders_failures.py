"""Orders while disks fail, clients leave and the gateway stops or starts."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from exgate_core import rows
from exgate_core.errors import (
    NotSent,
    OutcomeUnknown,
    Refused,
)
from exgate_core.models import CancelResult, Market, OrderRequest
from tests.support.desk import BTC, Desk
from tests.support.room import Room, anyio_backend, failure, foreign, opened, room, virtual
from tests.support.virtual import Virtual

__all__ = ["anyio_backend", "room", "virtual"]  # fixtures: pytest finds them by their names here

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("where", ["journal.intent", "journal.commit", "journal.committed", "journal.sent"])
async def test_without_the_journal_nothing_is_sent(room: Room, where: str) -> None:
    desk = Desk()
    room.broken.add(where)
    error = await failure(lambda: room.place(desk))
    assert isinstance(error, NotSent)
    assert (error.metadata["outcome"], desk.sends) == ("not-sent", 0)
    room.broken.clear()
    assert (await room.place(desk)).order_id == "1000"


async def test_where_the_journal_cannot_even_be_read_a_replay_is_unknown(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    room.broken.update({"journal.intent", "journal.read"})
    assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
    assert isinstance(await failure(lambda: room.place(desk, key="")), NotSent)
    assert desk.sends == 1


@pytest.mark.parametrize("happens", ["accept", "refuse", "drop_after"])
async def test_an_outcome_that_cannot_be_written_is_told_all_the_same(
    virtual: Virtual, tmp_path: Path, happens: str
) -> None:
    async with opened(virtual, tmp_path, deadline=3) as room:
        desk = Desk()
        desk.script.append(happens)
        room.broken.add("journal.outcome")
        if happens == "refuse":
            assert isinstance(await failure(lambda: room.place(desk)), Refused)
            assert isinstance(await failure(lambda: room.place(desk)), Refused)
        else:
            assert (await room.place(desk)).order_id == "1000"
            assert (await room.place(desk)).order_id == "1000"
    async with opened(virtual, tmp_path) as after:
        await after.orders.reconcile(desk)
        if happens == "refuse":
            assert isinstance(await failure(lambda: after.place(desk)), Refused)
        else:
            assert (await after.place(desk)).order_id == "1000"
    assert desk.sends == 1


async def test_a_client_that_leaves_cuts_nothing(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    request = asyncio.ensure_future(room.place(desk))
    await desk.reached()
    request.cancel()
    desk.gate.set()
    assert (await room.place(desk)).order_id == "1000"
    assert desk.sends == 1


async def test_draining_refuses_new_orders_and_waits_for_those_under_way(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    under_way = asyncio.ensure_future(room.place(desk))
    await desk.reached()
    draining = asyncio.ensure_future(room.orders.drain(5))
    while not room.orders.closing:
        await anyio.lowlevel.checkpoint()
    error = await failure(lambda: room.place(desk, key="new"))
    assert (type(error), error.reason) == (NotSent, "SHUTTING_DOWN")
    assert not draining.done()
    desk.gate.set()
    assert await draining
    assert (await under_way).order_id == "1000"
    assert (await room.place(desk)).order_id == "1000"


async def test_draining_waits_for_a_cancel_under_way(room: Room) -> None:
    gate = asyncio.Event()

    class Slow(Desk):
        async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
            await gate.wait()
            return await super().cancel_order(market, order_id, client_order_id)

    desk = Slow()
    placed = await room.place(desk)
    cancelling = asyncio.ensure_future(room.orders.cancel(desk, BTC, placed.order_id, ""))
    await anyio.lowlevel.checkpoint()
    draining = asyncio.ensure_future(room.orders.drain(5))
    while not room.orders.closing:
        await anyio.lowlevel.checkpoint()
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    assert not draining.done()
    gate.set()
    assert (await cancelling).status == "canceled"
    assert await draining


async def test_draining_gives_up_at_its_deadline(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    request = asyncio.ensure_future(room.place(desk))
    await desk.reached()
    assert not await room.orders.drain(0.01)
    request.cancel()


async def leave_behind(virtual: Virtual, path: Path, desk: Desk, *states: str) -> None:
    """The journal of a gateway that died: one row per state, with the keys 0, 1, ..."""
    async with opened(virtual, path) as room:
        for number, state in enumerate(states):
            desk.script.append("not_sent")
            await failure(lambda number=number: room.place(desk, key=str(number)))  # type: ignore[misc]
            row = await room.journal.by_key(desk.identity, f"k:{number}")
            assert row is not None
            room.rewrite(row, state=state)


async def test_a_start_decides_what_the_last_run_left(virtual: Virtual, tmp_path: Path) -> None:
    desk = Desk()
    await leave_behind(virtual, tmp_path, desk, rows.INTENT, rows.SENT, rows.UNKNOWN, rows.SENT)
    async with opened(virtual, tmp_path, deadline=0.1, reconcile=2) as room:
        lost = await room.journal.by_key(desk.identity, "k:3")
        assert lost is not None
        desk.ledger.append(foreign(room.clock.time(), "77", lost.client_order_id))
        sends = desk.sends
        await room.orders.reconcile(desk)
        states = [(await room.journal.by_key(desk.identity, f"k:{number}")).state for number in range(4)]  # type: ignore[union-attr]
        assert states == [rows.NOT_SENT, rows.REFUSED, rows.REFUSED, rows.PLACED]
        assert (await room.place(desk, key="3")).order_id == "77"
        assert desk.sends == sends


async def test_what_cannot_be_decided_is_listed_and_blocks_new_orders_only_until_the_deadline(
    virtual: Virtual, tmp_path: Path
) -> None:
    desk, other = Desk(), Desk(identity="fake:other")
    await leave_behind(virtual, tmp_path, desk, rows.SENT)
    async with opened(virtual, tmp_path, deadline=0.3, reconcile=0.6) as room:
        desk.finds.extend(["fail"] * 1000)
        reconciling = asyncio.ensure_future(room.orders.reconcile(desk))
        await anyio.lowlevel.checkpoint()
        blocked = await failure(lambda: room.place(desk, key="new"))
        assert (type(blocked), blocked.metadata["outcome"]) == (NotSent, "not-sent")
        assert blocked.reason == "ACCOUNT_RECONCILING"
        assert (await room.place(other)).order_id == "1000"
        assert isinstance(await failure(lambda: room.place(desk, key="0")), OutcomeUnknown)
        await reconciling
        assert [row.state for row in await room.journal.undecided()] == [rows.UNRESOLVED]
        assert (await room.place(desk, key="new")).order_id == "1000"
        desk.finds.clear()
        assert isinstance(await failure(lambda: room.place(desk, key="0")), Refused)


async def test_an_order_that_a_slow_disk_held_up_is_not_sent_late(virtual: Virtual, tmp_path: Path) -> None:
    async with opened(virtual, tmp_path, deadline=0.1) as room:
        desk = Desk()
        room.held["journal.sent"] = threading.Event()
        error = await failure(lambda: room.place(desk))
        assert (type(error), error.metadata["outcome"]) == (NotSent, "not-sent")
        room.held.pop("journal.sent").set()
        while (await room.journal.by_key(desk.identity, "k:k")).state != rows.NOT_SENT:  # type: ignore[union-attr]
            pass
        assert desk.sends == 0
        assert (await room.place(desk)).order_id == "1000"


async def test_a_gateway_that_is_torn_down_in_mid_send_says_unknown_and_knows_at_the_next_start(
    virtual: Virtual, tmp_path: Path
) -> None:
    desk = Desk(gate=asyncio.Event())
    async with opened(virtual, tmp_path) as room:
        request = asyncio.ensure_future(failure(lambda: room.place(desk)))
        await desk.reached()
        room.tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            assert isinstance(await request, OutcomeUnknown)
    desk.gate = None
    async with opened(virtual, tmp_path) as room:
        await room.orders.reconcile(desk)
        assert isinstance(await failure(lambda: room.place(desk)), Refused)
    assert (desk.sends, desk.ledger) == (1, [])


async def test_when_the_adapter_is_called_the_disk_already_says_that_it_may_have_been(
    virtual: Virtual, tmp_path: Path
) -> None:
    seen: list[tuple[str, bool]] = []

    class Looking(Desk):
        async def place_order(self, order: OrderRequest) -> str:
            with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
                seen.extend((state, sent > 0) for state, sent in other.execute("SELECT state, sent FROM orders"))
            return await super().place_order(order)

    async with opened(virtual, tmp_path) as room:
        await room.place(Looking())
    assert seen == [("SENT", True)]


async def test_a_gateway_that_is_torn_down_before_the_send_says_not_sent(virtual: Virtual, tmp_path: Path) -> None:
    async with opened(virtual, tmp_path) as room:
        desk = Desk()
        room.held["journal.intent"] = threading.Event()
        request = asyncio.ensure_future(failure(lambda: room.place(desk, key="")))
        await anyio.lowlevel.checkpoint()
        room.tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            error = await request
            room.held.pop("journal.intent").set()
        assert (type(error), desk.sends) == (NotSent, 0)


async def test_a_bug_before_the_send_is_internal_and_after_it_unknown(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    monkeypatch.setattr("exgate_core.outcomes.of_answer", lambda answer: 1 / 0)
    monkeypatch.setattr("exgate_core.outcomes.of_error", lambda error, exchange: 1 / 0)
    assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
    monkeypatch.undo()
    assert (await room.place(desk)).order_id == "1000"
    monkeypatch.setattr("exgate_core.rules.check", lambda *order: 1 / 0)
    error = await failure(lambda: room.place(desk, key=""))
    assert (error.http, error.metadata["outcome"]) == (500, "not-sent")
    assert desk.sends == 1
