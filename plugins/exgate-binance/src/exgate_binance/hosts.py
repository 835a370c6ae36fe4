"""Where each of the two exchanges lives and what its requests cost.

Binance: rest-api.md ("Order book", "Recent trades list", "Old trade lookup", "Compressed/Aggregate trades list",
"Exchange information", "Trading endpoints", "Account Endpoints", "LIMITS"), web-socket-streams.md and, for the sandbox,
testnet/general-info.md of binance/binance-spot-api-docs, read at 2026-07-21.
Binance.US: the same sections of binance-us/binance-us-api-docs, read at 2024-06-17.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, structs

from exgate_core.errors import FailedPrecondition
from exgate_core.models import AccountCapabilities, ExchangeCapabilities

from .options import BINANCE_OPTIONS, BINANCE_US_OPTIONS, capable_of

NEWEST = 1000
"""The most trades or orders that one request returns."""


class Weights(Struct, frozen=True, kw_only=True):
    """Request weights."""

    depth: tuple[tuple[int, int], ...]
    """(up to this limit, weight), rising."""
    trades: int
    aggregate: int
    markets: int
    account: int
    order: int
    """One order looked up; placing and cancelling cost 1."""
    open_orders: int
    """Of one market."""
    all_open_orders: int
    """Of every market."""
    all_orders: int
    own_trades: int
    trades_of_order: int

    def of_depth(self, limit: int) -> int:
        """The weight of a book with this limit, 5000 at most."""
        return next(weight for most, weight in self.depth if limit <= most)

    def same_price(self, limit: int) -> int:
        """The largest limit that costs no more than this one."""
        return next(most for most, _ in self.depth if limit <= most)


class Host(Struct, frozen=True, kw_only=True):
    """One of the exchanges of this dialect."""

    rest: str
    stream: str
    sandbox: tuple[str, str] | None = None
    """``rest`` and ``stream`` of its test network."""
    weights: Weights
    capabilities: ExchangeCapabilities
    account: AccountCapabilities
    markets: Mapping[str, str] = {}
    """Parameters of the market list."""
    keyless_history: bool
    """Whether ``historicalTrades`` answers without an API key."""


HOSTS: Mapping[str, Host] = {
    "binance": Host(
        rest="https://api.binance.com",
        stream="wss://stream.binance.com:9443/stream",
        sandbox=("https://testnet.binance.vision", "wss://stream.testnet.binance.vision/stream"),
        weights=Weights(
            depth=((100, 5), (500, 25), (1000, 50), (5000, 250)),
            trades=25,
            aggregate=4,
            markets=20,
            account=20,
            order=4,
            open_orders=6,
            all_open_orders=80,
            all_orders=20,
            own_trades=20,
            trades_of_order=5,
        ),
        # The permission sets make up most of the list, which is too long to be read with them.
        markets={"showPermissionSets": "false"},
        # CHANGELOG 2023-07-11: security type changed from MARKET_DATA to NONE, the API key is ignored.
        keyless_history=True,
        capabilities=ExchangeCapabilities(trade_ids="contiguous", trades_reach=None, weight_limit=6000),
        account=capable_of(BINANCE_OPTIONS),
    ),
    "binanceus": Host(
        rest="https://api.binance.us",
        stream="wss://stream.binance.us:9443/stream",
        weights=Weights(
            depth=((100, 1), (500, 5), (1000, 10), (5000, 50)),
            trades=1,
            aggregate=1,
            markets=10,
            account=10,
            order=2,
            open_orders=3,
            all_open_orders=40,
            all_orders=10,
            own_trades=10,
            trades_of_order=10,
        ),
        # "Old trade lookup (MARKET_DATA)": needs a key, so history ends with the newest trades.
        keyless_history=False,
        capabilities=ExchangeCapabilities(trade_ids="contiguous", trades_reach=NEWEST, weight_limit=1200),
        account=capable_of(BINANCE_US_OPTIONS),
    ),
}


def host_of(name: str, *, sandbox: bool) -> Host:
    """The exchange, or its test network. Raises FailedPrecondition if it has none."""
    host = HOSTS[name]
    if not sandbox:
        return host
    if host.sandbox is None:
        raise FailedPrecondition(f"{name} has no sandbox; remove sandbox = true", reason="NO_SANDBOX")
    rest, stream = host.sandbox
    return structs.replace(host, rest=rest, stream=stream)
