"""The further keys of a section whose exchange this plugin serves."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class BinanceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[exchanges.binance]`` beyond what every section has."""

    trades: Literal["raw", "aggregate"] = "raw"
    """raw: every trade with its own id. aggregate: the fills of one taker order at one price as one trade; cheaper,
    but another id space. Stream and history always come from the same one."""
    recv_window: Annotated[int, Meta(ge=100, le=5000)] = 5000
    """ms after which the exchange refuses a signed request that is still on its way ("Timing security"). More than the
    5000 that it recommends would mean that an order whose answer is lost may still appear long after."""
