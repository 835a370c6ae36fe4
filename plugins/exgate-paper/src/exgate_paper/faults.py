"""Faults on demand: what a real exchange and the way to it do wrong, at named points and counted.

Order of a call: ``place.before_accept`` -> ``append.before`` (the state file) -> ``append.after`` -> the order is in
the book -> ``place.after_accept`` -> the answer.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Kind = Literal[
    "refuse",
    "not_sent",
    "rate_limited",
    "delay",
    "hang",
    "drop",
    "error",
    "lie",
    "crash",
    "torn",
    "cut",
    "skip",
    "repeat",
    "reorder",
    "corrupt",
]

_CALL: frozenset[str] = frozenset(
    {"refuse", "not_sent", "rate_limited", "delay", "hang", "drop", "error", "lie", "crash"}
)
_READ = _CALL - {"lie"}
_FRAME: frozenset[str] = frozenset({"cut", "skip", "repeat", "reorder", "corrupt", "delay", "hang", "error", "crash"})
_ALIVE: frozenset[str] = frozenset({"skip"})

POINTS: Mapping[str, frozenset[str]] = {
    "place.before_accept": _CALL,
    "place.after_accept": _CALL,
    "cancel.before_accept": _CALL,
    "cancel.after_accept": _CALL,
    "append.before": frozenset({"crash", "torn", "error"}),
    "append.after": frozenset({"crash"}),
    "markets": _READ,
    "depth": _READ,
    "recent_trades": _READ,
    "balances": _READ,
    "pending_orders": _READ,
    "find_order": _CALL,
    "pull_trade": _READ,
    "pull_trade.frame": _FRAME,
    "pull_trade.alive": _ALIVE,
    "pull_depth": _READ,
    "pull_depth.frame": _FRAME,
    "pull_depth.alive": _ALIVE,
}
"""Every point and the kinds that make sense there. ``X.frame`` = each frame of a stream, ``X`` = opening it."""


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong.

    refuse, not_sent, rate_limited: that error of the contract. delay: ``seconds`` of sleep. hang: no answer ever.
    drop: the connection is reset. error: some exception of no kind that the contract knows. lie: at place
    ``value`` as order id (empty or garbage), at cancel as status, at find_order "not there". crash: SIGKILL of this
    process. torn: half of the record reaches the state file, then crash. cut, skip, repeat, reorder, corrupt: what
    happens to a frame; corrupt crosses the book (``value="amount"``: a wrong amount, ``"garbage"``: no number at all).
    """

    point: str
    kind: Kind
    times: int = 1
    """How often it strikes; 0 = always."""
    after: int = 0
    """How many chances it lets pass first."""
    probability: float = 1.0
    """By the seeded dice of the ``Faults`` that it is added to."""
    symbol: str = ""
    """Only for this market; empty = any."""
    seconds: float = 1.0
    """How long a delay lasts; ``retry_after`` of rate_limited."""
    value: str = ""


class _Armed:
    __slots__ = ("fault", "left", "wait")

    def __init__(self, fault: Fault) -> None:
        self.fault, self.left, self.wait = fault, fault.times or -1, fault.after


class Faults:
    """The faults that are armed. ``fired`` keeps what struck, in order."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._armed: list[_Armed] = []
        self.fired: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        """Arm. Raises ValueError for an unknown point, or a kind that can't happen there."""
        for fault in faults:
            if fault.point not in POINTS:
                raise ValueError(f"no fault point {fault.point!r}; there are {', '.join(POINTS)}")
            if fault.kind not in POINTS[fault.point]:
                raise ValueError(f"{fault.kind!r} can't happen at {fault.point!r}")
            self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    @property
    def armed(self) -> list[Fault]:
        """What can still strike."""
        return [armed.fault for armed in self._armed]

    def hits(self, point: str, symbol: str = "") -> list[Fault]:
        """The faults that strike at this point now, in the order in which they were added."""
        if not self._armed:
            return []
        found = [armed for armed in list(self._armed) if self._strikes(armed, point, symbol)]
        for armed in found:
            armed.left -= 1
            if armed.left == 0:
                self._armed.remove(armed)
            self.fired.append(armed.fault)
        return [armed.fault for armed in found]

    def _strikes(self, armed: _Armed, point: str, symbol: str) -> bool:
        fault = armed.fault
        if fault.point != point or (fault.symbol and fault.symbol != symbol):
            return False
        if armed.wait > 0:
            armed.wait -= 1
            return False
        return fault.probability >= 1 or self._random.random() < fault.probability


def crash() -> None:
    """End this process at once, as ``kill -9`` does: nothing is flushed, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)
