"""Cases about orders and cancels whose answer is lost: nothing twice, nothing forgotten, judged by the ledger."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from . import checks
from .checks import expect, hold
from .door import Answered
from .faults import WireFault
from .house import HURRIED, LOOKS, NORMAL, House, Terms, eventually, open_house
from .serving import running
from .subjects import Subject
from .table import NotApplicable, case, every, faulty, needs, wired

_LOST = (
    "drop", "hang", "cut", "html", "truncated", "empty", "null", "blank",
    "redirect", "error_403", "error_500", "error_502", "error_503", "error_504",
)  # fmt: skip
_SHORT = Terms(orders=2.5)
"""For cancels that never arrive: they are looked up until the deadline."""
_RETRIES = 20


def _terms(kind: str) -> Terms:
    return HURRIED if kind == "hang" else NORMAL


@case(
    "C50",
    "orders lost on the way there",
    "an order that never arrived is refused after the exchange's own window, and sent once",
    every(needs("place_order"), faulty),
    variants=_LOST,
)
async def lost_before(subject: Subject, variant: str) -> None:
    """The exchange never saw it."""
    async with open_house(subject, _terms(variant)) as house:
        house.faults.add(WireFault(operation="place_order", kind=variant))  # type: ignore[arg-type]
        answer = await house.order(house.body(), key="k")
        _fired_once(house)
        _judge(house, answer)
        if house.private.order_recovery == "full":
            expect(answer.outcome, "refused", f"the outcome of an order that never arrived ({answer!r})")
        await _again(house, house.body(), answer)


@case(
    "C51",
    "orders whose answer is lost",
    "an order that arrived is found and answered with its own id, and sent once",
    every(needs("place_order"), faulty),
    variants=_LOST,
)
async def lost_after(subject: Subject, variant: str) -> None:
    """The exchange accepted it; whatever came back said nothing."""
    async with open_house(subject, _terms(variant)) as house:
        house.faults.add(WireFault(operation="place_order", kind=variant, when="after"))  # type: ignore[arg-type]
        answer = await house.order(house.body(), key="k")
        _fired_once(house)
        expect(len(house.world.all_orders()), 1, "orders on the exchange")
        _judge(house, answer)
        if house.private.order_recovery != "none":
            expect(answer.outcome, "placed", f"the outcome of an order that the exchange has ({answer!r})")
        await _is_the_one(house, answer)
        await _again(house, house.body(), answer)


@case(
    "C52",
    "filled before it is found",
    "an order that was filled while its answer was lost is found with its id",
    every(needs("place_order"), faulty),
)
async def filled_meanwhile(subject: Subject, variant: str) -> None:
    """Open orders alone would say that it isn't there."""
    if subject.offer.account_capabilities.order_recovery != "full":
        raise NotApplicable(f"order_recovery = {subject.offer.account_capabilities.order_recovery}")
    async with open_house(subject) as house:
        house.crowd.books()
        house.faults.add(WireFault(operation="place_order", kind="drop", when="after"))
        answer = await house.order(house.body(offset=GAP_AND_MORE), key="k")
        expect([order.status for order in house.world.all_orders()], ["filled"], "the order on the exchange")
        checks.ok(answer, "an order that was filled at once, and whose answer was lost")
        await _is_the_one(house, answer)


GAP_AND_MORE = 14
"""Ticks from the middle at which a buy meets several levels of the book."""


@case(
    "C53",
    "the answer of another order",
    "an answer that names another client order id isn't taken for the order's own",
    every(needs("place_order"), wired),
)
async def stale_answer(subject: Subject, variant: str) -> None:
    """A proxy or a bug repeats the answer before."""
    async with open_house(subject) as house:
        first = await house.order(house.body(), key="k1")
        told = checks.ok(first, "the first order")["order_id"]
        house.faults.add(WireFault(operation="place_order", kind="stale", when="after"))
        second = await house.order(house.body(offset=-51), key="k2")
        taken = second.status == 200 and second.json["order_id"] == told
        if taken and not _names_it(house, first):
            raise NotApplicable("the exchange's answer to an order doesn't name the client order id")
        hold(not taken, f"{second!r} is the id of another order")
        expect(len(house.world.all_orders()), 2, "orders on the exchange")
        expect(second.outcome, "placed", f"the outcome of {second!r}")


def _names_it(house: House, answer: Answered) -> bool:
    """Whether the exchange's answer to the first order holds its client order id."""
    client_order_id = answer.headers.get("exgate-client-order-id", "")
    reply = next(seen.reply for seen in house.wire.requests if seen.operation == "place_order")
    return bool(client_order_id) and reply is not None and client_order_id.encode() in reply.body


@case(
    "C54",
    "the look-up fails too",
    "while the exchange can't be asked the order is unknown, not refused; later it is found, and never sent again",
    every(needs("place_order", "find_order"), faulty),
    variants=("drop", "html", "empty", "null", "blank", "truncated", "error_503", "too_many", "once"),
)
async def look_up_fails(subject: Subject, variant: str) -> None:
    """First for as long as the caller waits; then the same key, and GET order, tell what became of it."""
    private = subject.offer.account_capabilities
    if private.order_recovery == "none":
        raise NotApplicable("order_recovery = none")
    once = variant == "once"
    async with open_house(subject, NORMAL if once else Terms(orders=2.5)) as house:
        kind: Any = "drop" if once else variant
        house.faults.add(WireFault(operation="place_order", kind="drop", when="after"))
        house.faults.add(*(WireFault(operation=look, kind=kind, times=int(once)) for look in LOOKS))
        answer = await house.order(house.body(), key="k")
        expect(len(house.world.all_orders()), 1, "orders on the exchange")
        if once:
            expect(answer.outcome, "placed", f"the outcome after one failed look ({answer!r})")
            return
        expect((answer.status, answer.outcome), (504, "unknown"), f"status and outcome of {answer!r}")
        hold(answer.headers.get("exgate-client-order-id"), f"{answer!r} names no client order id")
        house.faults.clear()
        await _settled(house)


async def _settled(house: House) -> None:
    for _ in range(_RETRIES):
        answer = await house.order(house.body(), key="k")
        if answer.outcome == "placed":
            break
    expect(answer.outcome, "placed", f"the outcome once the exchange can be asked again ({answer!r})")
    expect(len(house.world.all_orders()), 1, "orders on the exchange")
    house.expect_sent("place_order", 1)
    await _is_the_one(house, answer)


@case(
    "C55",
    "orders at the limit",
    "too many requests: the order is certainly not placed, and may be sent again after the wait",
    every(needs("place_order"), faulty),
)
async def limited(subject: Subject, variant: str) -> None:
    """429 and Retry-After, outcome not-sent."""
    async with open_house(subject) as house:
        house.faults.add(WireFault(operation="place_order", kind="too_many"))
        answer = await house.order(house.body(), key="k")
        expect((answer.status, answer.outcome), (429, "not-sent"), f"status and outcome of {answer!r}")
        hold(float(answer.headers.get("retry-after", "0")) > 0, f"{answer!r} has no Retry-After")
        expect(len(house.world.all_orders()), 0, "orders on the exchange")
        house.expect_sent("place_order", 1)


@case(
    "C56",
    "a caller who leaves",
    "an order whose caller has gone is neither sent again nor forgotten",
    every(needs("place_order", "find_order"), faulty),
)
async def caller_leaves(subject: Subject, variant: str) -> None:
    """The request is cancelled while the exchange is thinking; the same key tells what became of it."""
    if subject.offer.account_capabilities.order_recovery == "none":
        raise NotApplicable("order_recovery = none")
    async with open_house(subject, HURRIED) as house:
        house.faults.add(WireFault(operation="place_order", kind="hang", when="after"))
        caller = asyncio.ensure_future(house.order(house.body(), key="k"))
        await eventually(lambda: bool(house.world.all_orders()), "the order arrives")
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        await _settled(house)


@case(
    "C98",
    "an exchange out of reach",
    "nothing can be connected to: orders and cancels are certainly not sent, questions are unavailable, and it ends",
    every(needs("place_order", "cancel_order", "balances", "depth"), wired),
    variants=("place_order", "cancel_order", "balances", "depth"),
)
async def out_of_reach(subject: Subject, variant: str) -> None:
    """Every connection ends, and new ones are refused."""
    async with open_house(subject) as house:
        order_id = await _open_order(house)

        async def ask() -> Answered:
            if variant == "place_order":
                return await house.order(house.body())
            if variant == "cancel_order":
                return await house.cancel(house.market, order_id)
            return await house.get(variant, symbol=house.market.symbol)

        async with house.wire.out_of_reach():
            answer = await ask()
        private = variant.endswith("_order")
        wanted = (503, "not-sent" if private else "")
        expect((answer.status, answer.outcome or ""), wanted, f"status and outcome of {answer!r}")
        expect(len(house.world.all_orders()), 1, "orders on the exchange")
        checks.ok(await ask(), f"{variant}, once the exchange is there again")


@case(
    "C57",
    "cancels lost on the way there",
    "a cancel that never arrived is never told as done",
    every(needs("place_order", "cancel_order"), faulty),
    variants=_LOST,
)
async def cancel_lost_before(subject: Subject, variant: str) -> None:
    """The order is still open: the outcome is unknown, or an honest refusal."""
    async with _with_order(subject, _SHORT) as (house, order_id):
        house.faults.add(WireFault(operation="cancel_order", kind=variant))  # type: ignore[arg-type]
        answer = await house.cancel(house.market, order_id)
        hold(house.faults.fired, "the fault never struck: Fake.operation doesn't name cancels")
        status = house.world.all_orders()[0].status
        if answer.status == 200:
            expect((answer.json["status"], status), ("canceled", "canceled"), "the status told, and the true one")
        else:
            expect(status, "open", "the true status")
            hold(answer.status in (429, 503, 504), f"{answer!r} for a cancel that never arrived")


@case(
    "C58",
    "cancels whose answer is lost",
    "a cancel that arrived is told as done, though its answer was lost",
    every(needs("place_order", "cancel_order", "find_order"), faulty),
    variants=_LOST,
)
async def cancel_lost_after(subject: Subject, variant: str) -> None:
    """The order itself shows it."""
    async with open_house(subject, _terms(variant)) as house:
        order_id = await _open_order(house)
        house.faults.add(WireFault(operation="cancel_order", kind=variant, when="after"))  # type: ignore[arg-type]
        answer = await house.cancel(house.market, order_id)
        expect(house.world.all_orders()[0].status, "canceled", "the true status")
        told = checks.ok(answer, f"a cancel whose answer was lost ({variant})")
        hold(told["status"] in ("canceled", "already_canceled"), f"{answer!r}")


@case(
    "C59",
    "cancels at the limit",
    "too many requests: the cancel was certainly not done",
    every(needs("place_order", "cancel_order"), faulty),
)
async def cancel_limited(subject: Subject, variant: str) -> None:
    """429 and Retry-After; the order is open."""
    async with open_house(subject) as house:
        order_id = await _open_order(house)
        house.faults.add(WireFault(operation="cancel_order", kind="too_many"))
        answer = await house.cancel(house.market, order_id)
        expect((answer.status, answer.outcome), (429, "not-sent"), f"status and outcome of {answer!r}")
        expect(house.world.all_orders()[0].status, "open", "the true status")


@case(
    "C97",
    "the look at a cancel fails too",
    "while the exchange can't be asked a lost cancel is unknown: never done, never a 404; later it is told",
    every(needs("place_order", "cancel_order", "find_order"), faulty),
    variants=("drop", "html", "empty", "null", "blank", "error_503", "once"),
)
async def cancel_look_fails(subject: Subject, variant: str) -> None:
    """The cancel arrived, its answer was lost, and so is what tells of the order."""
    once = variant == "once"
    async with _with_order(subject, NORMAL if once else _SHORT) as (house, order_id):
        kind: Any = "drop" if once else variant
        house.faults.add(WireFault(operation="cancel_order", kind="drop", when="after"))
        house.faults.add(*(WireFault(operation=look, kind=kind, times=int(once)) for look in LOOKS))
        answer = await house.cancel(house.market, order_id)
        expect(house.world.all_orders()[0].status, "canceled", "the true status")
        if not once:
            expect((answer.status, answer.outcome), (504, "unknown"), f"status and outcome of {answer!r}")
            house.faults.clear()
            answer = await house.cancel(house.market, order_id)
        told = checks.ok(answer, "the cancel, once the exchange can be asked again")
        hold(told["status"] in ("canceled", "already_canceled"), f"{answer!r}")


@asynccontextmanager
async def _with_order(subject: Subject, terms: Terms) -> AsyncIterator[tuple[House, str]]:
    """A gateway on such terms, and the id of an open order that was placed with more patience than they allow."""
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(running(subject.fake)) if subject.fake is not None else None
        if wire is not None:
            async with open_house(subject, wire=wire) as patient:
                order_id = await _open_order(patient)
        house = await stack.enter_async_context(open_house(subject, terms, wire=wire))
        yield house, order_id if wire is not None else await _open_order(house)


async def _open_order(house: House) -> str:
    return str(checks.ok(await house.order(house.body()), "an order")["order_id"])


def _fired_once(house: House) -> None:
    hold(house.faults.fired, "the fault never struck: Fake.operation doesn't name orders")
    house.expect_sent("place_order", 1)
    if house.has_wire:
        expect(house.wire.followed, 0, "redirects followed")


def _judge(house: House, answer: Answered) -> None:
    """Nothing lost, nothing doubled, nothing without an id, by the ledger."""
    orders = house.world.all_orders()
    hold(len(orders) <= 1, f"{len(orders)} orders came of one ({answer!r})")
    if answer.outcome == "placed":
        hold(orders and answer.json.get("order_id"), f"{answer!r}, and the exchange has {len(orders)} orders")
    elif answer.outcome in ("refused", "not-sent"):
        hold(not orders, f"{answer!r}, and the exchange has the order: it is lost")
    else:
        expect(answer.outcome, "unknown", f"the outcome of {answer!r}")
        recovery = house.private.order_recovery
        hold(recovery != "full", f"{answer!r}: it could have been looked up (order_recovery = {recovery})")


async def _again(house: House, body: Mapping[str, Any], first: Answered) -> None:
    """The same key once more: the same outcome, and nothing is sent."""
    second = await house.order(body, key="k")
    expect(second.outcome, first.outcome, f"the outcome of a replay ({second!r} after {first!r})")
    hold(len(house.world.all_orders()) <= 1, f"the same key placed a second order ({second!r})")
    if first.outcome == "placed":
        expect(second.json["order_id"], first.json["order_id"], "the id of a replay")


async def _is_the_one(house: House, answer: Answered) -> None:
    """The answered id cancels the true order, or is found as it is where it is closed already."""
    if answer.outcome != "placed":
        return
    order_id, truth = answer.json["order_id"], house.world.all_orders()[0]
    hold(re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", order_id), f"order_id {order_id!r}")
    if truth.status == "open":
        checks.ok(await house.cancel(house.market, order_id), f"cancelling {order_id}")
        expect(house.world.all_orders()[0].status, "canceled", f"the order, after {order_id} was cancelled")
        return
    found = checks.ok(await house.get("order", order_id=order_id, symbol=house.market.symbol), f"order {order_id}")
    checks.order(found, truth, f"order {order_id}")
