"""What each exchange of ccxt is and can do, known without importing ccxt."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from exgate_core.models import ExchangeCapabilities

WEIGHT_LIMIT, WEIGHT_WINDOW = 10_000, 10.0
"""An exchange's budget in ms of its time: ccxt states for each request how long it keeps the exchange busy."""

__all__ = ["Row", "exchange_capabilities", "row", "rows"]


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One exchange, as ``tests/make_table.py`` reads it from ccxt."""

    id: str
    name: str
    pro: bool = False
    """It has streams."""
    fetch_order_book: bool = True
    fetch_trades: bool = True
    watch_order_book: bool = False
    watch_trades: bool = False
    un_watch: bool = False
    """Streams can be ended one by one."""
    has: tuple[str, ...] = ()
    """Which private calls exist, by ccxt's names."""
    credentials: tuple[str, ...] = ()
    """Which credentials private calls need, by ccxt's names."""
    rate_limit: float = 1000.0
    """ms between requests of cost 1."""


@cache
def rows() -> tuple[Row, ...]:
    """Every spot exchange, by id."""
    text = resources.files(__package__).joinpath("table.json").read_bytes()
    return tuple(msgspec.json.decode(text, type=list[Row]))


@cache
def row(exchange_id: str) -> Row:
    """One exchange. Raises KeyError."""
    return {found.id: found for found in rows()}[exchange_id]


def exchange_capabilities(exchange_id: str) -> ExchangeCapabilities:
    """What the public side of an exchange can do."""
    return ExchangeCapabilities(weight_limit=WEIGHT_LIMIT, weight_window=WEIGHT_WINDOW)
