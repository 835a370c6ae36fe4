"""Kraken's names of assets and markets <-> the unified ones.

Sources: "Get Asset Info" and "Get Tradable Asset Pairs" (docs.kraken.com, Spot REST API, read at 2026-05-27): the
oldest assets have ids of four letters, ``X`` in front of a coin and ``Z`` in front of a currency, later ones none.
"Get Extended Balance": the suffixes ``.F .B .M .S .T`` mark what is staked, lent or tokenized; such a row is an asset
of its own. Bitcoin and Dogecoin are XBT and XDG everywhere but in WebSocket v2 ("Spot Websockets Introduction").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exgate_core.models import Market

_OWN: Mapping[str, str] = {"BTC": "XBT", "DOGE": "XDG"}
_UNIFIED: Mapping[str, str] = {theirs: ours for ours, theirs in _OWN.items()}
_COINS = "ETC ETH LTC MLN REP XBT XDG XLM XMR XRP ZEC".split()
_MONEY = "AUD CAD EUR GBP JPY USD".split()
_LEGACY: Mapping[str, str] = {f"X{name}": name for name in _COINS} | {f"Z{name}": name for name in _MONEY}


def unified(code: str) -> str:
    """The unified code of an asset id, its suffix kept: ``XXBT`` and ``XBT`` -> ``BTC``, ``XBT.F`` -> ``BTC.F``."""
    head, dot, suffix = code.partition(".")
    head = _LEGACY.get(head, head)
    return _UNIFIED.get(head, head) + dot + suffix


def altname(market: Market) -> str:
    """Kraken's short name of a market, which is how orders name it: ``XBTUSD``."""
    return _short(market.base) + _short(market.quote)


def _short(code: str) -> str:
    head, dot, suffix = code.partition(".")
    return _OWN.get(head, head) + dot + suffix


class Names:
    """Finds the unified symbol for any name that Kraken gives a market."""

    def __init__(self, markets: Iterable[Market]) -> None:
        self._symbols: dict[str, str] = {}
        for market in markets:
            for name in (altname(market), market.id, f"{_short(market.base)}/{_short(market.quote)}", market.symbol):
                self._symbols.setdefault(name, market.symbol)

    def symbol(self, name: str) -> str:
        """The unified symbol; Kraken's own name where the market list doesn't have it (any more)."""
        return self._symbols.get(name, name)
