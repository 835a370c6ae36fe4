"""Streams from outside: a stalled reader among a hundred, connections that come and go, a stop with 200 open."""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from exgate_core.settings import Local, Section
from tests.proofs.front_tools import BTC, Caller, Figures, Running, calling, gateway, quantile, terminate, watch_latency
from tests.support.front import Heard, House, Wire, house, reached
from tests.support.serving import settings_for

READERS = 99
RATE = 200
CYCLES = 500
OPEN = 200
PATH = "/v1/paper/pull_trade?symbol=BTC/USDT"


def stalled(seed: int, short: bool) -> list[str]:
    """A hundred readers of one market, of which one stops reading, and one that takes nine frames of ten."""
    seconds = 15.0 if short else 120.0
    title = f"3. {READERS} readers, one that stalls, one slow by a tenth, at {RATE} market moves/s, {seconds:g} s"
    figures = Figures(title)
    with tempfile.TemporaryDirectory() as name:
        paper = {"rate": RATE, "seed": seed, "markets": [BTC]}
        with gateway(Path(name), paper=paper) as running:
            asyncio.run(_follow(figures, running.url, seconds))
    return figures.failed


async def _follow(figures: Figures, url: str, seconds: float) -> None:
    lags: list[float] = []
    readers = [Heard() for _ in range(READERS)]
    slow, deaf, gone = Heard(), Heard(), 0.0
    async with calling(url) as caller:
        deaf_wire, slow_wire = await Wire.open(url), await Wire.open(url)
        following = [asyncio.ensure_future(_listen(caller, heard, lags)) for heard in readers]
        taking = asyncio.ensure_future(_take_slowly(slow_wire, slow, 0.9))
        deaf.take(*await deaf_wire.next())
        start = time.monotonic()
        with suppress(TimeoutError):
            gone = await reached(lambda: _readers(caller, READERS + 1), seconds)
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - start)))
        newest = (await caller.get("/v1/paper/recent_trades?symbol=BTC/USDT&limit=1&isLocal=true")).body["trades"]
        await reached(lambda: all(heard.ids[-1] >= newest[0]["id"] for heard in readers))
        lasted = time.monotonic() - start
        for task in (*following, taking):
            task.cancel()
        await asyncio.gather(*following, taking, return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(deaf.rest(deaf_wire), 20)
    deaf_wire.leave("reset")
    slow_wire.leave("reset")
    figures.say("trades per second", f"{(readers[0].ids[-1] - readers[0].ids[0]) / lasted:.0f}")
    figures.say("trades delivered", f"{sum(len(heard.ids) for heard in readers):,}")
    _judge(figures, "of the 99", readers)
    _judge(figures, "of the slow one", [slow])
    figures.say("trades the slow one got", f"{len(slow.ids):,} of {readers[0].ids[-1] - slow.ids[0] + 1:,}")
    figures.goal("lag p50 (trade made -> client has it)", quantile(lags, 0.5), 0.05)
    figures.goal("lag p99", quantile(lags, 0.99), 0.1)
    figures.goal("worst lag", max(lags), 0.5)
    figures.say("the stalled one was let go after seconds", f"{gone:.1f}" if gone else "not yet: TCP holds it all")
    figures.say("its close code, once it reads again (0 = cut)", deaf.code)
    figures.say("what it was told last", deaf.statuses[-1]["status"])
    figures.say("trades it got, once it reads again", f"{len(deaf.ids):,}")
    _judge(figures, "of what the stalled one got", [deaf])


def _judge(figures: Figures, whose: str, readers: Sequence[Heard]) -> None:
    figures.never(f"trades missing {whose}", sum(heard.missing for heard in readers))
    figures.never(f"trades doubled or out of order {whose}", sum(heard.misplaced for heard in readers))
    told = [status for heard in readers for status in heard.statuses if status["status"] in ("gap", "lagging")]
    figures.never(f"gap or lagging frames {whose}", len(told))


async def _readers(caller: Caller, wanted: int) -> bool:
    pulls = (await caller.get("/v1/paper/pulls")).body["pulls"]
    await asyncio.sleep(0.1)
    return [pull["readers"] for pull in pulls if pull["stream"] == "trades"] == [wanted]


async def _listen(caller: Caller, heard: Heard, lags: list[float]) -> None:
    async with caller.stream() as stream:
        async for message in stream:
            now = time.time()
            heard.take(1, message.data.encode())
            found = json.loads(message.data)
            if len(heard.ids) > RATE and "trades" in found:
                lags.append(now - found["trades"][0]["time"] / 1000)


async def _take_slowly(wire: Wire, heard: Heard, share: float) -> None:
    """Frames at a share of the rate at which they come: the pause after each grows with the time it took to come."""
    while True:
        start = time.monotonic()
        heard.take(*await wire.next())
        await asyncio.sleep(max((time.monotonic() - start) / share, 0.02 / share))


def lagging(seed: int, short: bool) -> list[str]:
    """A reader that stalls while more is traded than the gateway keeps: told what it lost, then 1008."""
    figures = Figures("3b. A reader that stalls for a burst larger than the memory of the stream")
    with tempfile.TemporaryDirectory() as name:
        section = Section(exchange="paper", extra={"rate": 0.0, "seed": seed})
        with house(settings_for(Path(name), paper=section)) as home:
            asyncio.run(_burst(figures, home, 60_000 if short else 150_000))
    return figures.failed


async def _burst(figures: Figures, home: House, trades: int) -> None:
    keen, deaf = Heard(), Heard()
    keen_wire, deaf_wire = await Wire.open(home.url, room=1 << 20), await Wire.open(home.url)
    keen.take(*await keen_wire.next())
    deaf.take(*await deaf_wire.next())
    gateway = home.served.gateway
    market = gateway.entries["paper"].exchange.adapters[0].market  # type: ignore[attr-defined]

    async def trade() -> None:
        market.run("BTC/USDT", 500)

    start = time.monotonic()
    for number in range(trades // 500):
        home.run(trade())
        while len(keen.ids) < (number + 1) * 500:
            keen.take(*await keen_wire.next())
    took = time.monotonic() - start
    await deaf.rest(deaf_wire)
    keen_wire.leave("reset")
    deaf_wire.leave("reset")
    figures.say("trades in the burst, and how long it took", f"{trades:,} in {took:.1f} s")
    _judge(figures, "of the other reader", [keen])
    figures.always("close code of the one that stalled", deaf.code, 1008)
    last = deaf.statuses[-1]
    figures.always("what it was told last", last["status"], "lagging")
    figures.never("trades missing before that frame", deaf.missing)
    wrong = int(last.get("before_id", 0)) - deaf.ids[-1] - 1 - int(last.get("lost", 0))
    figures.never("trades lost and not told", abs(wrong))
    figures.say("trades it was told to have lost", last.get("lost"))


def cycles(seed: int, short: bool) -> list[str]:
    """Connections that come and go in every way, beside somebody who asks for the book."""
    figures = Figures(f"4. {CYCLES} streams that come and go: close frame, FIN, RST, before and after the first frame")
    with tempfile.TemporaryDirectory() as name:
        section = Section(exchange="paper", extra={"rate": 20.0, "seed": seed})
        settings = replace(settings_for(Path(name), paper=section), local=Local(idle_stop=0.5))
        with house(settings) as home:
            asyncio.run(_cycle(figures, home, random.Random(seed)))
    return figures.failed


async def _cycle(figures: Figures, home: House, dice: random.Random) -> None:
    took: list[float] = []
    async with calling(home.url) as caller:
        await caller.get("/v1/paper/depth?symbol=BTC/USDT")
        tasks, files = home.tasks, _files()
        asking = asyncio.ensure_future(watch_latency(caller, "/v1/paper/depth?symbol=BTC/USDT&limit=20", took))
        start = time.monotonic()
        for first in range(0, CYCLES, 10):
            await asyncio.gather(*(_visit(home.url, dice) for _ in range(first, first + 10)))
        lasted = time.monotonic() - start
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        ended = time.monotonic()

        left: dict[str, int] = {}

        async def quiet() -> bool:
            left["feeds left"] = len((await caller.get("/v1/paper/pulls")).body["pulls"])
            left["tasks more than before"] = max(0, home.tasks - tasks)
            left["file descriptors more than before"] = max(0, _files() - files)
            return not any(left.values())

        with suppress(TimeoutError):
            await reached(quiet, 10)
        back = time.monotonic() - ended
        figures.say("cycles per second", f"{CYCLES / lasted:.0f}")
        figures.goal("until all is as before (idle_stop 0.5 s)", back, 2.0)
        for name, count in left.items():
            figures.never(name, count)
        figures.say("reads meanwhile", len(took))
        figures.goal("GET depth p99 meanwhile", quantile(took, 0.99), 0.05)


async def _visit(url: str, dice: random.Random) -> None:
    symbol = dice.choice(("BTC/USDT", "ETH/USDT", "ETH/BTC"))
    wire = await Wire.open(url, f"/v1/paper/pull_trade?symbol={symbol}")
    for _ in range(dice.randrange(3)):
        await wire.next()
    wire.leave(dice.choice(("close", "fin", "reset")))


def _files() -> int:
    return len(os.listdir("/proc/self/fd"))


def going_away(seed: int, short: bool) -> list[str]:
    """SIGTERM with 200 streams open, a few of them deaf."""
    figures = Figures(f"5. SIGTERM with {OPEN} streams open")
    for deaf in (0, 3):
        with tempfile.TemporaryDirectory() as name:
            paper = {"rate": 20.0, "seed": seed}
            with gateway(Path(name), paper=paper) as running:
                codes, missing, told = asyncio.run(_end(running, deaf))
                code = running.process.wait(40)
                took = time.monotonic() - told
        figures.always(f"close codes, {deaf} clients deaf", sorted(set(codes)), [1012])
        figures.always("streams that got it", len(codes), OPEN)
        figures.never("trades missing before it", missing)
        figures.always("exit code", code, 0)
        figures.goal("from SIGTERM to the end of the process", took, 3.0 if not deaf else 6.0)
    return figures.failed


async def _end(running: Running, deaf: int) -> tuple[list[int], int, float]:
    url = running.url
    heards, wires = [Heard() for _ in range(OPEN)], [await Wire.open(url) for _ in range(OPEN)]
    silent = [await Wire.open(url) for _ in range(deaf)]
    reading = [asyncio.ensure_future(heard.rest(wire)) for heard, wire in zip(heards, wires, strict=True)]
    await reached(lambda: all(heard.ids for heard in heards), 30)
    told = terminate(running)
    await asyncio.gather(*reading)
    for wire in (*wires, *([] if deaf else silent)):
        wire.leave("fin")
    return [heard.code for heard in heards], sum(heard.missing for heard in heards), told


PROOFS: dict[str, Callable[[int, bool], list[str]]] = {
    "stalled": stalled,
    "lagging": lagging,
    "cycles": cycles,
    "going-away": going_away,
}
