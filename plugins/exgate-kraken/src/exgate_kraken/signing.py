"""Signatures and nonces (docs.kraken.com, "Spot REST Authentication", read at 2026-05-27). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

PER_SECOND: Final[Mapping[str, int]] = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many nonces of each unit a second has."""


def key_of(secret: str) -> bytes:
    """The bytes of a private key. Raises ValueError if it isn't base64."""
    try:
        return base64.b64decode(secret, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def sign(path: str, nonce: str, body: str, key: bytes) -> str:
    """``API-Sign``: HMAC-SHA512 of path + SHA256(nonce + body) with the private key, in base64."""
    message = path.encode() + hashlib.sha256((nonce + body).encode()).digest()
    return base64.b64encode(hmac.new(key, message, hashlib.sha512).digest()).decode()


def encoded(nonce: str, fields: Mapping[str, str]) -> str:
    """The form that is signed and sent, the nonce first."""
    return urlencode({"nonce": nonce, **fields}, quote_via=quote)


class Nonces:
    """Always increasing: the clock's, or one more than the last where the clock stands or goes back."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: float, unit: str) -> str:
        """The nonce for a request that leaves now (seconds since the epoch)."""
        self._last = max(self._last + 1, int(now * PER_SECOND[unit]))
        return str(self._last)
