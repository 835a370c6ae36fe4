"""The command line's way to a running gateway: one HTTP call, or one WebSocket that is read to its end."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

from . import errors
from .errors import ExGateError, NotSent

if TYPE_CHECKING:
    from .settings import Settings

Params = Sequence[tuple[str, str]]
Show = Callable[[bytes], None]
"""Is given one text frame."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Reply(NamedTuple):
    """An answer of a gateway."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    token: str = ""
    """For people: where the token that was sent came from, or that none was; empty = no token was needed."""

    def json(self) -> Any:
        """The decoded body; numbers with a point stay text, so that no digit is lost."""
        return json.loads(self.body, parse_float=str)


class Closed(NamedTuple):
    """How a WebSocket ended."""

    code: int
    reason: str


class Door(Protocol):
    """What the verbs talk to: a running gateway, or one that was opened in this process."""

    def call(self, method: str, path: str, params: Params = (), body: Any = None, key: str = "") -> Reply:
        """One request. Raises NotSent if there is nobody to ask, OSError if the answer got lost."""
        ...

    def follow(self, path: str, params: Params, show: Show) -> Closed:
        """Read a WebSocket to its end, frame by frame. Raises the ExGateError of a refusal."""
        ...


class Target(NamedTuple):
    """Where a gateway listens, and what it wants to see."""

    url: str
    """``http://host:port/root``, or ``https://``."""
    uds: str = ""
    """A Unix socket instead of the host and port of ``url``."""
    token: str = ""
    token_from: str = ""
    """For people: where the token came from, or why there is none."""
    certificate: str = ""
    """A PEM file to trust besides the system's, for a gateway with a certificate of its own."""


class Remote:
    """A gateway that runs elsewhere: another process, another machine. The URL has a scheme and a host."""

    def __init__(self, target: Target, timeout: float = 60.0) -> None:
        self._target, self._timeout = target, timeout
        self._parts = urlsplit(target.url)

    def call(self, method: str, path: str, params: Params = (), body: Any = None, key: str = "") -> Reply:
        """See ``Door``."""
        headers = self._headers()
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if key:
            headers["Idempotency-Key"] = key
        with closing(self._connect()) as connection:
            try:
                connection.request(method, self._path(path, params), data, headers)
                return _reply(connection.getresponse(), self._target.token_from)
            except http.client.HTTPException as error:
                raise ConnectionError(str(error) or type(error).__name__) from None

    def follow(self, path: str, params: Params, show: Show) -> Closed:
        """See ``Door``."""
        with closing(self._connect()) as connection:
            try:
                with _upgrade(connection, self._path(path, params), self._headers(), self._target.token_from) as fp:
                    connection.sock.settimeout(None)
                    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    return _read_frames(connection.sock, fp, show)
            except (OSError, http.client.HTTPException) as error:
                return Closed(1006, str(error) or type(error).__name__)

    def _path(self, path: str, params: Params) -> str:
        query = urlencode(params)
        return self._parts.path.rstrip("/") + path + (f"?{query}" if query else "")

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._target.token:
            headers["Authorization"] = f"Bearer {self._target.token}"
        return headers

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            if self._target.certificate:
                context.load_verify_locations(self._target.certificate)
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        try:
            if self._target.uds:
                connection.sock = _unix_socket(self._target.uds, self._timeout)
            else:
                connection.connect()
        except OSError as error:
            raise NotSent(f"no gateway answers at {self._target.uds or self._target.url} ({error})") from None
        return connection


def error_of(reply: Reply) -> ExGateError:
    """The error that a failed answer tells of, whoever wrote it: ExGate, or a proxy in front of it."""
    code, message = 0, ""
    try:
        status = json.loads(reply.body)
        code, message = int(status["code"]), str(status["message"])
    except (ValueError, KeyError, TypeError):
        message = f"HTTP {reply.status} without a Status body; it may come from a proxy, not from ExGate"
    metadata = {
        name: reply.headers[header]
        for name, header in (("outcome", "exgate-outcome"), ("client_order_id", "exgate-client-order-id"))
        if header in reply.headers
    }
    reason = reply.headers.get("exgate-reason", "")
    if reply.token and (reply.status == 401 or reason == "TOKEN_SCOPE"):
        message = f"{message.rstrip('.')}; this command {reply.token}."
    return _class_of(reason, code, reply.status)(message, reason=reason, metadata=metadata, status=reply.status)


def target_of(settings: Settings, url: str, state_dir: Path) -> Target:
    """Where the gateway of these settings is, or the one at ``url``.

    The token is EXGATE_TOKEN, else the one in the state folder; that one goes to the gateway of these settings only.
    """
    own = _own_target(settings)
    target = own if not url or (_place(url) == _place(own.url) and not own.uds) else Target(url)
    if given := os.environ.get("EXGATE_TOKEN", ""):
        return target._replace(token=given, token_from="sent the token in EXGATE_TOKEN")
    if target is not own:
        text = f"sent no token: EXGATE_TOKEN isn't set, and {url} isn't the gateway of these settings ({own.url})"
        return target._replace(token_from=text)
    file = state_dir / "token"
    try:
        return target._replace(token=file.read_text().strip(), token_from=f"sent the token in {file}")
    except OSError as error:
        text = f"sent no token: EXGATE_TOKEN isn't set, and {file} can't be read ({error.strerror})"
        return target._replace(token_from=text)


def is_address(url: str) -> bool:
    """Whether it has a scheme that can be asked, and a port that is one, or none."""
    try:
        return url.startswith(("http://", "https://")) and urlsplit(url).port != 0
    except ValueError:
        return False


def _own_target(settings: Settings) -> Target:
    server = settings.server
    certificate = "" if server.tls in ("", "at-proxy") else server.tls.rpartition(":")[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    name = f"[{host}]" if ":" in host else host
    where = "localhost" if server.uds else f"{name}:{server.port}"
    address = f"{'https' if certificate else 'http'}://{where}{server.root_path}"
    return Target(address, server.uds, certificate=certificate)


def _place(url: str) -> tuple[str, str, int, str]:
    """Equal for two spellings of one address."""
    parts = urlsplit(url)
    host = "localhost" if parts.hostname in _LOOPBACK else parts.hostname or ""
    return parts.scheme, host, parts.port or {"https": 443}.get(parts.scheme, 80), parts.path.rstrip("/")


def _class_of(reason: str, code: int, status: int) -> type[ExGateError]:
    kinds = ExGateError.__subclasses__()
    named = [kind for kind in kinds if kind.default_reason == reason]
    coded = [kind for kind in kinds if kind.code == code]
    by_status = [kind for kind in kinds if kind.http == status]
    return (named or coded or by_status or [errors.Unavailable])[0]


def _unix_socket(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _reply(response: http.client.HTTPResponse, token_from: str) -> Reply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read(), token_from)


@contextmanager
def _upgrade(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str], token_from: str
) -> Iterator[Any]:
    """Ask for a WebSocket; gives the file to read its frames from. A refusal carries a Status body."""
    key = b64encode(os.urandom(16)).decode()
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    connection.request("GET", path, headers={**headers, **handshake})
    with closing(connection.getresponse()) as response:
        if response.status != http.client.SWITCHING_PROTOCOLS:
            raise error_of(_reply(response, token_from))
        yield response.fp


def _read_frames(sock: socket.socket, fp: Any, show: Show) -> Closed:
    from wsproto import ConnectionType
    from wsproto.connection import Connection
    from wsproto.events import CloseConnection, Ping, TextMessage

    protocol = Connection(ConnectionType.CLIENT)
    text: list[str] = []
    while True:
        data = fp.read1(65536)
        if not data:
            return Closed(1006, "the connection was lost")
        protocol.receive_data(data)
        for event in protocol.events():
            if isinstance(event, Ping):
                sock.sendall(protocol.send(event.response()))
            elif isinstance(event, CloseConnection):
                sock.sendall(protocol.send(event.response()))
                return Closed(event.code, event.reason or "")
            elif isinstance(event, TextMessage):
                text.append(event.data)
                if event.message_finished:
                    show("".join(text).encode())
                    text.clear()
