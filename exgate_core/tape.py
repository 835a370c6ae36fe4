"""The trades of one market: from the stream and the exchange's history to what readers and local reads get.

Pure: nothing here waits. A trade is handed on once, in order; where that can't be, a gap frame says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from . import contract
from .joins import MOST_HELD, Counted, Noted
from .models import Trade
from .ring import Ring
from .span import Span

TradeIds = Literal["contiguous", "ordered", "opaque"]


class Tape:
    """``ids``: the kind of trade ids; ``paged``: the exchange gives pages by ``since_id``."""

    def __init__(
        self, symbol: str, ids: TradeIds = "opaque", *, paged: bool = False, capacity: int = 10_000, recent: int = 1000
    ) -> None:
        self._symbol = symbol
        self._join: Counted | Noted = (
            Counted() if ids == "contiguous" else Noted(ordered=ids == "ordered", paged=paged and ids == "ordered")
        )
        self.ring = Ring(symbol, capacity)
        """What readers get."""
        self.span = Span(recent)
        """What local reads get; valid while nothing is ``missing``."""

    @property
    def missing(self) -> bool:
        """Whether the exchange's history is needed before the stream is whole again."""
        return self._join.missing

    @property
    def overfull(self) -> bool:
        """Whether so many trades wait for the history that it must be given up."""
        return self._join.waiting > MOST_HELD

    @property
    def waiting(self) -> int:
        """How many trades wait for the history."""
        return self._join.waiting

    @property
    def hole(self) -> int:
        """How many trades are known to be missing before the oldest that waits; 0 where the ids don't tell."""
        return self._join.hole

    @property
    def since(self) -> str | None:
        """The id after which the history is needed; None if no trade is known yet."""
        return self._join.last.id if self._join.last else None

    def start(self, page: Sequence[Trade], asked: int) -> None:
        """The exchange's newest trades (oldest first) before the stream began; all that follows is handed on."""
        if page and not page[-1].id:
            return  # Without ids nothing shows where the stream follows on the page.
        if page:
            self._join.start(page)
            self._join.cut()
        self.span.begin(page, asked)

    def take(self, trades: Sequence[Trade]) -> bool:
        """Live trades, in any order, some perhaps known. True if readers got something."""
        return self._hand_on(self._join.take(trades))

    def cut(self) -> None:
        """The stream ended: trades may be missing until the history has met what comes next."""
        self._join.cut()

    def fill(self, page: Sequence[Trade]) -> bool:
        """Trades of the history, oldest first. True if it brought something new."""
        return self._hand_on(self._join.fill(page))

    def reaches(self, page: Sequence[Trade]) -> bool:
        """Whether a page of the history follows on what readers got."""
        return self._join.reaches(page)

    def knows(self, trade: Trade) -> bool:
        """Whether the trade was handed on, or came before the stream."""
        return self._join.knows(trade)

    def exhausted(self) -> None:
        """The history has nothing newer than ``since``."""
        self._join.exhausted()

    def lose(self, why: str) -> None:
        """Give up on what is missing: readers get a gap frame with its bounds, then what follows."""
        last, following = self._join.last, self._join.next
        bounds = {
            "after_id": last.id if last else "",
            "before_id": following.id if following else "",
            "after_time": str(last.time) if last else "",
            "before_time": str(following.time) if following else "",
        }
        self.span.break_off()
        self.ring.notice(contract.status_frame(self._symbol, "gap", why, **bounds))
        self._hand_on(self._join.lose())

    def notice(self, status: str, desc: str) -> None:
        """Tell readers how the stream stands."""
        self.ring.notice(contract.status_frame(self._symbol, status, desc))

    def _hand_on(self, trades: list[Trade]) -> bool:
        if trades:
            self.span.append(trades)
            self.ring.add([trade.id for trade in trades], list(map(contract.stream_trade_json, trades)))
        return bool(trades)
