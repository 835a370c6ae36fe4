"""Orders end in one of three outcomes, each proven by the exchange's own ledger; none is lost or doubled."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from msgspec import structs

from exgate_core import rows
from exgate_core.contract import PlaceBody
from exgate_core.errors import (
    Aborted,
    AlreadyExists,
    ExGateError,
    InvalidArgument,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
)
from exgate_core.fetch import other_order
from exgate_core.journal import no_step
from exgate_core.models import AccountCapabilities, ClientIds, Market, Order, OrderRequest
from exgate_core.orders import Placed
from tests.support.desk import BTC, RECOVERABLE, Desk
from tests.support.room import Room, anyio_backend, failure, foreign, opened, room, virtual
from tests.support.virtual import Virtual

__all__ = ["anyio_backend", "room", "virtual"]  # fixtures: pytest finds them by their names here

pytestmark = pytest.mark.anyio


async def test_a_placed_order_has_its_id_and_the_client_id_that_went_upstream(room: Room) -> None:
    desk = Desk()
    placed = await room.place(desk, client_order_id="bot-1")
    assert (placed.order_id, placed.client_order_id, placed.replayed) == ("1000", "bot-1", None)
    assert desk.ledger[0].client_order_id == "bot-1"


@pytest.mark.parametrize(
    ("happens", "kind", "outcome", "in_ledger"),
    [
        ("refuse", Refused, "refused", 0),
        ("not_sent", NotSent, "not-sent", 0),
        ("limited", RateLimited, "not-sent", 0),
        ("drop_before", Refused, "refused", 0),
        ("bug", Refused, "refused", 0),
        ("hang_before", Refused, "refused", 0),
        ("duplicate", Refused, "refused", 0),
    ],
)
async def test_an_order_that_is_not_there_is_never_called_placed_or_unknown(
    room: Room, happens: str, kind: type[ExGateError], outcome: str, in_ledger: int
) -> None:
    desk = Desk()
    desk.script.append(happens)
    error = await failure(lambda: room.place(desk))
    assert type(error) is kind
    assert error.metadata["outcome"] == outcome
    assert error.metadata["exchange"] == "fake"
    assert error.metadata["client_order_id"]
    assert int(error.metadata["sent_at_ms"]) > 0
    assert (desk.sends, len(desk.ledger)) == (1, in_ledger)


@pytest.mark.parametrize("happens", ["drop_after", "empty", "none", "number", "hang_after", "stubborn", "twice"])
async def test_an_order_that_is_there_is_found_after_a_useless_answer(room: Room, happens: str) -> None:
    desk = Desk()
    desk.script.append(happens)
    placed = await room.place(desk)
    assert placed.order_id == desk.ledger[0].order_id
    assert (desk.sends, len(desk.ledger)) == (1, 1)


async def test_an_order_that_was_taken_in_and_rejected_is_refused(room: Room) -> None:
    desk = Desk()
    desk.script.append("rejected")
    error = await failure(lambda: room.place(desk))
    assert (type(error), error.reason, error.metadata["order_id"]) == (Refused, "ORDER_REJECTED", "1000")


@pytest.mark.parametrize("change", [{"symbol": "BTCUSDT"}, {"side": "sell"}, {"client_order_id": "else"}])
async def test_what_an_adapter_shows_wrongly_is_never_called_not_there(room: Room, change: dict[str, str]) -> None:
    class Careless(Desk):
        async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
            return [structs.replace(order, **change) for order in self.ledger]

    desk = Careless()
    desk.script.append("drop_after")
    assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)


async def test_a_time_in_seconds_is_no_proof_of_age(room: Room) -> None:
    desk = Desk(time=lambda: room.clock.time() / 1000)
    desk.script.append("drop_after")
    assert (await room.place(desk)).order_id == "1000"


@pytest.mark.parametrize("key", ["ключ", "x" * 256, "a\nb"])
async def test_a_key_that_is_none_is_refused(room: Room, key: str) -> None:
    error = await failure(lambda: room.place(Desk(), key=key))
    assert isinstance(error, InvalidArgument)
    assert error.violations[0].field == "Idempotency-Key"


async def test_an_exchange_without_client_ids_takes_none(room: Room) -> None:
    desk = Desk(capabilities=AccountCapabilities(order_recovery="none"))
    error = await failure(lambda: room.place(desk, client_order_id="mine"))
    assert error.metadata["outcome"] == "refused"
    assert (await room.place(desk)).client_order_id == ""


async def test_a_rule_for_ids_that_cannot_be_met_sends_nothing(room: Room) -> None:
    desk = Desk(capabilities=structs.replace(RECOVERABLE, client_ids=ClientIds(pattern="never")))
    error = await failure(lambda: room.place(desk))
    assert (error.reason, error.metadata["outcome"], desk.sends) == ("BAD_CLIENT_ID_RULE", "not-sent", 0)


async def test_limits_and_lost_connections_say_when_to_ask_again(room: Room) -> None:
    desk = Desk()
    desk.script.extend(["limited", "not_sent"])
    limited = await failure(lambda: room.place(desk))
    lost = await failure(lambda: room.place(desk))
    assert limited.retry_after == 7
    assert lost.retry_after is not None
    assert (await room.place(desk)).order_id == "1000"
    assert desk.sends == 3


async def test_while_the_exchange_cannot_be_asked_the_outcome_is_unknown_and_found_later(room: Room) -> None:
    desk = Desk()
    desk.script.append("drop_after")
    desk.finds.extend(["fail"] * 40)
    error = await failure(lambda: room.place(desk))
    assert isinstance(error, OutcomeUnknown)
    assert error.metadata["outcome"] == "unknown"
    assert error.metadata["client_order_id"] == desk.ledger[0].client_order_id
    desk.finds.clear()
    assert (await room.place(desk)).order_id == "1000"
    assert desk.sends == 1


async def test_not_found_is_no_refusal_before_the_exchange_has_settled(room: Room) -> None:
    desk = Desk(settle=5.0)
    desk.script.append("drop_before")
    assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
    assert desk.looks >= 3


async def test_an_order_that_appears_late_is_found(room: Room) -> None:
    desk = Desk(settle=0.2)
    desk.script.append("drop_after")
    desk.finds.extend(["missing"] * 4)
    assert (await room.place(desk)).order_id == "1000"


@pytest.mark.parametrize("recovery", ["open", "none"])
async def test_where_lookups_prove_nothing_the_outcome_stays_unknown(room: Room, recovery: str) -> None:
    desk = Desk(capabilities=structs.replace(RECOVERABLE, order_recovery=recovery))
    desk.script.append("drop_before")
    for _ in range(2):
        assert isinstance(await failure(lambda: room.place(desk)), OutcomeUnknown)
    assert desk.sends == 1
    assert desk.looks == 0 or recovery == "open"


async def test_a_hundred_parallel_requests_with_one_key_are_one_order(room: Room) -> None:
    desk = Desk()
    placed = await asyncio.gather(*(room.place(desk) for _ in range(100)))
    assert {answer.order_id for answer in placed} == {"1000"}
    assert desk.sends == 1
    assert [answer.replayed for answer in placed].count(None) == 1


async def test_who_waits_too_long_for_another_request_is_told_to_come_back(virtual: Virtual, tmp_path: Path) -> None:
    async with opened(virtual, tmp_path, deadline=0.2) as room:
        desk = Desk(gate=asyncio.Event())
        outcomes = await asyncio.gather(room.place(desk), room.place(desk), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {OutcomeUnknown, Aborted, Placed, Refused}
        assert desk.sends == 1


async def test_a_replay_says_how_old_it_is(room: Room) -> None:
    desk = Desk()
    first = await room.place(desk)
    room.clock.ahead = 60.0
    again = await room.place(desk)
    assert again.order_id == first.order_id
    assert again.replayed == pytest.approx(60, abs=0.01)
    assert desk.sends == 1


async def test_a_refusal_is_replayed_under_its_key(room: Room) -> None:
    desk = Desk()
    desk.script.append("refuse")
    first = await failure(lambda: room.place(desk))
    again = await failure(lambda: room.place(desk))
    assert (type(again), again.message, again.reason) == (type(first), first.message, "INSUFFICIENT_BALANCE")
    assert desk.sends == 1


async def test_another_order_under_a_used_key_is_refused(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    for changed in ({"amount": "2"}, {"client_order_id": "x"}, {"round": "true"}):
        error = await failure(lambda changed=changed: room.place(desk, **changed))  # type: ignore[misc]
        assert isinstance(error, InvalidArgument)
        assert error.reason == "IDEMPOTENCY_KEY_REUSED"
    assert (await room.place(desk, amount="1.000")).order_id == "1000"
    assert desk.sends == 1


async def test_a_key_replays_for_a_day_then_conflicts(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    await anyio.sleep(25 * 3600)
    error = await failure(lambda: room.place(desk))
    assert isinstance(error, AlreadyExists)
    assert error.metadata["order_id"] == "1000"
    assert desk.sends == 1


async def test_a_client_id_without_a_key_is_for_one_order(room: Room) -> None:
    desk = Desk()
    await room.place(desk, key="", client_order_id="1")
    error = await failure(lambda: room.place(desk, key="", client_order_id="1"))
    assert isinstance(error, AlreadyExists)
    assert error.metadata == {"exchange": "fake", "client_order_id": "1", "outcome": "refused", "order_id": "1000"}
    assert desk.sends == 1


async def test_a_client_id_replays_an_outcome_that_was_never_delivered(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    with anyio.CancelScope() as leaving:
        async with anyio.create_task_group() as clients:
            clients.start_soon(lambda: room.place(desk, key="", client_order_id="1"))
            await desk.reached()
            leaving.cancel()
    desk.gate.set()
    while (await room.journal.by_key(desk.identity, "c:1")).state != rows.PLACED:  # type: ignore[union-attr]
        pass
    assert (await room.place(desk, key="", client_order_id="1")).order_id == "1000"
    assert isinstance(await failure(lambda: room.place(desk, key="", client_order_id="1")), AlreadyExists)
    assert desk.sends == 1


async def test_a_client_id_replays_what_was_first_told_as_unknown(room: Room) -> None:
    desk = Desk()
    desk.script.append("drop_after")
    desk.finds.extend(["fail"] * 50)
    assert isinstance(await failure(lambda: room.place(desk, key="", client_order_id="1")), OutcomeUnknown)
    desk.finds.clear()
    assert (await room.place(desk, key="", client_order_id="1")).order_id == "1000"
    assert desk.sends == 1


async def test_a_client_id_that_can_be_none_is_refused_by_its_name(room: Room) -> None:
    desk = Desk()
    for name in ("a b", "../x", "x" * 129):
        error = await failure(lambda name=name: room.place(desk, key="", client_order_id=name))  # type: ignore[misc]
        assert isinstance(error, InvalidArgument) and "options.client_order_id" in error.message
    assert (desk.sends, await room.journal.undecided()) == (0, [])


async def test_a_client_id_that_was_refused_may_be_used_again(room: Room) -> None:
    desk = Desk()
    desk.script.append("refuse")
    await failure(lambda: room.place(desk, key="", client_order_id="1"))
    assert (await room.place(desk, key="", client_order_id="1", amount="2")).order_id == "1000"


async def test_the_id_of_an_undecided_order_is_taken_whatever_the_key(room: Room) -> None:
    desk = Desk(settle=5.0)
    desk.script.append("drop_before")
    assert isinstance(await failure(lambda: room.place(desk, key="a", client_order_id="same")), OutcomeUnknown)
    other = await failure(lambda: room.place(desk, key="b", client_order_id="same"))
    assert isinstance(other, Aborted)
    same = await failure(lambda: room.place(desk, key="", client_order_id="same"))
    assert isinstance(same, OutcomeUnknown)
    assert desk.sends == 1


async def test_yesterdays_order_with_the_same_id_is_not_todays(room: Room) -> None:
    """Exchanges let a client id be used again after a fill: the old order must not pass for the lost new one."""
    desk = Desk(time=room.clock.time)
    await room.place(desk, key="yesterday", client_order_id="1")
    desk.end("1000", "filled")
    desk.script.append("drop_before")
    error = await failure(lambda: room.place(desk, key="today", client_order_id="1"))
    assert isinstance(error, Refused)
    assert error.reason == "ORDER_NEVER_ARRIVED"


async def test_a_foreign_order_with_the_same_id_is_not_ours(room: Room) -> None:
    desk = Desk(time=room.clock.time, ahead=0.0)
    desk.ledger.append(foreign(room.clock.time() - 3 * 86_400))
    desk.script.extend(["duplicate", "drop_before"])
    taken = await failure(lambda: room.place(desk, client_order_id="1"))
    assert isinstance(taken, AlreadyExists)
    assert taken.metadata["order_id"] == "7"
    assert isinstance(await failure(lambda: room.place(desk, key="k2", client_order_id="1")), Refused)


@pytest.mark.parametrize(("price", "amount", "age"), [("100.00", "2", 0), ("99.99", "1", 0), ("99.99", "1", 7200)])
async def test_an_order_of_another_size_with_the_same_id_is_never_called_ours(
    room: Room, price: str, amount: str, age: int
) -> None:
    desk = Desk()
    other = structs.replace(foreign(room.clock.time() - age), price=price, amount=amount)
    desk.ledger.append(other)
    desk.script.append("duplicate")
    error = await failure(lambda: room.place(desk, key="", client_order_id="1"))
    assert isinstance(error, AlreadyExists) and error.metadata["order_id"] == other.order_id
    desk.script.append("drop_before")
    assert isinstance(await failure(lambda: room.place(desk, key="k", client_order_id="1")), OutcomeUnknown)
    assert len(desk.ledger) == 1


@pytest.mark.parametrize("named", ["theirs", ""])
async def test_an_answer_that_names_another_order_is_judged_by_what_was_sent(room: Room, named: str) -> None:
    class Odd(Desk):
        async def place_order(self, order: OrderRequest) -> str:
            await super().place_order(order)
            raise other_order("https://exchange.example/order", "9999", named or self.answers)

        answers = ""

    desk = Odd()
    assert (await room.place(desk, key="odd")).order_id == "9999"  # nobody here has sent such a one
    desk.script.append("drop_before")
    desk.finds.extend(["fail"] * 200)
    assert isinstance(await failure(lambda: room.place(desk, key="lost", client_order_id="theirs")), OutcomeUnknown)
    assert isinstance(await failure(lambda: room.place(desk, key="next")), OutcomeUnknown)
    assert desk.sends == 3


async def test_the_same_number_in_another_spelling_is_the_same_order(room: Room) -> None:
    desk = Desk()
    desk.ledger.append(structs.replace(foreign(room.clock.time()), price="100.0", amount="1.000"))
    desk.script.append("duplicate")
    assert (await room.place(desk, key="", client_order_id="1")).order_id == "7"


async def test_an_order_that_is_only_a_little_too_old_decides_nothing(room: Room) -> None:
    desk = Desk()
    desk.ledger.append(foreign(room.clock.time() - 600))
    desk.script.append("drop_before")
    assert isinstance(await failure(lambda: room.place(desk, client_order_id="1")), OutcomeUnknown)


async def test_what_breaks_a_rule_is_refused_without_a_row(room: Room) -> None:
    desk = Desk()
    error = await failure(lambda: room.place(desk, amount="0.0001"))
    assert isinstance(error, InvalidArgument)
    assert error.metadata["outcome"] == "refused"
    assert (await room.place(desk)).order_id == "1000"


async def test_a_rule_that_changed_since_says_nothing_about_an_order_already_placed(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    halted = structs.replace(BTC, active=False)
    body = PlaceBody(symbol="BTC/USDT", side="buy", type="limit", price="100.00", amount="1")
    assert (await room.orders.place(desk, halted, body, "k")).order_id == "1000"
    error = await failure(lambda: room.orders.place(desk, halted, body, "new"))
    assert error.reason == "MARKET_INACTIVE"


async def test_client_ids_of_keys_are_the_same_on_every_machine(virtual: Virtual, tmp_path: Path) -> None:
    made = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with opened(virtual, tmp_path / name) as room:
            made.add((await room.place(Desk(), key="order-1")).client_order_id)
    assert len(made) == 1
    assert re.fullmatch(ClientIds().pattern, made.pop())


def test_nothing_happens_at_a_step_outside_of_tests() -> None:
    no_step("anything")
