"""Cases about answers that are none: whatever comes instead of one, callers get an honest error and never a value."""

from __future__ import annotations

from . import checks
from .checks import expect, hold
from .door import Answered
from .faults import WireFault
from .house import HURRIED, LOOKS, NORMAL, House, open_house
from .subjects import Subject
from .table import case, every, faulty, needs, wired

_READS = ("depth", "recent_trades", "balances", "pending_orders", "find_order")
_KINDS = (
    "drop", "hang", "cut", "html", "truncated", "empty", "null", "blank",
    "redirect", "error_403", "error_500", "error_502", "error_503", "error_504",
)  # fmt: skip
_UNAVAILABLE = (500, 502, 503, 504)
_WALL = "error_403"


def _reads(subject: Subject, variant: str) -> str:
    return needs(variant.partition("-")[0])(subject, variant)


async def _read(house: House, operation: str, order_id: str) -> Answered:
    symbol = house.market.symbol
    if operation in ("depth", "recent_trades"):
        return await house.get(operation, symbol=symbol, limit=5)
    if operation == "find_order":
        return await house.get("order", order_id=order_id, symbol=symbol)
    return await house.get(operation, **({"symbol": symbol} if operation == "pending_orders" else {}))


async def _prepare(house: House, operation: str) -> str:
    """Something to ask for; the id of an open order where orders are asked for."""
    house.crowd.books()
    house.crowd.trade(house.market, 5)
    if operation not in ("pending_orders", "find_order"):
        return ""
    return str(checks.ok(await house.order(house.body()), "an order")["order_id"])


@case(
    "C20",
    "answers that are none",
    "a lost line, HTML, half an answer, nothing, null, {}, a redirect or a 5xx is never taken for a value",
    every(faulty, _reads),
    variants=[f"{operation}-{kind}" for operation in _READS for kind in _KINDS],
)
async def bad_answers(subject: Subject, variant: str) -> None:
    """The same question works again right after."""
    operation, _, kind = variant.partition("-")
    async with open_house(subject, HURRIED if kind == "hang" else NORMAL) as house:
        order_id = await _prepare(house, operation)
        checks.ok(await _read(house, operation, order_id), f"{operation} before the fault")
        targets = LOOKS if operation == "find_order" else (operation,)
        house.faults.add(*(WireFault(operation=target, kind=kind, times=0) for target in targets))  # type: ignore[arg-type]
        answer = await _read(house, operation, order_id)
        hold(
            answer.status in _UNAVAILABLE or (kind == _WALL and answer.status in (400, 403)),
            f"{operation}, to which the exchange answered {kind}, gave {answer!r} instead of a 503 or 504",
        )
        checks.status_body(answer)
        hold(house.faults.fired, "the fault never struck: Fake.operation doesn't name these requests")
        if house.has_wire:
            expect(house.wire.followed, 0, "redirects followed")
        house.faults.clear()
        checks.ok(await _read(house, operation, order_id), f"{operation} after the fault")


@case(
    "C21",
    "too many requests",
    "a limit of the exchange becomes a 429 with Retry-After, and the next request waits",
    every(wired, _reads),
    variants=_READS[:4],
)
async def rate_limited(subject: Subject, variant: str) -> None:
    """The pause holds for every operation: the limit is one per address."""
    async with open_house(subject) as house:
        order_id = await _prepare(house, variant)
        house.faults.add(WireFault(operation=variant, kind="too_many"))
        answer = await _read(house, variant, order_id)
        expect(answer.status, 429, f"the status of {answer!r} after the exchange said too many requests")
        checks.status_body(answer)
        hold(float(answer.headers.get("retry-after", "0")) > 0, f"{answer!r} has no Retry-After")
        asked, told = len(house.wire.requests), house.now()
        again = await house.get("depth" if subject.has("depth") else variant, symbol=house.market.symbol)
        waited = house.now() - told
        hold(
            again.status == 429 or len(house.wire.requests) == asked or waited >= _waits(answer),
            f"{again!r}: the next request left {waited:.2f} s later, during the pause that the exchange asked for",
        )


def _waits(answer: Answered) -> float:
    """The least that the next request waits: Retry-After counts from the exchange's answer, in whole seconds."""
    return 0.8 * (float(answer.headers["retry-after"]) - 1.0)


@case(
    "C22",
    "banned",
    "a 418 is told as a 429 with Retry-After",
    every(wired, _reads),
    variants=_READS[:4],
)
async def banned(subject: Subject, variant: str) -> None:
    """Some exchanges answer so when a 429 was ignored."""
    async with open_house(subject) as house:
        order_id = await _prepare(house, variant)
        house.faults.add(WireFault(operation=variant, kind="banned"))
        answer = await _read(house, variant, order_id)
        expect(answer.status, 429, f"the status of {answer!r} after a 418")
        hold(answer.headers.get("retry-after"), f"{answer!r} has no Retry-After")


@case(
    "C23",
    "the exchange refuses a question",
    "an error of the exchange is an error here, with the exchange's words",
    every(wired, needs("depth")),
    variants=("depth", "recent_trades"),
)
async def refused(subject: Subject, variant: str) -> None:
    """A market that the exchange has just delisted."""
    if not subject.has(variant):
        return
    async with open_house(subject) as house:
        house.crowd.books()
        house.world.delisted.add(house.market.symbol)
        answer = await house.get(variant, symbol=house.market.symbol, limit=5)
        checks.refused(answer, f"{variant} of a market that the exchange no longer knows")


@case(
    "C24",
    "a market list that can't be read",
    "the exchange is unavailable until the list can be read, and open then",
    wired,
    variants=("drop", "html", "truncated", "empty", "null", "blank", "error_503", "too_many"),
)
async def no_markets(subject: Subject, variant: str) -> None:
    """Nothing is served from an empty or half a list."""
    assert subject.fake is not None
    from .serving import running

    async with running(subject.fake) as wire:
        wire.faults.add(WireFault(operation="markets", kind=variant, times=0))  # type: ignore[arg-type]
        try:
            async with open_house(subject, HURRIED, wire=wire):
                raise AssertionError(f"the exchange opened although its market list was {variant}")
        except AssertionError:
            raise
        except Exception as error:
            hold(wire.faults.fired, f"the market list was never asked for ({error})")
        wire.faults.clear()
        async with open_house(subject, wire=wire) as house:
            found = {market.symbol for market in house.exchange.markets}
            hold(found >= {market.symbol for market in house.world.markets}, f"markets after the fault: {found}")
