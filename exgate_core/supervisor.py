"""Keeps one upstream stream open: the only place that reconnects."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Literal

import anyio

from .clock import Runtime
from .errors import ExGateError

Status = Literal["starting", "live", "reconnecting"]

OPENING = 30.0
"""Seconds in which a new stream must say its first word."""

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_STEADY = 1.0
_SHORTEST_IDLE = 1.0

_log = logging.getLogger("exgate.feeds")


class Life:
    """One connection of a stream, from its opening to its cut."""

    def __init__(self, opened: float) -> None:
        self.opened = opened
        """When it was opened, on the monotonic clock."""
        self.confirmed: float | None = None
        """When it first spoke; None = not yet."""
        self.over = False
        """Nothing that it says counts any more."""


class Supervisor:
    """Runs ``connect`` again and again, with pauses that grow, until nobody needs the stream.

    ``connect(life)`` runs while a connection lives; returning or raising is a cut. It calls ``heard(life)`` whenever
    the exchange proves that it lives. ``lost(why)`` is told of every end.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[Life], Awaitable[None]],
        lost: Callable[[str], None],
        runtime: Runtime,
        idle_stop: float,
    ) -> None:
        self._name = name
        self._connect = connect
        self._lost = lost
        self._runtime = runtime
        self._idle_stop = max(idle_stop, _SHORTEST_IDLE)
        self._scope = anyio.CancelScope()
        self._whole: anyio.CancelScope | None = None
        self._why = ""
        self._hurry = False
        self._life: Life | None = None
        self._alive: float | None = None
        self._used = runtime.clock.monotonic()
        self.status: Status = "starting"
        """starting until the first word, reconnecting from a cut to the next word."""
        self.desc = "opening the stream"
        """Why the status is what it is, for people."""
        self.cuts = 0
        """How often the stream has ended so far."""
        self.pinned = False
        """Keeps running though nobody reads."""
        self.readers = 0
        """How many read it now."""
        self.stopping = False
        """It has ended, or is about to: take a new one."""

    @property
    def age(self) -> float | None:
        """Seconds since the exchange last proved that it lives; None if it never did."""
        return None if self._alive is None else max(0.0, self._runtime.clock.monotonic() - self._alive)

    def touch(self) -> None:
        """Somebody used it just now."""
        self._used = self._runtime.clock.monotonic()

    def heard(self, life: Life) -> bool:
        """The exchange spoke on this connection. False if that is over and what it says must be ignored."""
        if life.over:
            return False
        self._alive = self._runtime.clock.monotonic()
        if life.confirmed is None:
            life.confirmed = self._alive
            self.status, self.desc = "live", "receiving"
        return True

    def proven(self, moment: float) -> None:
        """At ``moment`` (monotonic) the copy was found equal to the exchange's own answer."""
        if self._alive is not None:
            self._alive = max(self._alive, moment)

    def cut(self, why: str, *, hurry: bool = False) -> None:
        """End this connection and open another; ``hurry``: without a pause."""
        self._why, self._hurry = why, hurry
        if self._life is not None:
            self._life.over = True
        self._scope.cancel()

    async def run(self) -> None:
        """Until idle, stopped or cancelled. No exception of the stream comes out."""
        async with anyio.create_task_group() as tasks:
            self._whole = tasks.cancel_scope
            if self.stopping:
                self._whole.cancel()
            tasks.start_soon(self._stop_when_idle)
            await self._supervise()

    def stop(self) -> None:
        """End it for good."""
        self.stopping = True
        if self._whole is not None:
            self._whole.cancel()

    async def _supervise(self) -> None:
        failures = 0
        while True:
            self._why, self._hurry, wait = "", False, 0.0
            life = self._life = Life(self._runtime.clock.monotonic())
            try:
                await self._live(life)
            except Exception as error:
                cause = _first(error)
                wait = getattr(cause, "retry_after", None) or 0.0
                self._why = (
                    cause.message if isinstance(cause, ExGateError) else f"{type(cause).__name__}: {cause}"[:200]
                )
            life.over = True
            now = self._runtime.clock.monotonic()
            steady = life.confirmed is not None and now - life.confirmed >= _STEADY
            failures = 0 if steady else failures + 1
            self._tell(self._why or "the exchange ended the stream")
            await self._runtime.sleep(max(wait, 0.0 if self._hurry else self._pause(failures)))

    async def _live(self, life: Life) -> None:
        with anyio.CancelScope() as self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch_opening, life)
                await self._connect(life)
                tasks.cancel_scope.cancel()

    async def _watch_opening(self, life: Life) -> None:
        await self._runtime.sleep(OPENING)
        if life.confirmed is None:
            self.cut(f"no word within {OPENING:.0f} s")

    def _tell(self, why: str) -> None:
        self.cuts += 1
        self.status, self.desc = "reconnecting", why
        _log.info("%s: cut %d: %s", self._name, self.cuts, why)
        self._lost(why)

    def _pause(self, failures: int) -> float:
        # Full jitter: many streams that one cut ended must not come back together.
        most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10))
        return self._runtime.random.uniform(0.0, most)

    async def _stop_when_idle(self) -> None:
        while not self.stopping:
            left = self._used + self._idle_stop - self._runtime.clock.monotonic()
            if self.pinned or self.readers:
                left = self._idle_stop
            if left <= 0:
                self.stop()
            else:
                await self._runtime.sleep(left)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
