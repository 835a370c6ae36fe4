"""The gateway's HTTP door without a network: requests and streams go straight into the ASGI app that servers run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from exgate_core.app import App

_HOST = (b"host", b"127.0.0.1:8000")


class Answered:
    """One answer of the gateway."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @cached_property
    def json(self) -> Any:
        """The body; numbers with a point stay text. Raises ValueError where it is no JSON."""
        return json.loads(self.body, parse_float=str)

    @property
    def reason(self) -> str:
        """Why it failed, in one word."""
        return self.headers.get("exgate-reason", "")

    @property
    def outcome(self) -> str:
        """What became of the order: placed, refused, not-sent, unknown, or empty."""
        return self.headers.get("exgate-outcome", "")

    def __repr__(self) -> str:
        told = " ".join(filter(None, (self.reason, self.outcome)))
        return f"<{self.status} {told} {self.body[:300].decode('utf-8', 'replace')}>"


class Door:
    """The app over an open gateway, as a caller sees it. ``headers`` go with every private request."""

    def __init__(self, app: App, headers: Mapping[str, str]) -> None:
        self._app = app
        self._personal = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    def other(self, headers: Mapping[str, str]) -> Door:
        """The same door for a caller with other headers."""
        return Door(self._app, headers)

    async def get(self, path: str, **params: object) -> Answered:
        """A GET; ``params`` become the query."""
        return await self._ask("GET", path, _query(params), b"", self._personal)

    async def post(self, path: str, body: Mapping[str, Any], key: str = "") -> Answered:
        """A POST of JSON, with an Idempotency-Key if it is given."""
        content = json.dumps(body).encode()
        named = [*self._personal, *([(b"idempotency-key", key.encode())] if key else [])]
        framing = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        return await self._ask("POST", path, "", content, [*named, *framing])

    async def _ask(
        self, method: str, path: str, query: str, content: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Answered:
        status, found, body = 0, dict[str, str](), bytearray()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                found.update((name.decode().lower(), value.decode()) for name, value in message["headers"])
            body.extend(message.get("body", b""))

        await self._app(_scope("http", method, path, query, headers), receive, send)
        return Answered(status, found, bytes(body))

    @asynccontextmanager
    async def stream(self, path: str, **params: object) -> AsyncIterator[Tap]:
        """A WebSocket, open until the block ends."""
        tap = Tap()
        scope = _scope("websocket", "GET", path, _query(params), [])
        task = asyncio.ensure_future(self._app(scope, tap.receive, tap.send))
        try:
            yield tap
        finally:
            tap.leave()
            await task


class Tap:
    """The client's end of a stream: every frame that came, in order."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        """Decoded; numbers with a point stay text."""
        self.closed: int | None = None
        """The close code, or the HTTP status where the stream was refused; None while it is open."""
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})

    @property
    def trades(self) -> list[dict[str, Any]]:
        """Every trade that came, in order."""
        return [trade for frame in self.frames for trade in frame.get("trades", ())]

    @property
    def statuses(self) -> list[str]:
        """Every status that was told, in order."""
        return [frame["status"] for frame in self.frames if "status" in frame]

    def leave(self) -> None:
        """Go, as a client does."""
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def receive(self) -> dict[str, Any]:
        """What the app awaits."""
        return await self._inbox.get()

    async def send(self, message: Mapping[str, Any]) -> None:
        """What the app calls."""
        if message["type"] == "websocket.send":
            self.frames.append(json.loads(message["text"], parse_float=str))
        elif message["type"] == "websocket.close":
            self.closed = message.get("code", 1000)
            self.leave()
        elif message["type"] == "websocket.http.response.start":
            self.closed = message["status"]


def _query(params: Mapping[str, object]) -> str:
    return urlencode({name: str(value) for name, value in params.items()}, quote_via=quote)


def _scope(kind: str, method: str, path: str, query: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": kind,
        "http_version": "1.1",
        "method": method,
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [_HOST, *headers],
        "extensions": {"websocket.http.response": {}},
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "subprotocols": [],
    }
