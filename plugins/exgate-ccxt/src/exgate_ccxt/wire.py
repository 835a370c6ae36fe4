"""How a ccxt client reaches its exchange: every request goes through the gateway's own HTTP, never through ccxt's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from exgate_core.budget import Lane
from exgate_core.client import Context
from exgate_core.errors import RateLimited

if TYPE_CHECKING:
    from exgate_core.fetch import Http, Response

__all__ = ["DEADLINE", "LANE", "Outgoing", "Wire"]

LANE: ContextVar[Lane] = ContextVar("exgate_ccxt_lane", default="data")
"""In which lane of the budget the requests of this task go."""
DEADLINE: ContextVar[float | None] = ContextVar("exgate_ccxt_deadline", default=None)
"""Seconds that one request of this task may take; None = as the settings say."""


class Outgoing(Struct, frozen=True):
    """A request as it is about to leave: signed, encoded, without the upstream prefix."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


class Wire:
    """The requests of one ccxt client; ``client.exgate`` of every client that ``open_client`` makes."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.check: Callable[[Outgoing], None] | None = None
        """Looks at every request right before it leaves; what it raises keeps the request from being sent."""
        self._hosts: dict[str, Http] = {}

    async def take(self, milliseconds: float) -> None:
        """Wait until a request that keeps the exchange busy for so long may leave. Raises RateLimited."""
        budget = self.context.budget
        if budget is not None and milliseconds > 0:
            weight = ceil(milliseconds * budget.limit / (budget.window * 1000) - 1e-6)
            await budget.take(weight, LANE.get(), DEADLINE.get() or self.context.deadline)

    async def send(self, outgoing: Outgoing) -> Response:
        """Send once and return the answer of any status. Raises what ``Http.request`` raises."""
        if self.check is not None:
            self.check(outgoing)
        self._refuse_while_paused()
        parts = urlsplit(outgoing.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._hosts:
            self._hosts[origin] = self.context.http(origin)
        path, _, query = outgoing.url.removeprefix(origin).partition("?")
        return await self._hosts[origin].request(
            outgoing.method,
            path or "/",
            params=query,
            headers=outgoing.headers,
            body=outgoing.body.encode() if outgoing.body else None,
            weight=0,  # paid for in ``take``: what has waited since would be signed with an old time
            lane=LANE.get(),
            deadline=DEADLINE.get(),
        )

    def _refuse_while_paused(self) -> None:
        budget = self.context.budget
        wait = budget.paused_for if budget is not None else 0.0
        if wait > 0:
            raise RateLimited(f"The exchange asked for a pause of {wait:.1f} s. Nothing was sent.", retry_after=wait)
