"""How OKX's WebSocket is spoken ("WebSocket" of www.okx.com/docs-v5/en, 2026-06-27: Connect, Subscribe, Unsubscribe,
Notification, and "Error Code", WebSocket)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from exgate_core.sockets import Control, Limits

_START = b'{"arg":{"channel":"'
_THEN = b'","instId":"'
_DATA = (b'"},"data":', b'"},"action":')
_QUOTE, _ESCAPE = 34, b"\\"
_RECONNECT = "64008"
_NAMED = re.compile(r"channel:([\w-]+),\s*instId:([\w-]+)", re.ASCII)


class _Arg(Struct, frozen=True, rename="camel"):
    channel: str = ""
    inst_id: str = ""


class _Frame(Struct, frozen=True):
    """``{"event":"subscribe","arg":{...},"id":"1"}``, ``{"event":"error","code":"60018","msg":"...","id":"1"}``,
    ``{"event":"notice","code":"64008","msg":"..."}``, or data without an event."""

    event: str = ""
    arg: _Arg = _Arg()
    code: str = ""
    msg: str = ""
    id: str = ""


_FRAME = msgspec.json.Decoder(_Frame)


def topic(channel: str, instrument: str) -> str:
    """What the connections call a channel of an instrument."""
    return f"{channel}:{instrument}"


class OkxDialect:
    """Channels with one instrument each; ``topics`` of them on one connection."""

    def __init__(self, topics: int) -> None:
        # 480 requests an hour for one connection, of which pings are none; 64 KB for one request.
        self.limits = Limits(topics=topics, batch=20, rate=3.0, ping=2.0, pong=8.0)

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """Ask for channels."""
        return _message("subscribe", topics, number)

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """End channels."""
        return _message("unsubscribe", topics, number)

    def ping(self) -> str:
        """OKX's own ping: a text."""
        return "ping"

    def route(self, frame: bytes) -> str | Control:
        """The channel and instrument of data: read without decoding the rest where it is spelt as it always is."""
        if frame.startswith(_START):
            channel = frame.index(_QUOTE, len(_START))
            start = channel + len(_THEN)
            end = frame.find(_QUOTE, start)
            if frame.startswith(_THEN, channel) and frame.startswith(_DATA, end) and _ESCAPE not in frame[:end]:
                return topic(frame[len(_START) : channel].decode(), frame[start:end].decode())
        if frame == b"pong":
            return Control("alive")
        return _other(_FRAME.decode(frame))


def _other(frame: _Frame) -> str | Control:
    name = topic(frame.arg.channel, frame.arg.inst_id)
    number = int(frame.id) if frame.id.isdecimal() else 0
    if not frame.event:
        if not frame.arg.channel or not frame.arg.inst_id:
            raise ValueError("data of a channel that isn't named")
        return name
    if frame.event in ("subscribe", "unsubscribe"):
        return Control("confirmed", number, name)
    if frame.event == "notice":
        return Control("replace" if frame.code == _RECONNECT else "ignored")
    return _error(frame, number) if frame.event == "error" else Control("ignored")


def _error(frame: _Frame, number: int) -> Control:
    message = f"{frame.code} {frame.msg}"
    named = _NAMED.search(frame.msg)
    if named is not None:
        return Control("rejected", number, topic(named[1], named[2]), message)
    if not number:
        raise ValueError(message)  # which request was refused isn't said
    return Control("rejected", number, message=message)


def _message(operation: str, topics: Sequence[str], number: int) -> str:
    pairs = (name.partition(":") for name in topics)
    arguments = [{"channel": channel, "instId": instrument} for channel, _, instrument in pairs]
    return msgspec.json.encode({"id": str(number), "op": operation, "args": arguments}).decode()
