"""Which trades of a stream may be handed on now: repeats fall out, what is out of order waits, holes are noticed.

Two ways, by the kind of ids: ``Counted`` (every hole shows) and ``Noted`` (only an overlap proves that nothing is
missing). Both are pure. After ``cut`` they hold live trades back until pages of the exchange's history meet them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .models import Trade

MOST_HELD = 50_000
"""So many trades may wait for a backfill."""

_MOST_SEEN = 20_000


class Counted:
    """Ids are integers without holes."""

    def __init__(self) -> None:
        self.last: Trade | None = None
        """The newest trade handed on."""
        self._reached: int | None = None
        self._held: list[Trade] = []
        self._behind = False
        self._target: int | None = None

    @property
    def missing(self) -> bool:
        """Whether the exchange's history is needed before the stream is whole again."""
        return self._behind or bool(self._held)

    @property
    def next(self) -> Trade | None:
        """The oldest trade that waits."""
        return self._held[0] if self._held else None

    @property
    def waiting(self) -> int:
        """How many trades wait."""
        return len(self._held)

    @property
    def hole(self) -> int:
        """How many trades are missing before the oldest that waits."""
        return int(self._held[0].id) - self._reached - 1 if self._held and self._reached is not None else 0

    def start(self, page: Sequence[Trade]) -> None:
        """The newest trades before the stream began, at least one: everything after them is to be handed on."""
        self.last = max(page, key=_number)
        self._reached = int(self.last.id)

    def cut(self) -> None:
        """From now on trades may be missing."""
        self._behind, self._target = True, None

    def take(self, trades: Sequence[Trade]) -> list[Trade]:
        """Live trades; returns those to hand on."""
        if self._behind and self._target is None and trades:
            self._target = min(int(trade.id) for trade in trades)
        return self.fill(trades)

    def fill(self, trades: Sequence[Trade]) -> list[Trade]:
        """Trades of the history; returns those to hand on."""
        self._hold(trades)
        ready: list[Trade] = []
        taken = 0
        for trade in self._held:
            number = int(trade.id)
            if self._reached is None and self._behind:
                break  # Nothing shows whether something came before.
            if self._reached is None or number == self._reached + 1:
                ready.append(trade)
                self._reached = number
            elif number > self._reached:
                break
            taken += 1
        del self._held[:taken]
        if ready:
            self.last = ready[-1]
        if self._target is not None and self._reached is not None and self._reached >= self._target:
            self._behind, self._target = False, None
        return ready

    def _hold(self, trades: Sequence[Trade]) -> None:
        # Sorted only where needed: with many that wait, a sort for each that comes would hold the loop.
        newest, rising = int(self._held[-1].id) if self._held else -1, True
        for trade in trades:
            number = int(trade.id)
            newest, rising = number, rising and number >= newest
        self._held.extend(trades)
        if not rising:
            self._held.sort(key=_number)

    def reaches(self, page: Sequence[Trade]) -> bool:
        """Whether a page of the history follows on what was handed on."""
        return not page or self._reached is None or min(map(_number, page)) <= self._reached + 1

    def knows(self, trade: Trade) -> bool:
        """Whether the trade was handed on, or came before the stream."""
        return self._reached is not None and int(trade.id) <= self._reached

    def exhausted(self) -> None:
        """The history has nothing newer than ``last``. Should that be wrong, the next live id shows it."""
        if not self._held and self._reached is not None:
            self._behind = False

    def lose(self) -> list[Trade]:
        """Give up on what is missing before ``next``; returns the trades that follow the gap."""
        self._behind, self._target = False, None
        if self._held:
            self._reached = int(self._held[0].id) - 1
        return self.fill(())


class Noted:
    """Ids that have holes, or are any text: trades are told apart by the set of ids seen.

    ``ordered``: ids are integers that rise, so that pages may be asked for by ``since_id``. ``paged``: they are;
    else a page is the newest trades, and meets the stream only where it shows the last one seen.
    """

    def __init__(self, *, ordered: bool, paged: bool) -> None:
        self.last: Trade | None = None
        """The newest trade handed on."""
        self._ordered = ordered
        self._paged = paged
        self._seen: dict[str, None] = {}
        self._held: list[Trade] = []
        self._behind = False
        self._idle = False
        self._target: Trade | None = None
        self._floor: int | None = None

    @property
    def missing(self) -> bool:
        """Whether the exchange's history is needed before the stream is whole again."""
        return self._behind and not self._idle

    @property
    def next(self) -> Trade | None:
        """The oldest trade that waits."""
        return self._held[0] if self._held else None

    @property
    def waiting(self) -> int:
        """How many trades wait."""
        return len(self._held)

    @property
    def hole(self) -> int:
        """How many trades are missing: such ids don't tell."""
        return 0

    def start(self, page: Sequence[Trade]) -> None:
        """The newest trades before the stream began, at least one: everything after them is to be handed on."""
        self._pass(page)
        self._floor = int(page[0].id) if self._ordered else None

    def cut(self) -> None:
        """From now on trades may be missing."""
        self._behind, self._idle, self._target = True, False, None

    def take(self, trades: Sequence[Trade]) -> list[Trade]:
        """Live trades; returns those to hand on."""
        if not self._behind:
            return self._pass(trades)
        fresh = [trade for trade in trades if self._is_new(trade)]
        if fresh and self._target is None:
            self._target = min(fresh, key=_number) if self._ordered else fresh[0]
        self._held.extend(fresh)
        self._idle = self._idle and not self._held
        return []

    def fill(self, trades: Sequence[Trade]) -> list[Trade]:
        """Trades of the history; returns those to hand on."""
        if not self._paged:
            trades = self._overlap(trades)
        ready = self._pass(trades)
        if self._target is not None and self._met(self._target):
            ready += self._release()
        self._held = [trade for trade in self._held if self._is_new(trade)]
        return ready

    def reaches(self, page: Sequence[Trade]) -> bool:
        """Whether a page of the history follows on what was handed on."""
        return self._paged or any(self.last is not None and trade.id == self.last.id for trade in page)

    def knows(self, trade: Trade) -> bool:
        """Whether the trade was handed on, or came before the stream."""
        return not self._is_new(trade)

    def exhausted(self) -> None:
        """The history has nothing newer than ``last``. What trades next must still be met by it."""
        self._idle = not self._held and self.last is not None

    def lose(self) -> list[Trade]:
        """Give up on what is missing before ``next``; returns the trades that follow the gap."""
        return self._release()

    def _release(self) -> list[Trade]:
        held, self._held = self._held, []
        self._behind, self._idle, self._target = False, False, None
        return self._pass(held)

    def _met(self, target: Trade) -> bool:
        if self._ordered and self.last is not None:
            return int(self.last.id) >= int(target.id)
        return target.id in self._seen

    def _overlap(self, page: Sequence[Trade]) -> Sequence[Trade]:
        if self.last is None or not self.last.id:
            return ()
        for index in range(len(page) - 1, -1, -1):
            if page[index].id == self.last.id:
                return page[index + 1 :]
        return ()

    def _pass(self, trades: Sequence[Trade]) -> list[Trade]:
        if self._ordered and len(trades) > 1:
            trades = sorted(trades, key=_number)
        fresh: list[Trade] = []
        for trade in trades:
            if self._is_new(trade):
                fresh.append(trade)
                if trade.id:
                    self._seen[trade.id] = None
        if fresh:
            newest = fresh[-1]
            if not self._ordered or self.last is None or int(newest.id) > int(self.last.id):
                self.last = newest
            self._forget()
        return fresh

    def _is_new(self, trade: Trade) -> bool:
        return trade.id not in self._seen and (self._floor is None or int(trade.id) > self._floor)

    def _forget(self) -> None:
        if len(self._seen) > 2 * _MOST_SEEN:
            self._seen = dict.fromkeys(list(self._seen)[-_MOST_SEEN:])
            if self._ordered:
                self._floor = min(map(int, self._seen))


def _number(trade: Trade) -> int:
    return int(trade.id)
