"""Options that ccxt's exchanges get: spot only, nothing fetched that isn't needed, raw trades instead of aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["OPTIONS"]

_SPOT: Mapping[str, Any] = {"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"}

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "binance": {**_SPOT, "fetchMargins": False, "fetchTradesMethod": "publicGetTrades", "watchTrades": {"name": "trade"}},
    "binanceus": {**_SPOT, "fetchMargins": False, "fetchTradesMethod": "publicGetTrades", "watchTrades": {"name": "trade"}},
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
    "coinbase": {"fetchBalance": "v3PrivateGetBrokerageAccounts"},
}
"""Exchange -> options, over ccxt's own."""
