"""All feeds of one exchange: started on first use, pinned, listed, stopped."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from anyio.abc import TaskGroup

from .bookfeed import BookFeed, levels_for
from .clock import Runtime
from .errors import Unavailable, Unimplemented
from .exchange import PublicSide
from .models import Market, Trade
from .readers import Reader, ReaderClosed, check_since_id
from .tradefeed import TradeFeed
from .waiting import Jobs

if TYPE_CHECKING:
    from .settings import Local

__all__ = ["Feeds", "Reader", "ReaderClosed"]

F = TypeVar("F", TradeFeed, BookFeed)

_AFTER_A_BUG = 5.0

_log = logging.getLogger("exgate.feeds")


class Feeds:
    """The feeds of one exchange. They run in ``tasks``; none of their exceptions reaches it.

    ``label`` is what log lines call the exchange; empty = its name.
    """

    def __init__(self, exchange: PublicSide, tasks: TaskGroup, runtime: Runtime, local: Local, label: str = "") -> None:
        self._exchange, self._label = exchange, label or exchange.name
        self._tasks = tasks
        self._runtime = runtime
        self._idle_stop = local.idle_stop
        self._trades: dict[str, TradeFeed] = {}
        self._books: dict[str, BookFeed] = {}
        self._stopped = False
        self._jobs: Jobs | None = None

    def trades(self, market: Market) -> TradeFeed:
        """The feed of the market's trades; opens it on first use. Raises Unimplemented."""
        feed = self._trades.get(market.symbol)
        if feed is None or feed.supervisor.stopping:
            self._check("pull_trade")
            feed = TradeFeed(self._exchange, market, self._runtime, self._idle_stop, self._label)
            self._start(self._trades, feed)
        feed.supervisor.touch()
        return feed

    def book(self, market: Market, levels: int) -> BookFeed:
        """The feed of the market's book, opened on first use with at least ``levels`` levels. Raises Unimplemented."""
        feed = self._books.get(market.symbol)
        if feed is None or feed.supervisor.stopping:
            self._check("pull_depth")
            size = levels_for(self._exchange.capabilities, levels)
            feed = BookFeed(self._exchange, market, size, self._runtime, self._idle_stop, self._label)
            self._start(self._books, feed)
        feed.supervisor.touch()
        return feed

    def pin(self, market: Market) -> tuple[str, str]:
        """Keep the trades of the market flowing without readers; (status, what it means). Idempotent."""
        feed = self.trades(market)
        feed.supervisor.pinned = True
        return feed.status, feed.desc

    def unpin(self, market: Market) -> tuple[str, str]:
        """Let the feed stop when nobody needs it; (status, what it means). Idempotent."""
        feed = self._trades.get(market.symbol)
        if feed is None or feed.supervisor.stopping:
            return "stopped", "not running"
        feed.supervisor.pinned = False
        feed.supervisor.touch()
        return feed.status, f"unpinned; stops after {self._idle_stop:g} s without a reader"

    def statuses(self) -> list[dict[str, Any]]:
        """Every feed: symbol, stream, status, desc, pinned, readers, age in seconds (None = no word yet)."""
        feeds: list[TradeFeed | BookFeed] = [*self._trades.values(), *self._books.values()]
        return [_describe(feed) for feed in feeds]

    @asynccontextmanager
    async def subscribe(self, market: Market, since_id: str | None) -> AsyncIterator[Reader]:
        """A reader from now on, or from the trade after ``since_id``. Raises InvalidArgument, Unimplemented."""
        if since_id is not None:
            check_since_id(self._exchange.capabilities, since_id)
        feed = self.trades(market)
        feed.supervisor.readers += 1
        try:
            yield Reader(feed, self._runtime.sleep, since_id)
        finally:
            feed.supervisor.readers -= 1
            feed.supervisor.touch()

    def offer(self, market: Market, page: Sequence[Trade], asked: int) -> None:
        """Tell the local copy what the exchange answered when ``asked`` trades were asked for."""
        feed = self._trades.get(market.symbol)
        if feed is not None:
            feed.tape.span.offer(page, asked)

    def spawn(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a job that outlives the request which started it. The job raises nothing."""
        if self._jobs is None:
            self._jobs = Jobs()
            self._tasks.start_soon(self._jobs.keep)
        self._jobs.start(job())

    async def stop(self) -> None:
        """End every feed: readers get ReaderClosed(1012) after what is pending."""
        self._stopped = True
        feeds: list[TradeFeed | BookFeed] = [*self._trades.values(), *self._books.values()]
        for feed in feeds:
            feed.close()
            feed.supervisor.stop()

    def _check(self, operation: str) -> None:
        if self._stopped:
            raise Unavailable("the gateway is going away.", reason="SHUTTING_DOWN")
        if not self._exchange.has(operation):
            raise Unimplemented(f"no adapter of {self._exchange.name} has {operation}.")

    def _start(self, feeds: dict[str, F], feed: F) -> None:
        feeds[feed.market.symbol] = feed
        self._tasks.start_soon(self._run, feeds, feed)

    async def _run(self, feeds: dict[str, F], feed: F) -> None:
        try:
            while not feed.supervisor.stopping:
                try:
                    await feed.run()
                except Exception:
                    _log.exception("%s %s %s: the feed broke", self._label, feed.market.symbol, feed.stream)
                    await self._runtime.sleep(_AFTER_A_BUG)
        finally:
            feed.close()
            if feeds.get(feed.market.symbol) is feed:
                del feeds[feed.market.symbol]


def _describe(feed: TradeFeed | BookFeed) -> dict[str, Any]:
    supervisor = feed.supervisor
    return {
        "symbol": feed.market.symbol,
        "stream": feed.stream,
        "status": feed.status,
        "desc": feed.desc,
        "pinned": supervisor.pinned,
        "readers": supervisor.readers,
        "age": supervisor.age,
    }
