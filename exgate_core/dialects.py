"""What a plugin says about the WebSocket of its exchange: caps, messages, and what a frame is."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """What an exchange's document says about its connections. Times in seconds."""

    topics: int = 1000
    """The most subscriptions of one connection."""
    batch: int = 100
    """The most topics of one subscribe message."""
    rate: float = 4.0
    """Messages that may be sent per second, with some room left for pongs."""
    ping: float = 2.0
    """Between pings: so often a quiet subscription is proven alive."""
    pong: float = 8.0
    """A connection on which nothing at all came for ``ping + pong`` is dead."""
    confirm: float = 10.0
    """A request that isn't confirmed within this time ends the connection."""
    handshake: float = 8.0
    lifetime: float = 0.0
    """The exchange cuts every connection at this age; it is replaced before that, with overlap. 0 = it doesn't."""
    overlap: float = 1.0
    """For so long old and new connection deliver both, so that nothing on its way in the old one is lost."""
    gzip: bool = False
    """Binary frames are gzip or zlib data; they are unpacked before ``route`` and the subscriptions see them."""


class Control(NamedTuple):
    """A frame that is no data: what it says."""

    kind: Literal["confirmed", "rejected", "alive", "replace", "ignored"]
    """A request (``number``) or one topic of it (``topic``) was confirmed or rejected; a pong of the exchange's own
    kind; the exchange wants this connection replaced soon; nothing of interest."""
    number: int = 0
    topic: str = ""
    message: str = ""
    """The exchange's words on a rejection."""


class Dialect(Protocol):
    """How the WebSocket of one exchange is spoken. Holds no state: one serves many connections."""

    limits: Limits

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """The message that asks for these topics; the answer is recognised by ``number``, or topic by topic."""
        ...

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """The message that ends these topics; it is confirmed like a subscription."""
        ...

    def ping(self) -> str:
        """The exchange's own ping; empty = a ping frame of the protocol."""
        ...

    def route(self, frame: bytes) -> str | Control:
        """The topic to which a data frame belongs, or what another frame says. Raising ends the connection."""
        ...


def unpacked(data: bytes, most: int) -> bytes:
    """What a gzip or zlib text holds, if that is no more than ``most`` bytes; ValueError if it is more or damaged."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        text = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(text) > most or not unpacker.eof or unpacker.unused_data:
        raise ValueError("too long, cut off, or with something behind it")
    return text
