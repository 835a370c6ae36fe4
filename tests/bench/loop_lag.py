"""How long a running gateway's event loop is held while an exchange with 3,000 markets opens.

Each round is a fresh process with a started gateway that nobody has asked for Binance yet: the first request makes it
fetch, read and index the market list. A timer that asks to be woken every millisecond sees how late it is. The goal is
100 ms for the 99th percentile.

    python tests/bench/loop_lag.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.gateway import open_gateway
from exgate_core.plugins import load_catalogue
from exgate_core.settings import Section, Server, Settings
from tests.support.fake_binance import fake_binance
from tests.support.measuring import Orders, child, run_loop

GOAL = 0.1
MARKETS = 3000
PERIOD = 0.001


async def opening(orders: Orders, prefix: str, markets: int) -> None:
    """Open Binance in a gateway; says the lags seen meanwhile."""
    lags: list[float] = []
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        while True:
            due = loop.time() + PERIOD
            await asyncio.sleep(PERIOD)
            lags.append(loop.time() - due)

    with TemporaryDirectory() as folder:
        # Under a name that isn't opened at the start.
        binance = {"public": Section(exchange="binance", upstream_prefix=prefix)}
        settings = Settings(server=Server(state_dir=folder))
        async with open_gateway(settings, load_catalogue()) as gateway:
            gateway.settings = gateway._openings._settings = Settings(server=settings.server, exchanges=binance)
            watching = asyncio.create_task(watch())
            await asyncio.sleep(0.05)
            lags.clear()
            entry = await gateway.entry("public")
            assert len(list(entry.exchange.markets)) == markets
            await asyncio.sleep(0.05)
            watching.cancel()
    orders.say(lags)
    await orders.next()


async def measure(rounds: int, markets: int) -> tuple[list[float], list[float]]:
    """The 99th percentile and the worst lag of each round, in seconds."""
    high, worst = [], []
    async with fake_binance(markets) as fake:
        for _ in range(rounds):
            with child(opening, fake.prefix, markets) as gateway:
                lags = sorted(await gateway.hear())
            high.append(lags[int(0.99 * (len(lags) - 1))])
            worst.append(lags[-1])
    return high, worst


def main() -> int:
    """0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    if "binance" not in load_catalogue().offers:
        print("skipped: exgate-binance isn't installed")
        return 0
    high, worst = run_loop(measure(2 if chosen.smoke else chosen.rounds, 300 if chosen.smoke else MARKETS))
    found = statistics.median(high), statistics.median(worst)
    print(f"loop_lag p99 {found[0] * 1e3:.1f} ms (goal {GOAL * 1e3:.0f} ms), worst {found[1] * 1e3:.1f} ms")
    return 0 if chosen.smoke or found[0] <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
