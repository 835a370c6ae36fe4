"""The most that one order may move, by asset. A cap that an order can't be held to refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import numbers
from .errors import PermissionDenied
from .models import Freshness, Market
from .requests import PlaceBody

_NOTHING = "Nothing was sent."


async def hold_to(caps: Mapping[str, str], entry: Any, market: Market, body: PlaceBody) -> None:
    """Refuse an order above the caps. Raises PermissionDenied, reason ORDER_CAP.

    A number that is none is left to the checks that come next, which name it.
    """
    if not caps or not _are_numbers(body):
        return
    if body.options.get("round"):
        raise _refused("options.round may raise an amount above the cap of this token; send an amount on the grid.")
    moved = await _moved(caps, entry, market, body)
    held = caps.keys() & moved.keys()
    if not held:
        raise _refused(
            f"this token is capped in {', '.join(sorted(caps))}, and what the order moves of that isn't certain; "
            f"send a limit order, or options.quote_amount, in a market of a capped asset."
        )
    for asset in sorted(held):
        if numbers.compare(moved[asset], caps[asset]) > 0:
            raise _refused(f"the order moves {moved[asset]} {asset}; this token may move {caps[asset]} at once.")


def _are_numbers(body: PlaceBody) -> bool:
    texts = (body.price, body.amount, body.options.get("quote_amount", ""))
    return all(numbers.is_decimal(text) for text in texts if text)


async def _moved(caps: Mapping[str, str], entry: Any, market: Market, body: PlaceBody) -> dict[str, str]:
    quote = body.options.get("quote_amount", "")
    if not quote and body.amount and market.quote in caps:
        quote = await _worth(entry, market, body)
    return {asset: most for asset, most in ((market.base, body.amount), (market.quote, quote)) if most}


async def _worth(entry: Any, market: Market, body: PlaceBody) -> str:
    """An upper bound of the quote asset that the order moves; empty where there is none.

    A buy never pays more than its limit. A sell gets at least its limit and at most the best bid, so that a low limit
    doesn't slip a large sale under the cap.
    """
    if body.side.lower() == "buy":
        return numbers.product(body.price, body.amount) if body.price else ""
    bids = (await entry.depth(market, 1, Freshness(local=True))).value.bids
    prices = [price for price in (body.price, bids[0][0] if bids else "") if price]
    if not prices:
        return ""
    best = prices[0] if len(prices) == 1 or numbers.compare(prices[0], prices[1]) >= 0 else prices[1]
    return numbers.product(best, body.amount)


def _refused(why: str) -> PermissionDenied:
    return PermissionDenied(f"{why} {_NOTHING}", reason="ORDER_CAP", metadata={"outcome": "refused"})
