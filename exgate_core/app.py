"""The HTTP door: a pure ASGI app. The guard comes first, then reads that were asked before, then the routes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from itertools import groupby
from typing import Any

from starlette.routing import Route, Router, WebSocketRoute

from . import audit
from .endpoints import HANDLERS, PLANS, Plan
from .errors import DeadlineExceeded, ExGateError, NotFound, Unavailable, Unimplemented
from .incoming import Incoming, Unread, has_body
from .operations import OPERATIONS, Operation
from .replies import JSON_HEADERS, Header, Receive, Reply, Scope, Send, failure, ignored, respond
from .settling import as_error
from .streams import deny, pull_trade_socket

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger("exgate.app")
_MOST_PLANS = 1024
_LONGEST_QUERY = 256
_SOCKET_PATH = "/v1/{exchange}/pull_trade"


def make_app(gateway: Any, guard: Any) -> App:
    """The ASGI app over an open gateway. Its lifespan does nothing: whoever opened the gateway closes it."""
    return _App(gateway, guard)


class _App:
    def __init__(self, gateway: Any, guard: Any) -> None:
        self._guard = guard
        self._plans = _Plans(gateway)
        routes = [
            *(_Path(operations, gateway, guard, self._plans).route() for operations in _by_path()),
            WebSocketRoute(_SOCKET_PATH, _Socket(gateway)),
        ]
        self._router = Router(routes, redirect_slashes=False, default=_unknown_path)
        self._deadline = gateway.settings.server.deadline
        self._root = gateway.settings.server.root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if has_body(scope):
                body = Unread(scope, receive, send, self._deadline)
                receive, send = body.receive, body.send
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await _lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._guard.check(scope)
            plan = self._plans.find(scope)
            reply = None if plan is None else await plan.run()
        except Exception as error:
            reply = _failed(scope, error)
        if reply is None:
            await self._route(scope, receive, send)
        else:
            await respond(send, reply)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._guard.check(scope)
        except Exception as error:
            await receive()
            await deny(scope, send, as_error(error))
        else:
            await self._route(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = self._root
        if self._root and not scope["path"].startswith(self._root + "/"):
            await _unknown_path(scope, receive, send)
        else:
            await self._router(scope, receive, send)


def _by_path() -> list[list[Operation]]:
    ordered = sorted(OPERATIONS, key=lambda operation: ("{" in operation.path, operation.path))
    return [list(group) for _, group in groupby(ordered, key=lambda operation: operation.path)]


class _Plans:
    """The last reads by path and query, oldest out first."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway
        self._plans: dict[tuple[str, bytes], Plan] = {}

    def find(self, scope: Scope) -> Plan | None:
        if scope["method"] != "GET":
            return None
        key = scope["path"], scope["query_string"]
        plan = self._plans.get(key)
        if plan is None:
            return None
        if self._gateway.entries.get(plan.name) is plan.entry and plan.entry.exchange.markets is plan.markets:
            return plan
        del self._plans[key]
        return None

    def keep(self, scope: Scope, plan: Plan) -> None:
        key = scope["path"], scope["query_string"]
        if len(scope["query_string"]) > _LONGEST_QUERY or self._gateway.entries.get(plan.name) is not plan.entry:
            return
        if len(self._plans) >= _MOST_PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[key] = plan


class _Path:
    """Every method of one path, so that a wrong one is told all the right ones."""

    def __init__(self, operations: list[Operation], gateway: Any, guard: Any, plans: _Plans) -> None:
        self._path = operations[0].path
        self._operations: Mapping[str, Operation] = {operation.method: operation for operation in operations}
        self._gateway, self._guard, self._plans = gateway, guard, plans
        methods = [*self._operations, *(["HEAD"] if "GET" in self._operations else [])]
        self._methods = ", ".join(sorted(methods))

    def route(self) -> Route:
        """The path as a route for every method."""
        return Route(self._path, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["method"] == "HEAD"
        operation = self._operations.get("GET" if head else scope["method"])
        if operation is None:
            message = f"{self._path} takes {self._methods}, not {scope['method'][:20]}"
            error = Unimplemented(message, reason="METHOD_NOT_ALLOWED", status=405)
            reply = failure(scope, error, (b"allow", self._methods.encode()))
        elif head and not operation.quiet:
            reply = self._head(operation, scope)
        else:
            reply = await self._answer(operation, scope, receive)
        await respond(send, reply, head)

    def _head(self, operation: Operation, scope: Scope) -> Reply:
        # Whatever a GET would ask or start isn't asked or started: only the name and the caller are looked at.
        name = scope["path_params"]["exchange"]
        if name not in self._gateway.names():
            return failure(scope, NotFound("no such exchange; see /v1/exchanges", reason="UNKNOWN_EXCHANGE"))
        try:
            if operation.private:
                self._guard.require(self._guard.caller(scope), self._gateway.known(name), "read")
        except Exception as error:
            return _failed(scope, error)
        return Reply(200, JSON_HEADERS, b"")

    async def _answer(self, operation: Operation, scope: Scope, receive: Receive) -> Reply:
        unused: tuple[Header, ...] = ()
        try:
            asked = Incoming(operation, scope, receive, self._gateway, self._guard)
            unused = ignored(asked.ignored)
            if operation.id not in PLANS:
                return await self._handled(operation, asked, unused)
            plan = await PLANS[operation.id](asked)
            self._plans.keep(scope, plan)
            return await plan.run()
        except Exception as error:
            return _failed(scope, error, *unused)

    async def _handled(self, operation: Operation, asked: Incoming, unused: tuple[Header, ...]) -> Reply:
        try:
            reply = await HANDLERS[operation.id](asked)
            reply = reply._replace(headers=reply.headers + unused)
        except Exception as error:
            reply = _failed(asked.scope, error, *unused)
        audit.note(operation, asked, reply)
        return reply


class _Socket:
    """The stream behind its route; a class, for Starlette would hand a function a WebSocket object."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await pull_trade_socket(scope, receive, send, self._gateway)


def _failed(scope: Scope, error: Exception, *headers: Header) -> Reply:
    bug = error.__cause__ or error
    # An exchange that gives no answer is no bug: its TimeoutError or OSError needs no traceback for each caller.
    if not isinstance(bug, ExGateError) and not isinstance(error, DeadlineExceeded | Unavailable):
        _LOG.error("a request broke", exc_info=bug)
    return failure(scope, error, *headers)


async def _unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await deny(
            scope, send, NotFound(f"no WebSocket is served there, only at {_SOCKET_PATH}", reason="UNKNOWN_PATH")
        )
    else:
        error = NotFound("no such path; GET /openapi.json lists them", reason="UNKNOWN_PATH")
        await respond(send, failure(scope, error))


async def _lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
