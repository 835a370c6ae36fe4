"""The WebSocket connections to one URL, shared by all subscriptions to it.

A subscription runs on one connection; while that is being replaced (before the exchange cuts it for its age, or when
the exchange asks) on two, and both deliver. It ends with its last connection and is never taken up again here: the
feeds room does that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from .dialects import Control, Dialect, Limits
from .errors import ExGateError, RateLimited, Unavailable

if TYPE_CHECKING:
    from .client import Transport
    from .wsline import Line

__all__ = ["Control", "Dialect", "Gathered", "Limits", "Socket", "Subscription"]

T = TypeVar("T")

_BEFORE_NEXT_TRY = 5.0
_AGE_SPREAD = 0.05
_DEFAULT_PAUSE = 60.0
_BACKOFF, _LONGEST_BACKOFF = 0.25, 30.0


def _nothing() -> None:
    pass


class Subscription:
    """One topic; made by ``Socket.subscription``.

    ``async with`` it: inside, the exchange has confirmed it. Entering raises what kept it from that.
    """

    def __init__(
        self, socket: Socket, topic: str, on_frame: Callable[[bytes], None], on_alive: Callable[[], None]
    ) -> None:
        self.topic = topic
        self.on_frame = on_frame
        """Called in the reader with each frame of the topic; may come before the confirmation. Raising ends the
        subscription."""
        self.on_alive = on_alive
        """Called when the connection was proven alive while the subscription is confirmed."""
        self._socket = socket
        self._lines: list[Line] = []
        self._ready, self._over = anyio.Event(), anyio.Event()
        self._error: ExGateError | None = None

    async def __aenter__(self) -> Subscription:
        self._socket.join(self)
        try:
            await self._ready.wait()
            if self._error is not None:
                raise self._error
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def over(self) -> bool:
        """Whether the stream was cut."""
        return self._over.is_set()

    async def ended(self) -> None:
        """Wait until the stream is cut, then raise why."""
        await self._over.wait()
        raise self._error or Unavailable(f"The subscription to {self.topic} was closed.")

    def end(self, error: Exception) -> None:
        """End it because of what its owner can't do with its frames: ``ended`` raises Unavailable, BAD_ANSWER."""
        unusable = Unavailable(f"a frame of {self.topic} can't be used ({error})", reason="BAD_ANSWER")
        self._error = self._error or unusable
        self._leave()

    def joined(self, line: Line) -> None:
        """Called by a line that carries the topic from now on."""
        self._lines.append(line)

    def confirmed(self, line: Line) -> None:
        """Called by a line on which the exchange confirmed the topic."""
        self._ready.set()

    def lost(self, line: Line, error: ExGateError, final: bool = False) -> None:
        """Called by a line from which nothing more comes."""
        if line in self._lines and not final:
            self._lines.remove(line)
        if final or not self._lines:
            self._error = self._error or error
            self._leave()

    def _leave(self) -> None:
        lines, self._lines = self._lines, []
        for line in lines:
            line.leave(self.topic, self)
        self._ready.set()
        self._over.set()


class Gathered(Generic[T]):
    """What comes within one turn of the event loop, handed on together: for streams that send each trade in a frame.

    Whoever made it flushes when the subscription has ended. Where handing on fails, the subscription ends with that.
    """

    def __init__(self, emit: Callable[[Sequence[T]], None], subscription: Callable[[], Subscription]) -> None:
        self._emit, self._subscription = emit, subscription
        self._items: list[T] = []

    def add(self, item: T) -> None:
        """Hand it on with what else comes now; a plain call for ``on_frame``."""
        if not self._items:
            asyncio.get_running_loop().call_soon(self.flush)
        self._items.append(item)

    def flush(self) -> None:
        """Hand on what has come, if anything has. Raises nothing."""
        items, self._items = self._items, []
        if not items:
            return
        try:
            self._emit(items)
        except Exception as error:
            self._subscription().end(error)


class Socket:
    """As many connections to one URL as its subscriptions need, each shared by as many as the exchange allows."""

    def __init__(self, url: str, dialect: Dialect, transport: Transport, tasks: TaskGroup, *, proxy: str = "") -> None:
        self.url = url
        self._dialect, self._transport, self._tasks, self._proxy = dialect, transport, tasks, proxy
        self._runtime, self._log = transport.runtime, transport.log
        self._lines: list[Line] = []
        self._not_before = self._runtime.clock.monotonic()
        self._failures = 0

    @property
    def connections(self) -> int:
        """How many connections are open or being opened."""
        return len(self._lines)

    def subscription(
        self, topic: str, on_frame: Callable[[bytes], None], on_alive: Callable[[], None] = _nothing
    ) -> Subscription:
        """A subscription to enter with ``async with``. Both callbacks are plain calls that never block.

        Entering raises NotSent, Unavailable, RateLimited or DeadlineExceeded if there is no connection (with
        ``retry_after`` if the exchange named one), Refused if the exchange refuses the topic.
        """
        return Subscription(self, topic, on_frame, on_alive)

    def join(self, subscription: Subscription) -> None:
        """Put a subscription on a connection; opens one if none has room. Called by the subscription itself."""
        topic = subscription.topic
        line = next((line for line in self._lines if line.holds(topic)), None)
        line = line or next((line for line in self._lines if line.room > 0), None)
        if line is None:
            wait = self._not_before - self._runtime.clock.monotonic()
            if wait > 0:
                raise Unavailable(f"{self.url} could not be connected; next try in {wait:.1f} s", retry_after=wait)
            line = self._open()
        line.join(topic, subscription)

    def _open(self) -> Line:
        from .wsline import Line  # and the library with it: on first use

        spread = 1 - _AGE_SPREAD * self._runtime.random.random()
        line = Line(self.url, self._dialect, self._runtime, self._log, self._grown_old, spread)
        self._lines.append(line)
        self._tasks.start_soon(self._serve, line)
        return line

    async def _serve(self, line: Line) -> None:
        error: ExGateError | None = None
        try:
            error = await line.run(self._transport.last_hop(self.url), self._proxy)
        except Exception:
            self._log.exception("the connection to %s broke", self.url)
        finally:
            self._lines.remove(line)
        if line.connected:
            self._failures = 0
        elif error is not None:
            self._failed(error)

    def _failed(self, error: ExGateError) -> None:
        """No connection: everybody waits, or each of a hundred feeds would knock on its own."""
        self._failures += 1
        backoff = min(_LONGEST_BACKOFF, _BACKOFF * 2.0 ** min(self._failures, 10))
        pause = error.retry_after or backoff * (0.5 + 0.5 * self._runtime.random.random())
        if isinstance(error, RateLimited):
            pause = error.retry_after or _DEFAULT_PAUSE
            self._transport.budget.pause(pause)
        self._not_before = self._runtime.clock.monotonic() + pause

    def _grown_old(self, line: Line) -> None:
        self._tasks.start_soon(self._replace, line)

    async def _replace(self, old: Line) -> None:
        """Have everything on a new connection before the old one is dropped; try until the old one is over."""
        while old.topics and not old.over:
            new = self._open()
            for topic, parties in old.topics:
                for party in parties:
                    new.join(topic, party)
            await new.settled.wait()
            if not new.over:
                await self._runtime.sleep(self._dialect.limits.overlap)
            if not new.over:
                break
            await self._runtime.sleep(_BEFORE_NEXT_TRY * (0.5 + self._runtime.random.random()))
        old.close()
