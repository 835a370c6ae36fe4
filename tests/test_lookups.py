"""How soon a lost order is decided: in a time that passes only where everybody waits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from exgate_core.contract import PlaceBody
from exgate_core.errors import ExGateError
from exgate_core.journal import Journal
from exgate_core.models import Market, Order
from exgate_core.orders import Orders
from exgate_core.settings import Orders as Settings
from tests.support.desk import BTC, Desk
from tests.support.virtual import Virtual

BODY = PlaceBody(symbol="BTC/USDT", side="buy", type="limit", price="100.00", amount="1")


class Answers:
    """How an exchange answers questions: each after ``slow`` seconds, but none asked in the time of ``fails``."""

    def __init__(self, desk: Desk, virtual: Virtual, slow: float, fails: tuple[float, float]) -> None:
        self._find, self._clock, self._slow, self._fails = desk.find_order, virtual.runtime.clock, slow, fails
        self._first: float | None = None

    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        now = self._clock.monotonic()
        self._first = now if self._first is None else self._first
        await anyio.sleep(self._slow)
        if self._fails[0] <= now - self._first < self._fails[1]:
            raise ConnectionResetError("reset")
        return await self._find(market, order_id, client_order_id)


def place(
    desk: Desk, path: Path, deadline: float = 8.0, slow: float = 0.0, fails: tuple[float, float] = (0.0, 0.0)
) -> tuple[str, float]:
    """(what the caller is told, the seconds that it took)."""
    virtual = Virtual()
    clock = virtual.runtime.clock
    desk.find_order = Answers(desk, virtual, slow, fails).find_order  # type: ignore[method-assign]

    async def main() -> tuple[str, float]:
        async with Journal(path / "journal.db", clock=clock) as journal, anyio.create_task_group() as tasks:
            virtual.attend(journal)
            virtual.jump()
            start = clock.monotonic()
            try:
                orders = Orders(journal, virtual.runtime, tasks, Settings(deadline=deadline))
                told = (await orders.place(desk, BTC, BODY, "k")).order_id
            except ExGateError as error:
                told = error.metadata["outcome"]
            seconds = clock.monotonic() - start
            tasks.cancel_scope.cancel()
        return told, seconds

    return virtual.run(main())


def test_a_question_that_is_never_answered_costs_a_quarter_of_the_deadline(tmp_path: Path) -> None:
    desk = Desk(settle=20.0)
    desk.script.append("drop_after")
    desk.finds.append("hang")
    told, seconds = place(desk, tmp_path)
    assert told == "1000"
    assert seconds == pytest.approx(2.0 + 0.25)


def test_an_exchange_that_is_slow_gets_more_time(tmp_path: Path) -> None:
    desk = Desk(settle=20.0)
    desk.script.append("drop_after")
    told, seconds = place(desk, tmp_path, slow=3.0)
    assert told == "1000"
    assert seconds == pytest.approx(2.0 + 0.25 + 3.0)


def test_when_the_window_is_over_questions_come_fast_again(tmp_path: Path) -> None:
    desk = Desk(settle=20.0)
    desk.script.append("drop_before")
    told, seconds = place(desk, tmp_path, deadline=60.0, fails=(3.0, 20.6))
    assert told == "refused"
    assert seconds == pytest.approx(20.0 + 0.25 + 0.5, abs=0.01)


def test_then_they_go_on_fast(tmp_path: Path) -> None:
    desk = Desk(settle=20.0)
    desk.script.append("drop_before")
    told, seconds = place(desk, tmp_path, deadline=60.0, fails=(3.0, 23.0))
    assert told == "refused"
    assert seconds == pytest.approx(20.0 + 0.25 + 0.5 + 1.0 + 1.0 + 1.0, abs=0.01)


def test_a_question_from_before_that_moment_is_not_awaited_beyond_it(tmp_path: Path) -> None:
    desk = Desk(settle=20.0)
    desk.script.append("drop_before")
    desk.finds.extend(["well"] * 9 + ["hang"])  # the last one hangs from 13.75 s on
    told, seconds = place(desk, tmp_path, deadline=60.0)
    assert told == "refused"
    assert seconds == pytest.approx(20.0, abs=0.01)
