"""The seeded market lives, stays sane, and lives the same life again."""

from __future__ import annotations

from exgate_paper import Engine, Ledger, PaperSettings, SeededMarket
from exgate_paper.market import HOUSE
from exgate_paper.settings import DEFAULT_MARKETS

PRICES = {market.symbol: market.price for market in DEFAULT_MARKETS}


def life(seed: int, levels: int = 20) -> tuple[Engine, SeededMarket]:
    made = Engine([m.market() for m in DEFAULT_MARKETS], now=lambda: 0, ledger=Ledger(0), forgetful=HOUSE)
    market = SeededMarket(made, PRICES, seed=seed, levels=levels)
    market.open()
    return made, market


def test_the_same_seed_is_the_same_life() -> None:
    (one, first), (two, second), (three, third) = life(7), life(7), life(8)
    for market in (first, second, third):
        market.step(300)
    assert one.snapshot() == two.snapshot()
    assert one.trades("BTC/USDT", 100) != three.trades("BTC/USDT", 100)


def test_every_market_trades_moves_and_keeps_a_book() -> None:
    made, market = life(1)
    market.step(3_000)
    for symbol in PRICES:
        trades, depth = made.trades(symbol, 1000), made.depth(symbol, 100)
        assert len({trade.price for trade in trades}) > 20
        assert len(depth.bids) >= 10 <= len(depth.asks)
        assert float(depth.asks[0][0]) / float(depth.bids[0][0]) < 1.01


def test_twenty_thousand_trades_are_contiguous_and_bounded_in_memory() -> None:
    made, market = life(1)
    market.run("ETH/USDT", 20_000)
    ids = [fill.id for fill in made.book("ETH/USDT").history.newest(100_000)]
    assert len(ids) >= 20_000
    assert ids == list(range(1, len(ids) + 1))
    assert sum(len(made.wallet(account).closed) for account in HOUSE) == 0


def test_still_market_without_levels_is_empty() -> None:
    made, _ = life(1, levels=0)
    assert not made.depth("BTC/USDT", 5).bids


def test_default_settings_are_sensible() -> None:
    assert [market.symbol for market in PaperSettings().markets] == ["BTC/USDT", "ETH/USDT", "ETH/BTC"]
