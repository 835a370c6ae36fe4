"""ccxt's unified structures -> the gateway's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exgate_core.models import Depth, Level, Side, Trade
from exgate_core.numbers import all_pairs_plain

from .exact import text, whole

__all__ = ["depth_of", "raw_amount", "trade_of", "trades_of"]

_MAKERS_SIDE = frozenset({"coinbase"})
"""Exchanges whose trades carry the side of the maker, which ccxt hands on as if it were the taker's."""

_COMPUTED: Mapping[str, str | int] = {
    "bitfinex": 2,
    "bitso": "amount",
    "btcturk": "amount",
    "gate": "amount",
    "gateeu": "amount",
    "nado": "base_filled",
}
"""Where ccxt takes the absolute value of the amount: the field that holds it, or its place in a list."""

_IDS: Mapping[str, tuple[str, ...]] = {"htx": ("trade-id", "tradeId"), "kucoin": ("tradeId", "sequence")}
"""Where ccxt reads one field as the id of a trade that was asked for, and another one, or none, of a trade of a stream:
the number that both have, under the names that it has there."""

_TIMES: Mapping[str, str] = {"poloniex": "createTime"}
"""Where ccxt takes the time at which a trade was sent: the field with that of the trade."""

_SIDES: Mapping[object, Side] = {"buy": "buy", "sell": "sell"}
_OTHER: Mapping[Side, Side] = {"buy": "sell", "sell": "buy"}


def depth_of(book: Mapping[str, Any]) -> Depth:
    """A unified order book. Raises ValueError or another error of Python where it isn't one."""
    return Depth(
        bids=_levels(book["bids"]),
        asks=_levels(book["asks"]),
        last_update_id=whole(book.get("nonce")),
        timestamp=whole(book.get("timestamp")),
    )


def trades_of(trades: Iterable[Mapping[str, Any]], exchange_id: str) -> list[Trade]:
    """Unified trades, oldest first. Raises ValueError or another error of Python where one isn't a trade."""
    return sorted((trade_of(trade, exchange_id) for trade in trades), key=_age)


def trade_of(trade: Mapping[str, Any], exchange_id: str = "") -> Trade:
    """One unified trade. Raises ValueError where price, amount or time is missing."""
    price, time = text(trade["price"]), _time(trade, exchange_id)
    amount = text(raw_amount(trade, exchange_id) or trade["amount"])
    if not price or not amount or not time:
        raise ValueError("a trade without price, amount or time")
    side = _SIDES.get(trade.get("side"))
    if side is not None and exchange_id in _MAKERS_SIDE:
        side = _OTHER[side]
    return Trade(
        id=_id(trade.get("id"), trade.get("info"), _IDS.get(exchange_id, ())),
        price=price,
        qty=amount,
        time=time,
        taker_side=side,
        quote_qty=_quote(trade.get("info")),
    )


def raw_amount(trade: Mapping[str, Any], exchange_id: str) -> str:
    """The amount as the exchange wrote it, without its sign, where ccxt computes with it and so loses its zeros."""
    key, info = _COMPUTED.get(exchange_id), trade.get("info")
    if isinstance(info, list):
        found = info[key] if isinstance(key, int) and len(info) > key else None
    else:
        found = info.get(key) if key is not None and isinstance(info, Mapping) else None
    return str(found).removeprefix("-") if isinstance(found, str | int) else ""


def _age(trade: Trade) -> tuple[int, int, int, str]:
    """Numeric ids in their own order, which is finer than the time; others by time alone."""
    number = int(trade.id) if trade.id.isascii() and trade.id.isdecimal() else 0
    return (trade.time, len(trade.id) if number else 0, number, "")


def _levels(side: Sequence[Sequence[Any]]) -> list[Level]:
    try:
        sources = [(level[0].source, level[1].source) for level in side]
    except AttributeError:  # a number that ccxt made without us
        sources = []
    if sources and all_pairs_plain(sources):
        return sources
    found = [(text(level[0]), text(level[1])) for level in side]
    if not all(price and amount for price, amount in found):
        raise ValueError("a level without price or amount")
    return found


def _time(trade: Mapping[str, Any], exchange_id: str) -> int:
    key, info = _TIMES.get(exchange_id), trade.get("info")
    own = info.get(key) if key is not None and isinstance(info, Mapping) else None
    return whole(trade["timestamp"] if own is None else own)


def _id(value: object, info: object, keys: tuple[str, ...]) -> str:
    """The exchange's own id; ccxt makes one up of time, price and amount where there is none (MEXC)."""
    own = next((str(info[key]) for key in keys if info.get(key) is not None), "") if isinstance(info, Mapping) else ""
    if own:
        return own
    if value is None:
        return ""
    made = str(value)
    parts = info.values() if isinstance(info, Mapping) else info if isinstance(info, list) else (made,)
    return made if value in parts or made in map(str, parts) else ""


def _quote(info: object) -> str:
    """The exchange's own figure where it sends one as such; ccxt's ``cost`` is computed, or has lost its zeros."""
    sent = info.get("quoteQty") if isinstance(info, Mapping) else None
    return text(sent) if isinstance(sent, str | int) else ""
