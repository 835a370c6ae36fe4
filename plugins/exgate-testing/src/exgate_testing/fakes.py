"""What an author writes, and what his fake is given: one class that speaks the dialect of one exchange.

A fake keeps no book and no orders. ``Simulation`` is the exchange behind the dialect: the fake translates requests into
calls of it, and its values into the exchange's own bytes. Faults happen on the wire around the fake (``faults``), so it
stays honest: it verifies signatures, checks what the exchange checks, and refuses in the exchange's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol
from urllib.parse import parse_qsl

from msgspec import Struct

from exgate_core.models import Market

from .simulation import OwnTrade, Simulation

__all__ = ["Fake", "Keys", "OwnTrade", "Reply", "Request", "Session", "Simulation"]


class Request(Struct, frozen=True):
    """One HTTP request as it arrived."""

    method: str
    host: str
    """The exchange's, as the adapter asked for it: ``api.binance.com``."""
    path: str
    """From the first slash, without the query, still encoded."""
    query: str = ""
    """The query as it was sent, still encoded, without the question mark."""
    headers: Mapping[str, str] = {}
    """Names in lower case."""
    body: bytes = b""

    def fields(self) -> dict[str, str]:
        """The decoded fields of the query and of a form in the body; of two with one name the later."""
        form = self.body.decode("utf-8", "replace") if self._is_form else ""
        pairs = [*parse_qsl(self.query, keep_blank_values=True), *parse_qsl(form, keep_blank_values=True)]
        return dict(pairs)

    @property
    def _is_form(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


class Reply(Struct, frozen=True):
    """What the fake answers."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    """Besides Content-Type (``application/json`` unless given here) and Content-Length."""


class Keys(Struct, frozen=True):
    """The credentials that a fake accepts."""

    api_key: str
    api_secret: str
    passphrase: str = ""


class Session:
    """One WebSocket connection of the adapter."""

    def __init__(self, host: str, path: str, send: Callable[[str | bytes, str], None], close: Callable[[int], None]):
        self.host = host
        self.path = path
        """With the query, as it was asked for."""
        self.state: dict[str, Any] = {}
        """The fake's own notes: what is subscribed, what ends it."""
        self._send, self._close = send, close

    def send(self, text: str | bytes, topic: str = "") -> None:
        """Queue a frame. ``topic`` names the stream that it is data of (``btcusdt@trade``); confirmations, pongs and
        heartbeats have none. Only frames with a topic are skipped, repeated, spoilt or swapped by the kit."""
        self._send(text, topic)

    def close(self, code: int = 1000) -> None:
        """Close the connection after what is queued."""
        self._close(code)


class Fake(Protocol):
    """What an author writes: 150 to 300 lines. Every method is a plain call, and none may wait.

    Optional besides what stands here: ``def ping(self, session: Session) -> None``, called twice a second for every
    open connection, where the exchange sends heartbeats of its own; ``client_ids: ClassVar[str] = "ever"`` where a
    client order id may never be used again ("open", the default: not while its order is open); ``settings:
    ClassVar[Mapping[str, Any]]``, further keys of the section under which the adapter is judged; ``waivers:
    ClassVar[Mapping[str, str]]``, cases that the exchange can't meet, each with the reason; ``simulated:
    ClassVar[Mapping[str, Any]]``, further arguments of ``Simulation``, for an exchange whose numbers are of another
    size (``first_id``) or whose times are coarser (``clock_step_ms``); ``sends_checksums: ClassVar[bool] = False``
    where the adapter names a checksum that the exchange doesn't send at present; ``asleep:
    ClassVar[Sequence[Market]]``, markets that are listed and in which nobody can trade now: the adapter must give them
    as inactive;
    ``not_applicable: ClassVar[Collection[str]]``, the cases that prove nothing here: where it is stated, every other
    case must apply, so that no capability gets lost unnoticed. The module ``own`` has more.
    """

    markets: ClassVar[Sequence[Market]]
    """As the adapter's ``markets()`` must give them, all with tick and step: BTC/USDT, ETH/BTC, one with a tick of
    1e-8, one whose name on the exchange is odd."""
    credentials: ClassVar[Keys]

    def __init__(self, simulation: Simulation) -> None: ...

    def operation(self, request: Request) -> str:
        """The hook that such a request belongs to: ``depth``, ``recent_trades``, ``balances``, ``place_order``,
        ``cancel_order``, ``pending_orders``, ``find_order``; ``markets`` for the market list; empty for the rest
        (server time, tokens)."""
        ...

    def answer(self, request: Request) -> Reply:
        """An honest answer, also to what is wrong: the exchange's own status, code and body. The credentials, the
        signature and the timestamp or nonce are verified here."""
        ...

    def too_many(self) -> Reply:
        """What the exchange answers to too many requests."""
        ...

    def opened(self, session: Session) -> None:
        """A WebSocket connection was opened."""
        ...

    def message(self, session: Session, text: str) -> None:
        """The adapter sent a text frame."""
        ...

    def closed(self, session: Session) -> None:
        """The connection is over: end what was subscribed on it."""
        ...
