"""Diff channel + REST snapshot -> one book. Pure."""

from __future__ import annotations

from collections import deque

from exgate_core.errors import Unavailable
from exgate_core.hookspecs import EmitDepth

from . import parse
from .parse import Book

MOST_WAITING = 20_000
"""So many changes may wait for a snapshot."""
MOST_KEPT = 2_000
"""So many changes are kept to be put on top of a later snapshot, which is some seconds old when it comes."""


class Join:
    """What the diff channel's document leaves to the reader: changes later than the snapshot apply, earlier ones don't.

    Snapshots come from a cache some seconds old, so one that is older than the first change seen doesn't fit: there may
    have been changes in between. And changes don't say what they follow on: one that was lost stays unnoticed until the
    next snapshot, so there is one every now and then.
    """

    def __init__(self, emit: EmitDepth) -> None:
        self._emit = emit
        self._waiting: list[Book] = []
        self._kept: deque[Book] = deque(maxlen=MOST_KEPT)
        self._last = 0
        self.joined = False
        """Whether a snapshot was handed on."""

    @property
    def first(self) -> int:
        """The time of the oldest change that waits, in us; 0 if none does."""
        return self._waiting[0].micros if self._waiting else 0

    def change(self, book: Book) -> None:
        """One frame of the channel."""
        if self.joined:
            return self._follow(book)
        if len(self._waiting) == MOST_WAITING:
            raise Unavailable(f"No order book snapshot was to be had for {MOST_WAITING} changes of its stream.")
        self._waiting.append(book)

    def snapshot(self, book: Book) -> bool:
        """Hand a first or later snapshot on, and the changes after it. False if it is too old: ask again."""
        changes = [*self._kept, *self._waiting]
        oldest = changes[0].micros if changes else self._last
        if not book.micros or book.micros < oldest:
            return False
        self.joined, self._last = True, book.micros
        self._emit(parse.depth(book))
        self._waiting.clear()
        self._kept.clear()
        for change in changes:
            self._follow(change)
        return True

    def _follow(self, book: Book) -> None:
        if book.micros <= self._last:
            return  # in the snapshot already, or a second copy while a connection is replaced
        previous, self._last = self._last, book.micros
        self._kept.append(book)
        self._emit(parse.delta(book, previous))
