"""An exchange in trouble: how much it is asked meanwhile, and what another exchange's callers notice of it.

    python tests/proofs/outage.py [--short]

The exchange drops, hangs, answers 503, 429 or with HTML. 50 clients ask for 20 books, each once a second; goal: at most
1.1 questions reach it per question of a caller (429: a tenth at most, for it asked for a pause). Beside it, reads of
the paper exchange: their p99 may rise by 20 ms at most.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiohttp
from aiohttp import web

from exgate_core.settings import Plugins, Section, Server, Settings
from tests.proofs.front_tools import quantile
from tests.support.fake_binance import FakeBinance
from tests.support.measuring import Child, child, run_loop, serve_exgate

MARKETS, CLIENTS = 20, 50
PAUSE = 1.0
"""Seconds between two questions of a client: all together stay within the exchange's own limits."""
GOAL, PAUSED_GOAL, LATER = 1.1, 0.1, 0.020


class Trouble:
    """A Binance that answers its market list, and everything else as it is told."""

    def __init__(self) -> None:
        self.how = "well"
        self.asked = 0
        self._fake = FakeBinance(MARKETS, levels=5)
        self._over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        if "exchangeInfo" in request.path or self.how == "well":
            return web.Response(body=self._fake.answer(request.raw_path), content_type="application/json")
        self.asked += 1
        assert request.transport is not None
        if self.how == "drops":
            request.transport.abort()
        elif self.how == "hangs":
            await self._over.wait()
        elif self.how == "503":
            return web.Response(status=503, text="<html>maintenance</html>", content_type="text/html")
        elif self.how == "429":
            body = '{"code":-1003,"msg":"Too many requests."}'
            return web.Response(status=429, text=body, headers={"Retry-After": "30"}, content_type="application/json")
        return web.Response(text="<html>welcome</html>", content_type="text/html")

    def end(self) -> None:
        """Let go of what hangs."""
        self._over.set()


@asynccontextmanager
async def trouble() -> Any:
    """The exchange, listening."""
    found = Trouble()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield found, f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        found.end()
        await runner.cleanup()


def settings_of(plugin: str, prefix: str, folder: Path) -> Settings:
    """The exchange in trouble, and paper beside it."""
    return Settings(
        server=Server(port=0, state_dir=str(folder), deadline=1.0),
        plugins=Plugins(load=(plugin, "exgate-paper")),
        exchanges={"binance": Section(exchange="binance", plugin=plugin, upstream_prefix=prefix)},
    )


async def ask_on(session: aiohttp.ClientSession, number: int, until: float) -> tuple[int, int]:
    """One client: how often it asked, and how often it got 200."""
    asked = fine = 0
    while time.monotonic() < until:
        symbol = f"C{number % (MARKETS - 2):04d}/USDT"
        async with session.get(f"/v1/binance/depth?symbol={symbol}&limit=5") as answer:
            asked, fine = asked + 1, fine + (answer.status == 200)
            await answer.read()
        await asyncio.sleep(PAUSE)
    return asked, fine


async def watch(session: aiohttp.ClientSession, until: float) -> list[float]:
    """How long the paper exchange's reads take meanwhile."""
    took = []
    while time.monotonic() < until:
        start = time.perf_counter()
        async with session.get("/v1/paper/depth?symbol=BTC/USDT&limit=20") as answer:
            await answer.read()
            assert answer.status == 200
        took.append(time.perf_counter() - start)
        await asyncio.sleep(0.005)
    return took


async def one(seconds: float, exchange: Trouble, how: str, session: aiohttp.ClientSession, calm: float) -> bool:
    """One kind of trouble."""
    exchange.how, exchange.asked = how, 0
    until = time.monotonic() + seconds
    asking: list[Awaitable[tuple[int, int]]] = [ask_on(session, number, until) for number in range(CLIENTS)]
    took, *found = await asyncio.gather(watch(session, until), *asking)
    asked, fine = sum(each[0] for each in found), sum(each[1] for each in found)
    share, p99 = exchange.asked / asked, quantile(took, 0.99)
    goal = PAUSED_GOAL if how == "429" else GOAL
    # the last answers' questions may still be under way upstream
    good = share <= goal and fine == 0 and p99 - calm <= LATER
    print(
        f"  {how:6} callers asked {asked:5}, reached the exchange {exchange.asked:5}: {share:.3f} (goal {goal}); "
        f"answered 200: {fine}; paper p99 {p99 * 1e3:.1f} ms, {(p99 - calm) * 1e3:+.1f} (goal +20) "
        f"{'' if good else 'MISSED'}",
        flush=True,
    )
    return good


async def measure(plugin: str, seconds: float) -> bool:
    """Every kind of trouble behind one plugin, each with a gateway of its own: what a budget counts ends with it."""
    print(f"{plugin}:")
    good = True
    async with trouble() as (exchange, prefix):
        for how in ("drops", "503", "HTML", "hangs", "429"):
            exchange.how = "well"
            with TemporaryDirectory() as folder, child(serve_exgate, settings_of(plugin, prefix, Path(folder))) as made:
                gateway: Child = made
                base, connector = f"http://127.0.0.1:{await gateway.hear()}", aiohttp.TCPConnector(limit=0)
                async with aiohttp.ClientSession(base, connector=connector) as session:
                    calm = await well(session, seconds)
                    good = await one(seconds, exchange, how, session, calm) and good
    return good


async def well(session: aiohttp.ClientSession, seconds: float) -> float:
    """The p99 of the paper exchange's reads while the other one is asked as much and answers."""
    until = time.monotonic() + 1.0
    while (await ask_on(session, 0, until))[1] == 0:  # it opens
        until = time.monotonic() + 1.0
    until = time.monotonic() + seconds / 2
    took, *_ = await asyncio.gather(
        watch(session, until), *(ask_on(session, number, until) for number in range(CLIENTS))
    )
    return quantile(took, 0.99)


def main() -> int:
    """0 if every goal is met; in a short run only what must never happen counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two seconds each instead of ten")
    chosen = parser.parse_args()
    run: Callable[[str], bool] = lambda plugin: run_loop(measure(plugin, 2.0 if chosen.short else 10.0))  # noqa: E731
    results = [run(plugin) for plugin in ("exgate-binance", "exgate-ccxt")]
    return 0 if all(results) or chosen.short else 1


if __name__ == "__main__":
    sys.exit(main())
