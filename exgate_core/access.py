"""Who may come in: Host, Origin, content type, token. Checked before routing, for HTTP and WebSocket alike."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .clock import Clock, SystemClock
from .errors import FailedPrecondition, InvalidArgument, PermissionDenied, Unauthenticated
from .grants import OWNER, Grant, Grants, Kind
from .rates import Rates
from .settings import Credentials, Secret, is_loopback

if TYPE_CHECKING:
    from .settings import Server

Scope = MutableMapping[str, Any]
Headers = Mapping[bytes, list[bytes]]

MAX_BODY = 64 * 1024
"""Bytes that the body of a request may have."""

TOKEN_FILE = "token"
"""The name of the token's file in the state folder."""

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_WATCHED = frozenset(
    b"host origin sec-fetch-site content-type content-length content-encoding transfer-encoding authorization".split()
)
_KEYS = (b"x-exgate-key", b"x-exgate-secret", b"x-exgate-passphrase")
_JSON = re.compile(rb"application/json(?:[ \t]*;[ \t]*charset=\"?utf-8\"?)?", re.IGNORECASE)
_TOKEN_IN_QUERY = re.compile(rb"(?:^|[&;])(?:access_?token|token|auth|authorization|bearer)=", re.IGNORECASE)
_BAD_PATH = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ufffd]|/\.\.?(?:/|$)")
_ENCODED_SLASH = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_KEY_TEXT = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?")
_SHORTEST_TOKEN = 20
_GRANT = "exgate.grant"


class Entry(Protocol):
    """What access must know of a name behind the API."""

    name: str
    private_real: bool
    """Whether its account holds real money."""


class Caller(NamedTuple):
    """Who asks: what the token brought allows, and the exchange keys brought, if any."""

    grant: Grant | None
    credentials: Credentials | None = None

    @property
    def name(self) -> str:
        """What stands for the caller in audit lines: the token's name, or a part of the hash of the keys."""
        if self.credentials is not None:
            return f"keys:{self.credentials.fingerprint[:12]}"
        return self.grant.name if self.grant is not None else "-"


class Tokens(NamedTuple):
    """The valid tokens: what the sha256 digest of each allows, the file in which the user finds one, and the file of
    those that were given out."""

    digests: Mapping[bytes, Grant]
    path: Path | None = None
    given: Grants | None = None


class Guard:
    """The one judge of who may come in. ``port`` is the one really bound, where the settings say 0."""

    def __init__(
        self,
        server: Server,
        tokens: Tokens,
        port: int | None = None,
        clock: Clock = SystemClock(),  # noqa: B008 - no state
    ) -> None:
        self._tokens = tokens
        self._rates = Rates(clock)
        self._open = is_local(server)
        self._caller_keys = server.caller_keys or ("trade" if self._open else "off")
        self._hosts = frozenset(_hosts(server, server.port if port is None else port))

    def check(self, scope: Scope) -> None:
        """Refuse what no route should see. Raises ExGateError; off loopback the token is asked for here.

        Once for each request: it counts against the rate of its token.
        """
        headers = _gather(scope["headers"], _WATCHED)
        self._check_host(headers.get(b"host", []))
        _check_page(headers)
        _check_path(scope)
        if scope["type"] == "websocket":
            if _TOKEN_IN_QUERY.search(scope["query_string"]):
                raise PermissionDenied(
                    "a token in a URL ends in logs; send it in the header 'Authorization: Bearer ...'.",
                    reason="TOKEN_IN_URL",
                )
        else:
            _check_body(scope["method"], headers)
        tokens = headers.get(b"authorization", [])
        if tokens or not self._open:
            scope[_GRANT] = self._check_token(tokens)

    def caller(self, scope: Scope) -> Caller:
        """Who asks. Raises Unauthenticated for a wrong token, InvalidArgument for half a set of exchange keys."""
        found = _gather(scope["headers"], _PERSONAL)
        if not found:
            return _NOBODY
        values = found.get(b"authorization", [])
        grant: Grant | None = scope[_GRANT] if _GRANT in scope else self._known(values)
        if grant is None and values:
            raise self._unauthenticated(_WRONG)
        return Caller(grant, _credentials(found))

    def require(self, caller: Caller, entry: Entry, kind: Kind) -> None:
        """Whether this caller may do a private operation: ``read`` looks, ``trade`` changes something."""
        if caller.credentials is not None:
            self._require_keys(kind)
        elif entry.private_real:
            if caller.grant is None:
                raise self._unauthenticated(f"the account of {entry.name!r} is a real one")
            if not caller.grant.may(entry.name, kind):
                allowed = ", ".join(caller.grant.allow) or "nothing"
                raise PermissionDenied(
                    f"the token {caller.grant.name!r} allows {allowed}, not {entry.name}:{kind}.", reason="TOKEN_SCOPE"
                )

    def _require_keys(self, kind: Kind) -> None:
        if self._caller_keys == "off" or (kind == "trade" and self._caller_keys == "read"):
            raise PermissionDenied(
                f"keys in headers are not accepted for this (server.caller_keys = {self._caller_keys!r}).",
                reason="CALLER_KEYS",
            )

    def _check_host(self, hosts: list[bytes]) -> None:
        if len(hosts) == 1 and hosts[0].lower() in self._hosts:
            return
        shown = hosts[0][:80].decode("ascii", "backslashreplace") if hosts else ""
        raise PermissionDenied(
            f"this gateway does not answer to the name {shown!r}; it answers to loopback names with its own port or "
            "none, and to what server.allowed_hosts lists.",
            reason="HOST_NOT_ALLOWED",
        )

    def _check_token(self, values: list[bytes]) -> Grant | None:
        grant = self._known(values)
        if grant is not None and grant.rate:
            self._rates.take(grant.name, grant.rate)
        if grant is None and not self._open:
            raise self._unauthenticated("everything here needs the token" if not values else _WRONG)
        return grant

    def _known(self, values: list[bytes]) -> Grant | None:
        kind, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        if kind.lower() != b"bearer":
            return None
        digest = hashlib.sha256(token.strip()).digest()
        given = self._tokens.given.digests() if self._tokens.given is not None else {}
        for grants in (self._tokens.digests, given):
            for known, grant in grants.items():
                if hmac.compare_digest(digest, known):
                    return grant
        return None

    def _unauthenticated(self, why: str) -> Unauthenticated:
        where = f"the token is in {self._tokens.path}; " if self._tokens.path else ""
        return Unauthenticated(f"{why}; {where}send it in the header 'Authorization: Bearer <token>'.")


_NOBODY = Caller(None)
_WRONG = "the token is not the right one"
_PERSONAL = frozenset((b"authorization", *_KEYS))


def is_local(server: Server) -> bool:
    """Whether only this machine can reach the gateway: a loopback address or a Unix socket."""
    return bool(server.uds) or is_loopback(server.host.strip("[]"))


def check_bind(server: Server) -> None:
    """Refuse to start an open door: raises FailedPrecondition for a bind that others reach without TLS."""
    if server.tls not in ("", "at-proxy"):
        _check_tls(server.tls)
    elif not server.tls and not is_local(server):
        raise FailedPrecondition(
            f"{server.host} can be reached from other machines, and server.tls is not set, so tokens and "
            'keys would travel in the clear. Set tls = "cert.pem:key.pem", or tls = "at-proxy" if a proxy in front '
            'does TLS, or host = "127.0.0.1".',
            reason="UNSAFE_BIND",
        )


def tls_files(server: Server) -> tuple[str, str] | None:
    """The files of certificate and key where the gateway itself does TLS."""
    if server.tls in ("", "at-proxy"):
        return None
    certificate, _, key = server.tls.rpartition(":")
    return certificate, key


def load_tokens(state_dir: Path) -> Tokens:
    """The token of this gateway, made at the first start. Only its digest is kept.

    Raises FailedPrecondition where others than the owner can read the file, or the gateway can't.
    """
    path = state_dir / TOKEN_FILE
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _read_tokens(path) if path.exists() else _new_tokens(path)
    except OSError as error:
        raise FailedPrecondition(
            f"{error.filename or state_dir}: {error.strerror}; the gateway keeps its journal and its token in "
            f"{state_dir}, which it must be able to read and write: mend its owner, or set server.state_dir.",
            reason="STATE_DIR",
        ) from None


def _new_tokens(path: Path) -> Tokens:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_tokens(path)
    token = secrets.token_urlsafe(32).encode("ascii")
    with os.fdopen(handle, "wb") as file:
        file.write(token + b"\n")
    return _tokens(token, path)


def _read_tokens(path: Path) -> Tokens:
    if path.stat().st_mode & 0o077:
        raise FailedPrecondition(
            f"others can read {path}; delete it, so that a new token is made, or run chmod 600 on it.",
            reason="TOKEN_FILE",
        )
    token = path.read_bytes().strip()
    if len(token) < _SHORTEST_TOKEN:
        raise FailedPrecondition(
            f"{path} holds no token of at least {_SHORTEST_TOKEN} characters; delete it, so that a new one is made.",
            reason="TOKEN_FILE",
        )
    return _tokens(token, path)


def _tokens(token: bytes, path: Path) -> Tokens:
    return Tokens({hashlib.sha256(token).digest(): OWNER}, path, Grants(path.parent))


def _hosts(server: Server, port: int) -> list[bytes]:
    names = [*_LOOPBACK_NAMES, *server.allowed_hosts]
    if not server.uds and not _is_any(server.host):
        names.append(f"[{server.host}]" if ":" in server.host.strip("[]") and "[" not in server.host else server.host)
    lower = [name.lower().encode("idna" if not name.isascii() else "ascii") for name in names]
    return lower + [b"%s:%d" % (name, port) for name in lower]


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return not host


def _check_tls(tls: str) -> None:
    certificate, _, key = tls.rpartition(":")
    for file in (certificate, key):
        if not file or not Path(file).is_file():
            raise FailedPrecondition(
                f'UNSAFE_BIND: server.tls = {tls!r} is neither "at-proxy" nor two files "cert.pem:key.pem"; '
                f"{file!r} is not there.",
                reason="UNSAFE_BIND",
            )


def _gather(headers: Any, wanted: frozenset[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in wanted:
            found.setdefault(name, []).append(value)
    return found


def _check_page(headers: Headers) -> None:
    """Refuse what a page of another site sends from the user's browser."""
    host = headers[b"host"][0].lower()
    for origin in headers.get(b"origin", ()):
        if origin.lower() not in (b"http://" + host, b"https://" + host):
            raise PermissionDenied("pages of other sites may not use this gateway.", reason="ORIGIN")
    for site in headers.get(b"sec-fetch-site", ()):
        if site not in (b"none", b"same-origin"):
            raise PermissionDenied("pages of other sites may not use this gateway.", reason="ORIGIN")


def _check_path(scope: Scope) -> None:
    if _BAD_PATH.search(scope["path"]) or _ENCODED_SLASH.search(scope.get("raw_path") or b""):
        raise InvalidArgument.of("path", "no dot segments, backslashes, encoded slashes or control characters")


def _check_body(method: str, headers: Headers) -> None:
    lengths = headers.get(b"content-length", [])
    if lengths and b"transfer-encoding" in headers:
        raise InvalidArgument.of("Content-Length", "not together with Transfer-Encoding")
    if method == "POST" and not _is_json(headers.get(b"content-type", [])):
        raise InvalidArgument(
            "the body of a POST is JSON; send 'Content-Type: application/json'. Nothing was sent.",
            reason="CONTENT_TYPE",
            status=415,
        )
    if method == "POST" and any(value.lower() != b"identity" for value in headers.get(b"content-encoding", [])):
        raise InvalidArgument(
            "the body of a POST is plain JSON; send it without Content-Encoding. Nothing was sent.",
            reason="CONTENT_ENCODING",
            status=415,
        )
    if lengths and int(lengths[0]) > MAX_BODY:
        raise body_too_large()


def body_too_large() -> InvalidArgument:
    """The answer to a body above ``MAX_BODY``: 413."""
    return InvalidArgument(f"a body may have {MAX_BODY} bytes. Nothing was sent.", reason="BODY_TOO_LARGE", status=413)


def _is_json(types: list[bytes]) -> bool:
    return len(types) == 1 and _JSON.fullmatch(types[0]) is not None


def _credentials(found: Headers) -> Credentials | None:
    values = [[value for value in found.get(name, []) if value] for name in _KEYS]
    if not any(values):
        return None
    for name, value in zip(_KEYS, values, strict=True):
        _check_key(name.decode(), value, needed=name != b"x-exgate-passphrase")
    key, secret = (Secret(value[0].decode("ascii")) for value in values[:2])
    return Credentials(key, secret, Secret(values[2][0].decode("ascii")) if values[2] else None)


def _check_key(name: str, values: list[bytes], *, needed: bool) -> None:
    if len(values) > 1 or (needed and not values) or (values and not _KEY_TEXT.fullmatch(values[0])):
        raise InvalidArgument.of(name, "exactly once, in printable ASCII; key and secret belong together")
