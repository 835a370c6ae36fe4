"""The values that travel through ExGate: what adapters return, what doors encode.

Every price, amount and balance is a decimal string in plain notation, exactly as the exchange wrote it.
Times are integers: milliseconds since the Unix epoch unless a name says ``_ns``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

T = TypeVar("T")

Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["GTC", "IOC", "FOK"]
OrderStatus = Literal["open", "partially_filled", "filled", "canceled", "rejected", "expired"]
CancelStatus = Literal["canceled", "already_canceled", "filled", "pending"]
Source = Literal["local", "exchange"]
Level = tuple[str, str]
"""One price level: (price, amount)."""


class Market(Struct, frozen=True, kw_only=True, gc=False):
    """One spot market as its exchange lists it. An empty rule is one the exchange doesn't state."""

    symbol: str
    """The unified name, ``BASE/QUOTE``."""
    id: str
    """The exchange's own name of the market."""
    base: str
    quote: str
    aliases: Sequence[str] = ()
    """Further names that the exchange itself has for it (Kraken's ``XBTUSD``): callers may write them."""
    tick_size: str = ""
    """A price is a multiple of this."""
    step_size: str = ""
    """An amount is a multiple of this."""
    min_amount: str = ""
    max_amount: str = ""
    min_notional: str = ""
    """The least price x amount of an order, in the quote asset."""
    active: bool = True


class Depth(Struct, frozen=True, kw_only=True, gc=False):
    """An order book, best level first on both sides."""

    bids: Sequence[Level]
    asks: Sequence[Level]
    last_update_id: int = 0
    """The exchange's sequence number of this state, 0 if it sends none."""
    timestamp: int = 0
    """The exchange's own time of this state in ms, 0 if it sends none."""
    checksum: str = ""
    """What the exchange says the checksum of this state is, for books whose capabilities name one."""


class DepthDelta(Struct, frozen=True, kw_only=True, gc=False):
    """Changed levels of a book: (price, new amount); the amount ``0`` in any spelling removes the level."""

    bids: Sequence[Level]
    asks: Sequence[Level]
    previous: int
    """The sequence number that the book must have reached for this delta to follow without a gap."""
    sequence: int
    """The sequence number of the book after this delta."""
    timestamp: int = 0
    checksum: str = ""


class Trade(Struct, frozen=True, kw_only=True, gc=False):
    """One public trade."""

    id: str
    """The exchange's own id, never rounded; the only key by which trades are told apart."""
    price: str
    qty: str
    time: int
    """ms since the epoch."""
    taker_side: Side | None = None
    """None where the exchange doesn't tell."""
    quote_qty: str = ""
    """The exchange's own figure; empty = price x qty, exactly."""
    time_ns: int = 0
    """ns since the epoch where the exchange is that precise, else 0."""


class Balance(Struct, frozen=True, kw_only=True, gc=False):
    """What an account holds of one asset."""

    asset: str
    available: str
    """Spendable now."""
    frozen: str
    """Held by open orders."""


class Order(Struct, frozen=True, kw_only=True):
    """An order as its exchange knows it."""

    order_id: str
    symbol: str
    side: Side
    type: str
    """``limit`` or ``market``, or the exchange's own lower-case name of a type that is neither."""
    price: str
    """``0`` for a market order."""
    amount: str
    """The amount ordered, in the base asset; ``0`` if it was given as a quote amount."""
    status: OrderStatus | str = "open"
    """Else a word of the exchange that its adapter doesn't know: the core tells such an order as ``open``, and logs the
    word once."""
    filled: str = ""
    """Executed so far in the base asset; empty where the exchange doesn't tell."""
    remaining: str = ""
    client_order_id: str = ""
    time: int = 0
    """When the exchange accepted it, ms; 0 if unknown."""
    post_only: bool = False
    native_symbol: str = ""


class OrderRequest(Struct, frozen=True, kw_only=True):
    """A checked order on its way to an adapter: what is in here may be sent as it stands."""

    market: Market
    side: Side
    type: OrderType
    client_order_id: str
    """Made by the exchange's rules (``AccountCapabilities.client_ids``); empty only where the exchange has none."""
    price: str = ""
    """Empty for a market order."""
    amount: str = ""
    """In the base asset; empty only where ``quote_amount`` is given."""
    quote_amount: str = ""
    """Spend (buy) or receive (sell) about this much of the quote asset; market orders only."""
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    stop_price: str = ""
    options: Mapping[str, str] = {}
    """Options beyond the uniform ones, each declared by the adapter."""


class CancelResult(Struct, frozen=True, kw_only=True):
    """What became of an order that was to be cancelled."""

    status: CancelStatus


class ClientIds(Struct, frozen=True, kw_only=True):
    """The rule of an exchange for client order ids."""

    pattern: str = r"[A-Za-z0-9_-]{1,36}"
    """A regular expression that the whole id matches."""
    max_length: int = 36
    prefix: str = ""
    """What the exchange wants in front of every id."""
    digits_only: bool = False


class Option(Struct, frozen=True, kw_only=True):
    """One declared order option."""

    description: str
    kind: Literal["string", "decimal", "boolean", "integer"] = "string"
    choices: tuple[str, ...] = ()


class ExchangeCapabilities(Struct, frozen=True, kw_only=True):
    """What the public side of an exchange can do: data on the adapter's class, known before anything opens."""

    trade_ids: Literal["contiguous", "ordered", "opaque"] = "opaque"
    """contiguous: integers without holes; ordered: integers that rise; opaque: any text."""
    trades_reach: int | None = 0
    """How many trades back pages by ``since_id`` reach; None = to the first trade, 0 = there are no such pages."""
    depth_sizes: tuple[int, ...] = ()
    """The sizes that the exchange takes, rising; empty = any."""
    depth_max: int = 5000
    """The most levels a side that one answer holds."""
    depth_windows: tuple[int, ...] = ()
    """Sizes of the book stream, rising, where the exchange keeps exactly so many levels in step and never deletes what
    falls out of them: ``pull_depth`` is asked for one of these. Empty = the stream has the whole book."""
    trades_max: int = 1000
    """The most trades that one page holds."""
    depth_rounded: bool = False
    """Answers of ``depth`` round the amounts that the book stream gives in full: only prices compare."""
    checksum: str = ""
    """The name of the checksum sent with books; empty = none."""
    taker_side: bool = True
    exact: bool = True
    """Every digit is the exchange's own."""
    cross_check: float = 60.0
    """Seconds between comparisons of a quiet local copy with the exchange's answer."""
    weight_limit: int = 1200
    """Request weight that one address may use in ``weight_window``."""
    weight_window: float = 60.0


class AccountCapabilities(Struct, frozen=True, kw_only=True):
    """What the private side of an exchange can do."""

    needs_credentials: bool = True
    needs_passphrase: bool = False
    real: bool = True
    """Real money: behind a token and ``trading = true``. Only a simulation says False."""
    symbol_needed: frozenset[str] = frozenset()
    """Operations that can't do without a symbol: ``cancel_order``, ``pending_orders``, ``find_order``."""
    client_ids: ClientIds | None = None
    order_recovery: Literal["full", "open", "none"] = "none"
    """full: find_order sees open, closed and filled orders by client id; open: only open ones; none: not at all."""
    settle: float = 20.0
    """Seconds after the send in which an order may still appear; before that "not found" proves nothing."""
    order_types: frozenset[str] = frozenset({"limit", "market"})
    times_in_force: frozenset[str] = frozenset({"GTC"})
    post_only: bool = False
    quote_amount: bool = False
    stop_price: bool = False
    options: Mapping[str, Option] = {}
    """Options of place_order beyond the uniform ones."""


class Call(Struct, frozen=True, kw_only=True):
    """One operation on its way through the wrappers."""

    exchange: str
    """The name in the path."""
    operation: str
    """``depth``, ``recent_trades``, ``pull_trade``, ``balances``, ``place_order``, ``cancel_order``, ``pending_orders``
    or ``find_order``."""
    market: Market | None = None
    account: str = ""
    """The account's name; empty for public operations."""
    arguments: Mapping[str, Any] = {}
    """Everything else that the caller asked for, by parameter name."""


class Freshness(Struct, frozen=True, gc=False):
    """How old an answer may be."""

    local: bool = False
    """May come from a local copy."""
    tolerate: float | None = None
    """Seconds; None = not said."""


class Answer(Struct, Generic[T], frozen=True, gc=False):
    """A value, where it came from and how old it is."""

    value: T
    source: Source
    age: float
    """Seconds since the copy was proven alive, or since the request to the exchange left."""
    body: bytes | None = None
    """The value in the contract's JSON where it is already encoded."""
