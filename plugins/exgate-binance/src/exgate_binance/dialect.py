"""How Binance's WebSocket is spoken (web-socket-streams.md, 2026-07-21: "General WSS information", "WebSocket
Limits", "Server Shutdown", "Live Subscribing/Unsubscribing to streams")."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from exgate_core.sockets import Control, Limits

_STREAM = b'{"stream":"'
_HOUR = 3600.0
_SHUTDOWN = "!serverShutdown"
_NAME = len(_STREAM)
_QUOTE, _ESCAPE = 34, b"\\"


class _Failure(Struct, frozen=True):
    code: int
    msg: str


class _Frame(Struct, frozen=True):
    """``{"stream":NAME,"data":...}``, ``{"result":null,"id":1}``, or ``{"code":2,"msg":"..."}``, whose ``id`` is often
    missing."""

    stream: str = ""
    data: Raw | UnsetType = UNSET
    id: int | None = None
    code: int | None = None
    msg: str = ""
    error: _Failure | None = None
    e: str = ""
    s: str = ""


_FRAME = msgspec.json.Decoder(_Frame)


class BinanceDialect:
    """Combined streams: ``{"stream": NAME, "data": ...}``."""

    # 1,024 streams a connection; 5 messages a second, of which pings and pongs are some (ours every 2 s, the
    # answers to theirs every 20 s); a connection lives 24 h.
    limits = Limits(topics=1024, batch=100, rate=4.0, ping=2.0, pong=8.0, lifetime=23 * _HOUR)

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """Ask for streams by name."""
        return _message("SUBSCRIBE", topics, number)

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """End streams by name."""
        return _message("UNSUBSCRIBE", topics, number)

    def ping(self) -> str:
        """A ping frame of the protocol."""
        return ""

    def route(self, frame: bytes) -> str | Control:
        """The stream's name: read without decoding the rest where it comes first, as it does, and needs no decoding."""
        if frame.startswith(_STREAM):
            name = frame[_NAME : frame.index(_QUOTE, _NAME)]
            if _ESCAPE not in name:
                return _named(name.decode())
        reply = _FRAME.decode(frame)
        if reply.stream:
            return _named(reply.stream)
        if reply.data is not UNSET or reply.s:
            raise ValueError("data of a stream that isn't named")
        if reply.e == "serverShutdown":
            return Control("replace")
        failure = reply.error or (_Failure(reply.code, reply.msg) if reply.code is not None else None)
        if failure is None:
            return Control("confirmed", reply.id) if reply.id is not None else Control("ignored")
        if reply.id is None:
            raise ValueError(f"{failure.code} {failure.msg}")  # which request was refused isn't said
        return Control("rejected", reply.id, message=f"{failure.code} {failure.msg}")


def _named(stream: str) -> str | Control:
    return stream if stream != _SHUTDOWN else Control("replace")


def _message(method: str, topics: Sequence[str], number: int) -> str:
    return msgspec.json.encode({"method": method, "params": topics, "id": number}).decode()
