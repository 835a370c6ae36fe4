"""What the core makes of several adapters of one exchange."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from exgate_core import Depth, ExchangeCapabilities, Market, Trade, hookimpl
from exgate_core.errors import Unimplemented
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
