"""The public side of one exchange: its adapters, opened once, and the operations that they serve together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar

import anyio

from . import answers
from .answers import BadAnswer
from .errors import DeadlineExceeded, ExGateError, Internal, Unavailable, Unimplemented
from .hooking import Hook, compose, entered
from .hookspecs import EmitDepth, EmitTrades, ExchangeHooks
from .markets import MarketList
from .models import Depth, ExchangeCapabilities, Market, Trade
from .numbers import BadNumber
from .waiting import Limit, is_cancelled

T = TypeVar("T")

_log = logging.getLogger("exgate.exchange")


class PublicSide(Protocol):
    """What feeds, reads and accounts see of an exchange."""

    name: str
    capabilities: ExchangeCapabilities
    markets: MarketList
    adapters: tuple[object, ...]

    def has(self, operation: str) -> bool:
        """Whether some adapter serves the operation."""
        ...

    async def depth(self, market: Market, limit: int) -> Depth:
        """The book, at most ``limit`` levels a side."""
        ...

    async def recent_trades(self, market: Market, limit: int, since_id: str | None = None) -> Sequence[Trade]:
        """At most ``limit`` trades, oldest first."""
        ...

    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """Runs while the stream lives."""
        ...

    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """Runs while the stream lives."""
        ...


class Exchange:
    """A PublicSide over adapters that are already entered; made by ``open_exchange``."""

    def __init__(
        self, name: str, adapters: Sequence[tuple[object, ExchangeCapabilities]], deadline: float, label: str = ""
    ) -> None:
        self.name, self._label = name, label or name
        self.adapters = tuple(adapter for adapter, _ in adapters)
        self.markets = MarketList(())
        self._deadline = deadline
        self._hooks = compose(ExchangeHooks, self.adapters)
        self.capabilities = _merge(self._hooks, {id(adapter): stated for adapter, stated in adapters})

    def has(self, operation: str) -> bool:
        """Whether some adapter serves the operation."""
        return operation in self._hooks

    def serves(self) -> dict[str, str]:
        """The class that serves each operation, by operation."""
        return {name: type(adapter).__qualname__ for name, (adapter, _) in self._hooks.items()}

    async def refresh_markets(self) -> None:
        """Fetch the market list anew. Raises ExGateError and keeps the old list when that fails or is empty."""
        found = await self._ask("markets")
        if not isinstance(found, Sequence) or not all(isinstance(market, Market) for market in found):
            raise _wrong_answer(self.name, "markets")
        if not found:
            raise Unavailable(f"{self.name} lists no market at all", reason="BAD_ANSWER")
        readable = self._checked("markets", answers.markets, found)
        for market, read in zip(found, readable, strict=True):
            if read.active < market.active:
                _log.warning("%s: a rule of %s can't be read, so no orders are taken there", self.name, market.symbol)
        self.markets = MarketList(readable)

    async def depth(self, market: Market, limit: int) -> Depth:
        """The book, at most ``limit`` levels a side; the adapter is asked for the next size that the exchange takes."""
        size = next((size for size in self.capabilities.depth_sizes if size >= limit), limit)
        if self.capabilities.depth_sizes:
            size = min(size, self.capabilities.depth_sizes[-1])
        found = await self._ask("depth", market=market, limit=size)
        if not isinstance(found, Depth):
            raise _wrong_answer(self.name, "depth")
        found = self._checked("depth", answers.depth, found)
        if len(found.bids) <= limit and len(found.asks) <= limit:
            return found
        return Depth(
            bids=found.bids[:limit],
            asks=found.asks[:limit],
            last_update_id=found.last_update_id,
            timestamp=found.timestamp,
        )

    async def recent_trades(self, market: Market, limit: int, since_id: str | None = None) -> Sequence[Trade]:
        """Trades, oldest first: the newest ``limit``, or the first ``limit`` after ``since_id``."""
        found = await self._ask("recent_trades", market=market, limit=limit, since_id=since_id)
        if not isinstance(found, Sequence) or isinstance(found, str | bytes):
            raise _wrong_answer(self.name, "recent_trades")
        page = found[:limit] if since_id is not None else found[-limit:]
        return self._checked("recent_trades", answers.trades, page)

    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """Runs while the stream of trades lives."""
        await self._stream("pull_trade", answers.trades, emit, market=market)

    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """Runs while the stream of the book lives."""
        await self._stream("pull_depth", answers.book_event, emit, market=market, levels=levels)

    def _hook(self, operation: str) -> Hook:
        if operation not in self._hooks:
            raise Unimplemented(
                f"no installed plugin serves {operation} of {self.name}", metadata={"operation": operation}
            )
        return self._hooks[operation][1]

    async def _ask(self, operation: str, **arguments: object) -> Any:
        hook = self._hook(operation)
        try:
            with Limit(self._deadline):
                return await hook(**arguments)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            raise read_error(self.name, operation, error, self._label) from error

    def _checked(self, operation: str, check: Callable[[T], T], found: T) -> T:
        try:
            return check(found)
        except Exception as error:
            raise read_error(self.name, operation, error, self._label) from error

    async def _stream(
        self, operation: str, check: Callable[[T], T], emit: Callable[[T], None], **arguments: object
    ) -> None:
        """What can't be used ends the stream from here, not by an exception that an adapter may swallow."""
        fault: ExGateError | None = None

        def checked(item: T) -> None:
            nonlocal fault
            if fault is not None:
                return
            try:
                found = check(item)
            except Exception as error:
                fault = read_error(self.name, operation, error, self._label)
                scope.cancel()
                return
            emit(found)

        with anyio.CancelScope() as scope:
            await self._run(operation, emit=checked, **arguments)
        if fault is not None:
            raise fault

    async def _run(self, operation: str, **arguments: object) -> None:
        try:
            await self._hook(operation)(**arguments)
        except asyncio.CancelledError as error:
            if is_cancelled(error):
                raise
            raise EOFError(f"the plugin of {self.name} cancelled its own {operation}") from error


def read_error(exchange: str, operation: str, error: BaseException, label: str) -> ExGateError:
    """What to tell the caller of a read whose adapter raised: its own error, an answer that can't be used, no answer in
    time, a lost line, a bug, which is logged under ``label``.

    The text of foreign exceptions stays out of it: it may hold an address with a key in it.
    """
    if isinstance(error, ExGateError):
        return error
    if isinstance(error, BadNumber | BadAnswer):
        return Unavailable(f"{exchange} gave an answer to {operation} that can't be used: {error}", reason="BAD_ANSWER")
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(f"{exchange} gave no answer to {operation} in time; ask again")
    if isinstance(error, OSError | EOFError):
        return Unavailable(f"the connection to {exchange} failed during {operation}; ask again")
    _log.error("%s: %s failed", label, operation, exc_info=error)
    kind = type(error).__name__
    return Internal(f"the plugin of {exchange} failed in {operation} with {kind}; the log of the gateway says more")


def _wrong_answer(exchange: str, operation: str) -> Internal:
    return Internal(f"the plugin of {exchange} gave no valid answer to {operation}", reason="BAD_PLUGIN_ANSWER")


def _merge(
    hooks: Mapping[str, tuple[object, Hook]], stated: Mapping[int, ExchangeCapabilities]
) -> ExchangeCapabilities:
    def of(operation: str) -> ExchangeCapabilities:
        return stated[id(hooks[operation][0])] if operation in hooks else ExchangeCapabilities()

    depth, trades, books, stream = of("depth"), of("recent_trades"), of("pull_depth"), of("pull_trade")
    same_ids = "pull_trade" not in hooks or stream is trades
    return ExchangeCapabilities(
        trade_ids=stream.trade_ids if "pull_trade" in hooks else trades.trade_ids,
        # pages of another adapter may count in another id space: they can't fill this stream's holes
        trades_reach=trades.trades_reach if same_ids else 0,
        trades_max=trades.trades_max,
        taker_side=trades.taker_side and stream.taker_side,
        depth_sizes=depth.depth_sizes,
        depth_max=depth.depth_max,
        depth_windows=books.depth_windows,
        depth_rounded=depth.depth_rounded,
        checksum=books.checksum,
        exact=all(side.exact for side in (depth, trades, books, stream)),
        cross_check=min(books.cross_check, stream.cross_check),
        weight_limit=depth.weight_limit,
        weight_window=depth.weight_window,
    )


def _found_out(adapter: object) -> ExchangeCapabilities | None:
    """What an adapter said of itself as it opened, for itself and not for its class."""
    found = getattr(adapter, "__dict__", {}).get("capabilities")
    return found if isinstance(found, ExchangeCapabilities) else None


@asynccontextmanager
async def open_exchange(
    name: str, adapters: Sequence[tuple[object, ExchangeCapabilities]], deadline: float, label: str = ""
) -> AsyncIterator[Exchange]:
    """Enter the adapters, fetch the market list, and leave them again, all in the calling task. ``label`` is what log
    lines call the exchange; empty = its name."""
    async with AsyncExitStack() as stack:
        opened = []
        for adapter, stated in adapters:
            await stack.enter_async_context(entered(adapter))
            opened.append((adapter, _found_out(adapter) or stated))
        exchange = Exchange(name, opened, deadline, label)
        await exchange.refresh_markets()
        yield exchange
