"""Orders end in one of three outcomes, each proven by the exchange's own ledger; none is lost or doubled."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from msgspec import structs

from exgate_core import rows
from exgate_core.clock import Runtime, SystemClock
from exgate_core.contract import PlaceBody
from exgate_core.errors import (
    Aborted,
    AlreadyExists,
    ExGateError,
    InvalidArgument,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
)
from exgate_core.journal import Journal, no_step
from exgate_core.models import AccountCapabilities, ClientIds, Order
from exgate_core.orders import Orders, Placed
from exgate_core.settings import Orders as Settings
from tests.support.desk import BTC, RECOVERABLE, Desk

pytestmark = pytest.mark.anyio
ENDINGS = ("Nothing was sent.", "It may have been sent.", "No order was placed.")


class Shifted:
    """The machine's clocks, and people's time moved by as much as a test says."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._real = SystemClock()

    def monotonic(self) -> float:
        return self._real.monotonic()

    def time(self) -> float:
        return self._real.time() + self.ahead


@dataclass
class Room:
    """A journal and its orders, and what a test breaks in them."""

    journal: Journal
    orders: Orders
    clock: Shifted
    broken: set[str]
    tasks: anyio.abc.TaskGroup

    async def place(self, desk: Desk, key: str = "k", amount: str = "1", **options: str) -> Placed:
        body = PlaceBody(
            symbol="BTC/USDT", side="buy", type="limit", price="100.00", amount=amount, options=dict(options)
        )
        return await self.orders.place(desk, BTC, body, key)


@asynccontextmanager
async def opened(path: Path, deadline: float = 0.4, reconcile: float = 0.4) -> AsyncIterator[Room]:
    broken: set[str] = set()
    clock = Shifted()

    def step(name: str) -> None:
        if name in broken:
            raise OSError(28, f"No space left on device at {name}")

    runtime = Runtime(clock=clock)
    async with Journal(path / "journal.db", step, clock) as journal, anyio.create_task_group() as tasks:
        settings = Settings(deadline=deadline, reconcile_deadline=reconcile)
        yield Room(journal, Orders(journal, runtime, tasks, settings, step=step), clock, broken, tasks)
        tasks.cancel_scope.cancel()


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with opened(tmp_path) as room:
        yield room


async def failure(placing: Callable[[], object]) -> ExGateError:
    with pytest.raises(ExGateError) as caught:
        await placing()  # type: ignore[misc]
    assert caught.value.message.endswith(ENDINGS), caught.value.message
    return caught.value


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


async def test_who_waits_too_long_for_another_request_is_told_to_come_back(tmp_path: Path) -> None:
    async with opened(tmp_path, deadline=0.2) as room:
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
    assert again.replayed == pytest.approx(60, abs=1)
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
    room.clock.ahead = 25 * 3600
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
            while not desk.sends:
                await anyio.lowlevel.checkpoint()
            leaving.cancel()
    desk.gate.set()
    while (await room.journal.by_client_id(desk.identity, "1")).state != rows.PLACED:  # type: ignore[union-attr]
        pass
    assert (await room.place(desk, key="", client_order_id="1")).order_id == "1000"
    assert isinstance(await failure(lambda: room.place(desk, key="", client_order_id="1")), AlreadyExists)
    assert desk.sends == 1


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


def foreign(seconds: float, order_id: str = "7", client_order_id: str = "1") -> Order:
    """An order of the account that this gateway knows nothing of."""
    return Order(
        order_id=order_id,
        symbol="BTC/USDT",
        side="buy",
        type="limit",
        price="1",
        amount="1",
        client_order_id=client_order_id,
        time=int(seconds * 1000),
    )


async def test_a_foreign_order_with_the_same_id_is_not_ours(room: Room) -> None:
    desk = Desk()
    desk.ledger.append(foreign(room.clock.time() - 86_400))
    desk.script.extend(["duplicate", "drop_before"])
    taken = await failure(lambda: room.place(desk, client_order_id="1"))
    assert isinstance(taken, AlreadyExists)
    assert taken.metadata["order_id"] == "7"
    assert isinstance(await failure(lambda: room.place(desk, key="k2", client_order_id="1")), Refused)


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
async def test_an_outcome_that_cannot_be_written_is_told_all_the_same(tmp_path: Path, happens: str) -> None:
    async with opened(tmp_path, deadline=3) as room:
        desk = Desk()
        desk.script.append(happens)
        room.broken.add("journal.outcome")
        if happens == "refuse":
            assert isinstance(await failure(lambda: room.place(desk)), Refused)
            assert isinstance(await failure(lambda: room.place(desk)), Refused)
        else:
            assert (await room.place(desk)).order_id == "1000"
            assert (await room.place(desk)).order_id == "1000"
    async with opened(tmp_path) as after:
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
    while not desk.sends:
        await anyio.lowlevel.checkpoint()
    request.cancel()
    desk.gate.set()
    assert (await room.place(desk)).order_id == "1000"
    assert desk.sends == 1


async def test_draining_refuses_new_orders_and_waits_for_those_under_way(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    under_way = asyncio.ensure_future(room.place(desk))
    while not desk.sends:
        await anyio.lowlevel.checkpoint()
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


async def test_draining_gives_up_at_its_deadline(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    request = asyncio.ensure_future(room.place(desk))
    while not desk.sends:
        await anyio.lowlevel.checkpoint()
    assert not await room.orders.drain(0.01)
    request.cancel()


async def leave_behind(path: Path, desk: Desk, *states: str) -> None:
    """The journal of a gateway that died: one row per state, with the keys 0, 1, ..."""
    async with opened(path) as room:
        for number, state in enumerate(states):
            desk.script.append("not_sent")
            await failure(lambda number=number: room.place(desk, key=str(number)))  # type: ignore[misc]
            row = await room.journal.by_key(desk.identity, f"k:{number}")
            assert row is not None
            connection = room.journal._connection
            assert connection is not None
            connection.execute("UPDATE orders SET state = ? WHERE id = ?", (state, row.id))


async def test_a_start_decides_what_the_last_run_left(tmp_path: Path) -> None:
    desk = Desk()
    await leave_behind(tmp_path, desk, rows.INTENT, rows.SENT, rows.UNKNOWN, rows.SENT)
    async with opened(tmp_path, deadline=0.1, reconcile=2) as room:
        lost = await room.journal.by_key(desk.identity, "k:3")
        assert lost is not None
        desk.ledger.append(foreign(room.clock.time(), "77", lost.client_order_id))
        sends = desk.sends
        await room.orders.reconcile(desk)
        states = [(await room.journal.by_key(desk.identity, f"k:{number}")).state for number in range(4)]  # type: ignore[union-attr]
        assert states == [rows.NOT_SENT, rows.REFUSED, rows.REFUSED, rows.PLACED]
        assert (await room.place(desk, key="3")).order_id == "77"
        assert desk.sends == sends


async def test_what_cannot_be_decided_is_listed_and_blocks_new_orders_only_until_the_deadline(tmp_path: Path) -> None:
    desk, other = Desk(), Desk(identity="fake:other")
    await leave_behind(tmp_path, desk, rows.SENT)
    async with opened(tmp_path, deadline=0.3, reconcile=0.6) as room:
        desk.finds.extend(["fail"] * 1000)
        reconciling = asyncio.ensure_future(room.orders.reconcile(desk))
        await anyio.lowlevel.checkpoint()
        blocked = await failure(lambda: room.place(desk, key="new"))
        assert (type(blocked), blocked.metadata["outcome"]) == (NotSent, "not-sent")
        assert (await room.place(other)).order_id == "1000"
        assert isinstance(await failure(lambda: room.place(desk, key="0")), OutcomeUnknown)
        await reconciling
        assert [row.state for row in await room.journal.undecided()] == [rows.UNRESOLVED]
        assert (await room.place(desk, key="new")).order_id == "1000"
        desk.finds.clear()
        assert isinstance(await failure(lambda: room.place(desk, key="0")), Refused)


async def test_a_cancel_says_what_the_order_is_now(room: Room) -> None:
    desk = Desk()
    for _ in range(2):
        await room.place(desk, key="")
    desk.end("1001", "filled")
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "already_canceled"
    assert (await room.orders.cancel(desk, None, "1001", "")).status == "filled"
    error = await failure_of_cancel(room, desk, "99")
    assert isinstance(error, NotFound)


async def failure_of_cancel(room: Room, desk: Desk, order_id: str = "1000", client_order_id: str = "") -> ExGateError:
    with pytest.raises(ExGateError) as caught:
        await room.orders.cancel(desk, None, order_id, client_order_id)
    return caught.value


@pytest.mark.parametrize(
    ("happens", "kind", "outcome"),
    [
        ("not_sent", NotSent, "not-sent"),
        ("limited", RateLimited, "not-sent"),
        ("refuse", Refused, "refused"),
        ("drop_before", OutcomeUnknown, "unknown"),
    ],
)
async def test_a_cancel_that_did_not_work_is_told_as_what_it_is(
    room: Room, happens: str, kind: type[ExGateError], outcome: str
) -> None:
    desk = Desk()
    await room.place(desk)
    desk.cancels.append(happens)
    error = await failure_of_cancel(room, desk)
    assert (type(error), error.metadata["outcome"]) == (kind, outcome)
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"


async def test_a_cancel_whose_answer_is_lost_is_looked_up(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    desk.cancels.append("drop_after")
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"
    assert desk.cancel_sends == 1


async def test_a_cancel_goes_out_without_the_journal_and_while_draining(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    room.broken.update({"journal.read", "journal.intent", "journal.commit"})
    room.orders.close()
    assert (await room.orders.cancel(desk, BTC, "1000", "")).status == "canceled"


async def test_a_cancel_by_client_id_reaches_the_order_under_its_id_upstream(room: Room) -> None:
    desk = Desk(
        capabilities=structs.replace(RECOVERABLE, client_ids=ClientIds(prefix="t-", pattern=r"t-[a-z0-9]{1,28}"))
    )
    await room.place(desk, client_order_id="mine")
    assert desk.ledger[0].client_order_id == "t-mine"
    assert (await room.orders.cancel(desk, None, "", "mine")).status == "canceled"


async def test_a_cancel_takes_the_symbol_from_the_journal_or_asks_for_it(room: Room) -> None:
    needy: AccountCapabilities = structs.replace(RECOVERABLE, symbol_needed=frozenset({"cancel_order"}))
    desk = Desk(capabilities=needy)
    await room.place(desk)
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"
    error = await failure_of_cancel(room, desk, "55")
    assert isinstance(error, InvalidArgument)
    assert error.violations[0].field == "symbol"


async def test_a_cancel_of_an_order_that_may_still_appear_is_not_called_not_found(room: Room) -> None:
    desk = Desk(settle=5.0)
    desk.script.append("drop_before")
    await failure(lambda: room.place(desk, client_order_id="x"))
    assert isinstance(await failure_of_cancel(room, desk, "", "x"), OutcomeUnknown)


async def test_an_order_is_found_by_either_id(room: Room) -> None:
    desk = Desk()
    await room.place(desk, client_order_id="mine")
    assert (await room.orders.find(desk, None, "1000", "")).order_id == "1000"
    assert (await room.orders.find(desk, None, "", "mine")).order_id == "1000"
    with pytest.raises(NotFound):
        await room.orders.find(desk, None, "4711", "")
    assert desk.sends == 1


async def test_finding_an_undecided_order_decides_it(room: Room) -> None:
    desk = Desk()
    desk.script.append("drop_after")
    desk.finds.extend(["fail"] * 40)
    await failure(lambda: room.place(desk, client_order_id="x"))
    with pytest.raises(ExGateError):
        await room.orders.find(desk, None, "", "x")
    desk.finds.clear()
    assert (await room.orders.find(desk, None, "", "x")).order_id == "1000"
    row = await room.journal.by_key(desk.identity, "k:k")
    assert row is not None
    assert row.state == rows.PLACED
    assert desk.sends == 1


async def test_an_order_that_was_never_placed_is_not_found_and_says_why(room: Room) -> None:
    desk = Desk()
    desk.script.append("refuse")
    await failure(lambda: room.place(desk, client_order_id="x"))
    with pytest.raises(NotFound) as caught:
        await room.orders.find(desk, None, "", "x")
    assert caught.value.metadata["outcome"] == "refused"


async def test_client_ids_of_keys_are_the_same_on_every_machine(tmp_path: Path) -> None:
    made = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with opened(tmp_path / name) as room:
            made.add((await room.place(Desk(), key="order-1")).client_order_id)
    assert len(made) == 1
    assert re.fullmatch(ClientIds().pattern, made.pop())


def test_nothing_happens_at_a_step_outside_of_tests() -> None:
    no_step("anything")
