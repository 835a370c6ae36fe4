"""How Bitstamp's WebSocket is spoken (WebSocket API v2: "Subscriptions", "Forced reconnection", "Heartbeat")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from exgate_core.dialects import Control, Limits
from msgspec import Struct

_DATA: Final = frozenset({"data", "trade"})
_HEARTBEAT: Final = '{"event":"bts:heartbeat"}'
_DAY: Final = 86_400.0


class _Words(Struct, frozen=True):
    message: str = ""
    code: int | None = None


class _Frame(Struct, frozen=True):
    event: str
    channel: str = ""


class _Refusal(Struct, frozen=True):
    data: _Words


_FRAME: Final = msgspec.json.Decoder(_Frame)
_REFUSAL: Final = msgspec.json.Decoder(_Refusal)


class BitstampDialect:
    """One channel a message; answers name the channel, not the request."""

    # A connection lives 90 days at most. No other limit is stated.
    limits = Limits(topics=200, batch=1, rate=20.0, ping=5.0, pong=8.0, lifetime=80 * _DAY)

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """Ask for a channel."""
        return _message("bts:subscribe", topics[0])

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """End a channel."""
        return _message("bts:unsubscribe", topics[0])

    def ping(self) -> str:
        """Bitstamp's own heartbeat, which it answers."""
        return _HEARTBEAT

    def route(self, frame: bytes) -> str | Control:
        """The channel of a data frame, or what another one says. Raises ValueError for an error of no channel."""
        found = _FRAME.decode(frame)
        if found.event in _DATA:
            return found.channel
        if found.event in ("bts:subscription_succeeded", "bts:unsubscription_succeeded"):
            return Control("confirmed", topic=found.channel)
        if found.event == "bts:heartbeat":
            return Control("alive")
        if found.event == "bts:request_reconnect":
            return Control("replace")
        if found.event == "bts:error":
            message = _REFUSAL.decode(frame).data.message
            if not found.channel:
                raise ValueError(message)
            return Control("rejected", topic=found.channel, message=message)
        return Control("ignored")


def _message(event: str, channel: str) -> str:
    return msgspec.json.encode({"event": event, "data": {"channel": channel}}).decode()
