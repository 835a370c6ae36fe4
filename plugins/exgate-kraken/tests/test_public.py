"""The public side over the fake of the exchange: pages, streams of every depth, errors."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from exgate_kraken import Kraken
from exgate_kraken.dialect import KrakenDialect
from exgate_testing.crowd import Crowd
from exgate_testing.fakes import Reply
from exgate_testing.faults import FrameFault
from kraken_stage import BTC, DOGE, SC, collect, said, sent, stage
from msgspec import structs

from exgate_core.book import Book
from exgate_core.errors import ExGateError, FailedPrecondition, InvalidArgument, RateLimited, Refused, Unavailable
from exgate_core.models import Depth, DepthDelta, Market

pytestmark = pytest.mark.anyio


async def test_markets() -> None:
    async with stage() as here:
        found = {market.symbol: market for market in await here.public.markets()}
        assert found == {market.symbol: market for market in here.exchange.simulation.markets}


async def test_pages_by_id_without_holes() -> None:
    async with stage() as here:
        made = [trade.id for trade in Crowd(here.exchange.simulation).trade(BTC, 2300)]
        newest = await here.public.recent_trades(BTC, 7, None)
        assert [trade.id for trade in newest] == made[-7:]
        assert [trade.id for trade in await here.public.recent_trades(BTC, 1500, made[99])] == made[100:1600]
        assert await here.public.recent_trades(BTC, 1000, made[-1]) == []
        asked = len(sent(here.exchange))
        assert [trade.id for trade in await here.public.recent_trades(BTC, 5, made[-6])] == made[-5:]
        assert len(sent(here.exchange)) == asked + 1


@pytest.mark.parametrize("since", ["", "x", "-1", "1.5", "٣"])
async def test_an_id_that_is_none_is_refused(since: str) -> None:
    async with stage() as here:
        with pytest.raises(InvalidArgument):
            await here.public.recent_trades(BTC, 5, since)
        assert sent(here.exchange) == []


async def test_the_stream_begins_with_the_last_trades_and_goes_on() -> None:
    async with stage() as here:
        crowd = Crowd(here.exchange.simulation)
        crowd.books()
        made = [trade.id for trade in crowd.trade(DOGE, 60)]

        def enough(got: list[Any]) -> bool:
            if sum(map(len, got)) == 50 and len(made) == 60:
                made.extend(trade.id for trade in crowd.trade(DOGE, 5))
            return sum(map(len, got)) >= 55

        batches = await collect(lambda emit: here.public.pull_trade(DOGE, emit), enough)
        assert [trade.id for batch in batches for trade in batch] == made[10:]


@pytest.mark.parametrize("depth", [10, 25, 100, 500, 1000])
async def test_a_book_of_every_depth_stays_in_step(depth: int) -> None:
    async with stage(book_depth=depth) as here:
        assert here.public.capabilities.depth_windows == (depth,)
        simulation, crowd = here.exchange.simulation, Crowd(here.exchange.simulation)
        crowd.deepen(SC, 40)
        book, moved = Book("crc32-kraken", levels=depth, window=True), anyio.Event()

        def take(item: Depth | DepthDelta | None) -> None:
            nonlocal moved
            if item is not None:
                assert book.reset(item) if isinstance(item, Depth) else book.apply(item), book.fault
            moved.set()
            moved = anyio.Event()

        async def equal() -> None:
            with anyio.fail_after(5):
                truth = simulation.depth(SC.symbol, depth)
                while not book.in_sync or book.top(depth) != at(truth, book.timestamp):
                    await moved.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.public.pull_depth, SC, depth, take)
            for number in range(40):
                await equal()
                crowd.trade(SC, 1)
                await equal()
                crowd.rest(SC, "buy", -3 - number % 30)
            tasks.cancel_scope.cancel()


def at(depth: Depth, timestamp: int) -> Depth:
    return Depth(bids=tuple(depth.bids), asks=tuple(depth.asks), timestamp=timestamp)


async def test_a_lost_change_shows_in_the_checksum() -> None:
    async with stage() as here:
        crowd = Crowd(here.exchange.simulation)
        crowd.deepen(BTC, 12)
        book = Book("crc32-kraken", levels=25, window=True)
        here.exchange.faults.add(FrameFault(kind="skip", after=1))

        def broken(got: list[Any]) -> bool:
            item = got[-1]
            if isinstance(item, Depth):
                assert book.reset(item)
                crowd.rest(BTC, "buy", -2)
                crowd.rest(BTC, "sell", 2)
            elif isinstance(item, DepthDelta):
                assert not book.apply(item)
                assert book.fault.startswith("checksum")
                return True
            return False

        await collect(lambda emit: here.public.pull_depth(BTC, 25, emit), broken)


async def test_the_connection_lives_on_krakens_own_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = structs.replace(KrakenDialect.limits, ping=0.05, pong=0.1)
    monkeypatch.setattr(KrakenDialect, "limits", quick)
    async with stage() as here:
        proofs = await collect(lambda emit: here.public.pull_trade(BTC, emit), lambda got: got.count(()) >= 12)
        assert all(not batch for batch in proofs)
        assert here.exchange.sessions <= 1


async def test_a_market_that_the_streams_do_not_have_is_refused() -> None:
    async with stage() as here:
        gone = Market(symbol="GONE/USD", id="GONEUSD", base="GONE", quote="USD")
        with pytest.raises(Refused, match="Currency pair not supported GONE/USD"):
            await here.public.pull_trade(gone, lambda batch: None)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said("EQuery:Unknown asset pair"), Refused),
        (said("EService:Unavailable"), Unavailable),
        (said("EGeneral:Internal error"), Unavailable),
        (said(result='{"OTHER":{"asks":[],"bids":[]}}'), Unavailable),
        (said(result="{}"), Unavailable),
        (said(), Unavailable),
        (Reply(b"<html>"), Unavailable),
        (Reply(b"{}"), Unavailable),
        (Reply(b"error code: 1020", 403), Unavailable),
        (Reply(b"error code: 1015", 429), RateLimited),
    ],
)
async def test_what_is_no_book_is_never_one(answer: Reply, kind: type[ExGateError]) -> None:
    async with stage(("Depth", answer)) as here:
        with pytest.raises(kind):
            await here.public.depth(BTC, 10)


@pytest.mark.parametrize("error", ["EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EService:Throttled"])
async def test_after_too_many_requests_nothing_leaves_for_a_while(error: str) -> None:
    async with stage(("Depth", said(error)), deadline=1.0) as here:
        with pytest.raises(RateLimited) as caught:
            await here.public.depth(BTC, 10)
        assert caught.value.retry_after
        with pytest.raises(RateLimited, match="asked for a pause"):
            await here.public.recent_trades(BTC, 10, None)
        assert sent(here.exchange) == ["Depth"]
        here.clock.mono += caught.value.retry_after
        await here.public.depth(BTC, 10)


async def test_a_sandbox_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="no sandbox"):
        async with stage(sandbox=True):
            pass
    assert Kraken.capabilities.trade_ids == "ordered"
