"""The private side of the paper exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import anyio
import anyio.abc

from exgate_core.errors import FailedPrecondition, Refused
from exgate_core.hookspecs import hookimpl
from exgate_core.models import (
    AccountCapabilities,
    Balance,
    CancelResult,
    CancelStatus,
    ClientIds,
    Market,
    Order,
    OrderRequest,
)

from .adapter import PaperExchange
from .calls import Context, travel, writing
from .faults import Fault
from .settings import MEMORY, PaperSettings
from .shadow import LiveSide, Shadow


class _Credentials(Protocol):
    @property
    def fingerprint(self) -> str: ...


class _PublicSide(LiveSide, Protocol):
    @property
    def adapters(self) -> tuple[object, ...]: ...


class AccountContext(Context, Protocol):
    """What an account is given on top."""

    @property
    def credentials(self) -> _Credentials | None: ...
    @property
    def exchange(self) -> _PublicSide: ...


class PaperAccount:
    """One account of the engine that lives in the same exchange. ``name`` is its name there (the ledger's too).

    Over a real exchange it brings an engine of its own, whose books follow the real ones (``Shadow``).
    """

    capabilities = AccountCapabilities(
        needs_credentials=False,
        real=False,
        client_ids=ClientIds(),
        order_recovery="full",
        settle=1.0,
        times_in_force=frozenset({"GTC", "IOC", "FOK"}),
        post_only=True,
        quote_amount=True,
    )

    def __init__(self, context: AccountContext) -> None:
        self._context = context
        settings = context.settings or PaperSettings()
        self.name = f"key-{context.credentials.fingerprint[:16]}" if context.credentials else settings.wallet
        self._opening = settings.balances
        self._shadow: Shadow | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        papers = [a for a in context.exchange.adapters if isinstance(a, PaperExchange)]
        if papers:
            self.engine = papers[0].engine
        elif settings.state not in ("", MEMORY):
            raise FailedPrecondition(
                "A paper account over a real exchange lives in memory only: remove state.", reason="STATE_UNUSABLE"
            )
        else:
            self._shadow = Shadow(context.exchange, settings, context, self.name)
            self.engine = self._shadow.engine

    async def __aenter__(self) -> PaperAccount:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        if self._shadow is not None:
            self._tasks.start_soon(self._shadow.run)
        if self.name not in self.engine.accounts:
            assets = {asset for market in self.engine.markets for asset in (market.base, market.quote)}
            self.engine.deposit(self.name, {a: text for a, text in self._opening.items() if a in assets})
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)  # its errors are its own: what ends the block stays as it is

    async def _call(self, point: str, symbol: str = "") -> Fault | None:
        return await travel(self.engine.faults, self._context.sleep, point, symbol)

    @hookimpl
    async def balances(self) -> Sequence[Balance]:
        """Every asset of the exchange; over a real one, which has hundreds, those that the account ever held."""
        await self._call("balances")
        rows = self.engine.balances(self.name)
        if self._shadow is None:
            return rows
        held = self.engine.wallet(self.name).available
        return [row for row in rows if row.asset in held]

    @hookimpl
    async def place_order(self, order: OrderRequest) -> str:
        """Raises Refused when nothing happened."""
        symbol = order.market.symbol
        if order.stop_price or order.options:
            raise Refused("The paper exchange has no stop orders and no options of its own.", reason="UNKNOWN_OPTION")
        if lie := await self._call("place.before_accept", symbol):
            return lie.value
        if self._shadow is not None:
            await self._shadow.follow(order.market)
        with writing():
            placed = self.engine.place(self.name, order)
        lie = await self._call("place.after_accept", symbol)
        return lie.value if lie else placed.order_id

    @hookimpl
    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """Raises NotFound."""
        symbol = market.symbol if market else ""
        if lie := await self._call("cancel.before_accept", symbol):
            return _lie(lie)
        with writing():
            result = self.engine.cancel(self.name, order_id, client_order_id, symbol or None)
        lie = await self._call("cancel.after_accept", symbol)
        return _lie(lie) if lie else result

    @hookimpl
    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """Open orders, oldest first."""
        await self._call("pending_orders", market.symbol if market else "")
        return self.engine.open_orders(self.name, market.symbol if market else None)

    @hookimpl
    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """Open and closed orders."""
        symbol = market.symbol if market else ""
        if await self._call("find_order", symbol):
            return []
        return self.engine.find(self.name, symbol or None, order_id, client_order_id)


def _lie(fault: Fault) -> CancelResult:
    return CancelResult(status=cast(CancelStatus, fault.value or "canceled"))
