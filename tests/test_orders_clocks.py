"""Orders on a machine whose clock is wrong: what was placed is found, and nothing old passes for it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from exgate_core import rows
from exgate_core.errors import OutcomeUnknown, Refused
from exgate_core.models import Market, Order, OrderRequest
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


async def test_a_client_id_that_was_made_for_one_order_alone_is_enough_whatever_the_date(
    virtual: Virtual, tmp_path: Path
) -> None:
    desk = Dated(time=virtual.runtime.clock.time, ahead=0.0, settle=0.1, zone=-24 * 300)
    desk.script.append("drop_after")
    async with opened(virtual, tmp_path) as room:
        assert (await room.place(desk, key="")).order_id == "1000"


@wrong
async def test_an_order_that_something_on_the_way_sent_twice_is_placed(
    virtual: Virtual, tmp_path: Path, wrong: float
) -> None:
    for desk in (measured(virtual), Desk(identity="fake:blind", time=virtual.runtime.clock.time, settle=0.3)):
        desk.script.append("twice")
        async with opened(virtual, tmp_path) as room:
            room.clock.ahead = wrong
            if desk.ahead is None and wrong > 0:
                assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)  # noqa: B023  # called at once
            else:
                assert (await room.place(desk)).order_id == "1000"


@given(
    wrong=st.floats(-400 * DAY, 400 * DAY),
    told=st.none() | st.floats(-3.0, 3.0),
    grain=st.sampled_from([1, 1000, 60_000, int(DAY * 1000)]),
    zone=st.integers(-12, 14),
    happens=st.sampled_from(["drop_after", "twice"]),
)
@settings(max_examples=30, deadline=None)
def test_whatever_clocks_and_dates_say_a_placed_order_is_never_refused(
    wrong: float, told: float | None, grain: int, zone: int, happens: str
) -> None:
    """``told``: by how many seconds the exchange's clock was measured wrongly, if it was; ``grain``: what its dates are
    rounded to, in ms; ``zone``: the hours by which they are read wrongly."""
    virtual = Virtual()
    clock = virtual.runtime.clock
    desk = Dated(time=clock.time, ahead=told, settle=0.1, grain=grain, zone=zone)
    desk.script.append(happens)

    async def main(path: Path) -> None:
        async with opened(virtual, path, deadline=0.3, reconcile=0.3) as room:
            room.clock.ahead = wrong
            try:
                assert (await room.place(desk)).order_id == "1000"
            except OutcomeUnknown:
                assert told is None or grain > 60_000 or zone < 0, "an exact date on a clock that was measured"

    with tempfile.TemporaryDirectory() as folder:
        virtual.run(main(Path(folder)))
    assert len(desk.ledger) == 1


@dataclass
class Dated(Desk):
    """Dates orders as carelessly as some exchanges do."""

    grain: int = 1
    zone: int = 0

    def accept(self, order: OrderRequest) -> str:
        made = super().accept(order)
        date = self.ledger[-1].time // self.grain * self.grain + self.zone * 3_600_000
        self.ledger[-1] = structs.replace(self.ledger[-1], time=date)
        return made


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
