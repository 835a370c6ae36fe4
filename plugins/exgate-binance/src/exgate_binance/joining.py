"""Diff stream + REST snapshot -> one book, by the exchange's own rule. Pure."""

from __future__ import annotations

from exgate_core.errors import Unavailable
from exgate_core.hookspecs import EmitDepth
from exgate_core.models import Depth, DepthDelta

from .parse import DepthEvent

MOST_WAITING = 10_000
"""So many events may wait for a snapshot: 16 minutes of them."""


class Join:
    """Steps 2 to 7 of "How to manage a local order book correctly" (web-socket-streams.md, 2026-07-21).

    Events are kept until a snapshot fits; from then on each becomes a delta. A hole is handed on as it is: the core's
    book sees it.
    """

    def __init__(self, emit: EmitDepth) -> None:
        self._emit = emit
        self._waiting: list[DepthEvent] = []
        self._last = 0
        self.joined = False
        """Whether a snapshot was handed on."""

    def event(self, event: DepthEvent) -> None:
        """One event of the stream, as it comes."""
        if self.joined:
            return self._follow(event)
        if len(self._waiting) == MOST_WAITING:
            raise Unavailable("No order book snapshot was to be had for 10000 events of its stream.")
        self._waiting.append(event)

    def snapshot(self, depth: Depth) -> bool:
        """Hand the snapshot on, and the events that follow it. False if it is older than the first event: ask again."""
        if self._waiting and depth.last_update_id < self._waiting[0].U:
            return False
        self.joined, self._last = True, depth.last_update_id
        self._emit(depth)
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._follow(event)
        return True

    def _follow(self, event: DepthEvent) -> None:
        if event.u <= self._last:
            return  # in the snapshot already, or the second copy of an event while a connection is replaced
        # Amounts are absolute: an event that begins before the book's state and ends after it may be applied.
        previous = max(self._last, event.U - 1)
        self._last = event.u
        self._emit(DepthDelta(bids=event.b, asks=event.a, previous=previous, sequence=event.u, timestamp=event.E))
