"""Depth reads per second while the exchange's request limit is respected, beside what people put before a wrapper.

ExGate (Binance's own plugin, ``tolerate_interval=1``), the FastAPI + ccxt wrapper behind nginx with
``proxy_cache_valid 1s`` and ``proxy_cache_lock on``, and the bare wrapper are processes of their own, each with its
limiter on. 64 clients ask for one hot symbol, then for eight; one worker process everywhere. Answers per second and
processor time per answer; the goal is to be no slower than nginx, and it is also checked that ExGate states an age
of at most a second, which nobody else states at all. Without a goal: nginx that may also hand out answers of any age
while it asks for a new one (``proxy_cache_use_stale updating``), which is another promise.

    python tests/bench/served_under_limit.py [--smoke]
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.settings import Plugins, Section, Server, Settings
from tests.support import peers
from tests.support.fake_binance import FakeBinance, fake_binance
from tests.support.measuring import child, run_loop, serve_exgate

GOAL = 1.0
CONNECTIONS = 64
SYMBOLS = ("BTC", "ETH", *(f"C{number:04d}" for number in range(6)))
EXGATE, NGINX, STALE, WRAPPER = "exgate", "nginx + wrapper", "nginx that may be stale + wrapper", "wrapper alone"
_AGE = re.compile(rb"(?i)\r\nexgate-age: *([\d.]+)")


class Figures:
    """What one server showed."""

    def __init__(self) -> None:
        self.rounds: list[peers.Done] = []
        self.oldest = 0.0
        """Seconds: the largest age that the last answer of a round stated; stays 0 where none does."""
        self.asked = 0
        """Questions that reached the exchange."""


async def start(stack: ExitStack, prefix: str, folder: Path) -> dict[str, peers.Peer]:
    """Every server, by name."""
    binance = Section(exchange="binance", plugin="exgate-binance", upstream_prefix=prefix)
    settings = Settings(
        server=Server(port=0, state_dir=str(folder / "state")),
        plugins=Plugins(load=("exgate-binance",)),
        exchanges={"binance": binance},
    )
    gateway = stack.enter_context(child(serve_exgate, settings))
    alone = stack.enter_context(peers.wrapper(peers.fastapi_command(), folder, prefix, limiter=True))
    return {
        EXGATE: peers.Peer(await gateway.hear(), gateway.pid),
        NGINX: stack.enter_context(peers.nginx(folder / "nginx", alone.port)),
        STALE: stack.enter_context(peers.nginx(folder / "stale", alone.port, "proxy_cache_use_stale updating;")),
        WRAPPER: alone,
    }


async def compare(
    fake: FakeBinance, servers: dict[str, peers.Peer], symbols: Sequence[str], rounds: int, each: int
) -> dict[str, Figures]:
    """Every server is asked in each round; the bare wrapper far less, for it answers twenty times a second."""
    query = "&limit=20&tolerate_interval=1"
    paths = [f"/v1/binance/depth?symbol={name}/USDT{query}" for name in symbols]
    clients = {name: peers.Clients(peer, paths) for name, peer in reversed(servers.items())}
    found = {name: Figures() for name in servers}
    for crowd in clients.values():
        await crowd.connect(CONNECTIONS)
        await crowd.run(len(paths), 1)
    for number in range(rounds + 1):
        for name, crowd in clients.items():
            asked = fake.books_asked
            done = await crowd.run(each if name != WRAPPER else 20, None if name != WRAPPER else 4)
            figures = found[name]
            figures.oldest = max(figures.oldest, *(float(age) for age in _AGE.findall(crowd.last)), 0.0)
            figures.asked += fake.books_asked - asked
            if number:
                figures.rounds.append(done)
    for crowd in clients.values():
        crowd.close()
    return found


def report(what: str, found: dict[str, Figures]) -> bool:
    """Print one comparison; whether the goal is met."""
    for name, figures in found.items():
        rate = statistics.median(done.rate for done in figures.rounds)
        spent = statistics.median(done.spent for done in figures.rounds) * 1e6
        late = statistics.median(done.latencies[int(0.99 * (len(done.latencies) - 1))] for done in figures.rounds)
        age = f"at most {figures.oldest:.3f} s" if figures.oldest else "unknown"
        line = f"{name}, {what}: {rate:.0f}/s, {spent:.0f} us each, p99 {late * 1e3:.1f} ms, age {age}"
        print(f"{line}, {figures.asked} questions upstream")
    ours, theirs, alone = found[EXGATE].rounds, found[NGINX].rounds, found[WRAPPER].rounds
    ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
    lift = statistics.median(a.rate / b.rate for a, b in zip(ours, alone, strict=True))
    print(
        f"served_under_limit, {what}: {ratio:.3f} of nginx's (goal {GOAL}), {lift:.0f} times the wrapper's", flush=True
    )
    return ratio >= GOAL and 0 < found[EXGATE].oldest <= 1.0


async def measure(rounds: int, each: int) -> bool:
    """Whether the goal is met for one symbol and for several."""
    good = True
    async with fake_binance(len(SYMBOLS), levels=20) as fake:
        with TemporaryDirectory() as folder, ExitStack() as stack:
            servers = await start(stack, fake.prefix, Path(folder))
            for what, symbols in (("one symbol", SYMBOLS[:1]), (f"{len(SYMBOLS)} symbols", SYMBOLS)):
                good = report(what, await compare(fake, servers, symbols, rounds, each)) and good
    return good


def main() -> int:
    """0 if the goal is met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=6000)
    chosen = parser.parse_args()
    needed = ("ccxt", "fastapi", "uvloop", "exgate_binance")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if peers.nginx_program() is None:
        missing.append("nginx")
    if missing:
        print(f"skipped: not installed: {', '.join(missing)}")
        return 0
    good = run_loop(measure(1 if chosen.smoke else chosen.rounds, 300 if chosen.smoke else chosen.requests))
    return 0 if chosen.smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
