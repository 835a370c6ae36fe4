"""Takes an order book out of ccxt: the whole of it where it begins, then the levels that each update changed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from exgate_core.hookspecs import EmitDepth
from exgate_core.models import Depth, DepthDelta, Level

from .exact import text, whole

_SIDES = ("bids", "asks")
_COUNTS_SAY_NOTHING = frozenset({"cryptocom"})
"""Exchanges that tell a count of orders of 0 beside an amount: there only an amount of 0 ends a level."""


class BookTap:
    """The book of one market. ``proof(message)`` reads the checksum of a frame and raises where a frame is missing."""

    def __init__(self, symbol: str, proof: Callable[[Any], str], emit: EmitDepth) -> None:
        self._symbol = symbol
        self._proof = proof
        self._emit = emit
        self._book: Any = None
        self._changes: dict[str, dict[str, str]] = {side: {} for side in _SIDES}
        self.begun = False
        """Whether anything was handed on so far."""
        self._whole = True
        self._told = False
        self._sequence = 0
        self._checksum = ""
        self._counts = True

    def attach(self, exchange: Any) -> None:
        """Listen at the books that the copy will make."""
        self._counts = exchange.id not in _COUNTS_SAY_NOTHING
        exchange.orderbooks = _Books(self._take)
        if exchange.id == "bitstamp":
            exchange.get_cache_index = _first_after
        if exchange.id in _COUNTS_SAY_NOTHING:
            exchange.counted_order_book = exchange.order_book

    def read(self, message: Any) -> Any:
        """Note what the frame says of itself."""
        self._checksum = self._proof(message)
        return message

    def resolved(self, result: Any) -> None:
        """ccxt's book is right again: hand on what has changed."""
        if result is not self._book or result is None:
            return
        if self._whole:
            self._send_whole()
        elif any(self._changes.values()):
            self._send_changes()

    def flush(self) -> bool:
        """Whether the frame brought something."""
        told, self._told = self._told, False
        return told

    def alive(self) -> None:
        """Before the first book that would say nothing."""
        if self.begun:
            self._emit(None)

    def _take(self, symbol: Any, book: Any) -> None:
        if symbol != self._symbol or book is self._book:
            return
        self._book, self._whole = book, True
        book.reset = partial(self._reset, book.reset)
        for name in _SIDES:
            side = book[name]
            side.storeArray = partial(self._store, self._changes[name], side.storeArray)

    def _reset(self, original: Any, *arguments: Any) -> None:
        self._whole = True
        original(*arguments)

    def _store(self, changes: dict[str, str], original: Any, delta: Any) -> None:
        if not delta[0]:
            return  # a price of 0 is no level: KuCoin says so that only the sequence has moved on
        # Of an entry of three the last is a count of orders (0 = gone) or an order's id; see ``_levels``.
        if len(delta) > 2 and not _counted(original):
            self._whole = True
        elif not self._whole:
            gone = not delta[1] or (len(delta) > 2 and self._counts and not delta[2])
            changes[text(delta[0])] = "0" if gone else text(delta[1])
        original(delta)

    def _send_whole(self) -> None:
        book = self._book
        self._whole, self.begun, self._told = False, True, True
        self._clear()
        self._sequence = whole(book["nonce"])
        self._emit(
            Depth(
                bids=_levels(book["bids"]),
                asks=_levels(book["asks"]),
                last_update_id=self._sequence,
                timestamp=whole(book["timestamp"]),
                checksum=self._checksum,
            )
        )

    def _send_changes(self) -> None:
        book, previous = self._book, self._sequence
        self._sequence, self._told = whole(book["nonce"]), True
        delta = DepthDelta(
            bids=list(self._changes["bids"].items()),
            asks=list(self._changes["asks"].items()),
            previous=previous,
            sequence=self._sequence,
            timestamp=whole(book["timestamp"]),
            checksum=self._checksum,
        )
        self._clear()
        self._emit(delta)

    def _clear(self) -> None:
        for changes in self._changes.values():
            changes.clear()


class _Books(dict[Any, Any]):
    """ccxt's books by symbol."""

    def __init__(self, take: Callable[[Any, Any], None]) -> None:
        super().__init__()
        self._take = take

    def __setitem__(self, symbol: Any, book: Any) -> None:
        self._take(symbol, book)
        super().__setitem__(symbol, book)


def _first_after(snapshot: Any, deltas: Any) -> int:
    # ccxt's own drops every waiting change unless one has the snapshot's very number.
    numbers = [int(delta["microtimestamp"]) for delta in deltas]
    known = sum(number <= int(snapshot["nonce"]) for number in numbers)
    return known or -1


def _counted(store: Any) -> bool:
    return not hasattr(store.__self__, "_hashmap")


def _levels(side: Any) -> list[Level]:
    if not hasattr(side, "_hashmap"):
        return [(text(level[0]), text(level[1])) for level in side]
    sums: dict[str, Decimal] = {}  # single orders: several at one price
    for level in side:
        price = text(level[0])
        sums[price] = sums.get(price, Decimal(0)) + Decimal(text(level[1]))
    return [(price, format(amount, "f")) for price, amount in sums.items()]
