"""The WebSocket sender: trades and their status from one reader to one client, until either is gone."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import anyio

from .errors import ExGateError, Internal, InvalidArgument, RateLimited, Unavailable, Unimplemented
from .readers import ReaderClosed
from .replies import Header, failure, header, ignored
from .requests import parse_bool, parse_query

if TYPE_CHECKING:
    from .models import Market

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Write = Callable[[bytes], bool]
"""Sends a text at once, or says False: nothing was sent, ``Send`` must be used."""

WRITE = "exgate.write"
"""The extension of a WebSocket's scope that is a ``Write``; only ExGate's own server has it."""

GOING_AWAY, POLICY, INTERNAL = 1012, 1008, 1011
"""Close codes: the gateway restarts; the client is too slow or sends too much; a bug."""

_LOG = logging.getLogger("exgate.streams")
_SINCE_ID = re.compile(r"[!-~]{1,128}")
_KNOWN = frozenset(("symbol", "since_id", "extended"))
_TURN = 4
_INBOUND, _INBOUND_WINDOW = 100, 10.0
_CLOSE_DEADLINE = 1.0


class Reader(Protocol):
    """One client's place in a stream of trades."""

    async def next(self) -> bytes:
        """The next text frame; raises ReaderClosed(code, reason)."""
        ...

    async def relay(self, write: Write) -> None:
        """Hand frames to ``write`` until it refuses one or ``next`` has something else to tell."""
        ...


class Entry(Protocol):
    """What a stream needs of a name behind the API."""

    exchange: Any

    async def pull_trade(self, market: Market, since_id: str | None, serve: Callable[[Any], Awaitable[None]]) -> None:
        """Subscribe and run ``serve(reader)``."""
        ...


class Gateway(Protocol):
    """What a stream needs of the gateway."""

    draining: bool

    async def entry(self, name: str) -> Any:
        """The open name."""
        ...


async def pull_trade_socket(
    scope: Mapping[str, Any], receive: Receive, send: Send, gateway: Gateway, *, stall: float = 10.0
) -> None:
    """Serve ``/v1/{exchange}/pull_trade`` as a WebSocket to whom the guard let in; ``scope["path_params"]`` holds
    ``exchange``.

    A client that takes no byte for ``stall`` seconds is closed with 1008.
    """
    await receive()
    stream = _Stream(receive, send, scope.get("extensions", {}).get(WRITE), stall)
    try:
        wanted = await _wanted(scope, gateway)
        stream.greeting = wanted.headers
        await wanted.entry.pull_trade(wanted.market, wanted.since_id, stream.serve)
    except ExGateError as error:
        await stream.fail(scope, error)
    except Exception:
        _LOG.exception("a stream broke")
        await stream.fail(scope, Internal("a bug in ExGate or a plugin; the log has it."))


class Capped:
    """An app with a cap on its WebSockets."""

    def __init__(self, app: Callable[..., Awaitable[None]], limit: int) -> None:
        self._app, self._limit, self._count = app, limit, 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve, or refuse one WebSocket too many."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        if self._count >= self._limit:
            await receive()
            error = RateLimited(f"{self._limit} are open.", reason="TOO_MANY_STREAMS", retry_after=5)
            await deny(scope, send, error)
            return
        self._count += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._count -= 1


async def deny(scope: Mapping[str, Any], send: Send, error: ExGateError) -> None:
    """Refuse a WebSocket before it is accepted: the HTTP status, headers and google.rpc.Status of the error."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY, "reason": error.reason})
        return
    reply = failure(scope, error)
    headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "websocket.http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": reply.body})


class _Wanted(NamedTuple):
    entry: Entry
    market: Market
    since_id: str | None
    headers: tuple[Header, ...]


async def _wanted(scope: Mapping[str, Any], gateway: Gateway) -> _Wanted:
    if gateway.draining:
        raise Unavailable("the gateway is stopping.", reason="SHUTTING_DOWN", retry_after=1)
    params, unknown = parse_query(scope["query_string"], _KNOWN)
    parse_bool("extended", params.get("extended"))
    since_id = params.get("since_id") or None
    if since_id is not None and not _SINCE_ID.fullmatch(since_id):
        raise InvalidArgument.of("since_id", "the trade_id of the last trade received")
    entry = await gateway.entry(scope["path_params"]["exchange"])
    if not entry.exchange.has("pull_trade"):
        raise Unimplemented("no installed plugin streams the trades of this exchange.")
    market: Market = entry.exchange.markets.resolve(params.get("symbol", ""))
    return _Wanted(entry, market, since_id, (header(b"exgate-symbol", market.symbol), *ignored(unknown)))


class _Stream:
    """Both directions of one accepted WebSocket, and the watch on a client that takes nothing."""

    def __init__(self, receive: Receive, send: Send, write: Write | None, stall: float) -> None:
        self._receive, self._send, self._write, self._stall = receive, send, write, stall
        self.greeting: tuple[Header, ...] = ()
        """Headers of the answer that accepts."""
        self._accepted = self._gone = self._busy = False
        self._sent = 0
        self._code, self._reason = INTERNAL, ""

    async def serve(self, reader: Reader) -> None:
        """Accept, then forward frames until the reader closes, the client leaves or misbehaves."""
        await self._send({"type": "websocket.accept", "headers": list(self.greeting)})
        self._accepted = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, tasks.cancel_scope)
            # A task of its own: each frame would else wake every coroutine from the server's down to this one.
            tasks.start_soon(self._forward, reader, tasks.cancel_scope)
        await self._close()

    async def fail(self, scope: Mapping[str, Any], error: ExGateError) -> None:
        """Tell the client what went wrong: before the accept as an HTTP answer, after it as a close code."""
        if not self._accepted:
            await deny(scope, self._send, error)
        else:
            self.end(INTERNAL, error.reason)
            await self._close()

    def stuck(self, seen: int) -> bool:
        """Whether the send that was under way after ``seen`` frames still is."""
        return self._busy and self._sent == seen

    def end(self, code: int, reason: str) -> None:
        """Say why the stream ends."""
        self._code, self._reason = code, reason

    @property
    def sent(self) -> int:
        """Frames sent so far."""
        return self._sent

    async def _forward(self, reader: Reader, scope: anyio.CancelScope) -> None:
        watch = _Watch(self, scope, self._stall)
        try:
            await self._send_frames(reader, self._send)
        except ReaderClosed as closed:
            self.end(closed.code, closed.reason)
        except Exception:
            _LOG.exception("a stream broke")
        finally:
            watch.stop()
        scope.cancel()

    async def _send_frames(self, reader: Reader, send: Send) -> None:
        while True:
            if self._write is not None:
                await reader.relay(self._write)
            frame = await reader.next()
            self._busy = True
            await send({"type": "websocket.send", "text": frame.decode()})
            self._busy = False
            self._sent += 1
            # A server's send() to a client that is gone may neither raise nor wait: without this the loop never ends.
            # Not after every frame: a frame that was waited for needs it not, and it costs a third of a send.
            if self._sent % _TURN == 0:
                await asyncio.sleep(0)

    async def _listen(self, scope: anyio.CancelScope) -> None:
        """Notice that the client leaves. It has nothing to say: a little is ignored, much ends the stream."""
        window, count = anyio.current_time(), 0
        while (await self._receive())["type"] != "websocket.disconnect":
            count += 1
            if anyio.current_time() - window > _INBOUND_WINDOW:
                window, count = anyio.current_time(), 1
            if count > _INBOUND:
                self.end(POLICY, "too many messages")
                scope.cancel()
                return
        self._gone = True
        scope.cancel()

    async def _close(self) -> None:
        """Send the close frame and give the client a moment to answer it."""
        if self._gone:
            return
        self._gone = True
        with anyio.move_on_after(_CLOSE_DEADLINE):
            await self._send({"type": "websocket.close", "code": self._code, "reason": self._reason})
            while (await self._receive())["type"] != "websocket.disconnect":
                pass


class _Watch:
    """Ends a stream whose client takes nothing, with one timer per stream instead of one per frame."""

    def __init__(self, stream: _Stream, scope: anyio.CancelScope, period: float) -> None:
        self._stream, self._scope, self._period = stream, scope, period
        self._loop = asyncio.get_running_loop()
        self._arm()

    def stop(self) -> None:
        """No more looks."""
        self._timer.cancel()

    def _arm(self) -> None:
        self._seen = self._stream.sent
        self._timer = self._loop.call_later(self._period, self._look)

    def _look(self) -> None:
        if self._stream.stuck(self._seen):
            self._stream.end(POLICY, "slow")
            self._scope.cancel()
        else:
            self._arm()
