"""Streams that break: whatever ends or garbles one ends its hook with an error, at once, and nothing else."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from aiohttp import web
from exgate_ccxt.stream import ANSWER
from exgate_ccxt.windows import WINDOWS
from streaming import Copy, FastClock, collect, market_of, opened, trades_in

from exgate_core.errors import Unavailable

pytestmark = pytest.mark.anyio

BUSY = {
    "binanceus": ("binanceus/20211012", "OMGBUSD"),
    "bitstamp": ("bitstamp/20220105", "ethusd"),
    "coinbase": ("coinbase/20210417-a-adv", "SKL-USD"),
    "coinbaseexchange": ("coinbaseexchange/20210417-a", "SKL-USD"),
    "kraken": ("kraken/20210417-v2", "SC/EUR"),
    "okx": ("okx/20220513", "BTC-USDT"),
}
CHECKED = ("binanceus", "kraken", "okx")
"""Their frames show what is missing."""

FAULTS: dict[str, dict[str, Any]] = {
    "aborted": {"cut_after": 4, "abort": True},
    "closed": {"cut_after": 4, "abort": False, "code": 1012},
    "malformed": {"malformed": [4]},
}


def break_streams(venue: Any, **fault: Any) -> None:
    venue.state.faults = [{"kind": "ws", "times": -1, **fault}]


async def until(met: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not met():  # noqa: ASYNC110  # what is waited for is another program
            await anyio.sleep(0.005)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", BUSY)
async def test_a_broken_stream_of_trades_ends(venue: Any, name: str, fault: str) -> None:
    session, symbol = BUSY[name]
    async with opened(venue, name, session) as exchange:
        break_streams(venue, **FAULTS[fault])
        with anyio.fail_after(5), pytest.raises(Exception):  # noqa: B017  # whatever it is, it isn't silence
            await exchange.pull_trade(market_of(exchange, symbol), lambda batch: None)
        await until(lambda: not venue.state.stats["ws_open"])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", BUSY)
async def test_a_broken_stream_of_a_book_ends(venue: Any, name: str, fault: str) -> None:
    session, symbol = BUSY[name]
    async with opened(venue, name, session) as exchange:
        break_streams(venue, **FAULTS[fault])
        with anyio.fail_after(5), pytest.raises(Exception):  # noqa: B017
            await exchange.pull_depth(market_of(exchange, symbol), WINDOWS.get(name, (1000,))[-1], lambda item: None)


@pytest.mark.parametrize("name", CHECKED)
async def test_a_lost_frame_never_leaves_a_wrong_book(venue: Any, name: str) -> None:
    session, symbol = BUSY[name]
    copy = Copy(name, WINDOWS.get(name, (1000,))[-1])
    async with opened(venue, name, session) as exchange:
        break_streams(venue, skip=[30])
        venue.state.config["speed"] = 60  # so that the snapshot is there when the frame isn't
        with anyio.fail_after(5), pytest.raises(Exception):  # noqa: B017
            await exchange.pull_depth(market_of(exchange, symbol), copy.levels, copy.take)


@pytest.mark.parametrize("name", BUSY)
async def test_a_handler_that_breaks_ends_the_stream(venue: Any, name: str) -> None:
    session, symbol = BUSY[name]

    def broken(*_arguments: Any) -> None:
        raise TypeError("bad operand type")

    async with opened(venue, name, session) as exchange:
        market = market_of(exchange, symbol)
        exchange.client.parse_trade = exchange.client.parse_ws_trade = broken
        with anyio.fail_after(5), pytest.raises(TypeError, match="bad operand"):
            await exchange.pull_trade(market, lambda batch: None)


async def test_streams_of_one_exchange_stand_alone_and_leave_nothing(venue: Any) -> None:
    session, symbol = BUSY["okx"]
    async with opened(venue, "okx", session) as exchange:
        market = market_of(exchange, symbol)
        got: list[Any] = []
        books: list[Any] = []
        before = asyncio.all_tasks()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.pull_depth, market, 400, books.append)
            await until(lambda: len(books) > 0)
            other = await collect(
                lambda emit: exchange.pull_trade(market, emit), lambda batches: len(trades_in(batches)) >= 69
            )
            got += trades_in(other)
            await until(lambda: venue.state.stats["ws_open"] == 1)
            tasks.cancel_scope.cancel()
        await until(lambda: not venue.state.stats["ws_open"])
        assert len(got) == 69
        assert books
        await until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


async def test_a_refused_connection_ends_the_stream(venue: Any) -> None:
    async with opened(venue, "okx", BUSY["okx"][0]) as exchange:
        venue.state.faults = [{"kind": "ws_connect", "status": 503, "times": -1}]
        with anyio.fail_after(5), pytest.raises(Exception):  # noqa: B017
            await exchange.pull_trade(market_of(exchange, BUSY["okx"][1]), lambda batch: None)


async def test_a_quiet_market_is_alive_as_long_as_its_connection_answers(venue: Any) -> None:
    clock = FastClock(40)
    async with opened(venue, "okx", BUSY["okx"][0], runtime=clock.runtime()) as exchange:
        break_streams(venue, stall_after=3, stall=60)
        beats = await collect(
            lambda emit: exchange.pull_trade(market_of(exchange, BUSY["okx"][1]), emit),
            lambda batches: sum(not batch for batch in batches) >= 10,
        )
        assert len(trades_in(beats)) <= 3
        assert sum(not batch for batch in beats) >= 10


async def test_a_connection_that_answers_no_more_ends(venue: Any) -> None:
    clock = FastClock(40)
    async with opened(venue, "okx", BUSY["okx"][0], runtime=clock.runtime()) as exchange:
        market = market_of(exchange, BUSY["okx"][1])
        beats: list[float] = []

        def emit(batch: Any) -> None:
            beats.append(clock.monotonic())
            if len(beats) == 6:
                for transport in _server_side():
                    transport.pause_reading()

        break_streams(venue, stall_after=3, stall=60)
        with anyio.fail_after(5), pytest.raises(Unavailable, match="silent") as ended:
            await exchange.pull_trade(market, emit)
        seconds = int(ended.value.message.split()[-2])
        assert seconds >= ANSWER  # how much later depends on the machine: its time goes by here, forty times as fast


def _server_side() -> list[Any]:
    sockets = [item for item in gc.get_objects() if isinstance(item, web.WebSocketResponse) and not item.closed]
    return [socket._req.transport for socket in sockets if socket._req is not None]
