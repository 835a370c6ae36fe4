"""Cases about the local copy of a book: whatever befalls its stream, it is right or it isn't shown."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import anyio
import anyio.lowlevel

from exgate_core.models import Depth, DepthDelta

from . import checks
from .checks import expect, hold
from .door import Answered
from .fakes import Reply
from .faults import FrameFault, WireFault
from .house import House, Terms, eventually, open_house
from .spoiling import places_of_number, spoilt
from .subjects import Subject
from .table import NotApplicable, case, every, faulty, needs, wired

_LEVELS = 10
_FAST = Terms(speed=10.0, tolerate=2.0)
_LATE = 3.0
"""Seconds by which a busy machine may be late."""
_book = needs("depth", "pull_depth")

_State = tuple[tuple[tuple[Decimal, Decimal], ...], ...]


class Watch:
    """Every state that the true book was in, and a look at the copy that must be one of them."""

    def __init__(self, house: House) -> None:
        self._house, self._market = house, house.market
        self._states: dict[_State, int] = {}
        self._remember(None)
        self.stop: Callable[[], None] = house.world.on_delta(self._market.symbol, self._remember)
        self.locals = 0
        """How many answers came from the copy."""

    def _remember(self, delta: DepthDelta | None) -> None:
        self._states[_state_of(self._house.world.depth(self._market.symbol, _LEVELS))] = len(self._states)

    async def look(self) -> Answered:
        """Ask for a local answer. Whatever comes must be a state that the true book was in."""
        answer = await self._house.get("depth", symbol=self._market.symbol, limit=_LEVELS, isLocal="true")
        if answer.status != 200:
            hold(answer.status in (429, 500, 503, 504), f"{answer!r} for a local book")
            return answer
        if answer.headers["exgate-source"] == "local":
            self.locals += 1
        sides = [answer.json[side][0]["bid"] for side in ("bid_list", "ask_list")]
        state = tuple(tuple((Decimal(row["price"]), Decimal(row["amount"])) for row in side) for side in sides)
        hold(state in self._states, f"a book that never was ({answer.headers['exgate-source']}): {answer!r}")
        return answer

    async def local(self, what: str) -> Answered:
        """Look until the copy answers with the book as it is now."""
        found: list[Answered] = []
        with anyio.move_on_after(10.0):
            while not found:
                answer = await self.look()
                if answer.headers.get("exgate-source") == "local" and self._is_now(answer):
                    found.append(answer)
                await anyio.sleep(0.005)
        hold(found, f"{what}: the copy didn't come to the book as it is now within 10 s")
        return found[0]

    def _is_now(self, answer: Answered) -> bool:
        truth = self._house.world.depth(self._market.symbol, _LEVELS)
        try:
            checks.book(answer.json, truth, "the copy")
        except AssertionError:
            return False
        return True


def _state_of(depth: Depth) -> _State:
    return tuple(
        tuple((Decimal(price), Decimal(amount)) for price, amount in side) for side in (depth.bids, depth.asks)
    )


async def _changes(house: House, count: int = 6) -> None:
    """Levels come, grow, shrink and go, near the best price and further away."""
    for number in range(count):
        order = house.crowd.rest(house.market, "buy" if number % 2 else "sell", -9 if number % 2 else 9)
        house.crowd.trade(house.market, 1)
        if number % 3 == 2:
            house.crowd.withdraw(order)
        await anyio.lowlevel.checkpoint()


@case("C80", "the local book", "the copy follows every change: the same levels, digit for digit", _book)
async def follows(subject: Subject, variant: str) -> None:
    """Levels that come, change and go; answers are marked local and carry an age."""
    async with open_house(subject) as house:
        house.crowd.books(15)
        watch = Watch(house)
        await watch.local("the first copy")
        opened = house.wire.opened if house.has_wire else 0
        for _ in range(4):
            await _changes(house)
            answer = await watch.local("a change")
            rows = [row for side in ("bid_list", "ask_list") for row in answer.json[side][0]["bid"]]
            if house.has_wire and house.public.exact:
                checks.verbatim([row[name] for row in rows for name in row], house.digits(), "the copy")
            hold(float(answer.headers["exgate-age"]) <= 5.0, "ExGate-Age")
        hold(watch.locals >= 5, "answers came from the copy")
        expect(
            house.wire.opened if house.has_wire else 0, opened, "connections for a stream on which nothing went wrong"
        )


@case(
    "C81",
    "a change that never came",
    "a lost change is noticed and the book fetched anew; never is a book shown that wasn't there",
    _book,
    variants=("first", "later"),
)
async def lost(subject: Subject, variant: str) -> None:
    """The first change after the snapshot, or a later one."""
    await _befallen(subject, FrameFault(kind="skip", after=0 if variant == "first" else 3))


@case("C82", "a change that is wrong", "a wrong amount is found out by the checksum before anybody sees it", _book)
async def wrong(subject: Subject, variant: str) -> None:
    """Only where the exchange sends checksums."""
    async with open_house(subject) as house:
        name = house.public.checksum
        if not name or not getattr(subject.fake, "sends_checksums", True):
            raise NotApplicable(f"checksum = {name!r}{', and the exchange sends none at present' if name else ''}")
        house.crowd.books(15)
        watch = Watch(house)
        await watch.local("the first copy")
        rules = house.world.engine.book(house.market.symbol).rules
        amount = house.crowd.amount(house.market, 3)
        steps = (rules.amount(amount) or 0) + 7
        text = rules.amount_text(steps).rstrip(".")
        bad = ("1" if text[0] != "1" else "2") + text[1:]
        house.faults.add(FrameFault(kind="replace", old=text, new=bad))
        house.crowd.rest(house.market, "buy", -9, steps)
        await eventually(lambda: bool(house.faults.fired), f"a frame with the amount {text}")
        await watch.local("after a wrong change")
        await _changes(house)
        await watch.local("after more changes")


@case(
    "C83", "a book stream that is cut", "the copy isn't shown while its stream is away, and is right again after", _book
)
async def cut(subject: Subject, variant: str) -> None:
    """Changes happen meanwhile."""
    async with open_house(subject) as house:
        house.crowd.books(15)
        watch = Watch(house)
        await watch.local("the first copy")
        house.cut()
        await _changes(house)
        for _ in range(3):
            await watch.look()
        await watch.local("after the cut")
        await _changes(house)
        await watch.local("after more changes")


@case(
    "C84",
    "changes twice, out of order, or half",
    "no such frame leaves a wrong book behind",
    _book,
    variants=("repeat", "swap", "malformed"),
)
async def disorder(subject: Subject, variant: str) -> None:
    """Applied once, put right, or fetched anew."""
    await _befallen(subject, FrameFault(kind=variant, after=2))  # type: ignore[arg-type]


async def _befallen(subject: Subject, fault: FrameFault) -> None:
    """The frame that the fault strikes tells of a level that nothing else ever touches."""
    async with open_house(subject) as house:
        house.crowd.books(15)
        watch = Watch(house)
        await watch.local("the first copy")
        house.faults.add(fault)
        for number in range(fault.after):
            house.crowd.rest(house.market, "sell", 9 - number % 2)
        house.crowd.rest(house.market, "buy", -7)
        await eventually(lambda: bool(house.faults.fired), "a frame for the fault: does Session.send name topics?")
        await watch.look()
        house.crowd.rest(house.market, "sell", 7)
        await watch.look()
        await watch.local("after the fault")
        await _changes(house)
        await watch.local("after more changes")


@case(
    "C110",
    "a crossed book",
    "a book whose bids are above its asks is never shown, neither the exchange's nor the copy",
    every(_book, wired),
    variants=("answer", "stream"),
)
async def crossed(subject: Subject, variant: str) -> None:
    """A bid far above every ask, in an answer or in a change."""
    async with open_house(subject) as house:
        house.crowd.books(15)
        high = house.crowd.price(house.market, 40)
        if variant == "answer":
            best = house.world.depth(house.market.symbol, 1).bids[0][0]
            alter = partial(_raised, old=best, new=high)
            house.faults.add(WireFault(operation="depth", kind="altered", alter=alter, when="after", times=0))
            answer = await house.get("depth", symbol=house.market.symbol, limit=_LEVELS)
            hold(house.faults.fired, "the exchange was never asked for a book")
            expect((answer.status, answer.reason), (503, "BAD_ANSWER"), f"what became of a crossed book ({answer!r})")
            return
        watch = Watch(house)
        await watch.local("the first copy")
        low = house.crowd.price(house.market, -7)
        house.faults.add(FrameFault(kind="replace", old=low, new=high))
        house.crowd.rest(house.market, "buy", -7)
        await eventually(lambda: bool(house.faults.fired), f"a frame with the price {low}")
        for _ in range(3):
            await watch.look()
        await watch.local("after a bid above every ask")


def _raised(reply: Reply, old: str, new: str) -> Reply:
    places = places_of_number(reply.body, old)
    return Reply(spoilt(reply.body, places[0], new).encode(), reply.status, reply.headers) if places else reply


@case(
    "C85",
    "silence of a book",
    "a copy whose connection is silent isn't shown for longer than was tolerated",
    every(_book, wired),
)
async def silence(subject: Subject, variant: str) -> None:
    """The book goes on, the stream doesn't."""
    async with open_house(subject, _FAST) as house:
        house.crowd.books(15)
        watch = Watch(house)
        await watch.local("the first copy")
        house.wire.faults.mute = True
        await _changes(house)
        start = house.now()
        while house.now() - start < 4 * _FAST.tolerate:
            answer = await watch.look()
            if answer.headers.get("exgate-source") == "local":
                age = float(answer.headers["exgate-age"])
                hold(age <= _FAST.tolerate, f"a copy last proven alive {age} s ago was shown")
                hold(house.now() - start <= _FAST.tolerate + _LATE, "a silent connection counts as alive")
            await anyio.sleep(0.005)
        house.wire.faults.mute = False
        house.cut()
        await watch.local("after the silence")


@case(
    "C86",
    "a book that runs dry",
    "levels beyond the snapshot are never guessed: the copy is fetched anew or not shown",
    _book,
)
async def dry(subject: Subject, variant: str) -> None:
    """The best levels are taken one after the other, from a book that is deeper than what was fetched."""
    async with open_house(subject) as house:
        house.crowd.deepen(house.market, 60)
        watch = Watch(house)
        await watch.local("the first copy")
        for level in range(30):
            house.crowd.hit(house.market, "buy", 10 + level, 10**15)
            await watch.look()
        await watch.local("after thirty levels were taken")


@case(
    "C87",
    "a snapshot that fails",
    "a book is opened though its first snapshot fails, and is right then",
    every(_book, faulty),
    variants=("html", "error_503", "null"),
)
async def snapshot_fails(subject: Subject, variant: str) -> None:
    """Exchanges whose stream sends its own snapshot don't notice."""
    async with open_house(subject) as house:
        house.crowd.books(15)
        watch = Watch(house)
        house.faults.add(WireFault(operation="depth", kind=variant, times=3))  # type: ignore[arg-type]
        await watch.local("the first copy")
        expect((await watch.look()).status, 200, "the status of a local book")
