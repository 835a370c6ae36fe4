"""Which answer meets the freshness asked: a local copy, a shared question, or the exchange."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from . import contract
from .bookfeed import most_levels
from .clock import Runtime
from .errors import DeadlineExceeded, ExGateError, NotSent, Unavailable
from .exchange import PublicSide
from .feeds import Feeds
from .models import Answer, Depth, Freshness, Market, Trade
from .sharing import Flights

if TYPE_CHECKING:
    from .settings import Local

T = TypeVar("T")


class Reads:
    """The public reads of one exchange. Never answers with something older than was asked for."""

    def __init__(self, exchange: PublicSide, feeds: Feeds, runtime: Runtime, local: Local) -> None:
        self._exchange = exchange
        self._feeds = feeds
        self._clock = runtime.clock
        self._tolerate = local.tolerate_interval
        self._most_levels = most_levels(exchange.capabilities)
        self._most_trades = exchange.capabilities.trades_max
        self._local_depth = exchange.has("pull_depth")
        self._local_trades = exchange.has("pull_trade")
        self._books: Flights[tuple[Depth, bytes]] = Flights(runtime.clock, feeds.spawn)
        self._trades: Flights[tuple[Sequence[Trade], bytes]] = Flights(runtime.clock, feeds.spawn)

    async def depth(
        self, market: Market, limit: int, freshness: Freshness, *, deadline: float | None = None
    ) -> Answer[Depth]:
        """The book with at most ``limit`` levels a side, no older than asked. ``deadline``: seconds to wait at most.

        Doesn't suspend where a local copy answers. Raises Unavailable, DeadlineExceeded and what the exchange raises.
        """
        limit = min(limit, self._most_levels)
        age: float | None = None
        if freshness.local and self._local_depth:
            tolerate = self._tolerate if freshness.tolerate is None else freshness.tolerate
            if tolerate > 0:
                feed = self._feeds.book(market, limit)
                age = feed.supervisor.age
                if feed.readable(limit, tolerate) and age is not None:
                    return Answer(feed.book.top(limit), "local", age, feed.book.encoded(limit))
        return await self._ask(self._books, market, limit, freshness, deadline, self._fetch_depth, age)

    async def recent_trades(
        self, market: Market, limit: int, freshness: Freshness, *, deadline: float | None = None
    ) -> Answer[Sequence[Trade]]:
        """The newest ``limit`` trades, oldest first; otherwise like ``depth``."""
        limit = min(limit, self._most_trades)
        age: float | None = None
        if freshness.local and self._local_trades:
            tolerate = self._tolerate if freshness.tolerate is None else freshness.tolerate
            if tolerate > 0:
                feed = self._feeds.trades(market)
                age = feed.supervisor.age
                if age is not None and age <= tolerate and feed.in_sync:
                    found = feed.tape.span.newest(limit)
                    if found is not None:
                        return Answer(found[0], "local", age, found[1])
        return await self._ask(self._trades, market, limit, freshness, deadline, self._fetch_trades, age)

    async def _ask(
        self,
        flights: Flights[tuple[T, bytes]],
        market: Market,
        limit: int,
        freshness: Freshness,
        deadline: float | None,
        fetch: Callable[[Market, int], Awaitable[tuple[T, bytes]]],
        age: float | None,
    ) -> Answer[T]:
        tolerate = self._shared(freshness)
        try:
            flight = await flights.ask((market.symbol, limit), lambda: fetch(market, limit), tolerate, deadline)
        except (Unavailable, NotSent, DeadlineExceeded) as error:
            if not freshness.local:
                raise
            raise _neither(error, age) from error
        assert flight.value is not None and flight.started is not None
        value, body = flight.value
        return Answer(value, "exchange", max(0.0, self._clock.monotonic() - flight.started), body)

    def _shared(self, freshness: Freshness) -> float:
        # Who asks for a local copy takes an answer as old as the copy might be.
        if freshness.tolerate is None:
            return self._tolerate if freshness.local else 0.0
        return freshness.tolerate

    async def _fetch_depth(self, market: Market, limit: int) -> tuple[Depth, bytes]:
        depth = await self._exchange.depth(market, limit)
        return depth, contract.depth_json(depth)

    async def _fetch_trades(self, market: Market, limit: int) -> tuple[Sequence[Trade], bytes]:
        trades = await self._exchange.recent_trades(market, limit)
        self._feeds.offer(market, trades, limit)
        return trades, contract.trades_json(map(contract.trade_json, trades))


def _neither(error: ExGateError, age: float | None) -> Unavailable:
    """The local copy couldn't answer and neither could the exchange: never silently stale."""
    known = "never heard of" if age is None else f"last proven alive {age:.3f} s ago"
    return Unavailable(
        f"{error.message} The local copy is no answer either: {known} or not in sync. Ask again.",
        reason=error.reason,
        metadata={**error.metadata, "local_age": "" if age is None else f"{age:.3f}"},
        retry_after=error.retry_after or 1.0,
    )
