"""One WebSocket connection: its handshake, its heartbeat, the requests on it and the frames from it.

Frames are handed to plain callbacks inside the reader, so nothing can slow the reader down. Whatever goes wrong ends
the connection and with it every subscription that has no other; nothing is opened again here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import anyio
from picows import WSCloseCode, WSError, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from .clock import Runtime
from .dialects import Control, Dialect, unpacked
from .errors import DeadlineExceeded, ExGateError, NotSent, RateLimited, Refused, Unavailable
from .fetch import seconds_of, tls

MAX_FRAME = 8 * 1024 * 1024
"""Bytes of one message, unpacked; a longer one ends the connection."""

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_MOST_PARTS, _MOST_UNSENT = 10_000, 1024 * 1024  # bytes: who pings without reading our pongs is cut


class Party(Protocol):
    """Whoever a topic's frames are for."""

    def joined(self, line: Line) -> None:
        """The topic was asked for on this line too."""
        ...

    def confirmed(self, line: Line) -> None:
        """The exchange agreed."""
        ...

    def on_frame(self, frame: bytes) -> None:
        """One frame of the topic."""
        ...

    def on_alive(self) -> None:
        """The connection was just proven alive."""
        ...

    def lost(self, line: Line, error: ExGateError, final: bool = False) -> None:
        """Nothing more comes from this line; ``final``: nor may anything come from another."""
        ...


class _Request(NamedTuple):
    kind: Literal["subscribe", "unsubscribe"]
    topics: set[str]
    sent: float


class Line:
    """One connection. ``run`` is its whole life; everything else is a plain call."""

    def __init__(
        self,
        url: str,
        dialect: Dialect,
        runtime: Runtime,
        log: logging.Logger,
        on_old: Callable[[Line], None],
        spread: float = 1.0,
    ) -> None:
        self.url = url
        self.over = False
        """Nothing comes from here any more."""
        self.retiring = False
        """Takes no new topics: about to be replaced."""
        self.connected = False
        """Whether the handshake succeeded at some time."""
        self.heard = False
        """Set by the reader with every frame, cleared by the heartbeat."""
        self.settled = anyio.Event()
        """Set when no request is unanswered, and when the connection is over."""
        self._dialect, self._limits, self._runtime, self._log = dialect, dialect.limits, runtime, log
        self._on_old, self._lifetime = on_old, dialect.limits.lifetime * spread
        self._parties: dict[str, tuple[Party, ...]] = {}  # wanted
        self._routes: dict[str, tuple[Party, ...]] = {}  # wanted and asked for: what the reader sees
        self._confirmed: set[str] = set()
        self._todo: dict[str, Literal["subscribe", "unsubscribe"]] = {}
        self._requests: dict[int, _Request] = {}
        self._number = 0
        self._wake, self._down = anyio.Event(), anyio.Event()
        self._transport: WSTransport | None = None
        self._error: ExGateError | None = None
        self._opened = runtime.clock.monotonic()
        self.parts: list[bytes] = []
        """Of a message that isn't whole yet."""
        self._size, self._packed = 0, False  # of the message in parts

    # -- topics

    @property
    def topics(self) -> list[tuple[str, tuple[Party, ...]]]:
        """Every topic with its parties."""
        return list(self._parties.items())

    @property
    def room(self) -> int:
        """How many more topics fit."""
        return self._limits.topics - len(self._parties) if self._takes else 0

    def holds(self, topic: str) -> bool:
        """Whether the topic is already on this connection."""
        return self._takes and topic in self._parties

    @property
    def _takes(self) -> bool:
        return self._error is None and not self.retiring

    def join(self, topic: str, party: Party) -> None:
        """Deliver a topic to one more party; ``party.confirmed`` is called when the exchange agreed."""
        party.joined(self)
        known = self._parties.get(topic)
        self._parties[topic] = (*(known or ()), party)
        if topic in self._routes:
            self._routes[topic] = self._parties[topic]
        if known is None and topic not in self._todo:  # else it is asked for again as soon as it was ended
            self._ask(topic, "subscribe")
        elif topic in self._confirmed:
            party.confirmed(self)

    def leave(self, topic: str, party: Party) -> None:
        """Deliver a topic to one party less; the last one ends it, the last topic the connection."""
        rest = tuple(other for other in self._parties.get(topic, ()) if other is not party)
        if rest:
            self._parties[topic] = rest
            if topic in self._routes:
                self._routes[topic] = rest
            return
        asked = self._routes.pop(topic, None) is not None
        if self._parties.pop(topic, None) is None:
            return
        self._confirmed.discard(topic)
        if not self._parties:
            self.close()
        elif asked:
            self._ask(topic, "unsubscribe")
        elif self._todo.get(topic) == "subscribe":
            del self._todo[topic]

    def _ask(self, topic: str, kind: Literal["subscribe", "unsubscribe"]) -> None:
        self.settled = self.settled if not self.settled.is_set() else anyio.Event()
        self._todo[topic] = kind
        self._wake.set()

    # -- life

    def close(self) -> None:
        """End the connection at once."""
        self._cut(Unavailable("The connection was closed."))

    async def run(self, target: str, proxy: str) -> ExGateError:
        """Connect, serve, and return why it ended; by then every party was told."""
        try:
            await self._connect(target, proxy)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                tasks.start_soon(self._watch)
                await self._down.wait()
                tasks.cancel_scope.cancel()
        except ExGateError as error:
            self._error = error
        finally:
            self._cut(self._error or Unavailable("The connection was closed."))
            self._end()
        assert self._error is not None
        return self._error

    async def _connect(self, target: str, proxy: str) -> None:
        limit = self._limits.handshake
        try:
            with anyio.fail_after(limit):
                self._transport, _ = await ws_connect(
                    lambda: _Listener(self),
                    target,
                    ssl_context=tls(),
                    websocket_handshake_timeout=limit,
                    max_redirects=0,
                    max_frame_size=MAX_FRAME,
                    proxy=proxy or None,
                    extra_headers={"User-Agent": "exgate"},
                )
        except (WSError, OSError) as error:
            raise self._refusal(error) from error
        if self._transport.is_disconnected:  # the library takes that for a success
            raise Unavailable(f"{self.url} closed the connection instead of accepting it")
        self._opened, self.connected = self._runtime.clock.monotonic(), True

    def _refusal(self, error: Exception) -> ExGateError:
        if isinstance(error, TimeoutError):
            return DeadlineExceeded(f"{self.url} made no connection within {self._limits.handshake:g} s")
        if isinstance(error, OSError):
            return NotSent(f"{self.url} could not be reached ({type(error).__name__}). Nothing was sent.")
        response = error.response if isinstance(error, WSHandshakeError) else None
        if response is None:
            return Unavailable(f"{self.url} made no WebSocket connection ({type(error).__name__})")
        status = int(response.status)
        headers = response.headers
        wait = seconds_of(headers.get("Retry-After", ""), self._runtime.clock.time(), headers.get("Date", ""))
        kind = RateLimited if status in (418, 429) else Unavailable
        return kind(f"{self.url} refused the WebSocket connection ({status})", retry_after=wait)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while (message := self._message()) is not None:
                self._send(message)
                await self._runtime.sleep(1 / self._limits.rate)

    def _message(self) -> str | None:
        """The next message: as many topics of one kind as fit, none of them still in an unanswered request."""
        busy = set[str]().union(*(request.topics for request in self._requests.values()))
        ready = [topic for topic in self._todo if topic not in busy]
        if not ready:
            return None
        kind = self._todo[ready[0]]
        topics = [topic for topic in ready if self._todo[topic] == kind][: self._limits.batch]
        self._number += 1
        self._requests[self._number] = _Request(kind, set(topics), self._runtime.clock.monotonic())
        for topic in topics:
            del self._todo[topic]
            if kind == "subscribe":
                self._routes[topic] = self._parties[topic]
            elif topic in self._parties:
                self._todo[topic] = "subscribe"
        make = self._dialect.subscribe if kind == "subscribe" else self._dialect.unsubscribe
        return make(topics, self._number)

    async def _watch(self) -> None:
        limits, clock, heard = self._limits, self._runtime.clock, self._opened
        while True:
            await self._runtime.sleep(limits.ping)
            now = clock.monotonic()
            if self.heard:
                self.heard, heard = False, now
            if now - heard > limits.ping + limits.pong:
                return self._cut(Unavailable(f"{self.url} gave no sign of life for {now - heard:.1f} s"))
            if any(now - request.sent > limits.confirm for request in self._requests.values()):
                return self._cut(Unavailable(f"{self.url} did not confirm a subscription in {limits.confirm:g} s"))
            if self._transport and self._transport.underlying_transport.get_write_buffer_size() > _MOST_UNSENT:
                return self._cut(Unavailable(f"{self.url} does not read what it is sent"))
            self._send(self._dialect.ping())
            if self._lifetime and now - self._opened > self._lifetime:
                self._retire()

    def _retire(self) -> None:
        if not self.retiring:
            self.retiring = True
            self._on_old(self)

    def _send(self, message: str) -> None:
        if self._transport is None or self._down.is_set():
            return
        if message:
            self._transport.send(WSMsgType.TEXT, message.encode())
        else:
            self._transport.send_ping()

    def _cut(self, error: ExGateError) -> None:
        if self._error is None:
            self._error = error
        if self._transport is not None and not self._transport.is_disconnected:
            if not self._transport.is_close_frame_sent:
                self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect(graceful=False)
        self._down.set()

    def _end(self) -> None:
        assert self._error is not None
        self.over = True
        parties, self._parties, self._routes = self._parties, {}, {}
        for several in parties.values():
            for party in several:
                party.lost(self, self._error)
        self.settled.set()

    # -- frames: called by the reader

    def receive(self, frame: bytes) -> None:
        """One whole message."""
        if self._error is not None:
            return  # what came after the reason to cut
        try:
            topic = self._dialect.route(frame)
        except Exception as error:
            self._log.warning("%s sent a frame that can't be read: %r", self.url, frame[:200])
            return self.broken(f"a frame that can't be read ({error})")
        if not isinstance(topic, str):
            return self._control(topic)
        for party in self._routes.get(topic, ()):
            try:
                party.on_frame(frame)
            except Exception as error:
                self._log.warning("a frame of %s can't be used: %r", topic, frame[:200], exc_info=error)
                unreadable = Unavailable(f"a frame of {topic} can't be used ({error})", reason="BAD_ANSWER")
                party.lost(self, unreadable, final=True)

    def alive(self) -> None:
        """A pong came: so is every confirmed subscription, as far as the exchange can tell."""
        for topic in list(self._confirmed):
            for party in self._routes.get(topic, ()):
                party.on_alive()

    def part(self, kind: WSMsgType, data: bytes, last: bool) -> None:
        """A fragment of a message, or a whole binary one."""
        if self._error is not None:
            return
        if (kind is _CONTINUATION) is not bool(self.parts):
            return self.broken("fragments out of order")
        if not self.parts:
            self._size, self._packed = 0, kind is _BINARY and self._limits.gzip
        self.parts.append(data)
        self._size += len(data)
        if self._size > MAX_FRAME or len(self.parts) > _MOST_PARTS:
            return self.broken("a message of more than 8 MiB or 10,000 fragments")
        if last:
            whole, self.parts = b"".join(self.parts), []
            try:
                self.receive(unpacked(whole, MAX_FRAME) if self._packed else whole)
            except ValueError as error:
                self.broken(f"a frame that can't be unpacked ({error})")

    def broken(self, what: str) -> None:
        """The other side doesn't speak the protocol."""
        self._cut(Unavailable(f"{self.url} sent {what}", reason="BAD_ANSWER"))

    def gone(self, why: str) -> None:
        """The other side ended the connection."""
        self._cut(Unavailable(f"{self.url} was cut{why}"))

    def _control(self, control: Control) -> None:
        if control.kind == "alive":
            self.alive()
        elif control.kind == "replace":
            self._retire()
        elif control.kind in ("confirmed", "rejected"):
            self._answered(control)

    def _answered(self, control: Control) -> None:
        number = control.number or next((n for n, r in self._requests.items() if control.topic in r.topics), 0)
        request = self._requests.get(number)
        if request is None:
            return
        topics = {control.topic} if control.topic else set(request.topics)
        request.topics.difference_update(topics)
        if not request.topics:
            del self._requests[number]
        for topic in topics if request.kind == "subscribe" else ():
            self._settle(topic, control)
        self._wake.set()
        if not self._requests and not self._todo:
            self.settled.set()

    def _settle(self, topic: str, control: Control) -> None:
        if topic not in self._routes:
            return  # left meanwhile
        if control.kind == "rejected":
            return self._reject(topic, control.message)
        self._confirmed.add(topic)
        for party in self._parties[topic]:
            party.confirmed(self)

    def _reject(self, topic: str, message: str) -> None:
        del self._routes[topic]
        error = Refused(f"{self.url} refused the subscription to {topic}: {message}")
        for party in self._parties.pop(topic):
            party.lost(self, error)
        if not self._parties:
            self.close()


class _Listener(WSListener):
    def __init__(self, line: Line) -> None:
        self._line, self._why = line, ""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        line, kind = self._line, frame.msg_type
        line.heard = True
        if frame.rsv1 or frame.rsv2 or frame.rsv3:  # compressed, say: no extension was agreed on
            line.broken("a frame of an extension that was not agreed on")
        elif kind is _TEXT and frame.fin and not line.parts:
            line.receive(frame.get_payload_as_bytes())
        elif kind is _TEXT or kind is _BINARY or kind is _CONTINUATION:
            line.part(kind, frame.get_payload_as_bytes(), frame.fin)
        elif kind is WSMsgType.PONG:
            line.alive()
        elif kind is WSMsgType.CLOSE:
            self._why = f" ({int(frame.get_close_code().value)} {frame.get_close_reason()})".replace(" )", ")")
            line.gone(self._why)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._line.gone(self._why)
