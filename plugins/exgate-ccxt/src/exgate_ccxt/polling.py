"""A stream of trades for exchanges that have none: their newest trades, asked for again and again, and joined."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from exgate_core.clock import Sleep
from exgate_core.errors import Unavailable
from exgate_core.hookspecs import EmitTrades
from exgate_core.models import Trade

FASTEST, SLOWEST = 0.5, 4.0
"""Seconds between two questions: as many as the market's pace asks for."""

_FIRST = 2.0
_BUSY, _QUIET = 0.5, 0.1


class Joint:
    """Which trades of a page are new. Raises Unavailable where a page doesn't meet the one before."""

    def __init__(self, page: Sequence[Trade]) -> None:
        self._page = list(page)

    def follow(self, page: Sequence[Trade]) -> list[Trade]:
        """The trades after those known, oldest first."""
        start = self._meets(page)
        if start is None:
            raise Unavailable("more trades came between two questions than one answer holds.")
        fresh = list(page[start:])
        self._page = list(page) if page else self._page
        return fresh

    def _meets(self, page: Sequence[Trade]) -> int | None:
        if not self._page or not page:
            return 0
        # Trades are told apart by all that they show: many exchanges give no ids. The longest run that both pages
        # share, the newest of the old one at its end, is where they meet.
        for end in range(len(page), 0, -1):
            length = min(end, len(self._page))
            if page[end - length : end] == self._page[-length:]:
                return end
        return None


async def poll(ask: Callable[[], Awaitable[Sequence[Trade]]], sleep: Sleep, emit: EmitTrades) -> None:
    """Runs until an answer fails or doesn't meet the one before. ``ask()`` gives the newest trades, oldest first."""
    joint, pause = Joint(await ask()), _FIRST
    emit(())
    while True:
        await sleep(pause)
        page = await ask()
        fresh = joint.follow(page)
        emit(fresh)
        share = len(fresh) / max(len(page), 1)
        if share > _BUSY:
            pause = max(FASTEST, pause / 2)
        elif share < _QUIET:
            pause = min(SLOWEST, pause * 1.5)
