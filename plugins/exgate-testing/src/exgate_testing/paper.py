"""How ``paper`` is judged: it has no wire, so its own engine is the truth and bears the faults."""

from __future__ import annotations

from typing import Any

from exgate_paper.engine import Engine
from exgate_paper.faults import POINTS, Fault, Faults, Kind

from exgate_core.models import Market

from .faults import FrameFault, WireFault
from .simulation import BALANCE, Simulation

MARKETS = (
    ("BTC/USDT", "0.01", "0.00001", "5"),
    ("ETH/BTC", "0.00001", "0.0001", "0.0001"),
    ("SHIB/USDT", "0.00000001", "1", "1"),
    ("1000CAT/USDT", "0.0000001", "0.1", "1"),
)
"""Symbol, tick, step, least worth of an order."""
_ASSETS = sorted({asset for symbol, *_ in MARKETS for asset in symbol.split("/")})
SETTINGS: dict[str, Any] = {
    "rate": 0,
    "levels": 0,
    "markets": [
        {"symbol": symbol, "price": "1", "tick": tick, "step": step, "min_notional": least}
        for symbol, tick, step, least in MARKETS
    ],
    "balances": dict.fromkeys(_ASSETS, BALANCE),
}
"""The section under which ``paper`` is judged."""

_KINDS: dict[str, Kind] = {
    "drop": "drop",
    "hang": "hang",
    "too_many": "rate_limited",
    "banned": "rate_limited",
    "skip": "skip",
    "repeat": "repeat",
    "swap": "reorder",
    "malformed": "error",
    "replace": "corrupt",
}
"""Whatever isn't here is an ``error``: an answer that can't be read."""
_STREAMS = ("pull_trade", "pull_depth")


class PaperFaults:
    """``WireFaults`` for an exchange without a wire: the same faults at the engine's own points."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def add(self, *faults: WireFault | FrameFault) -> None:
        """Arm. Raises ValueError for what can't happen here."""
        for fault in faults:
            for point in _points(fault):
                self._faults.add(_of(fault, point))

    def clear(self) -> None:
        """Disarm all."""
        self._faults.clear()

    @property
    def fired(self) -> list[Fault]:
        """What struck, in order."""
        return self._faults.fired

    def cut(self) -> None:
        """The next frame of every stream is lost, and the stream ends."""
        self._faults.add(*(Fault(point=f"{stream}.frame", kind="cut") for stream in _STREAMS))


def _points(fault: WireFault | FrameFault) -> list[str]:
    if isinstance(fault, FrameFault):
        return [f"{stream}.frame" for stream in _STREAMS]
    if fault.operation in ("place_order", "cancel_order"):
        return [f"{fault.operation.partition('_')[0]}.{fault.when}_accept"]
    return [fault.operation]


def _of(fault: WireFault | FrameFault, point: str) -> Fault:
    kind = _KINDS.get(fault.kind, "error")
    if kind not in POINTS[point]:
        kind = "error"
    value = "amount" if kind == "corrupt" else ""
    return Fault(point=point, kind=kind, times=fault.times, after=fault.after, value=value)


def world(markets: tuple[Market, ...], engine: Engine, account: str) -> Simulation:
    """The engine of an open paper exchange, as the kit sees every exchange."""
    return Simulation(markets, engine=engine, account=account, first_id=0)
