"""What each token may do, and the file of the tokens that were given out. Only digests are kept."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from .errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from .numbers import is_decimal, is_zero
from .settings import NAME

Kind = Literal["trade", "read"]
"""``read`` looks, ``trade`` looks and changes."""

GRANTS_FILE = "tokens.json"
"""The name of the file in the state folder."""

_ANY = "*"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_LOG = logging.getLogger("exgate.access")


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token's rights."""

    name: str
    """Who it was made for; stands in the audit lines."""
    digest: str = ""
    """SHA-256 of the token in hex."""
    allow: tuple[str, ...] = ("*:trade",)
    """``EXCHANGE:read`` or ``EXCHANGE:trade``, by the names in the settings; ``*`` is every one."""
    max_order: Mapping[str, str] = {}
    """The most of an asset that one order may move; empty = no cap."""
    rate: float = 0.0
    """Requests per second; 0 = no limit."""
    created: int = 0
    """ms since the epoch."""

    def may(self, exchange: str, kind: Kind) -> bool:
        """Whether private operations of this kind are allowed there."""
        names = (f"{name}:{scope}" for name in (exchange, _ANY) for scope in {kind, "trade"})
        return any(name in self.allow for name in names)


OWNER = Grant(name="owner")
"""Of the token that the gateway makes at its first start."""


class Grants:
    """The file ``tokens.json`` of a state folder; read again whenever it has changed."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / GRANTS_FILE
        self._seen: tuple[int, ...] = ()
        self._known: dict[bytes, Grant] = {}

    def digests(self) -> Mapping[bytes, Grant]:
        """The grants by the digests of their tokens. A file that can't be read or trusted lets nobody in."""
        seen = self._stamp()
        if seen != self._seen:
            self._seen, self._known = seen, {}
            try:
                self._known = {bytes.fromhex(grant.digest): grant for grant in self.read()}
            except FailedPrecondition as error:
                _LOG.error("%s; until then none of its tokens is accepted", error.message)
        return self._known

    def read(self) -> list[Grant]:
        """Everything in the file, oldest first. Raises FailedPrecondition."""
        try:
            if self._path.stat().st_mode & 0o077:
                raise FailedPrecondition(f"others can read {self._path}; chmod 600 it", reason="TOKEN_FILE")
            found = msgspec.json.decode(self._path.read_bytes(), type=list[Grant])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise FailedPrecondition(f"{self._path} can't be read: {error}", reason="TOKEN_FILE") from None
        for number, grant in enumerate(found, 1):
            if problem := _problem(grant, found[: number - 1]):
                text = f"{self._path}: entry {number} ({grant.name[:32]!r}): {problem}; remove the entry, or mend it"
                raise FailedPrecondition(text, reason="TOKEN_FILE")
        return found

    def add(self, name: str, now_ms: int, *, allow: Iterable[str], max_order: Mapping[str, str], rate: float) -> str:
        """Make a token and return it: it is shown this once. Raises InvalidArgument, AlreadyExists and, as
        ``read`` does, FailedPrecondition."""
        grants = self.read()
        if any(grant.name == name for grant in grants):
            raise AlreadyExists(f"there is a token {name!r} already; revoke it first", reason="TOKEN_EXISTS")
        token = secrets.token_urlsafe(32)
        grant = Grant(
            name=_checked_name(name),
            digest=hashlib.sha256(token.encode()).hexdigest(),
            allow=tuple(_checked_scope(scope) for scope in allow),
            max_order={asset: _checked_cap(asset, most) for asset, most in max_order.items()},
            rate=rate,
            created=now_ms,
        )
        self._write([*grants, grant])
        return token

    def revoke(self, name: str) -> None:
        """A running gateway refuses the token from its next request on. Raises NotFound, FailedPrecondition."""
        grants = self.read()
        left = [grant for grant in grants if grant.name != name]
        if len(left) == len(grants):
            raise NotFound(f"there is no token {name!r}", reason="NO_SUCH_TOKEN")
        self._write(left)

    def _write(self, grants: list[Grant]) -> None:
        try:
            self._replace(msgspec.json.format(msgspec.json.encode(grants)))
        except OSError as error:
            message = f"{self._path} can't be written: {error.strerror}; run this as the user that runs the gateway"
            raise FailedPrecondition(message, reason="TOKEN_FILE") from None

    def _replace(self, text: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._path)

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path)
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def _problem(grant: Grant, earlier: Iterable[Grant]) -> str:
    """Why an entry of the file can't be trusted; empty = it can."""
    if not _DIGEST.fullmatch(grant.digest):
        return "digest is no SHA-256 in hex, 64 digits"
    if any(grant.name == other.name or grant.digest.lower() == other.digest.lower() for other in earlier):
        return "name or digest is there twice"
    if not 0 <= grant.rate < math.inf:
        return "rate is a number from 0 up"
    try:
        _checked_name(grant.name)
        for scope in grant.allow:
            _checked_scope(scope)
        for asset, most in grant.max_order.items():
            _checked_cap(asset, most)
    except InvalidArgument as error:
        return error.message
    return ""


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name) or name == OWNER.name:
        raise InvalidArgument.of("name", f"a-z, 0-9, _ and -, at most 32, and not {OWNER.name!r}")
    return name


def _checked_scope(text: str) -> str:
    name, colon, kind = text.partition(":")
    if not colon or kind not in ("read", "trade") or not (name == _ANY or NAME.fullmatch(name)):
        raise InvalidArgument.of("allow", f"EXCHANGE:read or EXCHANGE:trade, * for every exchange; not {text[:60]!r}")
    return text


def _checked_cap(asset: str, most: str) -> str:
    if not asset or not is_decimal(most) or is_zero(most):
        raise InvalidArgument.of("max_order", f"ASSET=AMOUNT, such as USDT=1000; not {asset[:20]}={most[:40]}")
    return most
