"""What the tests of the paper exchange share: small engines, orders in one line, contexts for the adapters."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exgate_paper import Engine, PaperAccount, PaperExchange, PaperMarket, PaperSettings
from exgate_paper.rules import Fees

from exgate_core.clock import Clock, Runtime, Sleep
from exgate_core.models import Depth, Market, Order, OrderRequest

BTC = PaperMarket(symbol="BTC/USDT", price="100.00", tick="0.01", step="0.001", min_notional="1")
STILL = PaperSettings(
    rate=0, levels=0, markets=(BTC,), balances={"BTC": "100", "USDT": "100000"}, maker_fee="0", taker_fee="0"
)
MARKET = BTC.market()


def engine(fees: Fees = Fees(), **more: object) -> Engine:  # noqa: B008 - a frozen value
    """One empty market, two rich accounts."""
    made = Engine([MARKET], now=lambda: 1_700_000_000_000, fees=fees, **more)  # type: ignore[arg-type]
    for account in ("ann", "bob"):
        made.deposit(account, {"BTC": "100", "USDT": "100000"})
    return made


def request(text: str, **more: object) -> OrderRequest:
    """``buy 1 @ 100`` or, at market, ``sell 0.5``."""
    side, amount, *rest = text.split()
    fields: dict[str, object] = {
        "market": MARKET,
        "side": side,
        "type": "limit" if rest else "market",
        "client_order_id": "",
        "price": rest[1] if rest else "",
        "amount": amount,
    }
    return OrderRequest(**(fields | more))  # type: ignore[arg-type]


def place(made: Engine, account: str, text: str, **more: object) -> Order:
    """Place such an order."""
    return made.place(account, request(text, **more))


@dataclass
class Side:
    """As much of an exchange as an account asks for: the paper exchange itself, or a real one with these books."""

    adapters: tuple[object, ...] = ()
    markets: tuple[Market, ...] = ()
    books: dict[str, Depth | Exception] = field(default_factory=dict)

    async def depth(self, market: Market, limit: int) -> Depth:
        """The book that the test has put there, or the error."""
        book = self.books[market.symbol]
        if isinstance(book, Exception):
            raise book
        return book


@dataclass
class Key:
    """Credentials, as far as they are looked at."""

    fingerprint: str


@dataclass
class PaperContext:
    """What the core would hand to an adapter."""

    settings: PaperSettings | None
    runtime: Runtime
    exchange: Side = field(default_factory=Side)
    credentials: Key | None = None
    state: Path | None = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("paper"))

    @property
    def clock(self) -> Clock:
        return self.runtime.clock

    @property
    def sleep(self) -> Sleep:
        return self.runtime.sleep

    @property
    def random(self) -> random.Random:
        return self.runtime.random


@dataclass
class Pair:
    """An open exchange and an open account on it."""

    exchange: PaperExchange
    account: PaperAccount
    market: Market

    @property
    def engine(self) -> Engine:
        return self.exchange.engine


@asynccontextmanager
async def opened(settings: PaperSettings | None = STILL, runtime: Runtime | None = None) -> AsyncIterator[Pair]:
    """Open both sides as the core does."""
    runtime = runtime or Runtime()
    async with PaperExchange(PaperContext(settings, runtime)) as exchange:
        context = PaperContext(settings, runtime, Side((exchange,)))
        async with PaperAccount(context) as account:
            yield Pair(exchange, account, exchange.engine.markets[0])
