"""What one trade costs a running gateway with many WebSocket clients, against a bare send loop on the same server.

ExGate gets its trades from a Binance made by this process, through exgate-binance. The bare ASGI app has the same
frames ready and sends each to one client after the other. 100 and 1,000 clients in this process read both, in turns.
Processor time of the server's process per trade, from its socket to the last client. Goals: 1.2 times the bare loop
where trades come one by one; 0.2 times that same loop where ten come at once and ExGate sends them in one frame.

    python tests/bench/fanout.py [--smoke]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.contract import stream_trade_json, trade_frame
from exgate_core.models import Trade
from exgate_core.plugins import load_catalogue
from exgate_core.settings import Section, Server, Settings
from tests.support.fake_binance import FIRST_ID, FakeBinance, fake_binance, price
from tests.support.measuring import (
    Child,
    Crowd,
    Orders,
    allow_files,
    child,
    crowd,
    ratio,
    run_loop,
    serve_bare,
    serve_exgate,
)

GOAL_IDLE, GOAL_BURST = 1.2, 0.2
BURST = 10
PATH = "/v1/binance/pull_trade?symbol=BTC/USDT"


async def bare(orders: Orders, most: int) -> None:
    """A loop over all clients; (first id, count) sends these trades, one frame each."""
    senders: set[Any] = set()
    frames = [_frame(FIRST_ID + number).decode() for number in range(most + 1)]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        senders.add(send)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        senders.discard(send)

    async def obey(order: tuple[int, int]) -> None:
        first, count = order
        for number in range(first, first + count):
            for send in senders:
                await send({"type": "websocket.send", "text": frames[number - FIRST_ID]})

    await serve_bare(app, orders, obey)


def _frame(number: int) -> bytes:
    """A trade as ExGate sends it."""
    trade = Trade(
        id=str(number),
        price=price(number),
        qty="0.00100000",
        time=1_700_000_000_000 + number,
        taker_side="sell" if number % 2 else "buy",
    )
    return trade_frame("BTC/USDT", [stream_trade_json(trade)])


class Pair:
    """Both servers with their clients, told of the same trades."""

    def __init__(self, fake: FakeBinance, ours: Child, theirs: Child) -> None:
        self._fake, self._ours, self._theirs = fake, ours, theirs
        self._number = FIRST_ID

    async def exgate(self, clients: Crowd, ticks: int, count: int) -> float:
        """Seconds per trade; ``count`` trades come at once, ``ticks`` times."""
        before = self._ours.spent
        for _ in range(ticks):
            clients.expect(_marker(self._fake.last["BTCUSDT"] + count))
            self._fake.trade("BTCUSDT", count)
            await clients.everybody()
        return (self._ours.spent - before) / (ticks * count)

    async def bare(self, clients: Crowd, ticks: int, count: int) -> float:
        """The same for the bare loop."""
        before = self._theirs.spent
        for _ in range(ticks):
            first, self._number = self._number + 1, self._number + count
            clients.expect(_marker(self._number))
            self._theirs.tell((first, count))
            await clients.everybody()
        return (self._theirs.spent - before) / (ticks * count)


def _marker(number: int) -> bytes:
    return b'"trade_id":"%d"' % number


async def compare(
    pair: Pair, ours: Crowd, theirs: Crowd, rounds: int, ticks: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The ratios, and seconds per trade round by round."""
    seconds: dict[str, list[float]] = {"idle": [], "burst": [], "bare": [], "bare burst": []}
    for number in range(rounds + 1):
        found = {
            "idle": await pair.exgate(ours, ticks, 1),
            "bare": await pair.bare(theirs, ticks, 1),
            "burst": await pair.exgate(ours, max(1, ticks // 3), BURST),
            "bare burst": await pair.bare(theirs, max(1, ticks // 6), BURST),
        }
        if number:
            for name, value in found.items():
                seconds[name].append(value)
    # A send costs the kernel less where the reader hasn't even seen the last one: the burst is compared with both.
    pairs = {"idle": ("idle", "bare"), "burst": ("burst", "bare"), "both bursts": ("burst", "bare burst")}
    return {name: ratio(seconds[mine], seconds[base]) for name, (mine, base) in pairs.items()}, seconds


async def measure(sizes: list[int], rounds: int, sends: int) -> bool:
    """Whether the goals are met for these numbers of clients; each round makes so many sends."""
    allow_files(2 * max(sizes) + 500)
    good = True
    async with fake_binance() as fake:
        for size in sizes:
            ticks = max(1, sends // size)
            most = (rounds + 1) * (ticks + max(1, ticks // 6) * BURST)
            with TemporaryDirectory() as folder:
                section = Section(exchange="binance", upstream_prefix=fake.prefix)
                settings = Settings(server=Server(port=0, state_dir=folder), exchanges={"binance": section})
                with child(serve_exgate, settings) as ours, child(bare, most) as theirs:
                    async with (
                        crowd(await ours.hear(), PATH, size) as listeners,
                        crowd(await theirs.hear(), "/", size) as others,
                    ):
                        await fake.followed("BTCUSDT")
                        ratios, seconds = await compare(Pair(fake, ours, theirs), listeners, others, rounds, ticks)
            good = report(size, ratios, seconds) and good
    return good


def report(size: int, ratios: dict[str, float], seconds: dict[str, list[float]]) -> bool:
    """Print; whether the goals are met."""
    each = {name: statistics.median(values) * 1e6 / size for name, values in seconds.items()}
    print(f"{size} clients, us per trade and client: " + ", ".join(f"{name} {us:.2f}" for name, us in each.items()))
    print(f"fanout of {size}, one by one: {ratios['idle']:.3f} (goal {GOAL_IDLE})")
    print(f"fanout of {size}, {BURST} at once: {ratios['burst']:.3f} (goal {GOAL_BURST}), ", end="")
    print(f"{ratios['both bursts']:.3f} of a bare loop that sends as many frames at once")
    return ratios["idle"] <= GOAL_IDLE and ratios["burst"] <= GOAL_BURST


def main() -> int:
    """0 if the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--sends", type=int, default=10_000, help="per round")
    chosen = parser.parse_args()
    if "binance" not in load_catalogue().offers:
        print("skipped: exgate-binance isn't installed")
        return 0
    if chosen.smoke:
        run_loop(measure([20], 2, 100))
        return 0
    return 0 if run_loop(measure([100, 1000], chosen.rounds, chosen.sends)) else 1


if __name__ == "__main__":
    sys.exit(main())
