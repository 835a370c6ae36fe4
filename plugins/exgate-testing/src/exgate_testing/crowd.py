"""Everybody else on the exchange: they fill books and trade, on demand and always the same way."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from exgate_paper.values import Cancel, Deposit, Place

from exgate_core.models import Market, Trade

from .simulation import Simulation

MAKER, TAKER = "maker", "taker"
GAP = 10
"""Ticks between the middle of a market and the best level of a side that ``books`` makes."""
_WEALTH = 10**60
_MOST = 10**30
_ODD = (1, 7, 10, 13, 100, 37, 1000)  # seven, so that both sides of a book get all of them
DIGITS = 900_719_925_474_099_301
"""Steps: an amount that a float can't hold."""


class Crowd:
    """Makers and takers of a ``Simulation``. Prices are told as ticks away from the middle of the market."""

    def __init__(self, world: Simulation) -> None:
        self._world = world
        self._rests = self._trades = 0
        for account in (MAKER, TAKER):
            for asset in sorted({asset for market in world.markets for asset in (market.base, market.quote)}):
                world.engine.submit(Deposit(account, asset, _WEALTH))
        for market in world.markets:
            # More digits than a float has must be traded; the largest order is checked before it is sent.
            world.engine.book(market.symbol).rules.max_amount = _MOST

    # --- figures

    def middle(self, market: Market) -> int:
        """The middle of the market, in ticks: a price with a trailing zero, near 1e-6 where ticks are that small."""
        return 150 if Decimal(market.tick_size) <= Decimal("0.0000001") else 123_450

    def price(self, market: Market, offset: int) -> str:
        """The price so many ticks away from the middle, with the places of the tick."""
        return self._world.engine.book(market.symbol).rules.price_text(self.middle(market) + offset)

    def amount(self, market: Market, multiple: int = 1) -> str:
        """An amount that may be ordered at any price near the middle, with the places of the step."""
        return self._world.engine.book(market.symbol).rules.amount_text(self._steps(market, multiple))

    def _steps(self, market: Market, multiple: int) -> int:
        rules = self._world.engine.book(market.symbol).rules
        least = Decimal(market.min_notional or 0) / (Decimal(self.price(market, -self.middle(market) // 2)))
        steps = int((least / Decimal(market.step_size)).to_integral_value(ROUND_CEILING))
        return max(rules.min_amount, steps, 1) * 2 * multiple

    # --- acts

    def books(self, levels: int = 8) -> None:
        """Fill the book of every market, with amounts of all kinds."""
        for market in self._world.markets:
            self.deepen(market, levels)

    def deepen(self, market: Market, levels: int) -> None:
        """Levels on both sides, one tick apart, from ``GAP`` ticks away."""
        for number in range(levels):
            self.rest(market, "buy", -GAP - number)
            self.rest(market, "sell", GAP + number)

    def rest(self, market: Market, side: Literal["buy", "sell"], offset: int, steps: int = 0) -> int:
        """One resting order; returns its number, for ``withdraw``."""
        self._rests += 1
        amount = steps or self._steps(market, _ODD[self._rests % len(_ODD)])
        place = Place(MAKER, market.symbol, side == "buy", price=self.middle(market) + offset, amount=amount)
        return self._world.engine.submit_place(place).id

    def withdraw(self, number: int) -> None:
        """Take a resting order back."""
        self._world.engine.submit(Cancel(MAKER, number))

    def trade(self, market: Market, count: int = 1) -> list[Trade]:
        """So many trades between the sides of the book, one at a time, takers buying and selling in turn."""
        before = self._newest(market)
        for _ in range(count):
            self._trades += 1
            number = self._trades
            buy, offset = number % 2 == 0, number % 7 - 3
            amount = DIGITS if number % 5 == 0 else self._steps(market, _ODD[number % len(_ODD)])
            self.rest(market, "sell" if buy else "buy", offset, amount)
            self._take(market, buy, offset, amount)
        return self._world.trades(market.symbol, 10**9, before)

    def sweep(self, market: Market, count: int) -> list[Trade]:
        """So many trades of one taker: the exchange may tell them in one frame."""
        before = self._newest(market)
        for number in range(count):
            self.rest(market, "sell", number % 3)
        self._take(market, True, 3, 10**18)
        return self._world.trades(market.symbol, 10**9, before)

    def hit(self, market: Market, side: Literal["buy", "sell"], offset: int, steps: int) -> None:
        """A taker of this side who pays or takes any price up to this one: it meets the account's own orders too."""
        self._take(market, side == "buy", offset, steps)

    def _take(self, market: Market, buy: bool, offset: int, amount: int) -> None:
        price = self.middle(market) + offset
        place = Place(TAKER, market.symbol, buy, price=price, amount=amount, time_in_force="IOC")
        self._world.engine.submit_place(place)

    def _newest(self, market: Market) -> str:
        newest: Sequence[Trade] = self._world.trades(market.symbol, 1)
        return newest[0].id if newest else "0"
