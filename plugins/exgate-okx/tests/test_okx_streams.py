"""The streams over the fake of this package: what OKX does seldom, and what it has announced."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from exgate_okx import Okx
from exgate_okx.fake import OkxFake
from exgate_testing.house import eventually
from exgate_testing.serving import FakeExchange, running

from exgate_core.book import Book
from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import Refused, Unavailable
from exgate_core.models import Depth, DepthDelta, Market, OrderRequest, Side

pytestmark = pytest.mark.anyio

BTC = OkxFake.markets[0]
SHOWN = 20


@asynccontextmanager
async def exchange() -> AsyncIterator[tuple[FakeExchange, Okx]]:
    """A served fake and the adapter over it."""
    runtime = Runtime()
    budget = Budget(100_000, 1, runtime.clock, runtime.sleep)
    async with (
        running(OkxFake) as wire,
        Transport(budget, runtime, upstream_prefix=wire.prefix) as transport,
    ):
        yield wire, Okx(transport.context("okx"))


def rest(wire: FakeExchange, side: Side, price: str, number: int) -> None:
    """One resting order in the book."""
    name = f"{side}{price.replace('.', 'p')}x{number}"
    wire.simulation.place(
        OrderRequest(market=BTC, side=side, type="limit", client_order_id=name, price=price, amount="0.5")
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    await eventually(condition, "what the test waits for", 5.0)


class Copy:
    """A book that is fed by the adapter."""

    def __init__(self) -> None:
        self.book = Book("crc32-okx", levels=400, window=True)
        self.snapshots = 0

    def take(self, item: Depth | DepthDelta | None) -> None:
        if isinstance(item, Depth):
            self.snapshots += 1
            assert self.book.reset(item)
        elif item is not None:
            assert self.book.apply(item), self.book.fault

    def is_right(self, wire: FakeExchange) -> bool:
        truth = wire.simulation.depth(BTC.symbol, SHOWN)
        if not self.book.in_sync or self.book.sequence != truth.last_update_id:
            return False
        ours = self.book.top(SHOWN)
        return (list(ours.bids), list(ours.asks)) == (list(truth.bids), list(truth.asks))


@asynccontextmanager
async def copying(adapter: Okx) -> AsyncIterator[Copy]:
    """A copy of the book while its stream lives."""
    copy = Copy()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(adapter.pull_depth, BTC, 400, copy.take)
        yield copy
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("snapshots", ["sent", "not sent"])
async def test_the_book_is_right_whether_or_not_its_stream_begins_with_a_snapshot(
    monkeypatch: pytest.MonkeyPatch, snapshots: str
) -> None:
    """OKX has announced (changelog 2026-02-12) to send none."""
    send = OkxFake._send_book

    def changes_only(fake: OkxFake, session: Any, argument: Any, action: str, depth: Depth, previous: int) -> None:
        if action != "snapshot":
            send(fake, session, argument, action, depth, previous)

    if snapshots == "not sent":
        monkeypatch.setattr(OkxFake, "_send_book", changes_only)
    async with exchange() as (wire, adapter):
        for number in range(3):
            rest(wire, "buy", f"{100 - number}.0", number)
            rest(wire, "sell", f"{200 + number}.5", number)
        async with copying(adapter) as copy:
            await until(lambda: wire.sessions > 0)
            for number in range(30):
                rest(wire, "buy", f"{110 + number}.3", number)
                await anyio.lowlevel.checkpoint()
            await until(lambda: copy.is_right(wire))
            rest(wire, "sell", "160.0", 99)
            await until(lambda: copy.is_right(wire))
            assert copy.snapshots == 1


async def test_a_connection_that_okx_will_close_is_replaced_and_nothing_is_lost() -> None:
    async with exchange() as (wire, adapter):
        rest(wire, "buy", "100.0", 0)
        async with copying(adapter) as copy:
            await until(lambda: copy.is_right(wire))
            (old,) = wire._links
            old.session.send(json.dumps({"event": "notice", "code": "64008", "msg": "will soon be closed"}))
            for number in range(60):
                rest(wire, "buy", f"{110 + number // 10}.{number % 10}", number)
                await anyio.lowlevel.checkpoint()
            await until(lambda: old not in wire._links and wire.sessions == 1)
            rest(wire, "sell", "400.0", 1)
            await until(lambda: copy.is_right(wire))


async def test_a_market_that_okx_does_not_know_is_told() -> None:
    async with exchange() as (_, adapter):
        market = Market(symbol="NO/SUCH", id="NO-SUCH", base="NO", quote="SUCH")
        for pull in (adapter.pull_trade, partial(adapter.pull_depth, levels=400)):
            with pytest.raises(Refused, match="60018"):
                await pull(market, emit=lambda item: None)


async def test_a_book_whose_snapshots_stay_old_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    def ahead(fake: OkxFake, session: Any, argument: Any, action: str, depth: Depth, previous: int) -> None:
        row = {"asks": [], "bids": [], "ts": "1", "checksum": 0, "prevSeqId": 2**60, "seqId": 2**60 + 1}
        session.send(json.dumps({"arg": argument, "action": "update", "data": [row]}), "books")

    monkeypatch.setattr(OkxFake, "_send_book", ahead)
    async with exchange() as (wire, adapter):
        monkeypatch.setattr(adapter, "_sleep", at_once)
        with anyio.fail_after(20), pytest.raises(Unavailable, match="older than its stream"):
            await adapter.pull_depth(BTC, 400, lambda item: None)
        assert wire.operations().count("depth") == 20
