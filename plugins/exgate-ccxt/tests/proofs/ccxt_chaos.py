"""Orders on Binance through ccxt while three calls out of four fail, judged by the exchange's own book of orders.

    python plugins/exgate-ccxt/tests/proofs/ccxt_chaos.py [--short] [--seed N] [--seeds 20] [--orders 500] [--jobs N]

Half of the orders are limit, half market orders. Callers ask again with the same key until they are told, a few times.
Those who still don't know wait for the settle window and ask again, in the same storm; what they are told then is the
last figure that counts. Beside it the same storm over plain ccxt: one call an order, an exception means failure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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
from urllib.parse import parse_qsl, urlsplit

import anyio
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from exgate_ccxt import CcxtAccount, CcxtExchange
from exgate_ccxt.facts import account_capabilities
from streaming import FastClock

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
from tests.support.fake_binance import symbol_row

PARALLEL, TRIES, SETTLE, DEADLINE, HANG = 25, 6, 1.0, 2.5, 0.5
"""Orders at once; how often a caller asks; seconds: the settle window, a request to us, a request to the exchange.

As by default, the window is longer than any request can be on its way.
"""
RESTING = 20
"""Limit orders that are open at a time: older ones are filled."""
THERE = {"drop": 0.16, "503": 0.12, "html 403": 0.06, "-1007": 0.06, "-1015": 0.06, "hang": 0.01}
"""Faults before an order is taken in."""
BACK = {
    **{"drop": 0.17, "truncate": 0.08, "html 200": 0.06, "empty": 0.05, "null": 0.04, "list": 0.03, "no id": 0.05},
    **{"502": 0.05, "-1006": 0.04, "hang": 0.01},
}
"""Faults of the answer about an order that was taken in: of the half that gets so far, again about half."""
LOOK = {"drop": 0.25, "502": 0.2, "html 200": 0.1, "truncate": 0.1, "empty": 0.05, "-1000": 0.05}
"""Faults of a question."""
STORM, SETTLED, CALM = "in the storm", "after the settle window, in the storm", "when the storm is over"
PHASES, NAIVE = (STORM, SETTLED, CALM), "plain ccxt in the storm"
DECIDED = ("placed", "refused")
SURE = ("lost", "doubled", "without id", "wrong id")
ANSWERS: dict[str, tuple[int, str]] = {
    "503": (503, "<html>Service Unavailable</html>"),
    "502": (502, "<html>Bad Gateway</html>"),
    "html 403": (403, "<html>Request blocked</html>"),
    "html 200": (200, "<html>one moment please</html>"),
    "-1015": (400, '{"code":-1015,"msg":"Too many new orders; current limit is 50 orders per 10 SECOND."}'),
    "-1000": (400, '{"code":-1000,"msg":"An unknown error occurred while processing the request."}'),
    "-1006": (
        400,
        '{"code":-1006,"msg":"An unexpected response was received from the message bus. Execution status unknown."}',
    ),
    "-1007": (408, '{"code":-1007,"msg":"Timeout waiting for response from backend server."}'),
    "empty": (200, ""),
    "null": (200, "null"),
    "list": (200, "[]"),
    "no id": (200, '{"symbol":"BTCUSDT","status":"NEW"}'),
}


@dataclass
class Hostile:
    """A Binance whose network can't be trusted. A client id is unique among open orders only."""

    dice: random.Random
    sleep: Sleep = anyio.sleep
    book: dict[int, dict[str, Any]] = field(default_factory=dict)
    storm: bool = True
    faults: Counter[str] = field(default_factory=Counter)
    calls: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every request; the path begins with the address that was meant."""
        url = urlsplit(request.raw_path.removeprefix("/"))
        asked = dict(parse_qsl(url.query)) | dict(parse_qsl((await request.read()).decode()))
        if url.path.endswith("exchangeInfo"):
            row = symbol_row("BTC", "USDT") | {"permissions": ["SPOT"], "permissionSets": [["SPOT"]]}
            return web.json_response({"timezone": "UTC", "serverTime": 0, "symbols": [row]})
        self.calls += 1
        if request.method == "POST":
            return await self._place(request, asked)
        return await self._look(request, url.path, asked)

    async def _place(self, request: web.Request, asked: dict[str, str]) -> web.StreamResponse:
        if answer := await self._fault("there", THERE, request):
            return answer
        client = asked["newClientOrderId"]
        if any(order["clientOrderId"] == client and order["status"] == "NEW" for order in self.book.values()):
            return web.json_response({"code": -2010, "msg": "Duplicate order sent."}, status=400)
        number, market = 10_000 + len(self.book), asked["type"] == "MARKET"
        filled = asked["quantity"] if market else "0"
        self.book[number] = order = {
            **{"symbol": "BTCUSDT", "orderId": number, "clientOrderId": client, "price": asked.get("price", "0")},
            **{"origQty": asked["quantity"], "executedQty": filled, "cummulativeQuoteQty": "0", "side": asked["side"]},
            **{"status": "FILLED" if market else "NEW", "timeInForce": "GTC", "type": asked["type"]},
            **{"transactTime": int(time.time() * 1000), "time": int(time.time() * 1000)},
        }
        self._fill_older(number)
        return await self._fault("back", BACK, request, json.dumps(order)) or web.json_response(order)

    def _fill_older(self, number: int) -> None:
        older = self.book.get(number - 2 * RESTING)
        if older is not None and older["status"] == "NEW":
            older.update(status="FILLED", executedQty=older["origQty"])

    async def _look(self, request: web.Request, path: str, asked: dict[str, str]) -> web.StreamResponse:
        if answer := await self._fault("look", LOOK, request):
            return answer
        if path.endswith("openOrders"):
            return web.json_response([order for order in self.book.values() if order["status"] == "NEW"])
        named = (asked.get("origClientOrderId"), asked.get("orderId"))
        for order in reversed(self.book.values()):
            if order["clientOrderId"] == named[0] or str(order["orderId"]) == named[1]:
                return web.json_response(order)
        return web.json_response({"code": -2013, "msg": "Order does not exist."}, status=400)

    async def _fault(
        self, where: str, odds: dict[str, float], request: web.Request, truth: str = "{}"
    ) -> web.StreamResponse | None:
        roll = self.dice.random() if self.storm else 1.0
        for kind, odd in odds.items():
            roll -= odd
            if roll < 0:
                self.faults[f"{where}: {kind}"] += 1
                return await self._fail(kind, request, truth)
        return None

    async def _fail(self, kind: str, request: web.Request, truth: str) -> web.StreamResponse:
        if kind == "hang":
            await self.sleep(HANG * 2)
        if kind in ("drop", "hang") and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if kind == "truncate":
            return web.Response(text=truth[: len(truth) // 2] or "{", content_type="application/json")
        status, body = ANSWERS[kind]
        return web.Response(status=status, text=body, content_type="application/json")


@asynccontextmanager
async def serving(hostile: Hostile) -> AsyncIterator[str]:
    """Its address."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hostile.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


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


async def asked(orders: Orders, account: Account, number: int) -> list[str]:
    """[outcome, id or message]."""
    market = account.exchange.markets.resolve("BTC/USDT")
    try:
        placed = await orders.place(account, market, body_of(number), f"key-{number}")
        return ["placed", placed.order_id]
    except ExGateError as error:
        return [error.metadata.get("outcome", "unknown"), error.message]


async def customer(orders: Orders, account: Account, number: int, told: Counter[str]) -> list[str]:
    """One order, asked for until it is placed or refused, or patience ends."""
    answer = ["unknown", ""]
    for _ in range(TRIES):
        answer = await asked(orders, account, number)
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


async def one_seed(seed: int, count: int, slow: float, found: Findings) -> None:
    """One storm, its settle window, and the calm after it."""
    runtime = FastClock(1 / slow).runtime()
    hostile = Hostile(random.Random(seed), runtime.sleep)
    with tempfile.TemporaryDirectory() as folder:
        async with serving(hostile) as url, opened(url, runtime) as account, anyio.create_task_group() as tasks:
            async with Journal(Path(folder) / "journal.db") as journal:
                settings = OrderSettings(deadline=DEADLINE, reconcile_deadline=30 * SETTLE)
                orders, room = Orders(journal, runtime, tasks, settings), asyncio.Semaphore(PARALLEL)
                answers = [["unknown", ""] for _ in range(count)]

                async def ask_again(number: int) -> None:
                    async with room:
                        if answers[number][0] not in DECIDED:
                            answers[number] = await customer(orders, account, number, found.told)

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


async def naive(seed: int, count: int, slow: float, found: Findings) -> None:
    """What plain ccxt tells: one call an order, an exception means that it failed."""
    import ccxt.async_support as ccxt

    hostile, wait = Hostile(random.Random(seed), FastClock(1 / slow).sleep), HANG * slow * 1000
    async with serving(hostile) as url:
        client = ccxt.binance({"apiKey": "key", "secret": "secret", "enableRateLimit": False, "timeout": wait})
        client.options["fetchMarkets"] = {"types": ["spot"]}
        client.has["fetchCurrencies"], client.options["fetchMargins"] = False, False
        for name, address in client.urls["api"].items():
            if isinstance(address, str):
                client.urls["api"][name] = url + address
        try:
            await client.load_markets()
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


def both(seed: int, count: int, slow: float) -> Findings:
    """A storm over the gateway's orders, and the same over plain ccxt."""
    logging.disable()
    found = Findings()
    asyncio.run(one_seed(seed, count, slow, found))
    asyncio.run(naive(seed, count, slow, found))
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
    parser.add_argument("--slow", type=float, default=1.0, help="all times so many times as long: on a busy machine")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="storms at once, each in a process")
    parser.add_argument("--orders", type=int, default=500, help="a seed, half of them limit and half market")
    arguments = parser.parse_args()
    seeds, count = (1, 120) if arguments.short else (arguments.seeds, arguments.orders)
    logging.disable()
    start, found = time.monotonic(), Findings()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        seeds_of = range(arguments.seed, arguments.seed + seeds)
        for part in pool.map(both, seeds_of, repeat(count), repeat(arguments.slow)):
            found.add(part)
    sure, undecided = report(found, seeds * count)
    print(f"seeds {arguments.seed} to {arguments.seed + seeds - 1}; {time.monotonic() - start:.0f} s")
    return 1 if sure or (undecided and not arguments.short) else 0


if __name__ == "__main__":
    sys.exit(main())
