"""Orders that are on their way or being looked up, so that requests with one key share one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal

import anyio

from .clock import Runtime
from .errors import NotSent
from .outcomes import Account, Verdict
from .rows import Draft, Row
from .waiting import until_done


class Errand:
    """One order from the request to its verdict. It belongs to the gateway: no request that waits for it ends it."""

    def __init__(self, account: Account, draft: Draft, row: Row | None = None) -> None:
        self.account, self.draft, self.row = account, draft, row
        self.phase: Literal["writing", "sending", "looking"] = "writing"
        """writing: certainly not sent; sending: may be at the exchange; looking: sent, without a usable answer."""
        self.is_new = draft.key.startswith("g:")
        """No earlier request has left a row under the key."""
        self.expired = False
        """Its caller was told that it won't be sent."""
        self.held: NotSent | None = None
        """What its caller is told if its deadline comes now: why it hasn't been sent yet."""
        self.replayed = False
        """The answer is that of an earlier request."""
        self.why = ""
        """Why the exchange's answer proves nothing."""
        self.recorded = True
        """The journal has the verdict."""
        self.waiters = 0
        self.scope = anyio.CancelScope()
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    @property
    def client_order_id(self) -> str:
        """The id that goes upstream."""
        return self.row.client_order_id if self.row else self.draft.client_order_id

    @property
    def sent_ms(self) -> int:
        """When it was marked as sent, ms since the epoch; 0 = not yet."""
        return self.row.sent if self.row else 0

    @property
    def busy(self) -> bool:
        """Whether a stop of the gateway has to wait for it."""
        return not self.verdict.done() and (self.waiters > 0 or self.phase != "looking")


class Errands:
    """All errands by key and by the client order id that goes upstream."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._by_key: dict[tuple[str, str], Errand] = {}
        self._by_id: dict[tuple[str, str], Errand] = {}
        self._others = 0
        self._quiet: asyncio.Future[None] | None = None

    def __iter__(self) -> Iterator[Errand]:
        return iter(list(self._by_key.values()))

    def of_key(self, account: str, key: str) -> Errand | None:
        """The errand of a key."""
        return self._by_key.get((account, key))

    def of_client_id(self, account: str, client_order_id: str) -> Errand | None:
        """The errand of an order with this client order id."""
        return self._by_id.get((account, client_order_id))

    def add(self, errand: Errand) -> None:
        """An errand begins."""
        self._by_key[errand.draft.account, errand.draft.key] = errand
        if errand.draft.client_order_id:
            self._by_id.setdefault((errand.draft.account, errand.draft.client_order_id), errand)

    def remove(self, errand: Errand) -> None:
        """An errand that the journal can stand in for from now on."""
        self._by_key.pop((errand.draft.account, errand.draft.key), None)
        name = errand.draft.account, errand.draft.client_order_id
        if self._by_id.get(name) is errand:
            del self._by_id[name]

    async def wait(self, errand: Errand, until: float) -> bool:
        """Wait for the verdict until a moment of the monotonic clock; whether it is there."""
        errand.waiters += 1
        try:
            return await until_done(self._runtime, errand.verdict, until - self._runtime.clock.monotonic())
        finally:
            errand.waiters -= 1
            self.note()

    def begin_other(self) -> None:
        """Something else that a stop has to wait for."""
        self._others += 1

    def end_other(self) -> None:
        """It ended."""
        self._others -= 1
        self.note()

    def note(self) -> None:
        """Something changed: wake whoever waits for quiet."""
        if self._quiet is not None and not self._quiet.done() and not self._is_busy():
            self._quiet.set_result(None)

    async def quiet(self, seconds: float) -> bool:
        """Wait at most so long until nothing is under way; whether that was reached. Then stop the looking."""
        self._quiet = asyncio.get_running_loop().create_future()
        self.note()
        reached = await until_done(self._runtime, self._quiet, seconds)
        for errand in self:
            if errand.phase == "looking":
                errand.scope.cancel()
        return reached

    def _is_busy(self) -> bool:
        return self._others > 0 or any(errand.busy for errand in self)
