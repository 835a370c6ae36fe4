"""One supervised stream of trades: its tape, the backfill after a cut, and the check of a quiet copy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import anyio

from .clock import Runtime
from .errors import ExGateError
from .exchange import PublicSide
from .models import Market, Trade
from .supervisor import Life, Status, Supervisor
from .tape import Tape

PATIENCE = 15.0
"""Seconds without progress after which a backfill is given up."""

GRACE = 2.0
"""Seconds that a trade may take from the exchange's history to its stream."""

_SHORT = 0.05
_LONG = 2.0
_MISSES = 2
_MOST_PAGES = 100
_TOO_FAR = "more trades are missing than the exchange's history is asked for"
_UNUSABLE = "the exchange's history doesn't reach back"

_log = logging.getLogger("exgate.feeds")


class Bell:
    """Wakes everybody who waits: one future each, no lock."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self._listeners: dict[Callable[[], None], None] = {}
        self._due = False

    def ring(self) -> None:
        """Wake all."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if self._listeners and not self._due:
            # Not at once: what comes together is told together.
            self._due = True
            asyncio.get_running_loop().call_soon(self._tell)

    @contextmanager
    def calling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Inside, ``listener`` is called after rings, which costs less than waking a task. It raises nothing."""
        self._listeners[listener] = None
        try:
            yield
        finally:
            del self._listeners[listener]

    def _tell(self) -> None:
        self._due = False
        for listener in list(self._listeners):
            listener()

    async def wait(self) -> None:
        """Until the next ring."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


class TradeFeed:
    """The trades of one market of one exchange."""

    stream = "trades"

    def __init__(
        self, exchange: PublicSide, market: Market, runtime: Runtime, idle_stop: float, label: str = ""
    ) -> None:
        able = exchange.capabilities
        reach = able.trades_reach
        # Short pages of ids with holes prove nothing: there the newest page must show the last trade seen.
        enough = 0 if able.trade_ids == "contiguous" else able.trades_max
        self.market = market
        self.paged = able.trade_ids != "opaque" and (reach is None or reach > enough)
        """Whether the exchange gives pages by ``since_id`` that can be joined."""
        self.counted = able.trade_ids == "contiguous"
        """Whether every hole shows in the ids."""
        self.tape = Tape(market.symbol, able.trade_ids, paged=self.paged, recent=able.trades_max)
        self.bell = Bell()
        """Rings when the tape's ring has something new."""
        self.closed = False
        """No more frames will come."""
        self._name = f"{label or exchange.name} {market.symbol} trades"
        self.supervisor = Supervisor(self._name, self._connect, self._lost, runtime, idle_stop)
        self._exchange = exchange
        self._runtime = runtime
        self._need = asyncio.Event()
        self._told: Status = "starting"
        self._changed = runtime.clock.monotonic()
        self._end = 0

    @property
    def status(self) -> Status:
        """live = receiving, and what the history has for the start, or a cut had taken, is joined or told as lost."""
        return self._told if self._is_joining else self.supervisor.status

    @property
    def desc(self) -> str:
        """Why the status is what it is, for people."""
        return "receiving, and joining the exchange's history" if self._is_joining else self.supervisor.desc

    @property
    def _is_joining(self) -> bool:
        return self.supervisor.status == "live" and self._told != "live" and self.tape.missing

    @property
    def in_sync(self) -> bool:
        """Whether local reads may be answered from the tape."""
        return self.supervisor.status == "live" and not self.tape.missing

    async def run(self) -> None:
        """Until idle, stopped or cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cross_check)
            await self._start()
            await self.supervisor.run()
            tasks.cancel_scope.cancel()

    def close(self) -> None:
        """Let readers go: ``closed`` is seen by all of them."""
        self.closed = self.supervisor.stopping = True
        self.bell.ring()

    async def page(self, since: str | None) -> Sequence[Trade] | None:
        """The exchange's trades after ``since``, or the newest; None if it gives no usable answer."""
        try:
            return await self._exchange.recent_trades(self.market, self._exchange.capabilities.trades_max, since)
        except Exception as error:
            _log.info("%s: no history: %s", self._name, error)
            if isinstance(error, ExGateError) and error.retry_after:
                await self._runtime.sleep(error.retry_after)
            return None

    async def _start(self) -> None:
        # The newest trades before the stream opens: where it follows on, and what local reads begin with.
        if self._exchange.has("recent_trades"):
            page = await self.page(None)
            if page is not None:
                self.tape.start(page, self._exchange.capabilities.trades_max)

    async def _connect(self, life: Life) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_whole, life)
            await self._exchange.pull_trade(self.market, partial(self._emit, life))
            tasks.cancel_scope.cancel()

    def _emit(self, life: Life, batch: Sequence[Trade]) -> None:
        if not self.supervisor.heard(life):
            return
        if batch:
            self.tape.take(batch)
            self._changed = self._runtime.clock.monotonic()
        if self.tape.missing:
            self._need.set()
        self._tell()

    def _lost(self, why: str) -> None:
        self.tape.cut()
        self._tell()

    def _tell(self) -> None:
        status = self.status
        if status != self._told:
            resumed = status == "live" and self._told == "reconnecting"
            self.tape.notice("resumed" if resumed else status, self.desc)
            self._told = status
        if self.tape.ring.end != self._end:
            self._end = self.tape.ring.end
            self.bell.ring()

    async def _keep_whole(self, life: Life) -> None:
        while True:
            await self._need.wait()
            self._need.clear()
            if life.confirmed is not None and self.tape.missing:
                await self._backfill()
                self._tell()

    async def _backfill(self) -> None:
        if self.tape.since is None or not self._exchange.has("recent_trades"):
            self._go_without()
            return
        if self.tape.hole > _MOST_PAGES * self._exchange.capabilities.trades_max:
            # so long a walk back would hold up what trades now, and eat the budget of everything else
            self.tape.lose(_TOO_FAR)
            return
        clock = self._runtime.clock
        patience, pause, misses = clock.monotonic() + PATIENCE, _SHORT, 0
        while self.tape.missing:
            page = await self.page(self.tape.since if self.paged else None)
            if page is not None and self.tape.fill(page):
                self._tell()
                patience, pause, misses = clock.monotonic() + PATIENCE, _SHORT, 0
                continue
            misses += page is not None and not self.tape.reaches(page)
            if page is not None and not misses:
                self.tape.exhausted()
            if misses >= _MISSES or self.tape.overfull or clock.monotonic() >= patience:
                self.tape.lose(_UNUSABLE if misses else "no usable history in time")
            elif self.tape.missing:
                await self._runtime.sleep(pause)
                pause = min(2 * pause, _LONG)

    def _go_without(self) -> None:
        if not self.tape.waiting:
            self.tape.exhausted()
        if self.tape.missing:
            self.tape.lose("the exchange has no history to fill it from")

    async def _cross_check(self) -> None:
        period = self._exchange.capabilities.cross_check
        if period <= 0 or not self._exchange.has("recent_trades"):
            return
        while True:
            await self._runtime.sleep(period)
            if self.in_sync and self._runtime.clock.monotonic() - self._changed >= period:
                await self._compare()

    async def _compare(self) -> None:
        asked = self._runtime.clock.monotonic()
        page = await self.page(None)
        if page is None or self.tape.since is None:
            return
        if not page or self.tape.knows(page[-1]):
            self.supervisor.proven(asked)
            return
        await self._runtime.sleep(GRACE)
        if self.in_sync and not self.tape.knows(page[-1]):
            self.supervisor.cut("the stream is silent while the exchange trades")
