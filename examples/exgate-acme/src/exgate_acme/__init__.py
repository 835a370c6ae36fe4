"""The Acme exchange, which exists only in this file: a whole plugin for ExGate."""

import itertools

from exgate_core import Depth, ExchangeCapabilities, Market, Trade, hookimpl

EXGATE_API = 1

MARKET = Market(symbol="BTC/USDT", id="btc-usdt", base="BTC", quote="USDT", tick_size="0.01", step_size="0.0001")
PRICES = ["64000.10", "64000.20", "64000.00", "63999.90"]


class Acme:
    capabilities = ExchangeCapabilities(trade_ids="contiguous", trades_reach=None)

    def __init__(self, context):
        self.context = context
        self.trades = [self.trade(number) for number in range(1, 101)]

    def trade(self, number):
        price, side = PRICES[number % 4], "buy" if number % 2 else "sell"
        now = int(self.context.clock.time() * 1000)
        return Trade(id=str(number), price=price, qty="0.5000", time=now, taker_side=side)

    @hookimpl
    async def markets(self):
        return [MARKET]

    @hookimpl
    async def depth(self, market, limit):
        return Depth(bids=[("63999.90", "1.5000"), ("63999.80", "2.0000")], asks=[("64000.10", "0.7000")])

    @hookimpl
    async def recent_trades(self, market, limit, since_id):
        return self.trades[-limit:] if since_id is None else self.trades[int(since_id) :][:limit]

    @hookimpl
    async def pull_trade(self, market, emit):
        emit(())  # the subscription stands
        for number in itertools.count(len(self.trades) + 1):
            await self.context.sleep(0.2)
            self.trades.append(self.trade(number))
            emit(self.trades[-1:])


@hookimpl
def register_exchanges(register):
    register("acme", exchange=Acme)
