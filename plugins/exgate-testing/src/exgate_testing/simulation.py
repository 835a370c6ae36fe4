"""The exchange behind a fake: one account and everybody else, over the paper engine.

Ids of orders and trades and sequence numbers of books begin above 2^53, where a float no longer holds them. Markets
come and go by their unified symbols, numbers are decimal strings with all places of the tick and of the step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from exgate_paper.engine import Engine
from exgate_paper.ledger import Filled
from exgate_paper.rules import Fees
from msgspec import Struct
from msgspec.structs import replace

from exgate_core.errors import DUPLICATE, NotFound, Refused
from exgate_core.models import Balance, Depth, DepthDelta, Market, Order, OrderRequest, Side, Trade

ACCOUNT = "account"
"""The account that the fake's credentials belong to, in the engine and its ledger."""
FIRST_ID = 2**53
"""The order, trade and sequence number 1 of the engine is this + 1 outside."""
BALANCE = "98765432109.12345678"
"""What the account holds of every asset at first: more digits than a float has."""
_STOPS = 10**9
_FEES = Fees.of("0.001", "0.001")


class OwnTrade(Struct, frozen=True, kw_only=True):
    """One execution of an order of the account."""

    trade_id: str
    """The public trade's id."""
    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    price: str
    qty: str
    quote_qty: str
    time: int
    """ms since the epoch."""
    maker: bool


class Simulation:
    """The exchange as its own matching engine knows it. Everything a fake needs, and nothing that it doesn't."""

    def __init__(
        self,
        markets: Sequence[Market],
        *,
        client_ids: Literal["open", "ever"] = "open",
        clock: Callable[[], float] = time.time,
        engine: Engine | None = None,
        account: str = ACCOUNT,
        first_id: int = FIRST_ID,
        clock_step_ms: int = 1,
    ) -> None:
        self.markets = tuple(markets)
        self.account, self.first_id = account, first_id
        """The account's name in the engine; the number to which the engine's ids are added."""
        self.clock = clock
        """Seconds since the epoch, as everybody has them."""
        self._clock_step = clock_step_ms * 1_000_000
        self.skew = 0.0
        """Seconds by which the exchange's clock runs ahead of the gateway's."""
        self.accepted: list[tuple[OrderRequest, Order]] = []
        """Every order that came to be: as the fake understood it, and as it was at first."""
        self.ids_per_market = False
        """Whether each market counts its orders by itself, so that two have the same ids."""
        self.delisted: set[str] = set()
        """Markets that the exchange has listed and no longer knows."""
        self.engine = engine or _rich(Engine(markets, now=self.now_ms, fees=_FEES, client_ids=client_ids), account)
        """For the kit; a fake has no business with it."""
        self._by_symbol = {market.symbol: market for market in self.markets}
        self._by_id = {market.id: market for market in self.markets}
        self._stops: dict[str, Order] = {}
        self._closed: dict[int, Order] = {}  # what never changes again
        self._counted: dict[str, list[int]] = {}  # market -> the engine's numbers of its orders, in order

    def now_ms(self) -> int:
        """The exchange's clock, ms since the epoch."""
        return self.time_ns() // 1_000_000

    def time_ns(self) -> int:
        """The exchange's clock, ns since the epoch."""
        return int((self.clock() + self.skew) * 1e9) // self._clock_step * self._clock_step

    def market(self, symbol: str) -> Market:
        """By its unified symbol. Raises Refused (UNKNOWN_SYMBOL)."""
        return self._market(self._by_symbol, symbol)

    def market_by_id(self, market_id: str) -> Market:
        """By the exchange's own name, to the letter. Raises Refused (UNKNOWN_SYMBOL)."""
        return self._market(self._by_id, market_id)

    def _market(self, known: dict[str, Market], name: str) -> Market:
        if name not in known or known[name].symbol in self.delisted:
            raise Refused(f"There is no market {name!r}.", reason="UNKNOWN_SYMBOL")
        return known[name]

    # --- public

    def depth(self, symbol: str, limit: int) -> Depth:
        """The book now, best first, at most ``limit`` levels a side."""
        depth = self.engine.depth(self.market(symbol).symbol, limit)
        return replace(depth, last_update_id=self.first_id + depth.last_update_id)

    def trades(self, symbol: str, limit: int, since_id: str | None = None) -> list[Trade]:
        """The newest ``limit``, or the first ``limit`` after an id; oldest first. ``time_ns`` rises with the id."""
        since = None if since_id is None else str(max(0, int(since_id) - self.first_id))
        return [self._outside(trade) for trade in self.engine.trades(self.market(symbol).symbol, limit, since)]

    def on_trades(self, symbol: str, listener: Callable[[Sequence[Trade]], None]) -> Callable[[], None]:
        """Call the listener with the trades of each match from now on; returns what ends that."""
        return self.engine.on_trades(symbol, lambda trades: listener([self._outside(trade) for trade in trades]))

    def on_delta(self, symbol: str, listener: Callable[[DepthDelta], None]) -> Callable[[], None]:
        """Call the listener with each change of the book from now on: ``sequence`` = ``previous`` + 1, the amount 0
        for a level that is gone. Returns what ends that."""
        return self.engine.on_delta(symbol, lambda delta: listener(self._moved(delta)))

    # --- private

    def balances(self) -> list[Balance]:
        """Every asset of the exchange."""
        return self.engine.balances(self.account)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Open orders, oldest first."""
        return [order for order in self.all_orders(symbol) if order.status in ("open", "partially_filled")]

    def all_orders(self, symbol: str | None = None) -> list[Order]:
        """Orders of every status, oldest first."""
        wallet = self.engine.wallet(self.account)
        orders = [self._seen(number) for number in sorted([*wallet.open, *wallet.closed])]
        found = [order for order in orders if symbol in (None, order.symbol)]
        return found + [order for order in self._stops.values() if symbol in (None, order.symbol)]

    def _seen(self, number: int) -> Order:
        if number not in self._closed:
            order = self._named(self.engine.find(self.account, None, str(number), "")[0])
            if order.status in ("open", "partially_filled"):
                return order
            self._closed[number] = order
        return self._closed[number]

    def find(self, symbol: str | None = None, order_id: str = "", client_order_id: str = "") -> list[Order]:
        """Orders of every status by id, or by client order id where that is empty; oldest first."""
        if not order_id and not client_order_id:
            return []
        return [
            order
            for order in self.all_orders(symbol)
            if (order.order_id == order_id if order_id else order.client_order_id == client_order_id)
        ]

    def fills(self, symbol: str | None = None, order_id: str = "") -> list[OwnTrade]:
        """The account's own trades, oldest first; of one order if it is given."""
        entries = self.engine.ledger.of(Filled, self.account)
        found = [self._own(entry) for entry in entries if symbol in (None, entry.symbol)]
        return [trade for trade in found if order_id in ("", trade.order_id)]

    def place(self, order: OrderRequest) -> Order:
        """Accept and match an order; returns it as it is afterwards.

        Raises Refused: UNKNOWN_SYMBOL, BAD_PRICE, BAD_AMOUNT, MIN_NOTIONAL, INSUFFICIENT_BALANCE, WOULD_TAKE (post
        only), or ``errors.DUPLICATE``. An order with a ``stop_price`` waits for ever: it can be found and cancelled.
        """
        placed = self._park(order) if order.stop_price else self._named(self.engine.place(self.account, order))
        self.accepted.append((order, placed))
        return placed

    def cancel(self, symbol: str | None = None, order_id: str = "", client_order_id: str = "") -> Order:
        """Cancel by id, or the newest order of a client order id; returns it as it is afterwards.

        Raises NotFound for no such order, Refused with the reason FILLED or CANCELED for one that is closed already.
        """
        found = self.find(symbol, order_id, client_order_id)
        if not found:
            raise NotFound("There is no such order.", reason="UNKNOWN_ORDER")
        order = found[-1]
        if order.status not in ("open", "partially_filled"):
            filled = order.status == "filled"
            raise Refused(f"The order is {order.status}.", reason="FILLED" if filled else "CANCELED")
        if order.order_id in self._stops:
            self._stops[order.order_id] = replace(order, status="canceled")
        else:
            self.engine.cancel(self.account, str(self._number(order)))
        return self.find(order.symbol, order.order_id)[0]

    def _park(self, order: OrderRequest) -> Order:
        taken = [stop for stop in self._stops.values() if stop.status == "open"]
        if order.client_order_id and order.client_order_id in {stop.client_order_id for stop in taken}:
            raise Refused("The client order id is in use.", reason=DUPLICATE)
        order_id = str(self.first_id + _STOPS + len(self._stops))
        self._stops[order_id] = Order(
            order_id=order_id,
            symbol=order.market.symbol,
            side=order.side,
            type=order.type,
            price=order.price or "0",
            amount=order.amount or "0",
            filled="0",
            remaining=order.amount,
            client_order_id=order.client_order_id,
            time=self.now_ms(),
            native_symbol=order.market.id,
        )
        return self._stops[order_id]

    def _own(self, entry: Filled) -> OwnTrade:
        trade = self.engine.trades(entry.symbol, 1, str(entry.trade_id - 1))[0]
        order = self.engine.find(self.account, None, str(entry.order_id), "")[0]
        return OwnTrade(
            trade_id=self._outside(trade).id,
            order_id=self._named(order).order_id,
            client_order_id=order.client_order_id,
            symbol=entry.symbol,
            side=order.side,
            price=trade.price,
            qty=trade.qty,
            quote_qty=trade.quote_qty,
            time=trade.time,
            maker=entry.maker,
        )

    def _outside(self, trade: Trade) -> Trade:
        number = int(trade.id)
        return replace(trade, id=str(self.first_id + number), time_ns=trade.time * 1_000_000 + number % 1_000_000)

    def _moved(self, delta: DepthDelta) -> DepthDelta:
        return replace(delta, previous=self.first_id + delta.previous, sequence=self.first_id + delta.sequence)

    def _named(self, order: Order) -> Order:
        number = int(order.order_id)
        if self.ids_per_market:
            counted = self._counted.setdefault(order.symbol, [])
            if number not in counted:
                counted.append(number)
            number = counted.index(number) + 1
        return replace(order, order_id=str(self.first_id + number))

    def _number(self, order: Order) -> int:
        """The engine's own number of an order."""
        number = int(order.order_id) - self.first_id
        return self._counted[order.symbol][number - 1] if self.ids_per_market else number


def _rich(engine: Engine, account: str) -> Engine:
    assets = sorted({asset for market in engine.markets for asset in (market.base, market.quote)})
    engine.deposit(account, dict.fromkeys(assets, BALANCE))
    return engine
