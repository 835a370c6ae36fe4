"""What cases say when something isn't as it should be: always both sides, in words."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from exgate_core.models import Depth, Order, Trade

from .door import Answered


def expect(found: object, wanted: object, what: str) -> None:
    """Equal, or AssertionError."""
    if found != wanted:
        raise AssertionError(f"{what}: {found!r} instead of {wanted!r}")


def hold(condition: object, what: str) -> None:
    """True, or AssertionError."""
    if not condition:
        raise AssertionError(what)


def ok(answer: Answered, what: str) -> Any:
    """The JSON of a 200."""
    if answer.status != 200:
        raise AssertionError(f"{what}: {answer!r} instead of a 200")
    return answer.json


def refused(answer: Answered, what: str, statuses: Collection[int] = (400, 404)) -> None:
    """A Status that says no, with one of these HTTP statuses."""
    if answer.status not in statuses:
        raise AssertionError(f"{what}: {answer!r} instead of one of {sorted(statuses)}")
    status_body(answer)


def status_body(answer: Answered) -> None:
    """The body is a google.rpc.Status with the seed's three fields."""
    keys(answer.json, {"code": int, "message": str, "details": list}, "an error's body")
    for detail in answer.json["details"]:
        keys(detail, {"type_url": str, "value": str}, "a detail")
        base64.b64decode(detail["value"], validate=True)


def keys(found: Any, wanted: Mapping[str, type], what: str) -> None:
    """Exactly these keys with values of exactly these types."""
    hold(isinstance(found, dict), f"{what}: {found!r} is no object")
    expect(sorted(found), sorted(wanted), f"the fields of {what}")
    for name, kind in wanted.items():
        hold(type(found[name]) is kind, f"{what}: {name} = {found[name]!r} is no {kind.__name__}")


def same_number(found: str, wanted: str, what: str) -> None:
    """Equal as numbers."""
    try:
        equal = Decimal(found) == Decimal(wanted)
    except ArithmeticError:
        equal = False
    hold(equal, f"{what}: {found!r} instead of {wanted!r}")


def levels(found: list[dict[str, str]], wanted: Any, what: str) -> None:
    """The levels of one side, as numbers, best first."""
    expect(len(found), len(wanted), f"the number of {what}")
    for row, (price, amount) in zip(found, wanted, strict=True):
        keys(row, {"price": str, "amount": str}, f"a level of {what}")
        same_number(row["price"], price, f"a price of {what}")
        same_number(row["amount"], amount, f"the amount of {what} at {price}")


def book(found: dict[str, Any], wanted: Depth, what: str) -> None:
    """An answer to depth, against the exchange's own book."""
    levels(found["bid_list"][0]["bid"], wanted.bids, f"the bids of {what}")
    levels(found["ask_list"][0]["bid"], wanted.asks, f"the asks of {what}")


def trade(found: dict[str, Any], wanted: Trade, taker_known: bool, what: str) -> None:
    """One trade of an answer or a frame, against the exchange's own."""
    for name, value in (("price", wanted.price), ("qty", wanted.qty), ("quoteQty", wanted.quote_qty)):
        same_number(found[name], value, f"{name} of {what}")
    expect(found["time"], wanted.time, f"time of {what}")
    maker = taker_known and wanted.taker_side == "sell"
    expect(found["isBuyerMaker"], maker, f"isBuyerMaker of {what} (a {wanted.taker_side}er came)")


def verbatim(texts: Collection[str], written: Collection[str], what: str) -> None:
    """Every number stands, digit for digit, in what the exchange wrote."""
    strange = sorted(set(texts) - set(written))
    hold(not strange, f"{what}: the exchange never wrote {strange[:3]} so")


def order(found: Mapping[str, Any], wanted: Order, what: str) -> None:
    """An order as the gateway tells it with every field, against the exchange's own."""
    for name in ("symbol", "side", "type"):
        expect(found[name], getattr(wanted, name), f"{name} of {what}")
    for name in ("price", "amount"):
        same_number(found[name], getattr(wanted, name), f"{name} of {what}")
    if found["filled"] or wanted.status != "open":
        same_number(found["filled"] or "0", wanted.filled, f"filled of {what}")
