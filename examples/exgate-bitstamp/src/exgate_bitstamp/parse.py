"""Bitstamp's public JSON -> ExGate's values: pure, one typed decode per answer or frame, every digit as it was sent.

Shapes: the HTTP API v2 (www.bitstamp.net/api/, "Market info", "Order book", "Transactions (public)") and the
WebSocket API v2 (www.bitstamp.net/websocket/v2/, "Channels"), read in November 2026. Prices and amounts are strings.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from exgate_core.models import Depth, DepthDelta, Level, Market, Side, Trade
from exgate_core.numbers import is_zero
from msgspec import Struct

Whole = Annotated[str, msgspec.Meta(pattern=r"\A[1-9][0-9]{0,17}\Z")]
"""An id or a time as it is sent: ``int`` takes every such text, and 64 bits hold it."""


class MarketRow(Struct, frozen=True):
    """One row of ``GET /api/v2/markets/`` ("Market info / Markets")."""

    market_symbol: str
    base_currency: str
    counter_currency: str
    base_decimals: int
    counter_decimals: int
    trading: str
    market_type: str = "SPOT"
    minimum_order_value: str | None = None
    minimum_order_amount: str | None = None
    maximum_order_amount: str | None = None


class Book(Struct, frozen=True, gc=False):
    """An answer of ``GET /api/v2/order_book/MARKET/``, and the data of ``diff_order_book_MARKET``.

    ``microtimestamp`` is what orders them: there is no other number, and it counts nothing.
    """

    timestamp: Whole
    bids: list[Level]
    asks: list[Level]
    microtimestamp: Whole = ""

    @property
    def micros(self) -> int:
        """When the exchange made it, in us; 0 in answers that say so in seconds only."""
        return int(self.microtimestamp or 0)

    @property
    def millis(self) -> int:
        """The same in ms."""
        return self.micros // 1000 if self.micros else int(self.timestamp) * 1000


class TransactionRow(Struct, frozen=True, gc=False):
    """One row of ``GET /api/v2/transactions/MARKET/``, which come newest first."""

    tid: Whole
    price: str
    amount: str
    date: Whole
    """In seconds."""
    type: Literal["0", "1"]
    """Of the taker: 0 buy, 1 sell."""


class _LiveTrade(Struct, frozen=True, gc=False):
    id: int
    price_str: str
    amount_str: str
    microtimestamp: Whole
    type: Literal[0, 1]


class _LiveFrame(Struct, frozen=True, gc=False):
    data: _LiveTrade


class _BookFrame(Struct, frozen=True, gc=False):
    data: Book


MARKETS: Final = msgspec.json.Decoder(list[MarketRow])
BOOK: Final = msgspec.json.Decoder(Book)
TRANSACTIONS: Final = msgspec.json.Decoder(list[TransactionRow])
_LIVE_FRAME: Final = msgspec.json.Decoder(_LiveFrame)
_BOOK_FRAME: Final = msgspec.json.Decoder(_BookFrame)

_SIDES: Final[dict[str, Side]] = {"0": "buy", "1": "sell"}


def markets(rows: list[MarketRow]) -> list[Market]:
    """Every spot market; the same list has perpetuals."""
    return [_market(row) for row in rows if row.market_type == "SPOT"]


def depth(book: Book) -> Depth:
    """The whole book: no size can be asked for."""
    return Depth(bids=book.bids, asks=book.asks, last_update_id=book.micros, timestamp=book.millis)


def delta(book: Book, previous: int) -> DepthDelta:
    """Changed levels. Frames don't say what they follow on: ``previous`` is the one that came before."""
    return DepthDelta(bids=book.bids, asks=book.asks, previous=previous, sequence=book.micros, timestamp=book.millis)


def trades(rows: list[TransactionRow]) -> list[Trade]:
    """Trades, oldest first."""
    return [
        Trade(
            id=row.tid,
            price=row.price,
            qty=row.amount,
            time=int(row.date) * 1000,
            taker_side=_SIDES[row.type],
        )
        for row in reversed(rows)
    ]


def trade_frame(frame: bytes) -> Trade:
    """A frame of ``live_trades_MARKET``."""
    data = _LIVE_FRAME.decode(frame).data
    micros = int(data.microtimestamp)
    return Trade(
        id=str(data.id),
        price=data.price_str,
        qty=data.amount_str,
        time=micros // 1000,
        time_ns=micros * 1000,
        taker_side=_SIDES[str(data.type)],
    )


def book_frame(frame: bytes) -> Book:
    """A frame of ``diff_order_book_MARKET``."""
    return _BOOK_FRAME.decode(frame).data


def _market(row: MarketRow) -> Market:
    base, quote = row.base_currency.upper(), row.counter_currency.upper()
    return Market(
        symbol=f"{base}/{quote}",
        id=row.market_symbol,
        base=base,
        quote=quote,
        tick_size=_unit(row.counter_decimals),
        step_size=_unit(row.base_decimals),
        min_amount=_rule(row.minimum_order_amount),
        max_amount=_rule(row.maximum_order_amount),
        min_notional=_rule(row.minimum_order_value),
        active=row.trading == "Enabled",
    )


def _unit(decimals: int) -> str:
    return f"0.{'0' * (decimals - 1)}1" if decimals > 0 else "1"


def _rule(text: str | None) -> str:
    return "" if text is None or is_zero(text) else text
