"""The rules of a market in whole numbers, and the way from decimal strings to them and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from exgate_core.errors import Refused
from exgate_core.models import Depth, DepthDelta, Level, Market, Order, OrderRequest, Trade

from .units import fixed, places, units
from .values import Fill, PaperOrder, Place

LEAST_PLACES = 8


class Fees(Struct, frozen=True):
    """What an execution costs: parts of 10^``places``, taken from what each side receives."""

    maker: int = 0
    taker: int = 0
    places: int = 0

    @classmethod
    def of(cls, maker: str, taker: str) -> Fees:
        """From decimal strings: ``0.001`` = 0.1 %. Raises ValueError for what is no rate below 1."""
        scale = max(places(maker), places(taker))
        rates = units(maker, scale), units(taker, scale)
        if rates[0] is None or rates[1] is None or max(rates[0], rates[1]) >= 10**scale:
            raise ValueError(f"fees are decimals from 0 to below 1, not {maker!r} and {taker!r}")
        return cls(rates[0], rates[1], scale)


def asset_places(markets: Iterable[Market], fees: Fees) -> dict[str, int]:
    """Per asset, so many places that every price x amount and every fee is exact."""
    found: dict[str, int] = {}
    for market in markets:
        base = places(market.step_size)
        quote = base + places(market.tick_size)
        for asset, needed in ((market.base, base), (market.quote, quote)):
            found[asset] = max(found.get(asset, LEAST_PLACES), needed + fees.places)
    return found


def money(value: int, scale: int) -> str:
    """Units of an asset as text, at least eight places."""
    text = fixed(value, scale)
    keep = len(text) - scale + LEAST_PLACES
    return text[:keep] + text[keep:].rstrip("0")


def _unit(text: str, name: str, market: Market) -> tuple[int, int]:
    scale = places(text)
    value = units(text, scale)
    if not value:
        raise ValueError(f"{market.symbol}: {name} must be a decimal above 0, not {text!r}")
    return value, scale


class Rules:
    """One market's rules. ``price`` n is n ticks, ``amount`` n is n steps."""

    def __init__(self, market: Market, scales: dict[str, int]) -> None:
        self.market = market
        self.symbol, self.base, self.quote = market.symbol, market.base, market.quote
        self._tick, self._tick_places = _unit(market.tick_size, "tick_size", market)
        self._step, self._step_places = _unit(market.step_size, "step_size", market)
        self._quote_places = scales[market.quote]
        spare = self._quote_places - self._tick_places - self._step_places
        self.base_unit: int = self._step * 10 ** (scales[market.base] - self._step_places)
        """Units of the base asset in one step."""
        self.quote_unit: int = self._tick * self._step * 10**spare
        """Units of the quote asset that one tick x one step is."""
        self.min_amount = self._steps(market.min_amount, 1)
        self.max_amount = self._steps(market.max_amount, 10**30)
        self.min_notional = units(market.min_notional or "0", self._quote_places) or 0
        """Units of the quote asset."""

    def _steps(self, text: str, absent: int) -> int:
        if not text:
            return absent
        return int(Decimal(text) / Decimal(self.market.step_size))

    def price(self, text: str) -> int | None:
        """Ticks; None if it isn't a whole number of them."""
        return _whole(text, self._tick, self._tick_places)

    def amount(self, text: str) -> int | None:
        """Steps; None if it isn't a whole number of them."""
        return _whole(text, self._step, self._step_places)

    def price_text(self, price: int) -> str:
        """A price with the places of the tick."""
        return fixed(price * self._tick, self._tick_places)

    def amount_text(self, amount: int) -> str:
        """An amount with the places of the step."""
        return fixed(amount * self._step, self._step_places)

    def command(self, account: str, order: OrderRequest) -> Place:
        """The order in whole numbers. Raises Refused for what isn't a whole number of ticks and steps."""
        price = self.price(order.price) if order.type == "limit" else 0
        amount = self.amount(order.amount) if order.amount else 0
        quote = units(order.quote_amount, self._quote_places) if order.quote_amount else 0
        if price is None or (order.type == "limit" and not price):
            raise Refused(f"The price {order.price!r} isn't a multiple of {self.market.tick_size}.", reason="BAD_PRICE")
        if amount is None:
            raise Refused(
                f"The amount {order.amount!r} isn't a multiple of {self.market.step_size}.", reason="BAD_AMOUNT"
            )
        if quote is None or (quote and price) or bool(quote) == bool(amount):
            raise Refused("An order needs an amount, or a market order a quote amount.", reason="BAD_AMOUNT")
        return Place(
            account=account,
            symbol=self.symbol,
            buy=order.side == "buy",
            price=price,
            amount=amount,
            quote=quote,
            time_in_force=order.time_in_force,
            post_only=order.post_only,
            client_order_id=order.client_order_id,
        )

    def order(self, order: PaperOrder) -> Order:
        """The contract's view of an order."""
        filled = order.amount - order.remaining
        return Order(
            order_id=str(order.id),
            symbol=self.symbol,
            side="buy" if order.buy else "sell",
            type="limit" if order.price else "market",
            price=self.price_text(order.price) if order.price else "0",
            amount="0" if order.by_quote else self.amount_text(order.amount),
            status=order.status,
            filled=self.amount_text(filled),
            remaining=self.amount_text(order.remaining),
            client_order_id=order.client_order_id,
            time=order.time,
            post_only=order.post_only,
            native_symbol=self.market.id,
        )

    def trade(self, fill: Fill) -> Trade:
        """The public view of an execution."""
        return Trade(
            id=str(fill.id),
            price=self.price_text(fill.price),
            qty=self.amount_text(fill.amount),
            quote_qty=fixed(fill.price * self._tick * fill.amount * self._step, self._tick_places + self._step_places),
            time=fill.time,
            taker_side="buy" if fill.taker_buy else "sell",
        )

    def levels(self, levels: Iterable[tuple[int, int]]) -> list[Level]:
        """(ticks, steps) as decimal strings."""
        return [(self.price_text(price), self.amount_text(amount)) for price, amount in levels]

    def depth(
        self, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], sequence: int, time: int
    ) -> Depth:
        """A book, best level first on both sides."""
        return Depth(bids=self.levels(bids), asks=self.levels(asks), last_update_id=sequence, timestamp=time)

    def delta(
        self, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], sequence: int, time: int
    ) -> DepthDelta:
        """The levels that one command changed; sequences rise by one."""
        return DepthDelta(
            bids=self.levels(bids), asks=self.levels(asks), previous=sequence - 1, sequence=sequence, timestamp=time
        )


def _whole(text: str, unit: int, scale: int) -> int | None:
    value = units(text, scale)
    if value is None or value % unit:
        return None
    return value // unit
