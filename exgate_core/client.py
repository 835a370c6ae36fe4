"""What an adapter is given to reach its exchange: requests, WebSocket connections, time, chance, a log.

``Transport`` belongs to one exchange side and lives as long as it; ``Context`` is what adapters see of it. The HTTP
and WebSocket libraries are loaded when an adapter first asks for them: what needs no exchange needs neither.
"""

from __future__ import annotations

import ipaddress
import logging
import random as _random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskGroup

from .budget import Budget
from .clock import Clock, Runtime, Sleep
from .exchange_clock import ExchangeClock

if TYPE_CHECKING:
    from .fetch import Http, Response
    from .pool import Session
    from .sockets import Dialect, Socket

DEADLINE = 10.0
"""Seconds that a request may take if nobody says otherwise, waiting for the budget included."""

_PLAIN = {"http": "https", "ws": "wss"}


class Transport:
    """The connections of one exchange side: ``async with`` it in the one task in which that side lives.

    ``upstream_prefix`` sends everything through a recorder or replay server: ``https://host/...`` goes to PREFIX +
    ``https://host/...`` and ``wss://`` likewise to ws, as the last hop, after signing, to the encoded URL.
    """

    def __init__(
        self,
        budget: Budget,
        runtime: Runtime,
        *,
        upstream_prefix: str = "",
        proxy: str = "",
        deadline: float = DEADLINE,
        sandbox: bool = False,
        cache: Path | None = None,
        log: logging.Logger | None = None,
        exchange_clock: ExchangeClock | None = None,
    ) -> None:
        self.budget = budget
        """Shared by everything that leaves from this address for this exchange."""
        self.runtime = runtime
        self.deadline = deadline
        """Seconds that a request may take if nobody says otherwise."""
        self.exchange_clock = exchange_clock or ExchangeClock(runtime.clock, "", "the exchange")
        """What the adapters reported of the exchange's time."""
        self.log = log or logging.getLogger("exgate.client")
        self._prefix = upstream_prefix and upstream_prefix.rstrip("/") + "/"
        self._proxy = proxy
        self._sandbox, self._cache = sandbox, cache
        self._tasks: TaskGroup | None = None
        self._session: Session | None = None
        self._sockets: dict[str, Socket] = {}

    async def __aenter__(self) -> Transport:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        try:
            await self._tasks.__aexit__(None, None, None)  # not what ended the block: a group would wrap it
        finally:
            if self._session is not None:
                with anyio.CancelScope(shield=True):
                    await self._session.close()

    def http(self, base_url: str, *, used_weight: str = "", spared: Callable[[Response], bool] | None = None) -> Http:
        """Requests to one host; ``used_weight`` names the header in which the exchange states the weight used so far.

        ``spared`` says of a 429 that it is a limit of one account: it doesn't close the budget that all share.
        The URL's scheme is https, or http to this machine. Whatever the path, no other host is ever asked.
        """
        from .fetch import Http
        from .pool import Session

        check_url(base_url, "https")
        if self._session is None:
            self._session = Session(proxy=self._proxy)
        return Http(self._session, base_url.rstrip("/"), self, used_weight=used_weight, spared=spared)

    def ws(self, url: str, dialect: Dialect) -> Socket:
        """The connections to one WebSocket URL, shared by everybody who asks for that URL; opened on first use."""
        from .sockets import Socket

        check_url(url, "wss")
        if self._tasks is None:
            raise RuntimeError("a Transport hands out sockets only inside its `async with`")
        if url not in self._sockets:
            self._sockets[url] = Socket(url, dialect, self, self._tasks, proxy=self._proxy)
        return self._sockets[url]

    def last_hop(self, url: str) -> str:
        """Where a request for this encoded URL really goes."""
        if not self._prefix:
            return url
        return (self._prefix if url.startswith("http") else "ws" + self._prefix.removeprefix("http")) + url

    def context(
        self,
        name: str,
        settings: Any = None,
        *,
        credentials: Any = None,
        exchange: Any = None,
        log: logging.Logger | None = None,
        state: Path | None = None,
    ) -> Context:
        """What an adapter of this side is made with."""
        runtime = self.runtime
        return Context(
            name=name,
            settings=settings,
            clock=runtime.clock,
            sleep=runtime.sleep,
            random=runtime.random,
            log=log or self.log.getChild(name),
            credentials=credentials,
            exchange=exchange,
            http=self.http,
            ws=self.ws,
            last_hop=self.last_hop,
            proxy=self._proxy,
            budget=self.budget,
            deadline=self.deadline,
            sandbox=self._sandbox,
            cache=self._cache,
            state=state,
            report_time=self.exchange_clock.report,
        )


def _unheard(milliseconds: float) -> None:
    """Where nobody keeps the exchange's time."""


@dataclass(frozen=True)
class Context:
    """Everything that an adapter may use of the outside world."""

    name: str
    """The exchange as it was registered; one class may serve many names."""
    settings: Any
    """The plugin's own Struct, or None where it registered none."""
    clock: Clock
    sleep: Sleep
    random: _random.Random
    log: logging.Logger
    http: Callable[..., Http] = field(repr=False)
    """``http(base_url, used_weight="", spared=None)`` -> ``Http``; see ``Transport.http``."""
    ws: Callable[[str, Dialect], Socket] = field(repr=False)
    """``ws(url, dialect)`` -> ``Socket``; see ``Transport.ws``."""
    credentials: Any = field(default=None, repr=False)
    """Only for accounts: ``settings.Credentials``."""
    exchange: Any = field(default=None, repr=False)
    """Only for accounts: the public side that they belong to."""
    last_hop: Callable[[str], str] = field(default=str, repr=False)
    """Where a request or connection to an encoded URL really goes: for libraries that make their own connections."""
    proxy: str = ""
    """The proxy of the settings, for such libraries; ``http`` and ``ws`` use it by themselves."""
    budget: Budget | None = field(default=None, repr=False)
    """The request weight that everything to this exchange shares; ``http`` takes from it by itself."""
    deadline: float = DEADLINE
    """Seconds that a request may take if nobody says otherwise."""
    sandbox: bool = False
    """The exchange's own sandbox was asked for. An adapter that has none refuses to open."""
    cache: Path | None = None
    """A folder for what may be lost: market lists, say. None = nothing is kept."""
    state: Path | None = None
    """Only for exchanges: a folder of their own for what must outlive the process; it need not exist. None = nothing is
    kept."""
    report_time: Callable[[float], None] = field(default=_unheard, repr=False)
    """``report_time(ms)``: tell what the exchange's clock says now, ms since the epoch, whenever you have asked for it.
    Orders are told apart by that clock, and a machine whose own is off by more than 5 s is reported."""


def check_url(url: str, scheme: str) -> None:
    """Raise ValueError unless the URL has this scheme, or its unencrypted twin and this machine as host."""
    parts = urlsplit(url)
    plain = _PLAIN.get(parts.scheme) == scheme and _is_local(parts.hostname or "")
    if not (parts.scheme == scheme or plain) or not parts.hostname or parts.username is not None:
        raise ValueError(f"not a {scheme} URL of an exchange: {url!r}")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
