"""A hundred thousand answers about books whose streams drop, repeat, reorder and corrupt deltas.

    python tests/proofs/books.py [--short] [--seed N]

None may be crossed, a state that the exchange never had, or older than asked; on streams without faults, quiet ones
included, at least 99.9 % of local reads must be answered locally. The paper exchange is the truth; time is simulated.
Ends with 1 if a promise doesn't hold.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections import Counter, OrderedDict
from pathlib import Path
from types import SimpleNamespace

import anyio

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins/exgate-paper/src")]

from exgate_paper.adapter import PaperExchange  # noqa: E402
from exgate_paper.faults import Fault, Kind  # noqa: E402
from exgate_paper.settings import PaperMarket, PaperSettings  # noqa: E402

from exgate_core.exchange import open_exchange  # noqa: E402 (after the path is set)
from exgate_core.feeds import Feeds  # noqa: E402
from exgate_core.models import Answer, Depth, Freshness, Market  # noqa: E402
from exgate_core.reads import Reads  # noqa: E402
from exgate_core.settings import Local  # noqa: E402
from tests.support.clock import ManualClock  # noqa: E402

FAULTY = ["F1/USDT", "F2/USDT", "F3/USDT"]
SOUND = ["S1/USDT", "S2/USDT"]
QUIET = ["Q1/USDT", "Q2/USDT"]
TOLERANCES = [0.5, 1.0, 5.0]
KINDS: list[tuple[Kind, str]] = [
    ("skip", ""),
    ("repeat", ""),
    ("reorder", ""),
    ("corrupt", ""),
    ("corrupt", "garbage"),
    ("cut", ""),
]
LEVELS, KEPT = 20, 3000


class Truth:
    """The states that one book had, and until when each was the newest."""

    def __init__(self, paper: PaperExchange, symbol: str, clock: ManualClock) -> None:
        self._engine, self._symbol, self._clock = paper.engine, symbol, clock
        self.states: OrderedDict[int, Depth] = OrderedDict()
        self.until: dict[int, float] = {}
        self._newest = 0
        self.note()
        self._engine.on_delta(symbol, lambda delta: self.note())

    def note(self) -> None:
        depth = self._engine.depth(self._symbol, LEVELS)
        self.until[self._newest] = self._clock.monotonic()
        self._newest = depth.last_update_id
        self.states[self._newest] = depth
        if len(self.states) > KEPT:
            old, _ = self.states.popitem(last=False)
            self.until.pop(old, None)

    def judge(self, answer: Answer[Depth], limit: int, asked: float, tolerate: float) -> list[str]:
        """What is wrong with an answer."""
        depth, wrong = answer.value, []
        if depth.bids and depth.asks and float(depth.bids[0][0]) >= float(depth.asks[0][0]):
            wrong.append("crossed")
        state = self.states.get(depth.last_update_id)
        if state is None:
            return [*wrong, "no state that the exchange had"]
        if list(depth.bids) != list(state.bids)[:limit] or list(depth.asks) != list(state.asks)[:limit]:
            wrong.append("gapped")
        until = self.until.get(depth.last_update_id, asked) if depth.last_update_id != self._newest else asked
        if until < asked - tolerate or answer.age < 0 or (answer.source == "local" and answer.age > tolerate):
            wrong.append("older than asked")
        return wrong


class Run:
    """The exchange, its feeds and the dice."""

    def __init__(self, seed: int, answers: int) -> None:
        self.dice, self.answers, self.clock = random.Random(seed), answers, ManualClock()
        self.runtime = self.clock.runtime(seed)
        markets = tuple(PaperMarket(symbol=symbol, price="100.00") for symbol in FAULTY + SOUND + QUIET)
        settings = PaperSettings(seed=seed, rate=0, levels=LEVELS, markets=markets)
        log, sleep = logging.getLogger("proof"), self.clock.sleep
        chance = self.runtime.random
        context = SimpleNamespace(settings=settings, clock=self.clock, sleep=sleep, random=chance, log=log, state=None)
        self.paper = PaperExchange(context)
        self.sources: dict[str, Counter[str]] = {symbol: Counter() for symbol in FAULTY + SOUND + QUIET}
        self.wrong: Counter[str] = Counter()

    async def go(self) -> None:
        async with (
            open_exchange("paper", [(self.paper, self.paper.capabilities)], 10.0) as exchange,
            anyio.create_task_group() as tasks,
        ):
            local = Local()
            feeds = Feeds(exchange, tasks, self.runtime, local)
            reads = Reads(exchange, feeds, self.runtime, local)
            truths = {market.symbol: Truth(self.paper, market.symbol, self.clock) for market in exchange.markets}
            for market in exchange.markets:
                await reads.depth(market, 1, Freshness(local=True))
            await self.clock.advance(1.0)
            self.paper.engine.faults.add(
                *(
                    Fault(point="pull_depth.frame", kind=kind, value=value, symbol=symbol, times=0, probability=0.003)
                    for kind, value in KINDS
                    for symbol in FAULTY
                )
            )
            while sum(sum(found.values()) for found in self.sources.values()) < self.answers:
                for symbol in FAULTY + SOUND:
                    self.paper.market.run(symbol, 1)
                    if self.dice.random() < 0.5:
                        await self.clock.advance(0.0)
                    await self.read(reads, truths, list(exchange.markets))
                await self.clock.advance(self.dice.choice([0.01, 0.05, 0.3]))
            await feeds.stop()
            tasks.cancel_scope.cancel()

    async def read(self, reads: Reads, truths: dict[str, Truth], markets: list[Market]) -> None:
        for market in markets:
            limit, tolerate = self.dice.randint(1, LEVELS), self.dice.choice(TOLERANCES)
            # Signs of life come once a second: a quiet copy can't be proven younger than that.
            if market.symbol in QUIET:
                tolerate = max(tolerate, 1.5)
            asked = self.clock.monotonic()
            answer = await reads.depth(market, limit, Freshness(local=True, tolerate=tolerate))
            self.sources[market.symbol][answer.source] += 1
            self.wrong.update(truths[market.symbol].judge(answer, limit, asked, tolerate))


def report(run: Run) -> bool:
    """Print the figures; whether every promise holds."""
    struck = Counter(f"{fault.kind} {fault.value}".strip() for fault in run.paper.engine.faults.fired)
    total = sum(sum(found.values()) for found in run.sources.values())
    print(f"{total} answers; faults: {', '.join(f'{count} {kind}' for kind, count in sorted(struck.items()))}")
    print(f"wrong: {dict(run.wrong) or 0}")
    shares = {}
    for name, symbols in (("faulty", FAULTY), ("sound", SOUND), ("quiet", QUIET)):
        local = sum(run.sources[symbol]["local"] for symbol in symbols)
        shares[name] = local / sum(sum(run.sources[symbol].values()) for symbol in symbols)
        print(f"{name} streams: {shares[name]:.3%} of local reads answered locally")
    return not run.wrong and shares["sound"] >= 0.999 and shares["quiet"] >= 0.999


def main() -> int:
    """0 if every promise holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    run = Run(arguments.seed, 10_000 if arguments.short else 100_000)
    anyio.run(run.go)
    return 0 if report(run) else 1


if __name__ == "__main__":
    sys.exit(main())
