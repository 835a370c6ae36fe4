"""The newest trades of one market without a hole: what ``recent_trades`` is answered from."""

from __future__ import annotations

from collections.abc import Sequence

from . import contract
from .models import Trade


class Span:
    """An unbroken run of trades up to the newest. Keeps at least ``capacity`` of them once it has seen as many."""

    def __init__(self, capacity: int = 1000) -> None:
        self._capacity = capacity
        self._trades: list[Trade] = []
        self._items: list[bytes] = []
        self._whole = False
        self._known = False
        self._answers: dict[int, tuple[tuple[Trade, ...], bytes]] = {}

    def append(self, trades: Sequence[Trade]) -> None:
        """Trades that follow without a hole."""
        self._answers.clear()
        self._known = True
        self._trades.extend(trades)
        self._items.extend([b""] * len(trades))
        surplus = len(self._trades) - self._capacity
        if surplus > self._capacity:
            del self._trades[:surplus]
            del self._items[:surplus]
            self._whole = False

    def break_off(self) -> None:
        """Something is missing between what is here and what comes next."""
        self._answers.clear()
        self._trades.clear()
        self._items.clear()
        self._whole = self._known = False

    def begin(self, page: Sequence[Trade], asked: int) -> None:
        """Start with the exchange's newest trades, of which ``asked`` were asked for."""
        self.break_off()
        self.append(page)
        self._whole = len(page) < asked

    def offer(self, page: Sequence[Trade], asked: int) -> None:
        """Take from another answer of the exchange what lies before the oldest trade here, if they overlap."""
        if not self._trades or len(self._trades) >= self._capacity:
            return
        oldest = self._trades[0].id
        older = [index for index, trade in enumerate(page) if trade.id == oldest]
        if not older or not oldest:
            return
        self._answers.clear()
        self._trades[:0] = page[: older[0]]
        self._items[:0] = [b""] * older[0]
        self._whole = len(page) < asked

    def newest(self, limit: int) -> tuple[tuple[Trade, ...], bytes] | None:
        """The newest ``limit`` trades and their JSON, or None unless that is just what the exchange would give."""
        answer = self._answers.get(limit)
        if answer is None:
            count = len(self._trades)
            if not self._known or (count < limit and not self._whole):
                return None
            start = max(0, count - limit)
            body = contract.trades_json(self._encoded(start))
            answer = self._answers[limit] = (tuple(self._trades[start:]), body)
        return answer

    def _encoded(self, start: int) -> list[bytes]:
        # Encoded when first asked for, and only once: most trades of a stream are never read here.
        for index in range(start, len(self._items)):
            if not self._items[index]:
                self._items[index] = contract.trade_json(self._trades[index])
        return self._items[start:]
