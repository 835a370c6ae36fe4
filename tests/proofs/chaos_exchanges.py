"""Orders on every exchange that is spoken to by hand while three calls out of four fail, judged by its own ledger.

    python tests/proofs/chaos_exchanges.py [--short] [--exchange NAME ...] [--seeds 20] [--orders 500] [--settle 5]

A whole gateway, asked over its HTTP door, in front of the fakes of binance, okx and kraken and of paper. Half of the
orders are limit, half market orders; some callers leave before the answer, some ask twice at once, some cancel. Who
still doesn't know after a few requests waits for the settle window and asks again, in the same storm; what is told
then is the last figure that counts. That an order never arrived is certain only when the settle window is over
(``settle``, 20 s unless a section says less): ``--settle`` sets it, and the times of these orders are shown by
themselves. Time passes only where everybody waits: the figures are the gateway's own, however busy the machine is.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import anyio
from exgate_paper.values import PaperOrder
from exgate_testing.faults import WireFaults
from exgate_testing.house import House, Terms, open_house
from exgate_testing.subjects import subject

from exgate_core.models import Market
from tests.support.storm import Storm, engine_storm, witness
from tests.support.virtual import Virtual

EXCHANGES = ("binance", "okx", "kraken", "paper")
TRIES, RESTING, CANCELED = 6, 5, 0.2
"""How often a caller asks; how many limit orders rest in a market before older ones are filled; the part of orders
that somebody cancels."""
NAMELESS = {"kraken": ("cancel_order",)}
"""Kraken answers a cancel with a count."""
CALLS = {"place": "place_order", "cancel": "cancel_order"}
EACH, STORM = "by each answer in the storm", "after all requests in the storm"
SETTLED, CALM = "after the settle window, in the storm", "when the storm is over"
PHASES = (EACH, STORM, SETTLED, CALM)
DEFINITE, DECIDED = ("placed", "refused", "not-sent"), ("placed", "refused")
SURE = ("lost", "doubled", "without id", "wrong id", "cancel")
"""What must never be wrong."""
_ALIVE = ("open", "partially_filled")
MOST_UNKNOWN, LONGEST, ENOUGH = 0.01, 10.0, 1000
"""The part that may stay unknown; seconds; so many orders make a 99th percentile that says something."""


class Plan(NamedTuple):
    """How a storm is set up; times in seconds."""

    orders: int
    settle: float
    rate: float
    """New orders a second."""


class Told(NamedTuple):
    """What a caller was told last about one order."""

    outcome: str = "unknown"
    order_id: str = ""


@dataclass
class Findings:
    """What callers were told, and what was wrong by the exchange's ledger."""

    orders: int = 0
    told: Counter[str] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By phase and name."""
    notes: list[str] = field(default_factory=list)
    """The first few of them."""
    there: list[float] = field(default_factory=list)
    """Seconds from a request to the definite answer about it, where the exchange has the order."""
    missing: list[float] = field(default_factory=list)
    """The same where the order never arrived."""

    def add(self, other: Findings) -> None:
        """Those of another storm."""
        self.orders += other.orders
        self.told += other.told
        self.wrong += other.wrong
        self.notes += other.notes
        self.there += other.there
        self.missing += other.missing

    def note(self, phase: str, name: str, what: str) -> None:
        """Count something wrong."""
        self.wrong[phase, name] += 1
        if name in SURE:
            self.notes.append(f"{phase}: {name}: {what}")


class Bot:
    """Everybody who orders, and the judge."""

    def __init__(self, house: House, seed: int, plan: Plan, found: Findings) -> None:
        self.house, self.found, self.dice = house, found, random.Random(seed)
        self._plan, self._sleep = plan, anyio.sleep
        self._least = {market.symbol: self._steps(market, house.crowd.amount(market)) * 10 for market in self._markets}
        self._begun: dict[int, float] = {}
        self.replies: dict[int, str] = {}
        """What the exchange answered when it took in each order, by the number in its ledger."""

    async def run(self, end_storm: Callable[[], None]) -> None:
        """All orders, through all phases."""
        house = self.house
        for market in self._markets:
            house.crowd.rest(market, "sell", 10, steps=10**15)
        storm = await asyncio.gather(*map(self._customer, range(self._plan.orders)))
        end_storm()
        last = await asyncio.gather(*map(self._until_decided, range(len(storm)), storm))
        for number, told in enumerate(last):
            self.judge(CALM, number, told)

    async def _customer(self, number: int) -> Told:
        await self._sleep(number / self._plan.rate)
        self._fill_older(self._market(number))
        told = await self._until_decided(number, Told())
        self.judge(STORM, number, told)
        if told.outcome not in DECIDED:
            await self._sleep(self._plan.settle)
            told = await self._until_decided(number, told)
        self.judge(SETTLED, number, told)
        if told.outcome == "placed" and self.orders(number) and self.dice.random() < CANCELED:
            await self._cancel(number, told.order_id)
        return told

    def _fill_older(self, market: Market) -> None:
        house = self.house
        resting = house.world.open_orders(market.symbol)
        if len(resting) > RESTING:
            house.crowd.hit(market, "sell", -50, self._steps(market, resting[0].amount))

    # --- asking

    @property
    def _markets(self) -> Sequence[Market]:
        return self.house.world.markets

    def _market(self, number: int) -> Market:
        return self._markets[number // 4 % len(self._markets)]

    def _steps(self, market: Market, amount: str) -> int:
        return self.house.world.engine.book(market.symbol).rules.amount(amount) or 0

    def _body(self, number: int) -> dict[str, Any]:
        """An order of its own size. Every other is a market order; of the limit orders every other trades at once."""
        market, kind, offset = self._market(number), "market" if number % 2 else "limit", 50 if number % 4 else -50
        rules = self.house.world.engine.book(market.symbol).rules
        amount = rules.amount_text(self._least[market.symbol] + number)
        return self.house.body(market, offset, type=kind, amount=amount)

    async def _until_decided(self, number: int, told: Told) -> Told:
        for _ in range(TRIES):
            if told.outcome in DECIDED:
                break
            told = await self._ask(number)
        return told

    async def _ask(self, number: int) -> Told:
        mood = self.dice.random()
        self._begun.setdefault(number, self.house.now())
        if mood < 0.05:
            leaving = asyncio.ensure_future(self._order(number))
            await self._sleep(self.dice.random())
            leaving.cancel()
            return Told()
        answers = [await self._order(number)] if mood > 0.1 else list(await asyncio.gather(*[self._order(number)] * 2))
        return answers[-1]

    async def _order(self, number: int) -> Told:
        answer = await self.house.order(self._body(number), f"key-{number}")
        told = Told(answer.outcome or "unknown", str(answer.json.get("order_id", "")) if answer.status == 200 else "")
        self.found.told[told.outcome] += 1
        self.judge(EACH, number, told)
        begun = self._begun.pop(number, None) if told.outcome in DEFINITE else None
        if begun is not None:
            times = self.found.there if told.outcome == "placed" else self.found.missing
            times.append(self.house.now() - begun)
        if told.outcome == "not-sent":
            await self._sleep(min(float(answer.headers.get("retry-after", "0")), 5.0))
        return told

    async def _cancel(self, number: int, order_id: str) -> None:
        outcome, maybe = "", False
        for _ in range(TRIES):
            answer = await self.house.cancel(self._market(number), order_id)
            outcome = str(answer.json["status"]) if answer.status == 200 else answer.outcome or "unknown"
            self.found.told[f"cancel {outcome}"] += 1
            if outcome not in ("unknown", "not-sent"):
                break
            maybe = maybe or outcome == "unknown"
        self.found.told["cancels"] += 1
        self.found.told["cancels unknown in the end"] += outcome in ("unknown", "not-sent")
        status = self.orders(number)[0].status
        told_ended = outcome in ("canceled", "already_canceled", "filled", "pending")
        told_alive = outcome in ("refused", "not-sent") and not maybe
        if (told_ended and status in _ALIVE) or (told_alive and status == "canceled"):
            self.found.note(STORM, "cancel", f"order {number} is {status}, told: {outcome}")

    # --- judging

    def orders(self, number: int) -> list[PaperOrder]:
        """The orders that truly came of one."""
        wallet = self.house.world.engine.wallet(self.house.world.account)
        symbol = self._market(number).symbol
        amount = self._least[symbol] + number
        made = (*wallet.open.values(), *wallet.closed.values())
        return [order for order in made if (order.symbol, order.amount) == (symbol, amount)]

    def judge(self, phase: str, number: int, told: Told) -> None:
        """Compare the last answer about one order with what came of it."""
        really = self.orders(number)
        wrong = ["doubled"] if len(really) > 1 else []
        if told.outcome == "placed" and not told.order_id:
            wrong.append("without id")
        elif told.outcome == "placed" and not any(self._is(order, told.order_id) for order in really):
            wrong.append("wrong id")
        elif really and (told.outcome in ("refused", "not-sent") or (told.outcome == "unknown" and phase == CALM)):
            wrong.append("lost")
        if told.outcome == "unknown":
            wrong.append("unknown")
        for name in wrong:
            ids = [(order.id, order.client_order_id) for order in really]
            self.found.note(phase, name, f"order {number} is {ids}, told: {told}")

    def _is(self, order: PaperOrder, order_id: str) -> bool:
        """Whether this is the id that the exchange gave the order."""
        return order_id in self.replies[order.id] if self.house.has_wire else order_id == str(order.id)


async def one_seed(name: str, seed: int, plan: Plan, clock: Virtual) -> Findings:
    """One storm over one exchange, the settle windows in it, and the calm after it."""
    terms = Terms(deadline=10.0, orders=8.0, reconcile=30.0, settle=plan.settle, weight_limit=10**9)
    found, storm = Findings(orders=plan.orders), Storm(random.Random(seed), NAMELESS.get(name, ()))
    async with open_house(subject(name), terms, pace=clock.runtime) as house:
        await house.get("balances")  # opens the account
        clock.attend(house.gateway._journal)
        clock.jump()
        bot = Bot(house, seed, plan, found)
        if house.has_wire:
            witness(house.wire, bot.replies)
            house.wire.faults = cast(WireFaults, storm)
            await bot.run(storm.end)
        else:
            faults = house.world.engine.faults
            faults.add(*engine_storm())
            await bot.run(faults.clear)
            storm.struck.update(CALLS.get(fault.point.partition(".")[0], fault.point) for fault in faults.fired)
    found.told.update({f"{operation} calls": number for operation, number in storm.calls.items()})
    found.told.update({f"{operation} faulted": number for operation, number in storm.struck.items()})
    return found


def job(name: str, seed: int, plan: Plan) -> Findings:
    """One storm in a process of its own."""
    logging.disable()
    clock = Virtual(seed)
    return clock.run(one_seed(name, seed, plan, clock))


# --- what came of it


def share(found: Findings, operation: str) -> str:
    """How many calls of an operation were faulted."""
    calls, struck = found.told[f"{operation} calls"], found.told[f"{operation} faulted"]
    return f"{struck / calls:.0%} of {calls} {operation}" if calls else f"{struck} faults of {operation}"


def at(times: Sequence[float], part: float) -> float:
    """A percentile in seconds; 0 of nothing."""
    return sorted(times)[min(int(len(times) * part), len(times) - 1)] if times else 0.0


def report(name: str, seeds: int, found: Findings) -> int:
    """Print the figures of one exchange; how much of it is too much."""
    told, total = found.told, max(found.orders, 1)
    print(f"{name}: {seeds} storms, {found.orders} orders; faulted:", end=" ")
    print(", ".join(share(found, operation) for operation in ("place_order", "find_order", "cancel_order")))
    print("  told", ", ".join(f"{told[word]} x {word}" for word in (*DEFINITE, "unknown")))
    for phase in PHASES:
        names = (*SURE[:-1], "unknown")
        print(f"  {phase:38}", ", ".join(f"{found.wrong[phase, word]} {word}" for word in names))
    print(f"  {told['cancels']} cancels: {found.wrong[STORM, 'cancel']} told wrongly,", end=" ")
    print(f"{told['cancels unknown in the end']} unknown after {TRIES} requests")
    for title, times in (("placed", found.there), ("not placed", found.missing), ("all", found.there + found.missing)):
        figures = ", ".join(
            f"{word} {at(times, part):.1f} s" for word, part in (("p50", 0.5), ("p99", 0.99), ("longest", 1))
        )
        print(f"  until a definite answer, {title:10} ({len(times):6}): {figures}")
    unknown, slow = found.wrong[SETTLED, "unknown"] / total, at(found.there + found.missing, 0.99)
    print(f"  unknown {SETTLED}: {unknown:.2%} (at most {MOST_UNKNOWN:.0%}); p99 {slow:.1f} s (below {LONGEST:g} s)")
    for note in found.notes[:10]:
        print("   ", note)
    late = slow >= LONGEST and total >= ENOUGH
    return sum(found.wrong[phase, word] for phase in PHASES for word in SURE) + (unknown > MOST_UNKNOWN) + late


def main() -> int:
    """The command line; the exit code is 1 if anything was lost, doubled or wrong, over 1 % stayed unknown, or the
    answers took too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one seed, 60 orders an exchange")
    parser.add_argument("--exchange", action="append", choices=EXCHANGES, help="only this; may be given again")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--orders", type=int, default=500, help="a seed, half of them limit and half market")
    parser.add_argument("--settle", type=float, default=5.0, help="the settle window, in seconds")
    parser.add_argument("--rate", type=float, default=2.0, help="new orders a second")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="storms at once, each in a process")
    asked = parser.parse_args()
    seeds, orders = (1, 60) if asked.short else (asked.seeds, asked.orders)
    plan, start, bad = Plan(orders, asked.settle, asked.rate), time.monotonic(), 0
    with ProcessPoolExecutor(asked.jobs) as pool:
        storms = {
            name: [pool.submit(job, name, seed, plan) for seed in range(asked.seed, asked.seed + seeds)]
            for name in asked.exchange or EXCHANGES
        }
        for name, running in storms.items():
            found = Findings()
            for storm in running:
                found.add(storm.result())
            bad += report(name, seeds, found)
    print(
        f"seeds {asked.seed} to {asked.seed + seeds - 1}, settle {asked.settle:g} s; {time.monotonic() - start:.0f} s"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
