"""How a lost order is found again, per exchange: which search sees which orders, and by which field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from .table import row

__all__ = ["LISTED_ONLY", "OWN_TRADES", "Page", "Recipe", "page_of", "recipe_of"]

Search = Literal["query", "open", "closed", "canceled", "ended", "orders", "trades"]


class Recipe(Struct, frozen=True, kw_only=True):
    """The searches by a client order id, all of which must miss before an order counts as not there."""

    searches: tuple[Search, ...] = ("open",)
    key: str = "clientOrderId"
    """The parameter of ``fetch_order`` that names an order by its client id; empty: the id itself is the client's."""
    listed_by: str = ""
    """The parameter by which a list is cut to one client id; empty = the list is searched here."""
    traded: bool = False
    """By its own id an order is looked for among own trades too: they may show one that no list shows yet. By a client
    id it isn't: trades don't say it, and one more question that must succeed leaves more undecided in a storm."""
    params: Mapping[str, Any] = {}


class Page(Struct, frozen=True):
    """How an exchange's list of open orders goes on."""

    kind: Literal["id", "number", "cursor"]
    param: str
    size: int
    cursor: str = ""
    """Where in the answer the cursor stands."""


_QUERY: Final = Recipe(searches=("query", "open"))
_BINANCE: Final = Recipe(searches=("query", "open", "orders"), key="origClientOrderId", traded=True)
_OKX: Final = Recipe(searches=("query", "open", "closed", "canceled"), key="clOrdId", traded=True)
_OWN_IDS: Final = Recipe(searches=("query", "open"), key="")

_RECIPES: Final[Mapping[str, Recipe]] = {
    **dict.fromkeys(("binance", "binanceus", "mexc"), _BINANCE),
    **dict.fromkeys(("okx", "okxus", "myokx"), _OKX),
    **dict.fromkeys(("bitget", "kucoin", "htx", "bitstamp", "coinbaseexchange"), _QUERY),
    **dict.fromkeys(("gate", "gateeu", "bequant", "fmfwio", "hitbtc"), _OWN_IDS),
    # ccxt places by cl_ord_id and asks by userref: the lists are cut by the right field instead.
    "kraken": Recipe(searches=("open", "closed"), listed_by="clientOrderId"),
    **dict.fromkeys(("bybit", "bybiteu", "bybitid"), Recipe(searches=("open", "ended"), listed_by="orderLinkId")),
    "coinbase": Recipe(searches=("orders",)),
}
OWN_TRADES: Final[Mapping[str, tuple[str, str]]] = {
    "backpack": ("clientId", "orderId"),
    "btse": ("clOrderID", "orderId"),
    "gemini": ("client_order_id", "order_id"),
    "hashkey": ("clientOrderId", "orderId"),
}
"""Exchanges without a list of closed orders whose own trades say to which order they belong: the fields of its client
id and of its id, as ccxt 4.5.90 shows their answers (fetchMyTrades, parseTrade)."""

LISTED_ONLY: Final = frozenset({"bitfinex", "cryptomus"})
"""Exchanges whose orders are looked for in lists alone: of Bitfinex ccxt asks for one order among the open ones and
can't read that it isn't there, of Cryptomus it doesn't ask whatever it says."""
_OPEN_ONLY: Final = frozenset({"poloniex", "toobit", "zebpay"})
"""Exchanges of whose spot orders and trades ccxt 4.5.90 asks for the open orders alone, whatever it says it has."""

_PAGES: Final[Mapping[str, Page]] = {
    **dict.fromkeys(("okx", "okxus", "myokx"), Page("id", "after", 100)),
    "bitget": Page("id", "idLessThan", 100),
    **dict.fromkeys(("gate", "gateeu"), Page("number", "page", 100)),
    "kucoin": Page("number", "currentPage", 50),
    **dict.fromkeys(("bybit", "bybiteu", "bybitid"), Page("cursor", "cursor", 50, "nextPageCursor")),
    "htx": Page("id", "from", 500),
    "coinbase": Page("cursor", "cursor", 100, "cursor"),
}

FULL: Final = frozenset(_RECIPES) - {"coinbase"}
"""Exchanges whose searches see open, closed and filled orders by their client id."""


def recipe_of(exchange_id: str) -> Recipe:
    """How to search an exchange for a client id."""
    if exchange_id in _RECIPES:
        return _RECIPES[exchange_id]
    has, more = row(exchange_id).has, list[Search]()
    if exchange_id in _OPEN_ONLY:
        return Recipe()
    if exchange_id == "cryptomus":
        return Recipe(searches=("open", "ended"))
    if exchange_id in OWN_TRADES:
        more.append("trades")
    elif "fetchClosedOrders" in has:
        more.append("closed")
    elif "fetchOrders" in has:
        more.append("orders")
    return Recipe(searches=("open", *more))


def page_of(exchange_id: str) -> Page | None:
    """How an exchange's open orders are paged; None = one answer holds them all."""
    return _PAGES.get(exchange_id)
