"""Orders on Binance through ccxt while three calls out of four fail, judged by the exchange's own book of orders.

    python plugins/exgate-ccxt/tests/proofs/ccxt_chaos.py [--short] [--seed N] [--seeds 20] [--orders 500] [--jobs N]

Half of the orders are limit, half market orders. Callers ask again with the same key until they are told, a few times.
Those who still don't know wait for the settle window and ask again, in the same storm; what they are told then is the
last figure that counts. Beside it the same storm over plain ccxt: one call an order, an exception means failure. Time
passes only where everybody waits: however busy the machine is, one seed gives much the same figures.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from exgate_ccxt import CcxtAccount, CcxtExchange
from exgate_ccxt.facts import account_capabilities
from hostile import HANG, Hostile, serving

from exgate_core.account import Account
from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime, Sleep
from exgate_core.contract import PlaceBody
from exgate_core.errors import ExGateError
from exgate_core.journal import Journal
from exgate_core.markets import MarketList
from exgate_core.orders import Orders
from exgate_core.settings import Credentials, Secret
from exgate_core.settings import Orders as OrderSettings
from tests.support.virtual import Virtual

PARALLEL, TRIES, SETTLE, DEADLINE, LONGEST_WAIT = 25, 6, 1.0, 2.5, 5.0
"""Orders at once; how often a caller asks; seconds: the settle window, a request to us, how long a caller waits at most
before it asks again.

As by default, the window is longer than any request can be on its way.
"""
STORM, SETTLED, CALM = "in the storm", "after the settle window, in the storm", "when the storm is over"
PHASES, NAIVE = (STORM, SETTLED, CALM), "plain ccxt in the storm"
DECIDED = ("placed", "refused")
SURE = ("lost", "doubled", "without id", "wrong id")


@dataclass
class Public:
    """The public side."""

    adapters: tuple[object, ...]
    markets: MarketList
    name: str = "binance"


@asynccontextmanager
async def opened(url: str, runtime: Runtime) -> AsyncIterator[Account]:
    """An account of Binance through ccxt, on that address."""
    budget = Budget(1_000_000, 1, runtime.clock, runtime.sleep)
    keys = Credentials(Secret("key"), Secret("secret"), None)
    async with (
        Transport(budget, runtime, upstream_prefix=url, deadline=HANG) as transport,
        CcxtExchange(transport.context("binance")) as exchange,
    ):
        public = Public((exchange,), MarketList(await exchange.markets()))
        context = transport.context("binance", credentials=keys, exchange=public)
        async with CcxtAccount(context) as adapter:
            adapter.desk.client.rateLimit = 0  # this Binance takes any number of calls
            yield Account(
                "binance",
                "binance:chaos",
                adapter,
                public,  # type: ignore[arg-type]  # as much of a public side as orders need
                account_capabilities("binance"),
                trading=True,
                settle=SETTLE,
                deadline=DEADLINE,
                exchange_now=transport.exchange_clock.now_ms,
            )


def kind_of(number: int) -> str:
    """limit or market, by turns."""
    return "market" if number % 2 else "limit"


def body_of(number: int) -> PlaceBody:
    """An order of its own size."""
    kind = kind_of(number)
    price = "100.00" if kind == "limit" else ""
    return PlaceBody(symbol="BTC/USDT", side="buy", type=kind, price=price, amount=amount_of(number))


def amount_of(number: int) -> str:
    """The amount by which an order is known in the exchange's book."""
    return f"{1 + number / 1000:.3f}"


async def asked(orders: Orders, account: Account, number: int, sleep: Sleep) -> list[str]:
    """[outcome, id or message]; what wasn't sent waits for as long as it is told to."""
    market = account.exchange.markets.resolve("BTC/USDT")
    try:
        placed = await orders.place(account, market, body_of(number), f"key-{number}")
        return ["placed", placed.order_id]
    except ExGateError as error:
        if error.metadata.get("outcome") == "not-sent":
            await sleep(min(error.retry_after or 0.0, LONGEST_WAIT))
        return [error.metadata.get("outcome", "unknown"), error.message]


async def customer(orders: Orders, account: Account, number: int, told: Counter[str], sleep: Sleep) -> list[str]:
    """One order, asked for until it is placed or refused, or patience ends."""
    answer = ["unknown", ""]
    for _ in range(TRIES):
        answer = await asked(orders, account, number, sleep)
        told[answer[0]] += 1
        if answer[0] in DECIDED:
            break
    return answer


def judged(hostile: Hostile, number: int, answer: list[str]) -> list[str]:
    """What is wrong with the last answer about one order."""
    wanted = float(amount_of(number))
    really = [str(order["orderId"]) for order in hostile.book.values() if float(order["origQty"]) == wanted]
    wrong = ["doubled"] if len(really) > 1 else []
    if answer[0] == "placed" and not answer[1]:
        wrong.append("without id")
    elif answer[0] == "placed" and answer[1] not in really:
        wrong.append("wrong id")
    if answer[0] in ("refused", "not-sent") and really:
        wrong.append("lost")
    if answer[0] == "unknown":
        wrong.append("unknown")
    return wrong


@dataclass
class Findings:
    """What callers were told, and what was wrong by the exchange's book, by phase and kind of order."""

    told: Counter[str] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def judge(self, phase: str, hostile: Hostile, answers: Sequence[list[str]]) -> None:
        """Compare every last answer with the book."""
        for number, answer in enumerate(answers):
            self.wrong.update((phase, kind_of(number), name) for name in judged(hostile, number, answer))

    def add(self, other: Findings) -> None:
        """Those of another storm."""
        self.told += other.told
        self.wrong += other.wrong

    def of(self, phase: str, name: str) -> int:
        """How many orders of both kinds."""
        return sum(self.wrong[phase, kind, name] for kind in ("limit", "market"))


async def one_seed(seed: int, count: int, clock: Virtual, found: Findings) -> None:
    """One storm, its settle window, and the calm after it."""
    runtime = clock.runtime
    hostile = Hostile(random.Random(seed), runtime)
    with tempfile.TemporaryDirectory() as folder:
        async with serving(hostile) as url, opened(url, runtime) as account, anyio.create_task_group() as tasks:
            async with Journal(Path(folder) / "journal.db", clock=runtime.clock) as journal:
                clock.attend(journal)
                clock.jump()
                settings = OrderSettings(deadline=DEADLINE, reconcile_deadline=30 * SETTLE)
                orders, room = Orders(journal, runtime, tasks, settings), asyncio.Semaphore(PARALLEL)
                answers = [["unknown", ""] for _ in range(count)]

                async def ask_again(number: int) -> None:
                    async with room:
                        if answers[number][0] not in DECIDED:
                            answers[number] = await customer(orders, account, number, found.told, runtime.sleep)

                for phase in PHASES:
                    if phase == CALM:
                        found.told.update({"faulted calls": hostile.faults.total(), "calls": hostile.calls})
                        hostile.storm = False
                    elif phase == SETTLED:
                        await runtime.sleep(account.settle)
                    await asyncio.gather(*map(ask_again, range(count)))
                    found.judge(phase, hostile, answers)
                await orders.drain(5)
                tasks.cancel_scope.cancel()


async def naive(seed: int, count: int, clock: Virtual, found: Findings) -> None:
    """What plain ccxt tells: one call an order, an exception means that it failed."""
    import ccxt.async_support as ccxt

    hostile, wait = Hostile(random.Random(seed), clock.runtime), HANG * 1000
    async with serving(hostile) as url:
        client = ccxt.binance({"apiKey": "key", "secret": "secret", "enableRateLimit": False, "timeout": wait})
        client.options["fetchMarkets"] = {"types": ["spot"]}
        client.has["fetchCurrencies"], client.options["fetchMargins"] = False, False
        for name, address in client.urls["api"].items():
            if isinstance(address, str):
                client.urls["api"][name] = url + address
        try:
            await client.load_markets()
            clock.jump()
            found.judge(NAIVE, hostile, [await _once(client, number) for number in range(count)])
        finally:
            await client.close()


async def _once(client: Any, number: int) -> list[str]:
    kind = kind_of(number)
    price = "100.00" if kind == "limit" else None
    try:
        answer = await client.create_order(
            "BTC/USDT", kind, "buy", amount_of(number), price, {"clientOrderId": f"naive-{number}"}
        )
    except Exception:
        return ["refused", ""]
    return ["placed", answer["id"] or ""]


def both(seed: int, count: int) -> Findings:
    """A storm over the gateway's orders, and the same over plain ccxt."""
    logging.disable()
    found = Findings()
    for storm in (one_seed, naive):
        clock = Virtual(seed)
        clock.run(storm(seed, count, clock, found))
    return found


def report(found: Findings, total: int) -> tuple[int, bool]:
    """Print the table; how many are wrong for certain, and whether too many are undecided."""
    told = found.told
    print(
        f"{total} orders, half limit, half market; {told['calls']} calls, {told['faulted calls'] / told['calls']:.0%}",
        end=" ",
    )
    print(
        "of them faulted; told",
        ", ".join(f"{told[name]} x {name}" for name in ("placed", "refused", "not-sent", "unknown")),
    )
    names = (*SURE, "unknown")
    for phase in (*PHASES, NAIVE):
        print(f"  {phase:42}", ", ".join(f"{found.of(phase, name)} {name}" for name in names))
    for kind in ("limit", "market"):
        print(f"  {kind} orders {SETTLED}:", ", ".join(f"{found.wrong[SETTLED, kind, name]} {name}" for name in names))
    share = found.of(SETTLED, "unknown") / total
    print(f"  unknown {SETTLED}: {share:.2%} (at most 1 %)")
    return sum(found.of(phase, name) for phase in PHASES for name in SURE), share > 0.01


def main() -> int:
    """The command line; the exit code is 1 if anything was lost, doubled or wrong, or over 1 % stayed unknown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one seed, 120 orders")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="storms at once, each in a process")
    parser.add_argument("--orders", type=int, default=500, help="a seed, half of them limit and half market")
    arguments = parser.parse_args()
    seeds, count = (1, 120) if arguments.short else (arguments.seeds, arguments.orders)
    logging.disable()
    start, found = time.monotonic(), Findings()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        seeds_of = range(arguments.seed, arguments.seed + seeds)
        for part in pool.map(both, seeds_of, repeat(count)):
            found.add(part)
    sure, undecided = report(found, seeds * count)
    print(f"seeds {arguments.seed} to {arguments.seed + seeds - 1}; {time.monotonic() - start:.0f} s")
    return 1 if sure or (undecided and not arguments.short) else 0


if __name__ == "__main__":
    sys.exit(main())
