"""What each exchange of ccxt is and can do, known without importing ccxt."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from exgate_core.models import ExchangeCapabilities

from .limits import DEPTH_SIZES, depth_max, trade_ids, trades_max
from .proofs import CHECKSUMS
from .windows import ROUNDED, WINDOWS

__all__ = ["Row", "depth_argument", "exchange_capabilities", "row", "rows"]

WEIGHT_LIMIT, WEIGHT_WINDOW = 10_000, 10.0
"""An exchange's budget in ms of its time: ccxt states for each request how long it keeps the exchange busy."""


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
    exact_depth: bool = False
    """The canary book came back to the last digit when the table was made."""
    exact_trades: bool = False
    """The canary trade came back to the last digit when the table was made."""
    trades_are_top: bool = False
    """The answer to a question for trades is the list itself."""


@cache
def rows() -> tuple[Row, ...]:
    """Every spot exchange, by id."""
    text = resources.files(__package__).joinpath("table.json").read_bytes()
    return tuple(msgspec.json.decode(text, type=list[Row]))


@cache
def _by_id() -> dict[str, Row]:
    return {found.id: found for found in rows()}


def row(exchange_id: str) -> Row:
    """One exchange. Raises KeyError."""
    return _by_id()[exchange_id]


def depth_argument(exchange_id: str, limit: int) -> int:
    """How many levels to ask an exchange for, so that it refuses no size."""
    sizes = DEPTH_SIZES.get(exchange_id)
    if sizes:
        return next((size for size in sizes if size >= limit), sizes[-1])
    return min(limit, depth_max(exchange_id))


def exchange_capabilities(exchange_id: str) -> ExchangeCapabilities:
    """What the public side of an exchange can do."""
    known, ids, page = row(exchange_id), trade_ids(exchange_id), trades_max(exchange_id)
    return ExchangeCapabilities(
        trade_ids=ids,
        trades_reach=0 if ids == "opaque" else page,
        trades_max=page,
        depth_sizes=DEPTH_SIZES.get(exchange_id, ()),
        depth_max=depth_max(exchange_id),
        depth_windows=WINDOWS.get(exchange_id, ()),
        depth_rounded=exchange_id in ROUNDED,
        checksum=CHECKSUMS.get(exchange_id, ""),
        exact=(known.exact_depth or not known.fetch_order_book) and (known.exact_trades or not known.fetch_trades),
        weight_limit=WEIGHT_LIMIT,
        weight_window=WEIGHT_WINDOW,
    )
