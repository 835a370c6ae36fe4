"""The kept-alive connections of one exchange side, and the two ways in which a request goes out on one.

``send`` is the library's own way. ``ask`` is for what is asked most: a GET without a body. It writes the request itself
and reads the answer with the library's parser, over the same connections and under the same limits, at a quarter of the
cost: nothing is made for cookies, redirects, uploads or middlewares that are never used here.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from .fetch import Arrived, Broken, Dropped, NoConnection, TooLong, tls
from .waiting import Limit

MAX_BODY = 8 * 1024 * 1024
"""Bytes of an answer, unpacked. More is refused unread."""

_READS = 64
_KEPT = 20.0
_ANSWERS_PER_RETRY, _MOST_RETRIES = 10, 10  # an exchange in trouble gets at most a tenth more than was asked for
_HEADERS = {"User-Agent": "exgate", "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")
_FRAMING = frozenset(
    "connection content-encoding content-length cookie expect host te trailer transfer-encoding upgrade".split()
)


class _NotThere(aiohttp.ClientError):
    """NoConnection, by way of the library."""


class _Ended(aiohttp.ClientError):
    """Dropped, by way of the library."""


class _Pool(aiohttp.TCPConnector):
    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # the library's own signature
    ) -> aiohttp.connector.Connection:
        """A connection on which nothing came unasked: that would be taken for the answer to the next request."""
        while True:
            try:
                connection = await super().connect(req, traces, timeout)
            except aiohttp.ClientError as error:
                raise _NotThere(type(error).__name__) from error
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()


class Session:
    """The pool of kept-alive connections of one exchange side."""

    def __init__(self, *, proxy: str = "") -> None:
        self._proxy = proxy or None
        self._client: aiohttp.ClientSession | None = None
        self._askers: dict[str, _Asker] = {}
        self.reads = asyncio.Semaphore(_READS)
        """So many questions at a time; orders and cancels never wait for them."""
        self._earned = _MOST_RETRIES * _ANSWERS_PER_RETRY

    def may_ask_again(self) -> bool:
        """Whether a question whose connection turned out dead may be asked once more: few may while nothing answers."""
        if self._earned < _ANSWERS_PER_RETRY:
            return False
        self._earned -= _ANSWERS_PER_RETRY
        return True

    def answered(self) -> None:
        """An answer came: the exchange is there."""
        self._earned = min(_MOST_RETRIES * _ANSWERS_PER_RETRY, self._earned + 1)

    def open(self) -> aiohttp.ClientSession:
        """The library's session, made on first use, inside the event loop."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=_Pool(limit=0, keepalive_timeout=_KEPT, ssl=tls()),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                proxy=self._proxy,
                middlewares=(_never_again,),
                skip_auto_headers=("Content-Type",),  # nobody said what it is: some exchanges refuse a guess
            )
        return self._client

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        seconds: float,
        connect: float,
    ) -> Arrived:
        """Send one request to an encoded URL and return its answer; so many seconds for all, and to get a connection.

        Raises NoConnection (not sent), Dropped, TimeoutError, TooLong, Broken; ValueError for headers that can't be
        sent.
        """
        try:
            return await self._exchange(method, url, headers, body, seconds, connect)
        except (_NotThere, aiohttp.ConnectionTimeoutError) as error:
            raise NoConnection(str(error) or type(error).__name__) from error
        except _Ended as error:
            raise Dropped from error
        except TimeoutError:
            raise
        except aiohttp.ClientError as error:
            raise Broken(type(error).__name__) from error

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        seconds: float,
        connect: float,
    ) -> Arrived:
        origin = url[: url.index("/", url.index("//") + 2)]
        if method == "GET" and body is None and self._proxy is None and "@" not in origin and _plain(headers):
            if origin not in self._askers:
                self._askers[origin] = _Asker(self.open(), origin)
            asker = self._askers[origin]
            with Limit(seconds):
                return await asker.ask(url[len(origin) :], headers, connect)
        return await self._send(method, url, headers, body, aiohttp.ClientTimeout(total=seconds, connect=connect))

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # the library's own
    ) -> Arrived:
        async with self.open().request(
            method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False, timeout=timeout
        ) as answer:
            return Arrived(answer.status, answer.headers, await _read(answer.content))

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.close()


class _Asker:
    """GET requests to one origin."""

    def __init__(self, client: aiohttp.ClientSession, origin: str) -> None:
        assert client.connector is not None
        self._pool = client.connector
        # only shown to the pool, which looks at where it goes: one stands for all
        self._address = aiohttp.ClientRequest("GET", URL(origin + "/", encoded=True), session=client)
        self._host = f" HTTP/1.1\r\nHost: {self._address.headers['Host']}\r\n"

    async def ask(self, target: str, headers: Mapping[str, str] | None, connect: float) -> Arrived:
        head = f"GET {target}{self._host}{_lines(headers)}\r\n".encode()
        try:
            connection = await self._pool.connect(self._address, [], _connecting(round(connect, 2)))
        except TimeoutError as error:
            raise _NotThere("ConnectionTimeoutError") from error
        try:
            found = await _answer(connection, head)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError(type(error).__name__) from error
        except BaseException:
            connection.close()
            raise
        connection.release()
        return found


async def _answer(connection: aiohttp.connector.Connection, head: bytes) -> Arrived:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        raise _Ended
    protocol.set_response_params(read_until_eof=True)
    transport.write(head)
    try:
        message, payload = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, payload = await protocol.read()
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Ended from error
    return Arrived(message.code, message.headers, await _read(payload))


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = await content.readany()
    if content.at_eof() and len(body) <= MAX_BODY:
        return body
    parts, size = [body], len(body)
    while not content.at_eof() and size <= MAX_BODY:
        parts.append(await content.readany())
        size += len(parts[-1])
    if size > MAX_BODY:
        raise TooLong
    return b"".join(parts)


async def _never_again(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep the library from repeating what may have arrived: it does so for two classes of errors."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Ended from error


def _plain(headers: Mapping[str, str] | None) -> bool:
    """Whether none of them says anything about the connection or the body."""
    return not headers or _FRAMING.isdisjoint(map(str.lower, headers))


def _lines(headers: Mapping[str, str] | None) -> str:
    if not headers:
        return _ALWAYS
    given = {name.lower() for name in headers}
    lines = [f"{name}: {value}\r\n" for name, value in _HEADERS.items() if name.lower() not in given]
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"not a header that can be sent: {name!r}")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)


_ALWAYS = "".join(f"{name}: {value}\r\n" for name, value in _HEADERS.items())


@functools.lru_cache(64)
def _connecting(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=seconds)
