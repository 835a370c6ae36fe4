"""What one token may move at once, how often it may ask, and where: to the last digit and the last moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.caps import hold_to
from exgate_core.errors import PermissionDenied, RateLimited
from exgate_core.grants import Grant
from exgate_core.models import Answer, Depth, Freshness, Level, Market
from exgate_core.rates import Rates
from exgate_core.requests import PlaceBody
from tests.support.clock import ManualClock

BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")


class Bids:
    """An exchange whose book has these bids."""

    def __init__(self, bids: Sequence[Level]) -> None:
        self._bids = bids
        self.asked: list[tuple[int, Freshness]] = []

    async def depth(self, market: Market, limit: int, freshness: Freshness) -> Answer[Depth]:
        self.asked.append((limit, freshness))
        return Answer(Depth(bids=self._bids, asks=[]), "exchange", 0.0)


def held(caps: Mapping[str, str], bids: Sequence[Level] = (), **order: Any) -> str:
    """Why an order is refused; empty = it isn't."""
    body = PlaceBody(**{"symbol": "BTC/USDT", "side": "buy", "type": "limit", **order})
    try:
        anyio.run(hold_to, caps, Bids(bids), BTC, body)
    except PermissionDenied as error:
        assert (error.reason, error.metadata) == ("ORDER_CAP", {"outcome": "refused"})
        assert error.message.endswith("Nothing was sent.")
        return error.message
    return ""


@pytest.mark.parametrize(
    ("caps", "bids", "order", "why"),
    [
        ({"USDT": "100"}, [], {"price": "10", "amount": "10"}, ""),
        ({"USDT": "100"}, [], {"price": "10", "amount": "10.00000000000000000001"}, "moves 100.0"),
        ({"BTC": "2"}, [], {"price": "10", "amount": "2.0"}, ""),
        ({"BTC": "2"}, [], {"price": "10", "amount": "2.1"}, "moves 2.1 BTC; this token may move 2 at once"),
        ({"BTC": "2"}, [], {"side": "sell", "type": "market", "amount": "3"}, "moves 3 BTC"),
        ({"BTC": "9", "USDT": "5"}, [], {"price": "3", "amount": "2"}, "moves 6 USDT"),
        ({"ETH": "2"}, [], {"price": "10", "amount": "1"}, "capped in ETH"),
        ({"USDT": "5", "ETH": "1"}, [], {"type": "market", "amount": "1"}, "how much USDT"),
        ({"USDT": "1000", "BTC": "0.02"}, [], {"type": "market", "amount": "0.02"}, "how much USDT"),
        ({"USDT": "1000", "BTC": "0.02"}, [], {"type": "market", "price": "1", "amount": "0.02"}, "how much USDT"),
        (
            {"USDT": "1000", "BTC": "0.02"},
            [],
            {"type": "market", "amount": "0.019", "options": {"stop_price": "70000"}},
            "how much USDT",
        ),
        ({"USDT": "9", "BTC": "9"}, [], {"type": "market", "options": {"quote_amount": "1"}}, "how much BTC"),
        ({"BTC": "9"}, [], {"side": "sell", "type": "market", "options": {"quote_amount": "1"}}, "how much BTC"),
        ({"BTC": "9"}, [], {"type": "market", "amount": "9"}, ""),
        (
            {"USDT": "9"},
            [("1", "1")],
            {"side": "sell", "price": "1", "amount": "1", "options": {"stop_price": "2"}},
            "how much USDT",
        ),
        ({"BTC": "9"}, [], {"side": "sell", "price": "1", "amount": "9", "options": {"stop_price": "2"}}, ""),
        ({"USDT": "9"}, [], {"price": "9", "amount": "1", "options": {"stop_price": "8", "post_only": "true"}}, ""),
        ({"USDT": "9"}, [], {"price": "9", "amount": "1", "options": {"pegPriceType": "MARKET_PEG"}}, "pegPriceType"),
        ({"BTC": "9", "USDT": "9"}, [], {"price": "9", "amount": "1", "options": {"tag": "x"}}, "options.tag"),
        ({"BTC": "9", "EUR": "9"}, [], {"price": "9", "amount": "1", "options": {"tag": "x"}}, "options.tag"),
        ({"BTC": "9"}, [], {"price": "9", "amount": "9", "options": {"tag": "x"}}, ""),
        ({"USDT": "5"}, [("4", "1")], {"side": "sell", "price": "3", "amount": "1"}, ""),
        ({"USDT": "5"}, [("6", "1"), ("1", "1")], {"side": "sell", "price": "3", "amount": "1"}, "moves 6 USDT"),
        ({"USDT": "5"}, [("4", "1")], {"side": "sell", "price": "6", "amount": "1"}, "moves 6 USDT"),
        ({"USDT": "5"}, [("6", "1")], {"side": "SELL", "type": "market", "amount": "1"}, "moves 6 USDT"),
        ({"USDT": "5"}, [], {"side": "sell", "price": "6", "amount": "1"}, "moves 6 USDT"),
        ({"USDT": "5"}, [], {"side": "sell", "type": "market", "amount": "1"}, "how much USDT"),
        ({"USDT": "5"}, [("1", "1")], {"type": "market", "options": {"quote_amount": "5"}}, ""),
        ({"USDT": "5"}, [("1", "1")], {"type": "market", "options": {"quote_amount": "6"}}, "moves 6 USDT"),
        ({"USDT": "5"}, [], {"price": "1", "amount": "1", "options": {"round": "true"}}, "round may raise"),
        ({"USDT": "5"}, [], {"price": "ten", "amount": "9"}, ""),
        ({"USDT": "5"}, [], {"price": "9", "amount": "-9"}, ""),
        ({}, [], {"price": "9", "amount": "9"}, ""),
    ],
)
def test_an_order_is_held_to_the_caps(
    caps: Mapping[str, str], bids: Sequence[Level], order: Mapping[str, Any], why: str
) -> None:
    found = held(caps, bids, **order)
    assert why in found
    assert bool(found) is bool(why)


def worst(bids: Sequence[Level], order: Mapping[str, Any]) -> dict[str, Decimal]:
    """The most of each asset that an order can move where the book stands still until a stop sets the order off."""
    options, sells, price = order["options"], order["side"] == "sell", Decimal(order.get("price") or 0)
    amount, quote = Decimal(order.get("amount") or 0), Decimal(options.get("quote_amount") or 0)
    if quote:
        return {"BTC": Decimal("Infinity"), "USDT": quote}
    if not price and not sells:
        return {"BTC": amount, "USDT": Decimal("Infinity")}
    if "tag" in options or (sells and ("stop_price" in options or not (bids or price))):
        return {"BTC": amount, "USDT": Decimal("Infinity"), "EUR": Decimal("Infinity" if "tag" in options else 0)}
    got, left = Decimal(0), amount
    for level, size in bids if sells else ():
        taken = min(left, Decimal(size)) if Decimal(level) >= price else Decimal(0)
        got, left = got + taken * Decimal(level), left - taken
    return {"BTC": amount, "USDT": got + left * price}


numbers = st.sampled_from(["0.5", "1", "2", "3", "7.5", "100"])
orders = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["buy", "sell"]),
        "options": st.dictionaries(st.sampled_from(["stop_price", "quote_amount", "tag"]), numbers, max_size=2),
    },
    optional={"price": numbers, "amount": numbers},
)


@given(
    caps=st.dictionaries(st.sampled_from(["BTC", "USDT", "EUR"]), numbers, min_size=1),
    prices=st.lists(st.integers(1, 9), unique=True, max_size=4),
    sizes=st.lists(numbers, min_size=4, max_size=4),
    order=orders,
)
def test_what_passes_moves_no_more_than_any_cap(
    caps: dict[str, str], prices: list[int], sizes: list[str], order: dict[str, Any]
) -> None:
    bids = list(zip(map(str, sorted(prices, reverse=True)), sizes, strict=False))
    if "amount" not in order and "quote_amount" not in order["options"]:
        return  # no order: the rules refuse it
    kind = "limit" if "price" in order else "market"
    if not held(caps, bids, **order, type=kind):
        moved = worst(bids, order)
        assert all(moved.get(asset, 0) <= Decimal(most) for asset, most in caps.items()), moved


@pytest.mark.anyio
async def test_a_sale_is_measured_by_one_level_of_a_book_that_may_be_a_copy() -> None:
    entry = Bids([("1", "1")])
    body = PlaceBody(symbol="BTC/USDT", side="sell", type="market", amount="1")
    await hold_to({"USDT": "5"}, entry, BTC, body)
    await hold_to({"BTC": "5"}, entry, BTC, body)
    assert entry.asked == [(1, Freshness(local=True))]


@pytest.mark.anyio
@pytest.mark.parametrize(("rate", "at_once", "wait"), [(4.0, 4, 0.25), (0.5, 1, 2.0), (1.0, 1, 1.0), (2.5, 2, 0.2)])
async def test_a_caller_has_one_second_of_requests_at_once_and_then_its_rate(
    rate: float, at_once: int, wait: float
) -> None:
    clock = ManualClock()
    rates = Rates(clock)
    for _ in range(2):
        for _ in range(at_once):
            rates.take("bot", rate)
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                rates.take("bot", rate)
            assert caught.value.retry_after == pytest.approx(wait)
        await clock.advance(caught.value.retry_after or 0.0)
        rates.take("bot", rate)
        await clock.advance(1000)


@pytest.mark.parametrize(
    ("allow", "exchange", "kind", "may"),
    [
        (("a:read",), "a", "read", True),
        (("a:read",), "a", "trade", False),
        (("a:trade",), "a", "read", True),
        (("a:trade",), "a", "trade", True),
        (("a:trade",), "b", "read", False),
        (("*:read",), "b", "read", True),
        (("*:read",), "b", "trade", False),
        (("*:trade",), "b", "trade", True),
        ((), "a", "read", False),
        (("x:read", "a:trade"), "a", "trade", True),
    ],
)
def test_a_token_may_what_its_words_say(allow: tuple[str, ...], exchange: str, kind: Any, may: bool) -> None:
    assert Grant(name="bot", allow=allow).may(exchange, kind) is may
