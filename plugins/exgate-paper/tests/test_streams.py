"""Streams of trades and books, and what can befall their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from exgate_paper import Fault
from paper_support import STILL, Pair, opened, place

from exgate_core.models import Depth, DepthDelta, Trade
from tests.support.clock import ManualClock, settle

pytestmark = pytest.mark.anyio


@dataclass
class Heard:
    """What a subscriber was given, and how it ended."""

    trades: list[Sequence[Trade]] = field(default_factory=list)
    depth: list[Depth | DepthDelta | None] = field(default_factory=list)
    ended: list[Exception] = field(default_factory=list)

    async def listen_to_trades(self, pair: Pair) -> None:
        try:
            await pair.exchange.pull_trade(pair.market, self.trades.append)
        except Exception as error:
            self.ended.append(error)

    async def listen_to_depth(self, pair: Pair) -> None:
        try:
            await pair.exchange.pull_depth(pair.market, 10, self.depth.append)
        except Exception as error:
            self.ended.append(error)

    @property
    def ids(self) -> list[int]:
        return [int(trade.id) for batch in self.trades for trade in batch]

    @property
    def sequences(self) -> list[int]:
        return [delta.sequence for delta in self.depth if isinstance(delta, DepthDelta)]


def trade(pair: Pair, times: int = 1) -> None:
    """One trade in two commands, from an account that the adapter doesn't know."""
    for _ in range(times):
        place(pair.engine, "bob", "sell 0.02 @ 100")
        place(pair.engine, "bob", "buy 0.02 @ 100")


async def play(*faults: Fault, trades: int = 5) -> tuple[Heard, Pair]:
    """Subscribe to both streams, arm, trade, and tell what was heard."""
    clock, heard = ManualClock(), Heard()
    async with opened(STILL, clock.runtime()) as pair:
        pair.engine.deposit("bob", {"BTC": "100", "USDT": "100000"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heard.listen_to_trades, pair)
            tasks.start_soon(heard.listen_to_depth, pair)
            await settle()
            pair.engine.faults.add(*faults)
            for _ in range(trades):
                trade(pair)
                await settle(5)
            tasks.cancel_scope.cancel()
    return heard, pair


async def test_whole_streams() -> None:
    heard, pair = await play()
    assert heard.trades[0] == ()
    assert heard.ids == [1, 2, 3, 4, 5]
    assert isinstance(heard.depth[0], Depth)
    assert heard.depth[1] is None
    assert heard.sequences == list(range(heard.depth[0].last_update_id + 1, pair.engine.book("BTC/USDT").sequence + 1))


async def test_a_quiet_stream_shows_that_it_lives_every_second() -> None:
    clock, heard = ManualClock(), Heard()
    async with opened(STILL, clock.runtime()) as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(heard.listen_to_trades, pair)
        tasks.start_soon(heard.listen_to_depth, pair)
        await clock.advance(3.5)
        assert heard.trades == [()] * 4
        assert heard.depth[1:] == [None] * 4
        pair.engine.faults.add(Fault(point="pull_trade.alive", kind="skip", times=0))
        await clock.advance(3)
        assert len(heard.trades) == 4
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("skip", [1, 3, 4, 5]),
        ("repeat", [1, 2, 2, 3, 4, 5]),
        ("reorder", [1, 3, 2, 4, 5]),
        ("corrupt", [1, 2, 3, 4, 5]),
    ],
)
async def test_what_can_befall_a_frame_of_trades(kind: str, ids: list[int]) -> None:
    heard, pair = await play(Fault(point="pull_trade.frame", kind=kind, after=1))  # type: ignore[arg-type]
    assert heard.ids == ids
    assert ("NaN" in {t.price for batch in heard.trades for t in batch}) == (kind == "corrupt")
    assert [int(t.id) for t in pair.engine.trades("BTC/USDT", 9)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("kind", "steps"),
    [("skip", [1, 3, 4]), ("repeat", [1, 2, 2, 3, 4]), ("reorder", [1, 3, 2, 4]), ("corrupt", [1, 2, 3, 4])],
)
async def test_what_can_befall_a_delta(kind: str, steps: list[int]) -> None:
    heard, _ = await play(Fault(point="pull_depth.frame", kind=kind, after=1), trades=2)  # type: ignore[arg-type]
    assert [sequence - 1 for sequence in heard.sequences] == steps
    prices = {price for delta in heard.depth if isinstance(delta, DepthDelta) for price, _ in delta.bids}
    assert ("999999999" in prices) == (kind == "corrupt")


async def test_a_cut_ends_the_stream_and_the_market_goes_on() -> None:
    heard, pair = await play(
        Fault(point="pull_trade.frame", kind="cut", after=2), Fault(point="pull_depth.frame", kind="error", after=1)
    )
    assert heard.ids == [1, 2]
    assert {type(error).__mro__[1] for error in heard.ended} == {ConnectionError, Exception}
    assert pair.engine.book("BTC/USDT").history.last_id == 5


async def test_a_stream_can_fail_to_open() -> None:
    async with opened() as pair:
        pair.engine.faults.add(Fault(point="pull_trade", kind="drop"), Fault(point="pull_depth", kind="drop"))
        with pytest.raises(ConnectionResetError):
            await pair.exchange.pull_trade(pair.market, Heard().trades.append)
        with pytest.raises(ConnectionResetError):
            await pair.exchange.pull_depth(pair.market, 5, Heard().depth.append)


async def test_a_subscriber_that_breaks_ends_only_its_stream() -> None:
    def broken(batch: Sequence[Trade]) -> None:
        raise ZeroDivisionError

    async with opened() as pair:
        with pytest.raises(ZeroDivisionError):
            await pair.exchange.pull_trade(pair.market, broken)
        pair.engine.deposit("bob", {"BTC": "100", "USDT": "100000"})
        trade(pair)


async def test_a_burst_doesnt_hold_the_event_loop() -> None:
    heard, turns = Heard(), 0

    async def count() -> None:
        nonlocal turns
        while len(heard.ids) < 1000:
            turns += 1
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    async with opened() as pair:
        pair.engine.deposit("bob", {"BTC": "100", "USDT": "100000"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heard.listen_to_trades, pair)
            await settle()
            trade(pair, 1000)
            tasks.start_soon(count)
    assert turns >= 9
