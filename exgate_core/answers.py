"""What adapters hand on of an exchange's answers, looked at once for all of them.

Every number is a plain decimal of bounded length and, but for what is available of an asset, not below zero; every
time and sequence fits in 64 bits; every order id is one that callers may send back. A number in another notation is
brought into the plain one. Whatever else there is raises BadAnswer or BadNumber. The numbers of an answer are looked at
all together: nearly always each is as it should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from . import numbers
from .contract import is_order_id
from .models import Balance, Depth, DepthDelta, Level, Market, Order, Trade
from .numbers import BadNumber

_MOST = 1 << 63
_LONGEST_ID = 128
_RULES = ("tick_size", "step_size", "min_amount", "max_amount", "min_notional")


class BadAnswer(ValueError):
    """An answer that can't be true or can't be told."""


def depth(found: Depth) -> Depth:
    """A whole book. Its best bid may equal its best ask, as in auctions, but not be above it."""
    book = book_event(found)
    assert isinstance(book, Depth)
    if book.bids and book.asks and Decimal(book.bids[0][0]) > Decimal(book.asks[0][0]):
        raise BadAnswer(f"bids at {book.bids[0][0]:.40} above asks at {book.asks[0][0]:.40}")
    return book


def book_event(item: Depth | DepthDelta | None) -> Depth | DepthDelta | None:
    """What a stream says of a book. Whether bids and asks cross is for the book itself to see."""
    if item is None:
        return None
    sequence = item.last_update_id if isinstance(item, Depth) else item.sequence
    if (sequence < 0 and isinstance(item, Depth)) or sequence >= _MOST or not 0 <= item.timestamp < _MOST:
        raise BadAnswer("the time or sequence of a book")
    if numbers.all_pairs_plain([*item.bids, *item.asks]):
        return item
    return replace(item, bids=_levels(item.bids), asks=_levels(item.asks))


def trades(found: Sequence[Trade]) -> Sequence[Trade]:
    """Trades, of a stream or of the history."""
    texts: list[str] = []
    for trade in found:
        if not 0 <= trade.time < _MOST or trade.time_ns >= _MOST or len(trade.id) > _LONGEST_ID:
            raise BadAnswer(f"the time or id of trade {trade.id[:40]!r}")
        texts.append(trade.price)
        texts.append(trade.qty)
        if trade.quote_qty:
            texts.append(trade.quote_qty)
    return found if numbers.all_plain(texts) else list(map(_trade, found))


def balances(found: Sequence[Balance]) -> Sequence[Balance]:
    """Balances. What is available may be below zero: a debt."""
    if numbers.all_plain([text for row in found for text in (row.available, row.frozen)]):
        return found
    return [replace(row, available=numbers.plain(row.available), frozen=_amount(row.frozen)) for row in found]


def orders(found: Sequence[Order]) -> Sequence[Order]:
    """Orders. One that can't be told spoils the list: left out, it would be taken for gone."""
    texts: list[str] = []
    for order in found:
        if not is_order_id(order.order_id):
            raise BadAnswer(f"an order with the id {order.order_id[:40]!r}")
        if not 0 <= order.time < _MOST:
            raise BadAnswer(f"the time of order {order.order_id}")
        texts += (order.price, order.amount, order.filled or "0", order.remaining or "0")
    return found if numbers.all_plain(texts) else list(map(_order, found))


def markets(found: Sequence[Market]) -> Sequence[Market]:
    """Markets. Where a rule can't be read no order could be checked by it, so the market takes none: inactive."""
    rules = [getattr(market, name) or "0" for market in found for name in _RULES]
    return found if numbers.all_plain(rules) else list(map(_market, found))


def _market(found: Market) -> Market:
    rules = {name: getattr(found, name) for name in _RULES}
    try:
        return replace(found, **{name: rule and numbers.plain(rule) for name, rule in rules.items()})
    except BadNumber:
        return replace(found, active=False, **dict.fromkeys(_RULES, ""))


def _levels(levels: Sequence[Level]) -> tuple[Level, ...]:
    return tuple((_amount(price), _amount(amount)) for price, amount in levels)


def _trade(trade: Trade) -> Trade:
    quote = trade.quote_qty and _amount(trade.quote_qty)
    return replace(trade, price=_amount(trade.price), qty=_amount(trade.qty), quote_qty=quote)


def _order(order: Order) -> Order:
    return replace(
        order,
        price=_amount(order.price),
        amount=_amount(order.amount),
        filled=order.filled and _amount(order.filled),
        remaining=order.remaining and _amount(order.remaining),
    )


def _amount(text: str) -> str:
    found = numbers.plain(text)
    if found.startswith("-"):
        raise BadAnswer(f"a number below zero: {found[:40]}")
    return found
