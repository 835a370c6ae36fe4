"""Cases about an exchange that answers what no exchange should: numbers nobody may compute with, and worse."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import anyio

from exgate_core.models import Trade

from . import checks
from .checks import expect, hold
from .door import Answered, Tap
from .fakes import Reply
from .faults import FrameFault, WireFault
from .house import LOOKS, House, Terms, eventually, open_house
from .pace import FastClock, runtime
from .spoiling import BOMBS, HOSTILE, Alter, Place, numbers, places_of, spoilt
from .subjects import Subject
from .table import NotApplicable, case, every, needs, wired

_READS = ("depth", "recent_trades", "balances", "pending_orders", "find_order")
_SENDS = ("place_order", "cancel_order")
_UNAVAILABLE = (503, 504)
_LIMIT = 5.0
"""Seconds of the machine within which each answer must come."""
_PLENTY = 10_000_000
_TERMS = Terms(speed=20.0, orders=20.0, weight_limit=_PLENTY)
_PLAIN = re.compile(r"-?\d{1,400}(\.\d{1,400})?")
_POSSIBLE = ("negative", "empty")
"""What may be true of some numbers: a debt, or a price that there is none of."""
_SIGNED = ("available", "free", "total")
"""Where something is owed, these are below zero."""
_NUMBERS = frozenset((*_SIGNED, "price", "amount", "qty", "quoteQty", "locked", "frozen", "filled", "remaining"))


def _reads(subject: Subject, variant: str) -> str:
    orders = ("place_order",) if variant in ("pending_orders", "find_order", "cancel_order") else ()
    return needs(variant, *orders)(subject, variant)


async def _read(house: House, operation: str, order_id: str) -> Answered:
    symbol = house.market.symbol
    with anyio.fail_after(_LIMIT):
        if operation in ("depth", "recent_trades"):
            return await house.get(operation, symbol=symbol, limit=5)
        if operation == "find_order":
            return await house.get("order", order_id=order_id, symbol=symbol)
        return await house.get(operation, **({"symbol": symbol} if operation == "pending_orders" else {}))


async def _prepare(house: House, operation: str) -> str:
    house.crowd.books()
    house.crowd.trade(house.market, 5)
    if operation not in ("pending_orders", "find_order"):
        return ""
    return str(checks.ok(await house.order(house.body()), "an order")["order_id"])


def _honest(house: House, operation: str) -> bytes:
    """The newest answer of the fake to an operation; empty where there is none."""
    replies = (seen.reply for seen in reversed(house.wire.requests) if seen.operation == operation)
    return next((reply.body for reply in replies if reply is not None and reply.status == 200), b"")


def _bombs(body: bytes, order_id: str = "") -> Iterator[tuple[str, Alter]]:
    """In place of every number but the order's id, which is a text (C105)."""
    spared = places_of(body, order_id)
    for place, bomb in itertools.product((place for place in numbers(body) if place not in spared), BOMBS):
        named = f"{bomb} at {'.'.join(map(str, place))}"

        yield named, partial(_with, place=place, text=bomb)


def _with(reply: Reply, place: Place, text: str) -> Reply:
    try:
        return Reply(spoilt(reply.body, place, text).encode(), reply.status, reply.headers)
    except (LookupError, TypeError, ValueError):  # an answer of another shape has no such place
        return reply


def _sane(found: Any, what: str, name: str = "") -> None:
    """No number in an answer is one that nobody may compute with."""
    if isinstance(found, dict):
        for key, inner in found.items():
            _sane(inner, what, key)
    elif isinstance(found, list):
        for inner in found:
            _sane(inner, what, name)
    elif name in _NUMBERS and isinstance(found, str) and found:
        plain = _PLAIN.fullmatch(found) and (name in _SIGNED or not found.startswith("-"))
        hold(plain, f"{what}: {name} = {found[:60]!r} is no plain number")


@case(
    "C100",
    "numbers that are none",
    "1e999999999, 100,000 digits, NaN, -1, letters or line ends in place of any number of an answer never reach a "
    "caller, nor an error of the gateway's own; after a send they leave the outcome to be looked up",
    every(wired, _reads),
    variants=(*_READS, *_SENDS),
)
async def bombs(subject: Subject, variant: str) -> None:
    """One number after the other, of what the fake really answers."""
    await (_spoil_sends if variant in _SENDS else _spoil_reads)(subject, variant, None)


@case(
    "C101",
    "hostile answers",
    "whatever else comes instead of an answer is never taken for a value, a refusal, or an error of the gateway's own; "
    "after a send it leaves the outcome to be looked up",
    every(wired, _reads),
    variants=(*_READS, *_SENDS),
)
async def hostile(subject: Subject, variant: str) -> None:
    """Pages, halves, other shapes, other types, depths, sizes and statuses: more than thirty."""
    await (_spoil_sends if variant in _SENDS else _spoil_reads)(subject, variant, list(HOSTILE.items()))


async def _spoil_reads(subject: Subject, operation: str, given: list[tuple[str, Alter]] | None) -> None:
    async with open_house(subject, _TERMS) as house:
        order_id = await _prepare(house, operation)
        before = checks.ok(await _read(house, operation, order_id), f"{operation} before the fault")
        targets = [look for look in LOOKS if _honest(house, look)] if operation == "find_order" else [operation]
        hold(targets and _honest(house, targets[0]), "Fake.operation doesn't name these requests")
        for target in targets:
            for named, alter in given or _bombs(_honest(house, target), order_id):
                house.faults.add(WireFault(operation=target, kind="altered", alter=alter, when="after", times=0))
                answer = await _read(house, operation, order_id)
                house.faults.clear()
                _judge_read(house, answer, f"{operation}, {named}")
                if answer.status == 200 and given is not None:
                    hold(answer.json == before, f"{operation}, {named}: {answer!r} was made of it")
                elif answer.status == 200 and named.partition(" ")[0] not in _POSSIBLE:
                    true = _told(house, answer.json) == _told(house, before)
                    hold(true, f"{operation}, {named}: {answer!r} was made of it")
                await _is_well(house)
        checks.ok(await _read(house, operation, order_id), f"{operation} after the faults")
        expect(house.wire.followed, 0, "redirects followed")


async def _is_well(house: House) -> None:
    with anyio.fail_after(_LIMIT):
        expect((await house.door.get("/healthz")).status, 200, "the status of /healthz meanwhile")


def _told(house: House, found: Any) -> Any:
    """What a caller is told, but for the time of answering. A library may tell an id or a time as not known."""
    if not house.subject.own:
        return sorted(_figures(found))
    return {name: value for name, value in found.items() if name != "timeStamp"}


def _figures(found: Any, name: str = "") -> list[str]:
    """Every price and amount of an answer."""
    if isinstance(found, dict):
        return [figure for key, inner in found.items() for figure in _figures(inner, key)]
    if isinstance(found, list):
        return [figure for inner in found for figure in _figures(inner, name)]
    return [found] if name in _NUMBERS else []


def _judge_read(house: House, answer: Answered, what: str) -> None:
    if answer.status == 200:
        _sane(answer.json, what)
        return
    own = house.subject.own  # a library may take any code for a refusal of a question
    found = answer.status in _UNAVAILABLE or ((" 40" in what or not own) and answer.status in (400, 401, 403))
    hold(found, f"{what}: {answer!r} instead of a 503 or 504")
    checks.status_body(answer)


async def _spoil_sends(subject: Subject, operation: str, given: list[tuple[str, Alter]] | None) -> None:
    async with open_house(subject, _TERMS) as house:
        house.crowd.books()
        placed = str(checks.ok(await house.order(house.body()), "an order")["order_id"])
        if operation == "cancel_order":
            checks.ok(await house.cancel(house.market, placed), "a cancel")
        body = _honest(house, operation)
        hold(body, "Fake.operation doesn't name these requests")
        for named, alter in given or _bombs(body):
            what = f"{operation}, {named}"
            fault = WireFault(operation=operation, kind="altered", alter=alter, when="after")
            if operation == "place_order":
                await _order_is_told(house, fault, what)
            else:
                await _cancel_is_told(house, fault, what)
            await _is_well(house)


async def _order_is_told(house: House, fault: WireFault, what: str) -> None:
    count = len(house.world.all_orders())
    house.faults.add(fault)
    with anyio.fail_after(_LIMIT):
        answer = await house.order(house.body())
    house.faults.clear()
    expect(len(house.world.all_orders()), count + 1, f"orders on the exchange after {what}")
    hold(answer.outcome in ("placed", "unknown"), f"{what}: {answer!r} of an order that the exchange has")
    expect(answer.status, 200 if answer.outcome == "placed" else 504, f"the status of {answer!r}, {what}")


async def _cancel_is_told(house: House, fault: WireFault, what: str) -> None:
    order_id = str(checks.ok(await house.order(house.body()), "an order to cancel")["order_id"])
    house.faults.add(fault)
    with anyio.fail_after(_LIMIT):
        answer = await house.cancel(house.market, order_id)
    house.faults.clear()
    hold(answer.status in (200, 504), f"{what}: {answer!r} of a cancel that was done")
    if answer.status == 200:
        expect(answer.json["status"] in ("canceled", "pending"), True, f"{answer!r}, {what}")


_OFFSETS = {
    "two hours behind": -7200.0,
    "ten minutes ahead": 600.0,
    "two hours ahead": 7200.0,
    "31 days ahead": 2678400.0,
}


@case(
    "C102",
    "a machine whose clock is wrong",
    "an order whose answer was lost is found, and one that never arrived is refused, however wrong the time of day is; "
    "a caller can read that it is",
    every(wired, needs("place_order", "find_order")),
    variants=tuple(_OFFSETS),
)
async def wrong_clock(subject: Subject, variant: str) -> None:
    """The exchange's clock is right. An adapter that doesn't measure it may be refused at once."""
    if subject.offer.account_capabilities.order_recovery != "full":
        raise NotApplicable(f"order_recovery = {subject.offer.account_capabilities.order_recovery}")
    pace = runtime(5.0)
    assert isinstance(pace.clock, FastClock)
    pace.clock.jumped = _OFFSETS[variant]
    async with open_house(subject, pace=pace) as house:
        house.world.skew = -_OFFSETS[variant]
        first = await house.order(house.body(), key="first")
        if first.outcome == "refused":
            raise NotApplicable(
                "the exchange refuses orders with such a time, and the adapter doesn't ask for its time"
            )
        checks.ok(first, "an order")
        house.faults.add(WireFault(operation="place_order", kind="drop", when="after"))
        answer = await house.order(house.body(), key="lost")
        expect(
            (answer.status, answer.outcome), (200, "placed"), f"what became of an order that was placed ({answer!r})"
        )
        expect(len(house.world.all_orders()), 2, "orders on the exchange")
        house.faults.add(WireFault(operation="place_order", kind="drop"))
        answer = await house.order(house.body(), key="never")
        expect(answer.outcome, "refused", f"the outcome of an order that never arrived ({answer!r})")
        expect(len(house.world.all_orders()), 2, "orders on the exchange")
        _skew_is_told(house, _OFFSETS[variant])


def _skew_is_told(house: House, offset: float) -> None:
    skew = house.gateway.clock_skew(house.name)
    if skew is None:
        hold(not house.subject.own or not getattr(house.subject.fake, "timed", False), "the clock's skew isn't known")
        return
    hold(abs(skew - offset) < 60.0, f"a skew of {skew} s is told, of {offset} s")


_STORM, _RESTING = 20, 8
_BETWEEN = 2.0
_SOON = 1.0


@case(
    "C104",
    "cancels in a storm of look-ups",
    "while many orders are looked up at once, cancels of resting orders leave within a second, none is limited, and "
    "everything is settled in the end",
    every(wired, needs("place_order", "cancel_order", "find_order")),
)
async def storm(subject: Subject, variant: str) -> None:
    """Twenty answers are lost in a second; the adapter's own budget holds."""
    if subject.offer.account_capabilities.order_recovery != "full":
        raise NotApplicable(f"order_recovery = {subject.offer.account_capabilities.order_recovery}")
    async with open_house(subject, Terms(speed=5.0, orders=60.0, settle=10.0)) as house:
        resting = [str(checks.ok(await house.order(house.body()), "an order")["order_id"]) for _ in range(_RESTING)]
        house.faults.add(WireFault(operation="place_order", kind="error_502", times=_STORM))
        lost = [asyncio.ensure_future(house.order(house.body(), key=f"lost-{number}")) for number in range(_STORM)]
        await eventually(lambda: len(house.faults.fired) == _STORM, "every order of the storm")
        clock = house.clock
        assert isinstance(clock, FastClock)
        for order_id in resting:
            await clock.sleep(_BETWEEN)
            start = house.now()
            answer = await house.cancel(house.market, order_id)
            checks.ok(answer, "a cancel in the storm")
            hold(house.now() - start <= _SOON, f"a cancel took {house.now() - start:.1f} s in the storm")
        told = await asyncio.gather(*lost)
        expect({answer.outcome for answer in told} <= {"refused", "unknown"}, True, "outcomes of what never arrived")
        for number in range(_STORM):
            answer = await house.order(house.body(), key=f"lost-{number}")
            hold(answer.outcome in ("refused", "placed"), f"{answer!r} after the storm")


_STRANGE = ("../../x", "a b", "1\r\nX: y", "9" * 100_000)


@case(
    "C105",
    "order ids that nobody could name",
    "an id that a caller couldn't send back is never told as that of a placed order; the order is found by its client "
    "order id instead, or unknown",
    every(wired, needs("place_order", "find_order")),
)
async def strange_ids(subject: Subject, variant: str) -> None:
    """Whatever stands where the exchange's answer has the order's id."""
    async with open_house(subject, _TERMS) as house:
        first = str(checks.ok(await house.order(house.body()), "an order")["order_id"])
        places = places_of(_honest(house, "place_order"), first)
        if not places:
            raise NotApplicable("the exchange's answer to an order doesn't hold its id as it is told")
        for strange in _STRANGE:
            alter = partial(_with, place=places[0], text=strange)
            house.faults.add(WireFault(operation="place_order", kind="altered", alter=alter, when="after"))
            answer = await house.order(house.body())
            hold(answer.outcome in ("placed", "unknown"), f"{answer!r}, whose id was told as {strange[:20]!r}")
            if answer.status == 200:
                name = answer.headers["exgate-client-order-id"]
                true = await house.get("order", client_order_id=name, symbol=house.market.symbol)
                told = checks.ok(true, "the order by its client id")["order_id"]
                expect(answer.json["order_id"], told, f"the id, which the exchange told as {strange[:20]!r}")
        expect(len(house.world.all_orders()), 1 + len(_STRANGE), "orders on the exchange")


_NEW_WORD = "paused_for_review"


@case(
    "C106",
    "a state of orders that nobody knows",
    "an order in a state whose name is new is listed, and open",
    every(wired, needs("place_order", "pending_orders", "find_order")),
)
async def new_word(subject: Subject, variant: str) -> None:
    """One word for one order; the rest of the answer is as ever."""
    word = getattr(subject.fake, "word_for_open", "")
    if not word:
        raise NotApplicable("the fake doesn't tell the exchange's word for an open order (word_for_open)")
    async with open_house(subject, _TERMS) as house:
        order_id = str(checks.ok(await house.order(house.body()), "an order")["order_id"])

        def alter(reply: Reply) -> Reply:
            places = places_of(reply.body, word)
            return _with(reply, places[0], _NEW_WORD) if places else reply

        for look in LOOKS:
            house.faults.add(WireFault(operation=look, kind="altered", alter=alter, when="after", times=0))
        rows = checks.ok(await _read(house, "pending_orders", order_id), "open orders with a new word")["orders"]
        expect([row["order_id"] for row in rows], [order_id], "the orders listed under a new word")
        found = checks.ok(await _read(house, "find_order", order_id), "an order with a new word")
        expect(found["status"], "open", "the status of an order under a new word")
        hold(any(places_of(_honest(house, look), word) for look in LOOKS), f"the exchange never said {word!r}")


@case(
    "C107",
    "numbers that are none, in a stream",
    "no trade of a stream has a number that is none, and none that came honestly is missing after it",
    every(wired, needs("pull_trade")),
    variants=tuple(bomb for bomb in BOMBS if bomb != "empty"),
)
async def stream_bombs(subject: Subject, variant: str) -> None:
    """In place of each number of a frame, one after the other."""
    async with open_house(subject, _TERMS) as house:
        house.crowd.trade(house.market, 1)
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 1)
            await eventually(lambda: bool(tap.trades), "a trade")
            for place in numbers(house.wire.frames[-1]):
                alter = partial(_frame, place=place, bomb=variant)
                made += await _struck(house, FrameFault(kind="altered", alter=alter))
                made += house.crowd.trade(house.market, 1)
                await eventually(partial(_has, tap, made[-1]), f"the trade after {variant} at {place}")
                # While it is being joined, the history tells the truth instead of a frame.
                await eventually(lambda: tap.statuses[-1] in ("live", "resumed"), "the stream lives again")
            _sane(tap.trades, f"a trade of the stream, {variant}")
            true = {(trade.price, trade.qty) for trade in made}
            false = [row for row in tap.trades if not _is_one(row, true)]
            hold(not false, f"{false[:1]} was made of {variant}")


async def _struck(house: House, fault: FrameFault) -> list[Trade]:
    """The trades that it took until the fault struck one: none is sent while the stream is opened again."""
    made, before = list[Trade](), len(house.faults.fired)
    house.faults.add(fault)
    with anyio.fail_after(_LIMIT):
        while len(house.faults.fired) == before:
            made += house.crowd.trade(house.market, 1)
            await anyio.sleep(0.01)
    return made


def _has(tap: Tap, trade: Trade) -> bool:
    return any(row["time"] == trade.time and Decimal(row["price"]) == Decimal(trade.price) for row in tap.trades)


def _is_one(row: Mapping[str, Any], true: Collection[tuple[str, str]]) -> bool:
    pair = Decimal(row["price"]), Decimal(row["qty"])
    return any(pair == (Decimal(price), Decimal(qty)) for price, qty in true)


def _frame(text: str, place: Place, bomb: str) -> str:
    try:
        return spoilt(text, place, bomb)
    except (LookupError, TypeError, ValueError):  # a frame of another shape has no such place
        return text
