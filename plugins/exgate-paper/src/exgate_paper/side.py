"""One side of a book: price levels, each a queue of orders in the order in which they came."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

from .values import PaperOrder


class PriceLevel:
    """The orders at one price, oldest first."""

    __slots__ = ("orders", "price", "total")

    def __init__(self, price: int) -> None:
        self.price = price
        self.total = 0
        self.orders: OrderedDict[int, PaperOrder] = OrderedDict()


class BookSide:
    """Bids or asks by price-time priority. Adding, taking and cancelling cost O(log levels)."""

    __slots__ = ("_keys", "_levels", "buy")

    def __init__(self, buy: bool) -> None:
        self.buy = buy
        self._levels: dict[int, PriceLevel] = {}
        self._keys: list[int] = []  # rising, so that the best is last: prices for bids, negated prices for asks

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[PriceLevel]:
        """Levels, best first."""
        levels, sign = self._levels, 1 if self.buy else -1
        return (levels[sign * key] for key in reversed(self._keys))

    def best(self) -> PriceLevel | None:
        """The level that trades next."""
        if not self._keys:
            return None
        return self._levels[self._keys[-1] if self.buy else -self._keys[-1]]

    def total(self, price: int) -> int:
        """Steps that rest at this price."""
        level = self._levels.get(price)
        return level.total if level else 0

    def add(self, order: PaperOrder) -> None:
        """Put an order behind all others of its price."""
        price = order.price
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = PriceLevel(price)
            insort(self._keys, price if self.buy else -price)
        level.orders[order.id] = order
        level.total += order.remaining

    def take(self, level: PriceLevel, order: PaperOrder, amount: int) -> None:
        """Execute ``amount`` of an order of this level; it leaves when nothing remains."""
        order.remaining -= amount
        level.total -= amount
        if not order.remaining:
            del level.orders[order.id]
            if not level.orders:
                self._drop(level)

    def remove(self, order: PaperOrder) -> None:
        """Take an order out unexecuted."""
        level = self._levels[order.price]
        del level.orders[order.id]
        level.total -= order.remaining
        if not level.orders:
            self._drop(level)

    def _drop(self, level: PriceLevel) -> None:
        del self._levels[level.price]
        key = level.price if self.buy else -level.price
        if self._keys[-1] == key:
            self._keys.pop()
        else:
            del self._keys[bisect_left(self._keys, key)]
