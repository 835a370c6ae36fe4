"""What became of one send: the three outcomes, and how each is told to a caller and kept in the journal."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from . import rows
from .contract import is_order_id
from .errors import DUPLICATE, AlreadyExists, ExGateError, NotFound, NotSent, OutcomeUnknown, RateLimited, Refused
from .models import AccountCapabilities, CancelResult, Market, Order, OrderRequest
from .rows import Row

_NO_IDS: Final = ("none", "null", "undefined")
_LONGEST_REASON = 300
_NEVER: Final = "ORDER_NEVER_ARRIVED"


class Markets(Protocol):
    """What is needed of a market list."""

    def get(self, symbol: str) -> Market | None:
        """The market with exactly this unified symbol."""
        ...


class Public(Protocol):
    """What is needed of the public side."""

    @property
    def name(self) -> str: ...
    @property
    def markets(self) -> Markets: ...


class Account(Protocol):
    """What is needed of the private side; the adapter's exceptions pass through its three methods unchanged."""

    @property
    def identity(self) -> str: ...
    @property
    def exchange(self) -> Public: ...
    @property
    def capabilities(self) -> AccountCapabilities: ...
    @property
    def settle(self) -> float: ...

    def exchange_now(self) -> int:
        """The exchange's own time, ms since the epoch; 0 = nobody has measured it."""
        ...

    def has(self, operation: str) -> bool:
        """Whether the adapter serves the operation."""
        ...

    async def place_order(self, order: OrderRequest) -> str:
        """One send."""
        ...

    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """One send."""
        ...

    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """Every order that matches."""
        ...


class Verdict(Struct, frozen=True):
    """What became of an order: a state of ``rows``, and the order id or the error that goes with it."""

    state: str
    order_id: str = ""
    error: ExGateError | None = None
    duplicate: bool = False
    """The exchange says that it has an order with this client id: which one must be looked up."""
    order: Order | None = None
    """The order as the exchange showed it, where it was looked up."""


def of_answer(answer: object) -> Verdict:
    """What a returned value proves: an order id that callers can send back is placed, anything else proves nothing."""
    if isinstance(answer, str) and is_order_id(answer) and answer.lower() not in _NO_IDS:
        return Verdict(rows.PLACED, answer)
    return Verdict(rows.UNKNOWN, error=OutcomeUnknown(f"the exchange answered without an order id ({answer!r:.40})"))


def of_error(error: BaseException, exchange: str) -> Verdict:
    """What an adapter's exception proves. What isn't one of the four that it may raise proves nothing."""
    if isinstance(error, NotSent):
        return Verdict(
            rows.NOT_SENT, error=not_sent(f"{exchange} was not reached: {text_of(error)}", error.retry_after)
        )
    if isinstance(error, RateLimited):
        return Verdict(rows.NOT_SENT, error=limited(error, exchange))
    if isinstance(error, AlreadyExists) or (isinstance(error, Refused) and error.reason == DUPLICATE):
        return Verdict(rows.UNKNOWN, error=error, duplicate=True)
    if isinstance(error, (Refused, NotFound)):
        return Verdict(rows.REFUSED, error=refused(error, exchange))
    return Verdict(rows.UNKNOWN, error=OutcomeUnknown(f"no usable answer ({type(error).__name__}: {text_of(error)})"))


def text_of(error: BaseException) -> str:
    """An error's text as part of a sentence: bounded, one line, without its full stop and its own last sentence."""
    text = error.message if isinstance(error, ExGateError) else str(error)
    for ending in ("Nothing was sent.", "It may have been sent."):
        text = text.strip().removesuffix(ending)
    return " ".join(text.split()).rstrip(".")[:_LONGEST_REASON] or type(error).__name__


def not_sent(message: str, retry_after: float | None = None, reason: str = "") -> NotSent:
    """503: certainly not sent; asking again is safe."""
    wait = 1.0 if retry_after is None else retry_after
    text = f"{message}. Nothing was sent."
    return NotSent(text, reason=reason, retry_after=wait, metadata={"outcome": "not-sent"})


def limited(error: RateLimited, exchange: str) -> RateLimited:
    """429: a limit, the exchange's or ours; asking again after the wait is safe."""
    text = f"{exchange} takes no more requests for now: {text_of(error)}. Nothing was sent."
    wait = 1.0 if error.retry_after is None else error.retry_after
    return RateLimited(text, reason=error.reason, retry_after=wait, metadata={**error.metadata, "outcome": "not-sent"})


def refused(error: Refused | NotFound, exchange: str) -> ExGateError:
    """400 or 404: the exchange answered, and no order came of it."""
    text = f"{exchange} refused the order: {text_of(error)}. No order was placed."
    return type(error)(text, reason=error.reason, metadata={**error.metadata, "outcome": "refused"})


def rejection(order: Order) -> Refused:
    """The exchange took the order in and rejected it afterwards."""
    return Refused(
        f"it rejected order {order.order_id}", reason="ORDER_REJECTED", metadata={"order_id": order.order_id}
    )


def never_placed(exchange: str, settle: float) -> Refused:
    """400: the exchange doesn't know the order, though the time in which it could have taken it is over."""
    text = f"{exchange} doesn't have the order, {settle:g} s after it was sent. No order was placed."
    return Refused(text, reason=_NEVER, metadata={"outcome": "refused"})


def is_never_placed(verdict: Verdict) -> bool:
    """Whether the exchange certainly doesn't have the order."""
    return verdict.error is not None and verdict.error.reason == _NEVER


def exists(message: str, order_id: str = "") -> AlreadyExists:
    """409: the id was used before; ``order_id`` is the earlier order's."""
    metadata = {"outcome": "refused"} | ({"order_id": order_id} if order_id else {})
    return AlreadyExists(f"{message}. Nothing was sent.", metadata=metadata)


def unknown(message: str) -> OutcomeUnknown:
    """504: sent, and nobody can tell yet."""
    text = f"{message}; ask again with the same key, or GET order. It may have been sent."
    return OutcomeUnknown(text, metadata={"outcome": "unknown"})


def unknown_cancel(message: str) -> OutcomeUnknown:
    """504: a cancel of which nobody can tell whether it arrived."""
    text = f"{message}; cancelling again is safe. It may have been sent."
    return OutcomeUnknown(text, reason="CANCEL_OUTCOME_UNKNOWN", metadata={"outcome": "unknown"})


def told(error: ExGateError, exchange: str, client_order_id: str = "", sent_ms: int = 0) -> ExGateError:
    """A copy of an error for one caller, with what is known of the order in its metadata."""
    mine = copy.copy(error)
    known = {"exchange": exchange, "client_order_id": client_order_id, "sent_at_ms": str(sent_ms) if sent_ms else ""}
    mine.metadata = {name: text for name, text in known.items() if text} | error.metadata
    return mine


_KINDS: dict[str, type[ExGateError]] = {kind.__name__: kind for kind in (Refused, NotFound, AlreadyExists)}


def written(error: ExGateError | None) -> str:
    """A refusal as the journal keeps it."""
    if error is None:
        return ""
    kept = {"kind": type(error).__name__, "message": error.message, "reason": error.reason, "metadata": error.metadata}
    return msgspec.json.encode(kept).decode()


def verdict_of(row: Row) -> Verdict:
    """What a row says that isn't among ``rows.MAYBE_SENT``."""
    if row.state == rows.PLACED:
        return Verdict(rows.PLACED, row.order_id)
    if row.state == rows.REFUSED:
        return Verdict(rows.REFUSED, error=_read(row.answer))
    if row.state in (rows.NOT_SENT, rows.INTENT):
        return Verdict(rows.NOT_SENT, error=not_sent("the order with this key never left"))
    text = f"row {row.id} of the journal can't be read, so nobody can tell what became of the order with this key"
    return Verdict(rows.UNKNOWN, error=unknown(text))


def _read(answer: str) -> ExGateError:
    kept: dict[str, Any] = msgspec.json.decode(answer) if answer else {}
    kind = _KINDS.get(kept.get("kind", ""), Refused)
    metadata = {"outcome": "refused"} | kept.get("metadata", {})
    return kind(kept.get("message", "no order was placed"), reason=kept.get("reason", ""), metadata=metadata)
