"""When orders and cancels are looked up, and for how long, in a time that passes only where everybody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import anyio
import pytest
from msgspec import structs

from exgate_core import rows
from exgate_core.errors import OutcomeUnknown, Refused
from exgate_core.models import CancelResult, Market, Order, OrderRequest
from exgate_core.orders import Placed
from tests.support.desk import Desk
from tests.support.room import Room, anyio_backend, failure, foreign, opened, room, virtual
from tests.support.virtual import Virtual

__all__ = ["anyio_backend", "room", "virtual"]  # fixtures: pytest finds them by their names here

pytestmark = pytest.mark.anyio

FAST = (0.0, 0.01, 0.02, 0.04, 0.08)
"""Pauses before the first looks where an exchange has settled within 0.8 s."""


@dataclass
class Timed(Desk):
    """Notes when it is asked; what it is asked to cancel never gets an answer where ``deaf``."""

    virtual: Virtual = field(default_factory=Virtual)
    settle: float = 0.8
    deaf: bool = False
    slow: float = 0.0
    """Seconds before it answers what it is asked."""
    sent: float = 0.0
    asked: list[float] = field(default_factory=list)

    async def place_order(self, order: OrderRequest) -> str:
        self.sent = self.virtual.runtime.clock.monotonic()
        return await super().place_order(order)

    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        self.sent = self.virtual.runtime.clock.monotonic()
        if self.deaf:
            await asyncio.Event().wait()
        return await super().cancel_order(market, order_id, client_order_id)

    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        self.asked.append(self.virtual.runtime.clock.monotonic() - self.sent)
        await anyio.sleep(self.slow)
        return await super().find_order(market, order_id, client_order_id)


def sums(*pauses: float) -> list[object]:
    return [pytest.approx(moment, abs=0.002) for moment in accumulate(pauses)]


async def told(virtual: Virtual, placing: object) -> tuple[object, float]:
    """(what came back, after how many seconds)."""
    clock = virtual.runtime.clock
    start = clock.monotonic()
    (found,) = await asyncio.gather(placing, return_exceptions=True)  # type: ignore[call-overload]
    return found, clock.monotonic() - start


async def test_a_lost_order_is_asked_for_ever_more_rarely_and_again_when_the_exchange_has_settled(
    virtual: Virtual, tmp_path: Path
) -> None:
    desk = Timed(virtual=virtual)
    desk.script.append("drop_before")
    async with opened(virtual, tmp_path, deadline=60) as room:
        assert isinstance(await failure(lambda: room.place(desk)), Refused)
    assert desk.asked[:14] == sums(*FAST, *[0.08] * 8, 0.01)
    assert desk.asked[-1] < 0.82


async def test_the_looking_ends_when_nothing_can_be_proven_and_the_order_is_listed(
    virtual: Virtual, tmp_path: Path
) -> None:
    desk = Timed(virtual=virtual)
    desk.script.append("drop_before")
    desk.finds.extend(["fail"] * 1000)
    async with opened(virtual, tmp_path, deadline=60, reconcile=0.7) as room:
        assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
        assert [row.state for row in await room.journal.undecided()] == [rows.UNRESOLVED]
    assert desk.asked[13:] == sums(0.8, *FAST[1:4], *[0.04] * 16)


@pytest.mark.parametrize(("settle", "pauses"), [(0.02, (0.0, 0.005, 0.01, 0.005)), (0.0, (0.0, 0.005, 0.01))])
async def test_not_there_is_believed_after_three_looks_and_the_window(
    room: Room, virtual: Virtual, settle: float, pauses: Sequence[float]
) -> None:
    desk = Timed(virtual=virtual, settle=settle)
    desk.script.append("drop_before")
    assert isinstance(await failure(lambda: room.place(desk)), Refused)
    assert desk.asked[: len(pauses)] == sums(*pauses)
    assert len(desk.asked) <= len(pauses) + 1


async def test_a_quick_answer_leaves_the_next_question_its_short_limit(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual, settle=20.0)
    desk.script.append("drop_after")
    desk.finds.extend(["fail", "hang"])
    async with opened(virtual, tmp_path, deadline=3.2) as room:
        assert (await room.place(desk)).order_id == "1000"
    assert desk.asked == sums(0.0, 0.25, 0.8 + 0.5)


async def test_a_slow_answer_doubles_the_time_that_the_next_question_has(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual, settle=20.0, slow=0.6)
    desk.script.append("drop_after")
    desk.finds.extend(["fail", "hang"])
    async with opened(virtual, tmp_path, deadline=3.2) as room:
        assert (await room.place(desk)).order_id == "1000"
    assert desk.asked == sums(0.0, 0.6 + 0.25, 1.2 + 0.5)


async def test_a_cancel_without_an_answer_is_looked_up_until_its_deadline(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual, deaf=True)
    async with opened(virtual, tmp_path, deadline=8) as room:
        await room.place(desk)
        error, seconds = await told(virtual, room.orders.cancel(desk, None, "1000", ""))
    assert isinstance(error, OutcomeUnknown)
    assert seconds == pytest.approx(8)
    assert desk.asked[:10] == sums(4.8, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 0.93)
    assert len(desk.asked) <= 11


async def test_a_cancel_without_an_answer_is_told_when_it_shows(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual, deaf=True)
    async with opened(virtual, tmp_path, deadline=8) as room:
        await room.place(desk)
        desk.finds.extend(["fail", "missing"])
        desk.end("1000", "filled")
        found, _ = await told(virtual, room.orders.cancel(desk, None, "1000", ""))
    assert found == CancelResult(status="filled")
    assert desk.asked == sums(4.8, 0.01, 0.02)


@pytest.mark.parametrize(
    ("ago", "seen", "left"), [(0.3, 0.3, 0.48), (5.0, 5.0, 0.01), (-60.0, 0.3, 0.78), (5.0, 0.3, 0.48)]
)
async def test_after_a_restart_not_there_is_believed_when_the_send_must_have_settled(
    virtual: Virtual, tmp_path: Path, ago: float, seen: float, left: float
) -> None:
    """0.4 x the deadline of 0.7 for the send, 0.5 s for the exchange. ``ago`` by this machine's clock, which may have
    been set since; ``seen`` by the journal's own."""
    desk = Timed(virtual=virtual, settle=0.5)
    async with opened(virtual, tmp_path, reconcile=3) as room:
        desk.script.append("not_sent")
        await failure(lambda: room.place(desk))
        row = await room.journal.by_key(desk.identity, "k:k")
        assert row is not None
        sent, witnessed = int((room.clock.time() - ago) * 1000), row.witnessed - int(seen * 1000)
        room.rewrite(row, state=rows.SENT, sent=sent, witnessed=witnessed)
        _, seconds = await told(virtual, room.orders.reconcile(desk))
        assert seconds == pytest.approx(left, abs=0.02)
        assert (await room.journal.show(row.id)).state == rows.REFUSED  # type: ignore[union-attr]


async def test_a_start_keeps_what_it_found_though_the_disk_fails(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual)
    async with opened(virtual, tmp_path) as room:
        desk.gate = asyncio.Event()
        request = asyncio.ensure_future(room.place(desk))
        await desk.reached()
        room.tasks.cancel_scope.cancel()
    await asyncio.gather(request, return_exceptions=True)
    async with opened(virtual, tmp_path) as room:
        (row,) = await room.journal.undecided(desk.identity)
        desk.ledger.append(structs.replace(foreign(room.clock.time(), "7"), client_order_id=row.client_order_id))
        room.broken.add("journal.outcome")
        await room.orders.reconcile(desk)
        assert (await room.place(desk)).order_id == "7"
    assert desk.sends == 1


async def test_an_outcome_is_written_three_times_before_it_is_told_without(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual)
    async with opened(virtual, tmp_path, deadline=60) as room:
        room.broken.add("journal.outcome")
        placed, seconds = await told(virtual, room.place(desk))
        assert isinstance(placed, Placed)
        assert seconds == pytest.approx(0.55)
        room.tasks.start_soon(_mend, room, 0.3)
        placed, seconds = await told(virtual, room.place(desk, key="other"))
        assert seconds == pytest.approx(0.55)
        row = await room.journal.by_key(desk.identity, "k:other")
        assert row is not None and (row.state, row.order_id) == (rows.PLACED, "1001")


@pytest.mark.parametrize(("happens", "known"), [("accept", 0.0), ("drop_after", 0.39)])
async def test_a_gateway_that_is_torn_down_still_tries_again_to_write_what_it_knows(
    virtual: Virtual, tmp_path: Path, happens: str, known: float
) -> None:
    desk = Timed(virtual=virtual)
    desk.script.append(happens)
    desk.finds.extend(["fail"] * 7)
    async with opened(virtual, tmp_path) as room:
        request = asyncio.ensure_future(room.place(desk))
        await desk.reached()
        await anyio.sleep(max(known - 0.02, 0.0))
        room.broken.add("journal.outcome")
        await anyio.sleep(0.04)
        room.broken.clear()
    await asyncio.gather(request, return_exceptions=True)
    async with opened(virtual, tmp_path) as room:
        row = await room.journal.by_key(desk.identity, "k:k")
        assert row is not None and (row.state, row.order_id) == (rows.PLACED, "1000")


async def test_a_stop_that_gives_up_waiting_cuts_no_order_that_the_disk_holds_up(room: Room) -> None:
    desk = Desk()
    room.held["journal.intent"] = threading.Event()
    request = asyncio.ensure_future(room.place(desk))
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    assert await room.orders.drain(0.01) is False
    room.held.pop("journal.intent").set()
    await desk.reached()  # Nobody waits, so no time passes until the disk's thread has woken up.
    assert (await request).order_id == "1000"


async def test_a_cancel_that_is_torn_down_may_have_been_sent(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual, deaf=True)
    async with opened(virtual, tmp_path, deadline=60) as room:
        cancelling = asyncio.ensure_future(room.orders.cancel(desk, None, "1000", ""))
        while not desk.sent:
            await anyio.lowlevel.checkpoint()
    done, _ = await asyncio.wait([cancelling], timeout=1)
    (error,) = [each.exception() for each in done]
    assert isinstance(error, OutcomeUnknown) and error.reason == "CANCEL_OUTCOME_UNKNOWN"
    assert "shutting down" in error.message


async def test_an_order_whose_caller_left_is_not_sent_after_its_deadline_either(room: Room) -> None:
    desk = Desk()
    room.held["journal.sent"] = threading.Event()
    request = asyncio.ensure_future(room.place(desk))
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    request.cancel()
    await anyio.sleep(1)
    room.held.pop("journal.sent").set()
    while (row := await room.journal.by_key(desk.identity, "k:k")) is None or row.state != rows.NOT_SENT:
        await anyio.lowlevel.checkpoint()
    assert desk.sends == 0


async def _mend(room: Room, seconds: float) -> None:
    await anyio.sleep(seconds)
    room.broken.clear()


async def test_an_order_found_after_its_caller_was_told_unknown_is_told_when_it_asks_again(
    virtual: Virtual, tmp_path: Path
) -> None:
    desk = Timed(virtual=virtual)
    desk.script.append("drop_after")
    desk.finds.extend(["fail"] * 20)
    async with opened(virtual, tmp_path, reconcile=20) as room:
        assert isinstance(await failure(lambda: room.place(desk, key="", client_order_id="mine")), OutcomeUnknown)
        await anyio.sleep(5)
        row = await room.journal.by_key(desk.identity, "c:mine")
        assert row is not None and (row.state, row.delivered) == (rows.PLACED, 0)
        assert (await room.place(desk, key="", client_order_id="mine")).order_id == "1000"
        row = await room.journal.show(row.id)
        assert row is not None and row.delivered > 0


async def test_a_stop_does_not_wait_for_an_order_that_is_only_looked_for(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual, settle=100.0)
    desk.script.append("drop_before")
    async with opened(virtual, tmp_path, reconcile=100) as room:
        assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
        reached, seconds = await told(virtual, room.orders.drain(50))
        assert reached is True
        assert seconds == pytest.approx(0)
        looks = desk.looks
        await anyio.sleep(20)
        assert desk.looks <= looks + 1, "the looking goes on after the stop"


async def test_after_a_restart_new_orders_need_no_reading_of_the_journal(room: Room) -> None:
    desk = Desk()
    await room.orders.reconcile(desk)
    room.broken.add("journal.read")
    assert (await room.place(desk)).order_id == "1000"


async def test_two_starts_of_one_account_at_once_end_both(virtual: Virtual, tmp_path: Path) -> None:
    desk = Timed(virtual=virtual)
    desk.script.append("drop_before")
    desk.finds.extend(["fail"] * 1000)
    async with opened(virtual, tmp_path, reconcile=5) as room:
        await failure(lambda: room.place(desk))
        first = asyncio.ensure_future(room.orders.reconcile(desk))
        await anyio.sleep(2)
        second = asyncio.ensure_future(room.orders.reconcile(desk))
        await first
        assert not second.done()
        new = asyncio.ensure_future(room.place(desk, key="new"))
        await anyio.sleep(0.01)
        assert (desk.sends, second.done()) == (1, False)
        await second
        assert (await new).order_id == "1000"
