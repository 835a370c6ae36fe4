"""Depth reads that go through to the exchange, beside a FastAPI + ccxt and a fastify + ccxt wrapper.

ExGate with Binance's own plugin and with ccxt, and the wrappers, are processes of their own; the exchange is this
process and answers at once, and nobody's limiter holds anything back. Clients ask for 20 levels a side without
tolerating any age, all of them for one symbol, then each for another. Requests per second over those of the FastAPI
wrapper on the same server, hypercorn; ExGate on uvicorn and granian over that and over fastify + ccxt. In brackets the
same by the processor time of the server. ``--only`` picks servers by a part of their names.

    python tests/bench/passthrough.py [--smoke] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support import peers
from tests.support.fake_binance import fake_binance
from tests.support.measuring import Child, child, run_loop

HOT, DISTINCT = "one hot symbol", "distinct symbols"
WRAPPER, ON_UVICORN, FASTIFY = "FastAPI + ccxt", "FastAPI + ccxt on uvicorn", "fastify + ccxt"
OURS = ("exgate-binance", "exgate-ccxt")
FASTER = ("uvicorn", "granian")
GOALS = {
    ("exgate-binance", HOT): 3.0,
    ("exgate-binance", DISTINCT): 2.5,
    ("exgate-ccxt", HOT): 3.0,
    ("exgate-ccxt", DISTINCT): 1.2,
    **{(f"exgate-binance on {server}", what): 5.0 for server in FASTER for what in (HOT, DISTINCT)},
}
CONNECTIONS = (16, 64)
MARKETS = 200

Figures = dict[str, list[peers.Done]]


async def start(
    stack: ExitStack, prefix: str, folder: Path, plugins: Sequence[str], only: Sequence[str]
) -> dict[str, peers.Peer]:
    """Every server, by name."""
    # npm may take a minute, in which the exchange of this process must answer nobody yet.
    commands = {WRAPPER: peers.fastapi_command(), ON_UVICORN: peers.fastapi_command(), FASTIFY: peers.fastify_command()}

    def wanted(name: str) -> bool:
        return not only or name == WRAPPER or any(part in name for part in only)

    started: dict[str, peers.Peer] = {}
    for plugin in filter(wanted, plugins):
        settings = peers.settings_of(plugin, prefix, folder / plugin)
        made: Child = stack.enter_context(child(peers.unlimited, settings))
        started[plugin] = peers.Peer(await made.hear(), made.pid)
    for server in FASTER:
        name = f"exgate-binance on {server}"
        if wanted(name) and OURS[0] in plugins and peers.asgi_command(server) is not None:
            # its start asks the exchange, which is this process
            opened = peers.exgate_under(server, OURS[0], folder, prefix)
            started[name] = await asyncio.to_thread(stack.enter_context, opened)
    for name, command in commands.items():
        if command is not None and wanted(name):
            server = "uvicorn" if name == ON_UVICORN else "hypercorn"
            made_too = peers.wrapper(command, folder, prefix, limiter=False, server=server)
            started[name] = stack.enter_context(made_too)
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
    """Print one comparison; whether its goals are met."""
    good = True
    for name, rounds in found.items():
        line = f"passthrough, {what}, {count} connections, {name}: {statistics.median(r.rate for r in rounds):.0f}/s, "
        line += f"{statistics.median(r.spent for r in rounds) * 1e6:.0f} us"
        for other in (WRAPPER, ON_UVICORN, FASTIFY):
            if other in found and name not in (WRAPPER, ON_UVICORN, FASTIFY, other):
                rate, spent = over(rounds, found[other])
                line += f", {rate:.2f} ({spent:.2f}) of {other}"
        goal = GOALS.get((name, what))
        if goal is not None:
            good = good and over(rounds, found[WRAPPER])[0] >= goal
            line += f" (goal {goal})"
        print(line, flush=True)
    return good


def over(ours: Sequence[peers.Done], theirs: Sequence[peers.Done]) -> tuple[float, float]:
    """How many times as many answers a second, and per second of processor time, as the medians of the rounds."""
    pairs = list(zip(ours, theirs, strict=True))
    rate = statistics.median(mine.rate / other.rate for mine, other in pairs)
    return rate, statistics.median(other.spent / mine.spent for mine, other in pairs)


async def measure(
    plugins: Sequence[str], only: Sequence[str], rounds: int, each: int, connections: Sequence[int]
) -> bool:
    """Whether every goal is met."""
    several = ["BTC", "ETH", *(f"C{number:04d}" for number in range(MARKETS - 2))]
    good = True
    async with fake_binance(MARKETS, levels=20) as fake:
        with TemporaryDirectory() as folder, ExitStack() as stack:
            servers = await start(stack, fake.prefix, Path(folder), plugins, only)
            ask = partial(compare, servers, rounds=rounds, each=each)
            for count in connections:
                for what, names in ((HOT, ["BTC"]), (DISTINCT, several)):
                    good = report(what, count, await ask(names, count)) and good
    return good


def main() -> int:
    """0 if the goals are met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--only", nargs="*", default=())
    chosen = parser.parse_args()
    missing = [name for name in ("ccxt", "fastapi", "uvloop") if importlib.util.find_spec(name) is None]
    plugins = [name for name in OURS if importlib.util.find_spec(name.replace("-", "_")) is not None]
    if missing or not plugins:
        print(f"skipped: not installed: {', '.join(missing or OURS)}")
        return 0
    rounds, each = (2, 200) if chosen.smoke else (chosen.rounds, chosen.requests)
    good = run_loop(measure(plugins, chosen.only, rounds, each, CONNECTIONS[: 1 if chosen.smoke else 2]))
    return 0 if chosen.smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
