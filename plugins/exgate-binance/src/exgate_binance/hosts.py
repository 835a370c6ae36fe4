"""Where each of the two exchanges lives and what its requests cost.

Binance: rest-api.md ("Order book", "Recent trades list", "Old trade lookup", "Compressed/Aggregate trades list",
"Exchange information", "LIMITS") and web-socket-streams.md of binance/binance-spot-api-docs, read at 2026-07-21.
Binance.US: the same sections of binance-us/binance-us-api-docs, read at 2024-06-17.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from exgate_core.models import ExchangeCapabilities

NEWEST = 1000
"""The most trades that one request returns."""


class Weights(Struct, frozen=True, kw_only=True):
    """Request weights."""

    depth: tuple[tuple[int, int], ...]
    """(up to this limit, weight), rising."""
    trades: int
    aggregate: int
    markets: int

    def of_depth(self, limit: int) -> int:
        """The weight of a book with this limit."""
        return next((weight for most, weight in self.depth if limit <= most), self.depth[-1][1])

    def same_price(self, limit: int) -> int:
        """The largest limit that costs no more than this one."""
        return next((most for most, _ in self.depth if limit <= most), self.depth[-1][0])


class Host(Struct, frozen=True, kw_only=True):
    """One of the exchanges of this dialect."""

    rest: str
    stream: str
    weights: Weights
    capabilities: ExchangeCapabilities
    markets: Mapping[str, str] = {}
    """Parameters of the market list."""
    keyless_history: bool
    """Whether ``historicalTrades`` answers without an API key."""


HOSTS: Mapping[str, Host] = {
    "binance": Host(
        rest="https://api.binance.com",
        stream="wss://stream.binance.com:9443/stream",
        weights=Weights(depth=((100, 5), (500, 25), (1000, 50), (5000, 250)), trades=25, aggregate=4, markets=20),
        # The permission sets make up most of the list, which is too long to be read with them.
        markets={"showPermissionSets": "false"},
        # CHANGELOG 2023-07-11: security type changed from MARKET_DATA to NONE, the API key is ignored.
        keyless_history=True,
        capabilities=ExchangeCapabilities(trade_ids="contiguous", trades_reach=None, weight_limit=6000),
    ),
    "binanceus": Host(
        rest="https://api.binance.us",
        stream="wss://stream.binance.us:9443/stream",
        weights=Weights(depth=((100, 1), (500, 5), (1000, 10), (5000, 50)), trades=1, aggregate=1, markets=10),
        # "Old trade lookup (MARKET_DATA)": needs a key, so history ends with the newest trades.
        keyless_history=False,
        capabilities=ExchangeCapabilities(trade_ids="contiguous", trades_reach=NEWEST, weight_limit=1200),
    ),
}
