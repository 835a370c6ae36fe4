"""A whole gateway in this process over one exchange on trial: what every case is given."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
from exgate_paper.values import Deposit
from msgspec.structs import replace

from exgate_core.access import Guard, Tokens
from exgate_core.app import make_app
from exgate_core.clock import Clock, Runtime
from exgate_core.entry import Entry
from exgate_core.errors import Unavailable
from exgate_core.exchange import Exchange
from exgate_core.gateway import Gateway, open_gateway
from exgate_core.models import AccountCapabilities, ExchangeCapabilities, Market
from exgate_core.numbers import plain
from exgate_core.settings import Local, Orders, Plugins, Section, Server, Settings

from . import paper
from .crowd import Crowd
from .door import Answered, Door, Tap
from .fakes import Keys
from .faults import WireFaults
from .pace import runtime
from .paper import PaperFaults
from .serving import FakeExchange, running
from .simulation import Simulation
from .subjects import Subject, settings_of

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_PATIENCE = 10.0
_PLENTY = 1_000_000
"""For a plugin that serves many exchanges and keeps to the least that each of them allows anybody."""


LOOKS = ("find_order", "pending_orders")
"""What ``Fake.operation`` may call the requests by which an order is looked up."""


class Terms:
    """How a gateway is set up for a case. Times in seconds of its clock, which runs ``speed`` times as fast."""

    def __init__(
        self,
        *,
        speed: float = 5.0,
        deadline: float = 5.0,
        orders: float = 25.0,
        reconcile: float = 0.0,
        settle: float = 0.25,
        tolerate: float = 5.0,
        idle_stop: float = 60.0,
        weight_limit: int = 0,
    ) -> None:
        self.speed = speed
        self.deadline = deadline
        """Of reads, in seconds of the machine."""
        self.orders, self.reconcile = orders, reconcile or orders
        self.settle = settle
        self.tolerate, self.idle_stop = tolerate, idle_stop
        self.weight_limit = weight_limit
        """Instead of what the adapter declares, in a window that never ends; 0 = as declared."""


NORMAL = Terms()
HURRIED = Terms(speed=2.0, deadline=0.8, orders=5.0)
"""For cases in which the exchange never answers."""


class House:
    """One open gateway, its door, and the exchange behind it."""

    def __init__(
        self,
        subject: Subject,
        gateway: Gateway,
        door: Door,
        wire: FakeExchange | None,
        exchange: Exchange,
        clock: Clock,
    ) -> None:
        self.clock = clock
        self.now = clock.monotonic
        """The gateway's clock, in seconds."""
        self.subject, self.gateway, self.door, self.exchange = subject, gateway, door, exchange
        self.name = subject.name
        self._wire = wire
        self.world: Simulation
        """The truth."""
        self.faults: WireFaults | PaperFaults
        if wire is not None:
            self.world, self.faults = wire.simulation, wire.faults
        else:
            engine = exchange.adapters[0].engine  # type: ignore[attr-defined]
            self.world, self.faults = paper.world(tuple(exchange.markets), engine, "main"), PaperFaults(engine.faults)
        self.crowd = Crowd(self.world)
        """Everybody else on the exchange."""

    @property
    def public(self) -> ExchangeCapabilities:
        """What the public side declares."""
        return self.exchange.capabilities

    @property
    def private(self) -> AccountCapabilities:
        """What the private side declares."""
        return self.subject.offer.account_capabilities

    @property
    def market(self) -> Market:
        """The first market."""
        return self.world.markets[0]

    @property
    def wire(self) -> FakeExchange:
        """The fake that is being served; only for cases that need one."""
        assert self._wire is not None
        return self._wire

    @property
    def has_wire(self) -> bool:
        """Whether the exchange is reached over HTTP and WebSocket."""
        return self._wire is not None

    def path(self, operation: str) -> str:
        """The path of an operation."""
        return f"/v1/{self.name}/{operation}"

    async def get(self, operation: str, **params: object) -> Answered:
        """GET an operation of the exchange."""
        return await self.door.get(self.path(operation), **params)

    def body(
        self,
        market: Market | None = None,
        offset: int = -50,
        *,
        side: str = "buy",
        type: str = "limit",
        amount: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The body of an order: a small limit order, a buy that rests; ``offset`` in ticks from the middle."""
        market = market or self.market
        body: dict[str, Any] = {
            "symbol": market.symbol,
            "side": side,
            "type": type,
            "price": self.crowd.price(market, offset) if type == "limit" else "",
            "amount": self.crowd.amount(market) if amount is None else amount,
        }
        return {**body, "options": dict(options)} if options else body

    async def order(self, body: Mapping[str, Any], key: str = "") -> Answered:
        """POST an order."""
        return await self.door.post(self.path("order"), body, key)

    def poor(self, asset: str) -> None:
        """The account loses what it has of an asset."""
        engine = self.world.engine
        left = engine.wallet(self.world.account).available[asset]
        engine.submit(Deposit(self.world.account, asset, -left))

    async def cancel(self, market: Market | None, order_id: str = "", client_order_id: str = "") -> Answered:
        """POST a cancel; the symbol is named where there is a market."""
        body: dict[str, Any] = {"order_id": order_id, "symbol": market.symbol if market else ""}
        return await self.door.post(
            self.path("cancel"), {**body, "options": {"client_order_id": client_order_id} if client_order_id else {}}
        )

    @asynccontextmanager
    async def stream(self, market: Market, **params: object) -> AsyncIterator[Tap]:
        """The stream of trades, once it is live."""
        async with self.door.stream(self.path("pull_trade"), symbol=market.symbol, **params) as tap:
            await eventually(lambda: bool({"live", "resumed"} & set(tap.statuses)), "the stream of trades is live")
            yield tap

    def cut(self) -> None:
        """Every stream from the exchange ends, as on a broken line."""
        if self._wire is not None:
            self._wire.cut()
        else:
            assert isinstance(self.faults, PaperFaults)
            self.faults.cut()

    def sent(self, operation: str) -> int:
        """How many requests of an operation arrived at the exchange."""
        return self.wire.operations().count(operation)

    def expect_sent(self, operation: str, number: int) -> None:
        """So many requests of an operation arrived, where there is a wire. Raises AssertionError."""
        if self.has_wire and self.sent(operation) != number:
            raise AssertionError(f"{self.sent(operation)} requests for {operation} instead of {number}")

    def digits(self) -> set[str]:
        """Every number that the exchange has written so far, in plain notation with all its digits."""
        texts = [seen.reply.body.decode("utf-8", "replace") for seen in self.wire.requests if seen.reply]
        found: set[str] = set()
        for text in (*texts, *self.wire.frames):
            found.update(map(_plain, _NUMBER.findall(text)))
        return found


def _plain(text: str) -> str:
    try:
        return plain(text)
    except ValueError:
        return text


async def eventually(condition: Callable[[], bool], what: str, seconds: float = _PATIENCE) -> None:
    """Wait until something is so. Raises AssertionError, naming what didn't come, after so many seconds."""
    with anyio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in foreign code
            await anyio.sleep(0.002)
        return
    raise AssertionError(f"didn't come within {seconds:g} s: {what}")


def credential_headers(keys: Keys) -> dict[str, str]:
    """How a caller brings keys."""
    named = {"X-ExGate-Key": keys.api_key, "X-ExGate-Secret": keys.api_secret, "X-ExGate-Passphrase": keys.passphrase}
    return {name: text for name, text in named.items() if text}


@asynccontextmanager
async def open_house(
    subject: Subject,
    terms: Terms = NORMAL,
    *,
    wire: FakeExchange | None = None,
    state: Path | None = None,
    pace: Runtime | None = None,
) -> AsyncIterator[House]:
    """A gateway over the subject, open until the block ends.

    ``wire``: a fake that is served already (None = a new one); ``state``: the gateway's folder (None = a new one);
    ``pace``: its clock (None = as the terms say).
    """
    async with AsyncExitStack() as stack:
        if subject.fake is not None and wire is None:
            wire = await stack.enter_async_context(running(subject.fake))
        if state is None:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exgate-conform-", dir=_memory())))
        settings = _settings(subject, terms, wire, state)
        pace = pace or runtime(terms.speed)
        if wire is not None:
            wire.simulation.clock = pace.clock.time
        gateway = await stack.enter_async_context(open_gateway(settings, _catalogue(subject, terms), pace))
        app = make_app(gateway, Guard(settings.server, Tokens({})))
        door = Door(app, credential_headers(subject.fake.credentials) if subject.fake else {})
        entry = await _opened(gateway, subject.name)
        if wire is None:
            await door.get(f"/v1/{subject.name}/balances")  # opens the account in the engine
        yield House(subject, gateway, door, wire, entry.exchange, pace.clock)


async def _opened(gateway: Gateway, name: str) -> Entry:
    """The exchange, however short the deadline of the case is."""
    with anyio.fail_after(_PATIENCE):
        while True:
            try:
                return await gateway.entry(name)
            except Unavailable as error:
                if error.reason != "EXCHANGE_OPENING":
                    raise


def _memory() -> str | None:
    """Where a journal costs no wait for a disk; None = the usual place for files that may be lost."""
    folder = Path("/dev/shm")
    return str(folder) if os.access(folder, os.W_OK) else None


def _settings(subject: Subject, terms: Terms, wire: FakeExchange | None, state: Path) -> Settings:
    extra: dict[str, Any] = settings_of(subject) if subject.fake else paper.SETTINGS
    section = Section(
        exchange=subject.name,
        plugin=subject.distribution,
        accept_unrecoverable=True,
        upstream_prefix=wire.prefix if wire else "",
        settle=terms.settle,
        extra=extra,
    )
    return Settings(
        server=Server(state_dir=str(state), deadline=terms.deadline),
        local=Local(tolerate_interval=terms.tolerate, idle_stop=terms.idle_stop),
        orders=Orders(deadline=terms.orders, reconcile_deadline=terms.reconcile),
        plugins=Plugins(load=(subject.distribution,)),
        exchanges={subject.name: section},
    )


def _catalogue(subject: Subject, terms: Terms) -> Any:
    """The plugin's catalogue, with a budget of the case's own where it has one."""
    limit = terms.weight_limit or (0 if subject.own else _PLENTY)
    if not limit:
        return subject.catalogue
    stated = replace(subject.offer.exchange_capabilities, weight_limit=limit, weight_window=1_000_000.0)
    offer = replace(subject.offer, exchange_capabilities=stated)
    whole = subject.catalogue
    return SimpleNamespace(
        offers={**whole.offers, subject.name: (offer,)},
        public=lambda name, plugin="": (offer,),
        private=lambda name, section: offer,
        beside=lambda section: (offer,),
        wrappers=whole.wrappers,
    )
