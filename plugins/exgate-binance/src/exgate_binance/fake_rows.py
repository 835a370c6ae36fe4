"""Values as the exchange writes them: market lists, trades, changes of books. Serves ``fake`` only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from exgate_testing.fakes import OwnTrade

from exgate_core.models import DepthDelta, Market, Order, Trade

from .fake_rules import TYPES

_STATUSES: Final = {
    "open": "NEW",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "rejected": "REJECTED",
    "expired": "EXPIRED",
}


def market_of(base: str, quote: str, tick: str, step: str, least: str) -> Market:
    """A market whose name on the exchange is both assets together."""
    return Market(
        symbol=f"{base}/{quote}",
        id=f"{base}{quote}",
        base=base,
        quote=quote,
        tick_size=tick,
        step_size=step,
        min_amount=step,
        max_amount="9000000.00000000",
        min_notional=least,
    )


def listed(market: Market) -> dict[str, Any]:
    """A market as ``GET /api/v3/exchangeInfo`` lists it."""
    filters: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": market.tick_size,
            "maxPrice": "1000000.00000000",
            "tickSize": market.tick_size,
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": market.min_amount,
            "maxQty": market.max_amount,
            "stepSize": market.step_size,
        },
        # one or the other; both are minima of price times quantity (filters.md "NOTIONAL", "MIN_NOTIONAL")
        {
            "filterType": "MIN_NOTIONAL" if market.quote == "BTC" else "NOTIONAL",
            "minNotional": market.min_notional,
            "applyMinToMarket": True,
        },
    ]
    return {
        "symbol": market.id,
        "status": "TRADING" if market.active else "BREAK",
        "baseAsset": market.base,
        "quoteAsset": market.quote,
        "orderTypes": sorted(TYPES),
        "icebergAllowed": True,
        "isSpotTradingAllowed": True,
        "filters": filters,
    }


def trade_row(trade: Trade) -> dict[str, Any]:
    """A row of ``trades`` and ``historicalTrades``."""
    return {
        "id": int(trade.id),
        "price": trade.price,
        "qty": trade.qty,
        "quoteQty": trade.quote_qty,
        "time": trade.time,
        "isBuyerMaker": trade.taker_side == "sell",
        "isBestMatch": True,
    }


def trade_event(trade: Trade) -> dict[str, Any]:
    """The data of ``<symbol>@trade``."""
    maker = trade.taker_side == "sell"
    return {"t": int(trade.id), "p": trade.price, "q": trade.qty, "T": trade.time, "m": maker, "M": True}


def aggregate_row(trade: Trade, apart: int) -> dict[str, Any]:
    """A row of ``aggTrades``, and the data of its stream: here each trade is one by itself. ``apart``: how far the ids
    of aggregates are from those of trades."""
    number, maker = int(trade.id), trade.taker_side == "sell"
    fields = {"a": number - apart, "p": trade.price, "q": trade.qty, "f": number, "l": number}
    return {**fields, "T": trade.time, "m": maker, "M": True}


def aggregate_rows(trades: Sequence[Trade], apart: int) -> list[dict[str, Any]]:
    """An answer of ``aggTrades``, with one of the doubles that the exchange has marked as invalid in its midst."""
    rows = [aggregate_row(trade, apart) for trade in trades]
    return [*rows[:1], *({**row, "p": "0", "q": "0", "f": -1, "l": -1} for row in rows[:1]), *rows[1:]]


def book_event(delta: DepthDelta) -> dict[str, Any]:
    """The data of ``<symbol>@depth@100ms``."""
    return {"U": delta.previous + 1, "u": delta.sequence, "b": delta.bids, "a": delta.asks}


def order_row(order: Order, market_id: str, kind: str, stop: str) -> dict[str, Any]:
    """A row of ``order``, ``openOrders`` and ``allOrders``."""
    return {
        "symbol": market_id,
        "orderId": int(order.order_id),
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "price": order.price if order.type == "limit" else "0.00000000",
        "origQty": order.amount,
        "executedQty": order.filled,
        "status": _STATUSES[order.status],
        "timeInForce": "GTC",
        "type": kind,
        "side": order.side.upper(),
        "stopPrice": stop,
        "time": order.time,
        "updateTime": order.time,
        "isWorking": True,
        "selfTradePreventionMode": "NONE",
    }


def fill_row(fill: OwnTrade) -> dict[str, Any]:
    """A row of ``myTrades``."""
    return {
        "symbol": fill.symbol.replace("/", ""),
        "id": int(fill.trade_id),
        "orderId": int(fill.order_id),
        "orderListId": -1,
        "price": fill.price,
        "qty": fill.qty,
        "quoteQty": fill.quote_qty,
        "time": fill.time,
        "isBuyer": fill.side == "buy",
        "isMaker": fill.maker,
        "isBestMatch": True,
    }
