"""ccxt's heavy parsing in a thread, its requests on the gateway's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread

from .wire import Outgoing, Wire

if TYPE_CHECKING:
    from exgate_core.fetch import Response

T = TypeVar("T")

__all__ = ["Bridge"]


class Bridge:
    """A ``Wire`` for a client that lives in a thread; ``with`` it on the loop that does the requests."""

    def __init__(self, wire: Wire) -> None:
        self.context = wire.context
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._under_way: set[Future[Any]] = set()
        self._closed = False

    def __enter__(self) -> Bridge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for future in list(self._under_way):
            future.cancel()

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]], result: Callable[[], T]) -> T:
        """Run ``work`` in a thread to its end, and then ``result`` there."""

        def both() -> T:
            asyncio.run(work())
            return result()

        return await anyio.to_thread.run_sync(both, abandon_on_cancel=True)

    async def take(self, milliseconds: float) -> None:
        """See ``Wire.take``."""
        await self._there(self._wire.take(milliseconds))

    async def send(self, outgoing: Outgoing) -> Response:
        """See ``Wire.send``."""
        return await self._there(self._wire.send(outgoing))

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            coroutine.close()
            raise asyncio.CancelledError
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        self._under_way.add(future)
        try:
            return await asyncio.wrap_future(future)
        finally:
            self._under_way.discard(future)
