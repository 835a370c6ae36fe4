"""Depth reads that go through to the exchange, beside a FastAPI + ccxt and a fastify + ccxt wrapper.

ExGate twice, with Binance's own plugin and with ccxt, and the wrappers are processes of their own; the exchange is
this process and answers at once, and nobody's limiter holds anything back. Clients ask for 20 levels a side without
tolerating any age, all of them for one symbol, then each for another. Requests per second over those of the
FastAPI wrapper, which hypercorn serves as it serves ExGate; goals: 3 for one hot symbol, 1.2 for distinct ones. In
brackets the same by the processor time of the server.

    python tests/bench/passthrough.py [--smoke]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.budget import Budget
from exgate_core.settings import Plugins, Section, Server, Settings
from tests.support import peers
from tests.support.fake_binance import fake_binance
from tests.support.measuring import Child, Orders, child, run_loop, serve_exgate

GOALS = {"one hot symbol": 3.0, "distinct symbols": 1.2}
WRAPPER, FASTIFY = "FastAPI + ccxt", "fastify + ccxt"
OURS = ("exgate-binance", "exgate-ccxt")
CONNECTIONS = (16, 64)
MARKETS = 200

Figures = dict[str, list[peers.Done]]


async def unlimited(orders: Orders, settings: Settings) -> None:
    """A gateway whose exchanges allow everything."""
    Budget.take = _at_once  # type: ignore[method-assign, assignment]
    await serve_exgate(orders, settings)


async def _at_once(*_: object) -> None:
    return None


def settings_of(plugin: str, prefix: str, folder: Path) -> Settings:
    """Binance through one plugin and nothing else."""
    section = Section(exchange="binance", plugin=plugin, upstream_prefix=prefix)
    state = folder / plugin
    return Settings(
        server=Server(port=0, state_dir=str(state)), plugins=Plugins(load=(plugin,)), exchanges={"binance": section}
    )


async def start(stack: ExitStack, prefix: str, folder: Path, plugins: Sequence[str]) -> dict[str, peers.Peer]:
    """Every server, by name."""
    # npm may take a minute, in which the exchange of this process must answer nobody yet.
    commands = {WRAPPER: peers.fastapi_command(), FASTIFY: peers.fastify_command()}
    started: dict[str, peers.Peer] = {}
    for plugin in plugins:
        made: Child = stack.enter_context(child(unlimited, settings_of(plugin, prefix, folder)))
        started[plugin] = peers.Peer(await made.hear(), made.pid)
    for name, command in commands.items():
        if command is not None:
            started[name] = stack.enter_context(peers.wrapper(command, folder, prefix, limiter=False))
    return started


async def compare(servers: dict[str, peers.Peer], names: Sequence[str], count: int, rounds: int, each: int) -> Figures:
    """Every server is asked in each round."""
    paths = [f"/v1/binance/depth?symbol={name}/USDT&limit=20" for name in names]
    clients = {name: peers.Clients(peer, paths) for name, peer in servers.items()}
    found: Figures = {name: [] for name in servers}
    for crowd in clients.values():
        await crowd.connect(count)
        await crowd.run(1, 1)  # ccxt fetches its markets in it
    for number in range(rounds + 1):
        for name, crowd in clients.items():
            done = await crowd.run(each)
            if number:
                found[name].append(done)
    for crowd in clients.values():
        crowd.close()
    return found


def report(what: str, count: int, found: Figures) -> bool:
    """Print one comparison; whether its goal is met."""
    good = True
    for name, rounds in found.items():
        pairs = list(zip(rounds, found[WRAPPER], strict=True))
        rate = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
        spent = statistics.median(theirs.spent / ours.spent for ours, theirs in pairs)
        line = f"passthrough, {what}, {count} connections, {name}: {statistics.median(r.rate for r in rounds):.0f}/s, "
        line += f"{statistics.median(r.spent for r in rounds) * 1e6:.0f} us"
        if name != WRAPPER:
            line += f", {rate:.2f} ({spent:.2f}) of {WRAPPER}"
        if name in OURS:
            good = good and rate >= GOALS[what]
            line += f" (goal {GOALS[what]})"
        print(line, flush=True)
    return good


async def measure(plugins: Sequence[str], rounds: int, each: int, connections: Sequence[int]) -> bool:
    """Whether every goal is met."""
    several = ["BTC", "ETH", *(f"C{number:04d}" for number in range(MARKETS - 2))]
    good = True
    async with fake_binance(MARKETS, levels=20) as fake:
        with TemporaryDirectory() as folder, ExitStack() as stack:
            servers = await start(stack, fake.prefix, Path(folder), plugins)
            ask = partial(compare, servers, rounds=rounds, each=each)
            for count in connections:
                for what, names in zip(GOALS, (["BTC"], several), strict=True):
                    good = report(what, count, await ask(names, count)) and good
    return good


def main() -> int:
    """0 if the goals are met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=1500)
    chosen = parser.parse_args()
    missing = [name for name in ("ccxt", "fastapi", "uvloop") if importlib.util.find_spec(name) is None]
    plugins = [name for name in OURS if importlib.util.find_spec(name.replace("-", "_")) is not None]
    if missing or not plugins:
        print(f"skipped: not installed: {', '.join(missing or OURS)}")
        return 0
    rounds, each = (2, 200) if chosen.smoke else (chosen.rounds, chosen.requests)
    good = run_loop(measure(plugins, rounds, each, CONNECTIONS[: 1 if chosen.smoke else 2]))
    return 0 if chosen.smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
