"""Frames that a reader hands straight to a writer: the same frames, in the same order, as ``next`` would give."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from exgate_core.readers import Reader, ReaderClosed
from tests.support.upstream import BTC, House, Upstream, house

pytestmark = pytest.mark.anyio


class Writer:
    """Keeps what it is given, as long as it takes anything."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.takes = True
        self._news = asyncio.Event()

    def __call__(self, frame: bytes) -> bool:
        self._news.set()
        if self.takes:
            self.frames.append(frame)
        return self.takes

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that comes with a frame."""
        with anyio.fail_after(5):
            while not condition():
                self._news.clear()
                await self._news.wait()

    @property
    def ids(self) -> list[str]:
        """Of all trades so far."""
        return [trade["trade_id"] for frame in self.frames for trade in json.loads(frame).get("trades", ())]


@asynccontextmanager
async def relaying() -> AsyncIterator[tuple[House, Reader, Writer, asyncio.Task[None]]]:
    """A reader of a live stream that relays to a writer."""
    async with house(Upstream()) as home:
        async with home.feeds.subscribe(BTC, None) as reader:
            await reader.next()
            while home.feeds.trades(BTC).status != "live":
                await home.clock.advance(0.1)
            writer = Writer()
            task = asyncio.create_task(reader.relay(writer))
            await writer.until(lambda: bool(writer.frames))
            try:
                yield home, reader, writer, task
            finally:
                task.cancel()


async def test_trades_that_come_together_are_one_frame() -> None:
    async with relaying() as (home, _, writer, _task):
        before = len(writer.frames)
        expected = [trade.id for _ in range(3) for trade in home.upstream.trade()]
        await writer.until(lambda: len(writer.ids) == 3)
        assert writer.ids == expected
        assert len(writer.frames) == before + 1


async def test_a_refused_frame_comes_from_next() -> None:
    async with relaying() as (home, reader, writer, task):
        writer.takes = False
        [trade] = home.upstream.trade()
        with anyio.fail_after(5):
            await task
            frame = json.loads(await reader.next())
        assert [row["trade_id"] for row in frame["trades"]] == [trade.id]
        assert writer.ids == []


async def test_what_came_before_the_relay_is_written_first() -> None:
    async with relaying() as (home, reader, writer, task):
        writer.takes = False
        first = [trade.id for trade in home.upstream.trade(2)]
        with anyio.fail_after(5):
            await task
        writer.takes = True
        second = asyncio.create_task(reader.relay(writer))
        last = [trade.id for trade in home.upstream.trade(2)]
        await writer.until(lambda: len(writer.ids) == 4)
        assert writer.ids == first + last
        second.cancel()


async def test_the_end_of_the_feed_ends_the_relay() -> None:
    async with relaying() as (home, reader, writer, task):
        [trade] = home.upstream.trade()
        await home.feeds.stop()
        with anyio.fail_after(5):
            await task
            with pytest.raises(ReaderClosed) as closed:
                while True:
                    await reader.next()
        assert closed.value.code == 1012
        assert writer.ids == [trade.id]


async def test_a_reader_that_goes_is_called_no_more() -> None:
    async with relaying() as (home, reader, writer, task):
        task.cancel()
        await asyncio.wait([task])
        seen = len(writer.frames)
        [trade] = home.upstream.trade()
        assert json.loads(await reader.next())["trades"][0]["trade_id"] == trade.id
        assert len(writer.frames) == seen
