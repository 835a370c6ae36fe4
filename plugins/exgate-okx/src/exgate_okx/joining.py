"""The channel ``books`` -> one book, with the snapshot that the channel sends or one that was asked for. Pure."""

from __future__ import annotations

from itertools import dropwhile

from exgate_core.errors import Unavailable
from exgate_core.hookspecs import EmitDepth
from exgate_core.models import Depth

from . import parse
from .parse import Book, BookFrame

MOST_WAITING = 5_000
"""So many updates may wait for a snapshot: eight minutes of them."""


class Join:
    """ "WS / Order book channel" (2026-06-27) and "How to manage a local order book correctly" (changelog 2026-02-12).

    A snapshot of the channel is handed on as it comes, and what follows on it. Where updates come without one they
    wait for a snapshot that was asked for. Holes are handed on as they are: the core's book sees them.
    """

    def __init__(self, emit: EmitDepth) -> None:
        self._emit = emit
        self._waiting: list[Book] = []
        self._last = (0, 0)  # sequence, time
        self.joined = False
        """Whether a snapshot was handed on."""

    def frame(self, frame: BookFrame) -> None:
        """One frame of the channel."""
        for book in frame.data:
            if frame.action == "snapshot":
                self._snapshot(book)
            elif self.joined:
                self._follow(book)
            else:
                self._wait(book)

    def asked(self, depth: Depth) -> bool:
        """Hand on a snapshot that was asked for. False if it is older than the first update: ask again."""
        if self.joined:
            return True
        if self._waiting and depth.last_update_id < self._waiting[0].prev_seq_id:
            return False
        self._begin(depth)
        waiting, self._waiting = self._waiting, []
        for book in dropwhile(lambda book: book.seq_id <= depth.last_update_id, waiting):
            self._follow(book)
        return True

    def _snapshot(self, book: Book) -> None:
        depth = parse.depth(book)
        sequence, time = self._last
        # While a connection is replaced, the new one's snapshot may be older than what the old one has brought.
        if self.joined and depth.last_update_id <= sequence and depth.timestamp <= time:
            return
        self._waiting = []
        self._begin(depth)

    def _begin(self, depth: Depth) -> None:
        self.joined, self._last = True, (depth.last_update_id, depth.timestamp)
        self._emit(depth)

    def _follow(self, book: Book) -> None:
        delta = parse.delta(book)
        self._last = (delta.sequence, delta.timestamp)
        self._emit(delta)

    def _wait(self, book: Book) -> None:
        if len(self._waiting) == MOST_WAITING:
            raise Unavailable(f"No order book snapshot was to be had for {MOST_WAITING} updates of its stream.")
        self._waiting.append(book)
