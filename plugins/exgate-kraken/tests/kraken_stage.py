"""Both sides of Kraken over recordings, or over the fake of the exchange. Serves the tests beside it."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NamedTuple

import anyio
import pytest

pytest.importorskip("exgate_testing")

from exgate_kraken import Kraken, KrakenAccount, KrakenSettings
from exgate_kraken.fake import KrakenFake
from exgate_testing.fakes import Keys, Reply, Request
from exgate_testing.serving import FakeExchange, running

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.markets import MarketList
from exgate_core.models import Market, OrderRequest
from exgate_core.settings import Credentials, Secret

BTC, ETH, SC, DOGE = KrakenFake.markets
KEYS = KrakenFake.credentials
_NUMBERS = itertools.count()


class Public:
    """The public side of an account under test."""

    def __init__(self, markets: Iterable[Market] = KrakenFake.markets) -> None:
        self.name = "kraken"
        self.adapters: tuple[object, ...] = ()
        self.markets = MarketList(markets)


class Hands:
    """A clock whose hands can be set."""

    def __init__(self) -> None:
        self.mono = self.wall = 0.0
        self.slept: list[float] = []
        self._real = Runtime().clock

    def monotonic(self) -> float:
        return self._real.monotonic() + self.mono

    def time(self) -> float:
        return self._real.time() + self.wall


class Scripted(KrakenFake):
    """Answers some requests by a script, the others as the exchange does."""

    script: ClassVar[list[tuple[str, Reply]]] = []

    def answer(self, request: Request) -> Reply:
        for at, (where, reply) in enumerate(self.script):
            if request.path.endswith(where):
                del self.script[at]
                return reply
        return super().answer(request)


class Stage(NamedTuple):
    account: KrakenAccount
    public: Kraken
    exchange: FakeExchange
    budget: Budget
    clock: Hands
    script: list[tuple[str, Reply]]
    """What the exchange is going to answer instead of the truth: (the last part of a path, the answer)."""


def said(*errors: str, result: str = "") -> Reply:
    words = ",".join(f'"{error}"' for error in errors)
    more = f',"result":{result}' if result else ""
    return Reply(f'{{"error":[{words}]{more}}}'.encode())


@asynccontextmanager
async def stage(
    *script: tuple[str, Reply], secret: str = KEYS.api_secret, key: str = "", **settings: Any
) -> AsyncIterator[Stage]:
    clock = Hands()
    skew = settings.pop("skew", 0.0)
    further = {"sandbox": settings.pop("sandbox", False), "deadline": settings.pop("deadline", 10.0)}
    runtime = Runtime(clock=clock, random=random.Random(1))
    budget = Budget(Kraken.capabilities.weight_limit, 60, clock, runtime.sleep)
    own = Keys(f"key{next(_NUMBERS)}", KEYS.api_secret)  # the accounts of one key share their counters
    lines = list(script)
    fake = type("Script", (Scripted,), {"script": lines, "credentials": own})
    async with (
        running(fake) as exchange,
        Transport(budget, runtime, upstream_prefix=exchange.prefix, **further) as transport,
    ):
        exchange.simulation.skew = skew
        chosen = KrakenSettings(**({"tier": "negotiated"} | settings))
        public = Kraken(transport.context("kraken", chosen))
        credentials = Credentials(Secret(key or own.api_key), Secret(secret))
        context = transport.context("kraken", chosen, credentials=credentials, exchange=Public())
        async with KrakenAccount(context) as account:
            exchange.requests.clear()
            yield Stage(account, public, exchange, budget, clock, lines)


def order(**changes: Any) -> OrderRequest:
    plain = OrderRequest(market=BTC, side="buy", type="limit", client_order_id="mine-1", price="100.0", amount="0.1")
    return type(plain)(**{name: changes.get(name, getattr(plain, name)) for name in plain.__struct_fields__})


def sent(exchange: FakeExchange) -> list[str]:
    """The last part of the path of every request so far."""
    return [seen.request.path.rpartition("/")[2] for seen in exchange.requests]


async def collect(
    run: Callable[[Callable[[Any], None]], Coroutine[Any, Any, None]],
    enough: Callable[[list[Any]], bool],
    limit: float = 10,
) -> list[Any]:
    """What a pull emits until there is enough of it."""
    got: list[Any] = []
    full = anyio.Event()

    def emit(item: Any) -> None:
        got.append(item)
        if enough(got):
            full.set()

    with anyio.fail_after(limit):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, emit)
            await full.wait()
            tasks.cancel_scope.cancel()
    return got
