"""What everything that uses one API key shares: its nonces, the order in which requests leave, its counters.

Kraken keeps one nonce and one call counter per key ("Spot REST Authentication", "Spot REST Rate Limits"), so two
accounts with the same key, even of two gateways in one process, share them here. Only a hash of the key is kept.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from typing import Final
from weakref import WeakValueDictionary

import anyio

from exgate_core.budget import Lane

from .limits import Counter
from .signing import Nonces

CALLS: Final = "calls"
"""The name of the key's pause for questions."""
LOCKOUT: Final = "lockout"
"""The name of its pause for everything: each request would make it longer."""
_RANK: Final[dict[Lane, int]] = {"orders": 0, "cancels": 1, "lookups": 2, "data": 3}


class Turn:
    """One holder at a time; those who wait are let in by lane, then by arrival."""

    def __init__(self) -> None:
        self._taken = False
        self._arrivals = 0
        self._waiting: list[tuple[int, int, anyio.Event]] = []

    async def take(self, lane: Lane) -> Hold:
        """Wait for the turn; whoever has it must ``end`` it."""
        if self._taken:
            await self._wait(_RANK[lane])
        self._taken = True
        return Hold(self)

    async def _wait(self, rank: int) -> None:
        self._arrivals += 1
        entry = rank, self._arrivals, anyio.Event()
        heapq.heappush(self._waiting, entry)
        try:
            await entry[2].wait()
        except BaseException:
            if entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            else:
                self.give()  # let in and cancelled in the same moment
            raise

    def give(self) -> None:
        """Let the next one in."""
        if self._waiting:
            heapq.heappop(self._waiting)[2].set()
        else:
            self._taken = False


class Hold:
    """A turn that was taken; it ends once."""

    def __init__(self, turn: Turn) -> None:
        self._turn: Turn | None = turn

    def end(self) -> None:
        """Let the next one in, unless that was done already."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.give()


class Key:
    """One API key."""

    def __init__(self) -> None:
        self.nonces = Nonces()
        self.turn = Turn()
        self.calls = Counter()
        """Questions."""
        self.transactions: defaultdict[str, Counter] = defaultdict(Counter)
        """Orders and cancels, by pair."""
        self.pauses: dict[str, float] = {}
        """Until when (monotonic) Kraken takes no questions (``CALLS``), no orders of a pair, nothing (``LOCKOUT``)."""


_KEYS: WeakValueDictionary[str, Key] = WeakValueDictionary()


def shared(api_key: str, address: str) -> Key:
    """The one object of this API key in this process, at the address where its requests go (a replay is no Kraken)."""
    name = hashlib.sha256(f"{address}\0{api_key}".encode()).hexdigest()
    key = _KEYS.get(name)
    if key is None:
        key = _KEYS[name] = Key()
    return key
