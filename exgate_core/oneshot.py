"""A gateway in this process, for one question about public data; nobody needs to run one for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from msgspec.structs import replace

from .access import Guard, Tokens
from .app import App, make_app
from .gateway import open_gateway
from .plugins import load_catalogue
from .remote import Closed, Params, Reply, Show, error_of
from .settings import Section, Server, Settings

Message = MutableMapping[str, Any]


class Oneshot:
    """A ``remote.Door`` whose gateway is opened for each question, without keys, journal or pinned streams.

    ``exchange`` is the one name that will be asked for; empty = all.
    """

    def __init__(self, settings: Settings, plugins_dir: Path | None, exchange: str) -> None:
        kept = {name: _public(section) for name, section in settings.exchanges.items() if exchange in ("", name)}
        self._settings = replace(settings, server=Server(deadline=settings.server.deadline), exchanges=kept)
        self._plugins_dir = plugins_dir

    def call(self, method: str, path: str, params: Params = (), body: Any = None, key: str = "") -> Reply:
        """See ``remote.Door``; it asks and never changes anything."""
        return asyncio.run(self._call(method, path, params))

    def follow(self, path: str, params: Params, show: Show) -> Closed:
        """See ``remote.Door``."""
        return asyncio.run(self._follow(path, params, show))

    async def _call(self, method: str, path: str, params: Params) -> Reply:
        answer = _Answer()
        async with self._app() as app:
            await app({**_scope("http", path, params), "method": method}, _no_body, answer.send)
        return answer.reply()

    async def _follow(self, path: str, params: Params, show: Show) -> Closed:
        answer, opening = _Answer(show), _Opening()
        extensions = {"websocket.http.response": dict[str, Any]()}
        async with self._app() as app:
            await app({**_scope("websocket", path, params), "extensions": extensions}, opening.receive, answer.send)
        if answer.closed is None:
            raise error_of(answer.reply())
        return answer.closed

    @asynccontextmanager
    async def _app(self) -> AsyncIterator[App]:
        with TemporaryDirectory(prefix="exgate-") as folder:
            settings = replace(self._settings, server=replace(self._settings.server, state_dir=folder))
            catalogue = load_catalogue(settings.plugins.load, self._plugins_dir)
            async with open_gateway(settings, catalogue) as gateway:
                yield make_app(gateway, Guard(settings.server, Tokens({})))


class _Answer:
    """What the app sends, put together."""

    def __init__(self, show: Show | None = None) -> None:
        self.closed: Closed | None = None
        self._show = show
        self._status, self._headers, self._body = 500, dict[str, str](), b""

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind.endswith("http.response.start"):
            self._status = message["status"]
            self._headers = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
        elif kind.endswith("http.response.body"):
            self._body += message.get("body", b"")
        elif kind == "websocket.send" and self._show is not None:
            self._show(message["text"].encode())
        elif kind == "websocket.close":
            self.closed = Closed(message["code"], message.get("reason") or "")

    def reply(self) -> Reply:
        return Reply(self._status, self._headers, self._body)


class _Opening:
    """A client that connects and then only listens."""

    def __init__(self) -> None:
        self._connected = False

    async def receive(self) -> Message:
        if self._connected:
            await asyncio.Event().wait()
        self._connected = True
        return {"type": "websocket.connect"}


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _scope(kind: str, path: str, params: Params) -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": urlencode(params).encode(),
        "headers": [(b"host", b"localhost")],
        "client": None,
        "server": None,
    }


def _public(section: Section) -> Section:
    return replace(section, account="", api_key=None, api_secret=None, passphrase=None, trading=False, pull=())
