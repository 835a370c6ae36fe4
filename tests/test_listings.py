"""Lists that several look-ups share: asked for once, and never before a look-up began."""

from __future__ import annotations

import asyncio
import weakref

import anyio
import pytest

from exgate_core.errors import Unavailable
from exgate_core.listings import Listings

from .support.clock import settle

pytestmark = pytest.mark.anyio


class Exchange:
    """Answers with the number of the question, when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.gates: list[asyncio.Event] = []
        self.broken = False

    async def list(self) -> int:
        self.asked += 1
        number, gate = self.asked, asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        if self.broken:
            raise Unavailable("busy")
        return number


async def test_those_who_began_before_a_question_left_share_its_answer() -> None:
    exchange = Exchange()
    listings = Listings()
    with listings.look_up() as began:
        found: list[int] = []

        async def look() -> None:
            found.append(await listings.ask("open", began, exchange.list))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(look)
            await settle()
            exchange.gates[0].set()
        assert (found, exchange.asked) == ([1] * 50, 1)
        assert await listings.ask("open", began, exchange.list) == 1


async def test_an_answer_from_before_a_look_up_began_proves_nothing_to_it() -> None:
    exchange = Exchange()
    listings = Listings()
    found: dict[str, int] = {}

    async def look(name: str) -> None:
        with listings.look_up() as began:
            found[name] = await listings.ask("open", began, exchange.list)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look, "early")
        await settle()
        for name in ("late", "later"):
            tasks.start_soon(look, name)
        await settle()
        assert exchange.asked == 1  # one at a time, however many wait
        exchange.gates[0].set()
        await settle()
        exchange.gates[1].set()
    assert (found, exchange.asked) == ({"early": 1, "late": 2, "later": 2}, 2)


async def test_other_questions_are_asked_by_themselves() -> None:
    exchange = Exchange()
    listings = Listings()

    async def look(market: str) -> None:
        with listings.look_up() as began:
            await listings.ask(market, began, exchange.list)

    async with anyio.create_task_group() as tasks:
        for market in ("BTC/USDT", "ETH/BTC"):
            tasks.start_soon(look, market)
        await settle()
        assert exchange.asked == 2
        for gate in exchange.gates:
            gate.set()


async def test_a_failure_is_told_to_all_who_share_it_and_the_next_look_up_asks_again() -> None:
    exchange = Exchange()
    listings = Listings()
    exchange.broken = True
    with listings.look_up() as began:
        looks = [asyncio.ensure_future(listings.ask("open", began, exchange.list)) for _ in range(3)]
        await settle()
        exchange.gates[0].set()
        assert [type(told) for told in await asyncio.gather(*looks, return_exceptions=True)] == [Unavailable] * 3
    exchange.broken = False
    with listings.look_up() as began:
        again = asyncio.ensure_future(listings.ask("open", began, exchange.list))
        await settle()
        exchange.gates[1].set()
        assert await again == 2


async def test_who_asked_and_leaves_takes_nothing_from_the_others() -> None:
    exchange = Exchange()
    listings = Listings()
    with listings.look_up() as began:
        first, second = (asyncio.ensure_future(listings.ask("open", began, exchange.list)) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        exchange.gates[-1].set()
        assert (await second, exchange.asked) == (2, 2)


async def test_who_waits_and_leaves_ends_only_his_own_waiting() -> None:
    exchange = Exchange()
    listings = Listings()
    with listings.look_up() as began:
        first, second = (asyncio.ensure_future(listings.ask("open", began, exchange.list)) for _ in range(2))
        await settle()
        second.cancel()
        await settle()
        assert second.cancelled()
        exchange.gates[0].set()
        assert (await first, exchange.asked) == (1, 1)


async def test_look_ups_in_however_many_markets_share_and_leave_nothing_behind() -> None:
    exchange = Exchange()
    listings = Listings()
    started = asyncio.Event()

    async def look(market: int) -> None:
        with listings.look_up() as began:
            await started.wait()
            for question in ("open", "all"):
                await listings.ask((question, market), began, exchange.list)

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(look, number % 25)
        await settle()
        started.set()
        for asked in (25, 50):
            await settle()
            assert exchange.asked == asked
            for gate in exchange.gates:
                gate.set()
    with listings.look_up() as began:
        last = asyncio.ensure_future(listings.ask(("open", 0), began, exchange.list))
        await settle()
        exchange.gates[-1].set()
        assert await last == 51


async def test_an_answer_is_kept_for_those_to_whom_it_may_prove_something() -> None:
    class Large(list[int]):
        """What can be watched."""

    listings = Listings()

    async def question() -> Large:
        return Large()

    with listings.look_up() as early:
        with listings.look_up() as late:
            kept = weakref.ref(await listings.ask("open", late, question))
        assert await listings.ask("open", early, question) is kept()
    assert kept() is None
