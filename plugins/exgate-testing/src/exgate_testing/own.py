"""What a fake may say of its exchange beyond ``fakes.Fake``, so that the kit can judge what only this exchange has.

Every part is optional, and each that is there opens one case: what the exchange's own answers prove (``examples``),
what requests cost (``weight``), how many orders an account may place (``limit_orders``), in how many places an order
shows (``places``, ``hide``), and whether requests carry their time (``timed: ClassVar[bool] = True``): then the
exchange's clock may jump. ``tells_options: ClassVar[bool] = True`` says that accepted orders hold their options.
Then there are the plugin's own settings (``settings_taken``, ``settings_refused``), the weight that an address may use
(``weight_limits``), what a connection may be burdened with (``caps``), how the exchange refuses a stream
(``refuse_stream``), how it announces the end of a connection (``leaving``), what it calls an open order
(``word_for_open``), and whether two markets may have orders with one id (``ids_per_market``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

from msgspec import Struct

from exgate_core.models import Market, Order

from .fakes import Reply, Request, Session

__all__ = [
    "Capped", "Caps", "CountsByMarket", "Example", "Examples", "Leaves", "LimitsOrders", "NamesStates",
    "RefusesStreams", "Set", "ShowsLate", "Weighs",
]  # fmt: skip

Meaning = Literal[
    "refused", "not-found", "limited", "unknown", "unavailable",
    "placed", "canceled", "already_canceled", "filled", "pending", "found",
]  # fmt: skip


class Example(Struct, frozen=True, kw_only=True):
    """One answer of the exchange, and what an adapter must make of it."""

    operation: Literal["place_order", "cancel_order", "find_order", "balances"]
    """An order is placed in the first market with the client id ``example-1``, or what the exchange's rule makes of
    it; the order to cancel or to find is number 77 there."""
    by_client_id: bool = False
    """The order to cancel or to find is named by its client id, ``example-77``, instead."""
    reply: Reply
    means: Meaning
    """refused: provably nothing was done; limited: too many; unknown: an order or a cancel of which nobody can tell;
    unavailable: a question without a usable answer; placed, found: see ``order``; the rest: what a cancel did."""
    reason: str = ""
    """The error's reason in UPPER_SNAKE; empty = any."""
    wait: float | None = None
    """limited: the seconds to wait."""
    orders_only: bool = False
    """limited: the limit is the account's. Other requests go on; new orders don't."""
    order: Order | None = None
    """found: exactly this; placed: its id."""
    words: str = ""
    """What the error's message must hold."""


class Examples(Protocol):
    """A fake with answers to be read."""

    examples: ClassVar[Sequence[Example]]


class Weighs(Protocol):
    """A fake of an exchange that counts weight."""

    weight_limits: ClassVar[Mapping[str, int]]
    """How much may be used within the window that the adapter declares, by the exchange's name. Optional."""

    def weight(self, request: Request) -> int:
        """What the exchange charges for a request."""
        ...


class LimitsOrders(Protocol):
    """A fake of an exchange that tells how many orders an account has placed."""

    def limit_orders(self, count: int) -> None:
        """From now on so many orders are taken per window. The market list says so, too."""
        ...

    def window_left(self) -> float:
        """Seconds until the present window is over. Optional."""
        ...


class ShowsLate(Protocol):
    """A fake of an exchange with several places in which an order can be looked up."""

    places: ClassVar[Mapping[str, Sequence[str]]]
    """Names of them for a search by ``order_id``, and for one by ``client_order_id``: the exchange shows an order
    sooner in one, later in another."""

    def hide(self, places: Collection[str]) -> None:
        """From now on these places show no order, and the others all of them."""
        ...

    def shows(self, place: str, market: Market, order: Order) -> bool:
        """Whether such an order stands in the place at all: one that is over isn't among the open ones."""
        ...


class Set(Protocol):
    """A fake that knows which settings of the plugin make sense with its exchange."""

    settings_taken: ClassVar[Sequence[tuple[Mapping[str, Any], str]]]
    """With each of these the adapter opens (the ends of what is allowed, say); the text must then stand in the method,
    path or query of a request, when a book, trades and balances are asked for."""
    settings_refused: ClassVar[Sequence[Mapping[str, Any]]]
    """Each of these must be refused before anything is asked."""


class Caps(Struct, frozen=True, kw_only=True):
    """What one WebSocket connection may be burdened with, by the exchange's document."""

    topics: int
    messages: float
    """A second, pings among them."""
    lifetime: float = 0.0
    """Seconds after which the exchange ends it; 0 = it doesn't."""


class Capped(Protocol):
    """A fake of an exchange that states such caps."""

    caps: ClassVar[Caps]


class RefusesStreams(Protocol):
    """A fake of an exchange that can refuse a subscription."""

    stream_refusals: ClassVar[Sequence[str]]
    """The words of each way in which it does; an empty text where the adapter can't know what was refused."""

    def refuse_stream(self, number: int) -> None:
        """The next subscription is refused in this way."""
        ...


class Leaves(Protocol):
    """A fake of an exchange that announces the end of a connection."""

    def leaving(self, session: Session) -> None:
        """Send the announcement; each time in another of its forms, if there are several."""
        ...


class CountsByMarket(Protocol):
    """A fake of an exchange on which two markets can have orders with the same id."""

    ids_per_market: ClassVar[bool] = True


class NamesStates(Protocol):
    """A fake of an exchange whose list of order states may grow."""

    word_for_open: ClassVar[str]
    """What it calls an open order, as it stands in its answers."""
