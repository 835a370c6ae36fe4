"""A second, naive exchange in decimals: sorts every order for every match. Slow, plain, for tests only."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from exgate_core.models import Market, OrderRequest

MAKER_FEE, TAKER_FEE = Decimal("0.0005"), Decimal("0.001")
ZERO = Decimal(0)


class Told(NamedTuple):
    """One execution: market, price, amount, id of the order that rested, id of the one that came."""

    symbol: str
    price: Decimal
    amount: Decimal
    maker: int
    taker: int


@dataclass
class Resting:
    """One accepted order."""

    id: int
    account: str
    market: Market
    buy: bool
    price: Decimal
    left: Decimal
    client: str
    status: str = "open"


@dataclass
class Reference:
    """Everything in plain decimals; ``place`` returns why an order is refused, or an empty text."""

    balances: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    orders: list[Resting] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def open(self, account: str | None = None) -> list[Resting]:
        """Open orders, oldest first."""
        return [o for o in self.orders if o.status == "open" and account in (None, o.account)]

    def frozen(self, account: str, asset: str) -> Decimal:
        """What the account's open orders hold, worked out from them."""
        held = ZERO
        for order in self.open(account):
            if order.buy and order.market.quote == asset:
                held += order.price * order.left
            elif not order.buy and order.market.base == asset:
                held += order.left
        return held

    def queue(self, order: OrderRequest) -> list[Resting]:
        """Who would trade with the order, in the order in which they would."""
        buy = order.side == "buy"
        others = [o for o in self.open() if o.market.symbol == order.market.symbol and o.buy != buy]
        if order.type == "limit":
            limit = Decimal(order.price)
            others = [o for o in others if (o.price <= limit if buy else o.price >= limit)]
        return sorted(others, key=lambda o: (o.price if buy else -o.price, o.id))

    def sized(self, order: OrderRequest) -> tuple[Decimal, Decimal, bool]:
        """(amount, cost, all of it) that the book gives to the order: level by level, whole steps only."""
        step, amount, cost = Decimal(order.market.step_size), ZERO, ZERO
        queue = self.queue(order)
        for price in dict.fromkeys(o.price for o in queue):
            here = sum((o.left for o in queue if o.price == price), ZERO)
            if order.quote_amount:
                steps = ((Decimal(order.quote_amount) - cost) / price / step).to_integral_value(ROUND_FLOOR)
                wanted = steps * step
            else:
                wanted = Decimal(order.amount) - amount
            amount, cost = amount + min(here, wanted), cost + min(here, wanted) * price
            if wanted <= here:
                return amount, cost, True
        return amount, cost, False

    def refusal(self, account: str, order: OrderRequest) -> str:
        """The reason for which the order must be refused, or nothing."""
        market, queue = order.market, self.queue(order)
        amount = Decimal(order.amount or "0")
        price = Decimal(order.price or "0") or (queue[0].price if queue else ZERO)
        value = Decimal(order.quote_amount or "0") or price * amount
        if order.amount and not Decimal(market.min_amount) <= amount <= Decimal(market.max_amount or "inf"):
            return "BAD_AMOUNT"
        if price and value < Decimal(market.min_notional):
            return "MIN_NOTIONAL"
        if any(o.client == order.client_order_id != "" for o in self.open(account)):
            return "DUPLICATE_CLIENT_ORDER_ID"
        if order.post_only and (order.type == "market" or queue):
            return "WOULD_TAKE"
        return self._poverty(account, order)

    def _poverty(self, account: str, order: OrderRequest) -> str:
        amount, cost, whole = self.sized(order)
        if order.quote_amount and whole and not amount:
            return "MIN_NOTIONAL"
        asked = Decimal(order.amount) if order.amount else amount
        if order.side == "sell":
            need, asset = asked, order.market.base
        else:
            need, asset = (Decimal(order.price) * asked if order.price else cost), order.market.quote
        return "INSUFFICIENT_BALANCE" if self.balances[account, asset] < need else ""

    def place(self, account: str, order: OrderRequest) -> str:
        """Do it, unless there is a reason not to."""
        if reason := self.refusal(account, order):
            return reason
        amount, _, whole = self.sized(order)
        queue = self.queue(order)
        wanted = Decimal(order.amount) if order.amount else amount
        taker = Resting(
            id=len(self.orders) + 1,
            account=account,
            market=order.market,
            buy=order.side == "buy",
            price=Decimal(order.price or "0"),
            left=wanted,
            client=order.client_order_id,
        )
        self.orders.append(taker)
        if order.time_in_force != "FOK" or whole:
            for maker in queue:
                self._trade(maker, taker)
        if not taker.left and (whole or order.amount):
            taker.status = "filled"
        elif order.type == "market" or order.time_in_force != "GTC":
            taker.status = "expired"
        else:
            self._lock(taker, taker.left)
        return ""

    def _lock(self, order: Resting, amount: Decimal) -> None:
        asset = order.market.quote if order.buy else order.market.base
        self.balances[order.account, asset] -= amount * (order.price if order.buy else 1)

    def _trade(self, maker: Resting, taker: Resting) -> None:
        amount, price, market = min(maker.left, taker.left), maker.price, maker.market
        if not amount:
            return
        buyer, seller = (taker, maker) if taker.buy else (maker, taker)
        for order, fee in ((maker, MAKER_FEE), (taker, TAKER_FEE)):
            asset, got = (market.base, amount) if order is buyer else (market.quote, amount * price)
            self.balances[order.account, asset] += got * (1 - fee)
            self.balances["fees", asset] += got * fee
        if taker is buyer:
            self.balances[taker.account, market.quote] -= amount * price
        else:
            self.balances[seller.account, market.base] -= amount
        for order in (maker, taker):
            order.left -= amount
        if not maker.left:
            maker.status = "filled"
        self.told.append(Told(market.symbol, price, amount, maker.id, taker.id))

    def cancel(self, order: Resting) -> str:
        """The status that a cancel must answer."""
        if order.status != "open":
            return "filled" if order.status == "filled" else "already_canceled"
        order.status = "canceled"
        self._lock(order, -order.left)
        return "canceled"
