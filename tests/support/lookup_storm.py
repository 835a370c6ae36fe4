"""The answers of many orders are lost at once, in front of an exchange with limits: what becomes of everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from exgate_paper.rules import Rules
from exgate_testing.door import Answered
from exgate_testing.faults import WireFault
from exgate_testing.house import House, Terms, open_house
from exgate_testing.subjects import subject

from .virtual import Virtual

_DECIDED = ("placed", "refused")
_FRESH = 180.0
"""Seconds after which the limits are as if nothing had been asked."""
_PACE = 2.0
"""Seconds between two requests of a caller who wants to know what became of an order."""
_LONGEST = 300.0


@dataclass
class Storm:
    """One storm, and what was seen in it; times in seconds of the gateway's clock."""

    lost: int
    """Orders whose answers are lost within a second; every other one was taken in."""
    down: float
    """For so long after the first of them the exchange answers no question about orders."""
    told: dict[int, str] = field(default_factory=dict)
    """The last outcome of each lost order."""
    settled: list[float] = field(default_factory=list)
    """From the moment in which the exchange was well again to each definite outcome."""
    wrong: list[str] = field(default_factory=list)
    """Orders of which something else was told than the exchange's ledger says."""
    cancels: list[float] = field(default_factory=list)
    """How long each cancel of a resting order took."""
    failed: list[Answered] = field(default_factory=list)
    """Answers to cancels and to new orders that were not 200."""
    reads: list[int] = field(default_factory=list)
    """Statuses of reads meanwhile, one a second."""
    looks: int = 0
    """Requests by which orders were looked up."""

    def run(self, name: str, *, cancels: int, seed: int = 1) -> Storm:
        """Over the fake of an exchange, in virtual time, within the limits that its adapter knows of."""
        clock = Virtual(seed)
        clock.run(self._run(name, clock, cancels))
        return self

    async def _run(self, name: str, clock: Virtual, cancels: int) -> None:
        own = subject(name)
        terms = Terms(deadline=10.0, orders=8.0, reconcile=120.0, settle=own.offer.account_capabilities.settle)
        async with open_house(own, terms, pace=clock.runtime) as house:
            await house.get("balances")  # opens the account
            clock.attend(house.gateway._journal)
            clock.jump()
            resting = [await _placed(house, number) for number in range(cancels)]
            await anyio.sleep(_FRESH)
            before = house.sent("find_order")
            self._break(house)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._mend, house)
                tasks.start_soon(self._cancel, house, resting)
                tasks.start_soon(self._read, house)
                for number in range(self.lost):
                    tasks.start_soon(self._lose, house, number, house.now() + self.down)
            self.looks = house.sent("find_order") - before
            for number in range(self.lost):
                self._judge(house, number)

    def _break(self, house: House) -> None:
        for _ in range(self.lost // 2):
            house.wire.faults.add(
                WireFault(operation="place_order", kind="error_502", when="before"),
                WireFault(operation="place_order", kind="error_502", when="after"),
            )
        house.wire.faults.add(WireFault(operation="find_order", kind="error_503", times=0))

    async def _mend(self, house: House) -> None:
        await anyio.sleep(self.down)
        house.wire.faults.clear()

    async def _cancel(self, house: House, resting: Sequence[str]) -> None:
        """A cancel every two seconds, and a new order after each."""
        for number, order_id in enumerate(resting):
            await anyio.sleep(2.0)
            start = house.now()
            self._note(await house.cancel(house.market, order_id))
            self.cancels.append(house.now() - start)
            if number * 2.0 > self.down:
                self._note(await house.order(house.body(), f"new-{number}"))

    def _note(self, answer: Answered) -> None:
        if answer.status != 200:
            self.failed.append(answer)

    async def _read(self, house: House) -> None:
        while len(self.told) < self.lost:
            await anyio.sleep(1.0)
            self.reads.append((await house.get("depth", symbol=house.market.symbol, limit=5)).status)

    async def _lose(self, house: House, number: int, well: float) -> None:
        await anyio.sleep(number / self.lost)
        outcome, until = "", house.now() + _LONGEST
        while outcome not in _DECIDED and house.now() < until:
            outcome = (await house.order(_body(house, number), f"lost-{number}")).outcome
            if outcome not in _DECIDED:
                await anyio.sleep(_PACE)
        self.told[number] = outcome
        self.settled.append(house.now() - well)

    def _judge(self, house: House, number: int) -> None:
        wallet, rules = house.world.engine.wallet(house.world.account), _rules(house)
        made = [rules.amount_text(order.amount) for order in (*wallet.open.values(), *wallet.closed.values())]
        there = made.count(_body(house, number)["amount"])
        if there != (self.told[number] == "placed"):
            self.wrong.append(f"order {number} is there {there} times, told: {self.told[number]}")


def _rules(house: House) -> Rules:
    return house.world.engine.book(house.market.symbol).rules


async def _placed(house: House, number: int) -> str:
    answer = await house.order(house.body(), f"resting-{number}")
    assert answer.status == 200, answer
    return str(answer.json["order_id"])


def _body(house: House, number: int) -> dict[str, Any]:
    """An order of its own size."""
    rules = _rules(house)
    least = rules.amount(house.crowd.amount(house.market)) or 1
    return house.body(amount=rules.amount_text(least * 2 + number + 1))
