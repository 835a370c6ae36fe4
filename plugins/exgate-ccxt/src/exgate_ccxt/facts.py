"""What the private side of each exchange can do, known without importing ccxt.

``facts.json`` is measured: ``tests/make_facts.py`` has every exchange build its requests over a market of no exchange
and keeps what the request check could read. What no request shows stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, Literal

import msgspec
from msgspec import Struct

from exgate_core.models import AccountCapabilities, ClientIds

from .recovery import FULL

__all__ = ["CLIENT_IDS", "Fact", "account_capabilities", "fact", "facts"]


class Fact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was measured of one exchange."""

    id: str
    limit: bool = False
    market_sell: bool = False
    market_buy: Literal["base", "quote", "both", ""] = ""
    """In which asset the amount of a market buy can be given."""
    post_only: bool = False
    ioc: bool = False
    fok: bool = False
    client_ids: bool = False
    """The client order id is in the request, under a name that the exchange documents."""
    echoed: bool = False
    """The exchange's orders are parsed with their client order id."""
    cancel: bool = False
    open_orders: bool = False
    balances: bool = False
    symbol_needed: tuple[str, ...] = ()
    absent: str = ""
    """Why there is no placing of orders."""

    @property
    def places(self) -> bool:
        """Whether orders can be placed, and cancelled again."""
        return self.limit and self.cancel


_TEXT: Final = ClientIds(pattern=r"[A-Za-z0-9]{1,32}", max_length=32)
_LONG: Final = ClientIds(pattern=r"[A-Za-z0-9_-]{1,36}", max_length=36)
_BINANCE: Final = ClientIds(pattern=r"[.A-Za-z0-9:/_-]{1,36}", max_length=36)
_NUMBER: Final = ClientIds(pattern=r"[0-9]{1,18}", max_length=18, digits_only=True)
_HEX: Final = ClientIds(pattern=r"[0-9a-f]{32}", max_length=32)
_GATE: Final = ClientIds(pattern=r"t-[0-9A-Za-z_.-]{1,26}", max_length=28, prefix="t-")

CLIENT_IDS: Final[Mapping[str, ClientIds]] = {
    "backpack": ClientIds(pattern=r"[0-9]{1,9}", max_length=9, digits_only=True),
    "binance": _BINANCE,
    "binanceus": _BINANCE,
    "bitfinex": ClientIds(pattern=r"[0-9]{1,13}", max_length=13, digits_only=True),
    "bybit": _LONG,
    "bybiteu": _LONG,
    "bybitid": _LONG,
    "coinbase": _LONG,
    "coinbaseexchange": _HEX,
    "exmo": _NUMBER,
    "gate": _GATE,
    "gateeu": _GATE,
    "kraken": ClientIds(pattern=r"[0-9a-f]{32}|[A-Za-z0-9_-]{1,18}", max_length=32),
    "kucoin": _LONG,
    "woo": _NUMBER,
}
"""The rules that differ from 32 letters and digits."""


@cache
def facts() -> Mapping[str, Fact]:
    """Every spot exchange by id."""
    text = resources.files(__package__).joinpath("facts.json").read_bytes()
    return {found.id: found for found in msgspec.json.decode(text, type=list[Fact])}


def fact(exchange_id: str) -> Fact:
    """One exchange; one that was never measured can do nothing."""
    return facts().get(exchange_id) or Fact(id=exchange_id, absent="it was never measured")


@cache
def account_capabilities(exchange_id: str) -> AccountCapabilities:
    """What the account of an exchange can do."""
    known = fact(exchange_id)
    types = {"limit"} if known.limit else set()
    if known.market_sell and known.market_buy:
        types.add("market")
    times = {"GTC"} | ({"IOC"} if known.ioc else set()) | ({"FOK"} if known.fok else set())
    return AccountCapabilities(
        symbol_needed=frozenset(known.symbol_needed),
        client_ids=CLIENT_IDS.get(exchange_id, _TEXT) if known.client_ids else None,
        order_recovery=_recovery(known),
        order_types=frozenset(types),
        times_in_force=frozenset(times),
        post_only=known.post_only,
        quote_amount=known.market_buy in ("quote", "both"),
    )


def _recovery(known: Fact) -> Literal["full", "open", "none"]:
    if not known.client_ids or not known.echoed:
        return "none"
    if known.id in FULL:
        return "full"
    return "open" if known.open_orders else "none"
