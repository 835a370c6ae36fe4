"""Orders on a machine whose clock is wrong: what was placed is found, and nothing old passes for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import structs

from exgate_core import rows
from exgate_core.errors import OutcomeUnknown, Refused
from exgate_core.models import Market, Order
from tests.support.desk import Desk
from tests.support.room import anyio_backend, failure, foreign, opened, virtual
from tests.support.virtual import Virtual

__all__ = ["anyio_backend", "virtual"]  # fixtures: pytest finds them by their names here

pytestmark = pytest.mark.anyio

HOUR, DAY = 3600.0, 86_400.0
wrong = pytest.mark.parametrize("wrong", [-2 * HOUR, 600.0, 2 * HOUR, 31 * DAY])
"""Seconds by which this machine's clock is ahead of the exchange's."""


def measured(virtual: Virtual, settle: float = 0.3) -> Desk:
    """An exchange in true time, whose clock was asked for."""
    return Desk(time=virtual.runtime.clock.time, ahead=0.0, settle=settle)


@wrong
async def test_an_order_whose_answer_was_lost_is_found(virtual: Virtual, tmp_path: Path, wrong: float) -> None:
    desk = measured(virtual, settle=20.0)
    desk.script.append("drop_after")
    async with opened(virtual, tmp_path) as room:
        room.clock.ahead = wrong
        assert (await room.place(desk)).order_id == "1000"
    assert (desk.sends, len(desk.ledger)) == (1, 1)


@wrong
async def test_an_order_that_never_arrived_is_refused(virtual: Virtual, tmp_path: Path, wrong: float) -> None:
    desk = measured(virtual)
    desk.script.append("drop_before")
    async with opened(virtual, tmp_path) as room:
        room.clock.ahead = wrong
        error = await failure(lambda: room.place(desk))
    assert (type(error), error.reason) == (Refused, "ORDER_NEVER_ARRIVED")


@wrong
@pytest.mark.parametrize(("age", "kind"), [(120.0, OutcomeUnknown), (5 * HOUR, OutcomeUnknown), (40 * DAY, Refused)])
async def test_an_older_order_of_the_same_client_id_and_content_is_never_told_as_the_new_one(
    virtual: Virtual, tmp_path: Path, wrong: float, age: float, kind: type[object]
) -> None:
    desk = measured(virtual)
    desk.script.append("drop_before")
    async with opened(virtual, tmp_path) as room:
        desk.ledger.append(structs.replace(foreign(desk.time() - age), status="filled"))
        room.clock.ahead = wrong
        assert type(await failure(lambda: room.place(desk, client_order_id="1"))) is kind


@wrong
async def test_a_clock_that_nobody_compared_makes_no_placed_order_a_refused_one(
    virtual: Virtual, tmp_path: Path, wrong: float
) -> None:
    desk = Desk(time=virtual.runtime.clock.time, settle=0.1)
    desk.script.extend(["drop_after", "drop_after"])
    async with opened(virtual, tmp_path, deadline=2) as room:
        room.clock.ahead = wrong
        if wrong < 0:
            assert (await room.place(desk)).order_id == "1000"
        else:
            assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
        assert (await room.place(desk, key="")).order_id == "1001", "a client id that was made for this order alone"


@pytest.mark.parametrize("told", [-1000 * DAY, 1000 * DAY])
async def test_an_exchange_that_tells_a_wrong_time_makes_no_placed_order_a_refused_one(
    virtual: Virtual, tmp_path: Path, told: float
) -> None:
    desk = Desk(time=virtual.runtime.clock.time, ahead=told, settle=0.1)
    desk.script.append("drop_after")
    async with opened(virtual, tmp_path) as room:
        placing = room.place(desk, client_order_id="1")
        if told < 0:
            assert (await placing).order_id == "1000"
        else:
            assert isinstance(await failure(lambda: placing), OutcomeUnknown)


@dataclass
class Late(Desk):
    """Lists an order only so many seconds after it was sent."""

    after: float = 0.0

    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        found = await super().find_order(market, order_id, client_order_id)
        return [order for order in found if self.time() * 1000 >= order.time + self.after * 1000]


@wrong
@pytest.mark.parametrize("asked", [0.0, None])
async def test_a_clock_that_was_set_right_before_the_restart_changes_no_outcome(
    virtual: Virtual, tmp_path: Path, wrong: float, asked: float | None
) -> None:
    """``asked``: whether the exchange's time was known again at once."""
    desk = Late(time=virtual.runtime.clock.time, ahead=0.0, settle=2.0, after=1.5)
    desk.script.append("drop_after")
    async with opened(virtual, tmp_path, reconcile=0.1) as room:
        room.clock.ahead = wrong
        assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
    desk.ahead = asked
    async with opened(virtual, tmp_path, reconcile=10) as room:
        await room.orders.reconcile(desk)
        row = await room.journal.by_key(desk.identity, "k:k")
    assert row is not None and (row.state, row.order_id) == (rows.PLACED, "1000")
