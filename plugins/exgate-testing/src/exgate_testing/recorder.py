"""A server between a gateway and its exchanges that writes down what passes: ``upstream_prefix`` leads to it.

REST and WebSocket, both ways, as it comes; bodies and frames are passed on byte for byte. Credentials pass through and
are never written (``recordings_secrets``). It listens on this machine only and is no proxy for web pages.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from exgate_core.clock import Clock

from .recordings import Direction, Exchanged, Passed, Writer, exchange_of
from .recordings_secrets import Secrets
from .recordings_server import is_socket, served

KEPT_HEADERS: Final = frozenset({"content-type", "retry-after"})
"""Headers of an answer that are written down."""

_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host "
    "content-length".split()
)
_HANDSHAKE = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"})
_ENCODINGS = ("gzip", "deflate", "identity")
_MOST = 64 * 1024 * 1024
_NO_AUTO = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_LOG = logging.getLogger("exgate.recorder")


class Recorder:
    """What is being recorded into a folder: one session per exchange. ``async with`` it."""

    def __init__(self, folder: Path, clock: Clock, *, upstream_prefix: str = "") -> None:
        self.secrets = Secrets()
        self._folder, self._clock = folder, clock
        self._prefix = upstream_prefix and upstream_prefix.rstrip("/") + "/"
        self._writers: dict[str, Writer] = {}
        self._connections = 0
        self._client: aiohttp.ClientSession | None = None

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """How many requests and how many frames of each exchange were written."""
        return {name: (writer.requests, writer.frames) for name, writer in self._writers.items()}

    async def __aenter__(self) -> Recorder:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NO_AUTO,
            timeout=aiohttp.ClientTimeout(total=None, connect=30),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._client is not None
        await self._client.close()
        for writer in self._writers.values():
            writer.close()

    async def answer(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        """One request of whatever kind, and what the exchange answers to it."""
        try:
            return await (self._socket if is_socket(request) else self._request)(request, url)
        except aiohttp.ClientError as error:
            # no answer of the exchange's: whoever asked must not take ours for one
            _LOG.warning("%s: %s", self.secrets.url(url).partition("?")[0], type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    def _hop(self, url: str) -> URL:
        prefix = self._prefix if url.startswith("http") or not self._prefix else "ws" + self._prefix[4:]
        return URL(prefix + url, encoded=True)

    def _writer(self, url: str) -> Writer:
        name = exchange_of(url)
        if name not in self._writers:
            moment = datetime.fromtimestamp(self._clock.time(), UTC)
            folder = self._folder / name / moment.strftime("%Y%m%d-%H%M%S")
            self._writers[name] = Writer(folder, name, moment.strftime("%Y-%m-%d"))
        return self._writers[name]

    # -- requests

    async def _request(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        assert self._client is not None
        body, asked = await request.read(), self._clock.time()
        private = self.secrets.learn_headers(request.headers)
        private = self.secrets.learn_request(url, _text(body)) or private
        headers = _passed_on(request.headers)
        async with self._client.request(
            request.method, self._hop(url), headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            passed = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_passed_on(answer.headers))
            if answer.content_length is not None:
                passed.content_length = answer.content_length
            await passed.prepare(request)
            whole = bytearray()
            async for chunk in answer.content.iter_any():
                await passed.write(chunk)
                if len(whole) <= _MOST:
                    whole += chunk
            await passed.write_eof()
        if request.method != "HEAD":
            self._write(request.method, url, body, answer, bytes(whole), asked, private)
        return passed

    def _write(
        self,
        method: str,
        url: str,
        body: bytes,
        answer: aiohttp.ClientResponse,
        whole: bytes,
        asked: float,
        private: bool,
    ) -> None:
        try:
            unpacked = _unpacked(whole, answer.headers.get("Content-Encoding", ""))
        except ValueError as error:
            return _LOG.warning("%s: not written (%s)", url.partition("?")[0], error)
        self.secrets.learn_answer(_text(unpacked))
        self._writer(url).exchanged(
            Exchanged(
                method=method,
                url=self.secrets.url(url),
                body=self.secrets.body(_text(body)),
                status=answer.status,
                answer=self.secrets.data(unpacked),
                headers={name.lower(): value for name, value in answer.headers.items() if name.lower() in KEPT_HEADERS},
                time=asked,
                private=private,
            )
        )

    # -- WebSockets

    async def _socket(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        assert self._client is not None
        self.secrets.learn_headers(request.headers)
        self.secrets.learn_request(url, "")
        headers = _passed_on(request.headers, *_HANDSHAKE)
        try:
            upstream = await self._client.ws_connect(
                self._hop(url), headers=headers, autoping=False, compress=0, max_msg_size=_MOST
            )
        except aiohttp.WSServerHandshakeError as error:
            kept = (
                {"Retry-After": error.headers["Retry-After"]}
                if error.headers and "Retry-After" in error.headers
                else {}
            )
            return web.Response(status=error.status if error.status >= 400 else 502, headers=kept)
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=_MOST)
        await socket.prepare(request)
        self._connections += 1
        number = self._connections - 1
        writer = self._writer(url)
        writer.passed(Passed(time=self._clock.time(), connection=number, direction="o", url=self.secrets.url(url)))
        there = asyncio.create_task(self._pump(socket, upstream, writer, number, to_exchange=True))
        back = asyncio.create_task(self._pump(upstream, socket, writer, number, to_exchange=False))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            await upstream.close()
            await socket.close()
        return socket

    async def _pump(
        self,
        source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        writer: Writer,
        number: int,
        *,
        to_exchange: bool,
    ) -> None:
        while True:
            message = await source.receive()
            if message.type is WSMsgType.PING:
                await sink.ping(message.data)
            elif message.type is WSMsgType.PONG:
                await sink.pong(message.data)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._keep(message.data, writer, number, to_exchange)
                await (sink.send_str if message.type is WSMsgType.TEXT else sink.send_bytes)(message.data)
            else:
                code = message.data if message.type is WSMsgType.CLOSE and isinstance(message.data, int) else 1011
                await sink.close(code=code, message=str(message.extra or "").encode())
                return

    def _keep(self, data: str | bytes, writer: Writer, number: int, to_exchange: bool) -> None:
        moment = self._clock.time()
        if isinstance(data, str):
            if to_exchange:
                self.secrets.learn_request("", data)
                data = self.secrets.body(data)
            else:
                self.secrets.learn_answer(data)
                data = self.secrets.text(data)
        else:
            data = self.secrets.data(data)
        direction: Direction = ">" if to_exchange else "<"
        writer.passed(Passed(time=moment, connection=number, direction=direction, frame=data))


@asynccontextmanager
async def recording(
    folder: Path, clock: Clock, *, host: str = "127.0.0.1", port: int = 0, upstream_prefix: str = ""
) -> AsyncIterator[tuple[Recorder, str]]:
    """Record into a folder while the block runs; yields the recorder and the prefix under which it is reached.

    Raises ValueError for a host beyond this machine.
    """
    async with Recorder(folder, clock, upstream_prefix=upstream_prefix) as it:
        async with served(it.answer, host=host, port=port) as prefix:
            yield it, prefix


def _passed_on(headers: Mapping[str, str], *others: str) -> CIMultiDict[str]:
    dropped = {*_HOP, *others, *(name.strip().lower() for name in headers.get("Connection", "").split(","))}
    kept = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)
    if "Accept-Encoding" in kept:  # no other encoding could be written down
        wanted = [part.strip() for part in kept["Accept-Encoding"].split(",")]
        kept["Accept-Encoding"] = ", ".join(part for part in wanted if part.partition(";")[0] in _ENCODINGS)
    return kept


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _unpacked(data: bytes, encoding: str) -> bytes:
    if encoding.lower() in ("", "identity") or not data:
        return data
    if encoding.lower() not in _ENCODINGS:
        raise ValueError(f"encoding {encoding}")
    bare = encoding.lower() == "deflate" and data[0] & 0xF != 8
    try:
        return zlib.decompress(data, -zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
    except zlib.error as error:
        raise ValueError(str(error)) from error
