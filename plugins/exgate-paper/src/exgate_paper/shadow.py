"""A paper account over a real exchange's market data: an engine whose books follow the real ones.

Nothing here can send an order: all that is asked of the real exchange is its public book. What the account takes from a
book is back when the real book is read again, for paper moves no real market.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Protocol

from exgate_core.errors import ExGateError, NotSent, Refused
from exgate_core.models import Depth, Level, Market
from exgate_core.numbers import is_positive

from .calls import Context
from .making import make_engine
from .settings import PaperSettings
from .values import Cancel, PaperOrder, Place

LIVE = "live"
"""The account that stands for everybody on the real exchange."""
_WEALTH = "1" + "0" * 18
_LEVELS = 50
_PERIOD = 2.0  # seconds between looks at the books in which the account has open orders


class LiveSide(Protocol):
    """What is asked of the real exchange."""

    @property
    def markets(self) -> Iterable[Market]: ...
    async def depth(self, market: Market, limit: int) -> Depth: ...


class Shadow:
    """One account's engine over a real exchange; lives in memory only."""

    def __init__(self, live: LiveSide, settings: PaperSettings, context: Context, account: str) -> None:
        self._live, self._context, self._account = live, context, account
        self._markets = {m.symbol: m for m in live.markets if is_positive(m.tick_size) and is_positive(m.step_size)}
        self.engine = make_engine(list(self._markets.values()), settings, context.clock, frozenset({LIVE}))
        self._funded: set[str] = set()

    async def follow(self, market: Market) -> None:
        """Bring one book up to date; open orders that the real market reached are filled. Raises NotSent."""
        if market.symbol not in self._markets:
            return
        try:
            depth = await self._live.depth(market, _LEVELS)
        except ExGateError as error:
            raise NotSent(f"No market data for the paper account: {error.message} Nothing was placed.") from error
        self._mirror(self._markets[market.symbol], depth)

    async def run(self) -> None:
        """Follow every book in which the account has open orders, as long as the account is open."""
        while True:
            await self._context.sleep(_PERIOD)
            open_orders = self.engine.wallet(self._account).open.values()
            for symbol in dict.fromkeys(order.symbol for order in list(open_orders)):
                try:
                    await self.follow(self._markets[symbol])
                except Exception as error:
                    self._context.log.warning("the paper account can't see %s: %s", symbol, error)

    def _mirror(self, market: Market, depth: Depth) -> None:
        self._fund(market)
        target = {**self._counted(market, True, depth.bids), **self._counted(market, False, depth.asks)}
        wallet = self.engine.wallet(LIVE)
        for order in [order for order in wallet.open.values() if order.symbol == market.symbol]:
            if target.get((order.buy, order.price)) == order.remaining:
                del target[order.buy, order.price]
            else:
                self._withdraw(order)
        for (buy, price), amount in target.items():
            with suppress(Refused):  # a level below the least order: nobody could take it alone
                self.engine.submit_place(Place(LIVE, market.symbol, buy, price=price, amount=amount))

    def _withdraw(self, order: PaperOrder) -> None:
        self.engine.submit(Cancel(LIVE, order.id))

    def _fund(self, market: Market) -> None:
        for asset in {market.base, market.quote} - self._funded:
            self.engine.deposit(LIVE, {asset: _WEALTH})
            self._funded.add(asset)

    def _counted(self, market: Market, buy: bool, levels: Sequence[Level]) -> dict[tuple[bool, int], int]:
        """Levels in whole numbers; what falls between two ticks counts at the worse one."""
        tick, step = Decimal(market.tick_size), Decimal(market.step_size)
        found: dict[tuple[bool, int], int] = {}
        for price, amount in levels:
            ticks = int((Decimal(price) / tick).to_integral_value(ROUND_FLOOR if buy else ROUND_CEILING))
            steps = int(Decimal(amount) / step)
            if ticks and steps:
                found[buy, ticks] = found.get((buy, ticks), 0) + steps
        return found
