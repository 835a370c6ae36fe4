"""What the engine stores and exchanges with its state file. Prices count ticks, amounts count steps: whole numbers.

Money counts units of 10^-places of its asset (``Rules`` knows how many units one tick x one step is).
"""

from __future__ import annotations

from msgspec import Struct

from exgate_core.models import OrderStatus, TimeInForce


class Place(Struct, tag="place", array_like=True, gc=False):
    """A new order. ``price`` 0 = a market order; ``amount`` 0 = the size is ``quote``."""

    account: str
    symbol: str
    buy: bool
    price: int = 0
    """Ticks."""
    amount: int = 0
    """Steps."""
    quote: int = 0
    """The most to spend, or to receive, in units of the quote asset."""
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    client_order_id: str = ""
    time: int = 0
    """ms since the epoch, set by the engine when it accepts the command."""


class Cancel(Struct, tag="cancel", array_like=True, gc=False):
    """Take an open order out of the book."""

    account: str
    order_id: int
    time: int = 0


class Deposit(Struct, tag="deposit", array_like=True, gc=False):
    """The only way in which value comes into being. An unknown account is opened by it."""

    account: str
    asset: str
    amount: int
    """Units of the asset."""
    time: int = 0


Command = Place | Cancel | Deposit


class PaperOrder(Struct, array_like=True, gc=False):
    """An order that the engine accepted, open or closed."""

    id: int
    account: str
    symbol: str
    buy: bool
    price: int
    """Ticks; 0 for a market order."""
    amount: int
    """Steps; for an order by quote amount what the book could give for it when it came."""
    remaining: int
    by_quote: bool
    client_order_id: str
    post_only: bool
    time: int
    """ms since the epoch."""
    status: OrderStatus = "open"


class Fill(Struct, array_like=True, frozen=True, gc=False):
    """One execution; ``id`` counts 1, 2, 3, ... per market."""

    id: int
    price: int
    """Ticks."""
    amount: int
    """Steps."""
    time: int
    taker_buy: bool
    maker: int
    """The order id of the side that rested."""
    taker: int
    """The order id of the side that came."""


class BookState(Struct, array_like=True):
    """One market in a ``Snapshot``."""

    symbol: str
    sequence: int
    trades: int
    """The id of the newest trade."""
    fills: list[Fill]
    """The trades that are kept, oldest first."""


class WalletState(Struct, array_like=True):
    """One account in a ``Snapshot``: units by asset; orders by id, closed ones only as far as they are kept."""

    account: str
    available: dict[str, int]
    frozen: dict[str, int]
    orders: list[PaperOrder]


class Snapshot(Struct, tag="snapshot", array_like=True):
    """The whole state of an engine; equal snapshots = equal engines."""

    time: int
    orders: int
    """The id of the newest order."""
    books: list[BookState]
    wallets: list[WalletState]


class Trades(Struct, tag="trades", array_like=True):
    """Trades of one market, oldest first: a piece of a snapshot in a file."""

    symbol: str
    fills: list[Fill]


class Header(Struct, tag="header", array_like=True):
    """The first record of a state file: what its whole numbers mean."""

    version: int
    fingerprint: str
    """Every rule of every market, and the fees, as text."""


Record = Header | Snapshot | Trades | Place | Cancel | Deposit
