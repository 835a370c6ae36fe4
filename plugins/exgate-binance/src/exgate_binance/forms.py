"""An order as the parameters of ``POST /api/v3/order`` (rest-api.md "New order (TRADE)", 2026-07-21). Pure."""

from __future__ import annotations

import re

from exgate_core.errors import Refused
from exgate_core.models import OrderRequest

from .options import TRIGGER

_ID = re.compile(r"[1-9][0-9]{0,18}")
_TIMED = ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")


def placing(order: OrderRequest) -> dict[str, str]:
    """Every parameter but those of the signature. Raises Refused where a word of the order would be lost.

    ``ACK`` is the shortest answer; it holds the id, and nothing of the rest would be told to anybody.
    """
    kind = order_type(order)
    form = {"symbol": order.market.id, "side": order.side.upper(), "type": kind}
    if kind in _TIMED:
        form["timeInForce"] = order.time_in_force
    wanted = {
        "quantity": order.amount,
        "quoteOrderQty": order.quote_amount,
        "price": order.price,
        "stopPrice": order.stop_price,
        "newClientOrderId": order.client_order_id,
    }
    form |= {name: text for name, text in wanted.items() if text}
    form |= {name: text for name, text in order.options.items() if name != TRIGGER}
    if "pegOffsetValue" in form:
        form["pegOffsetType"] = "PRICE_LEVEL"
    return form | {"newOrderRespType": "ACK"}


def order_type(order: OrderRequest) -> str:
    """The exchange's name of the order's type. Raises Refused for a combination that it has no type for."""
    limit = order.type == "limit"
    if order.stop_price or "trailingDelta" in order.options:
        if order.post_only:
            raise _impossible("a stop order can't be post_only; leave one of them out")
        return order.options.get(TRIGGER, "stop_loss").upper() + ("_LIMIT" if limit else "")
    if TRIGGER in order.options:
        raise _impossible(f"{TRIGGER} is for orders with stop_price or trailingDelta; add one of them, or leave it out")
    if order.post_only:
        return "LIMIT_MAKER"
    return "LIMIT" if limit else "MARKET"


def naming(order_id: str, client_order_id: str) -> dict[str, str]:
    """The parameter that names one order; by its id alone where that is known, which is faster ("Cancel order")."""
    return {"orderId": order_id} if order_id else {"origClientOrderId": client_order_id}


def is_id(order_id: str) -> bool:
    """Whether this can be an id of an order here: a LONG above zero, of which the exchange reads at most 19 digits."""
    return _ID.fullmatch(order_id) is not None


def _impossible(why: str) -> Refused:
    return Refused(f"it can't be sent as it is: {why}", reason="NOT_SENDABLE")
