"""Waiting with a limit, by the injected clock, for something that goes on when the waiting ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from .clock import Runtime

T = TypeVar("T")

_AGAIN = 0.05


class Limit:
    """``with Limit(seconds):`` raises TimeoutError when the block takes longer, by the loop's own clock.

    The block is cancelled again and again until it ends: a plugin that swallows its cancellation goes on no longer.
    anyio's ``fail_after`` does the same at five times the price.
    """

    __slots__ = ("_before", "_cancelled", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._cancelled = 0

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._before = task, task.cancelling()
        self._timer = task.get_loop().call_later(self._seconds, self._over)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not self._cancelled:
            return
        for _ in range(self._cancelled):
            left = self._task.uncancel()
        if left <= self._before and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def _over(self) -> None:
        self._cancelled += 1
        self._task.cancel()
        self._timer = self._task.get_loop().call_later(_AGAIN, self._over)


class Jobs:
    """Tasks that nobody waits for, for as long as ``keep`` runs in a task group: cheaper than tasks of that group."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._over = False

    def start(self, job: Coroutine[Any, Any, None]) -> None:
        """Run a job that raises nothing. Raises RuntimeError when ``keep`` has ended."""
        if self._over:
            job.close()
            raise RuntimeError("too late for another job")
        task = asyncio.get_running_loop().create_task(job)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def keep(self) -> None:
        """Until it is cancelled; then cancels every job and waits until they have ended."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._over = True
            with anyio.CancelScope(shield=True):
                while self._running:
                    for task in self._running:
                        task.cancel()
                    await asyncio.wait(self._running, timeout=_AGAIN)


async def until_done(runtime: Runtime, future: asyncio.Future[Any], seconds: float) -> bool:
    """Wait at most so long; whether the future is done. It is never cancelled by this."""
    if future.done() or seconds <= 0:
        return future.done()
    timer = asyncio.ensure_future(_rest(runtime, seconds))
    try:
        await asyncio.wait({future, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return future.done()


async def _rest(runtime: Runtime, seconds: float) -> None:
    await runtime.sleep(seconds)


def is_cancelled(error: BaseException) -> bool:
    """Whether somebody wants this task to end.

    Code that awaits a cancelled task of its own raises the same CancelledError, though nobody asked for an end.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class Attempt:
    """One call in a task of its own, with a time limit that holds even where the call ignores its cancellation."""

    def __init__(self, tasks: TaskGroup, runtime: Runtime) -> None:
        self._tasks, self._runtime = tasks, runtime

    async def run(self, call: Callable[[], Awaitable[T]], seconds: float) -> T:
        """The call's result or exception; TimeoutError when the time is over. The call is then cancelled."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        scope = anyio.CancelScope()
        self._tasks.start_soon(self._keep, call, future, scope)
        try:
            if not await until_done(self._runtime, future, seconds):
                raise TimeoutError(f"no answer within {seconds:g} s")
            return future.result()
        finally:
            scope.cancel()
            future.cancel()

    async def _keep(
        self, call: Callable[[], Awaitable[T]], future: asyncio.Future[T], scope: anyio.CancelScope
    ) -> None:
        try:
            with scope:
                _settle(future, await call())
        except Exception as error:
            _settle(future, error=error)
        finally:
            _settle(future, error=ConnectionAbortedError("the call was cancelled"))


def _settle(future: asyncio.Future[Any], result: Any = None, error: Exception | None = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
        future.exception()  # Nobody may be waiting any more; asyncio would call that forgotten.
