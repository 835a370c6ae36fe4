"""Kraken's public REST answers -> ExGate's values: pure, one typed decode per answer, every digit as it was sent.

Shapes: docs.kraken.com, Spot REST API, "Market Data" (pages named at each function, read at 2026-05-27). Every answer
is ``{"error": [...], "result": ...}``; prices and amounts are JSON strings, times are numbers of seconds.
"""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from exgate_core.fetch import digits
from exgate_core.models import Depth, Level, Market, Trade

from .names import unified

T = TypeVar("T")

_TRADED = frozenset({"online", "post_only", "limit_only", ""})
"""States of a pair in which it takes at least some new orders."""
_DARK = ".d"
_SECOND = 1_000_000_000


class Answer(Struct, Generic[T], frozen=True):
    """The envelope of every answer ("Spot REST Introduction", Responses)."""

    error: list[str]
    result: T | None = None


class RestLevel(Struct, frozen=True, array_like=True, gc=False):
    """``[<price>, <volume>, <timestamp>]``; the time is that level's own, not the book's."""

    price: str
    volume: str


class RestBook(Struct, frozen=True, gc=False):
    """One book of ``GET /0/public/Depth``."""

    asks: list[RestLevel]
    bids: list[RestLevel]


class RestTrade(Struct, frozen=True, array_like=True, gc=False):
    """``[<price>, <volume>, <time>, <buy/sell>, <market/limit>, <miscellaneous>, <trade_id>]``."""

    price: str
    volume: str
    time: Raw
    side: Literal["b", "s"]
    kind: str
    misc: str
    id: int


class Pair(Struct, frozen=True):
    """One pair of ``GET /0/public/AssetPairs``."""

    base: str
    quote: str
    altname: str
    pair_decimals: int
    lot_decimals: int
    wsname: str = ""
    tick_size: str = ""
    ordermin: str = ""
    costmin: str = ""
    status: str = ""
    aclass_base: str = "currency"


class Time(Struct, frozen=True):
    """The result of ``GET /0/public/Time``."""

    unixtime: int


TIME = msgspec.json.Decoder(Answer[Time])
DEPTH = msgspec.json.Decoder(Answer[dict[str, RestBook]])
TRADES = msgspec.json.Decoder(Answer[dict[str, list[RestTrade] | str]])
PAIRS = msgspec.json.Decoder(Answer[dict[str, Pair]])
_ERRORS = msgspec.json.Decoder(Answer[Raw])


class Page(Struct, frozen=True):
    """One answer of ``GET /0/public/Trades``."""

    trades: list[Trade]
    """Oldest first."""
    last: int
    """ns since the epoch: where the next page begins; 0 if it wasn't told."""


def markets(pairs: dict[str, Pair]) -> list[Market]:
    """Every spot market ("Get Tradable Asset Pairs"); dark pools and tokenized assets are left out."""
    return [
        _market(name, pair)
        for name, pair in pairs.items()
        if pair.aclass_base == "currency" and not pair.altname.endswith(_DARK)
    ]


def _market(name: str, pair: Pair) -> Market:
    base, slash, quote = pair.wsname.partition("/")
    base, quote = (unified(base), unified(quote)) if slash else (unified(pair.base), unified(pair.quote))
    return Market(
        symbol=f"{base}/{quote}",
        id=name,
        base=base,
        quote=quote,
        aliases=tuple(other for other in (pair.altname, pair.wsname) if other),
        tick_size=pair.tick_size or _step(pair.pair_decimals),
        step_size=_step(pair.lot_decimals),
        min_amount=pair.ordermin,
        min_notional=pair.costmin,
        active=pair.status in _TRADED,
    )


def _step(places: int) -> str:
    return f"0.{'0' * (places - 1)}1" if places > 0 else "1"


def depth(name: str, books: dict[str, RestBook]) -> Depth:
    """The book of the pair with this id ("Get Order Book"). Kraken sends no time and no number of its state.

    Raises ValueError if the answer is about something else.
    """
    if set(books) != {name}:
        raise ValueError(f"a book of {', '.join(books) or 'nothing'} instead of {name}")
    book = books[name]
    return Depth(bids=_levels(book.bids), asks=_levels(book.asks))


def _levels(rows: list[RestLevel]) -> list[Level]:
    return [(row.price, row.volume) for row in rows]


def trades(name: str, result: dict[str, list[RestTrade] | str]) -> Page:
    """The trades of the pair with this id ("Get Recent Trades"). Raises ValueError if there are none of it."""
    rows = result.get(name)
    if not isinstance(rows, list):
        raise ValueError(f"trades of {', '.join(result)} instead of {name}")
    last = result.get("last")
    since = int(last) if isinstance(last, str) and last.isascii() and last.isdecimal() else 0
    return Page([_trade(row) for row in rows], since)


def _trade(row: RestTrade) -> Trade:
    time_ns = nanoseconds(digits(row.time))
    return Trade(
        id=str(row.id),
        price=row.price,
        qty=row.volume,
        time=time_ns // 1_000_000,
        taker_side="buy" if row.side == "b" else "sell",
        time_ns=time_ns,
    )


def nanoseconds(seconds: str) -> int:
    """Decimal seconds in ns, cut after the ninth place: ``1688669597.8277369`` -> ``1688669597827736900``."""
    whole, _, part = seconds.partition(".")
    return int(whole) * _SECOND + int(part[:9].ljust(9, "0"))


def errors(body: bytes) -> list[str]:
    """The errors that a body states; none if it is no answer of Kraken's."""
    try:
        return _ERRORS.decode(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
