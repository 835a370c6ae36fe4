"""What ccxt makes of private answers -> the gateway's values, each number as its exchange wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, cast

from exgate_core.models import Balance, Order, OrderStatus, Side
from exgate_core.numbers import compare, plain, subtract

from .arguments import client_id_in
from .exact import text, whole
from .sent import plain_key
from .vocabulary import POST_ONLY

__all__ = ["balances_of", "is_over", "order_of"]

_STATUSES: Final[Mapping[str, OrderStatus]] = {
    "open": "open",
    "closed": "filled",
    "canceled": "canceled",
    "canceling": "open",
    "expired": "expired",
    "rejected": "rejected",
}
_WORDS: Final[Mapping[tuple[str, ...], OrderStatus]] = {
    ("pend", "cancelling", "canceling", "not_trigger", "unfill", "untrigger"): "open",
    ("cancel", "deactivat", "deleted", "revoked", "removed", "refund"): "canceled",
    ("expire",): "expired",
    ("reject", "fail", "error", "invalid"): "rejected",
    ("partial", "part_", "open", "new", "active", "live", "accept", "placed", "wait", "watch", "book"): "open",
    ("fill", "done", "complete", "closed", "finish", "executed", "settled"): "filled",
}
"""Parts of exchanges' own words for what became of an order, in the order in which they are looked for."""
_OVER: Final[frozenset[OrderStatus]] = frozenset({"filled", "canceled", "expired", "rejected"})
_ENDS: Final = ("expired", "rejected")
_PART_CANCELED: Final = re.compile("partial(ly)?[_ -]?cancel")
_UNDER_WAY: Final = re.compile(r"pend\w*cancel|cancel\w*pend|cancell?ing")
_PRICES: Final = ("price", "limitprice", "px", "rate")
_FILLED: Final = (
    *("filled", "filledamount", "filledsize", "filledqty", "filledquantity", "filledvolume", "fieldamount"),
    *("executedqty", "executedamount", "executedvolume", "executedquantity", "cumexecqty", "cumulativequantity"),
    *("volexec", "accfillsz", "dealsize", "dealstock", "dealamount", "basevolume"),
)
_AMOUNTS: Final = ("amount", "origqty", "vol", "sz", "size", "quantity", "qty", "volume", "orderqty", "basesize")
_TYPE_KEYS: Final = ("ordertype", "ordtype", "type")
_MANNERS: Final = (*_TYPE_KEYS, "timeinforce", "tif", "force", "execinst", "oflags")
_STATUS_KEYS: Final = ("status", "state", "orderstatus", "orderstate", "ordstatus")
_TRIGGERS: Final = ("triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice")
_NOT_BALANCES: Final = frozenset({"info", "timestamp", "datetime", "free", "used", "total", "debt"})
_OKX: Final = frozenset({"okx", "okxus", "myokx"})


def is_over(order: Order) -> bool:
    """Whether nothing of an order can be traded any more. One in a state with a new name is taken for open."""
    return order.status in _OVER


def balances_of(exchange_id: str, answer: Mapping[str, Any], code_of: Any) -> list[Balance]:
    """Every row; ``code_of(native)`` gives the unified code of an asset."""
    if exchange_id in _OKX:
        # ccxt's ``free`` is the margin equity; what can be spent is availBal.
        rows = answer["info"]["data"][0]["details"]
        return [Balance(asset=code_of(row["ccy"]), available=row["availBal"], frozen=row["frozenBal"]) for row in rows]
    return [
        _balance(asset, row) for asset, row in answer.items() if asset not in _NOT_BALANCES and isinstance(row, dict)
    ]


def _balance(asset: str, row: Mapping[str, Any]) -> Balance:
    free, used, total = (text(row.get(name)) for name in ("free", "used", "total"))
    if not free and total and used:
        free = subtract(total, used)
    if not used and total and free:
        used = subtract(total, free)
    if not asset or not (free or total or used):
        raise ValueError(f"a balance without an asset or a number: {asset}")
    return Balance(asset=asset, available=free or total, frozen=used or "0")


def order_of(exchange_id: str, answer: Mapping[str, Any]) -> Order:
    """One order. Raises ValueError for what is none."""
    info = answer.get("info") or {}
    leaves = list(_leaves(info))
    kind = str(answer.get("type") or "").lower() or _native_type(leaves)
    trigger = next((_number(answer[name]) for name in _TRIGGERS if answer.get(name) is not None), "")
    if _more(trigger):
        kind = _native_type(leaves) or kind  # ccxt calls what a conditional order becomes its type
    price, amount = _number(answer.get("price")), _number(answer.get("amount"))
    filled = _number(answer.get("filled"))
    if kind not in ("limit", "market") and not _more(price):
        price = trigger
    order_id, side = str(answer.get("id") or ""), str(answer.get("side") or "").lower()
    if not order_id or side not in ("buy", "sell"):
        raise ValueError(f"{exchange_id} shows an order without an id or a side")
    bought = (kind, side) == ("market", "buy")
    return Order(
        order_id=order_id,
        symbol=str(answer.get("symbol") or ""),
        side=cast(Side, side),
        type=kind.replace("_", "-") or "limit",
        price="0" if kind == "market" or not _more(price) else _written(price, leaves, _PRICES),
        amount=_ordered(amount, leaves, bought=bought),
        status=_status(
            [answer.get("status"), *(value for key, value in leaves if key in _STATUS_KEYS)],
            filled,
            "" if bought else amount,
        ),
        filled=_written(filled, leaves, _FILLED) if filled else "",
        remaining=_number(answer.get("remaining")),
        client_order_id=client_id_in(exchange_id, str(answer.get("clientOrderId") or "")),
        time=whole(answer.get("timestamp")),
        post_only=answer.get("postOnly") is True or any(map(_only_rests, leaves)),
        native_symbol=_native_symbol(leaves),
    )


def _status(said: Sequence[Any], filled: str, amount: str) -> OrderStatus | str:
    """``said``: by ccxt, then in the exchange's own words; ``amount``: what is filled when all of it is.

    A word that nobody knows is handed on as it is. ``amount`` is empty where it may be one of the quote asset. Raises
    ValueError where ccxt gives no word.
    """
    own = [str(word).lower() for word in said[1:]]
    known = "open" if said[0] is None else _STATUSES.get(str(said[0]))
    status = known or next(filter(None, map(_in_words, [str(said[0]).lower(), *own])), None)
    if status is None:
        if not isinstance(said[0], str):
            raise ValueError(f"an order's status is {str(said[0])[:40]!r}, which is no word")
        return said[0]
    short = bool(filled) and _more(amount) and compare(filled, amount) < 0
    status = _of_exchange(status, own, short)
    return "partially_filled" if status == "open" and _more(filled) else status


def _of_exchange(status: OrderStatus, own: Sequence[str], short: bool) -> OrderStatus:
    """A status of ccxt in the exchange's own words, where ccxt knows fewer; ``short``: not all is filled.

    A part that was filled and a rest that was cancelled has no word of its own in ccxt: it is closed, or open.
    """
    if status == "filled" and short:
        word: OrderStatus = next(filter(None, map(_in_words, own)), "canceled")
        return word if word in ("open", "filled") else "canceled"
    if status == "open" and any(_PART_CANCELED.search(word) for word in own):
        return "canceled"
    if status == "canceled":
        if any(_UNDER_WAY.search(word) for word in own):
            return "open"  # the cancel is taken in, not done
        return next((_STATUSES[word] for word in own if word in _ENDS), status)
    return status


def _in_words(said: str) -> OrderStatus | None:
    """A status that ccxt hands on because it doesn't know it."""
    return next((status for words, status in _WORDS.items() if any(word in said for word in words)), None)


def _only_rests(leaf: tuple[str, str]) -> bool:
    word = leaf[1].lower().replace("-", "").replace("_", "")
    return leaf[0] in _MANNERS and (word in POST_ONLY or word.endswith(("limitmaker", "postonly")))


def _number(value: object) -> str:
    return text(value) if value is not None else ""


def _more(number: str) -> bool:
    return bool(number.strip("0."))


def _written(number: str, leaves: list[tuple[str, str]], keys: tuple[str, ...]) -> str:
    """The number as it stands in the answer: ccxt's arithmetic drops trailing zeros."""
    sizes = ((key, found.removeprefix("-")) for key, found in leaves)  # Bitfinex sells a negative amount
    equal = [(key, found) for key, found in sizes if _same(found, number)]
    best = next((found for key, found in equal if key in keys), "")
    return plain(best or (equal[0][1] if equal and _more(number) else number))


def _ordered(amount: str, leaves: list[tuple[str, str]], *, bought: bool) -> str:
    """The amount that was ordered. For a market buy by what to spend ccxt gives what was filled, or a quotient."""
    said = any(_same(found.removeprefix("-"), amount) for key, found in leaves if key in _AMOUNTS or not key)
    return _written(amount, leaves, _AMOUNTS) if _more(amount) and (said or not bought) else "0"


def _same(found: str, number: str) -> bool:
    try:
        return bool(found) and found[0].isdigit() and Decimal(found) == Decimal(number)
    except InvalidOperation:
        return False


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield plain_key(key), str(value)


def _native_type(leaves: list[tuple[str, str]]) -> str:
    named = (value.lower() for wanted in _TYPE_KEYS for key, value in leaves if key == wanted)
    return next((value for value in named if value not in ("buy", "sell", "")), "")


def _native_symbol(leaves: list[tuple[str, str]]) -> str:
    return next((value for key, value in leaves if key in ("symbol", "instid", "pair", "productid", "market")), "")
