"""The order to which an account's own trades belong, where an exchange shows no closed orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from exgate_core.models import Order
from exgate_core.numbers import plain

from .exact import text
from .recovery import OWN_TRADES

__all__ = ["order_in"]


def order_in(exchange_id: str, trades: Sequence[Mapping[str, Any]], sent_as: str, client_order_id: str) -> Order | None:
    """What the trades of the order that was sent under that client id say of it: at least so much was executed."""
    by, named = OWN_TRADES[exchange_id]
    mine = [trade for trade in trades if str((trade.get("info") or {}).get(by) or "") == sent_as]
    if not mine:
        return None
    first = mine[0]
    filled = plain(str(sum(Decimal(text(trade["amount"])) for trade in mine)))
    return Order(
        order_id=str(first["info"][named]),
        symbol=str(first["symbol"]),
        side=first["side"],
        type=str(first.get("type") or "limit"),
        price="0",
        amount=filled,
        status="partially_filled",
        filled=filled,
        client_order_id=client_order_id,
        time=int(first.get("timestamp") or 0),
    )
