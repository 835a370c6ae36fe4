"""What one trade costs from Binance's socket to the contract's bytes, against ccxt.pro's watch_trades.

This process is the exchange and floods a process with ExGate's client, exgate-binance and a trade feed, then one with
ccxt.pro, in turns, with the same trades: in a combined stream's envelope for ExGate, which subscribes so, and bare for
ccxt, as it does. ExGate's are done when they lie encoded on the tape, ccxt's when they are dicts. Processor time of
the process per trade; the goal is 0.03 of ccxt's. The second figure, with one trade at a time, has no goal: most of it
is the kernel's. ccxt's short cut past aiohttp's queue is off, for with aiohttp 3.14 it hangs.

    python tests/bench/trade_ingest.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import logging
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.exchange import open_exchange
from exgate_core.feeds import Feeds
from exgate_core.settings import Local
from tests.support.fake_binance import FakeBinance, fake_binance
from tests.support.measuring import Child, Orders, ratio, run_loop

GOAL = 0.03
PAUSE = 0.002
AT_ONCE = {"BTCUSDT": 2000, "ETHUSDT": 200}


async def until(condition: Callable[[], bool]) -> None:
    """Look every now and then, so that waiting costs nothing per trade."""
    while not condition():  # noqa: ASYNC110 - an event would have to be set for each trade
        await asyncio.sleep(PAUSE)


async def exgate(orders: Orders, prefix: str) -> None:
    """A trade feed of BTC/USDT; each order is the id to wait for, answered by the seconds until then."""
    from exgate_binance import Binance
    from exgate_binance.hosts import HOSTS

    runtime = Runtime()
    budget = Budget(6000, 60.0, runtime.clock, runtime.sleep)
    async with Transport(budget, runtime, upstream_prefix=prefix) as transport, anyio.create_task_group() as tasks:
        adapter = Binance(transport.context("binance"))
        async with open_exchange("binance", [(adapter, HOSTS["binance"].capabilities)], 10.0) as exchange:
            feeds = Feeds(exchange, tasks, runtime, Local())
            market = exchange.markets.resolve("BTC/USDT")
            feeds.pin(market)
            tape = feeds.trades(market).tape
            while (last := await orders.next()) is not None:
                orders.say(True)
                before = time.process_time()
                await until(lambda: tape.since == str(last))
                orders.say(time.process_time() - before)
                assert tape.ring.id_before(tape.ring.end) == str(last)
            await feeds.stop()
            tasks.cancel_scope.cancel()


def ccxt_client(prefix: str) -> Any:
    """ccxt.pro's Binance, asked by way of a prefix."""
    # It takes messages out of aiohttp's queue itself, on which new versions of that miscount and stop reading for ever.
    importlib.import_module("ccxt.async_support.base.ws.client").Client.buffer = None
    client: Any = importlib.import_module("ccxt.pro").binance({"enableRateLimit": False})
    client.options["fetchMarkets"] = {"types": ["spot"]}
    client.has["fetchCurrencies"] = False
    client.urls["api"] = _redirected(client.urls["api"], prefix)
    return client


async def ccxt(orders: Orders, prefix: str) -> None:
    """watch_trades of ETH/USDT in a loop; orders as above."""
    client = ccxt_client(prefix)

    async def watch() -> None:
        while True:
            await client.watch_trades("ETH/USDT")

    def newest() -> Any:
        # In its cache: watch_trades itself doesn't return for what comes while nobody waits in it.
        return client.trades["ETH/USDT"][-1]["id"] if client.trades.get("ETH/USDT") else None

    watching = asyncio.create_task(watch())
    try:
        while (last := await orders.next()) is not None:
            orders.say(True)
            before = time.process_time()
            await until(lambda: watching.done() or newest() == str(last))
            assert not watching.done(), watching
            orders.say(time.process_time() - before)
    finally:
        watching.cancel()
        await client.close()


def _redirected(urls: Any, prefix: str) -> Any:
    if isinstance(urls, dict):
        return {name: _redirected(value, prefix) for name, value in urls.items()}
    if not isinstance(urls, str):
        return urls
    return re.sub(r"^(http|ws)s://", lambda found: prefix.replace("http", found[1], 1) + found[0], urls)


async def flood(fake: FakeBinance, name: str, consumer: Child, at_once: int, times: int) -> float:
    """Seconds of the consumer's processor time per trade."""
    spent = 0.0
    for _ in range(times):
        await consumer.ask(fake.last[name] + at_once)
        fake.trade(name, at_once)
        try:
            spent += await consumer.hear()
        except TimeoutError:
            raise TimeoutError(f"the consumer of {name} did not get trade {fake.last[name]}") from None
    return spent / (at_once * times)


async def measure(rounds: int, count: int, single: int) -> tuple[list[list[float]], list[list[float]]]:
    """Seconds per trade by round, of a flood and of single trades, for each consumer; ccxt's are empty without it."""
    consumers: dict[str, Any] = {"BTCUSDT": exgate, "ETHUSDT": ccxt}
    if importlib.util.find_spec("ccxt") is None:
        del consumers["ETHUSDT"]
    floods: list[list[float]] = [[], []]
    singles: list[list[float]] = [[], []]
    async with fake_binance() as fake:
        children = {name: Child(main, fake.prefix) for name, main in consumers.items()}
        try:
            for number in range(rounds + 1):
                for place, (name, consumer) in enumerate(children.items()):
                    await fake.followed(name)
                    found = await flood(fake, name, consumer, AT_ONCE[name], count // AT_ONCE["ETHUSDT"])
                    alone = await flood(fake, name, consumer, 1, single)
                    if number:
                        floods[place].append(found)
                        singles[place].append(alone)
        finally:
            for consumer in children.values():
                consumer.close()
    return floods, singles


def main() -> int:
    """0 if the goal is met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--trades", type=int, default=4000, help="per round, for ccxt; ExGate gets ten times these")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if importlib.util.find_spec("exgate_binance") is None:
        print("skipped: exgate-binance isn't installed")
        return 0
    rounds, count, single = (2, 400, 20) if chosen.smoke else (chosen.rounds, chosen.trades, 100)
    floods, singles = run_loop(measure(rounds, count, single))
    for name, place in (("exgate", 0), ("ccxt.pro", 1)):
        if floods[place]:
            many, one = (statistics.median(seconds[place]) * 1e6 for seconds in (floods, singles))
            print(f"{name}: {many:.2f} us per trade in a flood, {one:.0f} us for a single one")
    if not floods[1]:
        print("ccxt isn't installed: no ratio")
        return 0
    found = ratio(*floods)
    print(f"trade_ingest, single trades: {ratio(*singles):.3f}")
    print(f"trade_ingest {found:.4f} (goal {GOAL})")
    return 0 if chosen.smoke or found <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
