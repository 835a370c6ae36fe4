"""Market lists on disk: an exchange opens at once, and asks for the newest list afterwards."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from exgate_core.client import Context

from .bounds import judge, may_be_boundless
from .exact import Num
from .markets import Listing

__all__ = ["LONGEST", "path", "read", "write"]

LONGEST = 7 * 86400.0
"""Seconds after which a list on disk isn't used any more."""

_log = logging.getLogger("exgate.ccxt")
_DECODER = msgspec.json.Decoder(float_hook=Num)
_ENCODER = msgspec.json.Encoder(enc_hook=lambda value: msgspec.Raw(str(value).encode()))


def path(context: Context, exchange_id: str) -> Path | None:
    """Where the list of an exchange lies; None if nothing is kept."""
    if context.cache is None:
        return None
    ways = f"{context.last_hop('https://exchange/')} {context.sandbox}"
    return context.cache / f"ccxt-markets-{exchange_id}-{hashlib.sha256(ways.encode()).hexdigest()[:8]}.json"


def read(file: Path, client: Any, now: float) -> Listing | None:
    """The list in a file, by way of a client of that exchange; None if there is none that is good."""
    from .factory import VERSION

    try:
        raw = file.read_bytes()
        kept = _DECODER.decode(raw)
        if may_be_boundless(raw):
            judge(kept)
        at = float(kept["at"])
        if kept["ccxt"] != VERSION or not now - LONGEST < at <= now + 60:
            return None
        client.set_markets(kept["markets"])
        return Listing.of(client, at)
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever is in that file, the exchange can be asked
        _log.warning("%s: not used: %s", file.name, type(error).__name__)
        return None


def write(file: Path, listing: Listing) -> None:
    """Keep a list, whole or not at all; a disk that is full only costs time at the next start."""
    from .factory import VERSION

    kept = {"ccxt": VERSION, "at": listing.at, "markets": list(listing.table.ccxt.values())}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        with os.fdopen(handle, "wb") as target:
            target.write(_ENCODER.encode(kept))
        os.replace(name, file)
    except (OSError, TypeError, msgspec.MsgspecError) as error:
        _log.warning("%s: not kept: %s", file.name, error)
