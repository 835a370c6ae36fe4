"""The market list of a ccxt client: ccxt's own dictionaries beside the gateway's values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exgate_core.models import Market

from .exact import text

__all__ = ["Listing", "MarketTable"]

_OTHER_NAMES = ("altname", "wsId")
"""Where ccxt keeps Kraken's further names of a market: ``XBTUSD``, ``XBT/USD``."""
_DECIMAL_PLACES = 2
_TICK_SIZE = 4


class MarketTable:
    """Spot markets by unified symbol; ``client.exgate_markets``."""

    def __init__(self, markets: Mapping[str, Mapping[str, Any]], precision_mode: int) -> None:
        self.ccxt: dict[str, Mapping[str, Any]] = {
            symbol: market
            for symbol, market in markets.items()
            if market.get("spot") and ":" not in symbol and market.get("base") and market.get("quote")
        }
        """Unified symbol -> ccxt's market."""
        self.values: tuple[Market, ...] = tuple(_value(market, precision_mode) for market in self.ccxt.values())
        self._by_id = {str(market["id"]): symbol for symbol, market in self.ccxt.items()}

    def symbol_of(self, native: str) -> str:
        """The unified symbol of the exchange's own name; empty if it isn't a listed spot market."""
        return self._by_id.get(native, "")

    def __len__(self) -> int:
        return len(self.ccxt)


class Listing:
    """One fetch of an exchange's market list, to be shared by its clients."""

    def __init__(self, attributes: Mapping[str, Any], table: MarketTable, at: float) -> None:
        self.attributes = attributes
        """What ccxt keeps of it, by attribute."""
        self.table = table
        self.at = at
        """When it was fetched, s since the epoch."""
        self.by_altname = {market["altname"]: market for market in table.ccxt.values() if market.get("altname")}
        """By the exchange's second names, where it has them (Kraken's XBTUSD beside XXBTZUSD)."""
        self.assets = {number: {"code": code} for number, code in _numbered(table.ccxt.values())}
        """Assets by their numbers, where markets say them (delta's balances name assets by nothing else)."""

    @classmethod
    def of(cls, client: Any, at: float) -> Listing:
        """The list that a client has loaded."""
        attributes = {name: getattr(client, name) for name in _ATTRIBUTES}
        return cls(attributes, MarketTable(client.markets or {}, client.precisionMode), at)


def _numbered(markets: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for market in markets:
        info = market.get("info")
        if not isinstance(info, Mapping):
            continue  # Gemini lists names and nothing more
        for side, code in (("underlying_asset", market["base"]), ("quoting_asset", market["quote"])):
            asset = info.get(side)
            if isinstance(asset, Mapping) and asset.get("id") is not None:
                yield str(asset["id"]), str(code)


_ATTRIBUTES = (
    *("markets", "markets_by_id", "symbols", "ids", "currencies", "currencies_by_id", "codes"),
    *("baseCurrencies", "quoteCurrencies"),
)


def _value(market: Mapping[str, Any], precision_mode: int) -> Market:
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    amount, cost = limits.get("amount") or {}, limits.get("cost") or {}
    return Market(
        symbol=str(market["symbol"]),
        id=str(market["id"]),
        base=str(market["base"]),
        quote=str(market["quote"]),
        aliases=tuple(str(market[key]) for key in _OTHER_NAMES if market.get(key)),
        tick_size=_step(precision.get("price"), precision_mode),
        step_size=_step(precision.get("amount"), precision_mode),
        min_amount=_rule(amount.get("min")),
        max_amount=_rule(amount.get("max")),
        min_notional=_rule(cost.get("min")),
        active=market.get("active") is not False,
    )


def _step(value: object, mode: int) -> str:
    if value is None:
        return ""
    if mode == _TICK_SIZE:
        return _rule(value)
    if mode == _DECIMAL_PLACES:
        places = int(text(value).partition(".")[0])
        return "1" if places <= 0 else "0." + "0" * (places - 1) + "1"
    return ""  # significant digits: no fixed step


def _rule(value: object) -> str:
    try:
        rule = text(value)
    except ValueError:
        return ""
    return rule if rule.strip("0.") and not rule.startswith("-") else ""
