"""A paper account as the orders room sees it, over an engine whose truth may be on disk."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from exgate_paper.account import PaperAccount
from exgate_paper.adapter import PaperExchange
from exgate_paper.settings import PaperMarket, PaperSettings

from exgate_core.clock import Runtime
from exgate_core.contract import PlaceBody
from exgate_core.journal import Journal
from exgate_core.markets import MarketList
from exgate_core.models import AccountCapabilities, CancelResult, Market, Order, OrderRequest
from exgate_core.orders import Orders
from exgate_core.settings import Orders as OrderSettings

MARKET = PaperMarket(symbol="BTC/USDT", price="100.00", tick="0.01", step="0.001")
BALANCES = {"USDT": "1000000000", "BTC": "1000000"}


@dataclass
class _Context:
    """What adapters get."""

    settings: PaperSettings
    runtime: Runtime
    name: str = "paper"
    credentials: None = None
    exchange: Any = None
    state: None = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("paper"))

    def __post_init__(self) -> None:
        self.clock, self.sleep, self.random = self.runtime.clock, self.runtime.sleep, random.Random(0)


@dataclass
class PublicSide:
    """The public side."""

    adapters: tuple[object, ...]
    markets: MarketList
    name: str = "paper"


@dataclass
class PaperDesk:
    """The account; ``calls`` counts what was asked of the exchange."""

    account: PaperAccount
    exchange: PublicSide
    settle: float
    identity: str = "paper:main"
    capabilities: AccountCapabilities = PaperAccount.capabilities

    def has(self, operation: str) -> bool:
        """All of them."""
        return True

    @property
    def market(self) -> Market:
        """The one market."""
        return self.account.engine.markets[0]

    def exchange_now(self) -> int:
        """Paper has no clock of its own."""
        return 0

    async def place_order(self, order: OrderRequest) -> str:
        """Straight through."""
        return await self.account.place_order(order)

    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """Straight through."""
        return await self.account.cancel_order(market, order_id, client_order_id)

    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """Straight through."""
        return await self.account.find_order(market, order_id, client_order_id)

    def truth(self, client_order_id: str) -> list[Order]:
        """What the exchange really has, past every fault."""
        return self.account.engine.find(self.account.name, None, "", client_order_id)


@dataclass
class Gateway:
    """Orders over a journal and a paper account in one folder."""

    orders: Orders
    journal: Journal
    desk: PaperDesk

    async def place(self, key: str, number: int = 0, kind: str = "limit") -> str:
        """Place an order of its own size; the order id."""
        price = "100.00" if kind == "limit" else ""
        amount = f"{1 + number / 1000:.3f}"
        body = PlaceBody(symbol=MARKET.symbol, side="buy", type=kind, price=price, amount=amount)
        return (await self.orders.place(self.desk, self.desk.market, body, key)).order_id


@asynccontextmanager
async def gateway(
    folder: Path,
    step: Callable[[str], None],
    *,
    settle: float = 0.02,
    deadline: float = 0.5,
    levels: int = 0,
    persistent: bool = True,
    seed: int = 1,
) -> AsyncIterator[Gateway]:
    """One life of a gateway: what it leaves in the folder, the next one finds."""
    runtime = Runtime()
    state = str(folder / "exchange") if persistent else ""
    settings = PaperSettings(seed=seed, rate=0, levels=levels, markets=(MARKET,), balances=BALANCES, state=state)
    context = _Context(settings, runtime)
    async with (
        PaperExchange(context) as exchange,
        Journal(folder / "journal.db", step) as journal,
        anyio.create_task_group() as tasks,
    ):
        context.exchange = PublicSide((exchange,), MarketList(exchange.engine.markets))
        async with PaperAccount(context) as account:
            limits = OrderSettings(deadline=deadline, reconcile_deadline=deadline)
            orders = Orders(journal, runtime, tasks, limits, step=step)
            yield Gateway(orders, journal, PaperDesk(account, context.exchange, settle))
            tasks.cancel_scope.cancel()
