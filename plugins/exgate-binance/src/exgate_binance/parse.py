"""Binance's JSON -> ExGate's values: pure, one typed decode per answer or frame, every digit as it was sent.

Shapes: rest-api.md and web-socket-streams.md of binance/binance-spot-api-docs, read at 2026-07-21 (sections named at
each function). Prices and amounts are JSON strings throughout; ids and times are integers.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct, field

from exgate_core.models import Depth, Level, Market, Trade

from .counting import RateLimit


class RestDepth(Struct, frozen=True, gc=False):
    """An answer of ``GET /api/v3/depth``."""

    lastUpdateId: int
    bids: list[Level]
    asks: list[Level]


class RestTrade(Struct, frozen=True, gc=False):
    """One row of ``GET /api/v3/trades`` and ``/api/v3/historicalTrades``."""

    id: int
    price: str
    qty: str
    time: int
    isBuyerMaker: bool
    quoteQty: str = ""


class AggregateTrade(Struct, frozen=True, gc=False):
    """One row of ``GET /api/v3/aggTrades``, and the data of ``<symbol>@aggTrade``."""

    a: int
    p: str
    q: str
    T: int
    m: bool
    last: int = field(name="l")
    """The last raw trade in it."""


class DepthEvent(Struct, frozen=True, gc=False):
    """The data of ``<symbol>@depth@100ms``."""

    E: int
    U: int
    u: int
    b: list[Level]
    a: list[Level]


class _RawTrade(Struct, frozen=True, gc=False):
    t: int
    p: str
    q: str
    T: int
    m: bool


class _RawFrame(Struct, frozen=True, gc=False):
    data: _RawTrade


class _AggregateFrame(Struct, frozen=True, gc=False):
    data: AggregateTrade


class _DepthFrame(Struct, frozen=True, gc=False):
    data: DepthEvent


class _Filter(Struct, frozen=True, rename="camel", gc=False):
    filter_type: str
    tick_size: str = ""
    step_size: str = ""
    min_qty: str = ""
    max_qty: str = ""
    min_notional: str = ""


class _Symbol(Struct, frozen=True, rename="camel", gc=False):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter]
    is_spot_trading_allowed: bool


class ExchangeInfo(Struct, frozen=True, rename="camel"):
    """An answer of ``GET /api/v3/exchangeInfo``."""

    symbols: list[Raw]
    """Each still to be read: ``markets`` does it one by one, so that thousands of filters never exist at once."""
    rate_limits: list[RateLimit] = []


class _Error(Struct, frozen=True):
    code: int
    msg: str


DEPTH = msgspec.json.Decoder(RestDepth)
TRADES = msgspec.json.Decoder(list[RestTrade])
AGGREGATES = msgspec.json.Decoder(list[AggregateTrade])
EXCHANGE_INFO = msgspec.json.Decoder(ExchangeInfo)
_SYMBOL = msgspec.json.Decoder(_Symbol).decode
_ERROR = msgspec.json.Decoder(_Error)
_RAW_FRAME = msgspec.json.Decoder(_RawFrame).decode
_AGGREGATE_FRAME = msgspec.json.Decoder(_AggregateFrame).decode
_DEPTH_FRAME = msgspec.json.Decoder(_DepthFrame).decode


def markets(info: ExchangeInfo) -> list[Market]:
    """Every spot market ("Exchange information"; filters.md: PRICE_FILTER, LOT_SIZE, NOTIONAL, MIN_NOTIONAL).

    Raises msgspec.MsgspecError where one can't be read.
    """
    none = _Filter("")
    kept: dict[str, str] = {}
    same = kept.setdefault
    symbols = map(_SYMBOL, info.symbols)
    return [_market(symbol, none, same) for symbol in symbols if symbol.is_spot_trading_allowed]


def _market(symbol: _Symbol, none: _Filter, same: Callable[[str, str], str]) -> Market:
    # ``same``: thousands of markets have the same few steps, which are kept once
    filters = {rule.filter_type: rule for rule in symbol.filters}
    lot = filters.get("LOT_SIZE", none)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL", none)
    tick = filters.get("PRICE_FILTER", none).tick_size
    return Market(
        symbol=f"{symbol.base_asset}/{symbol.quote_asset}",
        id=symbol.symbol,
        base=symbol.base_asset,
        quote=same(symbol.quote_asset, symbol.quote_asset),
        tick_size=same(tick, tick),
        step_size=same(lot.step_size, lot.step_size),
        min_amount=same(lot.min_qty, lot.min_qty),
        max_amount=same(lot.max_qty, lot.max_qty),
        min_notional=same(notional.min_notional, notional.min_notional),
        active=symbol.status == "TRADING",
    )


def depth(book: RestDepth) -> Depth:
    """A book ("Order book"). The exchange sends no time with it."""
    return Depth(bids=book.bids, asks=book.asks, last_update_id=book.lastUpdateId)


def trades(rows: list[RestTrade]) -> list[Trade]:
    """Raw trades, oldest first as sent ("Recent trades list", "Old trade lookup")."""
    return [
        Trade(
            id=str(row.id),
            price=row.price,
            qty=row.qty,
            time=row.time,
            taker_side="sell" if row.isBuyerMaker else "buy",
            quote_qty=row.quoteQty,
        )
        for row in rows
    ]


def aggregate_trades(rows: list[AggregateTrade]) -> list[Trade]:
    """Aggregate trades, oldest first as sent ("Compressed/Aggregate trades list").

    Rows that the exchange itself marked as invalid doubles (last trade id -1) are no trades and left out.
    """
    return [_aggregate(row) for row in rows if row.last != -1]


def _aggregate(row: AggregateTrade) -> Trade:
    return Trade(id=str(row.a), price=row.p, qty=row.q, time=row.T, taker_side="sell" if row.m else "buy")


def raw_trade_frame(frame: bytes) -> Trade:
    """A frame of ``<symbol>@trade`` ("Trade Streams")."""
    data = _RAW_FRAME(frame).data
    return Trade(id=str(data.t), price=data.p, qty=data.q, time=data.T, taker_side="sell" if data.m else "buy")


def aggregate_trade_frame(frame: bytes) -> Trade:
    """A frame of ``<symbol>@aggTrade`` ("Aggregate Trade Streams")."""
    return _aggregate(_AGGREGATE_FRAME(frame).data)


def depth_frame(frame: bytes) -> DepthEvent:
    """A frame of ``<symbol>@depth@100ms`` ("Diff. Depth Stream")."""
    return _DEPTH_FRAME(frame).data


def error(body: bytes) -> tuple[int, str]:
    """The code and message of an error answer ("Error Codes"); (0, "") if it is none."""
    try:
        found = _ERROR.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0, ""
    return found.code, found.msg


def words(body: bytes) -> str:
    """The code and message as one text; empty if it is none."""
    code, text = error(body)
    return f"{code} {text}" if code else ""
