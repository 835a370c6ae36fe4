"""How Kraken's WebSocket v2 is spoken (docs.kraken.com, Spot WebSocket v2, "Book (Level 2)", "Trades", "Ping" and
"Spot Websockets Introduction", read at 2026-05-27).

A frame of ``book`` doesn't say to which depth it belongs. Which one it is follows from the last subscription that
Kraken confirmed for the market, so the dialect remembers that; the connections route by topic and drop what they
didn't ask for.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from exgate_core.sockets import Control, Limits

TRADE = "trade"
_BOOK = "book"
_SYMBOL = b'"symbol":"'
_TRADE_FRAME, _BOOK_FRAME = b'{"channel":"trade"', b'{"channel":"book"'
_HEARTBEAT = b'{"channel":"heartbeat"'


class _Named(Struct, frozen=True):
    symbol: str = ""


class _Result(Struct, frozen=True):
    channel: str = ""
    symbol: str = ""
    depth: int = 0


class _Frame(Struct, frozen=True):
    channel: str = ""
    method: str = ""
    req_id: int = 0
    success: bool | None = None
    error: str = ""
    result: _Result | None = None
    data: list[_Named] = []


_FRAME = msgspec.json.Decoder(_Frame).decode


def trade_topic(symbol: str) -> str:
    """The trades of a market."""
    return f"{TRADE}:{symbol}"


def book_topic(symbol: str, depth: int) -> str:
    """The book of a market with so many levels a side."""
    return f"{_BOOK}-{depth}:{symbol}"


class KrakenDialect:
    """One topic a message: a message names one channel and one depth."""

    # The server ends a connection after about a minute without a message; a heartbeat comes every second.
    limits = Limits(topics=500, batch=1, rate=10.0, ping=2.0, pong=8.0)

    def __init__(self) -> None:
        self._depths: dict[str, int] = {}

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """Ask for one topic with its snapshot."""
        channel, depth, symbol = _parts(topics[0])
        if depth:
            self._depths.setdefault(symbol, depth)
        return _message("subscribe", channel, depth, symbol, number)

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """End one topic."""
        return _message("unsubscribe", *_parts(topics[0]), number)

    def ping(self) -> str:
        """Kraken's own ping."""
        return '{"method":"ping"}'

    def route(self, frame: bytes) -> str | Control:
        """The topic of a data frame, read without decoding the rest; what every other frame says."""
        if frame.startswith(_BOOK_FRAME):
            return self._book(_symbol(frame))
        if frame.startswith(_TRADE_FRAME):
            return trade_topic(_symbol(frame))
        if frame.startswith(_HEARTBEAT):
            return Control("alive")
        return self._other(_FRAME(frame))

    def _book(self, symbol: str) -> str:
        return book_topic(symbol, self._depths.get(symbol, 0))

    def _other(self, frame: _Frame) -> str | Control:
        if frame.channel in (_BOOK, TRADE) and frame.data:
            symbol = frame.data[0].symbol
            return self._book(symbol) if frame.channel == _BOOK else trade_topic(symbol)
        if frame.method == "pong" or frame.channel == "heartbeat":
            return Control("alive")
        if frame.success is None:
            return Control("ignored")
        if not frame.success and frame.method == "subscribe":
            return Control("rejected", frame.req_id, message=frame.error)
        self._note(frame)
        return Control("confirmed", frame.req_id)

    def _note(self, frame: _Frame) -> None:
        result = frame.result
        if result is None or result.channel != _BOOK:
            return
        if frame.method == "subscribe":
            self._depths[result.symbol] = result.depth
        elif self._depths.get(result.symbol) == result.depth:
            del self._depths[result.symbol]


def _symbol(frame: bytes) -> str:
    start = frame.find(_SYMBOL) + len(_SYMBOL)
    if start < len(_SYMBOL):
        return ""  # a snapshot of nothing
    return frame[start : frame.index(34, start)].decode()  # 34: the closing quote


def _parts(topic: str) -> tuple[str, int, str]:
    channel, _, symbol = topic.partition(":")
    name, _, depth = channel.partition("-")
    return name, int(depth or 0), symbol


def _message(method: str, channel: str, depth: int, symbol: str, number: int) -> str:
    params: dict[str, object] = {"channel": channel, "symbol": [symbol]}
    if depth:
        params["depth"] = depth
    if method == "subscribe":
        params["snapshot"] = True
    return msgspec.json.encode({"method": method, "params": params, "req_id": number}).decode()
