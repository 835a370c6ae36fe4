"""Cases about orders that exist: finding them in every state, and cancelling them in every state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from . import checks
from .checks import expect, hold
from .faults import WireFault
from .house import House, open_house
from .serving import running
from .subjects import Subject
from .table import NotApplicable, case, every, needs, wired

_STATES = ("open", "partially_filled", "filled", "canceled")
_ENDED = {"filled": "filled", "canceled": "already_canceled"}


async def _in_state(house: House, state: str) -> tuple[str, str]:
    """(order id, client order id) of a new order in this state."""
    amount = house.crowd.amount(house.market, 4)
    answer = await house.order(house.body(offset=5, amount=amount))
    order_id = str(checks.ok(answer, "an order")["order_id"])
    rules = house.world.engine.book(house.market.symbol).rules
    whole = rules.amount(amount)
    assert whole
    if state in ("partially_filled", "filled"):
        house.crowd.hit(house.market, "sell", 5, whole // 4 if state == "partially_filled" else whole)
    if state == "canceled":
        checks.ok(await house.cancel(house.market, order_id), "a cancel")
    expect(house.world.all_orders()[-1].status, state, "the state that the case has made")
    return order_id, answer.headers.get("exgate-client-order-id", "")


@case(
    "C60",
    "finding an order by its id",
    "an order is found in every state, with every field as the exchange has it",
    needs("place_order", "find_order"),
    variants=_STATES,
)
async def by_id(subject: Subject, variant: str) -> None:
    """Other orders stand beside it."""
    async with open_house(subject) as house:
        await _in_state(house, "canceled")
        order_id, client_order_id = await _in_state(house, variant)
        await _in_state(house, "open")
        if variant == "partially_filled":
            expect(house.world.all_orders()[1].status, variant, "the state")
        answer = await house.get("order", order_id=order_id, symbol=house.market.symbol)
        _compare(house, checks.ok(answer, f"a {variant} order"), order_id, client_order_id, variant)


@case(
    "C61",
    "finding an order by its client id",
    "an order is found by the client order id in every state that the adapter declares",
    needs("place_order", "find_order"),
    variants=_STATES,
)
async def by_client_id(subject: Subject, variant: str) -> None:
    """What recovers an order whose answer was lost."""
    private = subject.offer.account_capabilities
    closed = variant in ("filled", "canceled")
    if private.client_ids is None or private.order_recovery == "none" or (closed and private.order_recovery == "open"):
        raise NotApplicable(f"client_ids = {private.client_ids}, order_recovery = {private.order_recovery}")
    async with _two_gateways(subject) as open_next:
        async with open_next() as house:
            await _in_state(house, "filled")
            order_id, client_order_id = await _in_state(house, variant)
        async with open_next() as house:
            answer = await house.get("order", client_order_id=client_order_id, symbol=house.market.symbol)
            _compare(house, checks.ok(answer, f"a {variant} order"), order_id, client_order_id, variant)


@asynccontextmanager
async def _two_gateways(subject: Subject) -> AsyncIterator[Callable[[], AbstractAsyncContextManager[House]]]:
    """What opens gateways on one exchange, one after the other, each with a journal that knows nothing."""
    if subject.fake is None:
        async with open_house(subject) as only:
            yield lambda: nullcontext(only)
        return
    async with running(subject.fake) as wire:
        yield lambda: open_house(subject, wire=wire)


def _compare(house: House, found: dict[str, str], order_id: str, client_order_id: str, state: str) -> None:
    truth = next(
        order for order in house.world.all_orders() if order.status == state and _same_id(order, client_order_id)
    )
    expect(found["order_id"], order_id, "the order id")
    checks.order(found, truth, f"a {state} order")
    if house.private.client_ids is not None:
        expect(found["client_order_id"], client_order_id, "the client order id")
    fine = {state} | ({"open"} if state == "partially_filled" else set())
    hold(found["status"] in fine, f"status {found['status']!r} of a {state} order")
    if found["remaining"]:
        checks.same_number(found["remaining"], truth.remaining, f"what remains of a {state} order")
    placed = int(found["order_time"])
    hold(not placed or abs(placed - truth.time) < 60_000, f"order_time {placed} instead of {truth.time} (ms), or 0")


def _same_id(order: object, client_order_id: str) -> bool:
    return getattr(order, "client_order_id", "") == client_order_id or not client_order_id


@case(
    "C62",
    "orders that don't exist",
    "an unknown id is a 404, by either id, and never an empty order",
    needs("find_order"),
)
async def nowhere(subject: Subject, variant: str) -> None:
    """Ids of the exchange's own shape: one with its last digits changed."""
    async with open_house(subject) as house:
        order_id, client_order_id = await _in_state(house, "open")
        other = order_id[:-2] + ("73" if order_id[-2:] != "73" else "37")
        answer = await house.get("order", order_id=other, symbol=house.market.symbol)
        checks.refused(answer, f"the order {other}", (404,))
        no = (400, 404) if subject.own else (400, 404, 503, 504)  # a refused search proves nothing to a library
        for strange in ("no-such-id", "0", f"{order_id}00000000000000000000"):
            answer = await house.get("order", order_id=strange, symbol=house.market.symbol)
            checks.refused(answer, f"the order {strange}", no)
            answer = await house.cancel(house.market, strange)
            checks.refused(answer, f"a cancel of {strange}", no)
            expect(house.world.all_orders()[0].status, "open", f"the order, after {strange} was cancelled")
        if house.private.client_ids is not None:
            other = client_order_id[:-2] + ("73" if client_order_id[-2:] != "73" else "37")
            answer = await house.get("order", client_order_id=other, symbol=house.market.symbol)
            checks.refused(answer, f"the order with the client id {other}", (404,))


@case(
    "C63",
    "cancelling in every state",
    "an open order is canceled; a filled or canceled one is told as such, and an unknown one is a 404",
    needs("place_order", "cancel_order", "find_order"),
    variants=(*_STATES, "unknown"),
)
async def cancel(subject: Subject, variant: str) -> None:
    """By its id; nothing else is touched."""
    async with open_house(subject) as house:
        if variant == "unknown":
            order_id, _ = await _in_state(house, "open")
            answer = await house.cancel(house.market, order_id[:-2] + ("73" if order_id[-2:] != "73" else "37"))
            checks.refused(answer, "cancelling an order that doesn't exist", (404,))
            expect(house.world.all_orders()[0].status, "open", "the order that exists")
            return
        order_id, _ = await _in_state(house, variant)
        await _in_state(house, "open")
        answer = await house.cancel(house.market, order_id)
        told = checks.ok(answer, f"cancelling a {variant} order")
        checks.keys(told, {"status": str}, "the answer to a cancel")
        expect(told["status"], _ENDED.get(variant, "canceled"), f"the status told of a {variant} order")
        first, second = house.world.all_orders()
        expect(first.status, "filled" if variant == "filled" else "canceled", "the true status")
        expect(second.status, "open", "the status of the order beside it")


@case(
    "C64",
    "cancelling by the client id",
    "the order that bears the client order id is canceled, and no other",
    needs("place_order", "cancel_order"),
)
async def cancel_by_client_id(subject: Subject, variant: str) -> None:
    """Where the caller never learned the exchange's id."""
    if subject.offer.account_capabilities.client_ids is None:
        raise NotApplicable("client_ids = None: the exchange has none")
    async with _two_gateways(subject) as open_next:
        async with open_next() as house:
            await _in_state(house, "open")
            _, client_order_id = await _in_state(house, "open")
        async with open_next() as house:
            answer = await house.cancel(house.market, client_order_id=client_order_id)
        expect(checks.ok(answer, "a cancel by client id")["status"], "canceled", "the status told")
        expect([order.status for order in house.world.all_orders()], ["open", "canceled"], "the true statuses")


@case(
    "C65",
    "without a symbol",
    "an order is found and cancelled without its symbol, unless the adapter says that it needs one",
    needs("place_order", "cancel_order", "find_order"),
)
async def without_symbol(subject: Subject, variant: str) -> None:
    """A gateway whose journal knows nothing of the order."""
    needed = subject.offer.account_capabilities.symbol_needed
    if {"find_order", "cancel_order"} <= needed:
        raise NotApplicable(f"symbol_needed = {sorted(needed)}")
    async with _two_gateways(subject) as open_next:
        async with open_next() as house:
            order_id, _ = await _in_state(house, "open")
        async with open_next() as house:
            if "find_order" not in needed:
                found = checks.ok(await house.get("order", order_id=order_id), "an order without its symbol")
                expect(found["symbol"], house.market.symbol, "the symbol of the order that was found")
            if "cancel_order" not in needed:
                told = checks.ok(await house.cancel(None, order_id), "a cancel without a symbol")
                expect(told["status"], "canceled", "the status told")


@case(
    "C103",
    "one id in two markets",
    "where two markets have orders with one id, a lost answer is found in its own; without a symbol nothing is guessed "
    "and both are named, and with it only that market's order is meant",
    every(wired, needs("place_order", "cancel_order", "find_order")),
)
async def two_markets(subject: Subject, variant: str) -> None:
    """Each market counts its orders by itself."""
    if not getattr(subject.fake, "ids_per_market", False):
        raise NotApplicable("no two orders of an account have the same id on this exchange (ids_per_market)")
    async with open_house(subject) as house:
        house.world.ids_per_market = True
        one, two = house.world.markets[:2]
        order_id = str(checks.ok(await house.order(house.body(one)), "an order")["order_id"])
        house.faults.add(WireFault(operation="place_order", kind="drop", when="after"))
        lost = checks.ok(await house.order(house.body(two), key="k"), "an order of another market, its answer lost")
        expect(lost["order_id"], order_id, "its id")
        expect(len(house.world.all_orders()), 2, "orders on the exchange")
        for answer in (await house.cancel(None, order_id), await house.get("order", order_id=order_id)):
            checks.refused(answer, f"the order {order_id} without its symbol", (400,))
            named = all(market.symbol in answer.json["message"] for market in (one, two))
            hold(named, f"{answer!r} doesn't name {one.symbol} and {two.symbol}")
        expect({order.status for order in house.world.all_orders()}, {"open"}, "the statuses of both")
        for market, left in ((two, {one.symbol}), (one, set[str]())):
            found = checks.ok(
                await house.get("order", order_id=order_id, symbol=market.symbol), "an order by its market"
            )
            expect(found["symbol"], market.symbol, "the symbol of the order that was found")
            checks.ok(await house.cancel(market, order_id), f"a cancel in {market.symbol}")
            expect({order.symbol for order in house.world.open_orders()}, left, f"what is open after {market.symbol}")


@case(
    "C66", "looking changes nothing", "find_order sends nothing that changes an order or a balance", needs("find_order")
)
async def looking(subject: Subject, variant: str) -> None:
    """Books, orders and balances are the same afterwards."""
    async with open_house(subject) as house:
        order_id, client_order_id = await _in_state(house, "open")
        before = house.world.all_orders(), house.world.balances()
        for params in ({"order_id": order_id}, {"client_order_id": client_order_id}):
            if all(params.values()):
                checks.ok(await house.get("order", symbol=house.market.symbol, **params), f"the order by {params}")
        expect((house.world.all_orders(), house.world.balances()), before, "orders and balances after looking")
