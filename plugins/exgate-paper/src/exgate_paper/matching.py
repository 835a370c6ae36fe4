"""One market: two sides, matching by price-time priority, its trades and the sequence numbers of its changes."""

from __future__ import annotations

from itertools import islice

from msgspec import Struct

from exgate_core.models import Depth, DepthDelta

from .rules import Rules
from .side import BookSide
from .values import BookState, Fill, PaperOrder, Place


class Reach(Struct, frozen=True, gc=False):
    """What the book could give to an order right now."""

    amount: int
    """Steps."""
    cost: int
    """Units of the quote asset."""
    enough: bool
    """Everything that the order asks for."""


class History:
    """The newest trades of a market; ids count without holes, so that a page is a slice."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._slack = max(keep // 8, 1)
        self._fills: list[Fill] = []
        self.last_id = 0

    def __len__(self) -> int:
        return min(len(self._fills), self._keep)

    def add(self, fill: Fill) -> None:
        """Append the trade with the id ``last_id + 1``."""
        self.last_id = fill.id
        self._fills.append(fill)
        if len(self._fills) > self._keep + self._slack:
            del self._fills[: -self._keep]

    def newest(self, limit: int) -> list[Fill]:
        """The last ``limit`` trades, oldest first."""
        return self._fills[-min(limit, self._keep) :] if limit > 0 else []

    def after(self, trade_id: int, limit: int) -> list[Fill]:
        """The first ``limit`` trades after an id, or from the first one that is kept."""
        start = max(len(self._fills) - (self.last_id - trade_id), len(self._fills) - self._keep, 0)
        return self._fills[start : start + limit]

    def extend(self, fills: list[Fill]) -> None:
        """Append a piece of a stored history."""
        self._fills += fills


class Book:
    """The matching of one market. It knows nothing of accounts and money."""

    def __init__(self, rules: Rules, history: int) -> None:
        self.rules = rules
        self.bids, self.asks = BookSide(True), BookSide(False)
        self.history = History(history)
        self.sequence = 1
        self._touched: dict[tuple[bool, int], None] = {}

    def crosses(self, buy: bool, price: int) -> bool:
        """Whether a limit order at this price would trade at once."""
        best = (self.asks if buy else self.bids).best()
        return best is not None and (price >= best.price if buy else price <= best.price)

    def reach(self, order: Place) -> Reach:
        """Walk the other side as far as the order's price, amount and quote amount allow."""
        amount = cost = 0
        unit = self.rules.quote_unit
        for level in self.asks if order.buy else self.bids:
            if order.price and (level.price > order.price if order.buy else level.price < order.price):
                break
            wanted = (order.quote - cost) // (level.price * unit) if order.quote else order.amount - amount
            taken = min(level.total, wanted)
            amount += taken
            cost += taken * level.price * unit
            if taken == wanted:
                return Reach(amount, cost, True)
        return Reach(amount, cost, False)

    def match(self, taker: PaperOrder, time: int) -> list[tuple[PaperOrder, Fill]]:
        """Trade the order against the other side until it is done or nothing fits: (maker, fill) pairs."""
        side = self.asks if taker.buy else self.bids
        limit, buy = taker.price, taker.buy
        fills: list[tuple[PaperOrder, Fill]] = []
        while taker.remaining:
            level = side.best()
            if level is None or (limit and (level.price > limit if buy else level.price < limit)):
                break
            self._touched[not buy, level.price] = None
            while taker.remaining and level.orders:
                maker = next(iter(level.orders.values()))
                amount = min(maker.remaining, taker.remaining)
                side.take(level, maker, amount)
                taker.remaining -= amount
                fill = Fill(self.history.last_id + 1, level.price, amount, time, buy, maker.id, taker.id)
                self.history.add(fill)
                fills.append((maker, fill))
        return fills

    def rest(self, order: PaperOrder) -> None:
        """Put what remains of an order into the book."""
        (self.bids if order.buy else self.asks).add(order)
        self._touched[order.buy, order.price] = None

    def remove(self, order: PaperOrder) -> None:
        """Take an open order out of the book."""
        (self.bids if order.buy else self.asks).remove(order)
        self._touched[order.buy, order.price] = None

    def flush(self) -> list[tuple[bool, int]]:
        """End a command: count it if it changed the book, and tell which (buy, price) levels changed."""
        if not self._touched:
            return []
        self.sequence += 1
        touched = list(self._touched)
        self._touched.clear()
        return touched

    def delta(self, touched: list[tuple[bool, int]], time: int) -> DepthDelta:
        """The present amounts of changed levels."""
        bids = [(price, self.bids.total(price)) for buy, price in touched if buy]
        asks = [(price, self.asks.total(price)) for buy, price in touched if not buy]
        return self.rules.delta(bids, asks, self.sequence, time)

    def top(self, buy: bool, limit: int) -> list[tuple[int, int]]:
        """The best levels of one side: (ticks, steps)."""
        return [(level.price, level.total) for level in islice(self.bids if buy else self.asks, limit)]

    def depth(self, limit: int, time: int) -> Depth:
        """The book with at most ``limit`` levels a side."""
        return self.rules.depth(self.top(True, limit), self.top(False, limit), self.sequence, time)

    def state(self) -> BookState:
        """All of it but the orders, which their accounts hold."""
        history = self.history
        return BookState(self.rules.symbol, self.sequence, history.last_id, history.newest(len(history)))

    def restore(self, state: BookState) -> None:
        """Take over a stored state; the open orders follow by ``rest`` and ``flush``, the trades by ``extend``."""
        self.sequence = state.sequence
        self.history.last_id = state.trades
