"""A hundred cuts over a hundred thousand trades: none missing, none doubled, no gap where the history reaches.

    python tests/proofs/streams.py [--short] [--seed N]

The paper exchange trades ten symbols; its streams are cut, refused for a while, lose, repeat and reorder frames. Time
is simulated: a stream takes 0.1 s to open, a page of history 0.05 s. Ends with 1 if a promise doesn't hold.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins/exgate-paper/src")]

from exgate_paper.adapter import PaperExchange  # noqa: E402
from exgate_paper.faults import Fault  # noqa: E402
from exgate_paper.settings import PaperMarket, PaperSettings  # noqa: E402

from exgate_core.exchange import open_exchange  # noqa: E402 (after the path is set)
from exgate_core.feeds import Feeds, Reader, ReaderClosed  # noqa: E402
from exgate_core.models import Market  # noqa: E402
from exgate_core.settings import Local  # noqa: E402
from tests.support.clock import ManualClock, settle  # noqa: E402

SYMBOLS = [f"C{number}/USDT" for number in range(10)]
OPENING, PAGING = 0.1, 0.05


class Listener:
    """Everything that one reader got."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._lost = 0.0
        self.ids: list[int] = []
        self.gaps: list[dict[str, Any]] = []
        self.refused = False
        """Whether the exchange refuses the next reopenings."""
        self.recoveries: list[float] = []
        self.outages: list[float] = []
        """Recoveries whose first reopenings were refused."""

    async def listen(self, reader: Reader) -> None:
        try:
            while True:
                self.take(json.loads(await reader.next()))
        except ReaderClosed:
            return

    def take(self, frame: dict[str, Any]) -> None:
        self.ids.extend(int(trade["trade_id"]) for trade in frame.get("trades", ()))
        status = frame.get("status")
        if status == "gap":
            self.gaps.append(frame)
        elif status == "reconnecting":
            self._lost = self._clock.monotonic()
        elif status == "resumed":
            waits, self.refused = (self.outages if self.refused else self.recoveries), False
            waits.append(self._clock.monotonic() - self._lost)


class Run:
    """The exchange, its readers and the dice."""

    def __init__(self, seed: int, trades: int, cuts: int) -> None:
        self.dice = random.Random(seed)
        self.trades, self.cuts = trades, cuts
        self.clock = ManualClock()
        runtime = self.clock.runtime(seed)
        markets = tuple(PaperMarket(symbol=symbol, price="100.00") for symbol in SYMBOLS)
        log = logging.getLogger("proof")
        settings = PaperSettings(seed=seed, rate=0, levels=5, markets=markets)
        context = SimpleNamespace(
            settings=settings, clock=self.clock, sleep=self.clock.sleep, random=runtime.random, log=log, state=None
        )
        self.runtime = runtime
        self.paper = PaperExchange(context)
        self.listeners = {symbol: Listener(self.clock) for symbol in SYMBOLS}
        self.missed = 0

    async def go(self) -> None:
        self.paper.engine.faults.add(
            Fault(point="pull_trade", kind="delay", times=0, seconds=OPENING),
            Fault(point="recent_trades", kind="delay", times=0, seconds=PAGING),
        )
        async with (
            open_exchange("paper", [(self.paper, self.paper.capabilities)], 10.0) as exchange,
            anyio.create_task_group() as tasks,
        ):
            for symbol in SYMBOLS:
                self.paper.market.run(symbol, 5)
            feeds = Feeds(exchange, tasks, self.runtime, Local())
            for market in exchange.markets:
                tasks.start_soon(self.read, feeds, market)
            await self.clock.advance(1.0)
            self.first = {symbol: self.newest(symbol) for symbol in SYMBOLS}
            self.paper.engine.faults.add(
                *(
                    Fault(point="pull_trade.frame", kind=kind, times=0, probability=0.002)
                    for kind in ("skip", "repeat", "reorder")
                )
            )
            await self.trade()
            for _ in range(150):  # a frame lost before a silence shows at the cross-check
                await self.clock.advance(1.0)
            await feeds.stop()
            await settle()
            tasks.cancel_scope.cancel()

    async def read(self, feeds: Feeds, market: Market) -> None:
        async with feeds.subscribe(market, None) as reader:
            await self.listeners[market.symbol].listen(reader)

    def newest(self, symbol: str) -> int:
        newest = self.paper.engine.trades(symbol, 1)
        return int(newest[-1].id) if newest else 0

    async def trade(self) -> None:
        share = self.trades // self.cuts
        for number in range(self.cuts):
            symbol = self.dice.choice(SYMBOLS)
            faults = self.paper.engine.faults
            faults.add(Fault(point="pull_trade.frame", kind="cut", symbol=symbol))
            if number % 5 == 0:  # away for a while, with thousands of trades meanwhile
                faults.add(Fault(point="pull_trade", kind="drop", symbol=symbol, times=self.dice.randint(1, 4)))
                self.listeners[symbol].refused = True
                await self.some(symbol, 1)
                before = self.newest(symbol)
                self.paper.market.run(symbol, 3 * share)
                self.missed = max(self.missed, self.newest(symbol) - before)
                await self.clock.advance(self.dice.uniform(1, 20))
            else:
                left = share // 2
                while left > 0:
                    left -= await self.some(symbol if left > share // 2 - 20 else self.dice.choice(SYMBOLS), 10)

    async def some(self, symbol: str, count: int) -> int:
        before = self.newest(symbol)
        self.paper.market.run(symbol, count)
        await self.clock.advance(self.dice.uniform(0.01, 0.1))
        return self.newest(symbol) - before


def report(run: Run) -> bool:
    """Print the figures; whether every promise holds."""
    expected = {symbol: range(run.first[symbol] + 1, run.newest(symbol) + 1) for symbol in SYMBOLS}
    total = sum(map(len, expected.values()))
    missing = sum(len(set(expected[symbol]) - set(listener.ids)) for symbol, listener in run.listeners.items())
    doubled = sum(len(listener.ids) - len(set(listener.ids)) for listener in run.listeners.values())
    unsorted = sum(listener.ids != sorted(listener.ids) for listener in run.listeners.values())
    gaps = sum(len(listener.gaps) for listener in run.listeners.values())
    cuts = sum(fault.kind == "cut" for fault in run.paper.engine.faults.fired)
    waits = sorted(wait for listener in run.listeners.values() for wait in listener.recoveries)
    outages = sorted(wait for listener in run.listeners.values() for wait in listener.outages)
    half, most = waits[len(waits) // 2], waits[int(len(waits) * 0.99) - 1]
    print(f"{cuts} cuts over {total} trades of {len(SYMBOLS)} symbols, up to {run.missed} missed at once")
    print(f"missing {missing}, doubled {doubled}, readers out of order {unsorted}, gap frames {gaps}")
    print(f"recovery of {len(waits)} cuts: p50 {half:.3f} s, p99 {most:.3f} s, worst {waits[-1]:.3f} s")
    print(f"recovery of {len(outages)} cuts with 1 to 4 refused reopenings: worst {outages[-1]:.3f} s")
    return not (missing or doubled or unsorted or gaps) and half < 0.5 and most < 2 and cuts >= run.cuts


def main() -> int:
    """0 if every promise holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    run = Run(arguments.seed, *((10_000, 20) if arguments.short else (100_000, 100)))
    anyio.run(run.go)
    return 0 if report(run) else 1


if __name__ == "__main__":
    sys.exit(main())
