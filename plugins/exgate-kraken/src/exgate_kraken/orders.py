"""An order as ExGate checked it -> the fields of ``AddOrder``. Pure.

docs.kraken.com, Spot REST API, "Add Order", read at 2026-08-25 (FOK is among the times in force since then), and
"Spot Client Order Identifiers", read at 2026-05-27. ``userref`` excludes ``cl_ord_id``, which recovery needs;
``leverage`` and ``reduce_only`` are margin; ``close[...]`` would place a second order that nobody wrote down;
``validate`` places none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from exgate_core import numbers
from exgate_core.errors import Refused
from exgate_core.models import ClientIds, Option, OrderRequest

CLIENT_IDS: Final = ClientIds(
    pattern=r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Za-z0-9_.:-]{1,18}", max_length=36
)
"""A UUID with or without dashes, or up to 18 characters of free text."""

OPTIONS: Final[Mapping[str, Option]] = {
    "displayvol": Option(
        description="Show only this much of the order in the book (iceberg); at least 1/15 of the amount.",
        kind="decimal",
    ),
    "expiretm": Option(description="Expire at this Unix time, at most a month ahead (good till date).", kind="integer"),
    "starttm": Option(description="Begin at this Unix time.", kind="integer"),
    "stptype": Option(
        description="What is cancelled when the order would trade with another of the account; default cancel-newest.",
        choices=("cancel-newest", "cancel-oldest", "cancel-both"),
    ),
    "fee": Option(description="Take the fee in base (fcib) or quote (fciq) if possible.", choices=("fcib", "fciq")),
    "trigger": Option(
        description="Which price sets off stop_price or trailing_offset; default last.", choices=("last", "index")
    ),
    "stop_kind": Option(
        description="Whether stop_price lies on the losing (stop-loss, the default) or the winning side.",
        choices=("stop-loss", "take-profit"),
    ),
    "trailing_offset": Option(
        description="A market order that is set off when the price turns back by this much, in quote or as 1.5%."
    ),
}
"""Every further option of a spot order, under Kraken's own name where it has one."""

DEADLINE: Final = 10.0
"""Seconds after which Kraken's engine must not accept an order any more; it takes 2 to 60."""

_OFFSET: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,10})?%?", re.ASCII)


def fields(order: OrderRequest, now: float) -> dict[str, str]:
    """What is sent; ``now`` in seconds since the epoch.

    Raises Refused (BAD_OPTION, AMOUNT_ONLY) for what Kraken doesn't take together.
    """
    _check(order)
    found = {
        "ordertype": _kind(order),
        "type": order.side,
        "volume": order.amount or order.quote_amount,
        "pair": order.market.id,
        "cl_ord_id": order.client_order_id,
        **_prices(order),
        "oflags": _flags(order),
        "timeinforce": _time_in_force(order),
        "deadline": datetime.fromtimestamp(now + DEADLINE, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    passed = ("displayvol", "expiretm", "starttm", "stptype", "trigger")
    found |= {name: order.options[name] for name in passed if name in order.options}
    return {name: value for name, value in found.items() if value}


def _kind(order: OrderRequest) -> str:
    if "trailing_offset" in order.options:
        return "trailing-stop"
    if order.stop_price:
        kind = order.options.get("stop_kind", "stop-loss")
        return f"{kind}-limit" if order.type == "limit" else kind
    return "iceberg" if "displayvol" in order.options else order.type


def _prices(order: OrderRequest) -> dict[str, str]:
    if "trailing_offset" in order.options:
        return {"price": f"+{order.options['trailing_offset']}"}
    if order.stop_price:
        return {"price": order.stop_price, "price2": order.price}
    return {"price": order.price}


def _flags(order: OrderRequest) -> str:
    flags = ["post"] if order.post_only else []
    flags += ["viqc"] if order.quote_amount else []
    return ",".join([*flags, *([order.options["fee"]] if "fee" in order.options else [])])


def _time_in_force(order: OrderRequest) -> str:
    if "expiretm" in order.options:
        return "GTD"
    return order.time_in_force if order.time_in_force != "GTC" else ""


def _check(order: OrderRequest) -> None:
    options, limit = order.options, order.type == "limit"
    trailing, stop, iceberg = "trailing_offset" in options, bool(order.stop_price), "displayvol" in options
    if order.quote_amount and order.side == "sell":
        raise Refused("a market sell takes amount here, not options.quote_amount", reason="AMOUNT_ONLY")
    broken = (
        ("expiretm", "expiretm" in options and (not limit or order.time_in_force != "GTC"), "a limit order that rests"),
        ("displayvol", iceberg and (not limit or stop), "a limit order without stop_price"),
        ("post_only", order.post_only and (stop or iceberg), "an order without stop_price and displayvol"),
        ("trailing_offset", trailing and (limit or stop), "a market order without stop_price"),
        ("quote_amount", bool(order.quote_amount) and (stop or trailing), "an order that is sent at once"),
        ("stop_kind", "stop_kind" in options and not stop, "an order with stop_price"),
        ("trigger", "trigger" in options and not (stop or trailing), "an order with stop_price or trailing_offset"),
    )
    for name, wrong, what in broken:
        if wrong:
            raise Refused(f"options.{name} needs {what}", reason="BAD_OPTION")
    offset = options.get("trailing_offset", "1")
    if not _OFFSET.fullmatch(offset) or numbers.is_zero(offset.rstrip("%")):
        raise Refused(
            'options.trailing_offset must be a number above zero such as "100" or "1.5%"', reason="BAD_OPTION"
        )
