"""Cases about WebSocket connections: what they are burdened with, how the exchange refuses or ends what is on them."""

from __future__ import annotations

from functools import partial

import anyio

from exgate_core.dialects import Limits
from exgate_core.errors import ExGateError
from exgate_core.models import Trade

from .bare import Bare, open_bare
from .checks import expect, hold
from .crowd import Crowd
from .door import Tap
from .house import House, Terms, eventually, open_house
from .own import Caps
from .subjects import Subject
from .table import Applies, case, every, needs, wired

_FAST = Terms(speed=10.0)
_IN_TIME = 2.0
"""Seconds of the machine, four of the exchange's: far less than a subscription waits for its confirmation."""
_TO_REPLACE = 600.0
"""Seconds that are left to put everything on another connection before the exchange ends it."""
_stream = every(needs("pull_trade", "balances"), wired)


def _told(part: str, what: str) -> Applies:
    def applies(subject: Subject, variant: str) -> str:
        return "" if hasattr(subject.fake, part) and subject.own else f"the fake doesn't tell {what} ({part})"

    return applies


@case(
    "C28",
    "the caps of a connection",
    "no connection is burdened with more streams or messages than the exchange allows, nor kept for longer, nor given "
    "up in a fraction of that",
    every(_stream, _told("caps", "what a connection may be burdened with")),
)
async def caps(subject: Subject, variant: str) -> None:
    """By what the adapter's dialects state, for the core keeps to that."""
    stated: Caps = subject.fake.caps  # type: ignore[union-attr]
    async with open_bare(subject) as bare:
        hold(bare.dialects, "the adapter asked for no WebSocket when it opened")
        for dialect in bare.dialects:
            _within(dialect.limits, stated)


def _within(limits: Limits, stated: Caps) -> None:
    hold(0 < limits.topics <= stated.topics, f"topics = {limits.topics}, and {stated.topics} are allowed")
    messages = limits.rate + 1 / limits.ping
    hold(limits.rate > 0 and messages <= stated.messages, f"{messages} messages a second of {stated.messages}")
    if stated.lifetime:
        fits = stated.lifetime / 2 <= limits.lifetime <= stated.lifetime - _TO_REPLACE
        hold(fits, f"lifetime = {limits.lifetime}, and the exchange ends it after {stated.lifetime} s")


@case(
    "C37",
    "streams that are refused",
    "a subscription that the exchange refuses ends at once, in its words, and the next one works",
    every(_stream, _told("stream_refusals", "how it refuses a stream")),
)
async def refused(subject: Subject, variant: str) -> None:
    """In each of the ways in which the exchange does."""
    for number, words in enumerate(subject.fake.stream_refusals):  # type: ignore[union-attr]
        async with open_bare(subject) as bare:
            bare.wire.fake.refuse_stream(number)  # type: ignore[attr-defined]
            error = await _fails(bare)
            hold(words in error.message, f"a refusal with {words!r} became {error!r}")
            await _works(bare)


async def _fails(bare: Bare) -> ExGateError:
    with anyio.move_on_after(_IN_TIME):
        try:
            await bare.exchange.pull_trade(bare.market, lambda trades: None)
        except ExGateError as error:
            return error
    raise AssertionError(f"a stream that was refused hadn't ended after {_IN_TIME:g} s")


async def _works(bare: Bare) -> None:
    found: list[Trade] = []
    crowd = Crowd(bare.wire.simulation)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bare.exchange.pull_trade, bare.market, found.extend)
        await eventually(lambda: bool(crowd.trade(bare.market) and found), "a trade of the next stream")
        tasks.cancel_scope.cancel()


@case(
    "C38",
    "a connection that is about to end",
    "what the exchange announces that it will end is replaced before: no stream ends, no trade is missing or double",
    every(_stream, _told("leaving", "how it announces the end of a connection")),
)
async def leaving(subject: Subject, variant: str) -> None:
    """Twice, in each of its forms; trades come all the while."""
    async with open_house(subject, _FAST) as house:
        house.crowd.trade(house.market, 1)
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 2)
            for number in (1, 2):
                house.wire.announce()
                made += house.crowd.trade(house.market, 1)
                await eventually(partial(_replaced, house, number), f"connection {number} is replaced by another")
                made += house.crowd.trade(house.market, 1)
                await eventually(partial(_came, tap, len(made)), f"{len(made)} trades")
            expect([row["trade_id"] for row in tap.trades], [trade.id for trade in made], "the trades of the stream")
            hold("reconnecting" not in tap.statuses, f"the stream ended: {tap.statuses}")


def _replaced(house: House, number: int) -> bool:
    return house.wire.opened > number and house.wire.sessions == 1


def _came(tap: Tap, count: int) -> bool:
    return len(tap.trades) >= count
