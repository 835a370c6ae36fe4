"""The most that one order may move, by asset. An order that can't be proven to keep to every cap is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import numbers
from .errors import PermissionDenied
from .models import Freshness, Market
from .requests import OPTIONS, PlaceBody

_NOTHING = "Nothing was sent."
_PROVABLE = "a limit order by amount can be: it spends at most its limit"


async def hold_to(caps: Mapping[str, str], entry: Any, market: Market, body: PlaceBody) -> None:
    """Refuse an order that may move more of a capped asset than its cap. Raises PermissionDenied, reason ORDER_CAP.

    A number that is none is left to the checks that come next, which name it.
    """
    if not caps or not _are_numbers(body):
        return
    if body.options.get("round"):
        raise _refused("options.round may raise an amount above the cap of this token; send an amount on the grid.")
    capped = [asset for asset in (market.base, market.quote) if asset in caps]
    if not capped:
        raise _refused(f"this token is capped in {', '.join(sorted(caps))}, which {market.symbol} doesn't trade.")
    own = sorted(body.options.keys() - set(OPTIONS))
    if own and caps.keys() != {market.base}:
        # What an exchange's own option changes, nobody here knows: the price, the moment, the asset that pays.
        raise _refused(f"what options.{own[0][:40]} changes can't be held to the caps of this token; leave it out.")
    for asset in capped:
        most = _base(body) if asset == market.base else await _quote(entry, market, body)
        if not most:
            raise _refused(f"how much {asset} the order moves can't be held to the cap of this token; {_PROVABLE}.")
        if numbers.compare(most, caps[asset]) > 0:
            raise _refused(f"the order moves {most} {asset}; this token may move {caps[asset]} at once.")


def _are_numbers(body: PlaceBody) -> bool:
    texts = (body.price, body.amount, body.options.get("quote_amount", ""))
    return all(numbers.is_decimal(text) for text in texts if text)


def _base(body: PlaceBody) -> str:
    """An upper bound of the base asset that the order moves; empty where there is none, as with a quote amount."""
    return "" if body.options.get("quote_amount") else body.amount


async def _quote(entry: Any, market: Market, body: PlaceBody) -> str:
    """An upper bound of the quote asset that the order moves; empty where there is none.

    A buy never pays more than its limit. A sell gets at least its limit and at most the best bid, so that a low limit
    doesn't slip a large sale under the cap; what the best bid is when a stop sets a sell off, nobody knows.
    """
    if body.options.get("quote_amount"):
        return body.options["quote_amount"]
    limit = body.price if body.type.lower() == "limit" else ""
    if body.side.lower() == "buy":
        return numbers.product(limit, body.amount) if limit and body.amount else ""
    if body.options.get("stop_price") or not body.amount:
        return ""
    bids = (await entry.depth(market, 1, Freshness(local=True))).value.bids
    prices = [price for price in (limit, bids[0][0] if bids else "") if price]
    if not prices:
        return ""
    best = prices[0] if len(prices) == 1 or numbers.compare(prices[0], prices[1]) >= 0 else prices[1]
    return numbers.product(best, body.amount)


def _refused(why: str) -> PermissionDenied:
    return PermissionDenied(f"{why} {_NOTHING}", reason="ORDER_CAP", metadata={"outcome": "refused"})
