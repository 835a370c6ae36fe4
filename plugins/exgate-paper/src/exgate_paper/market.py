"""The seeded market: makers and takers that move the price by themselves. All of its dice come from one seed."""

from __future__ import annotations

import random
from collections.abc import Mapping

from .engine import Engine
from .matching import Book
from .values import Cancel, Deposit, PaperOrder, Place

MAKER, TAKER = "market-maker", "market-taker"
HOUSE = frozenset({MAKER, TAKER})
"""The accounts through which the seeded market trades."""
_WEALTH = 10**30
_LADDER = 100_000  # one gap of the ladder is the start price divided by this


class SeededMarket:
    """Moves an engine's books. Synchronous: ``step`` does one market's next move, whoever calls it."""

    def __init__(self, engine: Engine, prices: Mapping[str, str], *, seed: int = 1, levels: int = 20) -> None:
        self._engine = engine
        self._movers = [_Mover(engine, symbol, price, seed, levels) for symbol, price in prices.items()]
        self._turn = 0

    def open(self) -> None:
        """Give the market its money, once, and fill the books."""
        if MAKER not in self._engine.accounts:
            assets = dict.fromkeys(asset for m in self._engine.markets for asset in (m.base, m.quote))
            for account in (MAKER, TAKER):
                for asset in assets:
                    self._engine.submit(Deposit(account, asset, _WEALTH))
        for mover in self._movers:
            mover.open()

    def step(self, count: int = 1) -> None:
        """The next ``count`` moves, one market after the other: the price drifts, makers follow, a taker comes."""
        for _ in range(count):
            self._movers[self._turn].step()
            self._turn = (self._turn + 1) % len(self._movers)

    def run(self, symbol: str, trades: int) -> None:
        """Step one market until it has seen at least so many more trades. Raises LookupError for an unknown one."""
        mover = next(mover for mover in self._movers if mover.symbol == symbol)
        history = self._engine.book(symbol).history
        until = history.last_id + trades
        while history.last_id < until:
            mover.step()


class _Mover:
    """One market's makers and taker."""

    def __init__(self, engine: Engine, symbol: str, price: str, seed: int, levels: int) -> None:
        self.symbol = symbol
        self._engine, self._levels = engine, levels
        self._book: Book = engine.book(symbol)
        start = self._book.rules.price(price)
        if not start:
            raise ValueError(f"{symbol}: the start price {price!r} isn't a positive multiple of its tick")
        self._start = self._fair = start
        self._gap = max(start // _LADDER, 1)
        self._size = _typical_size(self._book, start)
        self._seed = f"{seed}:{symbol}"
        self._random = random.Random(self._seed)

    def open(self) -> None:
        history = self._book.history
        if history.last_id or self._book.sequence > 1:  # a rebuilt engine: go on from there, with other dice
            self._random = random.Random(f"{self._seed}:{history.last_id}:{self._book.sequence}")
            newest = history.newest(1)
            self._fair = newest[0].price if newest else self._start
        self._fill(True)
        self._fill(False)

    def step(self) -> None:
        self._drift()
        self._prune(True)
        self._prune(False)
        self._fill(True)
        self._fill(False)
        self._take()

    def _drift(self) -> None:
        dice, pull = self._random, self._gap
        self._fair += dice.randint(-3 * self._gap, 3 * self._gap)
        if self._fair < self._start // 2:
            self._fair += pull + 1
        elif self._fair > self._start * 2:
            self._fair -= pull + 1
        self._fair = max(self._fair, self._levels + 2)

    def _prune(self, buy: bool) -> None:
        """Makers take back what stands on the wrong side of the fair price."""
        side = self._book.bids if buy else self._book.asks
        stale = [
            order
            for level in side
            if (level.price >= self._fair if buy else level.price <= self._fair)
            for order in level.orders.values()
            if order.account == MAKER
        ]
        for order in stale[:8]:
            self._cancel(order)
        if len(side) > 2 * self._levels:
            self._cancel_deepest(buy)

    def _cancel_deepest(self, buy: bool) -> None:
        side = self._book.bids if buy else self._book.asks
        deepest = list(side)[-1]
        for order in [order for order in deepest.orders.values() if order.account == MAKER]:
            self._cancel(order)

    def _cancel(self, order: PaperOrder) -> None:
        self._engine.submit(Cancel(MAKER, order.id))

    def _fill(self, buy: bool) -> None:
        """Makers put orders near the fair price until their levels are full."""
        side, other = (self._book.bids, self._book.asks) if buy else (self._book.asks, self._book.bids)
        for _ in range(self._levels - len(side)):
            width = self._gap * self._levels
            away = 1 + min(self._random.randrange(width), self._random.randrange(width))
            price = self._fair - away if buy else self._fair + away
            best = other.best()
            if best is not None:
                price = min(price, best.price - 1) if buy else max(price, best.price + 1)
            if price > 0:
                amount = self._amount(price)
                self._engine.submit_place(Place(MAKER, self.symbol, buy, price=price, amount=amount))

    def _take(self) -> None:
        buy = self._random.random() < 0.5
        side = self._book.asks if buy else self._book.bids
        best = side.best()
        if best is None:
            return
        amount = 2 * self._amount(best.price)
        self._engine.submit_place(Place(TAKER, self.symbol, buy, amount=amount, time_in_force="IOC"))

    def _amount(self, price: int) -> int:
        rules = self._book.rules
        least = max(rules.min_amount, -(-rules.min_notional // (price * rules.quote_unit)))
        return min(max(self._random.randint(1, self._size), least), rules.max_amount // 4 or 1)


def _typical_size(book: Book, price: int) -> int:
    """Steps of an ordinary order: a hundred times the least one."""
    rules = book.rules
    least = max(rules.min_amount, -(-rules.min_notional // (price * rules.quote_unit)))
    return 100 * least
