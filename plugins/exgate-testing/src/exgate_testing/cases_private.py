"""Cases about an account that is only looked at: balances and open orders."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exgate_core.models import OrderRequest

from . import checks
from .checks import expect, hold
from .house import House, open_house
from .subjects import Subject
from .table import case, needs

_ORDER = {"order_id": str, "symbol": str, "type": str, "price": str, "amount": str, "side": str}
_MANY = 215
"""More open orders than a page of any exchange holds."""


@case(
    "C67",
    "balances",
    "every asset under its unified name: what is spendable, and what open orders hold",
    needs("balances"),
)
async def balances(subject: Subject, variant: str) -> None:
    """With an order that holds something; every figure as the exchange wrote it."""
    async with open_house(subject) as house:
        if subject.has("place_order"):
            checks.ok(await house.order(house.body()), "an order")
        rows = checks.ok(await house.get("balances"), "balances")["balances"]
        for row in rows:
            checks.keys(row, {"asset": str, "available": str, "frozen": str}, "a balance")
        found = {row["asset"]: row for row in rows}
        expect(len(found), len(rows), "assets, each once")
        for truth in house.world.balances():
            row = found.get(truth.asset)
            if row is None:
                hold(
                    not Decimal(truth.available) and not Decimal(truth.frozen),
                    f"{truth.asset} is missing in {sorted(found)}",
                )
                continue
            checks.same_number(row["available"], truth.available, f"what is available of {truth.asset}")
            checks.same_number(row["frozen"], truth.frozen, f"what is frozen of {truth.asset}")
        known = {truth.asset for truth in house.world.balances()}
        strange = [row["asset"] for row in rows if row["asset"] not in known]
        hold(not strange, f"assets {strange} are none of the exchange: not unified?")


@case(
    "C68",
    "open orders",
    "all open orders and no other, of one market or of all, in the seed's JSON",
    needs("pending_orders"),
)
async def pending(subject: Subject, variant: str) -> None:
    """Buys and sells, limit orders on every market, a filled and a cancelled one beside them."""
    async with open_house(subject) as house:
        house.crowd.books()
        for market in house.world.markets:
            _place(house, market.symbol, "buy", -40)
            _place(house, market.symbol, "sell", 40)
            _place(house, market.symbol, "buy", 12)
            house.world.cancel(market.symbol, house.world.open_orders(market.symbol)[0].order_id)
            _place(house, market.symbol, "buy", -41)
        for market in house.world.markets:
            await _compare(house, market.symbol)
        if "pending_orders" not in house.private.symbol_needed:
            await _compare(house, "")


async def _compare(house: House, symbol: str) -> None:
    params = {"symbol": symbol} if symbol else {}
    rows = checks.ok(await house.get("pending_orders", **params), f"open orders of {symbol or 'all markets'}")["orders"]
    truth = house.world.open_orders(symbol or None)
    expect(len(rows), len(truth), f"open orders of {symbol or 'all markets'}")
    expect(len({row["order_id"] for row in rows}), len(rows), "order ids, each once")
    left = list(truth)
    for row in rows:
        checks.keys(row, _ORDER, "an open order")
        fitting = [
            order
            for order in left
            if (order.symbol, order.side, order.type) == (row["symbol"], row["side"], row["type"])
            and Decimal(order.price) == Decimal(row["price"])
            and Decimal(order.amount) == Decimal(row["amount"])
        ]
        hold(fitting, f"no open order of the exchange is {row}; there are {left[:3]}")
        left.remove(fitting[0])
        if house.has_wire:
            checks.verbatim([row["price"], row["amount"]], house.digits(), "figures of an open order")


@case("C69", "many open orders", "open orders are read to the last page", needs("pending_orders"))
async def many(subject: Subject, variant: str) -> None:
    """More than any exchange sends at once."""
    async with open_house(subject) as house:
        for number in range(_MANY):
            _place(house, house.market.symbol, "buy", -20 - number)
        for params in ({"symbol": house.market.symbol}, {}):
            if params or "pending_orders" not in house.private.symbol_needed:
                rows = checks.ok(await house.get("pending_orders", **params), "many open orders")["orders"]
                expect(len({row["order_id"] for row in rows}), _MANY, "open orders in all pages")
                expect(len(rows), _MANY, "rows")


def _place(house: House, symbol: str, side: str, offset: int) -> None:
    """As if the account had placed it from elsewhere."""
    market = house.world.market(symbol)
    request = OrderRequest(
        market=market,
        side="buy",
        type="limit",
        client_order_id="",
        price=house.crowd.price(market, offset),
        amount=house.crowd.amount(market),
    )
    house.world.place(request if side == "buy" else replace(request, side="sell"))
