"""How many questions reach the exchange per question of 64 clients that all ask the same.

Every client asks again 10 ms after its answer. The exchange takes 50 ms. Goals: 0.032 where every answer must be of
a moment after the question, 0.017 with tolerate_interval=1. Time is simulated, so the figure is the same every time.

    python tests/bench/upstream_amplification.py [--smoke]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.models import Depth, Freshness, Market
from tests.support.upstream import BTC, House, Upstream, house

CLIENTS, TAKES, HOP = 64, 0.05, 0.01
GOALS = {0.0: 0.032, 1.0: 0.017}


class Slow(Upstream):
    """An exchange that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.home: House | None = None

    async def depth(self, market: Market, limit: int) -> Depth:
        """The book, ``TAKES`` seconds later."""
        assert self.home is not None
        await self.home.clock.sleep(TAKES)
        return await super().depth(market, limit)


async def measure(tolerate: float, seconds: float) -> float:
    """Questions upstream per answer."""
    upstream, answers = Slow(), 0
    async with house(upstream) as home, anyio.create_task_group() as tasks:
        upstream.home = home

        async def client(number: int) -> None:
            nonlocal answers
            await home.clock.sleep(number * TAKES / CLIENTS)
            while True:
                await home.reads.depth(BTC, 20, Freshness(tolerate=tolerate))
                answers += 1
                await home.clock.sleep(HOP)

        for number in range(CLIENTS):
            tasks.start_soon(client, number)
        await home.clock.advance(seconds)
        tasks.cancel_scope.cancel()
    return upstream.count("depth") / answers


def main() -> int:
    """0 if both goals are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a moment, to see that it runs")
    smoke = parser.parse_args().smoke
    good = True
    for tolerate, goal in GOALS.items():
        found = anyio.run(measure, tolerate, 0.5 if smoke else 3.0)
        print(f"upstream_amplification, tolerate_interval={tolerate:g}: {found:.5f} (goal {goal})")
        good = good and found <= goal
    return 0 if smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
