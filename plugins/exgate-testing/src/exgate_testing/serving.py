"""A server of this process behind which a fake stands: HTTP and WebSocket, on a free port of 127.0.0.1.

``upstream_prefix = exchange.prefix`` in a section of settings sends everything that an adapter asks its exchange here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from .fakes import Fake, Reply, Request, Session
from .faults import FrameFault, WireFault, WireFaults
from .simulation import Simulation

_PING_EVERY = 0.5
_HTML = b"<html><head><title>Attention required</title></head><body><h1>One moment, please</h1></body></html>"
_PAGES = {"error_403": 403, "error_500": 500, "error_502": 502, "error_503": 503, "error_504": 504}
_ELSEWHERE = "/elsewhere"
_LOG = logging.getLogger("exgate.testing")


class Seen(NamedTuple):
    """One request that arrived."""

    request: Request
    operation: str
    """As ``Fake.operation`` says."""
    reply: Reply | None
    """What the fake answered; None where a fault kept it from being asked."""
    fault: WireFault | None
    """What then befell the answer."""


class FakeExchange:
    """A fake that is being served."""

    def __init__(self, fake: type[Fake]) -> None:
        self.simulation = Simulation(
            fake.markets, client_ids=getattr(fake, "client_ids", "open"), **getattr(fake, "simulated", {})
        )
        self.fake = fake(self.simulation)
        self.faults = WireFaults()
        self.requests: list[Seen] = []
        """What arrived over HTTP, in order."""
        self.frames: list[str] = []
        """What was sent over WebSockets, with a topic, in order, before any fault."""
        self.followed = 0
        """How often a redirect was followed."""
        self.errors: list[Exception] = []
        """What the fake raised: it is broken."""
        self.prefix = ""
        """For ``upstream_prefix``."""
        self.opened = 0
        """How many WebSocket connections there were."""
        self.refused = 0
        """How many were refused."""
        self._links: set[_Link] = set()
        self._runner: web.ServerRunner | None = None
        self._last: dict[str, Reply] = {}

    @property
    def sessions(self) -> int:
        """How many WebSocket connections are open."""
        return len(self._links)

    def operations(self) -> list[str]:
        """The operations asked for so far, in order."""
        return [seen.operation for seen in self.requests]

    def cut(self) -> None:
        """End every WebSocket connection, as a broken line does."""
        for link in list(self._links):
            link.abort()

    def announce(self) -> None:
        """The exchange tells every connection that it will end it soon."""
        for link in list(self._links):
            self._guarded(self.fake.leaving, link.session)  # type: ignore[attr-defined]

    @asynccontextmanager
    async def out_of_reach(self) -> AsyncIterator[None]:
        """Until the block ends, every connection is ended and each new one refused."""
        assert self._runner is not None and self._runner.server is not None
        port = int(self._runner.addresses[0][1])
        for site in list(self._runner.sites):
            await site.stop()
        self.cut()
        for connection in list(self._runner.server.connections):
            connection.force_close()
        try:
            yield
        finally:
            await web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True).start()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request of whatever kind."""
        target = request.raw_path.lstrip("/")
        if target.startswith(_ELSEWHERE[1:]):
            self.followed += 1
            return web.Response(body=b"{}", content_type="application/json")
        if "websocket" in request.headers.get("Upgrade", "").lower():
            return await self._socket(request, target)
        return await self._answer(request, await _read(request, target))

    async def _answer(self, raw: web.BaseRequest, request: Request) -> web.StreamResponse:
        operation = self._guarded(self.fake.operation, request) or ""
        fault = self.faults.request(operation)
        reply: Reply | None = None
        previous = self._last.get(operation)
        if fault is None or fault.when == "after":
            reply = self._guarded(self.fake.answer, request) or Reply(b"the fake is broken", 500)
            self._last[operation] = reply
        self.requests.append(Seen(request, operation, reply, fault))
        if fault is None:
            assert reply is not None
            return _response(reply)
        if fault.kind in ("drop", "hang", "cut"):
            return await _broken(raw, fault, reply)
        return self._lie(fault, reply, previous)

    def _lie(self, fault: WireFault, reply: Reply | None, previous: Reply | None) -> web.Response:
        if fault.kind in _PAGES:
            return web.Response(status=_PAGES[fault.kind], body=_HTML, content_type="text/html")
        if fault.kind == "redirect":
            return web.Response(status=302, headers={"Location": self.prefix.rstrip("/") + _ELSEWHERE})
        if fault.kind == "too_many":
            return _response(self.fake.too_many())
        if fault.kind == "banned":
            return web.Response(status=418, headers={"Retry-After": "1"}, body=b"{}", content_type="application/json")
        if fault.kind == "html":
            return web.Response(body=_HTML, content_type="text/html")
        honest = reply or Reply(b'{"status":"ok","result":[]}')
        if fault.alter is not None:
            return _response(fault.alter(honest))
        bodies = {"truncated": honest.body[: len(honest.body) // 2], "empty": b"", "null": b"null", "blank": b"{}"}
        stale = (previous or honest).body
        return web.Response(body=bodies.get(fault.kind, stale), content_type="application/json")

    async def _socket(self, raw: web.BaseRequest, target: str) -> web.StreamResponse:
        if self.faults.refuse_sockets:
            self.refused += 1
            return web.Response(status=503, body=_HTML, content_type="text/html")
        parts = urlsplit(target)
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(raw)
        link = _Link(self, socket, raw, parts.netloc, parts.path + (f"?{parts.query}" if parts.query else ""))
        self._links.add(link)
        self.opened += 1
        try:
            self._guarded(self.fake.opened, link.session)
            await link.run()
        finally:
            self._links.discard(link)
            self._guarded(self.fake.closed, link.session)
        return socket

    def _guarded(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            _LOG.error("the fake broke", exc_info=error)
            self.errors.append(error)
            return None

    def heard(self, session: Session, text: str) -> None:
        """A text frame of the adapter."""
        self._guarded(self.fake.message, session, text)

    def beat(self, session: Session) -> None:
        """Time for the exchange's own heartbeat, if it has one."""
        ping = getattr(self.fake, "ping", None)
        if ping is not None:
            self._guarded(ping, session)


class _Link:
    """One WebSocket connection: a queue of frames to send, and what befalls them."""

    def __init__(
        self, exchange: FakeExchange, socket: web.WebSocketResponse, raw: web.BaseRequest, host: str, path: str
    ) -> None:
        self._exchange, self._socket, self._raw = exchange, socket, raw
        self._queue: asyncio.Queue[str | bytes | int] = asyncio.Queue()
        self._held: list[str | bytes] = []
        self.session = Session(host, path, self._send, self._queue.put_nowait)

    def abort(self) -> None:
        if self._raw.transport is not None:
            self._raw.transport.abort()

    async def run(self) -> None:
        others = [asyncio.ensure_future(self._write()), asyncio.ensure_future(self._beat())]
        try:
            async for message in self._socket:
                if message.type is WSMsgType.PING and not self._exchange.faults.mute:
                    await self._socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self._exchange.heard(self.session, message.data)
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    def _send(self, text: str | bytes, topic: str) -> None:
        faults = self._exchange.faults
        if topic:
            plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
            self._exchange.frames.append(plain)
        if faults.mute:
            return
        for frame in self._after(text, faults.frame(plain)) if topic else [text]:
            self._queue.put_nowait(frame)

    def _after(self, frame: str | bytes, fault: FrameFault | None) -> list[str | bytes]:
        kind = fault.kind if fault else ""
        held, self._held = self._held, []
        if kind == "swap":
            self._held = [*held, frame]
            return []
        if kind == "skip":
            return held
        if kind == "malformed":
            frame = frame[: len(frame) // 2]
        if fault is not None and kind == "replace":
            text = frame.decode() if isinstance(frame, bytes) else frame
            frame = text.replace(fault.old, fault.new)
        if fault is not None and fault.alter is not None:
            frame = fault.alter(frame.decode() if isinstance(frame, bytes) else frame)
        return [frame, *([frame] if kind == "repeat" else []), *held]

    async def _write(self) -> None:
        while True:
            frame = await self._queue.get()
            try:
                if isinstance(frame, int):
                    await self._socket.close(code=frame)
                elif isinstance(frame, bytes):
                    await self._socket.send_bytes(frame)
                else:
                    await self._socket.send_str(frame)
            except ConnectionError:
                return

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_PING_EVERY)
            self._exchange.beat(self.session)


async def _read(raw: web.BaseRequest, target: str) -> Request:
    parts = urlsplit(target)
    return Request(
        method=raw.method,
        host=parts.netloc,
        path=parts.path,
        query=parts.query,
        headers={name.lower(): value for name, value in raw.headers.items()},
        body=await raw.read(),
    )


def _response(reply: Reply) -> web.Response:
    headers = dict(reply.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return web.Response(body=reply.body, status=reply.status, headers=headers)


async def _broken(raw: web.BaseRequest, fault: WireFault, reply: Reply | None) -> web.StreamResponse:
    if fault.kind == "hang":
        await asyncio.Event().wait()
    if fault.kind == "cut":
        body = reply.body if reply else b'{"status":"ok"}'
        half = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await half.prepare(raw)
        await half.write(body[: len(body) // 2])
    if raw.transport is not None:
        raw.transport.abort()
    return web.Response()


@asynccontextmanager
async def running(fake: type[Fake]) -> AsyncIterator[FakeExchange]:
    """Serve a fake until the block ends. Raises what the fake raised meanwhile: it is no judge while it is broken."""
    exchange = FakeExchange(fake)
    quiet = logging.getLogger("exgate.testing.server")
    quiet.setLevel(logging.CRITICAL)
    server = web.Server(exchange.serve, handler_cancellation=True, access_log=None, logger=quiet)
    exchange._runner = runner = web.ServerRunner(server, shutdown_timeout=0.02)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    exchange.prefix = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield exchange
    finally:
        exchange.cut()
        await runner.cleanup()
    if exchange.errors:
        raise ExceptionGroup("the fake is broken", exchange.errors)
