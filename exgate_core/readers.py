"""One reader of a trade feed: a cursor, and the way back to the last trade that it saw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from . import contract
from .clock import Sleep
from .errors import InvalidArgument
from .models import ExchangeCapabilities, Trade
from .ring import Ring
from .tradefeed import TradeFeed

MOST_PAGES = 200
"""So many pages of the history are fetched for one reader that resumes."""

_TRIES = 20
_PAUSE = 0.25
_LONGEST_ID = 128


class ReaderClosed(Exception):
    """The end of a subscription: a WebSocket close ``code`` and its ``reason``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def check_since_id(able: ExchangeCapabilities, since_id: str) -> None:
    """Raises InvalidArgument for what can't be a trade id of this exchange."""
    if able.trade_ids != "opaque" and not (since_id.isascii() and since_id.isdecimal() and len(since_id) <= 40):
        raise InvalidArgument.of("since_id", f"the trade ids of this exchange are integers, not {since_id[:40]!r}.")
    if not since_id or len(since_id) > _LONGEST_ID:
        raise InvalidArgument.of("since_id", f"a trade id has 1 to {_LONGEST_ID} characters.")


class Reader:
    """Frames of one feed, in order. Holds no trades of its own, so that it can't grow however slow it is read."""

    def __init__(self, feed: TradeFeed, sleep: Sleep, since_id: str | None = None) -> None:
        self._feed = feed
        self._ring = feed.tape.ring
        self._symbol = feed.market.symbol
        self._cursor = feed.tape.ring.end
        self._first: bytes | None = contract.status_frame(self._symbol, feed.status, feed.desc)
        self._closing: ReaderClosed | None = None
        self._history = _History(feed, sleep, since_id) if since_id is not None else None
        self._last = self._ring.id_before(self._cursor)

    async def next(self) -> bytes:
        """The next text frame: everything that is pending, up to a cap. Raises ReaderClosed at the end."""
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        if self._history is not None:
            found = await self._history.next()
            if found is not None:
                return found
            self._cursor, self._history = self._history.follows, None
        while self._cursor >= self._ring.end or self._closing is not None:
            self._check_closed()
            await self._feed.bell.wait()
        if self._cursor < self._ring.first:
            return self._lagging()
        frame, self._cursor = self._ring.frame(self._cursor)
        self._last = self._ring.id_before(self._cursor) or self._last
        return frame

    async def relay(self, write: Callable[[bytes], bool]) -> None:
        """Hand frames to ``write`` as they come, until it says False or ``next`` has something else to tell.

        What ``write`` refuses comes from ``next`` again. It is a plain call that raises nothing.
        """
        if self._first is not None or self._history is not None:
            return
        over = asyncio.get_running_loop().create_future()

        def step() -> None:
            if not over.done() and not self._push(write):
                over.set_result(None)

        with self._feed.bell.calling(step):
            step()
            await over

    def _push(self, write: Callable[[bytes], bool]) -> bool:
        while self._cursor < self._ring.end:
            if self._closing is not None or self._cursor < self._ring.first:
                return False
            frame, cursor = self._ring.frame(self._cursor)
            if not write(frame):
                return False
            self._cursor = cursor
            self._last = self._ring.id_before(cursor) or self._last
        return not self._feed.closed

    def _check_closed(self) -> None:
        if self._closing is not None:
            raise self._closing
        if self._feed.closed:
            raise ReaderClosed(1012, "the gateway is going away")

    def _lagging(self) -> bytes:
        lost = self._ring.first - self._cursor
        self._closing = ReaderClosed(1008, "too slow")
        return contract.status_frame(
            self._symbol,
            "lagging",
            f"too slow: {lost} items were lost; resume with since_id",
            lost=str(lost),
            after_id=self._last,
            before_id=self._ring.id_at(self._ring.first),
        )


class _History:
    """What came after ``since_id``, up to where the ring follows."""

    def __init__(self, feed: TradeFeed, sleep: Sleep, since_id: str) -> None:
        self._feed = feed
        self._tape = feed.tape
        self._ring = feed.tape.ring
        self._sleep = sleep
        self._since = since_id
        self._pages = self._tries = 0
        self._frames: Ring | None = None
        self._cursor = 0
        self._given_up = False
        self.follows = 0
        """Where in the feed's ring the reader goes on, once ``next`` has returned None."""

    async def next(self) -> bytes | None:
        """The next frame; None once the ring follows."""
        while True:
            if self._feed.closed:
                raise ReaderClosed(1012, "the gateway is going away")
            if self._frames is not None and self._cursor < self._frames.end:
                frame, self._cursor = self._frames.frame(self._cursor)
                return frame
            if self._follows():
                return None
            if not self._feed.paged or self._pages >= MOST_PAGES or self._tries >= _TRIES:
                return self._give_up()
            await self._fetch()

    def _follows(self) -> bool:
        if not self._given_up:
            place = self._place()
            if place is None:
                return False
            self.follows = place
        return True

    def _place(self) -> int | None:
        if self._since == self._tape.since:
            return self._ring.end
        after = self._ring.after(self._since)
        if after is not None or not self._feed.paged:
            return after
        first, last = self._ring.id_at(self._ring.first), self._ring.id_before(self._ring.end)
        since = int(self._since)
        if not first or since >= int(last) or int(first) > (since + 1 if self._feed.counted else since):
            return None
        return self._ring.behind(since)

    async def _fetch(self) -> None:
        page = await self._feed.page(self._since)
        fresh = [trade for trade in page or () if int(trade.id) > int(self._since)]
        if fresh:
            self._keep(fresh)
            return
        if page is not None and self._tape.since is None:
            # Nothing has been traded so far: whatever comes next decides.
            await self._feed.bell.wait()
            return
        self._tries += 1
        await self._sleep(_PAUSE)

    def _keep(self, fresh: list[Trade]) -> None:
        self._frames, self._cursor = Ring(self._feed.market.symbol), 0
        if self._feed.counted and int(fresh[0].id) > int(self._since) + 1:
            self._frames.notice(self._gap(fresh[0].id))
        self._frames.add([trade.id for trade in fresh], list(map(contract.stream_trade_json, fresh)))
        self._since = fresh[-1].id
        self._pages += 1
        self._tries = 0

    def _give_up(self) -> bytes:
        self._given_up = True
        self.follows = self._ring.behind(int(self._since)) if self._feed.paged else self._ring.first
        return self._gap(self._ring.id_at(self.follows))

    def _gap(self, before: str) -> bytes:
        return contract.status_frame(
            self._feed.market.symbol,
            "gap",
            "the exchange's history doesn't reach back to since_id",
            after_id=self._since,
            before_id=before,
        )
