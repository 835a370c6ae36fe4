"""What a caller is told of an order that wasn't sent, may have been, or was another's: outcome, reason and wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import anyio
import pytest
from msgspec import structs

from exgate_core import outcomes
from exgate_core.errors import Aborted, AlreadyExists, ExGateError, NotSent, OutcomeUnknown, Refused
from exgate_core.models import CancelResult, Market, Order, OrderRequest
from exgate_core.orders import Placed
from tests.support.desk import BTC, Desk
from tests.support.room import Room, anyio_backend, failure, foreign, room, virtual

__all__ = ["anyio_backend", "room", "virtual"]  # fixtures: pytest finds them by their names here

pytestmark = pytest.mark.anyio


async def test_what_cannot_be_read_is_unknown_in_words_and_in_metadata(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    room.broken.update({"journal.intent", "journal.read"})
    error = await failure(lambda: room.place(desk))
    assert (type(error), error.metadata["outcome"]) == (OutcomeUnknown, "unknown")
    assert "nobody can tell whether an earlier request" in error.message
    assert error.message.endswith("It may have been sent.")


async def test_an_id_that_another_undecided_order_has_is_told_as_not_sent(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    first = asyncio.ensure_future(room.place(desk, key="one", client_order_id="same"))
    await desk.reached()
    error = await failure(lambda: room.place(desk, key="two", client_order_id="same"))
    assert (type(error), error.reason) == (Aborted, "CLIENT_ORDER_ID_IN_FLIGHT")
    assert error.metadata == {"outcome": "not-sent", "exchange": "fake"}
    desk.gate.set()
    assert (await first).order_id == "1000"


async def test_another_order_under_a_key_that_is_in_use_is_refused(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    first = asyncio.ensure_future(room.place(desk))
    await desk.reached()
    error = await failure(lambda: room.place(desk, amount="2"))
    assert (error.reason, error.metadata["outcome"]) == ("IDEMPOTENCY_KEY_REUSED", "refused")
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


async def test_a_cancel_by_either_id_names_both_to_the_exchange(room: Room) -> None:
    named: list[tuple[Market | None, str, str]] = []

    class Noting(Desk):
        async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
            named.append((market, order_id, client_order_id))
            raise Refused("not now")

    desk = Noting()
    placed = await room.place(desk, client_order_id="mine")
    for order_id, client_order_id in (("1000", ""), ("", "mine")):
        error = await failure_of(room.orders.cancel(desk, None, order_id, client_order_id))
        assert error.metadata["client_order_id"] == placed.client_order_id
        assert int(error.metadata["sent_at_ms"]) > 0
    assert named == [(BTC, "1000", "mine")] * 2


async def failure_of(asking: Awaitable[object]) -> ExGateError:
    with pytest.raises(ExGateError) as caught:
        await asking
    return caught.value


async def test_an_order_without_any_id_is_told_which_one_is_wanted(room: Room) -> None:
    for asked in (room.orders.cancel(Desk(), None, "", ""), room.orders.find(Desk(), None, "", "")):
        error = await failure_of(asked)
        assert [violation.field for violation in error.violations] == ["order_id"]


async def test_a_stop_waits_for_an_order_whose_caller_has_left(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    request = asyncio.ensure_future(room.place(desk))
    await desk.reached()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert await room.orders.drain(0.01) is False
    desk.gate.set()
    assert await room.orders.drain(5) is True
    assert (await room.place(desk)).order_id == "1000"


async def test_a_stop_waits_for_the_last_of_those_who_wait_for_a_lost_order(room: Room) -> None:
    desk = Desk(settle=100.0)
    desk.script.append("drop_before")
    requests = [asyncio.ensure_future(room.place(desk)) for _ in range(2)]
    while not desk.looks:
        await anyio.lowlevel.checkpoint()
    requests[0].cancel()
    await asyncio.gather(requests[0], return_exceptions=True)
    assert await room.orders.drain(0.01) is False
    requests[1].cancel()
    await asyncio.gather(requests[1], return_exceptions=True)
    assert await room.orders.drain(0.01) is True


async def test_an_order_that_this_gateway_did_not_send_is_found_and_cancelled_by_its_client_id(room: Room) -> None:
    desk = Desk()
    desk.ledger.append(foreign(room.clock.time(), "7", "theirs"))
    assert (await room.orders.find(desk, None, "", "theirs")).order_id == "7"
    assert (await room.orders.cancel(desk, BTC, "", "theirs")).status == "canceled"


async def test_a_lost_connection_without_a_wait_of_its_own_says_one_second(room: Room) -> None:
    desk = Desk()
    desk.script.append("not_sent")
    error = await failure(lambda: room.place(desk))
    assert (type(error), error.retry_after) == (NotSent, 1.0)


async def test_an_outcome_that_is_known_here_is_not_asked_for_again(room: Room) -> None:
    desk = Desk()
    room.broken.add("journal.outcome")
    first = await room.place(desk, client_order_id="mine")
    again = await room.place(desk, key="", client_order_id="mine")
    assert (again.order_id, desk.sends, desk.looks) == (first.order_id, 1, 0)
    assert again.replayed is not None


async def test_finding_an_undecided_order_asks_once(room: Room) -> None:
    desk = Desk()
    desk.script.append("drop_after")
    desk.finds.extend(["fail"] * 1000)
    assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
    desk.finds.clear()
    looks = desk.looks
    assert (await room.orders.find(desk, None, "", desk.ledger[0].client_order_id)).order_id == "1000"
    assert desk.looks == looks + 1


async def test_an_order_that_is_shown_without_its_id_is_no_other_one(room: Room) -> None:
    class Nameless(Desk):
        async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
            found = await super().find_order(market, order_id, client_order_id)
            return [structs.replace(order, order_id="") for order in found]

    desk = Nameless()
    desk.script.extend(["drop_after", "refuse"])
    assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
    assert isinstance(await failure(lambda: room.place(desk, key="later")), Refused)
    assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
    assert desk.sends == 2


async def test_after_a_day_a_used_key_is_refused_without_an_id_that_there_is_not(room: Room) -> None:
    desk = Desk()
    desk.script.append("refuse")
    await failure(lambda: room.place(desk))
    await room.place(desk, key="placed")
    await anyio.sleep(24 * 3600 - 2)
    assert isinstance(await failure(lambda: room.place(desk)), Refused)
    assert (await room.place(desk, key="placed")).order_id == "1000"
    await anyio.sleep(4)
    refused, placed = await failure(lambda: room.place(desk)), await failure(lambda: room.place(desk, key="placed"))
    assert (type(refused), refused.metadata.get("order_id")) == (AlreadyExists, None)
    assert (type(placed), placed.metadata.get("order_id")) == (AlreadyExists, "1000")
    assert desk.sends == 2


@pytest.mark.parametrize(
    ("older", "kind", "blind"),
    [
        (60_000, Placed, Placed),
        (60_001, OutcomeUnknown, OutcomeUnknown),
        (48 * 3_600_000, OutcomeUnknown, OutcomeUnknown),
        (48 * 3_600_000 + 1, Refused, OutcomeUnknown),
        (-1_000_000_000_000, Placed, Placed),
        (-1_000_000_000_001, Refused, OutcomeUnknown),
    ],
)
async def test_how_old_an_order_with_our_id_may_be_to_be_ours(
    room: Room, older: int, kind: type[object], blind: type[object]
) -> None:
    """``older``: ms before the send; below zero a time itself, 10^12 being no time in ms. ``blind``: what it is where
    nobody compared the clocks."""

    class Aged(Desk):
        async def place_order(self, order: OrderRequest) -> str:
            shown = int(room.clock.time() * 1000) - older if older > 0 else -older
            self.ledger.append(structs.replace(foreign(0.0, "7", order.client_order_id), time=shown))
            raise ConnectionResetError

    for ahead, expected in ((0.0, kind), (None, blind)):
        desk = Aged(time=room.clock.time, ahead=ahead, identity=f"fake:{ahead}")
        [told] = await asyncio.gather(room.place(desk), return_exceptions=True)
        assert type(told) is expected


@pytest.mark.parametrize(
    ("older", "ahead", "kind"),
    [
        (48 * 3_600_000, 0.0, OutcomeUnknown),
        (48 * 3_600_000 + 1, 0.0, AlreadyExists),
        (48 * 3_600_000 + 1, None, OutcomeUnknown),
    ],
)
async def test_how_old_an_order_must_be_to_be_the_one_that_ours_is_called_a_double_of(
    room: Room, older: int, ahead: float | None, kind: type[object]
) -> None:
    class Taken(Desk):
        async def place_order(self, order: OrderRequest) -> str:
            shown = int(room.clock.time() * 1000) - older
            self.ledger.append(structs.replace(foreign(0.0, "7", order.client_order_id), time=shown))
            return await super().place_order(order)

    desk = Taken(time=room.clock.time, ahead=ahead)
    desk.script.append("duplicate")
    assert type(await failure(lambda: room.place(desk))) is kind


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        ({"type": "market", "price": "5"}, Placed),
        ({"price": "0"}, Placed),
        ({"price": "5"}, OutcomeUnknown),
        ({"amount": "0"}, Placed),
        ({"amount": "2"}, OutcomeUnknown),
    ],
)
async def test_price_and_amount_are_compared_where_both_tell_them(
    room: Room, shown: dict[str, str], kind: type[object]
) -> None:
    class Odd(Desk):
        async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
            return [structs.replace(order, **shown) for order in self.ledger]

    desk = Odd()
    desk.script.append("drop_after")
    for _ in range(2):
        [told] = await asyncio.gather(room.place(desk), return_exceptions=True)
        assert type(told) is kind
    assert desk.sends == 1


async def test_an_exchanges_text_is_told_up_to_three_hundred_characters(room: Room) -> None:
    class Wordy(Desk):
        async def place_order(self, order: OrderRequest) -> str:
            raise NotSent("x" * 301)

    error = await failure(lambda: room.place(Wordy()))
    assert f" {'x' * 300}. Nothing was sent." in error.message


def test_what_was_added_to_an_error_on_its_way_is_told() -> None:
    error = NotSent("no route")
    error.message = "no route to the exchange. Nothing was sent."
    assert outcomes.text_of(error) == "no route to the exchange"
    assert outcomes.text_of(ValueError("  two\nlines. ")) == "two lines"
    assert outcomes.text_of(ValueError()) == "ValueError"


async def test_a_refusal_without_words_in_the_journal_is_one_all_the_same(room: Room) -> None:
    desk = Desk()
    desk.script.append("refuse")
    await failure(lambda: room.place(desk))
    row = await room.journal.by_key(desk.identity, "k:k")
    assert row is not None
    room.rewrite(row, answer="")
    error = await failure_of(room.place(desk))
    assert (type(error), error.message, error.metadata["outcome"]) == (Refused, "no order was placed", "refused")
