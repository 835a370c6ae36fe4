"""What a caller is told of an order that wasn't sent, may have been, or was another's: outcome, reason and wait."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from exgate_core.errors import Aborted, NotSent, OutcomeUnknown
from exgate_core.models import CancelResult, Market
from tests.support.desk import BTC, Desk
from tests.support.room import Room, anyio_backend, failure, room, virtual

__all__ = ["anyio_backend", "room", "virtual"]  # fixtures: pytest finds them by their names here

pytestmark = pytest.mark.anyio


async def test_what_cannot_be_read_is_unknown_in_words_and_in_metadata(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    room.broken.update({"journal.intent", "journal.read"})
    error = await failure(lambda: room.place(desk))
    assert (type(error), error.metadata["outcome"]) == (OutcomeUnknown, "unknown")
    assert error.message.endswith("It may have been sent.")


async def test_an_id_that_another_undecided_order_has_is_told_as_not_sent(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    first = asyncio.ensure_future(room.place(desk, key="one", client_order_id="same"))
    while not desk.sends:
        await anyio.lowlevel.checkpoint()
    error = await failure(lambda: room.place(desk, key="two", client_order_id="same"))
    assert (type(error), error.reason) == (Aborted, "CLIENT_ORDER_ID_IN_FLIGHT")
    assert error.metadata == {"outcome": "not-sent", "exchange": "fake"}
    desk.gate.set()
    assert (await first).order_id == "1000"


async def test_a_stop_waits_for_every_cancel(room: Room) -> None:
    gate = asyncio.Event()

    class Slow(Desk):
        async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
            if order_id == "1001":
                await gate.wait()
            return await super().cancel_order(market, order_id, client_order_id)

    desk = Slow()
    for key in ("one", "two"):
        await room.place(desk, key=key)
    await room.orders.cancel(desk, BTC, "1000", "")
    cancelling = asyncio.ensure_future(room.orders.cancel(desk, BTC, "1001", ""))
    await anyio.lowlevel.checkpoint()
    assert await room.orders.drain(0.01) is False
    gate.set()
    assert (await cancelling).status == "canceled"
    assert await room.orders.drain(0.01) is True


async def test_a_lost_connection_without_a_wait_of_its_own_says_one_second(room: Room) -> None:
    desk = Desk()
    desk.script.append("not_sent")
    error = await failure(lambda: room.place(desk))
    assert (type(error), error.retry_after) == (NotSent, 1.0)
