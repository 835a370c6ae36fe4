"""What the core makes of several adapters of one exchange."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio
import pytest

from exgate_core import Depth, DepthDelta, ExchangeCapabilities, Market, Trade, hookimpl
from exgate_core.errors import Unavailable, Unimplemented
from exgate_core.exchange import Exchange

pytestmark = pytest.mark.anyio
BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")
LEVELS = [(f"{100 - n}", "1") for n in range(50)]


class Native:
    """Hand-written: a book and its stream."""

    @hookimpl
    async def depth(self, market: Market, limit: int) -> Depth:
        return Depth(bids=LEVELS[:limit], asks=(), last_update_id=limit)

    @hookimpl
    async def pull_trade(self, market: Market, emit: object) -> None:
        """Never asked here."""


class Generic:
    """Everything, and last."""

    @hookimpl(trylast=True)
    async def depth(self, market: Market, limit: int) -> Depth:
        return Depth(bids=(), asks=())

    @hookimpl(trylast=True)
    async def recent_trades(self, market: Market, limit: int) -> Sequence[Trade]:
        return [Trade(id=str(n), price="1", qty="1", time=n) for n in range(10)]

    @hookimpl(trylast=True)
    async def pull_depth(self, market: Market, levels: int, emit: object) -> None:
        """Never asked here."""


NATIVE = ExchangeCapabilities(trade_ids="contiguous", trades_reach=None, depth_sizes=(5, 10, 20), weight_limit=7)
GENERIC = ExchangeCapabilities(
    trade_ids="ordered", trades_reach=500, depth_windows=(25,), checksum="crc32-kraken", exact=False
)


def both() -> Exchange:
    return Exchange("x", [(Native(), NATIVE), (Generic(), GENERIC)], deadline=1.0)


async def test_each_operation_is_served_by_the_best_adapter_that_has_it() -> None:
    exchange = both()
    assert exchange.serves() == {
        "depth": "Native",
        "pull_trade": "Native",
        "recent_trades": "Generic",
        "pull_depth": "Generic",
    }
    with pytest.raises(Unimplemented, match="markets"):
        await exchange.refresh_markets()


async def test_the_capabilities_are_those_of_whoever_serves() -> None:
    stated = both().capabilities
    assert (stated.depth_sizes, stated.weight_limit) == ((5, 10, 20), 7)
    assert (stated.depth_windows, stated.checksum) == ((25,), "crc32-kraken")
    assert not stated.exact


async def test_pages_of_another_adapter_fill_no_hole_of_a_stream() -> None:
    stated = both().capabilities
    assert (stated.trade_ids, stated.trades_reach) == ("contiguous", 0)


@pytest.mark.parametrize(("limit", "asked"), [(1, 5), (5, 5), (6, 10), (20, 20), (500, 20)])
async def test_the_next_size_that_the_exchange_takes_is_asked_for_and_cut(limit: int, asked: int) -> None:
    depth = await both().depth(BTC, limit)
    assert (depth.last_update_id, len(depth.bids)) == (asked, min(limit, asked))


async def test_an_adapter_may_leave_out_arguments_that_it_needs_not() -> None:
    trades = await both().recent_trades(BTC, 3)
    assert [trade.id for trade in trades] == ["7", "8", "9"]


def trade(qty: str, **more: object) -> Trade:
    return Trade(**{"id": "1", "price": "1", "qty": qty, "time": 1, **more})  # type: ignore[arg-type]


def delta(amount: str, sequence: int = 2) -> DepthDelta:
    return DepthDelta(bids=(("1", amount),), asks=(), previous=1, sequence=sequence)


class Stubborn:
    """A stream in which one thing is wrong, and which takes no notice of what ``emit`` says of it."""

    def __init__(self, *items: object) -> None:
        self.items = items

    async def _run(self, emit: Callable[[object], None]) -> None:
        for item in self.items:
            with suppress(Exception):
                emit(item)
        await anyio.sleep_forever()

    @hookimpl
    async def pull_trade(self, market: Market, emit: Callable[[object], None]) -> None:
        await self._run(emit)

    @hookimpl
    async def pull_depth(self, market: Market, levels: int, emit: Callable[[object], None]) -> None:
        await self._run(emit)


@pytest.mark.parametrize(
    "bad",
    [trade("NaN"), trade("-1"), trade("1", quote_qty="1e999999999"), trade("1", time=2**63), trade("1", id="1" * 129)],
)
async def test_a_trade_that_cannot_be_told_ends_the_stream_whatever_its_adapter_makes_of_that(bad: Trade) -> None:
    got: list[object] = []
    exchange = Exchange("x", [(Stubborn((), [trade("1e-2")], [bad], [trade("2")]), NATIVE)], deadline=1.0)
    with anyio.fail_after(5), pytest.raises(Unavailable, match="can't be used") as caught:
        await exchange.pull_trade(BTC, got.append)
    assert caught.value.reason == "BAD_ANSWER"
    assert got == [(), [trade("0.01")]]


@pytest.mark.parametrize("bad", [delta("NaN"), delta("-1"), delta("1", 2**63), Depth(bids=[("1e999", "1")], asks=())])
async def test_a_change_of_a_book_that_cannot_be_told_ends_the_stream(bad: object) -> None:
    got: list[object] = []
    exchange = Exchange("x", [(Stubborn(None, delta("5E+1"), bad, delta("2")), NATIVE)], deadline=1.0)
    with anyio.fail_after(5), pytest.raises(Unavailable, match="can't be used"):
        await exchange.pull_depth(BTC, 5, got.append)
    assert got == [None, delta("50")]


class Listing:
    """Markets, one of which nobody can check an order by."""

    @hookimpl
    async def markets(self) -> Sequence[Market]:
        return [
            Market(symbol="A/B", id="A", base="A", quote="B", tick_size="1e-8", max_amount="-1"),
            Market(symbol="C/D", id="C", base="C", quote="D", tick_size="0.1", step_size="1e-999999999"),
        ]


async def test_a_market_whose_rules_cannot_be_read_takes_no_orders(caplog: pytest.LogCaptureFixture) -> None:
    exchange = Exchange("x", [(Listing(), NATIVE)], deadline=1.0)
    with caplog.at_level(logging.WARNING):
        await exchange.refresh_markets()
    first, second = exchange.markets
    assert (first.tick_size, first.max_amount, first.active) == ("0.00000001", "-1", True)
    assert (second.tick_size, second.step_size, second.active) == ("", "", False)
    assert "C/D" in caplog.text and "A/B" not in caplog.text
