"""Cases about the moment at which a snapshot of a book and the stream of its changes are joined, and about quiet."""

from __future__ import annotations

import anyio

from exgate_core.models import Depth, DepthDelta

from . import checks
from .bare import Bare, open_bare
from .cases_books import Watch
from .checks import expect, hold
from .crowd import Crowd
from .fakes import Reply, Request
from .house import House, Terms, eventually, open_house
from .pace import FastClock
from .subjects import Subject
from .table import case, every, needs, wired

_FAST = Terms(speed=25.0, tolerate=2.0)
_QUIET = Terms(speed=10.0, tolerate=6.0)
"""A connection is proven alive three times while a copy may be shown: one late proof is no failure."""
_CHANGES = 4
_book = every(needs("depth", "pull_depth"), wired)


@case(
    "C88",
    "a quiet book",
    "a book in which nothing happens is shown locally as long as its connection is alive",
    _book,
)
async def quiet(subject: Subject, variant: str) -> None:
    """Half as long again as was tolerated."""
    async with open_house(subject, _QUIET) as house:
        house.crowd.books(15)
        watch = Watch(house)
        await watch.local("the first copy")
        start, looks, local = house.now(), 0, 0
        while house.now() - start < 1.5 * _QUIET.tolerate:
            answer = await watch.look()
            looks, local = looks + 1, local + (answer.headers.get("exgate-source") == "local")
            await anyio.sleep(0.005)
        hold(local >= 0.8 * looks, f"of {looks} looks at a quiet book only {local} were answered by the copy")


@case(
    "C89",
    "changes while the snapshot is on its way",
    "whatever happens to a book between subscribing and the snapshot, the copy becomes the true book",
    _book,
    variants=("older", "newer", "between"),
)
async def race(subject: Subject, variant: str) -> None:
    """The snapshot is older than the first change that the stream brings, newer than all of them, or in between."""
    async with open_house(subject, _FAST) as house:
        house.crowd.books(15)
        watch, left = Watch(house), [2]
        fake, market = house.wire.fake, house.market
        honest = fake.answer

        def change() -> None:
            for number in range(_CHANGES):
                house.crowd.rest(market, "buy", -5 - number)
                house.crowd.rest(market, "sell", 5 + number)

        def answer(request: Request) -> Reply:
            if fake.operation(request) != "depth" or not left[0]:
                return honest(request)
            left[0] -= 1
            if variant == "older":
                reply = honest(request)
                change()
                return reply
            change()
            reply = honest(request)
            if variant == "between":
                change()
            return reply

        fake.answer = answer  # type: ignore[method-assign]
        await _becomes_true(house, watch)


async def _becomes_true(house: House, watch: Watch) -> None:
    await watch.local("changes while the snapshot was on its way")
    house.crowd.rest(house.market, "sell", 40)
    await watch.local("a change after that")
    asked, before = house.sent("depth"), watch.locals
    for number in range(_CHANGES):
        house.crowd.rest(house.market, "sell", 41 + number)
        await watch.local(f"change {number + 1} on a sound stream")
    expect(watch.locals - before >= _CHANGES, True, "local answers on a sound stream")
    hold(house.sent("depth") - asked < _CHANGES, "on a sound stream the copy is fetched anew for every change")


@case(
    "C17",
    "how deep a book's stream begins",
    "the first state of a book stream has as many levels as were asked for, where the exchange has them",
    every(_book, needs("balances")),
)
async def depth_of_stream(subject: Subject, variant: str) -> None:
    """A copy that begins too thin can't answer for the levels below."""
    windows = subject.offer.exchange_capabilities.depth_windows
    for levels in (5, 101, 150):
        size = next((window for window in windows if window >= levels), levels if not windows else windows[-1])
        async with open_bare(subject) as bare:
            Crowd(bare.wire.simulation).deepen(bare.market, 160)
            first = await _first(bare, size)
            for side in (first.bids, first.asks):
                hold(len(side) >= min(size, levels), f"asked for {size} levels, the stream began with {len(side)}")


_HOUR = 3600.0
_CALM = Terms(tolerate=60.0)


@case(
    "C99",
    "this machine's clock jumps",
    "an hour forward or back: orders and questions go on, the copy stays local with its true age, no stream ends",
    needs("depth", "pull_depth", "place_order", "cancel_order", "balances", "pull_trade"),
    variants=("forward", "back"),
)
async def jump(subject: Subject, variant: str) -> None:
    """Ages and deadlines go by a clock that only goes on; what carries a time may be refused once, never in doubt."""
    async with open_house(subject, _CALM) as house:
        market, clock = house.market, house.clock
        assert isinstance(clock, FastClock)
        house.crowd.books()
        async with house.stream(market) as tap:
            with anyio.fail_after(10.0):
                while not await _is_local(house):  # noqa: ASYNC110 - what is waited for happens in foreign code
                    await anyio.sleep(0.02)
            clock.jumped = _HOUR if variant == "forward" else -_HOUR
            if house.has_wire:
                house.world.skew -= clock.jumped  # the exchange's clock is right
            hold(await _is_local(house), "the copy isn't local right after the jump")
            first = house.crowd.trade(market, 1)
            await eventually(lambda: bool(tap.trades), f"the trade {first} after the jump")
            hold("reconnecting" not in tap.statuses, f"the stream ended: {tap.statuses}")
        answer = await house.order(house.body())
        if answer.status == 400:
            expect(answer.outcome, "refused", f"the outcome of {answer!r}")
            answer = await house.order(house.body())
        order_id = str(checks.ok(answer, "an order after the jump")["order_id"])
        expect(len(house.world.all_orders()), 1, "orders on the exchange")
        checks.ok(await house.get("balances"), "balances after the jump")
        checks.ok(await house.cancel(market, order_id), "a cancel after the jump")


async def _is_local(house: House) -> bool:
    answer = await house.get("depth", symbol=house.market.symbol, limit=5, isLocal="true")
    checks.ok(answer, "a local book")
    age = float(answer.headers["exgate-age"])
    hold(0 <= age <= _CALM.tolerate, f"an age of {age} s")
    return answer.headers["exgate-source"] == "local"


async def _first(bare: Bare, levels: int) -> Depth:
    found: list[Depth] = []
    came = anyio.Event()

    def emit(item: Depth | DepthDelta | None) -> None:
        if isinstance(item, Depth) and not found:
            found.append(item)
            came.set()

    with anyio.fail_after(5.0):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bare.exchange.pull_depth, bare.market, levels, emit)
            await came.wait()
            tasks.cancel_scope.cancel()
    return found[0]
