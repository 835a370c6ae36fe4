"""How Bitstamp knows who asks (HTTP API v2, "Authentication")."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

FORM: Final = "application/x-www-form-urlencoded"
VERSION: Final = "v2"


def signature(secret: str, key: str, method: str, host: str, path: str, nonce: str, timestamp: str, body: str) -> str:
    """``X-Auth-Signature``: HMAC-SHA256 in hex over who, what, when and the body. Without a body there is no content
    type, neither here nor among the headers."""
    kind = FORM if body else ""
    text = f"BITSTAMP {key}{method}{host}{path}{kind}{nonce}{timestamp}{VERSION}{body}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
