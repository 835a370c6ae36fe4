"""What ccxt leaves to the caller: how many levels and trades an exchange takes, and what its trade ids mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = [
    "BOOK_IDS",
    "BOOK_TIMES",
    "CONTIGUOUS",
    "DEPTH_SIZES",
    "ORDERED",
    "UNTIMED",
    "depth_max",
    "trade_ids",
    "trades_max",
]

_BINANCE = (5, 10, 20, 50, 100, 500, 1000, 5000)
_TO_1000 = _BINANCE[:-1]

DEPTH_SIZES: Mapping[str, tuple[int, ...]] = {
    "aster": _TO_1000,
    "backpack": _TO_1000,
    "bitbns": _BINANCE,
    "bitfinex": (1, 25, 100),
    "bitopro": (1, 5, 10, 20, 30, 50),
    "coinone": (5, 10, 15, 16),
    "bitrue": _TO_1000,
    "deribit": (1, 5, 10, 20, 50, 100, 1000),
    "htx": (5, 10, 20, 150),
    "kucoin": (20, 100),
    "poloniex": (5, 10, 20, 50, 100, 150),
    "tokocrypto": _BINANCE,
}
"""The only sizes that the exchange takes, or that ccxt lets through, rising."""

DEPTH_MAX: Mapping[str, int] = {
    **{"bigone": 200, "binance": 5000, "binanceus": 5000, "bingx": 1000},
    **{"bitget": 150, "bithumb": 30, "bitvavo": 1000, "btse": 50, "bybit": 200, "bybiteu": 200},
    **{"coinbase": 1000, "coinsph": 200, "cryptocom": 50, "deepcoin": 400, "delta": 100, "digifinex": 150},
    **{"foxbit": 100, "gate": 1000, "gateeu": 1000, "hashkey": 200, "hitbtc": 1000, "bequant": 1000, "fmfwio": 1000},
    **{"kraken": 500, "latoken": 1000, "lbank": 200, "mexc": 5000, "ndax": 1000, "okx": 400, "okxus": 400},
    **{"myokx": 400, "p2b": 100, "toobit": 200, "upbit": 30, "whitebit": 100, "woo": 100},
    **{"xt": 500, "zebpay": 100, "revolutx": 100, "nado": 100, "weex": 200, "phemex": 30},
}
"""The most levels a side that may be asked for; absent = nothing is known, 1000 are."""

WHOLE = frozenset(
    {
        *("alpaca", "bit2c", "bitbank", "bitflyer", "bitso", "bitstamp", "bitteam", "bittrade", "btcbox", "btcmarkets"),
        *("btcturk", "bullish", "cex", "coinbaseexchange", "coincheck", "coinmate", "coinspot", "cryptomus"),
        *("hollaex", "hyperliquid", "independentreserve", "indodax", "luno", "mercado", "pacifica", "paymium", "zaif"),
    }
)
"""Exchanges that are told no size: they send what they have."""

BOOK_TIMES: Mapping[str, str] = {"coinbaseexchange": "time", "gate": "update", "gateeu": "update"}
"""Where an exchange's answer has the time of the book, for which ccxt has none, or that of the answer."""

BOOK_IDS: Mapping[str, tuple[str, str]] = dict.fromkeys(("bybit", "bybiteu", "bybitid"), ("result", "u"))
"""Where an exchange's answer has the number of the book's last change, which ccxt leaves out."""

UNTIMED = frozenset({"bitfinex", "lbank"})
"""Exchanges that don't say of when a book is: ccxt writes our own time there."""

TRADES_MAX: Mapping[str, int] = {
    **{"bingx": 500, "bitget": 500, "bithumb": 100, "btcturk": 50, "btse": 500, "bullish": 100},
    **{"bybit": 60, "bybiteu": 60, "bybitid": 60, "coincheck": 25, "coinone": 200, "cryptocom": 150, "deepcoin": 500},
    **{"digifinex": 500, "foxbit": 200, "gemini": 500, "hashkey": 100, "latoken": 100, "lbank": 600, "lighter": 100},
    **{"myokx": 500, "nado": 500, "ndax": 500, "okx": 500, "okxus": 500, "revolutx": 100, "toobit": 60, "upbit": 500},
}
"""The most trades that may be asked for; absent = 1000, or ccxt cuts or sends no number."""

CONTIGUOUS = frozenset({"binance", "binanceus", "coinbase", "coinbaseexchange", "htx"})
"""Trade ids are integers without holes, by market."""

ORDERED = frozenset({"bitstamp", "gate", "gateeu", "gemini", "hitbtc", "kraken", "myokx", "okx", "okxus", "poloniex"})
"""Trade ids are integers that rise."""


def trade_ids(exchange_id: str) -> Literal["contiguous", "ordered", "opaque"]:
    """What the trade ids of an exchange mean; opaque where nothing is known for certain."""
    if exchange_id in CONTIGUOUS:
        return "contiguous"
    return "ordered" if exchange_id in ORDERED else "opaque"


def depth_max(exchange_id: str) -> int:
    """The most levels a side that an exchange gives."""
    sizes = DEPTH_SIZES.get(exchange_id)
    if sizes:
        return sizes[-1]
    return 5000 if exchange_id in WHOLE else DEPTH_MAX.get(exchange_id, 1000)


def trades_max(exchange_id: str) -> int:
    """The most trades that one question may ask for."""
    return TRADES_MAX.get(exchange_id, 1000)
