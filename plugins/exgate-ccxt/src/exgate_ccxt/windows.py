"""How much of the book each exchange's stream shows, read in ccxt 4.5.90 and in the exchanges' documents.

A copy may only say "this is all there is" where that is known. An exchange that isn't named here has no local books.
"""

from __future__ import annotations

from exgate_core.errors import Unimplemented

__all__ = ["ROUNDED", "WHOLE", "WINDOWS", "stream_limit", "streams_books"]

WINDOWS: dict[str, tuple[int, ...]] = {
    "bybit": (50, 200, 1000),
    "cryptocom": (10, 50),
    "gate": (50, 400),
    "htx": (150,),
    "kraken": (1000,),
    "myokx": (400,),
    "okx": (400,),
    "okxus": (400,),
}
"""Streams that keep so many levels in step: for ``ExchangeCapabilities.depth_windows``."""

ROUNDED = frozenset({"kraken"})
"""Exchanges whose books over HTTP round the amounts that their streams tell in full."""

WHOLE: dict[str, int] = {
    "binance": 5000,
    "binanceus": 5000,
    "bitstamp": 0,
    "coinbase": 0,
    "coinbaseexchange": 0,
    "gemini": 0,
    "kucoin": 100,
}
"""Streams of every change, joined to a snapshot of at most so many levels (0 = the whole book)."""


def streams_books(exchange_id: str) -> bool:
    """Whether ``pull_depth`` can serve this exchange."""
    return exchange_id in WINDOWS or exchange_id in WHOLE


def stream_limit(exchange_id: str, levels: int) -> int | None:
    """What to ask ccxt for; None = nothing. Raises Unimplemented where nothing is known of the stream."""
    if levels in WINDOWS.get(exchange_id, ()):
        return levels
    if exchange_id not in WHOLE:
        raise Unimplemented(f"how much of a book the stream of {exchange_id} shows isn't known.")
    most = WHOLE[exchange_id]
    return min(levels, most) if most else None
