"""The private side of one exchange for one set of credentials. All of it comes from one adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import anyio

from .errors import Internal, Unimplemented
from .exchange import PublicSide, read_error
from .hooking import compose
from .hookspecs import AccountHooks
from .models import AccountCapabilities, Balance, CancelResult, Market, Order, OrderRequest
from .waiting import is_cancelled


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
    ) -> None:
        self.name = name
        self.identity = identity
        """The account in the journal and in every cache key; never the credentials themselves."""
        self.exchange = exchange
        self.capabilities = capabilities
        self.trading = trading
        self.settle = capabilities.settle if settle is None else settle
        self._deadline = deadline
        self._hooks = compose(AccountHooks, [adapter])

    def has(self, operation: str) -> bool:
        """Whether the adapter serves the operation."""
        return operation in self._hooks

    async def balances(self) -> Sequence[Balance]:
        """Every row that the exchange sends."""
        found: Sequence[Balance] = await self._read("balances")
        return found

    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders, of one market or of all."""
        found: Sequence[Order] = await self._read("pending_orders", market=market)
        return found

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
        return found

    async def _read(self, operation: str, **arguments: object) -> Any:
        try:
            with anyio.fail_after(self._deadline):
                found = await self._call(operation, **arguments)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            raise read_error(self.exchange.name, operation, error, self.name) from error
        if not isinstance(found, Sequence):
            message = f"the plugin of {self.exchange.name} gave no valid answer to {operation}"
            raise Internal(message, reason="BAD_PLUGIN_ANSWER")
        return found

    async def _call(self, operation: str, **arguments: object) -> Any:
        if operation not in self._hooks:
            message = f"no installed plugin serves {operation} of {self.exchange.name}"
            raise Unimplemented(message, metadata={"operation": operation})
        return await self._hooks[operation][1](**arguments)
