"""How exchanges and accounts are opened: which adapters, with which connections, budget and settings."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct

from .account import Account
from .budget import Budget
from .client import Transport
from .clock import Runtime
from .errors import ExGateError
from .exchange import Exchange, open_exchange
from .exchange_clock import ExchangeClock
from .feeds import Feeds
from .hooking import entered, hook_names
from .hookspecs import ExchangeHooks
from .lives import Life
from .models import ExchangeCapabilities
from .orders import Orders
from .plugins import Catalogue, Offer
from .reads import Reads
from .settings import Credentials, Section, Settings, plugin_settings, state_dir

_log = logging.getLogger("exgate.opening")
_MARKETS_EVERY = 3600.0


@dataclass(frozen=True)
class Public:
    """An open exchange with its copies and its budget."""

    exchange: Exchange
    feeds: Feeds
    reads: Reads
    transport: Transport


class Openings:
    """Makes the lives of exchanges and accounts; sections that mean the same exchange share one."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, orders: Orders, runtime: Runtime, tasks: TaskGroup
    ) -> None:
        self._settings, self._catalogue, self._orders = settings, catalogue, orders
        self._runtime, self._tasks = runtime, tasks
        self.named: dict[str, Life[Public]] = {}
        """The exchanges that were asked for so far, by every name that means them."""
        self._exchanges: dict[bytes, Life[Public]] = {}
        self._accounts: WeakSet[Life[Account]] = WeakSet()
        self._budgets: dict[tuple[str, bool, str], Budget] = {}

    def exchange(self, name: str, section: Section) -> Life[Public]:
        """The exchange that a section means. Raises FailedPrecondition if two plugins are equally entitled to it."""
        offers = self._catalogue.public(section.exchange, section.plugin)
        key = self._key(section, offers)
        if key not in self._exchanges:

            def opening() -> Any:
                return self._open_public(name, section, offers)

            label = self._label(section, self._names(section, offers))
            self._exchanges[key] = Life(label, opening, self._tasks, self._runtime)
        life = self.named[name] = self._exchanges[key]
        return life

    def _key(self, section: Section, offers: Sequence[Offer]) -> bytes:
        """Equal where two sections mean the same exchange."""
        shared = (
            section.exchange,
            section.plugin,
            section.sandbox,
            section.upstream_prefix,
            section.proxy,
            self._shared_keys(section, offers),
        )
        return msgspec.json.encode(shared, order="sorted")

    def _names(self, section: Section, offers: Sequence[Offer]) -> list[str]:
        """Every name that means the same exchange, whichever of them is used first; its own name comes first."""
        sections = {section.exchange: Section(exchange=section.exchange)} | dict(self._settings.exchanges)
        key = self._key(section, offers)
        return [name for name, other in sections.items() if self._key(other, offers) == key]

    def _label(self, section: Section, names: Sequence[str]) -> str:
        """What log lines call an exchange: by the sections that mean it, so that two of one exchange are told apart."""
        written = [name for name in names if name in self._settings.exchanges]
        return section.exchange if written in ([], [section.exchange]) else f"{', '.join(written)} ({section.exchange})"

    def account(
        self,
        name: str,
        section: Section,
        offer: Offer,
        credentials: Credentials | None,
        *,
        identity: str,
        trading: bool,
        of_caller: bool = False,
    ) -> Life[Account]:
        """The account of one set of credentials, the section's or a caller's, on the exchange of a section."""

        def opening() -> Any:
            return self._open_private(name, section, offer, credentials, identity=identity, trading=trading)

        life: Life[Account] = Life(f"the account of {name}", opening, self._tasks, self._runtime, of_caller=of_caller)
        self._accounts.add(life)
        return life

    async def close(self) -> None:
        """Close every account, then every exchange."""
        for accounts_or_exchanges in (list(self._accounts), list(self._exchanges.values())):
            async with anyio.create_task_group() as closing:
                for life in accounts_or_exchanges:
                    closing.start_soon(life.closed)

    def lives(self) -> list[Life[Public]]:
        """Every exchange that was ever asked for."""
        return list(self._exchanges.values())

    @asynccontextmanager
    async def _open_public(self, name: str, section: Section, offers: tuple[Offer, ...]) -> AsyncIterator[Public]:
        runtime, deadline = self._runtime, self._settings.server.deadline
        stated = [(offer, offer.exchange_capabilities) for offer in _serving(offers)]
        capabilities = stated[0][1] if stated else ExchangeCapabilities()
        names = self._names(section, offers)
        label = self._label(section, names)
        exchange_clock = ExchangeClock(runtime.clock, label, section.exchange)
        async with self._transport(section, capabilities, names, exchange_clock) as transport:
            state = state_dir(self._settings) / "exchanges" / names[0]
            adapters = [(self._adapter(name, section, offer, transport, state), capable) for offer, capable in stated]
            async with (
                open_exchange(section.exchange, adapters, deadline, label) as exchange,
                anyio.create_task_group() as tasks,
            ):
                feeds = Feeds(exchange, tasks, runtime, self._settings.local, label)
                reads = Reads(exchange, feeds, runtime, self._settings.local)
                tasks.start_soon(self._keep_markets, exchange, label)
                try:
                    yield Public(exchange, feeds, reads, transport)
                finally:
                    with anyio.CancelScope(shield=True):
                        await feeds.stop()
                    tasks.cancel_scope.cancel()

    def _adapter(self, name: str, section: Section, offer: Offer, transport: Transport, state: Path) -> object:
        assert offer.exchange is not None
        own = self._own_settings(name, section, offer)
        return offer.exchange(transport.context(section.exchange, own, log=_log_of(offer, name), state=state))

    def _shared_keys(self, section: Section, offers: Sequence[Offer]) -> dict[str, Any]:
        """The further keys of a section without those that say something of its account only."""
        of_account = _names_of(self._catalogue.offers.get(section.account, ())) - _names_of(offers)
        return {key: value for key, value in section.extra.items() if key not in of_account}

    def _own_settings(self, name: str, section: Section, offer: Offer) -> Any:
        beside = [other.settings for other in self._catalogue.beside(section)]
        return plugin_settings(self._settings, name, offer.settings, beside)

    @asynccontextmanager
    async def _open_private(
        self,
        name: str,
        section: Section,
        offer: Offer,
        credentials: Credentials | None,
        *,
        identity: str,
        trading: bool,
    ) -> AsyncIterator[Account]:
        assert offer.account is not None
        deadline = self._settings.server.deadline
        public = await self.exchange(name, section).get(deadline)
        if credentials is not None:
            # a file or a command may stand behind a secret: it must not hold the loop
            await anyio.to_thread.run_sync(lambda: credentials.fingerprint)
        async with self._private_transport(name, section, offer, public) as transport:
            context = transport.context(
                section.exchange,
                self._own_settings(name, section, offer),
                credentials=credentials,
                exchange=public.exchange,
                log=_log_of(offer, name),
            )
            adapter = offer.account(context)
            account = Account(
                name,
                identity,
                adapter,
                public.exchange,
                offer.account_capabilities,
                trading=trading,
                settle=section.settle,
                deadline=deadline,
                exchange_now=transport.exchange_clock.now_ms,
            )
            async with entered(adapter), anyio.create_task_group() as tasks:
                await tasks.start(self._reconcile, account)
                yield account
                tasks.cancel_scope.cancel()

    async def _reconcile(self, account: Account, *, task_status: TaskStatus[None]) -> None:
        # the account is handed out only after this, so that no new order slips in before the gate is down
        task_status.started()
        try:
            await self._orders.reconcile(account)
        except ExGateError as error:
            _log.error("%s: orders of an earlier run were not looked up: %s", account.name, error.message)

    def _private_transport(self, name: str, section: Section, offer: Offer, public: Public) -> Transport:
        # a simulation's orders are dated by this machine, whatever exchange it stands on
        exchange_clock = public.transport.exchange_clock if offer.account_capabilities.real else None
        return self._transport(section, public.exchange.capabilities, [name], exchange_clock)

    def _transport(
        self,
        section: Section,
        capabilities: ExchangeCapabilities,
        names: Sequence[str],
        exchange_clock: ExchangeClock | None,
    ) -> Transport:
        address = (section.exchange, section.sandbox, section.proxy)
        if address not in self._budgets:
            # sections may name different plugins: the best one's figure counts, whichever of them opens first
            offers = self._catalogue.offers.get(section.exchange, ())
            best = next((offer.exchange_capabilities for offer in offers if offer.exchange is not None), capabilities)
            limit, window = best.weight_limit, best.weight_window
            self._budgets[address] = Budget(limit, window, self._runtime.clock, self._runtime.sleep)
        return Transport(
            self._budgets[address],
            self._runtime,
            upstream_prefix=section.upstream_prefix,
            proxy=section.proxy,
            deadline=self._settings.server.deadline,
            sandbox=section.sandbox,
            cache=state_dir(self._settings) / "cache",
            log=logging.getLogger(f"exgate.client.{names[0]}"),
            exchange_clock=exchange_clock,
        )

    async def _keep_markets(self, exchange: Exchange, label: str) -> None:
        while True:
            await self._runtime.sleep(_MARKETS_EVERY * self._runtime.random.uniform(0.9, 1.1))
            try:
                await exchange.refresh_markets()
            except ExGateError as error:
                _log.warning("%s: the market list stays as it was: %s", label, error.message)


def _names_of(offers: Sequence[Offer]) -> frozenset[str]:
    return frozenset().union(*(_fields_of(offer.settings) for offer in offers if offer.settings is not None))


@cache
def _fields_of(kind: type[Struct]) -> frozenset[str]:
    # Each section is compared with every other one.
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


def _log_of(offer: Offer, section: str) -> logging.Logger:
    return logging.getLogger(f"exgate.{offer.distribution}.{section}")


def _serving(offers: Sequence[Offer]) -> list[Offer]:
    """The offers that serve some public operation: what the others would open is not even imported."""
    best = [next((offer for offer in offers if name in offer.operations), None) for name in hook_names(ExchangeHooks)]
    return [offer for offer in offers if offer in best]
