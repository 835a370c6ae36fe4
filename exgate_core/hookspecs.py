"""Every hook of ExGate: the table of contents for authors of plugins.

A plugin is a distribution with an entry point in the group ``exgate`` that names a module. The module implements
``register_exchanges`` or ``wrap_operation`` or both; the classes that it registers implement ``ExchangeHooks`` and
``AccountHooks``, as far as their exchange can do it. Every implementation is marked ``@hookimpl``.

An adapter raises ``Refused``, ``NotFound``, ``RateLimited`` and ``NotSent`` (``exgate_core.errors``). Anything else
that escapes is read as "no usable answer", and after an order or a cancel has left, as "outcome unknown".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from .models import (
        AccountCapabilities,
        Balance,
        Call,
        CancelResult,
        Depth,
        DepthDelta,
        ExchangeCapabilities,
        Market,
        Order,
        OrderRequest,
        Trade,
    )

hookspec = pluggy.HookspecMarker("exgate")
hookimpl = pluggy.HookimplMarker("exgate")

EXGATE_API = 1
"""The version of these hooks. A plugin's module states the one it was written for: ``EXGATE_API = 1``."""

Proceed = Callable[["Call"], Awaitable[Any]]
Wrapper = Callable[["Call", Proceed], Awaitable[Any]]
EmitTrades = Callable[[Sequence["Trade"]], None]
EmitDepth = Callable[["Depth | DepthDelta | None"], None]


class Register(Protocol):
    """What ``register_exchanges`` is given."""

    def __call__(
        self,
        name: str,
        *,
        exchange: type | None = None,
        account: type | None = None,
        settings: type | None = None,
        exchange_capabilities: ExchangeCapabilities | None = None,
        account_capabilities: AccountCapabilities | None = None,
    ) -> None:
        """Offer an exchange under a name ``[a-z0-9][a-z0-9_-]{0,31}``.

        ``settings`` is a frozen msgspec Struct for further keys of the exchange's section. Capabilities may stand
        on the classes (attribute ``capabilities``) or be given here, where one class serves many exchanges.
        """


class ModuleHooks:
    """Implemented by a plugin's module."""

    @hookspec
    def register_exchanges(self, register: Register) -> None:
        """Called once at start, before anything opens: say which exchanges this plugin serves."""

    @hookspec
    def wrap_operation(self, exchange: str, operation: str) -> Wrapper | None:
        """Put code around an operation: return ``async def wrapper(call, proceed)``, or None.

        Asked once per exchange and operation when the exchange is set up. The wrapper awaits ``proceed(call)`` and
        returns what it returns. A subscription (``pull_trade``) is a call that lasts as long as its reader; its frames
        are not calls.
        """


class ExchangeHooks:
    """The public side, implemented by the class registered as ``exchange``.

    ``__init__(self, context)``; ``__aenter__`` and ``__aexit__`` if something must be opened and closed. Both run in
    the one task in which the exchange lives. Per operation the highest adapter that has it serves it. An adapter that
    finds out more as it opens sets its own ``capabilities``, which then stand above the registered ones.
    """

    @hookspec(firstresult=True)
    async def markets(self) -> Sequence[Market]:
        """All spot markets."""
        raise AssertionError

    @hookspec(firstresult=True)
    async def depth(self, market: Market, limit: int) -> Depth:
        """The book with at least ``limit`` levels a side where the exchange has them; the core cuts."""
        raise AssertionError

    @hookspec(firstresult=True)
    async def recent_trades(self, market: Market, limit: int, since_id: str | None) -> Sequence[Trade]:
        """Trades, oldest first: the newest ``limit``, or the first ``limit`` after ``since_id``.

        ``since_id`` is given only where ``trade_ids`` is contiguous or ordered and ``trades_reach`` isn't 0.
        """
        raise AssertionError

    @hookspec(firstresult=True)
    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """The WebSocket hook: runs while the stream of trades lives.

        ``emit(batch)`` for each upstream frame, or for several that came together: a plain call that never blocks.
        ``emit(())`` = the subscription was confirmed, or its connection was just proven alive. Returning or raising
        means that the stream was cut.
        """

    @hookspec(firstresult=True)
    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """Runs while a stream of the book lives.

        First ``emit(Depth)``, then deltas, unchecked: the core's book compares sequences and checksums and takes a
        new ``Depth`` at any time. ``emit(None)`` = the connection was just proven alive. Return or raise = cut.
        """


class AccountHooks:
    """The private side, implemented by the class registered as ``account``; all of it comes from one plugin."""

    @hookspec(firstresult=True)
    async def balances(self) -> Sequence[Balance]:
        """Every row that the exchange sends, assets in unified codes."""
        raise AssertionError

    @hookspec(firstresult=True)
    async def place_order(self, order: OrderRequest) -> str:
        """Send once, never again; return the exchange's order id, never empty."""
        raise AssertionError

    @hookspec(firstresult=True)
    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """Cancel by ``order_id``, or by ``client_order_id`` where that is empty. NotFound if there is no such order."""
        raise AssertionError

    @hookspec(firstresult=True)
    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders, paged to the end; ``market`` None = of every market."""
        raise AssertionError

    @hookspec(firstresult=True)
    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """Look in open orders, closed orders and own trades; empty = not there. Never sends anything that changes."""
        raise AssertionError
