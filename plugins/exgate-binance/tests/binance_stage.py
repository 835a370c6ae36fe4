"""The private side over the fake of the exchange, with a clock whose hands can be set. Serves the tests beside it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, NamedTuple

import pytest

pytest.importorskip("exgate_testing")

from exgate_binance import Binance, BinanceAccount, BinanceSettings
from exgate_binance.fake import BinanceFake
from exgate_testing.fakes import Reply, Request
from exgate_testing.serving import FakeExchange, running

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import NotSent
from exgate_core.markets import MarketList
from exgate_core.models import OrderRequest
from exgate_core.settings import Credentials, Secret

BTC, ETH, PEPE, ODD = BinanceFake.markets
KEYS = BinanceFake.credentials
COUNT = "X-MBX-ORDER-COUNT-10S"
NONE_LISTED = "nobody"
"""A client id that no order has."""


class Public:
    """The public side of an account under test."""

    def __init__(self, adapter: Binance) -> None:
        self.name = "binance"
        self.adapters = (adapter,)
        self.markets = MarketList(BinanceFake.markets)


class Stage(NamedTuple):
    account: BinanceAccount
    public: Binance
    exchange: FakeExchange
    budget: Budget
    clock: Hands


class Hands:
    """A clock whose hands can be set."""

    def __init__(self) -> None:
        self.mono = self.wall = 0.0
        self._real = Runtime().clock

    def monotonic(self) -> float:
        return self._real.monotonic() + self.mono

    def time(self) -> float:
        return self._real.time() + self.wall


class Scripted(BinanceFake):
    """Answers some requests by a script, the others as the exchange does."""

    script: ClassVar[list[tuple[str, Reply]]] = []

    def answer(self, request: Request) -> Reply:
        target = f"{request.method} {request.path}?{request.query}"
        for at, (where, reply) in enumerate(self.script):
            if where in target:
                del self.script[at]
                return reply
        return super().answer(request)


def said(code: int, text: str, status: int = 400, **headers: str) -> Reply:
    return Reply(f'{{"code":{code},"msg":"{text}"}}'.encode(), status, headers)


@asynccontextmanager
async def stage(
    *script: tuple[str, Reply],
    secret: str = KEYS.api_secret,
    key: str = KEYS.api_key,
    prefix: Callable[[str], str] = str,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """An account over the fake. ``prefix`` says where the adapter finds it; ``script`` is answered first."""
    clock = Hands()
    public_settings = {"sandbox": settings.pop("sandbox", False), "deadline": settings.pop("deadline", 10.0)}
    runtime = Runtime(clock=clock, random=random.Random(1))
    budget = Budget(6000, 60, clock, runtime.sleep)
    fake = type("Scripted", (Scripted,), {"script": list(script)})
    async with (
        running(fake) as exchange,
        Transport(budget, runtime, upstream_prefix=prefix(exchange.prefix), **public_settings) as transport,
    ):
        public = Binance(transport.context("binance"))
        with suppress(NotSent):
            await public.markets()
        credentials = Credentials(Secret(key), Secret(secret))
        context = transport.context(
            "binance", BinanceSettings(**settings), credentials=credentials, exchange=Public(public)
        )
        async with BinanceAccount(context) as account:
            exchange.requests.clear()
            yield Stage(account, public, exchange, budget, clock)


def order(**changes: Any) -> OrderRequest:
    plain = OrderRequest(
        market=BTC, side="buy", type="limit", client_order_id="mine-1", price="100.00000000", amount="0.10000000"
    )
    return type(plain)(**{name: changes.get(name, getattr(plain, name)) for name in plain.__struct_fields__})


def sent(exchange: FakeExchange) -> list[str]:
    """Method and path of every request so far."""
    return [f"{seen.request.method} {seen.request.path.removeprefix('/api/v3')}" for seen in exchange.requests]
