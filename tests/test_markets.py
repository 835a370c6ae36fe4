"""From what a caller writes to one market."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.errors import InvalidArgument
from exgate_core.markets import MarketList
from exgate_core.models import Market


def market(base: str, quote: str, name: str = "", *, active: bool = True) -> Market:
    return Market(symbol=f"{base}/{quote}", id=name or f"{base}{quote}", base=base, quote=quote, active=active)


MARKETS = MarketList([market("BTC", "USDT"), market("XBT", "USD", "XXBTZUSD"), market("A", "BC"), market("AB", "C")])


@pytest.mark.parametrize("text", ["BTC/USDT", "BTCUSDT", "btc-usdt", "btc_usdt", "btcusdt", "Btc/Usdt"])
def test_every_common_spelling(text: str) -> None:
    assert MARKETS.resolve(text).symbol == "BTC/USDT"


def test_the_exchanges_own_name() -> None:
    assert MARKETS.resolve("XXBTZUSD").symbol == "XBT/USD"
    assert MARKETS.resolve("xxbtzusd").symbol == "XBT/USD"


@pytest.mark.parametrize("text", ["XBTEUR", "xbt/eur"])
def test_the_exchanges_further_names(text: str) -> None:
    markets = MarketList(
        [Market(symbol="BTC/EUR", id="XXBTZEUR", base="BTC", quote="EUR", aliases=["XBTEUR", "XBT/EUR"])]
    )
    assert markets.resolve(text).symbol == "BTC/EUR"


def test_a_further_name_that_two_markets_have_is_ambiguous() -> None:
    one, other = (Market(symbol=f"{base}/X", id=base, base=base, quote="X", aliases=("N",)) for base in ("A", "B"))
    with pytest.raises(InvalidArgument, match="A/X, B/X"):
        MarketList([one, other]).resolve("n")


def test_an_ambiguous_spelling_names_the_candidates() -> None:
    with pytest.raises(InvalidArgument, match=r"A/BC.*AB/C|AB/C.*A/BC") as caught:
        MARKETS.resolve("abc")
    assert caught.value.reason == "AMBIGUOUS_SYMBOL"


def test_an_unknown_symbol_names_the_nearest() -> None:
    with pytest.raises(InvalidArgument, match="BTC/USDT") as caught:
        MARKETS.resolve("BTC/USDX")
    assert [violation.field for violation in caught.value.violations] == ["symbol"]


def test_a_missing_symbol_says_how_to_write_one() -> None:
    with pytest.raises(InvalidArgument, match="BASE/QUOTE"):
        MARKETS.resolve("")


def test_a_derivative_is_no_spot_market() -> None:
    with pytest.raises(InvalidArgument):
        MARKETS.resolve("BTC/USDT:USDT")


def test_of_two_listings_of_one_symbol_the_active_one_counts() -> None:
    listed = MarketList([market("BTC", "USDT", "OLD", active=False), market("BTC", "USDT", "NEW")])
    assert len(listed) == 1
    assert listed.resolve("BTC/USDT").id == "NEW"


@given(st.text(max_size=200))
def test_any_text_is_a_market_or_invalid(text: str) -> None:
    try:
        assert MARKETS.resolve(text) in list(MARKETS)
    except InvalidArgument as error:
        assert error.code == 3
