"""Frames of WebSocket v2 -> ExGate's values: pure, one typed decode per frame, every digit as it was sent.

Shapes: docs.kraken.com, Spot WebSocket v2, "Book (Level 2)" and "Trades" (read at 2026-05-27). Prices and amounts are
JSON numbers whose written zeros the checksum needs ("Book checksum (WebSocket v2)"), so none may become a float.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from exgate_core.fetch import digits
from exgate_core.models import Depth, DepthDelta, Level, Trade

_SECOND = 1_000_000_000
_PLAIN = re.compile(r"(?:0|[1-9][0-9]{0,19})\.[0-9]{1,20}", re.ASCII).fullmatch


class _Level(Struct, frozen=True, gc=False):
    price: Raw
    qty: Raw


class _Book(Struct, frozen=True, gc=False):
    symbol: str
    bids: list[_Level] = []
    asks: list[_Level] = []
    checksum: int | None = None
    timestamp: str = ""


class _BookFrame(Struct, frozen=True, gc=False):
    type: Literal["snapshot", "update"]
    data: list[_Book]


class _Trade(Struct, frozen=True, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: Raw
    qty: Raw
    trade_id: int
    timestamp: str


class _TradeFrame(Struct, frozen=True, gc=False):
    data: list[_Trade]


_BOOK = msgspec.json.Decoder(_BookFrame).decode
_TRADES = msgspec.json.Decoder(_TradeFrame).decode


def book(frame: bytes, symbol: str) -> list[Depth | DepthDelta]:
    """What a frame of ``book`` says of one market. Kraken numbers no states: the checksum alone shows a lost frame."""
    decoded = _BOOK(frame)
    shape = _snapshot if decoded.type == "snapshot" else _update
    return [shape(entry) for entry in decoded.data if entry.symbol == symbol]


def _snapshot(entry: _Book) -> Depth:
    return Depth(
        bids=_levels(entry.bids),
        asks=_levels(entry.asks),
        timestamp=nanoseconds(entry.timestamp) // 1_000_000 if entry.timestamp else 0,
        checksum=_checksum(entry),
    )


def _update(entry: _Book) -> DepthDelta:
    return DepthDelta(
        bids=_levels(entry.bids),
        asks=_levels(entry.asks),
        previous=0,
        sequence=0,
        timestamp=nanoseconds(entry.timestamp) // 1_000_000 if entry.timestamp else 0,
        checksum=_checksum(entry),
    )


def _checksum(entry: _Book) -> str:
    return "" if entry.checksum is None else str(entry.checksum)


def _levels(levels: list[_Level]) -> list[Level]:
    return [(_digits(level.price), _digits(level.qty)) for level in levels]


def _digits(raw: Raw) -> str:
    text = str(raw, "ascii")
    return text if _PLAIN(text) else digits(raw)


def trades(frame: bytes, symbol: str) -> list[Trade]:
    """The trades of one market in a frame of ``trade``, in the order of their ids."""
    found = [_trade(entry) for entry in _TRADES(frame).data if entry.symbol == symbol]
    return sorted(found, key=_number) if len(found) > 1 else found


def _trade(entry: _Trade) -> Trade:
    time_ns = nanoseconds(entry.timestamp)
    return Trade(
        id=str(entry.trade_id),
        price=_digits(entry.price),
        qty=_digits(entry.qty),
        time=time_ns // 1_000_000,
        taker_side=entry.side,
        time_ns=time_ns,
    )


def _number(trade: Trade) -> int:
    return int(trade.id)


def nanoseconds(text: str) -> int:
    """An RFC 3339 time in UTC as ns since the epoch, all its digits kept. Raises ValueError if it is none."""
    if len(text) == 27 and text[19] == "." and text[26] == "Z" and text[20:26].isdecimal():  # how Kraken writes them
        return _seconds(text[:19]) * _SECOND + int(text[20:26]) * 1000
    head, _, fraction = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or (fraction and not (fraction.isascii() and fraction.isdecimal())):
        raise ValueError(f"not a time in UTC: {text[:40]!r}")
    return _seconds(head) * _SECOND + int(fraction[:9].ljust(9, "0"))


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp())
