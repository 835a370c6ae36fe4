"""OKX's public JSON -> ExGate's values: pure, one typed decode per answer or frame, every digit as it was sent.

Shapes: "Order Book Trading - Market Data" and "Public Data" of www.okx.com/docs-v5/en, 2026-06-27 (sections named at
each function). Numbers are JSON strings throughout, sequence ids and checksums JSON integers; ids and times in strings
are read as the integers that they are, everything else stays text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from exgate_core.models import Depth, DepthDelta, Level, Market, Trade
from exgate_core.numbers import add

from .wire import Envelope


class Instrument(Struct, frozen=True, rename="camel"):
    """One row of ``GET /api/v5/public/instruments?instType=SPOT``."""

    inst_id: str
    state: str
    base_ccy: str = ""
    quote_ccy: str = ""
    tick_sz: str = ""
    lot_sz: str = ""
    min_sz: str = ""
    max_lmt_sz: str = ""


Counted = Annotated[int, msgspec.Meta(gt=0)]
"""An id or a time; read from text, ``1e-999`` would be 0."""


class _Row(Struct, frozen=True, array_like=True, gc=False):
    """A level: price, amount, and what follows."""

    px: str
    sz: str


class Book(Struct, frozen=True, rename="camel", gc=False):
    """One row of ``books``, ``books-full`` and of a frame of the channel ``books``."""

    asks: list[_Row]
    bids: list[_Row]
    ts: Counted
    seq_id: Counted = 0
    prev_seq_id: int = 0
    checksum: int = 0


class TradeRow(Struct, frozen=True, rename="camel", gc=False):
    """One row of ``trades``, ``history-trades`` and of a frame of the channel ``trades-all``."""

    trade_id: Counted
    px: str
    sz: str
    side: Literal["buy", "sell"]
    ts: Counted


class BookFrame(Struct, frozen=True, gc=False):
    """A frame of the channel ``books``."""

    data: list[Book]
    action: str = "update"


class _TradeFrame(Struct, frozen=True, gc=False):
    data: list[TradeRow]


class _Time(Struct, frozen=True):
    ts: int


INSTRUMENTS = msgspec.json.Decoder(Envelope[Instrument])
BOOKS = msgspec.json.Decoder(Envelope[Book], strict=False)
TRADES = msgspec.json.Decoder(Envelope[TradeRow], strict=False)
TIMES = msgspec.json.Decoder(Envelope[_Time], strict=False)
_BOOK_FRAME = msgspec.json.Decoder(BookFrame, strict=False).decode
_TRADE_FRAME = msgspec.json.Decoder(_TradeFrame, strict=False).decode


def markets(rows: Iterable[Instrument]) -> list[Market]:
    """Every spot market ("Get instruments"). One that is only announced has no currencies yet and is left out."""
    return [_market(row) for row in rows if row.base_ccy and row.quote_ccy]


def _market(row: Instrument) -> Market:
    return Market(
        symbol=f"{row.base_ccy}/{row.quote_ccy}",
        id=row.inst_id,
        base=row.base_ccy,
        quote=row.quote_ccy,
        tick_size=row.tick_sz,
        step_size=row.lot_sz,
        min_amount=row.min_sz,
        max_amount=row.max_lmt_sz,
        active=row.state == "live",
    )


def depth(book: Book) -> Depth:
    """A whole book ("GET / Order book", "GET / Full order book", a ``snapshot`` of "WS / Order book channel")."""
    return Depth(
        bids=_levels(book.bids),
        asks=_levels(book.asks),
        last_update_id=max(book.seq_id, 0),
        timestamp=book.ts,
        checksum=_checksum(book),
    )


def delta(book: Book) -> DepthDelta:
    """An ``update`` of "WS / Order book channel"."""
    return DepthDelta(
        bids=_levels(book.bids),
        asks=_levels(book.asks),
        previous=book.prev_seq_id,
        sequence=book.seq_id,
        timestamp=book.ts,
        checksum=_checksum(book),
    )


def _levels(rows: list[_Row]) -> list[Level]:
    return [(row.px, row.sz) for row in rows]


def _checksum(book: Book) -> str:
    # Deprecated: since 2026-06-23 the field is sent as 0 and says nothing.
    return str(book.checksum) if book.checksum else ""


def trades(rows: Iterable[TradeRow]) -> list[Trade]:
    """Trades in the order of the rows ("GET / Trades", "GET / Trades history"): each a match of its own."""
    return [_trade(row) for row in rows]


def _trade(row: TradeRow) -> Trade:
    return Trade(id=str(row.trade_id), price=row.px, qty=row.sz, time=row.ts, taker_side=row.side)


def merged(rows: Iterable[TradeRow]) -> list[Trade]:
    """The matches of one order at one price as one trade, as the channel ``trades`` tells them ("WS / Trades channel":
    the id is the last one's); rows oldest first. Which order took isn't said, so time, side and price stand for it.
    """
    found: list[Trade] = []
    for trade in map(_trade, rows):
        last = found[-1] if found else trade
        if found and (last.time, last.taker_side, last.price) == (trade.time, trade.taker_side, trade.price):
            found[-1] = replace(trade, qty=add(last.qty, trade.qty))
        else:
            found.append(trade)
    return found


def trade_frame(frame: bytes) -> list[Trade]:
    """A frame of ``trades-all`` or ``trades`` ("WS / All trades channel", "WS / Trades channel"), oldest first."""
    return trades(_TRADE_FRAME(frame).data)


def book_frame(frame: bytes) -> BookFrame:
    """A frame of ``books`` ("WS / Order book channel")."""
    return _BOOK_FRAME(frame)
