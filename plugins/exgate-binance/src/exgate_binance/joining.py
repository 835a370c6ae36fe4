"""Diff stream + REST snapshot -> one book, by the exchange's own rule. Pure."""

from __future__ import annotations

from exgate_core.hookspecs import EmitDepth
from exgate_core.models import Depth, DepthDelta

from .parse import DepthEvent


class Join:
    """Steps 2 to 7 of "How to manage a local order book correctly" (web-socket-streams.md, 2026-07-21).

    Events are kept until a snapshot fits (whoever asks for snapshots gives up after a while); from then on each becomes
    a delta. A hole is handed on as it is: the core's book sees it.
    """

    def __init__(self, emit: EmitDepth) -> None:
        self._emit = emit
        self._waiting: list[DepthEvent] = []
        self._last: int | None = None

    @property
    def joined(self) -> bool:
        """Whether a snapshot was handed on."""
        return self._last is not None

    def event(self, event: DepthEvent) -> None:
        """One event of the stream, as it comes."""
        if self._last is None:
            self._waiting.append(event)
        else:
            self._follow(event, self._last)

    def snapshot(self, depth: Depth) -> bool:
        """Hand the snapshot on, and the events that follow it. False if it is older than the first event: ask again."""
        if self._waiting and depth.last_update_id < self._waiting[0].U:
            return False
        self._last = depth.last_update_id
        self._emit(depth)
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._follow(event, self._last)
        return True

    def _follow(self, event: DepthEvent, last: int) -> None:
        if event.u <= last:
            return  # in the snapshot already, or the second copy of an event while a connection is replaced
        # Amounts are absolute: an event that begins before the book's state and ends after it may be applied.
        previous = max(last, event.U - 1)
        self._last = event.u
        self._emit(DepthDelta(bids=event.b, asks=event.a, previous=previous, sequence=event.u, timestamp=event.E))
