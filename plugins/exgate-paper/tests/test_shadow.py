"""A paper account over a real exchange: its orders meet the real books and never leave."""

from __future__ import annotations

import pytest
from exgate_paper import PaperAccount
from msgspec.structs import replace
from paper_support import MARKET, STILL, PaperContext, Side, request

from exgate_core.errors import FailedPrecondition, NotSent, Refused, Unavailable
from exgate_core.models import Depth, Level
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


def book(bids: list[Level], asks: list[Level]) -> Depth:
    return Depth(bids=bids, asks=asks)


def real(*, bids: list[Level], asks: list[Level]) -> Side:
    unruly = replace(MARKET, symbol="OLD/USDT", tick_size="")
    return Side((object(),), (MARKET, unruly), {"BTC/USDT": book(bids, asks)})


async def test_orders_trade_with_the_real_book_which_is_whole_again_afterwards() -> None:
    side = real(bids=[("99", "1")], asks=[("100.00", "0.5"), ("101.005", "1.0000")])
    async with PaperAccount(PaperContext(STILL, ManualClock().runtime(), side)) as account:
        for number in (1, 2):
            order_id = await account.place_order(request("buy 1"))
            order = (await account.find_order(None, order_id, ""))[0]
            assert (order.status, order.filled) == ("filled", "1.000")
            usdt = next(row for row in await account.balances() if row.asset == "USDT")
            assert float(usdt.available) == 100_000 - number * (50 + 50.505)


async def test_balances_are_of_what_the_account_ever_held() -> None:
    others = [
        replace(MARKET, symbol=f"{asset}/USDT", id=f"{asset}USDT", base=asset) for asset in ("ETH", "SOL", "DOGE")
    ]
    side = Side((object(),), (MARKET, *others), {"SOL/USDT": book([("99", "9")], [("100", "9")])})
    sol = others[1]
    async with PaperAccount(PaperContext(STILL, ManualClock().runtime(), side)) as account:

        async def assets() -> dict[str, float]:
            return {row.asset: float(row.available) for row in await account.balances()}

        assert set(await assets()) == {"BTC", "USDT"}
        with pytest.raises(Refused, match="needs 1"):
            await account.place_order(request("sell 1", market=sol))
        assert set(await assets()) == {"BTC", "USDT"}
        await account.place_order(request("buy 1", market=sol))
        assert (await assets())["SOL"] == 1
        await account.place_order(request("sell 1", market=sol))
        assert (await assets())["SOL"] == 0
        assert set(await assets()) == {"BTC", "USDT", "SOL"}


async def test_a_resting_order_is_filled_when_the_real_market_comes_to_it() -> None:
    clock, side = ManualClock(), real(bids=[("99", "1")], asks=[("100", "1")])
    async with PaperAccount(PaperContext(STILL, clock.runtime(), side)) as account:
        order_id = await account.place_order(request("buy 2 @ 98"))
        for asks, filled in (([("97", "0.5")], "0.500"), ([("97", "0.5")], "1.000"), ([("99", "9")], "1.000")):
            side.books["BTC/USDT"] = book([("90", "1")], list(asks))
            await clock.advance(2)
            assert (await account.find_order(None, order_id, ""))[0].filled == filled
        side.books["BTC/USDT"] = Unavailable("the exchange is away.")
        await clock.advance(2)
        side.books["BTC/USDT"] = book([], [("98", "9")])
        await clock.advance(2)
        order = (await account.find_order(None, order_id, ""))[0]
        assert (order.status, order.price) == ("filled", "98.00")
        assert account.engine.trades("BTC/USDT", 9)[-1].price == "98.00"


async def test_without_market_data_nothing_is_placed() -> None:
    side = real(bids=[], asks=[])
    side.books["BTC/USDT"] = Unavailable("the exchange is away.")
    async with PaperAccount(PaperContext(STILL, ManualClock().runtime(), side)) as account:
        with pytest.raises(NotSent, match="Nothing was placed"):
            await account.place_order(request("buy 1 @ 99"))
        assert not list(account.engine.ledger.accepted(""))
        with pytest.raises(Refused, match="no market"):
            await account.place_order(request("buy 1 @ 99", market=replace(MARKET, symbol="OLD/USDT")))


async def test_state_is_refused_over_a_real_exchange() -> None:
    context = PaperContext(replace(STILL, state="x"), ManualClock().runtime(), real(bids=[], asks=[]))
    with pytest.raises(FailedPrecondition, match="memory only"):
        PaperAccount(context)
