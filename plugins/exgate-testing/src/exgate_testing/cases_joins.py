"""Cases about the moment at which a snapshot of a book and the stream of its changes are joined, and about quiet."""

from __future__ import annotations

from contextlib import suppress

import anyio

from exgate_core.models import Depth, DepthDelta

from . import checks
from .bare import Bare, open_bare
from .cases_books import Watch
from .checks import expect, hold
from .crowd import Crowd
from .fakes import Reply, Request, Session
from .house import House, Terms, eventually, open_house
from .pace import FastClock
from .subjects import Subject
from .table import NotApplicable, case, every, needs, wired

_FAST = Terms(speed=25.0, tolerate=2.0)
_QUIET = Terms(speed=10.0, tolerate=6.0)
"""A connection is proven alive three times while a copy may be shown: one late proof is no failure."""
_CHANGES = 4
_MORE = 12
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
        start = before = house.now()
        without, whole = 0.0, 1.5 * _QUIET.tolerate
        while before - start < whole:
            answer = await watch.look()
            await anyio.sleep(0.005)
            now = house.now()
            without += 0.0 if answer.headers.get("exgate-source") == "local" else now - before
            before = now
        hold(without <= 0.2 * whole, f"in {whole} s a quiet book wasn't answered by the copy for {without:.1f} s")


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
    for number in range(_MORE):
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
            first = await first_depth(bare, size)
            for side in (first.bids, first.asks):
                hold(len(side) >= min(size, levels), f"asked for {size} levels, the stream began with {len(side)}")


@case(
    "C39",
    "a snapshot from before the stream",
    "a snapshot to which the changes of the stream don't connect is never handed on as if they did",
    every(_book, needs("balances")),
)
async def old_snapshot(subject: Subject, variant: str) -> None:
    """The book changed after the snapshot was taken and before the stream began, and goes on changing."""
    async with open_bare(subject, speed=10.0) as bare:
        crowd, windows = Crowd(bare.wire.simulation), subject.offer.exchange_capabilities.depth_windows
        crowd.deepen(bare.market, 20)
        levels = windows[0] if windows else 10
        await first_depth(bare, levels)
        replies = [seen.reply for seen in bare.wire.requests if seen.operation == "depth" and seen.reply]
        if not replies:
            raise NotApplicable("the stream brings its snapshot itself")
        _change(crowd, bare)
        left = _answers_once_with(bare, replies[-1], crowd)
        items: list[Depth | DepthDelta] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pulled, bare, levels, items)
            await eventually(lambda: bool(items) and not left, "a book after an old snapshot")
            for number in range(_CHANGES):
                crowd.rest(bare.market, "sell", 5 + number)
            newest = bare.wire.simulation.depth(bare.market.symbol, 1).last_update_id
            if subject.own:  # a library may take longer to find out that its book is broken
                await eventually(lambda: bool(items) and _number(items[-1]) in (0, newest), "the newest change")
            tasks.cancel_scope.cancel()
        if items:
            _connected(items)


def _change(crowd: Crowd, bare: Bare) -> None:
    for number in range(_CHANGES):
        crowd.rest(bare.market, "buy", -5 - number)


def _answers_once_with(bare: Bare, old: Reply, crowd: Crowd) -> list[Reply]:
    """The next snapshot is this one, and the book changes as soon as something is subscribed. Empty when it was."""
    fake, left = bare.wire.fake, [old]
    honest, heard = fake.answer, fake.message

    def answer(request: Request) -> Reply:
        return left.pop() if left and fake.operation(request) == "depth" else honest(request)

    def message(session: Session, text: str) -> None:
        heard(session, text)
        _change(crowd, bare)

    fake.answer, fake.message = answer, message  # type: ignore[method-assign]
    return left


async def _pulled(bare: Bare, levels: int, items: list[Depth | DepthDelta]) -> None:
    """As the core does it: a stream that ends begins anew, with nothing of before."""

    def emit(item: Depth | DepthDelta | None) -> None:
        if item is not None:
            items.append(item)

    while True:
        with suppress(Exception):  # whatever ends a stream: the core makes an error of it
            await bare.exchange.pull_depth(bare.market, levels, emit)
        items.clear()
        await bare.sleep(0.5)


def _number(item: Depth | DepthDelta) -> int:
    return item.last_update_id if isinstance(item, Depth) else item.sequence


def _connected(items: list[Depth | DepthDelta]) -> None:
    hold(isinstance(items[0], Depth), f"a stream begins with {items[0]!r}")
    at = _number(items[0])
    for item in items[1:]:
        if isinstance(item, DepthDelta) and item.sequence:
            hold(item.previous <= at, f"a book as of {at} is followed by a change from {item.previous} on")
        at = _number(item)


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


async def first_depth(bare: Bare, levels: int) -> Depth:
    """The first state of a book's stream."""
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
