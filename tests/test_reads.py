"""Reads: never older than asked, never silently stale, and one question to the exchange where one is enough."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exgate_core.errors import DeadlineExceeded, RateLimited, Refused, Unavailable
from exgate_core.models import Answer, Depth, DepthDelta, ExchangeCapabilities, Freshness
from tests.support.clock import settle
from tests.support.upstream import BTC, House, Upstream, house

pytestmark = pytest.mark.anyio

LOCAL = Freshness(local=True)
NOW = Freshness()


def at_once(call: Coroutine[Any, Any, Answer[Any]]) -> Answer[Any]:
    """The answer of a call that may not suspend."""
    try:
        call.send(None)
    except StopIteration as done:
        answer = done.value
        assert isinstance(answer, Answer)
        return answer
    call.close()
    raise AssertionError("it suspended")


async def warm(home: House) -> None:
    await home.reads.depth(BTC, 5, LOCAL)
    await home.reads.recent_trades(BTC, 5, LOCAL)
    await settle()


async def test_a_local_copy_answers_without_suspending_with_the_exchanges_own_answer() -> None:
    upstream = Upstream()
    upstream.trade(150)
    async with house(upstream) as home:
        first = await home.reads.depth(BTC, 1, LOCAL)
        assert first.source == "exchange", "the first local read starts the feed"
        await warm(home)
        upstream.change(bids=[("99.5", "7.0")])
        upstream.trade(3)
        asked = len(upstream.calls)
        await home.clock.advance(0.25)
        for limit in (1, 2, 500):
            depth = at_once(home.reads.depth(BTC, limit, LOCAL))
            assert (depth.source, depth.age) == ("local", 0.25)
            theirs = upstream.book(limit)
            assert depth.value.bids == tuple(theirs.bids)
            assert depth.value.asks == tuple(theirs.asks)
            assert depth.value.last_update_id == upstream.sequence
            assert depth.body is not None
            assert json.loads(depth.body)["lastUpdateId"] == upstream.sequence
            trades = at_once(home.reads.recent_trades(BTC, limit, LOCAL))
            assert (trades.source, trades.age) == ("local", 0.25)
            assert list(trades.value) == upstream.past[-min(limit, 100) :]
            assert trades.body is not None
            assert len(json.loads(trades.body)["trades"]) == min(limit, 100)
        assert at_once(home.reads.depth(BTC, 2, LOCAL)).body is at_once(home.reads.depth(BTC, 2, LOCAL)).body
        assert len(upstream.calls) == asked


async def test_tolerance_zero_and_not_local_always_ask_the_exchange() -> None:
    async with house() as home:
        await warm(home)
        for freshness in (NOW, Freshness(local=True, tolerate=0.0)):
            before = home.upstream.count("depth")
            answer = await home.reads.depth(BTC, 1, freshness)
            assert answer.source == "exchange"
            assert home.upstream.count("depth") == before + 1
            assert (await home.reads.recent_trades(BTC, 1, freshness)).source == "exchange"


async def test_quiet_is_not_stale_and_silent_is() -> None:
    async with house() as home:
        await warm(home)
        for _ in range(30):
            await home.clock.advance(3)
            home.upstream.beat()
            assert at_once(home.reads.depth(BTC, 1, LOCAL)).age == 0
            assert at_once(home.reads.recent_trades(BTC, 1, LOCAL)).age == 0
        await home.clock.advance(4.5)
        assert at_once(home.reads.depth(BTC, 1, LOCAL)).age == 4.5
        tight = Freshness(local=True, tolerate=4.0)
        assert (await home.reads.depth(BTC, 1, tight)).source == "exchange"
        assert (await home.reads.recent_trades(BTC, 1, tight)).source == "exchange"
        await home.clock.advance(1)
        assert (await home.reads.depth(BTC, 2, LOCAL)).source == "exchange"


async def test_as_old_as_tolerated_is_young_enough_and_older_is_not() -> None:
    async with house() as home:
        await warm(home)
        home.upstream.beat()
        await home.clock.advance(2.0)
        exact = Freshness(local=True, tolerate=2.0)
        assert at_once(home.reads.depth(BTC, 1, exact)).age == 2.0
        assert at_once(home.reads.recent_trades(BTC, 1, exact)).age == 2.0
        await home.reads.depth(BTC, 1, NOW)
        asked = home.upstream.count("depth")
        await home.clock.advance(3.0)
        assert (await home.reads.depth(BTC, 1, Freshness(tolerate=3.0))).age == 3.0
        assert home.upstream.count("depth") == asked
        await home.clock.advance(0.5)
        assert (await home.reads.depth(BTC, 1, Freshness(tolerate=3.0))).age == 0.0


async def test_neither_copy_nor_exchange_is_unavailable_with_the_age() -> None:
    async with house() as home:
        home.upstream.fault = Unavailable("EXCHANGE_UNAVAILABLE: down.")
        with pytest.raises(Unavailable, match="never heard of") as raised:
            await home.reads.depth(BTC, 1, LOCAL)
        assert raised.value.metadata["local_age"] == ""
        home.upstream.fault = None
        await warm(home)
        home.upstream.fault = Unavailable("EXCHANGE_UNAVAILABLE: down.")
        assert at_once(home.reads.depth(BTC, 1, LOCAL)).source == "local"
        await home.clock.advance(7)
        with pytest.raises(Unavailable, match=r"local copy.*last proven alive 7\.000 s ago") as raised:
            await home.reads.depth(BTC, 1, LOCAL)
        assert raised.value.metadata["local_age"] == "7.000"
        assert raised.value.retry_after == 1.0
        home.upstream.fault = Unavailable("EXCHANGE_UNAVAILABLE: down.", retry_after=9.0)
        with pytest.raises(Unavailable) as raised:
            await home.reads.depth(BTC, 1, LOCAL)
        assert raised.value.retry_after == 9.0
        home.upstream.fault = Unavailable("EXCHANGE_UNAVAILABLE: down.")
        with pytest.raises(Unavailable, match="down"):
            await home.reads.recent_trades(BTC, 1, NOW)
        for error in (RateLimited("wait", retry_after=9.0), Refused("delisted")):
            home.upstream.fault = error
            with pytest.raises(type(error)):
                await home.reads.depth(BTC, 1, LOCAL)


@pytest.mark.parametrize("fault", ["gap", "crossed", "cut", "garbage"])
async def test_a_broken_book_is_unreadable_at_once_and_comes_back(fault: str) -> None:
    async with house() as home:
        upstream = home.upstream
        await warm(home)
        stream, at = upstream.book_streams[0], upstream.sequence
        if fault == "cut":
            stream.cut()
            await settle()
        else:
            rows = {"gap": [("98", "1")], "crossed": [("100.0", "1")], "garbage": [("x", "1")]}[fault]
            before = at + 1 if fault == "gap" else at
            stream.emit(DepthDelta(bids=rows, asks=[], previous=before, sequence=before + 1))
        answer = await home.reads.depth(BTC, 1, LOCAL)
        assert answer.source == "exchange"
        stream.emit(DepthDelta(bids=[("50", "1")], asks=[], previous=at, sequence=at + 1))
        await home.clock.advance(1)
        assert at_once(home.reads.depth(BTC, 2, LOCAL)).value.bids == tuple(upstream.book(2).bids)
        assert len(upstream.book_streams) == 1


async def test_trades_are_not_local_from_a_cut_until_it_is_filled() -> None:
    async with house() as home:
        upstream = home.upstream
        upstream.trade(50)
        await warm(home)
        upstream.trade_streams[0].cut()
        await settle()
        upstream.trade(4)
        assert (await home.reads.recent_trades(BTC, 10, LOCAL)).source == "exchange"
        await home.clock.advance(2)
        answer = at_once(home.reads.recent_trades(BTC, 60 - 10, LOCAL))
        assert list(answer.value) == upstream.past[-50:]


async def test_after_a_hole_one_answer_of_the_exchange_makes_the_copy_long_again() -> None:
    capable = ExchangeCapabilities(trade_ids="contiguous", trades_reach=5, trades_max=100, cross_check=0)
    upstream = Upstream(capable)
    upstream.trade(50)
    async with house(upstream) as home:
        await warm(home)
        upstream.trade_streams[0].cut()
        await settle()
        upstream.mute = True
        upstream.trade(60)
        upstream.mute = False
        await home.clock.advance(3)
        upstream.trade(2)
        assert (await home.reads.recent_trades(BTC, 20, LOCAL)).source == "exchange"
        answer = at_once(home.reads.recent_trades(BTC, 20, LOCAL))
        assert (answer.source, list(answer.value)) == ("local", upstream.past[-20:])


async def test_limits_beyond_what_is_certain_go_to_the_exchange_and_open_more_levels() -> None:
    capable = ExchangeCapabilities(depth_windows=(2, 10), depth_max=50, cross_check=0)
    upstream = Upstream(capable)
    upstream.bids = {str(price): "1" for price in range(60, 99)}
    upstream.asks = {str(price): "1" for price in range(100, 140)}
    async with house(upstream) as home:
        await home.reads.depth(BTC, 1, LOCAL)
        await settle()
        assert len(at_once(home.reads.depth(BTC, 2, LOCAL)).value.bids) == 2
        assert (await home.reads.depth(BTC, 5, LOCAL)).source == "exchange"
        await home.clock.advance(0.01)
        assert len(at_once(home.reads.depth(BTC, 10, LOCAL)).value.bids) == 10
        big = await home.reads.depth(BTC, 5000, LOCAL)
        assert (big.source, len(big.value.bids)) == ("exchange", 39)
        await home.clock.advance(0.01)
        assert [call[1] for call in upstream.calls if call[0] == "pull_depth"] == [2, 10]


async def test_a_copy_whose_known_levels_ran_out_is_opened_anew() -> None:
    capable = ExchangeCapabilities(depth_max=5, cross_check=0)
    upstream = Upstream(capable)
    upstream.bids = {str(price): "1" for price in range(60, 99)}
    async with house(upstream) as home:
        await warm(home)
        await home.clock.advance(6)
        upstream.change(bids=[("98", "0"), ("97", "0")])
        assert len(at_once(home.reads.depth(BTC, 3, LOCAL)).value.bids) == 3
        answer = await home.reads.depth(BTC, 5, LOCAL)
        assert (answer.source, len(answer.value.bids)) == ("exchange", 5)
        await home.clock.advance(0.01)
        assert at_once(home.reads.depth(BTC, 5, LOCAL)).value.bids == tuple(upstream.book(5).bids)
        upstream.change(bids=[("96", "0")])
        for _ in range(4):
            assert (await home.reads.depth(BTC, 5, LOCAL)).source == "exchange"
            await home.clock.advance(1)
        assert upstream.count("pull_depth") == 2, "not again and again"


@pytest.mark.parametrize("numbered", [True, False])
async def test_a_silent_book_is_found_out_by_the_cross_check(numbered: bool) -> None:
    upstream = Upstream(ExchangeCapabilities(cross_check=20))
    upstream.sequence = 10 if numbered else 0
    async with house(upstream) as home:
        await warm(home)
        stream = upstream.book_streams[0]
        upstream.bids["99"] = "1.00"
        await live_on(home, 45)
        assert upstream.book_streams == [stream], "a quiet market whose answers spell a number differently"
        upstream.bids["99.9"] = "3"
        upstream.sequence += numbered
        await live_on(home, 45)
        assert upstream.book_streams != [stream]
        assert at_once(home.reads.depth(BTC, 1, LOCAL)).value.bids == (("99.9", "3"),)


@pytest.mark.parametrize("rounded", [True, False])
async def test_answers_that_round_amounts_are_compared_by_their_prices(rounded: bool) -> None:
    upstream = Upstream(ExchangeCapabilities(cross_check=20, depth_rounded=rounded))
    upstream.sequence = 0
    async with house(upstream) as home:
        await warm(home)
        stream = upstream.book_streams[0]
        upstream.bids["99"] = "1.004"
        await live_on(home, 45)
        assert (upstream.book_streams == [stream]) is rounded
        upstream.bids["99.9"] = "3"
        await live_on(home, 45)
        assert upstream.book_streams[-1] is not stream, "a price that the copy doesn't have shows in any case"


async def live_on(home: House, seconds: int) -> None:
    """Time passes, every stream says that it lives, and somebody reads."""
    for _ in range(seconds):
        await home.clock.advance(1)
        home.upstream.beat()
        await home.reads.depth(BTC, 1, LOCAL)


async def test_callers_share_a_question_only_if_it_starts_after_they_asked() -> None:
    async with house() as home:
        upstream = home.upstream
        upstream.gate = anyio.Event()
        answers: list[tuple[float, Answer[Depth]]] = []

        async def ask() -> None:
            asked = home.clock.monotonic()
            answers.append((asked, await home.reads.depth(BTC, 5, NOW)))

        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(ask)
            await settle()
            assert upstream.count("depth") == 1
            await home.clock.advance(1)
            for _ in range(64):
                tasks.start_soon(ask)
            await settle()
            assert upstream.count("depth") == 1, "one under way, one waiting"
            upstream.gate.set()
        assert upstream.count("depth") == 2
        for asked, answer in answers:
            assert home.clock.monotonic() - answer.age >= asked
        assert len({id(answer.body) for _, answer in answers}) == 2, "encoded once per question"


async def test_a_caller_who_leaves_takes_nothing_from_the_others() -> None:
    async with house() as home:
        upstream = home.upstream
        upstream.gate = anyio.Event()
        got: list[Answer[Depth]] = []

        async def ask() -> None:
            got.append(await home.reads.depth(BTC, 5, NOW))

        async with anyio.create_task_group() as others:
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(ask)
                await settle()
                others.start_soon(ask)
                leaving.start_soon(ask)
                await settle()
                leaving.cancel_scope.cancel()
            with pytest.raises(DeadlineExceeded):
                await home.reads.depth(BTC, 5, NOW, deadline=0.01)
            upstream.gate.set()
        assert len(got) == 1
        assert upstream.count("depth") == 2
        upstream.gate = anyio.Event()
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(ask)
            await settle()
            leaving.start_soon(ask)
            await settle()
            leaving.cancel_scope.cancel()
        upstream.gate.set()
        await settle()
        assert upstream.count("depth") == 3, "nobody waits for the second any more"


async def test_an_error_reaches_every_caller_of_its_question_and_no_other() -> None:
    async with house() as home:
        upstream = home.upstream
        upstream.gate = anyio.Event()
        upstream.fault = Unavailable("EXCHANGE_UNAVAILABLE: down.")
        outcomes: list[str] = []

        async def ask() -> None:
            try:
                outcomes.append((await home.reads.depth(BTC, 5, Freshness(tolerate=10))).source)
            except Unavailable as error:
                outcomes.append(error.reason)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
            await settle()
            upstream.gate.set()
        assert outcomes == ["EXCHANGE_UNAVAILABLE"] * 2
        upstream.fault = None
        await ask()
        assert outcomes[-1] == "exchange"


async def test_a_tolerant_caller_shares_what_is_young_enough() -> None:
    async with house() as home:
        upstream = home.upstream
        await home.reads.depth(BTC, 5, NOW)
        await home.clock.advance(1)
        shared = at_once(home.reads.depth(BTC, 5, Freshness(tolerate=1.0)))
        assert (shared.source, shared.age) == ("exchange", 1.0)
        assert upstream.count("depth") == 1
        assert (await home.reads.depth(BTC, 5, Freshness(tolerate=0.9))).age == 0
        assert (await home.reads.depth(BTC, 4, Freshness(tolerate=9))).age == 0, "another limit is another question"
        assert upstream.count("depth") == 3
        upstream.gate = anyio.Event()
        ages: list[float] = []

        async def ask(tolerate: float) -> None:
            ages.append((await home.reads.depth(BTC, 5, Freshness(tolerate=tolerate))).age)

        await home.clock.advance(20)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, 3)
            await settle()
            await home.clock.advance(2)
            tasks.start_soon(ask, 3)
            await settle()
            await home.clock.advance(0.5)
            upstream.gate.set()
        assert ages == [2.5, 2.5]
        assert upstream.count("depth") == 4
        upstream.gate = anyio.Event()
        await home.clock.advance(20)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, 3)
            await settle()
            await home.clock.advance(2)
            tasks.start_soon(ask, 3)
            await settle()
            await home.clock.advance(2)
            upstream.gate.set()
        assert sorted(ages[2:]) == [0, 4], "who asked first waited long; who joined would have got what is too old"


async def test_an_exchange_without_streams_answers_local_reads_itself() -> None:
    async with house(Upstream(lacks=["pull_trade", "pull_depth"])) as home:
        assert (await home.reads.depth(BTC, 5, LOCAL)).source == "exchange"
        assert (await home.reads.recent_trades(BTC, 5, LOCAL)).source == "exchange"
        assert home.feeds.statuses() == []


MISHAPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "drop", "repeat", "late", "corrupt", "cut", "quiet"]),
        st.integers(1, 9),
        st.integers(0, 4),
    ),
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mishaps=MISHAPS, limit=st.integers(1, 30))
async def test_whatever_happens_to_the_stream_an_answer_is_a_state_the_exchange_had_within_the_tolerance(
    mishaps: list[tuple[str, int, int]], limit: int
) -> None:
    upstream = Upstream(ExchangeCapabilities(cross_check=0))
    async with house(upstream) as home:
        states = {upstream.sequence: upstream.book(limit)}
        since = {upstream.sequence: home.clock.monotonic()}
        late: list[DepthDelta] = []
        await home.reads.depth(BTC, limit, LOCAL)
        for fate, level, amount in mishaps:
            upstream.mute = True
            delta = upstream.change(bids=[(f"9{level}.10", str(amount))], asks=[(f"11{level}", str(level % 3))])
            upstream.mute = False
            states[upstream.sequence] = upstream.book(limit)
            since[upstream.sequence] = home.clock.monotonic()
            arriving = {"repeat": [delta, delta], "drop": [], "late": [], "cut": [], "quiet": []}.get(fate, [delta])
            if fate == "corrupt":
                arriving = [DepthDelta(bids=[("1e9", "1")], asks=[], previous=delta.previous, sequence=delta.sequence)]
            for stream in list(upstream.book_streams):
                for item in [*arriving, *late]:
                    stream.emit(item)
                if fate == "cut":
                    stream.cut()
            late = [delta] if fate == "late" else []
            if fate == "quiet":
                await home.clock.advance(level)
            answer = await home.reads.depth(BTC, limit, LOCAL)
            state = states[answer.value.last_update_id]
            assert list(answer.value.bids) == list(state.bids)
            assert list(answer.value.asks) == list(state.asks)
            assert answer.age <= 5.0
            assert not answer.value.bids or float(answer.value.bids[0][0]) < float(answer.value.asks[0][0])
