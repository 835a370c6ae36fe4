"""Options of clients that hold keys: no hidden first calls, no builder's fees, short windows on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["private_options"]

_BYBIT: Final = {"enableUnifiedAccount": True, "enableUnifiedMargin": False, "unifiedMarginStatus": 5}
_WINDOW: Final = {"recvWindow": 5000}
"""ms: an order that is longer on its way is refused by the exchange itself, so that "not found" can be believed."""

_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "aster": {"builderFee": False, "approvedBuilderFee": False},
    "binance": _WINDOW,
    "binanceus": _WINDOW,
    "bitget": {"uta": False},
    "bybit": {**_BYBIT, **_WINDOW},
    "bybiteu": {**_BYBIT, **_WINDOW},
    "bybitid": {**_BYBIT, **_WINDOW},
    "coinbase": {"fetchBalance": "v3PrivateGetBrokerageAccounts"},
    "gate": {"unifiedAccount": False},
    "gateeu": {"unifiedAccount": False},
    "hyperliquid": {"builderFee": False, "refSet": True},
    "kucoin": {"uta": False, "hf": False},
    "kucoineu": {"uta": False, "hf": False},
    "mexc": _WINDOW,
}


def private_options(exchange_id: str) -> Mapping[str, Any]:
    """The options of an exchange's private client, over all others."""
    return _OPTIONS.get(exchange_id, {})
