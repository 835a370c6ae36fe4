"""One order book: a snapshot, then deltas -> levels, or broken.

Prices become exact integers only to be compared; what comes out are the exchange's own strings. A book that can't be
proven right is broken and stays unreadable until its next ``reset``. Nothing here waits or knows an exchange.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from zlib import crc32

from . import contract
from .errors import Internal, Unavailable
from .models import Depth, DepthDelta, Level

Checksum = Callable[[Sequence[Level], Sequence[Level]], str]
"""(bids, asks), best first and at most 25 a side -> the text that the exchange would send for them."""

PLACES = 24
"""The most places after the point of a price that can be compared."""

_CHECKED_LEVELS = 25
_MOST_MEMOS = 20_000
_MOST_OLD = 200


def _kraken(bids: Sequence[Level], asks: Sequence[Level]) -> str:
    levels = [*asks[:10], *bids[:10]]
    text = "".join(number.replace(".", "").lstrip("0") for level in levels for number in level)
    return str(crc32(text.encode()))


def _okx(bids: Sequence[Level], asks: Sequence[Level]) -> str:
    parts: list[str] = []
    for index in range(max(len(bids), len(asks))):
        for side in (bids, asks):
            parts.extend(side[index] if index < len(side) else ())
    unsigned = crc32(":".join(parts).encode())
    return str(unsigned - (1 << 32) if unsigned >> 31 else unsigned)


CHECKSUMS: dict[str, Checksum] = {"crc32-kraken": _kraken, "crc32-okx": _okx}
"""What ``ExchangeCapabilities.checksum`` may name."""


class Book:
    """Levels of one market. ``checksum`` is a name in ``CHECKSUMS`` or empty.

    ``levels``: how many levels a side were asked for; a snapshot with fewer shows the whole side (0 = can't tell).
    ``window``: the exchange keeps exactly ``levels`` levels in step and never deletes what falls out of them.
    """

    def __init__(self, checksum: str = "", *, levels: int = 0, window: bool = False) -> None:
        if checksum and checksum not in CHECKSUMS:
            raise Internal(f"no checksum named {checksum!r}; known: {', '.join(sorted(CHECKSUMS))}.")
        self._checksum = CHECKSUMS.get(checksum)
        self._bids = _Half(-1, levels, window)
        self._asks = _Half(1, levels, window)
        self._tops: dict[int, Depth] = {}
        self._bodies: dict[int, bytes] = {}
        self._fresh = False
        self._old = 0
        self.in_sync = False
        """Whether the levels are proven right."""
        self.sequence = 0
        """The exchange's sequence number of this state, 0 if it sends none."""
        self.timestamp = 0
        """The exchange's own time of this state in ms, 0 if it sends none."""
        self.version = 0
        """Counts the changes."""
        self.fault = "no snapshot yet"
        """Why the book is unreadable; empty while it is in sync."""

    def reset(self, depth: Depth) -> bool:
        """Start anew from a snapshot. False if it contradicts itself: the book is broken then."""
        self.sequence, self.timestamp = depth.last_update_id, depth.timestamp
        self._fresh, self._old = True, 0
        try:
            self._bids.load(depth.bids)
            self._asks.load(depth.asks)
        except ValueError as error:
            return self._break(str(error))
        return self._settle(depth.checksum)

    def apply(self, delta: DepthDelta) -> bool:
        """Take one delta. True if the book is right after it (an old one is dropped); False once it is broken."""
        if not self.in_sync:
            return False
        if delta.previous != self.sequence:
            if delta.sequence <= self.sequence:
                return self._pass_over(delta)
            # Only the first delta may overlap: it was gathered before the snapshot was taken.
            if delta.previous > self.sequence or not self._fresh:
                return self._break(f"a gap: after {self.sequence} came {delta.previous}..{delta.sequence}")
        self._fresh, self._old = False, 0
        self.sequence = delta.sequence
        if delta.timestamp:
            self.timestamp = delta.timestamp
        try:
            self._bids.update(delta.bids)
            self._asks.update(delta.asks)
        except ValueError as error:
            return self._break(str(error))
        return self._settle(delta.checksum)

    def invalidate(self, fault: str) -> None:
        """Make the book unreadable, because its stream ended or something proved it wrong."""
        self._break(fault)

    def covers(self, limit: int) -> bool:
        """Whether the best ``limit`` levels of both sides are known for certain."""
        return self.in_sync and self._bids.covers(limit) and self._asks.covers(limit)

    def top(self, limit: int) -> Depth:
        """The best ``limit`` levels a side, as far as they are certain. Raises Unavailable for a broken book."""
        depth = self._tops.get(limit)
        if depth is None:
            if not self.in_sync:
                raise Unavailable(f"{self.fault}.", reason="BOOK_BROKEN")
            depth = self._tops[limit] = Depth(
                bids=self._bids.best(limit),
                asks=self._asks.best(limit),
                last_update_id=self.sequence,
                timestamp=self.timestamp,
            )
        return depth

    def encoded(self, limit: int) -> bytes:
        """``top(limit)`` in the contract's JSON, encoded once per version."""
        body = self._bodies.get(limit)
        if body is None:
            body = self._bodies[limit] = contract.depth_json(self.top(limit))
        return body

    def _pass_over(self, delta: DepthDelta) -> bool:
        # A stream that started counting anew would look old for ever, and the book right for ever.
        self._old += 1
        if not delta.sequence or self._old > _MOST_OLD:
            return self._break(f"deltas stay behind: {delta.sequence} after {self.sequence}")
        return True

    def _settle(self, checksum: str) -> bool:
        self.version += 1
        self._tops.clear()
        self._bodies.clear()
        bids, asks = self._bids.keys, self._asks.keys
        if bids and asks and -bids[0] >= asks[0]:
            return self._break("bids and asks cross")
        if checksum and self._checksum is not None:
            ours = self._checksum(self._bids.first(_CHECKED_LEVELS), self._asks.first(_CHECKED_LEVELS))
            if ours != checksum:
                return self._break(f"checksum {checksum}, ours {ours}")
        self.in_sync, self.fault = True, ""
        return True

    def _break(self, fault: str) -> bool:
        self.in_sync, self.fault = False, fault
        self.version += 1
        self._tops.clear()
        self._bodies.clear()
        return False


class _Half:
    """One side. Keys rise from the best level to the worst: the price x 10^PLACES, negated for bids."""

    def __init__(self, sign: int, wanted: int, window: bool) -> None:
        self.keys: list[int] = []
        self._levels: dict[int, Level] = {}
        self._memo: dict[str, int] = {}
        self._sign = sign
        self._wanted = wanted
        self._window = window
        self._complete = False
        self._edge = 0

    def load(self, levels: Sequence[Level]) -> None:
        self.keys.clear()
        self._levels.clear()
        self._complete = len(levels) < self._wanted
        self.update(levels)
        self._edge = self.keys[-1] if self.keys else 0

    def update(self, changes: Sequence[Level]) -> None:
        keys, levels, memo = self.keys, self._levels, self._memo
        for level in changes:
            price, amount = level
            key = memo.get(price)
            if key is None:
                key = self._key(price)
            if amount.strip("0."):
                if key not in levels:
                    insort(keys, key)
                levels[key] = level
            elif levels.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
        if self._window and len(keys) > self._wanted:
            self._truncate()

    def covers(self, limit: int) -> bool:
        return self._complete or self._certain() >= limit

    def best(self, limit: int) -> tuple[Level, ...]:
        return self.first(limit if self._complete else min(limit, self._certain()))

    def first(self, count: int) -> tuple[Level, ...]:
        return tuple(map(self._levels.__getitem__, self.keys[:count]))

    def _certain(self) -> int:
        # Beyond the snapshot's worst level others may exist that no delta has named yet.
        keys = self.keys
        if self._window or (keys and keys[-1] <= self._edge):
            return len(keys)
        return bisect_right(keys, self._edge)

    def _truncate(self) -> None:
        for key in self.keys[self._wanted :]:
            del self._levels[key]
        del self.keys[self._wanted :]
        self._complete = False

    def _key(self, price: str) -> int:
        head, _, tail = price.partition(".")
        tail = tail.rstrip("0")
        if not (price.isascii() and head.isdecimal() and (tail.isdecimal() or not tail)) or len(tail) > PLACES:
            raise ValueError(f"not a price: {price[:40]!r}")
        if len(self._memo) >= _MOST_MEMOS:
            self._memo.clear()
        key: int = self._sign * int(head + tail) * 10 ** (PLACES - len(tail))
        self._memo[price] = key
        return key
