"""An order, a cancel or a search as arguments of ccxt's unified calls. The caller's options never become ``params``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from exgate_core.models import Market, OrderRequest

from .intents import Intent
from .wordings import id_forms

__all__ = ["Created", "client_id_in", "client_id_out", "created", "intent_of"]

_CLIENT_ID: Final[Mapping[str, str]] = {"coinbase": "client_order_id", "kraken": "clientOrderId"}
_QUOTE_AMOUNT: Final[Mapping[str, Mapping[str, str]]] = {
    name: {"tgtCcy": "quote_ccy"} for name in ("okx", "okxus", "myokx")
}
"""What says "this amount is one of the quote asset", where ``cost`` doesn't."""
_UUIDS: Final = frozenset({"coinbaseexchange"})


class Created(Struct, frozen=True):
    """The arguments of ``create_order``."""

    symbol: str
    type: str
    side: str
    amount: str
    price: str | None
    params: dict[str, Any]


def created(exchange_id: str, order: OrderRequest) -> Created:
    """The order for ccxt; decimal strings reach the wire as they are."""
    params: dict[str, Any] = {}
    if order.client_order_id:
        params[_CLIENT_ID.get(exchange_id, "clientOrderId")] = client_id_out(exchange_id, order.client_order_id)
    if order.post_only:
        params["postOnly"] = True
    if order.time_in_force != "GTC":
        params["timeInForce"] = order.time_in_force
    if order.quote_amount:
        params |= _QUOTE_AMOUNT.get(exchange_id, {"cost": order.quote_amount})
    return Created(
        order.market.symbol, order.type, order.side, order.amount or order.quote_amount, order.price or None, params
    )


def client_id_out(exchange_id: str, client_order_id: str) -> str:
    """A client id as the exchange spells it: where it takes UUIDs only, our 32 digits get their hyphens."""
    text = client_order_id
    if exchange_id not in _UUIDS or len(text) != 32:
        return text
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def client_id_in(exchange_id: str, text: str) -> str:
    """The exchange's spelling of a client id as ours."""
    return text.replace("-", "") if exchange_id in _UUIDS else text


def intent_of(
    operation: Any,
    exchange_id: str,
    market: Market | None = None,
    native: Mapping[str, Any] | None = None,
    *,
    order: OrderRequest | None = None,
    order_id: str = "",
    client_order_id: str = "",
) -> Intent:
    """The intent of a call; ``native`` is ccxt's own entry of the market."""
    own = native or {}
    base_ids = _texts(own.get("baseId"), market and market.base)
    quote_ids = _texts(own.get("quoteId"), market and market.quote)
    ids = _texts(
        market and market.id, own.get("id"), own.get("lowercaseId"), own.get("uppercaseId"), own.get("numericId")
    )
    if base_ids and quote_ids:
        ids += id_forms(exchange_id, base_ids[0], quote_ids[0])
    return Intent(
        operation,
        market=market,
        ids=ids,
        base_ids=base_ids,
        quote_ids=quote_ids,
        order=order,
        order_id=order_id,
        client_order_id=client_id_out(exchange_id, client_order_id),
    )


def _texts(*values: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value not in (None, "")))
