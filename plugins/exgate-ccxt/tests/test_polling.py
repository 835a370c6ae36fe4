"""Trades asked for again and again: each once, in order, and never a hole that isn't told."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from exgate_ccxt.polling import FASTEST, SLOWEST, Joint, poll
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.errors import Unavailable
from exgate_core.models import Trade
from tests.support.clock import ManualClock


def made(number: int, *, named: bool = True) -> Trade:
    return Trade(id=str(number) if named else "", price="1.50", qty="2", time=number, taker_side="buy")


@given(st.lists(st.integers(0, 9), max_size=40), st.booleans())
def test_pages_that_meet_give_every_trade_once_and_in_order(steps: list[int], named: bool) -> None:
    size, last = 10, 15
    past = [made(number, named=named) for number in range(last)]
    joint = Joint(past[-size:])
    got: list[Trade] = []
    for step in steps:
        past += [made(number, named=named) for number in range(last, last + step)]
        last += step
        got += joint.follow(past[-size:])
    assert got == past[15:]


@given(st.integers(0, 30))
def test_pages_that_do_not_meet_are_told(step: int) -> None:
    past = [made(number) for number in range(60)]
    joint = Joint(past[:10])
    page = past[step : step + 10]
    if step < 10:
        assert joint.follow(page) == page[10 - step :]
    else:
        with pytest.raises(Unavailable):
            joint.follow(page)


def test_the_first_trades_of_a_market_follow_an_empty_page() -> None:
    joint = Joint([])
    assert joint.follow([]) == []
    assert joint.follow([made(1)]) == [made(1)]
    assert joint.follow([made(1), made(2)]) == [made(2)]


@pytest.mark.anyio
async def test_it_asks_as_often_as_the_market_trades_and_ends_with_an_error() -> None:
    clock, asked, batches = ManualClock(), list[float](), list[Sequence[Trade]]()
    past = [made(0)]

    async def ask() -> Sequence[Trade]:
        asked.append(clock.monotonic())
        if past[-1].time > 1000:
            raise Unavailable("the exchange is gone.")
        return past[-100:]

    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            with pytest.raises(Unavailable, match="gone"):
                await poll(ask, clock.sleep, batches.append)

        tasks.start_soon(run)
        await clock.advance(60)
        quiet = len(asked)
        assert 60 / SLOWEST <= quiet <= 60 / SLOWEST + 5
        assert batches == [()] + [[]] * (quiet - 1)
        for number in range(1, 600):
            past.append(made(number))
            await clock.advance(0.05)
        assert [trade for batch in batches for trade in batch] == past[1 : past.index(batches[-1][-1]) + 1]
        assert FASTEST <= asked[-1] - asked[-2] <= SLOWEST / 2
        past.append(made(2000))
        await clock.advance(SLOWEST)
