"""The further keys of a section whose exchange this plugin serves."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class OkxSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[exchanges.okx]`` beyond what every section has."""

    host: Literal["www.okx.com", "openapi.okx.com", "eea.okx.com", "us.okx.com"] = "www.okx.com"
    """Where the account is registered: eea for my.okx.com, us for app.okx.com. Streams follow it."""
    trades: Literal["each", "merged"] = "each"
    """each: every match by itself. merged: the matches of one order at one price as one trade, under the last one's id;
    fewer frames. Stream and history are always of the same kind."""
    full_depth: bool = False
    """Whether books of more than 400 levels are asked for: ``books-full`` has 5000, but is made anew only once a second
    and has no sequence number."""
    trade_mode: Literal["cash", "cross"] = "cash"
    """``tdMode`` of spot orders: cash in Spot and Futures mode, cross in Multi-currency and Portfolio margin mode."""
    order_expiry: Annotated[float, Meta(ge=0, le=60)] = 5.0
    """Seconds after which OKX drops an order that it hasn't processed yet (``expTime``); 0 = it is never dropped."""
    post_only_check: bool = True
    """Look at each post-only order once it is taken in: OKX cancels one that would trade, and doesn't say so. Such an
    order is told as refused then. Costs one request more."""
