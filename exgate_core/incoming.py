"""One HTTP request as handlers see it: its name, parameters, caller and body."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from .access import MAX_BODY, body_too_large
from .errors import InvalidArgument, NotFound
from .replies import Message, Receive, Scope, Send
from .requests import parse_bool, parse_idempotency_key, parse_query

if TYPE_CHECKING:
    from .access import Caller
    from .operations import Operation
    from .settings import Credentials

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)


class Incoming:
    """A request that has passed the guard and found its operation. Raises InvalidArgument for a bad query."""

    def __init__(self, operation: Operation, scope: Scope, receive: Receive, gateway: Any, guard: Any) -> None:
        self.scope, self.gateway = scope, gateway
        self._receive, self._guard = receive, guard
        self.caller: Caller | None = None
        """Who asked for a private operation of an account that isn't a simulation; None = nobody did."""
        self.about: dict[str, str] = {}
        """What the private operation is about, for the audit line."""
        self.params, self.ignored = parse_query(scope["query_string"], operation.known)
        self.extended = parse_bool("extended", self.params.get("extended"))

    @property
    def name(self) -> str:
        """The exchange in the path. Raises NotFound for what can't be a name."""
        name: str = self.scope["path_params"]["exchange"]
        if not _NAME.fullmatch(name):
            rule = "no exchange has such a name: a-z, 0-9, _ and -, at most 32 of them; see /v1/exchanges"
            raise NotFound(rule, reason="UNKNOWN_EXCHANGE")
        return name

    async def entry(self) -> Any:
        """What stands behind the name, opened on first use."""
        return await self.gateway.entry(self.name)

    def allowed(self, entry: Any, kind: Literal["read", "trade"]) -> Credentials | None:
        """The caller's own credentials, if it brought any and may do this. Raises Unauthenticated, PermissionDenied."""
        caller: Caller = self._guard.caller(self.scope)
        if caller.credentials is not None or entry.private_real:
            self.caller = caller
        self._guard.require(caller, entry, kind)
        return caller.credentials

    def idempotency_key(self) -> str:
        """The caller's key, empty if it gave none. Raises InvalidArgument."""
        return parse_idempotency_key([value for name, value in self.scope["headers"] if name == b"idempotency-key"])

    async def body(self) -> bytes:
        """The whole body. Raises InvalidArgument when it is too large (413) or too slow."""
        deadline = self.gateway.settings.server.deadline
        try:
            async with asyncio.timeout(deadline):
                return await self._read()
        except TimeoutError:
            raise InvalidArgument.of("body", f"did not arrive within {deadline:g} s", reason="BODY_TOO_SLOW") from None

    async def _read(self) -> bytes:
        body, more = bytearray(), True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise InvalidArgument.of("body", "the connection closed before its end", reason="CLIENT_GONE")
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                raise body_too_large()
            more = message.get("more_body", False)
        return bytes(body)


def has_body(scope: Scope) -> bool:
    """Whether the request announces a body, whatever its method is; in HTTP/2 nothing does, so there a POST has one."""
    if scope["method"] == "POST" and scope["http_version"] == "2":
        return True
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False


class Unread:
    """Sees to it that the body is read before the answer starts, whoever answers and whether or not he wanted it.

    A server closes the connection under an answer that comes before the end of the body, often before the client knows:
    its next request, maybe an order, would end in an error that tells nothing. Where the body is too large or too slow
    to be read, the answer itself says that the connection ends.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, deadline: float) -> None:
        self._receive, self._send = receive, send
        self._until = asyncio.get_running_loop().time() + deadline
        self._can_close = scope["http_version"].startswith("1")
        self._size, self._done = 0, False

    async def receive(self) -> Message:
        """The next piece of the body."""
        message = await self._receive()
        self._size += len(message.get("body", b""))
        self._done = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass on a piece of the answer; before the first one the rest of the body is thrown away."""
        if message["type"] == "http.response.start" and not await self._drained() and self._can_close:
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await self._send(message)

    async def _drained(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._until):
                while not self._done and self._size <= MAX_BODY:
                    await self.receive()
        return self._done
