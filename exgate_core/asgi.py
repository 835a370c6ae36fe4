"""The gateway as an app for another server than ExGate's own: ``uvicorn --factory exgate_core.asgi:app --workers 1``.

It opens and closes with the app's lifespan, which the server must run. The settings are found as ``exgate serve`` finds
them; ``server.host``, ``port`` and ``uds`` must say where the server really listens, for they decide who may come in.
What the server then does in ExGate's place, and what is lost by it, stands in docs/deploying.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from . import checks, logs
from .access import Guard, check_bind, is_local, load_tokens, tls_files
from .app import App, make_app
from .errors import ExGateError, FailedPrecondition, PermissionDenied, Unavailable
from .gateway import Gateway, open_gateway
from .plugins import Catalogue, load_catalogue
from .replies import Receive, Scope, Send, failure, respond
from .settings import Settings, find_file, is_loopback, load, state_dir
from .streams import Capped, deny
from .watchdog import Watchdog, collect_less


def app() -> Hosted:
    """The app over the settings of this process. Raises SettingsError."""
    collect_less()
    settings = load(find_file(None))
    logs.log_to_stderr(settings.server.log_level)
    catalogue = load_catalogue(settings.plugins.load)
    checks.log(settings, catalogue)
    return Hosted(settings, catalogue)


class Hosted:
    """A gateway that lives as long as the lifespan of its server."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings, self._catalogue = settings, catalogue
        self._only_local = is_local(settings.server)
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        error = self._refusal(scope)
        if error is None and self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await deny(scope, send, error or _not_open())
        else:
            await respond(send, failure(scope, error or _not_open()))

    def _refusal(self, scope: Mapping[str, Any]) -> ExGateError | None:
        """Why this client may not come in: the settings open everything to this machine, and it is on another."""
        client = scope.get("client")
        here = bool(self._settings.server.uds) if client is None else is_loopback(client[0])
        if here or not self._only_local:
            return None
        return PermissionDenied(
            "by its settings this gateway listens on loopback only, but you come from elsewhere; server.host and "
            "server.tls must say how it really listens. Nothing was sent.",
            reason="NOT_LOCAL",
        )

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        started = False
        try:
            async with self._opened() as gateway:
                started = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await gateway.drain(self._settings.server.graceful_timeout)
        except ExGateError as error:
            if started:
                raise
            await send({"type": "lifespan.startup.failed", "message": f"{error.reason}: {error.message}"})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Gateway]:
        server = self._settings.server
        check_bind(server)
        if tls_files(server) is not None:
            message = 'give certificate and key to the server that runs this app, and set server.tls = "at-proxy"'
            raise FailedPrecondition(message, reason="TLS_ELSEWHERE")
        guard = Guard(server, load_tokens(state_dir(self._settings)))
        async with open_gateway(self._settings, self._catalogue) as gateway:
            with Watchdog():
                self._app = Capped(make_app(gateway, guard), server.max_streams)
                try:
                    yield gateway
                finally:
                    self._app = None


def _not_open() -> ExGateError:
    return Unavailable("the gateway is not open: its server must run the app's lifespan.", reason="NOT_READY")
