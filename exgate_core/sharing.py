"""Questions to the exchange that several callers share: at most one under way and one waiting for each key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

from .clock import Clock
from .errors import DeadlineExceeded, ExGateError, Unavailable
from .waiting import Limit

T = TypeVar("T")

_MOST_KEPT = 256


class Flight(Generic[T]):
    """One question: not started, under way, or answered."""

    def __init__(self) -> None:
        self.started: float | None = None
        """When it left, on the monotonic clock."""
        self.value: T | None = None
        """The answer; None before it came, or if it was an error."""
        self.error: ExGateError | None = None
        """Why there is none."""
        self.waiters: set[asyncio.Future[None]] = set()
        """Callers that wait for it."""

    @property
    def done(self) -> bool:
        """Whether it has an outcome."""
        return self.value is not None or self.error is not None

    def land(self) -> None:
        """Wake the callers."""
        for future in self.waiters:
            if not future.done():
                future.set_result(None)
        self.waiters.clear()

    async def wait(self) -> None:
        """Until it has an outcome. A caller that leaves doesn't end it."""
        if self.done:
            return
        future = asyncio.get_running_loop().create_future()
        self.waiters.add(future)
        try:
            await future
        finally:
            self.waiters.discard(future)


class Flights(Generic[T]):
    """``spawn(job)`` runs a job outside of any caller, so that a caller who leaves takes nothing from the others."""

    def __init__(self, clock: Clock, spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None]) -> None:
        self._clock = clock
        self._spawn = spawn
        self._running: dict[tuple[str, int], Flight[T]] = {}
        self._waiting: dict[tuple[str, int], Flight[T]] = {}
        self._kept: dict[tuple[str, int], Flight[T]] = {}

    async def ask(
        self, key: tuple[str, int], question: Callable[[], Awaitable[T]], tolerate: float, deadline: float | None
    ) -> Flight[T]:
        """A flight that started after this call, or whose answer is at most ``tolerate`` seconds old.

        Raises the exchange's error, DeadlineExceeded after ``deadline`` seconds.
        """
        kept = self._kept.get(key)
        if kept is not None and tolerate > 0 and self._age(kept) <= tolerate:
            return kept
        if deadline is None:
            return await self._join(key, question, tolerate)
        try:
            with Limit(deadline):
                return await self._join(key, question, tolerate)
        except TimeoutError:
            message = f"no answer from the exchange within {deadline:g} s; ask again."
            raise DeadlineExceeded(message) from None

    def _age(self, flight: Flight[T]) -> float:
        return float("inf") if flight.started is None else self._clock.monotonic() - flight.started

    async def _join(self, key: tuple[str, int], question: Callable[[], Awaitable[T]], tolerate: float) -> Flight[T]:
        running = self._running.get(key)
        if running is not None and tolerate > 0 and self._age(running) <= tolerate:
            await running.wait()
            if running.value is not None and self._age(running) <= tolerate:
                return running
        flight = self._next(key, question)
        await flight.wait()
        if flight.error is not None:
            raise flight.error.with_traceback(None)
        return flight

    def _next(self, key: tuple[str, int], question: Callable[[], Awaitable[T]]) -> Flight[T]:
        running = self._running.get(key)
        if running is None:
            running = Flight()
            self._spawn(partial(self._fly, key, running, question))
            self._running[key] = running
        if running.started is None:
            return running
        return self._waiting.setdefault(key, Flight())

    async def _fly(self, key: tuple[str, int], flight: Flight[T], question: Callable[[], Awaitable[T]]) -> None:
        try:
            await self._answer(flight, question)
            while True:
                self._keep(key, flight)
                flight.land()
                follower = self._waiting.pop(key, None)
                if follower is None or not follower.waiters:
                    break
                flight = self._running[key] = follower
                await self._answer(flight, question)
        finally:
            for left in (self._running.pop(key, None), self._waiting.pop(key, None)):
                if left is not None and not left.done:
                    left.error = Unavailable("the gateway is going away.", reason="SHUTTING_DOWN")
                    left.land()

    async def _answer(self, flight: Flight[T], question: Callable[[], Awaitable[T]]) -> None:
        flight.started = self._clock.monotonic()
        try:
            flight.value = await question()
        except ExGateError as error:
            flight.error = error
        except Exception as error:
            flight.error = Unavailable(f"{type(error).__name__}: {error}")

    def _keep(self, key: tuple[str, int], flight: Flight[T]) -> None:
        if flight.value is None:
            return
        self._kept.pop(key, None)
        self._kept[key] = flight
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
