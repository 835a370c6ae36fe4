"""Waiting with a limit, by the injected clock, for something that goes on when the waiting ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from .clock import Runtime

T = TypeVar("T")


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
