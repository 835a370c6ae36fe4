"""The market list of one exchange: from what a caller writes to one market, or to an error that helps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from .errors import InvalidArgument
from .models import Market

_SEPARATORS = ("/", "-", "_", "")
_LONGEST_NAME = 64


class MarketList:
    """All markets of one exchange by every spelling. Nothing is ever found by cutting a caller's text in pieces."""

    def __init__(self, markets: Iterable[Market]) -> None:
        self._symbols: dict[str, Market] = {}
        self._ids: dict[str, Market] = {}
        self._spellings: dict[str, tuple[Market, ...]] | None = None
        for market in sorted(markets, key=lambda market: not market.active):
            self._add(market)

    def _add(self, market: Market) -> None:
        if self._symbols.setdefault(market.symbol, market) is not market:
            return
        self._ids.setdefault(market.id, market)

    def get(self, symbol: str) -> Market | None:
        """The market with exactly this unified symbol."""
        return self._symbols.get(symbol)

    def resolve(self, text: str) -> Market:
        """The market meant: the unified symbol, else the exchange's id, else a spelling or an alias of only one market.

        Raises InvalidArgument that names the nearest markets, or the candidates of an ambiguous spelling.
        """
        market = self._symbols.get(text) or self._ids.get(text)
        return market or self._by_spelling(text)

    def _by_spelling(self, text: str) -> Market:
        if not text:
            raise InvalidArgument.of("symbol", "is missing; write it as BASE/QUOTE, for example BTC/USDT")
        found = self._by_name().get(text.casefold(), ()) if len(text) <= _LONGEST_NAME else ()
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidArgument.of("symbol", f"is ambiguous; write one of {_names(found)}", reason="AMBIGUOUS_SYMBOL")
        near = get_close_matches(text[:_LONGEST_NAME].upper(), self._symbols, n=3, cutoff=0.5)
        hint = f"the nearest are {', '.join(near)}" if near else "see /v1/{exchange}/markets"
        raise InvalidArgument.of("symbol", f"no such market; {hint}", reason="UNKNOWN_SYMBOL")

    def _by_name(self) -> dict[str, tuple[Market, ...]]:
        # Most callers write symbols or ids: the other spellings, five for each market, are made when one is asked for.
        if self._spellings is None:
            self._spellings = {}
            for market in self:
                common = (f"{market.base}{separator}{market.quote}" for separator in _SEPARATORS)
                for name in {name.casefold() for name in (*common, market.id, *market.aliases)}:
                    self._spellings[name] = (*self._spellings.get(name, ()), market)
        return self._spellings

    def __iter__(self) -> Iterator[Market]:
        return iter(self._symbols.values())

    def __len__(self) -> int:
        return len(self._symbols)


def _names(markets: Iterable[Market]) -> str:
    return ", ".join(market.symbol for market in markets)
