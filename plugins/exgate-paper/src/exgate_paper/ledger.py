"""The judge: an append-only record of everything that truly happened, to compare with what callers were told."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from typing import TypeVar

from msgspec import Struct

from exgate_core.models import OrderStatus


class Accepted(Struct, frozen=True, gc=False):
    """An order came into being."""

    time: int
    account: str
    symbol: str
    order_id: int
    client_order_id: str
    buy: bool
    price: int
    """Ticks; 0 for a market order."""
    amount: int
    """Steps."""


class Filled(Struct, frozen=True, gc=False):
    """Two orders traded. Written once per account that took part."""

    time: int
    account: str
    symbol: str
    trade_id: int
    order_id: int
    price: int
    """Ticks."""
    amount: int
    """Steps."""
    maker: bool


class Closed(Struct, frozen=True, gc=False):
    """An order ended: ``filled``, ``canceled`` or ``expired``."""

    time: int
    account: str
    symbol: str
    order_id: int
    status: OrderStatus


class Moved(Struct, frozen=True, gc=False):
    """A balance changed, in units of the asset. All moves of one command but a deposit add up to zero per asset."""

    time: int
    account: str
    asset: str
    available: int
    frozen: int


Entry = Accepted | Filled | Closed | Moved
T = TypeVar("T", Accepted, Filled, Closed, Moved)


class Ledger:
    """Entries, oldest first. ``keep`` bounds how many (None = all); accounts in ``leave_out`` aren't recorded."""

    def __init__(self, keep: int | None = None, leave_out: Container[str] = ()) -> None:
        self.entries: deque[Entry] = deque(maxlen=keep)
        self._leave_out = leave_out

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Entry) -> None:
        """Append; nothing is ever changed or taken back."""
        if entry.account not in self._leave_out:
            self.entries.append(entry)

    def of(self, kind: type[T], account: str | None = None) -> Iterator[T]:
        """All entries of one kind, of one account if it is given."""
        return (e for e in self.entries if isinstance(e, kind) and account in (None, e.account))

    def accepted(self, client_order_id: str, account: str | None = None) -> list[Accepted]:
        """The orders that truly exist, or existed, under a client order id."""
        return [entry for entry in self.of(Accepted, account) if entry.client_order_id == client_order_id]
