"""Opening one exchange in a gateway that runs already, beside ccxt's own import and market list.

Each time in a new process: ``native`` opens Binance through its own plugin in a gateway that has opened nothing yet;
``ccxt`` imports ccxt.async_support, makes its client and loads the markets. The exchange is this process and lists
3,000 markets. Seconds, processor time and memory that it takes; goals: 0.3 of ccxt's time and memory.

    python tests/bench/open_one.py [--smoke]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.fake_binance import fake_binance
from tests.support.measuring import Orders, child, ratio, run_loop

GOAL = 0.3
MARKETS = 3000


class Opened(NamedTuple):
    """What an opening took."""

    seconds: float
    processor: float
    """Seconds."""
    memory: float
    """MB."""


class Meter:
    """What this process uses from now on."""

    def __init__(self) -> None:
        self._begun, self._spent, self._held = time.perf_counter(), time.process_time(), _memory()

    def read(self) -> Opened:
        """How much it was."""
        seconds, processor = time.perf_counter() - self._begun, time.process_time() - self._spent
        return Opened(seconds, processor, _memory() - self._held)


def _memory() -> float:
    return psutil.Process().memory_info().rss / 1e6


async def native(orders: Orders, prefix: str, folder: Path, markets: int) -> None:
    """The main of a child: the exchange of a gateway."""
    from exgate_core.gateway import open_gateway
    from exgate_core.plugins import load_catalogue
    from tests.support.peers import settings_of

    settings = settings_of("exgate-binance", prefix, folder)
    async with open_gateway(settings, load_catalogue(settings.plugins.load)) as gateway:
        meter = Meter()  # what the settings name begins to open with the first pause, which is the next line
        entry = await gateway.entry("binance")
        assert len(entry.exchange.markets) == markets
        orders.say(tuple(meter.read()))
        await orders.next()


async def ccxt(orders: Orders, prefix: str, folder: Path, markets: int) -> None:
    """The main of a child: ccxt alone."""
    meter = Meter()
    import ccxt.async_support as library

    binance: Any = library.binance({"options": {"fetchMarkets": {"types": ["spot"]}}})
    binance.urls["api"] = {
        name: url.replace("https://", f"{prefix}https://") if isinstance(url, str) else url
        for name, url in binance.urls["api"].items()
    }
    assert len(await binance.load_markets()) == markets
    orders.say(tuple(meter.read()))
    await orders.next()
    await binance.close()


async def measure(rounds: int, markets: int) -> dict[str, list[Opened]]:
    """What it took, round by round."""
    found: dict[str, list[Opened]] = {"native": [], "ccxt": []}
    async with fake_binance(markets) as fake:
        for number in range(rounds + 1):
            for name, main_of_it in (("native", native), ("ccxt", ccxt)):
                with TemporaryDirectory() as folder, child(main_of_it, fake.prefix, Path(folder), markets) as it:
                    opened = Opened(*await it.hear())
                    it.tell(None)
                if number:  # the first round reads the disk
                    found[name].append(opened)
    return found


def report(found: dict[str, list[Opened]]) -> bool:
    """Print the figures; whether the goals are met."""
    for name, rounds in found.items():
        seconds, processor, memory = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"open_one, {name}: {seconds:.3f} s, {processor:.3f} s of the processor, {memory:.1f} MB")
    good = True
    for which, field in enumerate(Opened._fields):
        share = ratio([opened[which] for opened in found["native"]], [opened[which] for opened in found["ccxt"]])
        print(f"open_one, {field}: {share:.3f} of ccxt's (goal {GOAL})")
        good = good and share <= GOAL
    return good


def main() -> int:
    """0 if the goals are met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    missing = [name for name in ("ccxt", "exgate_binance") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: not installed: {', '.join(missing)}")
        return 0
    good = report(run_loop(measure(1 if chosen.smoke else chosen.rounds, 100 if chosen.smoke else MARKETS)))
    return 0 if chosen.smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
