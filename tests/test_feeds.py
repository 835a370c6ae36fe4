"""Feeds: nothing is missing, doubled or told too late, whatever the exchange does to its streams."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import anyio
import pytest

from exgate_core.errors import ExGateError, InvalidArgument, RateLimited, Unavailable, Unimplemented
from exgate_core.feeds import Reader, ReaderClosed
from exgate_core.models import ExchangeCapabilities
from tests.support.clock import settle
from tests.support.upstream import BTC, House, Upstream, house

pytestmark = pytest.mark.anyio


class Listener:
    """Reads frames as long as there are any."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.frames: list[dict[str, Any]] = []
        self.closed: ReaderClosed | None = None

    async def listen(self) -> None:
        try:
            while True:
                self.frames.append(json.loads(await self.reader.next()))
        except ReaderClosed as closed:
            self.closed = closed

    @property
    def ids(self) -> list[str]:
        return [trade["trade_id"] for frame in self.frames for trade in frame.get("trades", ())]

    @property
    def statuses(self) -> list[str]:
        return [frame["status"] for frame in self.frames if "status" in frame]

    @property
    def gaps(self) -> list[tuple[str, str]]:
        return [(f["after_id"], f["before_id"]) for f in self.frames if f.get("status") == "gap"]


async def run(house: House, seconds: float = 40.0, step: float = 0.5) -> None:
    """Time passes, and every stream that lives says so."""
    for _ in range(int(seconds / step)):
        await house.clock.advance(step)
        house.upstream.beat()
    await settle()


def able(kind: Any, reach: int | None = None, page: int = 100, **more: Any) -> ExchangeCapabilities:
    return ExchangeCapabilities(trade_ids=kind, trades_reach=reach, trades_max=page, cross_check=0, **more)


def ids_of(upstream: Upstream, start: int = 0) -> list[str]:
    return [trade.id for trade in upstream.past[start:]]


@pytest.mark.parametrize(
    ("kind", "reach"), [("contiguous", None), ("contiguous", 500), ("ordered", None), ("opaque", 0), ("ordered", 50)]
)
@pytest.mark.parametrize("missed", [0, 3, 90])
async def test_a_cut_costs_no_trade(kind: str, reach: int | None, missed: int) -> None:
    upstream = Upstream(able(kind, reach))
    upstream.step = 1 if kind == "contiguous" else 3
    upstream.trade(5)
    async with house(upstream) as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        listener = Listener(reader)
        tasks.start_soon(listener.listen)
        await settle()
        upstream.trade(2)
        await run(home, 2)
        upstream.trade_streams[0].cut(OSError("reset by peer"))
        await settle()
        upstream.trade(missed)
        await run(home, 2)
        upstream.trade(3)
        await run(home, 2)
        assert listener.ids == ids_of(upstream, 5)
        assert listener.statuses == ["starting", "live", "reconnecting", "resumed"]
        assert "reset by peer" in str(listener.frames)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("kind", "reach"), [("contiguous", 10), ("contiguous", 0), ("opaque", 0), ("ordered", 0)])
async def test_what_the_history_does_not_hold_is_told_with_its_bounds(kind: str, reach: int) -> None:
    upstream = Upstream(able(kind, reach, page=10))
    upstream.trade(1)
    async with house(upstream) as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        listener = Listener(reader)
        tasks.start_soon(listener.listen)
        await settle()
        upstream.trade(2)
        await run(home, 1)
        last = upstream.past[-1].id
        upstream.trade_streams[0].cut()
        await settle()
        upstream.trade(40)
        await run(home, 5)
        upstream.trade(2)
        await run(home, 5)
        assert listener.gaps, "told soon, not when patience ends"
        await run(home, 30)
        ((after, before),) = listener.gaps
        assert after == last
        assert before in ids_of(upstream) or before == ""
        place = listener.ids.index(last) + 1
        assert listener.ids[place:] == ids_of(upstream)[-len(listener.ids[place:]) :], "no hole behind the gap"
        assert len(set(listener.ids)) == len(listener.ids)
        assert not before or listener.ids[place] == before
        tasks.cancel_scope.cancel()


async def test_an_exchange_without_history_tells_a_gap_only_where_one_may_be() -> None:
    for kind, expected in (("contiguous", 0), ("opaque", 1)):
        upstream = Upstream(able(kind), lacks=["recent_trades"])
        async with (
            house(upstream) as home,
            home.feeds.subscribe(BTC, None) as reader,
            anyio.create_task_group() as tasks,
        ):
            listener = Listener(reader)
            tasks.start_soon(listener.listen)
            await settle()
            upstream.trade(2)
            upstream.trade_streams[0].cut()
            await run(home, 2)
            assert listener.statuses[-1] == "resumed"
            upstream.trade(2)
            await run(home, 2)
            assert len(listener.gaps) == expected, kind
            assert listener.ids == ids_of(upstream)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["contiguous", "ordered", "opaque"])
async def test_a_cut_before_the_first_trade_ever_is_told(kind: str) -> None:
    upstream = Upstream(able(kind))
    async with house(upstream) as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        listener = Listener(reader)
        tasks.start_soon(listener.listen)
        await settle()
        upstream.trade_streams[0].cut()
        await settle()
        upstream.trade(2)
        await run(home, 2)
        made = upstream.trade(2)
        await run(home, 2)
        assert len(listener.gaps) == 1
        assert listener.ids == [trade.id for trade in made]
        tasks.cancel_scope.cancel()


async def test_a_jump_in_a_living_stream_is_filled_and_repeats_fall_out() -> None:
    async with house() as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        upstream, listener = home.upstream, Listener(reader)
        tasks.start_soon(listener.listen)
        await settle()
        upstream.trade(2)
        upstream.mute = True
        upstream.trade(3)
        upstream.mute = False
        made = upstream.trade(1)
        upstream.trade_streams[0].emit(made)
        await run(home, 1)
        assert listener.ids == ids_of(upstream)
        assert listener.statuses == ["starting", "live"]
        tasks.cancel_scope.cancel()


async def test_a_hole_too_large_to_be_fetched_is_told_at_once_and_holds_nothing_up() -> None:
    async with house() as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        upstream, listener = home.upstream, Listener(reader)
        tasks.start_soon(listener.listen)
        await settle()
        before = upstream.trade(1)[0]
        upstream.mute = True
        upstream.trade(100 * 100 + 1)
        upstream.mute = False
        asked = len(upstream.calls)
        after = upstream.trade(1)[0]
        await settle()
        assert listener.gaps == [(before.id, after.id)]
        assert listener.ids == [before.id, after.id]
        assert len(upstream.calls) == asked
        tasks.cancel_scope.cancel()


async def test_a_history_that_fails_for_a_while_delays_but_loses_nothing() -> None:
    async with house() as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        upstream, listener = home.upstream, Listener(reader)
        tasks.start_soon(listener.listen)
        await settle()
        upstream.trade(2)
        upstream.trade_streams[0].cut()
        await settle()
        upstream.trade(4)
        upstream.fault = RateLimited("slow down", retry_after=3.0)
        await run(home, 5)
        assert home.feeds.statuses()[0]["status"] == "reconnecting"
        upstream.fault = None
        await run(home, 5)
        assert listener.ids == ids_of(upstream)
        assert not listener.gaps
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["contiguous", "ordered", "opaque"])
@pytest.mark.parametrize(("away", "statuses"), [(5, ["starting", "live"]), (60, ["starting", "gap", "live"])])
async def test_a_new_stream_is_live_once_its_history_is_joined(kind: str, away: int, statuses: list[str]) -> None:
    class Late(Upstream):
        async def recent_trades(self, market: Any, limit: int, since_id: str | None = None) -> Any:
            if self.count("recent_trades"):
                self.fault = RateLimited("slow down", retry_after=1.0) if home.clock.monotonic() < until else None
            return await super().recent_trades(market, limit, since_id)

    upstream = Late(able(kind, None if kind != "opaque" else 0))
    upstream.trade(5)
    async with house(upstream) as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        until = home.clock.monotonic() + away
        listener = Listener(reader)
        tasks.start_soon(listener.listen)
        await settle()
        upstream.mute = True
        upstream.trade()
        upstream.mute = False
        upstream.trade(2)
        await settle()
        (row,) = home.feeds.statuses()
        assert (row["status"], home.feeds.pin(BTC)) == ("starting", ("starting", row["desc"]))
        assert "history" in row["desc"]
        async with home.feeds.subscribe(BTC, None) as second:
            assert json.loads(await second.next())["status"] == "starting"
        assert listener.ids == []
        await run(home, 30)
        assert listener.statuses == statuses
        assert listener.ids == ids_of(upstream, 6 if listener.gaps else 5)
        assert home.feeds.statuses()[0]["status"] == "live"
        tasks.cancel_scope.cancel()


async def test_recovery_is_fast_and_pauses_grow_with_full_jitter() -> None:
    waits: list[float] = []
    for seed in range(20):
        async with house(seed=seed) as home:
            home.feeds.pin(BTC)
            for _ in range(6):
                await run(home, 2)
                home.upstream.trade_streams[0].cut()
                await settle()
                began = home.clock.monotonic()
                while not home.upstream.trade_streams:
                    await home.clock.advance(0.01)
                waits.append(home.clock.monotonic() - began)
    waits.sort()
    assert waits[60] < 0.5
    assert waits[118] < 2.0
    assert waits[60] > 0.01, "not all at once"


async def test_no_exception_of_a_stream_gets_out_and_pauses_stay_within_thirty_seconds() -> None:
    class Broken(Upstream):
        async def pull_trade(self, market: Any, emit: Any) -> None:
            self.calls.append(("pull", clock()))
            raise ZeroDivisionError("a bug of a plugin")

    upstream = Broken()
    async with house(upstream) as home:
        clock = home.clock.monotonic
        home.feeds.pin(BTC)
        await run(home, 600, 1.0)
        times = [call[1] for call in upstream.calls if call[0] == "pull"]
        assert 20 < len(times) < 200
        assert max(b - a for a, b in itertools.pairwise(times)) <= 31
        (status,) = home.feeds.statuses()
        assert status["status"] == "reconnecting"
        assert "a bug of a plugin" in status["desc"]
        assert status["age"] is None


async def test_a_bug_of_a_plugin_beside_the_stream_ends_no_feed() -> None:
    class Broken(Upstream):
        async def recent_trades(self, market: Any, limit: int, since_id: str | None = None) -> Any:
            await super().recent_trades(market, limit, since_id)
            if self.count("recent_trades") == 1:
                return [object()]
            raise KeyError("price")

    async with house(Broken()) as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        listener = Listener(reader)
        tasks.start_soon(listener.listen)
        home.feeds.pin(BTC)
        await run(home, 12)
        made = home.upstream.trade(2)
        await run(home, 1)
        assert listener.ids == [trade.id for trade in made]
        assert home.feeds.statuses()[0]["pinned"]
        tasks.cancel_scope.cancel()


async def test_a_stream_that_never_says_a_word_is_opened_anew() -> None:
    upstream = Upstream()
    upstream.confirms = False
    async with house(upstream) as home:
        home.feeds.pin(BTC)
        await settle()
        stream = upstream.trade_streams[0]
        await home.clock.advance(29)
        assert upstream.trade_streams == [stream]
        await home.clock.advance(3)
        assert upstream.trade_streams != [stream]
        stream.emit(())
        assert home.feeds.statuses()[0]["age"] is None, "what a closed connection says doesn't count"


async def test_a_silent_stream_is_found_out_by_the_cross_check() -> None:
    upstream = Upstream(ExchangeCapabilities(trade_ids="contiguous", trades_reach=None, trades_max=100, cross_check=20))
    upstream.trade(1)
    async with house(upstream) as home, home.feeds.subscribe(BTC, None) as reader, anyio.create_task_group() as tasks:
        listener = Listener(reader)
        tasks.start_soon(listener.listen)
        await run(home, 50)
        assert listener.statuses == ["starting", "live"], "a quiet market is no dead one"
        upstream.mute = True
        upstream.trade(3)
        await run(home, 50)
        assert listener.ids == ids_of(upstream, 1)
        assert listener.statuses[2:] == ["reconnecting", "resumed"]
        tasks.cancel_scope.cancel()


async def test_pins_readers_and_reads_keep_a_feed_and_nothing_else_does() -> None:
    async with house(idle_stop=10) as home:
        upstream = home.upstream
        assert home.feeds.pin(BTC)[0] == "starting"
        await settle()
        assert home.feeds.pin(BTC)[0] == "live"
        await run(home, 60)
        assert len(upstream.trade_streams) == 1
        assert home.feeds.unpin(BTC)[0] == "live"
        await run(home, 8)
        assert len(upstream.trade_streams) == 1
        await run(home, 4)
        assert upstream.trade_streams == []
        assert home.feeds.statuses() == []
        assert home.feeds.unpin(BTC)[0] == "stopped"
        async with home.feeds.subscribe(BTC, None):
            await run(home, 60)
            assert home.feeds.statuses()[0]["readers"] == 1
        await run(home, 15)
        assert home.feeds.statuses() == []


async def test_stop_lets_readers_go_with_1012() -> None:
    async with house() as home, anyio.create_task_group() as tasks:
        async with home.feeds.subscribe(BTC, None) as reader, home.feeds.subscribe(BTC, None) as behind:
            listener = Listener(reader)
            tasks.start_soon(listener.listen)
            await settle()
            home.upstream.trade(1)
            await settle()
            await home.feeds.stop()
            await settle()
            assert listener.closed is not None
            assert listener.closed.code == 1012
            late = Listener(behind)
            await late.listen()
            assert late.ids == ids_of(home.upstream), "what was pending is still read"
        with pytest.raises(Unavailable):
            home.feeds.pin(BTC)
        assert home.upstream.trade_streams == []


async def test_readers_share_frames_and_a_burst_is_one_frame() -> None:
    async with house() as home, home.feeds.subscribe(BTC, None) as one, home.feeds.subscribe(BTC, None) as two:
        await settle()
        assert json.loads(await one.next())["status"] == "starting"
        await two.next()
        await one.next()
        await two.next()
        for _ in range(10):
            home.upstream.trade(1)
        frame = await one.next()
        assert await two.next() is frame
        assert len(json.loads(frame)["trades"]) == 10


async def test_a_stalled_reader_is_told_what_it_lost_and_closed_while_others_go_on() -> None:
    async with house() as home, home.feeds.subscribe(BTC, None) as stalled, anyio.create_task_group() as tasks:
        upstream = home.upstream
        async with home.feeds.subscribe(BTC, None) as reader:
            listener = Listener(reader)
            tasks.start_soon(listener.listen)
            await settle()
            for _ in range(300):
                upstream.trade(100)
                await settle(3)
            assert listener.ids == ids_of(upstream)
            late = Listener(stalled)
            await late.listen()
            assert late.closed is not None
            assert late.closed.code == 1008
            (lagging,) = [frame for frame in late.frames if frame.get("status") == "lagging"]
            assert lagging["before_id"] in ids_of(upstream)
            assert int(lagging["lost"]) >= 10_000
            tasks.cancel_scope.cancel()


async def test_one_stalled_and_one_slow_reader_among_a_hundred_cost_the_others_nothing() -> None:
    counts = [0] * 100
    endings: dict[int, ReaderClosed] = {}
    async with house() as home, anyio.create_task_group() as tasks:

        async def read(number: int, pause: float) -> None:
            async with home.feeds.subscribe(BTC, None) as reader:
                try:
                    while True:
                        if pause:
                            await home.clock.sleep(pause)
                        counts[number] += (await reader.next()).count(b"trade_id")
                except ReaderClosed as closed:
                    endings[number] = closed

        tasks.start_soon(read, 0, 105.0)  # stalled: one frame, then nothing for long
        tasks.start_soon(read, 1, 0.1 / 0.9)  # takes 90 % as many frames as there are
        for number in range(2, 100):
            tasks.start_soon(read, number, 0.0)
        await settle()
        sent = 0
        for _ in range(1050):  # 200 trades a second
            home.upstream.trade(20)
            sent += 20
            await home.clock.advance(0.1)
            assert set(counts[2:]) == {sent}, "nobody waits for the slow ones"
        await home.clock.advance(330)
        assert counts[1] == sent, "batches catch up"
        assert endings[0].code == 1008
        assert list(endings) == [0]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["contiguous", "ordered"])
@pytest.mark.parametrize("back", [0, 1, 7, 250])
async def test_since_id_goes_on_where_the_reader_was(kind: str, back: int) -> None:
    upstream = Upstream(able(kind))
    upstream.step = 1 if kind == "contiguous" else 4
    upstream.trade(300)
    async with house(upstream) as home:
        home.feeds.pin(BTC)
        await run(home, 1)
        upstream.trade(5)
        await settle()
        since = ids_of(upstream)[-1 - back]
        async with home.feeds.subscribe(BTC, since) as reader, anyio.create_task_group() as tasks:
            listener = Listener(reader)
            tasks.start_soon(listener.listen)
            await run(home, 1)
            upstream.trade(3)
            await run(home, 10)
            assert listener.ids == ids_of(upstream)[-back - 3 :]
            assert not listener.gaps
            tasks.cancel_scope.cancel()


async def test_since_id_beyond_reach_is_a_gap() -> None:
    cases = [("contiguous", 20, 100, 150), ("opaque", 0, 10, 150), ("contiguous", None, 100, -1)]
    for kind, reach, page, back in cases:
        upstream = Upstream(able(kind, reach, page))
        upstream.trade(300)
        async with house(upstream) as home:
            home.feeds.pin(BTC)
            await run(home, 1)
            upstream.trade(5)
            await settle()
            since = ids_of(upstream)[-1 - back] if back >= 0 else str(2**60)
            async with home.feeds.subscribe(BTC, since) as reader, anyio.create_task_group() as tasks:
                listener = Listener(reader)
                tasks.start_soon(listener.listen)
                await run(home, 10)
                upstream.trade(2)
                await run(home, 1)
                ((after, _),) = listener.gaps
                assert after == since
                assert listener.ids == ids_of(upstream)[-len(listener.ids) :]
                assert len(listener.ids) >= 2
                tasks.cancel_scope.cancel()


async def test_since_id_of_the_newest_trade_needs_no_history_even_where_ids_are_opaque() -> None:
    upstream = Upstream(able("opaque", 0))
    upstream.trade(3)
    async with house(upstream) as home:
        home.feeds.pin(BTC)
        await run(home, 1)
        async with home.feeds.subscribe(BTC, upstream.past[-1].id) as reader, anyio.create_task_group() as tasks:
            listener = Listener(reader)
            tasks.start_soon(listener.listen)
            upstream.trade(2)
            await run(home, 1)
            assert listener.statuses == ["live"]
            assert listener.ids == ids_of(upstream, 3)
            tasks.cancel_scope.cancel()


async def test_a_since_id_that_can_be_none_is_refused() -> None:
    async with house() as home:
        for wrong in ("abc", "-1", "", "9" * 50):
            with pytest.raises(InvalidArgument, match="since_id"):
                async with home.feeds.subscribe(BTC, wrong):
                    pass
    async with house(Upstream(lacks=["pull_trade"])) as home:
        with pytest.raises(Unimplemented):
            home.feeds.pin(BTC)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["contiguous", "ordered", "opaque"])
async def test_many_cuts_lose_and_double_nothing(kind: str, seed: int) -> None:
    dice = random.Random(seed)
    upstream = Upstream(able(kind, page=100 if kind != "opaque" else 1000))
    upstream.trade(2)
    async with house(upstream, seed=seed) as home, anyio.create_task_group() as tasks:
        async with home.feeds.subscribe(BTC, None) as reader:
            listener = Listener(reader)
            tasks.start_soon(listener.listen)
            await settle()
            for _ in range(60):
                upstream.trade(dice.choice([0, 1, 1, 5, 20]))
                if upstream.trade_streams and dice.random() < 0.3:
                    upstream.trade_streams[0].cut(dice.choice([None, OSError("reset")]))
                upstream.fault = dice.choice([None, None, None, ExGateError("no"), Unavailable("down")])
                await home.clock.advance(dice.choice([0.01, 0.1, 1.0]))
                upstream.beat()
            upstream.fault = None
            await run(home, 40)
            assert listener.ids == ids_of(upstream, 2)
            assert not listener.gaps
            tasks.cancel_scope.cancel()
