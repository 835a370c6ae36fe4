"""One stream's own connection.

ccxt keeps books, caches, subscriptions and connections of all streams in one object, and an exception in one handler
silently ends the reading of a connection. So each stream gets a light copy of the exchange object: the markets and
the HTTP session are shared, everything that streams change is its own, and whatever breaks ends this stream alone.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

import anyio

from exgate_core.client import Context
from exgate_core.errors import Unavailable

PING = 2.0
"""Seconds between our pings."""

ANSWER = 10.0
"""Seconds of silence that a server which answers pings is allowed."""

SILENCE = 60.0
"""Seconds of silence that any other server is allowed."""

GRACE = 5.0
"""Seconds after which a subscription that wasn't refused is taken as accepted, if the connection is alive."""

_CLOSING = 1.0
_LONGEST_WORD = 64
_OWN = ("clients", "orderbooks", "tickers", "bidsasks", "ohlcvs", "fundingRates", "liquidations", "markPrices")
_SPEAKS = ("TEXT", "BINARY")
_BEATS = ("PING", "PONG")
_SOON = {"watchOrderBook": {"snapshotDelay": 1}}
# ccxt waits for so many changes before it asks for the snapshot: in a quiet market minutes.
_OPTIONS = {"bitstamp": _SOON, "kucoin": _SOON}


class Tap(Protocol):
    """What a stream takes out of ccxt."""

    def attach(self, exchange: Any) -> None:
        """Hook into the copy, before it connects."""

    def read(self, message: Any) -> Any:
        """A decoded frame, before ccxt sees it; returns what ccxt is to see."""

    def resolved(self, result: Any) -> None:
        """ccxt says that its ``result`` has changed and is whole."""

    def flush(self) -> bool:
        """Hand on what the frame brought. False if that is nothing."""

    @property
    def begun(self) -> bool:
        """Whether anything was handed on so far."""

    def alive(self) -> None:
        """The connection was just proven alive, and the subscription wasn't refused."""


class Stream:
    """A copy of ``client`` for one stream, watched. Raises from ``run`` whatever ends the stream."""

    def __init__(self, client: Any, context: Context, tap: Tap) -> None:
        self._context = context
        self._tap = tap
        self._over: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._links: dict[str, Any] = {}
        self._openings: set[asyncio.Task[Any]] = set()
        self._heard = context.clock.monotonic()
        self._answers = False
        self._asked: float | None = None
        self._accepted = False
        self._inside = False
        self._exchange = self._copy(client)
        tap.attach(self._exchange)

    async def run(self, watch: Callable[[Any], Awaitable[Any]]) -> None:
        """Subscribe with ``watch(copy)`` and stay until the stream ends."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._subscribe, watch)
                tasks.start_soon(self._watch_over)
                await asyncio.wait([self._over])
                tasks.cancel_scope.cancel()
        finally:
            await self._close()
        raise self._over.result()

    def fail(self, error: object) -> None:
        """End the stream."""
        if not self._over.done():
            self._over.set_result(error if isinstance(error, Exception) else Unavailable(f"the stream ended: {error}."))

    def _copy(self, client: Any) -> Any:
        client.open()  # the one HTTP session of all copies
        mine = copy.copy(client)
        for name in _OWN:
            setattr(mine, name, {})
        mine.options = client.deep_extend(client.options, _OPTIONS.get(client.id, {}))
        if client.id == "coinbaseexchange" and not client.apiKey:
            mine.authenticate = dict  # public channels need no keys, whatever ccxt thinks
        mine.fetch = partial(self._ask, mine.fetch)
        self._make_link = mine.client
        self._handle = mine.handle_message
        mine.client = self._client
        mine.handle_message = self._message
        return mine

    async def _ask(self, original: Any, *arguments: Any, **named: Any) -> Any:
        # ccxt asks for a snapshot that it didn't get again and again, for ever.
        if self._over.done():
            raise asyncio.CancelledError
        return await original(*arguments, **named)

    def _client(self, url: str) -> Any:
        link = self._make_link(url)
        if self._links.get(url) is not link:
            self._links[url] = link
            link.throttle = _at_once  # one subscription: nothing to hold back
            link.handle_message = partial(self._frame, link.handle_message)
            link.reject = partial(self._reject, link.reject)
            link.resolve = partial(self._resolve, link.resolve)
            link.send = partial(self._send, link.send)
            link.open = partial(self._open, link, link.open)
        return link

    async def _open(self, link: Any, original: Any, *arguments: Any) -> None:
        # ccxt opens connections in tasks of its own: one that comes too late must not stay open unread.
        task = asyncio.current_task()
        if task is not None:
            self._openings.add(task)
            task.add_done_callback(self._openings.discard)
        self._heard = self._context.clock.monotonic()
        await original(*arguments)
        self._heard = self._context.clock.monotonic()

    async def _send(self, original: Any, message: Any) -> None:
        await original(message)
        if self._asked is None:
            self._asked = self._context.clock.monotonic()

    def _reject(self, original: Any, result: Any, message_hash: Any = None) -> Any:
        self.fail(result)
        return original(result, message_hash)

    def _resolve(self, original: Any, result: Any, message_hash: Any) -> Any:
        if not self._over.done():
            self._tap.resolved(result)
            if not self._inside:
                self._tap.flush()
        return original(result, message_hash)

    def _message(self, link: Any, message: Any) -> None:
        if isinstance(message, str) and len(message) > _LONGEST_WORD:
            raise Unavailable("a frame of the stream is no JSON.")
        self._handle(link, self._tap.read(message))

    def _frame(self, original: Any, frame: Any) -> None:
        if self._over.done():
            return
        self._heard = now = self._context.clock.monotonic()
        self._inside = True
        try:
            original(frame)
            if frame.type.name in _SPEAKS:
                self._spoken(now)
            elif frame.type.name in _BEATS:
                self._answers = self._answers or frame.type.name == "PONG"
                self._beat(now)
        except Exception as error:
            # In ccxt's own callback it would end the reading without a word.
            self.fail(error)
        finally:
            self._inside = False

    def _spoken(self, now: float) -> None:
        if self._over.done():
            return
        if self._tap.flush():
            self._accepted = True
        elif self._asked is not None:
            self._accepted = True
            self._tap.alive()

    def _beat(self, now: float) -> None:
        if not self._accepted and self._asked is not None and now - self._asked >= GRACE:
            self._accepted = True
        if self._accepted and not self._over.done():
            self._tap.alive()

    async def _subscribe(self, watch: Callable[[Any], Awaitable[Any]]) -> None:
        try:
            result = await watch(self._exchange)
        except Exception as error:
            self.fail(error)
        else:
            if result and not self._tap.begun:
                self.fail(Unavailable("ccxt keeps what this stream sends where it isn't seen."))

    async def _watch_over(self) -> None:
        while True:
            await self._context.sleep(PING)
            silent = self._context.clock.monotonic() - self._heard
            if silent > (ANSWER if self._answers else SILENCE):
                self.fail(Unavailable(f"the connection was silent for {silent:.0f} s."))
            for link in self._links.values():
                await self._ping(link)

    async def _ping(self, link: Any) -> None:
        if link.closed():
            return
        if self._asked is None:
            self._asked = self._context.clock.monotonic()  # subscribed by the address alone
        try:
            await link.connection.ping()
        except Exception as error:
            self.fail(error)

    async def _close(self) -> None:
        for task in list(self._openings):
            task.cancel()
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSING):
            for link in self._links.values():
                await link.close()
        for link in self._links.values():
            for future in (*link.futures.values(), link.connected):
                if future.done() and not future.cancelled():
                    future.exception()  # seen: nobody else asks for it
        self._exchange.session = self._exchange.socks_proxy_sessions = None  # it is the original's to close


async def _at_once(cost: object = None) -> None:
    return None
