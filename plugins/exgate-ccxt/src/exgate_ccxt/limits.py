"""What ccxt leaves to the caller: how many levels and trades an exchange takes, and what its trade ids mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = ["CONTIGUOUS", "DEPTH_MAX", "DEPTH_SIZES", "ORDERED", "trade_ids"]

_BINANCE = (5, 10, 20, 50, 100, 500, 1000, 5000)

DEPTH_SIZES: Mapping[str, tuple[int, ...]] = {
    "bitbns": _BINANCE,
    "bitfinex": (1, 25, 100),
    "bitopro": (1, 5, 10, 20, 30, 50),
    "coinone": (5, 10, 15, 16),
    "deribit": (1, 5, 10, 20, 50, 100, 1000),
    "htx": (5, 10, 20, 150),
    "kucoin": (20, 100),
    "kucoineu": (20, 100),
    "tokocrypto": _BINANCE,
}
"""The only sizes that the exchange takes, or that ccxt lets through, rising."""

DEPTH_MAX: Mapping[str, int] = {
    **{"aster": 1000, "backpack": 1000, "bigone": 200, "binance": 5000, "binanceus": 5000, "bingx": 1000},
    **{"bitget": 150, "bithumb": 30, "bitrue": 1000, "bitvavo": 1000, "btse": 50, "bybit": 200, "bybiteu": 200},
    **{"coinbase": 1000, "coinsph": 200, "cryptocom": 50, "deepcoin": 400, "delta": 100, "digifinex": 150},
    **{"foxbit": 100, "gate": 1000, "gateeu": 1000, "hashkey": 200, "hitbtc": 1000, "bequant": 1000, "fmfwio": 1000},
    **{"kraken": 500, "latoken": 1000, "lbank": 200, "mexc": 5000, "ndax": 1000, "okx": 400, "okxus": 400},
    **{"myokx": 400, "p2b": 100, "poloniex": 150, "toobit": 200, "upbit": 30, "whitebit": 100, "woo": 100},
    **{"xt": 500, "zebpay": 100, "revolutx": 100, "nado": 100, "weex": 200, "phemex": 30},
}
"""The most levels a side that may be asked for; absent = nothing is known, 1000 are."""

CONTIGUOUS = frozenset({"binance", "binanceus", "coinbase", "coinbaseexchange"})
"""Trade ids are integers without holes, by market."""

ORDERED = frozenset({"bitstamp", "gate", "gateeu", "gemini", "hitbtc", "kraken", "myokx", "okx", "okxus", "poloniex"})
"""Trade ids are integers that rise."""


def trade_ids(exchange_id: str) -> Literal["contiguous", "ordered", "opaque"]:
    """What the trade ids of an exchange mean; opaque where nothing is known for certain."""
    if exchange_id in CONTIGUOUS:
        return "contiguous"
    return "ordered" if exchange_id in ORDERED else "opaque"
