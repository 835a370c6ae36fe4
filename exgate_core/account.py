"""The private side of one exchange for one set of credentials. All of it comes from one adapter."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_args

import anyio
from msgspec.structs import replace

from . import answers
from .errors import Internal, Unimplemented
from .exchange import PublicSide, read_error
from .hooking import compose
from .hookspecs import AccountHooks
from .models import AccountCapabilities, Balance, CancelResult, Market, Order, OrderRequest, OrderStatus
from .waiting import is_cancelled

T = TypeVar("T")

_STATUSES = frozenset(get_args(OrderStatus))
_MOST_WORDS = 100
_log = logging.getLogger("exgate.account")


class Account:
    """An adapter that is already open, and what ExGate knows of it.

    Reads turn every failure into an ExGateError. ``place_order``, ``cancel_order`` and ``find_order`` pass the
    adapter's exceptions through: only the orders room may judge what they prove.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        adapter: object,
        exchange: PublicSide,
        capabilities: AccountCapabilities,
        *,
        trading: bool,
        settle: float | None,
        deadline: float,
        exchange_now: Callable[[], int],
    ) -> None:
        self.name = name
        self.identity = identity
        """The account in the journal and in every cache key; never the credentials themselves."""
        self.exchange = exchange
        self.capabilities = capabilities
        self.trading = trading
        self.settle = capabilities.settle if settle is None else settle
        self.exchange_now = exchange_now
        """The exchange's own time, ms since the epoch; 0 = nobody has measured it."""
        self._deadline = deadline
        self._hooks = compose(AccountHooks, [adapter])
        self._words: set[str] = set()

    def has(self, operation: str) -> bool:
        """Whether the adapter serves the operation."""
        return operation in self._hooks

    async def balances(self) -> Sequence[Balance]:
        """Every row that the exchange sends."""
        return await self._read("balances", answers.balances)

    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders, of one market or of all."""
        return await self._read("pending_orders", self._orders, market=market)

    async def place_order(self, order: OrderRequest) -> str:
        """One send; whatever the adapter raises or returns."""
        placed: str = await self._call("place_order", order=order)
        return placed

    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """One send; whatever the adapter raises or returns."""
        result: CancelResult = await self._call(
            "cancel_order", market=market, order_id=order_id, client_order_id=client_order_id
        )
        return result

    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """Every order that matches, open or not; empty = not there."""
        found: Sequence[Order] = await self._call(
            "find_order", market=market, order_id=order_id, client_order_id=client_order_id
        )
        try:
            return self._orders(found)
        except Exception as error:
            raise read_error(self.exchange.name, "find_order", error, self.name) from error

    def _orders(self, found: Sequence[Order]) -> Sequence[Order]:
        found = answers.orders(found)
        if all(order.status in _STATUSES for order in found):
            return found
        return [order if order.status in _STATUSES else self._still_there(order) for order in found]

    def _still_there(self, order: Order) -> Order:
        """A status that came up after its adapter was written still says that there is such an order."""
        if order.status not in self._words and len(self._words) < _MOST_WORDS:
            self._words.add(order.status)
            text = "%s: orders have the status %.40r, which nobody here knows; they are shown as open"
            _log.warning(text, self.exchange.name, order.status)
        return replace(order, status="open")

    async def _read(
        self, operation: str, check: Callable[[Sequence[T]], Sequence[T]], **arguments: object
    ) -> Sequence[T]:
        try:
            with anyio.fail_after(self._deadline):
                found = await self._call(operation, **arguments)
            if isinstance(found, Sequence):
                return check(found)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            raise read_error(self.exchange.name, operation, error, self.name) from error
        message = f"the plugin of {self.exchange.name} gave no valid answer to {operation}"
        raise Internal(message, reason="BAD_PLUGIN_ANSWER")

    async def _call(self, operation: str, **arguments: object) -> Any:
        if operation not in self._hooks:
            message = f"no installed plugin serves {operation} of {self.exchange.name}"
            raise Unimplemented(message, metadata={"operation": operation})
        return await self._hooks[operation][1](**arguments)
