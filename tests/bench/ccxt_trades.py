"""Trades through ccxt.pro: what ExGate adds to each, and how many arrive in a flood.

This process is the exchange and floods a process with exgate-ccxt and a trade feed, then one with ccxt.pro alone, in
turns. ExGate's trades are done when they lie encoded on the tape, ccxt's when they are dicts in its cache. Processor
time of the process per trade; the goal is 1.15 of ccxt's. ``trade_completeness``: of the trades of one burst, how many
reach a WebSocket client of a whole gateway (once, in order, or said to be missing), and how many watch_trades returns,
where the consumer is busy for 0.1 s whenever it has taken what was there; the goal is 1.
ccxt's short cut past aiohttp's queue is off for ccxt alone, for with aiohttp 3.14 it hangs.

    python tests/bench/ccxt_trades.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import aiohttp
import anyio

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.exchange import open_exchange
from exgate_core.feeds import Feeds
from exgate_core.models import Market
from exgate_core.settings import Local, Section, Server, Settings
from tests.bench.trade_ingest import ccxt, ccxt_client, flood, until
from tests.support.fake_binance import FIRST_ID, FakeBinance, fake_binance
from tests.support.measuring import Child, Orders, child, ratio, run_loop, serve_exgate

GOAL, COMPLETE = 1.15, 1.0
OURS, THEIRS = "BTCUSDT", "ETHUSDT"
AT_ONCE = 200
BUSY = 0.1


class Arrived(NamedTuple):
    """What a consumer got of a burst."""

    trades: int
    """Distinct trades."""
    ordered: bool
    """Each later than the one before."""
    said: int
    """Frames that said that trades are missing."""


@asynccontextmanager
async def feeds_of(prefix: str) -> AsyncIterator[tuple[Feeds, Market]]:
    """The feeds of Binance through ccxt, and BTC/USDT."""
    from exgate_ccxt import CcxtExchange
    from exgate_ccxt.table import exchange_capabilities

    runtime = Runtime()
    budget = Budget(10_000, 10.0, runtime.clock, runtime.sleep)
    with TemporaryDirectory() as folder:
        transport = Transport(budget, runtime, upstream_prefix=prefix, cache=Path(folder))
        async with transport, anyio.create_task_group() as tasks:
            adapter = CcxtExchange(transport.context("binance"))
            stated = exchange_capabilities("binance")
            async with open_exchange("binance", [(adapter, stated)], 10.0) as exchange:
                feeds = Feeds(exchange, tasks, runtime, Local())
                yield feeds, exchange.markets.resolve("BTC/USDT")
                await feeds.stop()
                tasks.cancel_scope.cancel()


async def exgate(orders: Orders, prefix: str) -> None:
    """A trade feed; each order is the id to wait for, answered by the seconds of processor time until then."""
    async with feeds_of(prefix) as (feeds, market):
        feeds.pin(market)
        tape = feeds.trades(market).tape
        while (last := await orders.next()) is not None:
            orders.say(True)
            before = time.process_time()
            await until(lambda: tape.since == str(last))
            orders.say(time.process_time() - before)


async def exgate_arrived(fake: FakeBinance, burst: int) -> Arrived:
    """What arrives of one burst at a client of a gateway, after one trade before."""
    section = Section(exchange="binance", plugin="exgate-ccxt", upstream_prefix=fake.prefix)
    ids: list[int] = []
    said = 0
    with TemporaryDirectory() as folder:
        settings = Settings(server=Server(port=0, state_dir=folder), exchanges={"binance": section})
        with child(serve_exgate, settings) as gateway:
            url = f"http://127.0.0.1:{await gateway.hear()}/v1/binance/pull_trade?symbol=BTC/USDT"
            async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
                await fake.followed(OURS)
                for last in (fake.trade(OURS), fake.last[OURS] + burst):
                    fake.trade(OURS, last - fake.last[OURS])
                    while not said and (not ids or ids[-1] < last):
                        taken = [await socket.receive_json(timeout=30)]
                        while (frame := await _there(socket)) is not None:
                            taken.append(frame)
                        ids.extend(trade["id"] for frame in taken for trade in frame.get("trades", ()))
                        said += sum(frame.get("status") in ("gap", "lagging") for frame in taken)
                        await asyncio.sleep(BUSY)
    return _arrived([number for number in ids if number > FIRST_ID + 1], said)


async def _there(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next frame if it is already here."""
    try:
        return await socket.receive_json(timeout=0.001)
    except TimeoutError:
        return None


async def ccxt_reader(orders: Orders, prefix: str) -> None:
    """Reads watch_trades; each order is an id, answered with what has arrived when that one has."""
    client = ccxt_client(prefix)
    ids: list[int] = []

    async def watch() -> None:
        while True:
            ids.extend(int(trade["id"]) for trade in await client.watch_trades("ETH/USDT"))
            await asyncio.sleep(BUSY)

    def newest() -> int:
        return int(client.trades["ETH/USDT"][-1]["id"]) if client.trades.get("ETH/USDT") else 0

    watching = asyncio.create_task(watch())
    try:
        while (last := await orders.next()) is not None:
            await until(lambda: watching.done() or newest() >= last)
            await asyncio.sleep(2 * BUSY)  # what came while it was busy is in nobody's way any more
            orders.say(_arrived(ids, 0))
    finally:
        watching.cancel()
        await client.close()


def _arrived(ids: list[int], said: int) -> Arrived:
    return Arrived(len(set(ids)), all(a < b for a, b in pairwise(ids)), said)


async def costs(fake: FakeBinance, rounds: int, count: int) -> dict[str, list[float]]:
    """Seconds per trade, round by round, of each consumer."""
    found: dict[str, list[float]] = {OURS: [], THEIRS: []}
    consumers = {OURS: Child(exgate, fake.prefix), THEIRS: Child(ccxt, fake.prefix)}
    try:
        for number in range(rounds + 1):
            for name, consumer in consumers.items():
                await fake.followed(name)
                seconds = await flood(fake, name, consumer, AT_ONCE, count // AT_ONCE)
                if number:
                    found[name].append(seconds)
    finally:
        for consumer in consumers.values():
            consumer.close()
    return found


async def ccxt_arrived(fake: FakeBinance, burst: int) -> Arrived:
    """The same for watch_trades."""
    with child(ccxt_reader, fake.prefix) as consumer:
        await fake.followed(THEIRS)
        first: Arrived = await consumer.ask(fake.trade(THEIRS))
        last: Arrived = await consumer.ask(fake.trade(THEIRS, burst))
    return last._replace(trades=last.trades - first.trades)


async def measure(rounds: int, count: int, burst: int) -> bool:
    """Whether the goals are met."""
    async with fake_binance() as fake:
        found = await costs(fake, rounds, count)
    async with fake_binance() as fake:
        ours = await exgate_arrived(fake, burst)
        theirs = await ccxt_arrived(fake, burst)
    for name, seconds in (("exgate-ccxt", found[OURS]), ("ccxt.pro", found[THEIRS])):
        print(f"{name}: {statistics.median(seconds) * 1e6:.1f} us per trade")
    cost = ratio(found[OURS], found[THEIRS])
    print(f"ccxt_trades {cost:.3f} (goal {GOAL})")
    complete = ours.trades / burst
    print(f"trade_completeness of a burst of {burst}: {complete:.3f} (goal {COMPLETE:g}, or said), {ours}")
    print(f"trade_completeness, ccxt.pro: {theirs.trades / burst:.3f}, {theirs}")
    return cost <= GOAL and ours.ordered and (complete == COMPLETE or ours.said > 0)


def main() -> int:
    """0 if the goals are met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--trades", type=int, default=4000, help="per round")
    chosen = parser.parse_args()
    if importlib.util.find_spec("exgate_ccxt") is None:
        print("skipped: exgate-ccxt isn't installed")
        return 0
    rounds, count, burst = (2, 400, 3000) if chosen.smoke else (chosen.rounds, chosen.trades, 20_000)
    good = run_loop(measure(rounds, count, burst))
    return 0 if chosen.smoke or good else 1


if __name__ == "__main__":
    sys.exit(main())
