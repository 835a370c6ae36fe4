"""From the start of the process to its first book, and the memory then held, beside a FastAPI + ccxt wrapper.

The exchange is this process and answers at once; its list has 3,000 markets. ``native``: ``exgate serve`` with every
plugin installed, none but Binance's own and paper in use. ``ccxt``: the same with Binance through ccxt, once with an
empty state folder and once more with the market list that the first run left there. Seconds until the first 200, and
resident memory when it has come; goals, of the wrapper's: native 0.25 and 0.3, ccxt 0.7 and 0.8.

    python tests/bench/cold_start.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support import peers
from tests.support.fake_binance import fake_binance
from tests.support.measuring import run_loop

GOALS = {"native": (0.25, 0.3), "ccxt": (0.7, 0.8)}
PATH = "/v1/binance/depth?symbol=BTC/USDT&limit=20"
MARKETS = 3000
WRAPPER = "FastAPI + ccxt"

Start = Callable[[Path, str], AbstractContextManager[peers.Peer]]


class First(NamedTuple):
    """A server's first answer."""

    seconds: float
    memory: float
    """MB."""


@contextmanager
def exgate(plugin: str, folder: Path, prefix: str) -> Iterator[peers.Peer]:
    """``exgate serve`` as a user starts it."""
    (folder / "exgate.toml").write_text(
        f'[server]\nstate_dir = "{folder / "state"}"\n[exchanges.paper]\n'
        f'[exchanges.binance]\nplugin = "{plugin}"\nupstream_prefix = "{prefix}"\n'
    )
    command = [sys.executable, "-m", "exgate_core", "--config", "exgate.toml", "serve", "--port", peers.PORT]
    with peers.process(command, folder) as started:
        yield started


@contextmanager
def wrapper(folder: Path, prefix: str) -> Iterator[peers.Peer]:
    """The wrapper, with its limiter on as it would be."""
    with peers.wrapper(peers.fastapi_command(), folder, prefix, limiter=True) as started:
        yield started


def servers() -> dict[str, Start]:
    """How to start each of them, by name."""
    return {
        WRAPPER: wrapper,
        "native": lambda folder, prefix: exgate("exgate-binance", folder, prefix),
        "ccxt": lambda folder, prefix: exgate("exgate-ccxt", folder, prefix),
    }


async def first(start: Start, folder: Path, prefix: str) -> First:
    """Start it, ask until it answers, end it."""
    begun = time.perf_counter()
    with start(folder, prefix) as peer:
        clients = peers.Clients(peer, [PATH])
        await clients.connect(1)
        await clients.run(1)
        seconds = time.perf_counter() - begun
        assert clients.last.count(b"64000") >= 1, clients.last
        await asyncio.sleep(0.2)  # what the opening made and nobody needs is gone
        memory = psutil.Process(peer.pid).memory_info().rss / 1e6
        clients.close()
    return First(seconds, memory)


async def measure(rounds: int, markets: int) -> dict[str, list[First]]:
    """The first answers of each server, round by round; ``ccxt again`` is with the market list on disk."""
    found: dict[str, list[First]] = {}
    async with fake_binance(markets, levels=20) as fake:
        for number in range(rounds + 1):
            for name, start in servers().items():
                with TemporaryDirectory() as folder:
                    done = {name: await first(start, Path(folder), fake.prefix)}
                    if name == "ccxt":
                        done["ccxt again"] = await first(start, Path(folder), fake.prefix)
                for kind, answer in done.items():
                    if number:  # the first round reads the disk
                        found.setdefault(kind, []).append(answer)
    return found


def report(found: dict[str, list[First]]) -> bool:
    """Print the figures; whether the goals are met."""
    good = True
    for name, rounds in found.items():
        seconds, memory = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{name}: first answer after {seconds:.2f} s, {memory:.0f} MB")
        pairs = list(zip(rounds, found[WRAPPER], strict=True))
        ratios = [statistics.median(a[which] / b[which] for a, b in pairs) for which in (0, 1)]
        goals = GOALS.get(name.removesuffix(" again"))
        if goals is not None:
            print(f"cold_first_answer, {name}: {ratios[0]:.3f} (goal {goals[0]})")
            print(f"rss_idle, {name}: {ratios[1]:.3f} (goal {goals[1]})")
            good = good and ratios[0] <= goals[0] and ratios[1] <= goals[1]
    return good


def main() -> int:
    """0 if the goals are met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    needed = ("ccxt", "fastapi", "uvloop", "exgate_binance", "exgate_ccxt", "exgate_paper")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: not installed: {', '.join(missing)}")
        return 0
    good = report(run_loop(measure(1 if chosen.smoke else chosen.rounds, 100 if chosen.smoke else MARKETS)))
    return 0 if chosen.smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
