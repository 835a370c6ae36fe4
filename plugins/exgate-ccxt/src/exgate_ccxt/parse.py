"""ccxt's unified structures -> the gateway's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exgate_core.models import Depth, Level, Trade

from .exact import text

__all__ = ["depth_of", "trade_of", "trades_of"]


def depth_of(book: Mapping[str, Any]) -> Depth:
    """A unified order book."""
    return Depth(
        bids=_levels(book["bids"]),
        asks=_levels(book["asks"]),
        last_update_id=int(book.get("nonce") or 0),
        timestamp=int(book.get("timestamp") or 0),
    )


def trades_of(trades: Sequence[Mapping[str, Any]]) -> list[Trade]:
    """Unified trades, oldest first."""
    return [trade_of(trade) for trade in trades]


def trade_of(trade: Mapping[str, Any]) -> Trade:
    """One unified trade."""
    side = trade.get("side")
    return Trade(
        id=str(trade.get("id") or ""),
        price=text(trade["price"]),
        qty=text(trade["amount"]),
        time=int(trade.get("timestamp") or 0),
        taker_side=side if side in ("buy", "sell") else None,
        quote_qty="",
    )


def _levels(side: Sequence[Sequence[Any]]) -> list[Level]:
    return [(text(level[0]), text(level[1])) for level in side]
