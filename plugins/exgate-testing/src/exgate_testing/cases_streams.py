"""Cases about the stream of trades: in order, once each, and nothing missing, whatever happens to the line."""

from __future__ import annotations

from collections.abc import Sequence

from exgate_core.models import Trade

from . import checks
from .cases_books import Watch
from .checks import expect, hold
from .door import Tap
from .faults import FrameFault, WireFault
from .house import House, Terms, eventually, open_house
from .spoiling import spaced
from .subjects import Subject
from .table import NotApplicable, case, every, faulty, needs, wired

_SEVEN = ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "trade_id"]
_FAST = Terms(speed=25.0)
"""For cases that wait until silence is noticed."""


def _counted(subject: Subject, variant: str) -> str:
    ids = subject.offer.exchange_capabilities.trade_ids
    return "" if ids == "contiguous" else f"trade_ids = {ids}: a hole doesn't show in them"


def _paged(subject: Subject, variant: str) -> str:
    able = subject.offer.exchange_capabilities
    if able.trade_ids == "opaque" or able.trades_reach == 0 or not subject.has("recent_trades"):
        return f"trade_ids = {able.trade_ids}, trades_reach = {able.trades_reach}: nothing to fill a hole from"
    return ""


_stream = needs("pull_trade")


@case("C70", "the stream of trades", "every trade in order, once, exact, with its taker's side", _stream)
async def stream(subject: Subject, variant: str) -> None:
    """On every market, takers of both sides."""
    async with open_house(subject) as house:
        for market in house.world.markets:
            house.crowd.trade(market, 3)
            async with house.stream(market) as tap:
                made = house.crowd.trade(market, 25)
                await _all(tap, made)
                for row, trade in zip(tap.trades, made, strict=True):
                    expect(list(row), _SEVEN, "the fields of a trade in a frame")
                    checks.trade(row, trade, house.public.taker_side, f"trade {trade.id} of the stream")
                    if house.has_wire and house.public.exact:
                        checks.verbatim([row["price"], row["qty"]], house.digits(), f"trade {trade.id} of the stream")
                expect([f["symbol"] for f in tap.frames], [market.symbol] * len(tap.frames), "symbols of frames")
                _unbroken(tap)


@case("C71", "many trades at once", "one taker who meets many makers loses no trade, and a burst neither", _stream)
async def burst(subject: Subject, variant: str) -> None:
    """Fifty trades of one order, then three hundred one after the other."""
    async with open_house(subject) as house:
        house.crowd.trade(house.market, 1)
        async with house.stream(house.market) as tap:
            made = [*house.crowd.sweep(house.market, 50), *house.crowd.trade(house.market, 300)]
            await _all(tap, made)
            _unbroken(tap)


@case("C72", "two markets", "the trades of two markets over shared connections don't mix", _stream)
async def two_markets(subject: Subject, variant: str) -> None:
    """Subscribed together, trading in turn; one leaves, the other goes on."""
    async with open_house(subject) as house:
        one, two = house.world.markets[:2]
        house.crowd.trade(one, 1)
        house.crowd.trade(two, 1)
        async with house.stream(one) as first:
            async with house.stream(two) as second:
                made_one, made_two = list[Trade](), list[Trade]()
                for _ in range(5):
                    made_one += house.crowd.trade(one, 2)
                    made_two += house.crowd.trade(two, 1)
                await _all(first, made_one)
                await _all(second, made_two)
            made_one += house.crowd.trade(one, 3)
            await _all(first, made_one)
            _unbroken(first)


@case(
    "C73",
    "a stream that is cut",
    "after a cut the trades of the meantime come first: no hole, no double, or a gap that is told",
    _stream,
)
async def cut(subject: Subject, variant: str) -> None:
    """Twice in a row."""
    async with open_house(subject) as house:
        house.crowd.trade(house.market, 3)
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 5)
            await _all(tap, made)
            for _ in range(2):
                house.cut()
                made += house.crowd.trade(house.market, 7)
                await eventually(lambda: "reconnecting" in tap.statuses, "the cut is told")
                await eventually(lambda: _live(tap), "the stream lives again")
                made += house.crowd.trade(house.market, 4)
                await _whole(house, tap, made)


@case(
    "C74",
    "a frame that never came",
    "a hole in the ids is noticed and filled: no trade is silently missing",
    every(_stream, _counted, _paged),
    variants=("first", "middle"),
)
async def swallowed(subject: Subject, variant: str) -> None:
    """The first frame of a subscription, or one in the middle."""
    async with open_house(subject) as house:
        house.crowd.trade(house.market, 3)
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 4) if variant == "middle" else []
            await _all(tap, made)
            house.faults.add(FrameFault(kind="skip"))
            made += house.crowd.trade(house.market, 4)
            await _all(tap, made)
            hold(house.faults.fired, "the fault never struck: Session.send names no topic")


@case(
    "C75",
    "frames twice and out of order",
    "a repeated frame is handed on once, one that was overtaken in its place",
    _stream,
    variants=("repeat", "swap"),
)
async def disorder(subject: Subject, variant: str) -> None:
    """As while a connection is replaced by another."""
    if variant == "swap" and (why := _counted(subject, variant)):
        raise NotApplicable(why)
    async with open_house(subject) as house:
        house.crowd.trade(house.market, 3)
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 3)
            await _all(tap, made)
            house.faults.add(FrameFault(kind=variant))  # type: ignore[arg-type]
            made += house.crowd.trade(house.market, 6)
            await _all(tap, made)
            hold(house.faults.fired, "the fault never struck: Session.send names no topic")


@case(
    "C76",
    "a frame that can't be read",
    "half a frame ends the stream; nothing is invented, and nothing is missing",
    every(_stream, _paged),
)
async def malformed(subject: Subject, variant: str) -> None:
    """The trade in it comes from the history."""
    async with open_house(subject) as house:
        house.crowd.trade(house.market, 3)
        async with house.stream(house.market) as tap:
            house.faults.add(FrameFault(kind="malformed", after=1))
            made = house.crowd.trade(house.market, 6)
            await _all(tap, made)
            hold(house.faults.fired, "the fault never struck: Session.send names no topic")


@case(
    "C77",
    "no connection for a while",
    "a refused connection is tried again, and the trades of the meantime come",
    every(_stream, _paged, wired),
)
async def refused(subject: Subject, variant: str) -> None:
    """503 to the WebSocket handshake."""
    async with open_house(subject, _FAST) as house:
        house.crowd.trade(house.market, 3)
        async with house.stream(house.market) as tap:
            house.wire.faults.refuse_sockets = True
            house.cut()
            await eventually(lambda: "reconnecting" in tap.statuses, "the cut is told")
            made = house.crowd.trade(house.market, 5)
            house.wire.faults.refuse_sockets = False
            made += house.crowd.trade(house.market, 2)
            await _all(tap, made)


@case(
    "C78",
    "silence",
    "a connection that says nothing, not even to pings, is given up, and nothing is missing",
    every(_stream, _paged, wired),
)
async def silence(subject: Subject, variant: str) -> None:
    """A quiet market is no silence: before that nothing is cut."""
    async with open_house(subject, _FAST) as house:
        house.crowd.trade(house.market, 3)
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 2)
            await _all(tap, made)
            house.wire.faults.mute = True
            made += house.crowd.trade(house.market, 3)
            await eventually(lambda: "reconnecting" in tap.statuses, "the silence is noticed", 15.0)
            house.wire.faults.mute = False
            made += house.crowd.trade(house.market, 2)
            await _all(tap, made)


@case(
    "C79",
    "a history that fails",
    "a hole is filled even where the history fails at first: no trade is missing, and none is invented",
    every(_stream, _paged, faulty),
    variants=("drop", "html", "empty", "null", "truncated", "error_503", "too_many"),
)
async def history_fails(subject: Subject, variant: str) -> None:
    """Twice, then it answers."""
    async with open_house(subject, _FAST) as house:
        house.crowd.trade(house.market, 3)
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 2)
            await _all(tap, made)
            times = 1 if variant == "too_many" else 2
            house.faults.add(WireFault(operation="recent_trades", kind=variant, times=times))  # type: ignore[arg-type]
            house.cut()
            made += house.crowd.trade(house.market, 5)
            await eventually(lambda: "reconnecting" in tap.statuses, "the cut is told")
            await _all(tap, made)


@case(
    "C108",
    "a stream that has just begun",
    "a new stream isn't called live before the trades since its first page are joined: until then none is shown, and "
    "then all of them are",
    every(_stream, _paged, wired),
)
async def begins(subject: Subject, variant: str) -> None:
    """There was trade between the first page and the connection, and then the history fails for a while."""
    async with open_house(subject) as house:
        house.crowd.trade(house.market, 3)
        house.wire.faults.refuse_sockets = True
        async with house.door.stream(house.path("pull_trade"), symbol=house.market.symbol) as tap:
            await eventually(lambda: "recent_trades" in house.wire.operations(), "the first page")
            await eventually(lambda: bool(house.wire.refused), "a connection, which is refused")
            made = house.crowd.trade(house.market, 4)
            house.faults.add(WireFault(operation="recent_trades", kind="error_503", times=0))
            house.wire.faults.refuse_sockets = False
            await eventually(lambda: bool(house.wire.sessions), "a connection")
            await eventually(lambda: len(house.faults.fired) > 1, "two questions for the history, which fail")
            hold(not _live(tap), f"told while trades are withheld: {tap.statuses}")
            expect(tap.trades, [], "the trades of a stream that isn't joined")
            house.faults.clear()
            made += house.crowd.trade(house.market, 2)
            await _all(tap, made)
            hold(_live(tap), f"told once they are joined: {tap.statuses}")


@case(
    "C109",
    "frames with blanks",
    "a frame is read by its JSON, not by the places of its bytes: white space changes nothing",
    every(wired, lambda subject, variant: needs(f"pull_{variant}")(subject, variant)),
    variants=("trade", "depth"),
)
async def blanks(subject: Subject, variant: str) -> None:
    """Wherever JSON allows it, in every frame."""
    async with open_house(subject) as house:
        house.crowd.books(15)
        house.crowd.trade(house.market, 1)
        # Libraries know JSON by its first byte: such a stream ends, and says so.
        alter = spaced if subject.own else lambda text: spaced(text).strip()
        house.faults.add(FrameFault(kind="altered", alter=alter, times=0))
        if variant == "depth":
            watch = Watch(house)
            for _ in range(3):
                await watch.local("the copy")
                house.crowd.rest(house.market, "buy", -9)
            return
        async with house.stream(house.market) as tap:
            made = house.crowd.trade(house.market, 10)
            await _all(tap, made)
            _unbroken(tap)


def _unbroken(tap: Tap) -> None:
    """What came came over the stream: no history stood in for one that ends again and again."""
    hold("reconnecting" not in tap.statuses, f"a stream on which nothing went wrong ended: {tap.statuses}")


def _live(tap: Tap) -> bool:
    return bool(tap.statuses) and tap.statuses[-1] in ("live", "resumed", "gap")


async def _all(tap: Tap, made: Sequence[Trade]) -> None:
    """Exactly these trades came, in this order; waits for them."""
    wanted = [trade.id for trade in made]
    try:
        await eventually(lambda: len(tap.trades) >= len(wanted), f"{len(wanted)} trades")
    except AssertionError as error:
        missing = sorted(set(wanted) - {row["trade_id"] for row in tap.trades})
        raise AssertionError(f"{error}; missing {missing[:5]}, statuses {tap.statuses}") from None
    expect([row["trade_id"] for row in tap.trades], wanted, "the trades of the stream")
    hold("gap" not in tap.statuses, f"a gap was told: {[f for f in tap.frames if f.get('status') == 'gap']}")


async def _whole(house: House, tap: Tap, made: Sequence[Trade]) -> None:
    """All of them; or, where nothing fills holes, an honest gap and no double."""
    if not _paged(house.subject, ""):
        await _all(tap, made)
        return
    await eventually(lambda: bool(tap.trades) and tap.trades[-1]["trade_id"] == made[-1].id, "the newest trade")
    got, wanted = [row["trade_id"] for row in tap.trades], [trade.id for trade in made]
    expect(got, [trade_id for trade_id in wanted if trade_id in set(got)], "the trades of the stream, in order, once")
    hold(got == wanted or "gap" in tap.statuses, "trades are missing and no gap was told")
