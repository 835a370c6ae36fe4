"""The newest frames of one stream, in the order in which readers get them: encoded trades and notices."""

from __future__ import annotations

from collections.abc import Sequence

from . import contract

MOST_TRADES = 1000
"""The most trades in one frame."""

MOST_BYTES = 64 * 1024
"""The most bytes of trades in one frame."""


class Ring:
    """Positions only rise; ``first`` is the oldest item still here, ``end`` the place of the next one.

    Between ``capacity`` and twice as many items are kept.
    """

    def __init__(self, symbol: str, capacity: int = 10_000) -> None:
        self._symbol = symbol
        self._capacity = capacity
        self._items: list[bytes] = []
        self._ids: list[str | None] = []
        self._frames: dict[int, tuple[bytes, int]] = {}
        self.first = 0
        """The position of the oldest item."""

    @property
    def end(self) -> int:
        """The position that the next item will have."""
        return self.first + len(self._items)

    def add(self, ids: Sequence[str], items: Sequence[bytes]) -> None:
        """Append encoded trades."""
        self._ids.extend(ids)
        self._items.extend(items)
        self._trim()

    def notice(self, frame: bytes) -> None:
        """Append a whole frame that is no trade."""
        self._ids.append(None)
        self._items.append(frame)
        self._trim()

    def frame(self, cursor: int) -> tuple[bytes, int]:
        """The next frame for a reader at ``cursor`` (first <= cursor < end), and the cursor after it.

        Readers at the same place get the same object: each frame is put together once.
        """
        found = self._frames.get(cursor)
        if found is None:
            found = self._frames[cursor] = self._make(cursor - self.first)
        return found

    def after(self, trade_id: str) -> int | None:
        """The position behind the trade with this id, None if it isn't here."""
        try:
            return self.first + self._ids.index(trade_id) + 1
        except ValueError:
            return None

    def behind(self, number: int) -> int:
        """The position of the first trade whose integer id is above ``number``, or ``end``."""
        for index, found in enumerate(self._ids):
            if found is not None and int(found) > number:
                return self.first + index
        return self.end

    def id_at(self, cursor: int) -> str:
        """The id of the first trade at or behind ``cursor``; empty if there is none."""
        for index in range(max(0, cursor - self.first), len(self._ids)):
            found = self._ids[index]
            if found is not None:
                return found
        return ""

    def id_before(self, cursor: int) -> str:
        """The id of the last trade before ``cursor``; empty if there is none."""
        for index in range(cursor - self.first - 1, -1, -1):
            found = self._ids[index]
            if found is not None:
                return found
        return ""

    def _make(self, start: int) -> tuple[bytes, int]:
        if self._ids[start] is None:
            return self._items[start], self.first + start + 1
        stop, size = start, 0
        limit = min(start + MOST_TRADES, len(self._items))
        while stop < limit and self._ids[stop] is not None:
            size += len(self._items[stop])
            if size > MOST_BYTES and stop > start:
                break
            stop += 1
        return contract.trade_frame(self._symbol, self._items[start:stop]), self.first + stop

    def _trim(self) -> None:
        self._frames.clear()
        surplus = len(self._items) - self._capacity
        if surplus > self._capacity:
            del self._items[:surplus]
            del self._ids[:surplus]
            self.first += surplus
