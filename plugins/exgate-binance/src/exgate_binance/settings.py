"""The further keys of a section whose exchange this plugin serves."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class BinanceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[exchanges.binance]`` beyond what every section has."""

    trades: Literal["raw", "aggregate"] = "raw"
    """raw: every trade with its own id. aggregate: the fills of one taker order at one price as one trade; cheaper,
    but another id space. Stream and history always come from the same one."""
