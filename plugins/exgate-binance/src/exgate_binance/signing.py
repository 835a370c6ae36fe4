"""Signatures of requests (rest-api.md "SIGNED Endpoint security" and "SIGNED Endpoint Examples", 2026-07-21).

What is signed is the percent-encoded query. The kind of key is seen from the secret: a text in PEM is an Ed25519 or RSA
private key (RSA: PKCS #1 v1.5 with SHA-256), anything else the secret of an HMAC-SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from exgate_core.errors import FailedPrecondition

Signer = Callable[[str], str]
"""From the percent-encoded query to the value of ``signature``, itself percent-encoded."""

_PEM = "-----BEGIN"


def signer_of(secret: str) -> Signer:
    """How this secret signs. Raises FailedPrecondition if it is a key that can't be used; never shows it."""
    if not secret.lstrip().startswith(_PEM):
        return partial(_hmac, secret.encode())
    sign = _private_key(secret)
    return lambda query: quote(base64.b64encode(sign(query.encode())).decode(), safe="")


def _hmac(secret: bytes, query: str) -> str:
    return hmac.new(secret, query.encode(), hashlib.sha256).hexdigest()


def _private_key(secret: str) -> Callable[[bytes], bytes]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        text = "api_secret is a private key in PEM, which needs a library: pip install 'exgate-binance[ed25519]'"
        raise FailedPrecondition(text, reason="MISSING_LIBRARY") from None
    # Environment variables and headers often hold a PEM on one line, its line ends written as \n.
    pem = secret.strip().replace("\\n", "\n").encode()
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        text = "api_secret begins like a private key in PEM and can't be read as one; it must not be encrypted"
        raise FailedPrecondition(text, reason="BAD_API_SECRET") from None
    if isinstance(key, Ed25519PrivateKey):
        return key.sign
    if isinstance(key, RSAPrivateKey):
        return partial(key.sign, padding=PKCS1v15(), algorithm=SHA256())
    raise FailedPrecondition("api_secret is a private key, but neither Ed25519 nor RSA", reason="BAD_API_SECRET")
