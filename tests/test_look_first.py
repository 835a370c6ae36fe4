"""A journal that has lost rows: an order with a key is looked for at the exchange, and none is sent twice."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from msgspec import structs

from exgate_core.errors import ExGateError, OutcomeUnknown
from exgate_core.freezes import MOST, Freezes
from exgate_core.models import Market, Order
from exgate_core.orders import Placed
from tests.support.desk import RECOVERABLE, Desk
from tests.support.room import Room, anyio_backend, failure, opened, virtual
from tests.support.virtual import Virtual

__all__ = ["anyio_backend", "virtual"]  # fixtures: pytest finds them by their names here

pytestmark = pytest.mark.anyio

ways = pytest.mark.parametrize("way", [{"key": "k"}, {"key": "", "client_order_id": "mine"}], ids=["key", "client id"])


@dataclass
class Late(Desk):
    """Lists an order only so many seconds after it was sent."""

    after: float = 0.0

    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        found = await super().find_order(market, order_id, client_order_id)
        return [order for order in found if self.time() * 1000 >= order.time + self.after * 1000]


async def placed_and_lost(virtual: Virtual, path: Path, desk: Desk, way: dict[str, str]) -> None:
    """An order is placed; then the gateway dies, and its journal is gone."""
    async with opened(virtual, path) as room:
        await room.place(desk, **way)
    (path / "journal.db").unlink()


async def told(room: Room, desk: Desk, way: dict[str, str]) -> Placed | ExGateError:
    try:
        return await room.place(desk, **way)
    except ExGateError as error:
        return error


@ways
@pytest.mark.parametrize("deadline", [0.5, 5.0])
async def test_an_order_that_shows_late_is_not_sent_again(
    virtual: Virtual, tmp_path: Path, way: dict[str, str], deadline: float
) -> None:
    desk = Late(time=virtual.runtime.clock.time, ahead=0.0, settle=2.0, after=1.5)
    await placed_and_lost(virtual, tmp_path, desk, way)
    async with opened(virtual, tmp_path, deadline=deadline) as room:
        answer = await told(room, desk, way)
        if deadline < desk.settle:
            assert isinstance(answer, OutcomeUnknown)
            await anyio.sleep(desk.settle)
            answer = await told(room, desk, way)
        assert isinstance(answer, Placed) and answer.order_id == "1000"
        await anyio.sleep(desk.settle)
        began = virtual.runtime.clock.monotonic()
        assert (await room.place(desk, "new")).order_id == "1001"
        assert virtual.runtime.clock.monotonic() - began < 0.5, "seconds; later there is nothing to wait for"
    assert len(desk.ledger) == 2


@ways
@pytest.mark.parametrize("recovery", ["open", "none"])
async def test_where_an_exchange_can_not_say_nothing_is_sent(
    virtual: Virtual, tmp_path: Path, way: dict[str, str], recovery: str
) -> None:
    desk = Desk(capabilities=structs.replace(RECOVERABLE, order_recovery=recovery), time=virtual.runtime.clock.time)
    await placed_and_lost(virtual, tmp_path, desk, way)
    for _ in range(2):
        async with opened(virtual, tmp_path) as room:
            await room.orders.reconcile(desk)
            found = await told(room, desk, way)
            assert isinstance(found, OutcomeUnknown) == (recovery == "none")
            error = await failure(lambda: room.place(desk, "new"))
            assert isinstance(error, OutcomeUnknown)
            assert len(desk.ledger) == desk.sends == 1


async def test_callers_of_one_key_and_a_start_look_together(virtual: Virtual, tmp_path: Path) -> None:
    desk = Desk(time=virtual.runtime.clock.time, ahead=0.0)
    await placed_and_lost(virtual, tmp_path, desk, {"key": "k"})
    answers: list[Placed | ExGateError] = []

    async def ask(room: Room, key: str) -> None:
        answers.append(await told(room, desk, {"key": key}))

    async with opened(virtual, tmp_path) as room, anyio.create_task_group() as tasks:
        tasks.start_soon(room.orders.reconcile, desk)
        for key in "kkkxx":
            tasks.start_soon(ask, room, key)
    assert sorted(answer.order_id for answer in answers if isinstance(answer, Placed)) == ["1000"] * 3 + ["1001"] * 2
    assert len(desk.ledger) == 2


async def test_a_look_that_froze_the_process_is_counted_and_not_repeated_for_ever(
    virtual: Virtual, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "exgate.orders")
    desk = Desk(time=virtual.runtime.clock.time, ahead=0.0)
    await placed_and_lost(virtual, tmp_path, desk, {"key": "k"})
    path = tmp_path / "lookups.json"
    for run in range(MOST + 1):
        freezes = Freezes(path, froze=run > 0)
        freezes.begin()
        async with opened(virtual, tmp_path, freezes=freezes) as room:
            desk.finds.extend(["hang"] * 9)
            async with anyio.create_task_group() as tasks:
                looks = desk.looks
                tasks.start_soon(told, room, desk, {"key": "k"})
                await anyio.sleep(0.1)
                assert (desk.looks > looks) == (run < MOST)
                kept = path.read_bytes()
                tasks.cancel_scope.cancel()
        path.write_bytes(kept)  # a frozen process tidies nothing up
    assert "it is not asked for any more" in caplog.text
    assert desk.sends == 1
