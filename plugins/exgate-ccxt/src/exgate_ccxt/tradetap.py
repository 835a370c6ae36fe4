"""Takes every trade of a stream out of ccxt: at the door of its caches, where none is lost, counted or sorted away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from exgate_core.hookspecs import EmitTrades
from exgate_core.models import Trade

# One book under two names: asked for BTC/USDC, the exchange sends BTC-USD.
_TWINS = {"coinbase": ("/USDC", "/USD")}


class TradeTap:
    """The trades of one market."""

    def __init__(self, exchange_id: str, symbol: str, convert: Callable[[Any], Trade], emit: EmitTrades) -> None:
        self._id = exchange_id
        self._symbols = _names(exchange_id, symbol)
        self._convert = convert
        self._emit = emit
        self._batch: list[Trade] = []
        self.begun = False
        """Whether anything was handed on so far."""

    def attach(self, exchange: Any) -> None:
        """Listen at the caches that the copy will make."""
        exchange.trades = _Caches(self._take)
        exchange.parse_trades_helper = partial(_parse, exchange)

    def read(self, message: Any) -> Any:
        """Frames that ccxt reads less well than they are written."""
        mend = _MENDED.get(self._id)
        return message if mend is None or not isinstance(message, dict) else mend(message)

    def resolved(self, result: Any) -> None:
        """Nothing: trades are taken as they come."""

    def flush(self) -> bool:
        """One batch per frame."""
        if not self._batch:
            return False
        batch, self._batch, self.begun = self._batch, [], True
        if len(batch) > 1 and _moment(batch[0]) > _moment(batch[-1]):
            batch.reverse()  # some exchanges write the newest first
        self._emit(batch)
        return True

    def alive(self) -> None:
        """The stream is alive."""
        self._emit(())

    def _take(self, trade: Any) -> None:
        if trade["symbol"] in self._symbols:
            self._batch.append(self._convert(trade))


def _last_match(message: dict[str, Any]) -> dict[str, Any]:
    # The trade before the subscription comes under a name of its own.
    return {**message, "type": "match"} if message.get("type") == "last_match" else message


def _texts(message: dict[str, Any]) -> dict[str, Any]:
    # Beside the numbers, which have lost their zeros, stand their texts.
    data = message.get("data")
    if not isinstance(data, dict) or "amount_str" not in data or "price_str" not in data:
        return message
    return {**message, "data": {**data, "amount": data["amount_str"], "price": data["price_str"]}}


def _executed(message: dict[str, Any]) -> dict[str, Any]:
    # Beside the time of the trade stands the time of the frame, and ccxt takes that one.
    return {**message, "timestamp": message["trade_timestamp"]} if "trade_timestamp" in message else message


_MENDED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "bitstamp": _texts,
    "coinbaseexchange": _last_match,
    "upbit": _executed,
}


class _Caches(dict[Any, Any]):
    """ccxt's caches by symbol, each with an ``append`` that tells us."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        super().__init__()
        self._take = take

    def __setitem__(self, key: Any, cache: Any) -> None:
        if key not in self or self[key] is not cache:
            for trade in cache:  # some handlers fill a cache before they keep it
                self._take(trade)
            cache.append = partial(self._append, cache.append)
        super().__setitem__(key, cache)

    def _append(self, original: Any, trade: Any) -> None:
        self._take(trade)
        original(trade)


def _names(exchange_id: str, symbol: str) -> frozenset[str]:
    names = {symbol}
    if exchange_id in _TWINS:
        mine, other = _TWINS[exchange_id]
        if symbol.endswith(mine):
            names.add(symbol.removesuffix(mine) + other)
    return frozenset(names)


def _parse(
    exchange: Any,
    is_ws: bool,
    trades: Any,
    market: Any = None,
    since: Any = None,
    limit: Any = None,
    params: Any = None,
) -> Any:
    # ccxt's own sorts by time and then by the text of the id: "10" before "9".
    parse = exchange.parse_ws_trade if is_ws else exchange.parse_trade
    parsed = [exchange.extend(parse(trade, market), params or {}) for trade in exchange.to_array(trades)]
    if len(parsed) > 1 and _age(parsed[0]) > _age(parsed[-1]):
        parsed.reverse()
    symbol = market["symbol"] if market else None
    return exchange.filter_by_symbol_since_limit(parsed, symbol, since, limit)


def _moment(trade: Trade) -> tuple[int, int]:
    return trade.time, int(trade.id) if trade.id.isascii() and trade.id.isdecimal() else 0


def _age(trade: Any) -> tuple[int, int]:
    number = str(trade["id"] or "")
    return trade["timestamp"] or 0, int(number) if number.isascii() and number.isdecimal() else 0
