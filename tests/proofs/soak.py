"""Ten minutes at 5,000 trades a second to ten clients, with cuts: memory, descriptors and tasks stay level.

    python tests/proofs/soak.py [--seconds 600] [--rate 5000] [--clients 10] [--seed 1] [--short]

The exchange is a Binance of this process; its connections are cut at random moments. Each client must get every trade
once and in order. Goals: the gateway's memory grows by less than 0.1 MB a minute, descriptors and tasks don't grow.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import re
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiohttp
import psutil

from exgate_core.settings import Local, Plugins, Section, Server, Settings
from tests.support.fake_binance import FIRST_ID, FakeBinance, fake_binance
from tests.support.measuring import Child, Orders, child, run_loop
from tests.support.serving import serving

GOAL = 0.1
"""MB a minute."""
TICK = 0.01
SAMPLES = 60
_ID = re.compile(rb'"trade_id":"(\d+)"')


async def serve_watched(orders: Orders, settings: Settings) -> None:
    """A gateway that says its port, then counts what it holds whenever it is asked."""
    async with serving(settings) as served:
        orders.say(int(served.url.rpartition(":")[2]))
        process = psutil.Process()
        while await orders.next() is not None:
            gc.collect()
            orders.say((process.memory_info().rss, process.num_fds(), len(asyncio.all_tasks())))
        served.stop.ask()
        served.stop.ask()


class Reader:
    """A client that checks what it gets."""

    def __init__(self) -> None:
        self.last, self.trades, self.wrong = 0, 0, 0
        self.notices: list[str] = []
        self._news = asyncio.Event()

    async def reached(self, number: int) -> None:
        """Until it has the trade of this id."""
        while self.last < number:
            self._news.clear()
            await self._news.wait()

    async def read(self, session: aiohttp.ClientSession, url: str, ready: asyncio.Event) -> None:
        """Until the stream ends."""
        async with session.ws_connect(url, max_msg_size=0, autoclose=True) as socket:
            ready.set()
            async for message in socket:
                self.take(message.data.encode() if isinstance(message.data, str) else message.data)

    def take(self, frame: bytes) -> None:
        """One frame."""
        ids = _ID.findall(frame)
        if not ids:
            self.notices.append(frame[:200].decode())
        for text in ids:
            number = int(text)
            self.wrong += bool(self.last) and number != self.last + 1
            self.last = number
        self.trades += len(ids)
        self._news.set()


class Soak:
    """One run."""

    def __init__(self, fake: FakeBinance, gateway: Child, dice: random.Random) -> None:
        self.samples: list[tuple[float, int, int, int]] = []
        self.cuts = 0
        self._fake, self._gateway, self._dice = fake, gateway, dice

    async def trade(self, rate: int, until: float) -> None:
        """The market trades evenly, as far as this machine lets it."""
        start, made = time.monotonic(), 0
        while (now := time.monotonic()) < until:
            due = int((now - start) * rate) - made
            if due > 0:
                self._fake.trade("BTCUSDT", due)
                made += due
            await asyncio.sleep(TICK)

    async def cut(self, every: float, until: float) -> None:
        """Connections of the exchange break, at random moments."""
        while time.monotonic() < until - every:
            await asyncio.sleep(self._dice.uniform(0.5, 1.5) * every)
            self.cuts += self._fake.cut()

    async def watch(self, seconds: float, until: float) -> None:
        """How much the gateway holds, again and again."""
        start = time.monotonic()
        while time.monotonic() < until:
            await asyncio.sleep(seconds / SAMPLES)
            memory, files, tasks = await self._gateway.ask("count")
            self.samples.append((time.monotonic() - start, memory, files, tasks))


def settings_of(prefix: str, folder: Path) -> Settings:
    """Binance through the fake, and nothing else."""
    return Settings(
        server=Server(port=0, state_dir=str(folder)),
        local=Local(),
        plugins=Plugins(load=("exgate-binance",)),
        exchanges={"binance": Section(exchange="binance", upstream_prefix=prefix)},
    )


async def soak(seconds: float, rate: int, clients: int, seed: int) -> tuple[Soak, list[Reader], int]:
    """Everything at once; the clients get time to catch up at the end."""
    async with fake_binance() as fake:
        with TemporaryDirectory() as folder, child(serve_watched, settings_of(fake.prefix, Path(folder))) as gateway:
            url = f"ws://127.0.0.1:{await gateway.hear()}/v1/binance/pull_trade?symbol=BTC/USDT"
            readers, run = [Reader() for _ in range(clients)], Soak(fake, gateway, random.Random(seed))
            async with aiohttp.ClientSession() as session:
                ready = [asyncio.Event() for _ in readers]
                reading = [
                    asyncio.create_task(reader.read(session, url, event))
                    for reader, event in zip(readers, ready, strict=True)
                ]
                for event in ready:
                    await event.wait()
                await fake.followed("BTCUSDT")
                until = time.monotonic() + seconds
                cutting = run.cut(max(1.0, seconds / 40), until)
                await asyncio.gather(run.trade(rate, until), cutting, run.watch(seconds, until))
                last = fake.last["BTCUSDT"]
                with suppress(TimeoutError):
                    async with asyncio.timeout(30):
                        for reader in readers:
                            await reader.reached(last)
                for task in reading:
                    task.cancel()
                await asyncio.gather(*reading, return_exceptions=True)
            return run, readers, last


def slope(samples: list[tuple[float, int, int, int]]) -> float:
    """MB a minute, by the median of slopes between any two samples of the second half (what warms up is over)."""
    later = samples[len(samples) // 2 :]
    pairs = [(a, b) for number, a in enumerate(later) for b in later[number + 1 :]]
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs) * 60 / 1e6


def report(run: Soak, readers: list[Reader], last: int) -> bool:
    """Print the figures; whether all goals are met."""
    first, final = run.samples[len(run.samples) // 2], run.samples[-1]
    growth = slope(run.samples)
    notices = sorted({text for reader in readers for text in reader.notices if '"gap"' in text or "lagging" in text})
    wrong, short = sum(reader.wrong for reader in readers), sum(reader.last != last for reader in readers)
    print(f"trades {last - FIRST_ID}, cuts {run.cuts}, clients {len(readers)}, each got {readers[0].trades}")
    print(f"out of order, missing or doubled {wrong}; clients that miss the end {short}; gap frames {len(notices)}")
    print(f"memory {run.samples[0][1] / 1e6:.1f} MB -> {first[1] / 1e6:.1f} at half -> {final[1] / 1e6:.1f} MB")
    print(f"slope in the second half {growth:+.3f} MB/min (goal {GOAL})")
    print(f"descriptors {first[2]} at half, {final[2]} at the end; tasks {first[3]} and {final[3]}")
    level = final[2] <= first[2] + 2 and final[3] <= first[3] + 2
    return not wrong and not short and not notices and level and growth < GOAL


def main() -> int:
    """0 if every goal is met; the memory's goal counts only in a run of five minutes or more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="10 seconds at 2,000 trades a second")
    chosen = parser.parse_args()
    seconds, rate = (10.0, 2000) if chosen.short else (chosen.seconds, chosen.rate)
    run, readers, last = run_loop(soak(seconds, rate, chosen.clients, chosen.seed))
    good = report(run, readers, last)
    whole = not sum(reader.wrong for reader in readers) and all(reader.last == last for reader in readers)
    return 0 if good or (seconds < 300 and whole) else 1


if __name__ == "__main__":
    sys.exit(main())
