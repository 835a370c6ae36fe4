"""Cases about time: what waits and for how long, what is asked beside, and what is right hours later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from msgspec.structs import replace

from exgate_core.errors import ExGateError, RateLimited

from . import checks
from .bare import Bare, open_bare
from .checks import expect, hold
from .faults import WireFault
from .house import LOOKS, House, eventually, open_house
from .subjects import Subject
from .table import NotApplicable, case, every, needs, wired

_HOUR = 3600.0
_HOURS = 3
_DRIFT = 2.0
"""Seconds by which the exchange's clock falls behind in an hour."""
_IN_A_ROW = 10
_SPEED = 5.0
_DEADLINE, _LATE = 2.0, 0.4
"""What requests of an adapter may take, in seconds of the machine, and by how much a busy one may be late."""
_TURNS = (1.0, 4.3, 1000.0)
"""Pauses: every order can wait for the first; the second is longer than some orders may take, the third than any."""
_PRIVATE = needs("place_order", "cancel_order", "find_order", "balances", "pending_orders")


def _own_clock(subject: Subject, variant: str) -> str:
    return "" if subject.own else "a plugin for many exchanges asks by the clock of the library that it stands on"


@case(
    "C19",
    "orders wait their turn",
    "an order waits for a short pause of the budget; where it can't wait that is told at once, and nothing is sent",
    every(wired, _PRIVATE),
)
async def turn(subject: Subject, variant: str) -> None:
    """Whoever waits for his turn and then has no time left has waited for nothing."""
    for pause in _TURNS:
        async with open_bare(subject, speed=_SPEED) as bare:
            bare.budget.pause(pause)
            start = bare.now()
            try:
                await bare.account.place_order(bare.order("waits"))
            except RateLimited as error:
                hold(pause != _TURNS[0] or not subject.own, f"an order didn't wait for a pause of {pause} s: {error!r}")
                hold(bare.now() - start < 1.0, f"told after {bare.now() - start:.1f} s of a pause of {pause} s")
                hold(abs((error.retry_after or 0.0) - pause) <= 1.0, f"{error!r} of a pause of {pause} s")
                expect(bare.wire.operations().count("place_order"), 0, "orders that left during the pause")
            else:
                hold(pause != _TURNS[-1], f"an order left during a pause of {pause} s")
                hold(bare.now() - start >= pause - 0.1, f"an order left {bare.now() - start} s into {pause} s")


@case(
    "C35",
    "deadlines",
    "what is never answered ends within its deadline, whatever it is",
    every(wired, _PRIVATE, _own_clock),
)
async def deadlines(subject: Subject, variant: str) -> None:
    """Every operation at once, each with a line on which nothing ever comes."""
    async with open_bare(subject, speed=1.0, deadline=_DEADLINE) as bare:
        market, account, exchange = bare.market, bare.account, bare.exchange
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "place_order": lambda: account.place_order(bare.order("lost")),
            "cancel_order": lambda: account.cancel_order(market, placed, ""),
            "find_order": lambda: account.find_order(market, placed, ""),
            "pending_orders": lambda: account.pending_orders(market),
            "balances": account.balances,
            "depth": lambda: exchange.depth(market, 5),
            "recent_trades": lambda: exchange.recent_trades(market, 5),
        }
        placed = await account.place_order(bare.order("found"))
        chosen = {name: call for name, call in calls.items() if subject.has(name)}
        bare.wire.faults.add(*(WireFault(operation=name, kind="hang", times=0) for name in {*chosen, *LOOKS}))
        took = dict[str, float]()
        async with anyio.create_task_group() as tasks:
            for name, call in chosen.items():
                tasks.start_soon(_timed, bare, name, call, took)
        for name, seconds in took.items():
            hold(seconds <= _DEADLINE + _LATE, f"{name} ended after {seconds:.1f} s, of a deadline of {_DEADLINE:g} s")


async def _timed(bare: Bare, name: str, call: Callable[[], Awaitable[Any]], took: dict[str, float]) -> None:
    start = bare.now()
    with anyio.move_on_after(3.0 * _DEADLINE):
        try:
            found = await call()
        except ExGateError:
            pass
        else:
            raise AssertionError(f"{name}, which was never answered, gave {found!r}")
    took[name] = bare.now() - start


@case(
    "C26",
    "what requests need beside",
    "while the exchange's time or a token isn't to be had, nothing that needs it is in doubt; all is well afterwards",
    every(wired, _PRIVATE),
    variants=("drop", "html", "error_503", "too_many"),
)
async def beside(subject: Subject, variant: str) -> None:
    """From the very first request of an account on: certainly not sent, or done all the same."""
    async with open_house(subject) as house:
        house.faults.add(WireFault(operation="", kind=variant, times=0))  # type: ignore[arg-type]
        answer = await house.order(house.body())
        if not house.faults.fired:
            raise NotApplicable("nothing is asked beside what is wanted")
        if answer.status == 200:
            expect(len(house.world.all_orders()), 1, "orders on the exchange")
        else:
            limited = variant == "too_many"
            expect((answer.status, answer.outcome), (429 if limited else 503, "not-sent"), f"what became of {answer!r}")
            hold(not limited or float(answer.headers.get("retry-after", 0)) > 0, f"{answer!r} has no Retry-After")
            house.expect_sent("place_order", 0)
            expect(len(house.world.all_orders()), 0, "orders on the exchange")
            asked = await house.get("balances")
            hold(asked.status in (200, 429, 503, 504), f"{asked!r} while {variant} came in place of what is needed")
        house.faults.clear()
        await _well_again(house)


async def _well_again(house: House) -> None:
    done: list[int] = []

    async def ask() -> None:
        while (answer := await house.order(house.body())).status != 200:
            hold(answer.outcome in ("not-sent", "refused"), f"{answer!r} after the fault")
        done.append(answer.status)
        checks.ok(await house.get("balances"), "balances after the fault")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await eventually(lambda: bool(done), "an order that is placed after the fault")


@case(
    "C27",
    "hours later",
    "while the exchange's clock falls behind slowly every order is taken at the first attempt, even if its time can't "
    "be asked for a while; and it isn't asked each time",
    every(wired, _PRIVATE, _own_clock),
)
async def hours_later(subject: Subject, variant: str) -> None:
    """Two seconds an hour; orders that are refused for their time stamp would have been sent for nothing."""
    if not getattr(subject.fake, "timed", False):
        raise NotApplicable("the fake doesn't tell whether requests carry their time (timed)")
    async with open_bare(subject) as bare:
        for number in range(_HOURS):
            await _drifts(bare, f"hour-{number}")
        bare.later(_HOUR)
        bare.wire.faults.add(WireFault(operation="", kind="error_503", times=0))
        beside = bare.wire.operations().count("")
        await _row(bare, "unasked")
        asked = bare.wire.operations().count("") - beside
        hold(asked <= 2, f"for {_IN_A_ROW} orders the exchange was asked {asked} times for what it couldn't tell")
        bare.wire.faults.clear()
        await _drifts(bare, "later")
        await _drifts(bare, "last")


async def _drifts(bare: Bare, name: str) -> None:
    bare.later(_HOUR)
    bare.wire.simulation.skew -= _DRIFT
    beside = bare.wire.operations().count("")
    await _row(bare, name)
    asked = bare.wire.operations().count("") - beside
    hold(asked <= 2, f"for {_IN_A_ROW} orders the exchange was asked {asked} times for what it needn't tell each time")


async def _row(bare: Bare, name: str) -> None:
    for number in range(_IN_A_ROW):
        try:
            await bare.account.place_order(bare.order(f"{name}-{number}"))
        except ExGateError as error:
            raise AssertionError(f"order {number + 1} of {_IN_A_ROW} ({name}): {error!r}") from error
    await bare.account.balances()


@case(
    "C36",
    "a client order id that was used again",
    "of several orders that bore a client order id the newest is found, and none that is another's",
    every(wired, _PRIVATE),
    variants=("open", "canceled"),
)
async def used_again(subject: Subject, variant: str) -> None:
    """Where the exchange takes an id again once its order is over."""
    able = subject.offer.account_capabilities
    if getattr(subject.fake, "client_ids", "open") != "open" or not able.client_ids or able.order_recovery != "full":
        raise NotApplicable("a client order id is used once, or its orders can't be looked up in every state")
    async with open_bare(subject) as bare:
        ids = list[str]()
        for number in range(3):
            order = bare.order("again")
            ids.append(await bare.account.place_order(replace(order, price=bare.order("", 100_000 + number).price)))
            await bare.account.place_order(bare.order(f"beside-{number}", 99_000))
            if number < 2 or variant == "canceled":
                await bare.account.cancel_order(bare.market, ids[-1], "")
        found = [order.order_id for order in await bare.account.find_order(bare.market, "", bare.name("again"))]
        hold(ids[-1] in found, f"the newest order {ids[-1]} with the client order id isn't among {found}")
        hold({*found} <= {*ids}, f"orders with the client order id: {found}; those that bore it are {ids}")
