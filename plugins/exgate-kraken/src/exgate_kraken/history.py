"""Trades after an id, from an exchange that pages by time.

``GET /0/public/Trades`` takes ``since`` in ns and answers with the first 1000 trades at or after it ("Get Recent
Trades", docs.kraken.com, read at 2026-05-27). Ids rise with the time ("Trades", Spot WebSocket v2: "a sequence number,
unique per book"). So the time of an id is remembered where it was seen, or found between two known ones; a page is only
believed if it shows an id at or before the one that was asked for, or the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from exgate_core.errors import Unavailable
from exgate_core.models import Trade

from .parse import Page

PAGE = 1000
"""The most trades that one answer holds; without ``since`` they are the newest."""

Ask = Callable[[int | None], Awaitable[Page]]
"""A page from this time (ns) on; None = the newest."""

_MOST_MARKS = 2000
_MARGINS = (1_000_000, 1_000_000_000, 60_000_000_000)
_OVERLAP = 1_000
_MOST_STEPS = 80
_PROPORTIONAL = 8
_NEAR, _LESS_THAN_HALVING = 4 * PAGE, 32 * PAGE


class Mark(NamedTuple):
    """A trade's id and its time in ns."""

    id: int
    time_ns: int


class Marks:
    """The times at which trades of one market are known to have happened."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._times: list[int] = []

    def note(self, trades: Sequence[Trade]) -> None:
        """Remember the newest of some trades (oldest first)."""
        if not trades:
            return
        number, time_ns = int(trades[-1].id), trades[-1].time_ns
        index = bisect_right(self._ids, number)
        if index and self._ids[index - 1] == number:
            return
        self._ids.insert(index, number)
        self._times.insert(index, time_ns)
        if len(self._ids) > _MOST_MARKS:
            del self._ids[: _MOST_MARKS // 2], self._times[: _MOST_MARKS // 2]

    def before(self, number: int) -> Mark | None:
        """The last known trade that isn't newer than this id."""
        index = bisect_right(self._ids, number) - 1
        return Mark(self._ids[index], self._times[index]) if index >= 0 else None


async def after(number: int, limit: int, marks: Marks, ask: Ask) -> list[Trade]:
    """The first ``limit`` trades after an id, oldest first; fewer only if there are no more.

    Raises what ``ask`` raises, and Unavailable if the id isn't found.
    """
    page = await _near(number, marks, ask)
    if page is None:
        newest = await ask(None)
        if not newest.trades or _begins_before(newest, number):
            return _newer(newest.trades, number)[:limit]
        page = await _search(number, newest.trades[0], ask)
    found = _newer(page.trades, number)
    while len(found) < limit and len(page.trades) >= PAGE:
        reached = int(page.trades[-1].id)
        page = await ask(page.last or page.trades[-1].time_ns - _OVERLAP)
        if not page.trades or int(page.trades[-1].id) <= reached:
            break
        found += _newer(page.trades, max(number, reached))
    return found[:limit]


async def _near(number: int, marks: Marks, ask: Ask) -> Page | None:
    """A page that begins shortly before the id, by what is known of its time."""
    mark = marks.before(number)
    if mark is None:
        return None
    for margin in _MARGINS:
        page = await ask(max(0, mark.time_ns - margin))
        if _begins_before(page, number):
            return page
    return None


async def _search(number: int, later: Trade, ask: Ask) -> Page:
    """A page that begins at or before the id and reaches beyond it; ``later`` is a trade after it."""
    first = await ask(0)
    if not first.trades or not _begins_before(first, number) or _holds(first, number):
        return first  # an id before the first one
    low, high = _mark(first.trades[-1]), _mark(later)
    for step in range(_MOST_STEPS):
        since = _between(low, high, number, step)
        page = await ask(since)
        if _holds(page, number):
            return page
        if _begins_before(page, number):
            low = max(low, _mark(page.trades[-1]))
        elif page.trades:
            high = Mark(int(page.trades[0].id), since)  # the gap before that trade is no place to look in
        else:
            break
    raise Unavailable(f"The trade with the id {number} was not found in Kraken's history.", reason="BAD_ANSWER")


def _between(low: Mark, high: Mark, number: int, step: int) -> int:
    """Where to look next: page by page if it is near, else in proportion, or half-way where trades come in bursts."""
    span = high.time_ns - low.time_ns
    if number - low.id <= (_NEAR if step <= _PROPORTIONAL else _LESS_THAN_HALVING):
        return low.time_ns
    if step % 2 or step > _PROPORTIONAL:
        return low.time_ns + span // 2
    return low.time_ns + span * max(0, number - low.id - PAGE // 2) // max(1, high.id - low.id)


def _begins_before(page: Page, number: int) -> bool:
    return bool(page.trades) and int(page.trades[0].id) <= number + 1


def _holds(page: Page, number: int) -> bool:
    return _begins_before(page, number) and (int(page.trades[-1].id) > number or len(page.trades) < PAGE)


def _newer(trades: Sequence[Trade], number: int) -> list[Trade]:
    return [trade for trade in trades if int(trade.id) > number]


def _mark(trade: Trade) -> Mark:
    return Mark(int(trade.id), trade.time_ns)
