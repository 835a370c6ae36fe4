"""Something that is opened on first use and lives, from opening to closing, in one task of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from .clock import Runtime
from .errors import ExGateError, Unavailable
from .secrets import SettingsError
from .waiting import is_cancelled

T = TypeVar("T")

_log = logging.getLogger("exgate.lives")
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_NOBODYS_FAULT = (429, 503)


class Life(Generic[T]):
    """Opens when asked, is shared by everybody who asks, opens again after a failure; a failure stays its own.

    ``of_caller``: it opens with a caller's own keys, so what the exchange refuses then is the caller's to mend. Nothing
    else that keeps it closed is: to callers that is 503, whatever went wrong.
    """

    def __init__(
        self,
        name: str,
        opening: Callable[[], AbstractAsyncContextManager[T]],
        tasks: TaskGroup,
        runtime: Runtime,
        *,
        of_caller: bool = False,
    ) -> None:
        self.name, self._of_caller = name, of_caller
        self.current: T | None = None
        self.error: ExGateError | None = None
        """Why the last opening failed; None while open or never tried."""
        self._opening, self._tasks, self._runtime = opening, tasks, runtime
        self._future: asyncio.Future[T] | None = None
        self._closing, self._left = asyncio.Event(), asyncio.Event()
        self._scope: anyio.CancelScope | None = None
        self._failures, self._said = 0, ""
        self._not_before = 0.0
        self._at_end: list[Callable[[], object]] = []

    @property
    def state(self) -> str:
        """``closed``, ``opening``, ``open`` or ``failed``."""
        if self.current is not None:
            return "open"
        if self._future is not None:
            return "opening"
        return "failed" if self.error else "closed"

    async def get(self, deadline: float) -> T:
        """The open thing. Raises Unavailable: still opening after ``deadline`` seconds, or why it can't open."""
        if self.current is not None:
            return self.current
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.shield(self._start())
        except TimeoutError:
            message = f"{self.name} is still opening; ask again in a moment"
            raise Unavailable(message, reason="EXCHANGE_OPENING", retry_after=1.0) from None

    async def keep(self) -> None:
        """Open, trying again for ever; returns when it is open. For what the settings name."""
        while not self._closing.is_set():
            try:
                await asyncio.shield(self._start())
                return
            except ExGateError as error:
                await self._runtime.sleep(max(error.retry_after or 0.0, self._pause()))

    def on_end(self, call: Callable[[], object]) -> None:
        """Call this once when what is open now is no longer."""
        self._at_end.append(call)

    def close(self) -> None:
        """Let the task that lives in it leave; the task group waits for it. An opening is given up."""
        self._closing.set()
        if self._scope is not None and self.current is None:
            self._scope.cancel()

    async def closed(self) -> None:
        """Close, and wait until the task has left."""
        self.close()
        while self._future is not None:
            await self._left.wait()

    def _start(self) -> asyncio.Future[T]:
        if self._future is None:
            wait = self._not_before - self._runtime.clock.monotonic()
            if wait > 0 and self.error is not None:
                raise self._again(self.error, wait)
            self._future = asyncio.get_running_loop().create_future()
            self._left.clear()
            self._tasks.start_soon(self._live, self._future, name=f"exgate {self.name}")
        return self._future

    def _again(self, error: ExGateError, wait: float) -> ExGateError:
        return type(error)(error.message, reason=error.reason, metadata=error.metadata, retry_after=round(wait, 3))

    async def _live(self, future: asyncio.Future[T]) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                await self._open(future)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            self._failed(future, error)
        finally:
            self.current, self._future, self._scope = None, None, None
            self._left.set()
            for call in self._at_end:
                call()
            self._at_end.clear()
            if not future.done():
                future.set_exception(Unavailable(f"{self.name} was closed", reason="CLOSED"))
                future.exception()

    async def _open(self, future: asyncio.Future[T]) -> None:
        async with self._opening() as value:
            self.current, self.error, self._failures, self._said = value, None, 0, ""
            if not future.done():
                future.set_result(value)
            await self._closing.wait()

    def _failed(self, future: asyncio.Future[T], error: BaseException) -> None:
        self._failures += 1
        pause = self._pause()
        self._not_before = self._runtime.clock.monotonic() + pause
        bare = _bare(error)
        self.error = _as_error(self.name, bare, pause, self._of_caller)
        # what ExGate or an adapter says in its own words needs no traceback, and nothing is an error at every try
        bug = None if isinstance(bare, ExGateError) or str(bare) == self._said else error
        level = logging.INFO if str(bare) == self._said else logging.ERROR
        _log.log(level, "%s can't open or has failed: %s", self.name, bare, exc_info=bug)
        self._said = str(bare)
        if not future.done():
            future.set_exception(self.error)
            future.exception()  # nobody may be waiting any more

    def _pause(self) -> float:
        most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures, 10))
        return most * self._runtime.random.uniform(0.5, 1.0)


def _bare(error: BaseException) -> BaseException:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _as_error(name: str, error: BaseException, pause: float, of_caller: bool) -> ExGateError:
    if isinstance(error, ExGateError):
        if error.status in _NOBODYS_FAULT or (of_caller and not isinstance(error, SettingsError)):
            return error
        return Unavailable(
            error.message,
            reason=error.reason,
            metadata={name: text for name, text in error.metadata.items() if name != "outcome"},
            retry_after=error.retry_after or round(pause, 3),
        )
    message = f"{name} can't be opened ({type(error).__name__}); the log of the gateway says more"
    return Unavailable(message, reason="EXCHANGE_NOT_OPEN", retry_after=round(pause, 3))
