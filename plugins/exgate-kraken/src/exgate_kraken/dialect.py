"""How Kraken's WebSocket v2 is spoken (docs.kraken.com, Spot WebSocket v2, "Book (Level 2)", "Trades", "Ping" and
"Spot Websockets Introduction", read at 2026-05-27).

A frame of ``book`` doesn't say to which depth it belongs, so an adapter asks for one depth only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from exgate_core.sockets import Control, Limits

_TRADE, _BOOK = "trade", "book"
_SYMBOL = b'"symbol":"'
_TRADE_FRAME, _BOOK_FRAME = b'{"channel":"trade"', b'{"channel":"book"'
_HEARTBEAT = b'{"channel":"heartbeat"}'
_QUOTE, _ESCAPE = 34, b"\\"


class _Frame(Struct, frozen=True):
    channel: str = ""
    method: str = ""
    req_id: int | None = None
    success: bool | None = None
    error: str | None = None
    data: Any = None


_FRAME = msgspec.json.Decoder(_Frame).decode


def trade_topic(symbol: str) -> str:
    """The trades of a market."""
    return f"{_TRADE}:{symbol}"


def book_topic(symbol: str) -> str:
    """The book of a market."""
    return f"{_BOOK}:{symbol}"


class KrakenDialect:
    """One topic a message: a message names one channel. ``depth``: how many levels a side the books have."""

    # The server ends a connection after about a minute without a message; a heartbeat comes every second.
    limits = Limits(topics=500, batch=1, rate=10.0, ping=2.0, pong=8.0)

    def __init__(self, depth: int) -> None:
        self._depth = depth

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """Ask for one topic with its snapshot."""
        return self._message("subscribe", topics[0], number, {"snapshot": True})

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """End one topic."""
        return self._message("unsubscribe", topics[0], number, {})

    def ping(self) -> str:
        """Kraken's own ping."""
        return '{"method":"ping"}'

    def route(self, frame: bytes) -> str | Control:
        """The topic of a data frame, read without decoding the rest where it is spelt as it always is; what every other
        frame says."""
        if frame.startswith(_BOOK_FRAME) and (symbol := _symbol(frame)):
            return book_topic(symbol)
        if frame.startswith(_TRADE_FRAME) and (symbol := _symbol(frame)):
            return trade_topic(symbol)
        return Control("alive") if frame == _HEARTBEAT else _other(_FRAME(frame))

    def _message(self, method: str, topic: str, number: int, more: dict[str, object]) -> str:
        channel, _, symbol = topic.partition(":")
        params = {"channel": channel, "symbol": [symbol], **more}
        if channel == _BOOK:
            params["depth"] = self._depth
        return msgspec.json.encode({"method": method, "params": params, "req_id": number}).decode()


def _other(frame: _Frame) -> str | Control:
    if frame.channel in (_BOOK, _TRADE) and frame.data != []:
        return f"{frame.channel}:{frame.data[0]['symbol']}"
    if not frame.channel and frame.data is not None:
        raise ValueError("data of a channel that isn't named")
    if frame.method == "pong" or frame.channel == "heartbeat":
        return Control("alive")
    if frame.success is None:
        return Control("ignored")
    if not frame.success and frame.method == "subscribe":
        return Control("rejected", frame.req_id or 0, message=frame.error or "")
    return Control("confirmed", frame.req_id or 0)


def _symbol(frame: bytes) -> str:
    """The first symbol in a frame; empty where it is spelt in another way or there is none."""
    start = frame.find(_SYMBOL) + len(_SYMBOL)
    name = frame[start : frame.index(_QUOTE, start)] if start >= len(_SYMBOL) else b""
    return name.decode() if _ESCAPE not in name else ""
