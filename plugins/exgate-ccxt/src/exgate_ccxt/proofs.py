"""What frames say about the book beyond its levels: numbers that show a missing frame, and checksums.

ccxt doesn't look at these (4.5.90): a lost frame would leave a wrong book that looks right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exgate_core.errors import Unavailable

__all__ = ["CHECKSUMS", "Proof", "proof_for"]

Proof = Callable[[Any], str]
"""A decoded frame -> the checksum of the book after it, or empty. Raises Unavailable where a frame is missing."""

CHECKSUMS = {"kraken": "crc32-kraken", "okx": "crc32-okx", "okxus": "crc32-okx", "myokx": "crc32-okx"}
"""Exchange -> the name of the checksum in its frames."""


def proof_for(exchange_id: str) -> Proof:
    """A new reader of one stream's frames."""
    made = _PROOFS.get(exchange_id)
    return _nothing if made is None else made()


def _nothing(message: Any) -> str:
    return ""


def _kraken() -> Proof:
    def read(message: Any) -> str:
        if not isinstance(message, dict) or message.get("channel") != "book":
            return ""
        return _checksum(message.get("data"))

    return read


def _okx() -> Proof:
    last = _Chain()

    def read(message: Any) -> str:
        if not isinstance(message, dict) or "arg" not in message or "data" not in message:
            return ""
        for row in message["data"]:
            if "seqId" in row:
                last.step(row.get("prevSeqId"), row["seqId"], first=message.get("action") == "snapshot")
        return _checksum(message["data"])

    return read


def _gate() -> Proof:
    last = _Chain()

    def read(message: Any) -> str:
        result = message.get("result") if isinstance(message, dict) else None
        if isinstance(result, dict) and message.get("channel") == "spot.obu" and "u" in result:
            last.step(int(result.get("U", 0)) - 1, result["u"], first=bool(result.get("full")))
        return ""

    return read


def _kucoin() -> Proof:
    last = _Chain()

    def read(message: Any) -> str:
        data = message.get("data") if isinstance(message, dict) else None
        if isinstance(data, dict) and "sequenceStart" in data:
            last.step(int(data["sequenceStart"]) - 1, data["sequenceEnd"], first=last.number is None)
        return ""

    return read


class _Chain:
    """Frames that name the one before."""

    def __init__(self) -> None:
        self.number: int | None = None

    def step(self, previous: Any, number: Any, *, first: bool) -> None:
        if not first and self.number is not None and int(previous) != self.number:
            raise Unavailable(f"a frame is missing: after {self.number} came one that follows {previous}.")
        self.number = int(number)


def _checksum(rows: Any) -> str:
    # Of several updates in one frame each has a checksum of its own: the book is handed on after each.
    if not isinstance(rows, list) or len(rows) != 1:
        return ""
    said = str(rows[0].get("checksum", ""))
    return "" if said == "0" else said  # OKX sends nothing else since 2026-06-23 (its change log)


_PROOFS: dict[str, Callable[[], Proof]] = {
    "kraken": _kraken,
    "okx": _okx,
    "okxus": _okx,
    "myokx": _okx,
    "gate": _gate,
    "gateeu": _gate,
    "kucoin": _kucoin,
}
