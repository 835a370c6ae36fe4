"""Cases about what an adapter leaves in the process that it lives in: requests, secrets, tasks, sockets."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import os
import traceback
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio

from . import checks
from .checks import expect, hold
from .door import Answered
from .faults import FrameFault, WireFault
from .house import LOOKS, NORMAL, House, Terms, eventually, open_house
from .serving import FakeExchange, running
from .subjects import Subject
from .table import NotApplicable, case, every, needs, wired

_WEIGHT = 200
_SHORTEST = 6


@case(
    "C90",
    "the request budget",
    "questions take weight from the budget, and orders leave when questions may not",
    every(needs("depth"), wired),
)
async def budget(subject: Subject, variant: str) -> None:
    """With a small budget that never fills again."""
    async with open_house(subject, Terms(weight_limit=_WEIGHT)) as house:
        house.crowd.books()
        for number in range(_WEIGHT + 2):
            asked = house.sent("depth")
            answer = await house.get("depth", symbol=house.market.symbol, limit=5)
            if answer.status == 429:
                break
            checks.ok(answer, f"question {number}")
        expect(answer.status, 429, f"the status after {_WEIGHT + 2} questions with a budget of {_WEIGHT}")
        hold(float(answer.headers.get("retry-after", "0")) > 0, f"{answer!r} has no Retry-After")
        expect(house.sent("depth"), asked, "questions sent beyond the budget")
        if subject.has("place_order"):
            checks.ok(await house.order(house.body()), "an order while the budget for questions is used up")


@case(
    "C91",
    "cancellation",
    "a call or a stream that is cancelled ends at once, and the next one works",
    needs("depth"),
    variants=("depth", "recent_trades", "pull_trade", "pull_depth"),
)
async def cancellation(subject: Subject, variant: str) -> None:
    """In the middle of a request, or of a stream."""
    if not subject.has(variant):
        raise NotApplicable(f"the plugin has no {variant}")
    async with open_house(subject) as house:
        house.crowd.books()
        house.faults.add(WireFault(operation=variant, kind="hang"))
        call = asyncio.ensure_future(_call(house, variant))
        await _under_way(house, variant)
        call.cancel()
        with anyio.move_on_after(2.0):
            await asyncio.gather(call, return_exceptions=True)
        hold(call.done() and call.cancelled(), f"{variant} goes on although it was cancelled")
        house.faults.clear()
        checks.ok(await house.get("depth", symbol=house.market.symbol), "a question after that")


async def _call(house: House, operation: str) -> Any:
    exchange, market = house.exchange, house.market
    if operation == "depth":
        return await exchange.depth(market, 5)
    if operation == "recent_trades":
        return await exchange.recent_trades(market, 5)
    if operation == "pull_trade":
        return await exchange.pull_trade(market, lambda trades: None)
    levels = next(iter(house.public.depth_windows), 10)
    return await exchange.pull_depth(market, levels, lambda item: None)


async def _under_way(house: House, operation: str) -> None:
    if not house.has_wire:
        await anyio.sleep(0.02)
    elif operation.startswith("pull"):
        await eventually(lambda: house.wire.sessions > 0, "a WebSocket connection")
    else:
        await eventually(lambda: house.sent(operation) > 0 or bool(house.faults.fired), "a request")


@case("C92", "a stop in the middle", "the gateway closes in good time whatever is under way", needs("depth"))
async def stop(subject: Subject, variant: str) -> None:
    """Streams that live, and questions that are never answered."""
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(15.0):
            async with open_house(subject) as house:
                house.crowd.books()
                house.faults.add(WireFault(operation="depth", kind="hang", times=0))
                if subject.has("pull_trade"):
                    checks.ok(await house.get("pull_trade", symbol=house.market.symbol), "a pulled stream")
                tasks.start_soon(_quietly, house)
                await eventually(lambda: bool(house.faults.fired), "a question")
                start = asyncio.get_running_loop().time()
        took = asyncio.get_running_loop().time() - start
        hold(took < 6.0, f"closing took {took:.1f} s")
        tasks.cancel_scope.cancel()


async def _quietly(house: House) -> None:
    await house.get("depth", symbol=house.market.symbol)


@case(
    "C93",
    "two gateways in one process",
    "nothing of one exchange shows in another of the same kind",
    needs("depth"),
)
async def two(subject: Subject, variant: str) -> None:
    """Other books, other orders, the same names."""
    async with open_house(subject) as one, open_house(subject) as two:
        one.crowd.deepen(one.market, 3)
        two.crowd.deepen(two.market, 5)
        for house in (one, two):
            found = checks.ok(await house.get("depth", symbol=house.market.symbol, limit=10), "a book")
            checks.book(found, house.world.depth(house.market.symbol, 10), "the book of one of two")
        if subject.has("place_order"):
            checks.ok(await one.order(one.body()), "an order")
            expect((len(one.world.all_orders()), len(two.world.all_orders())), (1, 0), "orders on the two exchanges")


@case(
    "C94",
    "a connection nobody needs",
    "a stream that nobody reads any more is given back to the exchange",
    every(needs("pull_trade"), wired),
)
async def unneeded(subject: Subject, variant: str) -> None:
    """The last subscription takes the connection with it, or ends on it."""
    async with open_house(subject, Terms(speed=25.0, idle_stop=2.0)) as house:
        house.crowd.trade(house.market, 1)
        async with house.stream(house.market) as tap:
            house.crowd.trade(house.market, 2)
            await eventually(lambda: len(tap.trades) == 2, "two trades")
        sent = len(house.wire.frames)

        def quiet() -> bool:
            before = len(house.wire.frames)
            house.crowd.trade(house.market, 1)
            return house.wire.sessions == 0 or len(house.wire.frames) == before

        await eventually(quiet, f"the exchange no longer sends trades that nobody reads ({sent} sent)")


@case(
    "C95",
    "the secrets canary",
    "key, secret and passphrase stand in no log record, error, repr or address, whatever goes wrong",
    every(needs("balances"), wired),
    alone=True,
)
async def canary(subject: Subject, variant: str) -> None:
    """Every operation, with and without faults, with all logs at DEBUG."""
    assert subject.fake is not None
    keys = subject.fake.credentials
    words = {name: getattr(keys, name) for name in keys.__struct_fields__ if len(getattr(keys, name)) >= _SHORTEST}
    hold("api_secret" in words, f"the fake's api_secret is shorter than {_SHORTEST} characters: it can't be looked for")
    with _listening() as lines:
        async with open_house(subject, Terms(orders=1.5)) as house:
            answers = await _everything(house)
            shown = [*lines, *(repr(answer) + answer.body.decode() for answer in answers), *_adapters(subject)]
            shown += [str(seen.request.path) for seen in house.wire.requests]
            queries = [seen.request.query for seen in house.wire.requests]
    for name, word in words.items():
        for text in (*shown, *lines, *(queries if name != "api_key" else ())):
            for spelling in (word, base64.b64encode(word.encode()).decode()):
                at = text.find(spelling)
                hold(at < 0, f"{name} is shown: ...{text[max(0, at - 100) : at]}[{name}]")


async def _everything(house: House) -> list[Answered]:
    house.crowd.books()
    house.crowd.trade(house.market, 3)
    found = []
    for kind in ("", "html", "drop", "error_503", "truncated"):
        for operation in ("depth", "balances", "pending_orders", "place_order", "cancel_order", *LOOKS):
            if kind:
                house.faults.add(WireFault(operation=operation, kind=kind))  # type: ignore[arg-type]
        placed = await house.order(house.body())
        order_id = placed.json.get("order_id", "1")
        found += [placed, await house.get("order", order_id=order_id, symbol=house.market.symbol)]
        found += [await house.get(name, symbol=house.market.symbol) for name in ("depth", "pending_orders")]
        found += [await house.get("balances"), await house.cancel(house.market, order_id)]
        house.faults.clear()
    house.poor(house.market.quote)
    found.append(await house.order(house.body()))
    if house.subject.has("pull_trade"):
        async with house.stream(house.market):
            house.faults.add(FrameFault(kind="malformed"))
            house.crowd.trade(house.market, 2)
            house.cut()
    return found


def _adapters(subject: Subject) -> list[str]:
    """How the adapters, what they hold and what they were given show themselves."""
    kinds = (subject.offer.exchange, subject.offer.account)
    found = [thing for thing in gc.get_objects() if type(thing) in kinds]
    return [text for thing in found for text in (repr(thing), repr(getattr(thing, "__dict__", "")))]


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Every log record of the process, as text with its traceback."""
    lines: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.name}: {record.getMessage()} {record.args!r}")
            if record.exc_info and record.exc_info[1] is not None:
                lines.extend(traceback.format_exception(record.exc_info[1]))

    root, ear = logging.getLogger(), Ear(logging.DEBUG)
    known = [thing for thing in root.manager.loggerDict.values() if isinstance(thing, logging.Logger)]
    before = [(logger, logger.level, logger.propagate, logger.disabled) for logger in (root, *known)]
    handlers, silenced = root.handlers, root.manager.disable
    for logger in (root, *known):
        logger.setLevel(logging.DEBUG)
        logger.propagate, logger.disabled = True, False
    root.handlers = [ear]
    logging.disable(logging.NOTSET)
    try:
        yield lines
    finally:
        logging.disable(silenced)
        root.handlers = handlers
        for logger, level, propagate, disabled in before:
            logger.setLevel(level)
            logger.propagate, logger.disabled = propagate, disabled


@case(
    "C96",
    "nothing is left",
    "after closing there is no task, no socket, no file and no warning left of it",
    wired,
    alone=True,
)
async def nothing_left(subject: Subject, variant: str) -> None:
    """After streams, books, orders, faults and a cut."""
    assert subject.fake is not None
    async with _once(subject):
        pass  # what is made once for the process is made now
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    usual = loop.get_exception_handler()
    loop.set_exception_handler(lambda loop, context: complaints.append(str(context.get("message"))))
    tasks, files = asyncio.all_tasks(), _files()
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ResourceWarning)
            async with _once(subject):
                pass
            gc.collect()
            await eventually(lambda: asyncio.all_tasks() <= tasks, f"every task has ended; left {_left(tasks)}", 3.0)
            await eventually(
                lambda: _files() <= files, f"every socket and file is closed; left {_files() - files}", 3.0
            )
            gc.collect()
    finally:
        loop.set_exception_handler(usual)
    hold(not complaints, f"the event loop complains: {complaints[:3]}")
    leaks = [str(one.message) for one in warned if issubclass(one.category, ResourceWarning)]
    hold(not leaks, f"left open: {leaks[:3]}")


def _left(before: set[asyncio.Task[Any]]) -> list[str]:
    return [repr(task.get_coro()) for task in asyncio.all_tasks() - before]


def _files() -> set[str]:
    """What is open in this process, sockets by their number; nothing where the system doesn't tell."""
    folder = Path("/proc/self/fd")
    found = set[str]()
    for entry in os.listdir(folder) if folder.is_dir() else ():
        try:
            found.add(f"{entry} {os.readlink(folder / entry)}")
        except OSError:
            continue  # the folder itself, closed meanwhile
    return {name for name in found if "socket:" in name or "/exgate-conform-" in name}


@asynccontextmanager
async def _once(subject: Subject) -> AsyncIterator[None]:
    assert subject.fake is not None
    async with running(subject.fake) as wire:
        async with open_house(subject, NORMAL, wire=wire) as house:
            await _use(house, wire)
        yield


async def _use(house: House, wire: FakeExchange) -> None:
    house.crowd.books()
    house.crowd.trade(house.market, 3)
    symbol = house.market.symbol
    for operation in ("depth", "recent_trades"):
        if house.subject.has(operation):
            checks.ok(await house.get(operation, symbol=symbol), operation)
    if house.subject.has("place_order"):
        wire.faults.add(WireFault(operation="place_order", kind="drop", when="after"))
        await house.order(house.body())
    if house.subject.has("pull_depth"):
        await house.get("depth", symbol=symbol, isLocal="true")
    if house.subject.has("pull_trade"):
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 2)
            wire.cut()
            made += house.crowd.trade(house.market, 2)
            await eventually(lambda: bool(tap.trades), "trades")
            hold(made, "trades were made")
