"""Options that ccxt's exchanges get: spot only, nothing fetched that isn't needed, raw trades instead of aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["FORCED", "OPTIONS", "options_of"]

FORCED: Mapping[str, Any] = {
    "maxRetriesOnFailure": 0,
    "adjustForTimeDifference": False,
    "warnOnFetchOpenOrdersWithoutSymbol": False,
    "builderFee": False,
    "approvedBuilderFee": False,
}
"""Options that no setting changes: nothing is sent twice, no builder's fee is ever approved or paid."""

_SPOT: Mapping[str, Any] = {"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"}

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "binance": {
        **_SPOT,
        "fetchMargins": False,
        "fetchTradesMethod": "publicGetTrades",
        "watchTrades": {"name": "trade"},
    },
    "binanceus": {
        **_SPOT,
        "fetchMargins": False,
        "fetchTradesMethod": "publicGetTrades",
        "watchTrades": {"name": "trade"},
    },
    "okx": _SPOT,
    "bybit": {**_SPOT, "enableUnifiedAccount": True, "enableUnifiedMargin": False, "unifiedMarginStatus": 5},
    "gate": {**_SPOT, "unifiedAccount": False},
    "htx": {"fetchMarkets": {"types": {"spot": True, "linear": False, "inverse": False}}, "defaultType": "spot"},
    "kucoin": {"fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}, "uta": False, "hf": False},
    "bitget": {**_SPOT, "uta": False},
    "mexc": {
        "fetchMarkets": {"types": {"spot": True, "swap": {"linear": False, "inverse": False}}},
        "defaultType": "spot",
        "fetchTradesMethod": "spotPublicGetTrades",
    },
    # ccxt's own, R0, is a list of single orders: several at one price, and a hundred of them at most
    "bitfinex": {"defaultType": "spot", "fetchOrderBook": {"precision": "P0"}},
    "coinbase": {"fetchBalance": "v3PrivateGetBrokerageAccounts"},
}
"""Exchange -> options, over ccxt's own."""


def options_of(exchange_id: str) -> Mapping[str, Any]:
    """The options of an exchange, over ccxt's own."""
    return OPTIONS.get(exchange_id, {"defaultType": "spot"})
