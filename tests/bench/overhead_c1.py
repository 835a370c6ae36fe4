"""What a gateway adds to one question when nobody else asks: beside a FastAPI + ccxt and a fastify + ccxt wrapper.

One client with one connection asks for the book of 20 levels, another symbol each time, first the exchange itself,
then each gateway. The overhead is the gateway's median latency without the exchange's own. Over that of the FastAPI
wrapper on the same server; goal 0.5 with Binance's own plugin.

    python tests/bench/overhead_c1.py [--smoke] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.passthrough import MARKETS, OURS, WRAPPER, start
from tests.support import peers
from tests.support.fake_binance import fake_binance
from tests.support.measuring import Child, Orders, child, run_loop

GOAL = 0.5
DIRECT = "the exchange itself"
WARM = 50


async def exchange(orders: Orders) -> None:
    """The main of a child: the exchange, apart from the client, which would else wait for itself."""
    async with fake_binance(MARKETS, levels=20) as fake:
        orders.say(fake.port)
        while await orders.next() is not None:
            pass


@contextmanager
def crowds(servers: dict[str, peers.Peer], upstream: peers.Peer) -> Iterator[dict[str, peers.Clients]]:
    """One client for the exchange and for each server."""
    bases = ["BTC", "ETH", *(f"C{number:04d}" for number in range(MARKETS - 2))]
    asked = {DIRECT: peers.Clients(upstream, [f"/https://x/api/v3/depth?symbol={base}USDT&limit=20" for base in bases])}
    for name, peer in servers.items():
        asked[name] = peers.Clients(peer, [f"/v1/binance/depth?symbol={base}/USDT&limit=20" for base in bases])
    try:
        yield asked
    finally:
        for crowd in asked.values():
            crowd.close()


async def measure(only: Sequence[str], rounds: int, each: int) -> dict[str, list[float]]:
    """The median latency of each round, by server, in seconds."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        made: Child = stack.enter_context(child(exchange))
        port: int = await made.hear()
        plugins = [name for name in OURS if importlib.util.find_spec(name.replace("-", "_")) is not None]
        servers = await start(stack, f"http://127.0.0.1:{port}/", Path(folder), plugins, only)
        asked = stack.enter_context(crowds(servers, peers.Peer(port, made.pid)))
        found: dict[str, list[float]] = {name: [] for name in asked}
        for crowd in asked.values():
            await crowd.connect(1)
            await crowd.run(WARM)
        for _ in range(rounds):
            for name, crowd in asked.items():
                await asyncio.sleep(0.01)  # what the last one left to do is done
                found[name].append(statistics.median((await crowd.run(each)).latencies))
    return found


def report(found: dict[str, list[float]]) -> bool:
    """Print the figures; whether the goal is met."""
    direct, good = found.pop(DIRECT), True
    print(f"overhead_c1, {DIRECT}: p50 {statistics.median(direct) * 1e3:.3f} ms")
    for name, rounds in found.items():
        added = [ours - own for ours, own in zip(rounds, direct, strict=True)]
        theirs = [other - own for other, own in zip(found[WRAPPER], direct, strict=True)]
        ratio = statistics.median(mine / other for mine, other in zip(added, theirs, strict=True))
        line = f"overhead_c1, {name}: p50 {statistics.median(rounds) * 1e3:.3f} ms, adds "
        line += f"{statistics.median(added) * 1e3:.3f} ms, {ratio:.2f} of what {WRAPPER} adds"
        if name == OURS[0]:
            good = ratio <= GOAL
            line += f" (goal {GOAL})"
        print(line)
    return good


def main() -> int:
    """0 if the goal is met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=())
    chosen = parser.parse_args()
    needed = ("ccxt", "fastapi", "uvloop", "exgate_binance")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: not installed: {', '.join(missing)}")
        return 0
    rounds, each = (2, 50) if chosen.smoke else (chosen.rounds, chosen.requests)
    good = report(run_loop(measure(chosen.only, rounds, each)))
    return 0 if chosen.smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
