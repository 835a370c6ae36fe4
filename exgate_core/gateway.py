"""The whole: every name of the API, what is open behind it, and the task group in which all of it lives."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
from anyio.abc import TaskGroup

from .account import Account
from .accounts import Accounts, Private
from .clock import Runtime
from .entry import Entry
from .errors import ExGateError, FailedPrecondition, NotFound
from .freezes import Freezes
from .hookspecs import Wrapper
from .journal import Journal, Step, no_step
from .lives import Life
from .opening import Openings, Public
from .orders import Orders
from .plugins import Catalogue, Offer
from .rules import trading_problem
from .settings import Credentials, Section, Settings, is_loopback, journal_path
from .strict import ALIKE, nearest

_log = logging.getLogger("exgate.gateway")
_FOR_CLOSING = 5.0
"""Seconds that adapters have to close what they opened."""


class Known(NamedTuple):
    """A name of the API, open or not."""

    name: str
    private_real: bool
    """Whether an account behind it holds real money."""


class Gateway:
    """Made by ``open_gateway``; doors call it. Its names are those of the settings and of every installed exchange."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        journal: Journal,
        orders: Orders,
        openings: Openings,
        runtime: Runtime,
    ) -> None:
        self.settings, self.catalogue, self.orders = settings, catalogue, orders
        self.entries: dict[str, Entry] = {}
        """The open ones, by name."""
        self.draining = False
        """Stopping: no new orders or streams."""
        self.started = False
        self._journal, self._openings, self._runtime = journal, openings, runtime
        self._accounts: dict[str, Accounts] = {}
        self._refused: dict[str, str] = {}

    def names(self) -> list[str]:
        """Every name that may stand in a path."""
        return sorted({*self.settings.exchanges, *self.catalogue.offers})

    def section(self, name: str) -> Section:
        """What the settings say of a name; the defaults for an installed exchange without a section."""
        section = self.settings.exchanges.get(name)
        if section is None and name not in self.catalogue.offers:
            near = nearest(name, self.names(), ALIKE)
            hint = f"did you mean {near}?" if near else "see /v1/exchanges"
            raise NotFound(f"there is no exchange {name} here; {hint}", reason="UNKNOWN_EXCHANGE")
        return section or Section(exchange=name)

    async def entry(self, name: str) -> Entry:
        """The entry of a name, opened on first use. Raises NotFound, or Unavailable: it opens, or why it can't."""
        entry = self.entries.get(name)
        if entry is not None:
            return entry
        section = self.section(name)
        life = self._openings.exchange(name, section)
        public = await life.get(self.settings.server.deadline)
        entry = self.entries.get(name)
        if entry is None and life.current is public:
            entry = self.entries[name] = self._make_entry(name, section, public)
            life.on_end(lambda: self.entries.pop(name, None))
        return entry or await self.entry(name)

    def known(self, name: str) -> Known:
        """What the guard must know of a name; opens nothing. Raises NotFound."""
        return Known(name, self._accounts_of(name, self.section(name)).private.real)

    @property
    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests are welcome, and how every name stands that the settings have or that was asked for.

        ``problems`` holds the words for what ``exchanges`` or ``accounts`` call failed, and for a clock that is wrong.
        """
        problem, damage = self._journal.problem, self._journal.damage
        standing = self._standing()
        if damage:
            standing["problems"]["journal"] = damage
        body = {
            "status": "draining" if self.draining else "starting" if not self.started else "ready",
            "journal": problem or ("damaged" if damage else "ok"),
            **standing,
        }
        return self.started and not self.draining and not problem, body

    def _standing(self) -> dict[str, dict[str, str]]:
        exchanges = self._openings.named
        accounts = {name: life for name, known in self._accounts.items() if (life := known.private.configured)}
        keyed = {name for name, section in self.settings.exchanges.items() if section.credentials is not None}
        failed = {name: life.error for name, life in accounts.items()} | {
            name: life.error for name, life in exchanges.items() if life.error
        }
        return {
            "exchanges": dict.fromkeys(self._refused, "failed")
            | {name: life.state for name, life in exchanges.items()},
            "accounts": dict.fromkeys(keyed & set(self._refused), "failed")
            | {name: life.state for name, life in accounts.items()},
            "problems": self._clock_problems()
            | self._refused
            | {name: error.message for name, error in failed.items() if error},
        }

    def clock_skew(self, name: str) -> float | None:
        """Seconds by which this machine's clock is ahead of the exchange's; None = not open, or never measured."""
        life = self._openings.named.get(name)
        skew = life.current.transport.exchange_clock.skew if life is not None and life.current is not None else None
        return None if skew is None else round(skew, 3)

    def _clock_problems(self) -> dict[str, str]:
        lives = {name: life.current for name, life in self._openings.named.items() if life.current is not None}
        clocks = {name: public.transport.exchange_clock for name, public in lives.items()}
        return {name: clock.problem for name, clock in clocks.items() if clock.problem}

    async def start(self, tasks: TaskGroup) -> None:
        """Begin to open what the settings name, to pin what they pull and to settle what an earlier run left open.

        Waits for none of it: one exchange that is away must not keep the others from being served.
        """
        undecided = {row.account for row in await self._journal.undecided()}
        for name in self.names():
            section = self.section(name)
            left = _identity(section, name) in undecided
            if name in self.settings.exchanges or left:
                tasks.start_soon(self._bring_up, name, section, left)
        self.started = True

    async def drain(self, seconds: float) -> None:
        """Refuse new orders and wait for those in flight, at most so long; then end every stream with 1012."""
        self.draining = True
        await self.orders.drain(seconds)
        async with anyio.create_task_group() as tasks:
            for life in self._openings.lives():
                if life.current is not None:
                    tasks.start_soon(life.current.feeds.stop)

    async def _bring_up(self, name: str, section: Section, left: bool) -> None:
        try:
            await self._openings.exchange(name, section).keep()
            entry = await self.entry(name)
            self._pin(entry, section)
            private = self._accounts_of(name, section).private
            if private.refusal is not None and section.credentials is not None:
                raise private.refusal
            if private.configured is not None and (left or section.credentials is not None):
                await private.configured.keep()
        except ExGateError as error:
            self._refused[name] = error.message
            _log.error("exchanges.%s: %s", name, error.message)

    def _pin(self, entry: Entry, section: Section) -> None:
        for symbol in section.pull:
            try:
                entry.pin(entry.exchange.markets.resolve(symbol))
            except ExGateError as error:
                _log.error("exchanges.%s.pull: %s: %s", entry.name, symbol, error.message)

    def _make_entry(self, name: str, section: Section, public: Public) -> Entry:
        accounts = self._accounts_of(name, section)

        def wrappers(operation: str) -> Sequence[Wrapper]:
            return self.catalogue.wrappers(name, operation)

        return Entry(
            name,
            public,
            accounts,
            self.orders,
            self._runtime.clock,
            wrappers,
            deadline=self.settings.server.deadline,
        )

    def _accounts_of(self, name: str, section: Section) -> Accounts:
        if name not in self._accounts:
            self._accounts[name] = Accounts(name, self._private(name, section), self._runtime.clock)
        return self._accounts[name]

    def _private(self, name: str, section: Section) -> Private:
        keyed = section.credentials is not None
        try:
            offer = self.catalogue.private(name, section)
        except ExGateError as error:
            return Private(None, refusal=error, keyed=keyed)
        capabilities = offer.account_capabilities
        accepted = section.accept_unrecoverable
        problem = trading_problem(capabilities, trading=section.trading, accept_unrecoverable=accepted)
        if problem:
            message = f"exchanges.{name}: {problem}. Nothing was sent."
            refusal = FailedPrecondition(message, reason="UNRECOVERABLE_ORDERS")
            return Private(capabilities, refusal, keyed=keyed)
        trading = section.trading or not capabilities.real
        configured = None
        if keyed or not capabilities.needs_credentials:
            configured = self._openings.account(
                name, section, offer, section.credentials, identity=_identity(section, name), trading=trading
            )
        return Private(capabilities, None, configured, self._bring(name, section, offer), keyed)

    def _bring(self, name: str, section: Section, offer: Offer) -> Callable[[Credentials], Life[Account]] | None:
        server = self.settings.server
        allowed = server.caller_keys or ("trade" if is_loopback(server.host) or server.uds else "off")
        if allowed == "off" or section.exposed_prefix:
            return None

        def bring(credentials: Credentials) -> Life[Account]:
            identity = f"{section.exchange}:key:{credentials.fingerprint[:32]}"
            trading = allowed == "trade" and not _lossy(section, offer)
            return self._openings.account(
                name, section, offer, credentials, identity=identity, trading=trading, of_caller=True
            )

        return bring


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    catalogue: Catalogue,
    runtime: Runtime | None = None,
    step: Step = no_step,
    freezes: Freezes | None = None,
) -> AsyncIterator[Gateway]:
    """Everything between the doors and the exchanges, alive as long as the block. Raises JournalError."""
    runtime, freezes = runtime or Runtime(), freezes or Freezes()
    async with Journal(journal_path(settings), step, runtime.clock) as journal, anyio.create_task_group() as tasks:
        freezes.begin()
        orders = Orders(journal, runtime, tasks, settings.orders, step=step, freezes=freezes)
        openings = Openings(settings, catalogue, orders, runtime, tasks)
        gateway = Gateway(settings, catalogue, journal, orders, openings, runtime)
        await gateway.start(tasks)
        try:
            yield gateway
        finally:
            with anyio.move_on_after(_FOR_CLOSING, shield=True):
                await openings.close()
            tasks.cancel_scope.cancel()


def _lossy(section: Section, offer: Offer) -> bool:
    capabilities, accepted = offer.account_capabilities, section.accept_unrecoverable
    return bool(trading_problem(capabilities, trading=True, accept_unrecoverable=accepted))


def _identity(section: Section, name: str) -> str:
    # the same name over another kind of account is another account: its orders are looked up elsewhere
    return ":".join(filter(None, (section.exchange, name, section.account)))
