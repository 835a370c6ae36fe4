"""One adapter without a gateway around it, over the fake: for cases that look at what leaves and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec

from exgate_core.budget import Budget
from exgate_core.client import DEADLINE, Context, Transport
from exgate_core.client_ids import own
from exgate_core.clock import Runtime
from exgate_core.dialects import Dialect
from exgate_core.exchange import Exchange, open_exchange
from exgate_core.models import ClientIds, OrderRequest
from exgate_core.settings import Credentials, Secret

from .fakes import Reply, Request
from .pace import FastClock, runtime
from .serving import FakeExchange, running
from .subjects import Subject, settings_of

_ENOUGH = 10**9


class Bare:
    """Both sides of one adapter, open, and the exchange behind them."""

    def __init__(
        self,
        wire: FakeExchange,
        exchange: Exchange,
        account: Any,
        budget: Budget,
        pace: Runtime,
        names: ClientIds | None,
        dialects: list[Dialect],
    ) -> None:
        self.wire, self.exchange, self.account, self.budget = wire, exchange, account, budget
        self._names, self._clock = names, pace.clock
        self.sleep = pace.sleep
        """Wait so many seconds of the exchange's clock."""
        self.now = pace.clock.monotonic
        """Seconds of that clock."""
        self.dialects = dialects
        """What the adapter says of its WebSockets."""
        self.market = wire.simulation.markets[0]

    def later(self, seconds: float) -> None:
        """It is so many seconds later, for the adapter and for the exchange."""
        assert isinstance(self._clock, FastClock)
        self._clock.skipped += seconds

    def order(self, name: str, ticks: int = 100_000, steps: int = 10_000) -> OrderRequest:
        """A small order that rests, with this client order id (``name``)."""
        market = self.market
        return OrderRequest(
            market=market,
            side="buy",
            type="limit",
            client_order_id=self.name(name),
            price=_times(market.tick_size, ticks),
            amount=_times(market.step_size, steps),
        )

    def name(self, text: str) -> str:
        """A client order id as the exchange takes it: the text itself where that fits its rule."""
        return own(self._names, text) if self._names is not None else text

    def answer_once(self, operation: str, reply: Reply) -> None:
        """The next request of an operation gets this answer, whatever it is."""
        honest, fake = self.wire.fake.answer, self.wire.fake

        def answer(request: Request) -> Reply:
            if fake.operation(request) != operation:
                return honest(request)
            fake.answer = honest  # type: ignore[method-assign]
            return reply

        fake.answer = answer  # type: ignore[method-assign]


def _times(unit: str, count: int) -> str:
    places = len(unit.partition(".")[2])
    whole = int(unit.replace(".", "")) * count
    return f"{whole // 10**places}.{whole % 10**places:0{places}d}" if places else str(whole)


@asynccontextmanager
async def open_bare(
    subject: Subject,
    *,
    speed: float = 2.0,
    sandbox: bool = False,
    settings: Mapping[str, Any] | None = None,
    deadline: float = DEADLINE,
) -> AsyncIterator[Bare]:
    """The adapter of a subject with a budget that never ends. ``speed``: how fast its clock and the exchange's run;
    ``settings``: the plugin's own, if not those with which it is judged."""
    assert subject.fake is not None
    offer, pace = subject.offer, runtime(speed)
    keys = subject.fake.credentials
    chosen = settings_of(subject) if settings is None else settings
    own = msgspec.convert(chosen, offer.settings) if offer.settings else None
    credentials = Credentials(Secret(keys.api_key), Secret(keys.api_secret), Secret(keys.passphrase))
    budget = Budget(_ENOUGH, 3600.0, pace.clock, pace.sleep)
    budget.correct = lambda used: None  # type: ignore[method-assign]  # what the adapter counts by itself
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(running(subject.fake))
        wire.simulation.clock = pace.clock.time
        transport = Transport(budget, pace, upstream_prefix=wire.prefix, sandbox=sandbox, deadline=deadline)
        await stack.enter_async_context(transport)
        assert offer.exchange is not None and offer.account is not None
        dialects: list[Dialect] = []
        sides = [(offer.exchange(_heard(transport.context(subject.name, own), dialects)), offer.exchange_capabilities)]
        exchange = await stack.enter_async_context(open_exchange(subject.name, sides, 10.0))
        account = offer.account(transport.context(subject.name, own, credentials=credentials, exchange=exchange))
        if hasattr(account, "__aenter__"):
            await stack.enter_async_context(account)
        yield Bare(wire, exchange, account, budget, pace, offer.account_capabilities.client_ids, dialects)


def _heard(context: Context, dialects: list[Dialect]) -> Context:
    """The same, with a note of every dialect that comes by."""

    def ws(url: str, dialect: Dialect) -> Any:
        dialects.append(dialect)
        return context.ws(url, dialect)

    return replace(context, ws=ws)
