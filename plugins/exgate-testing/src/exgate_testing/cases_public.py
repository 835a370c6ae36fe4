"""Cases about public data that is asked for: markets, books, trades, their digits and their pages."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from exgate_core.errors import ExGateError, InvalidArgument, NotFound, Refused
from exgate_core.models import ExchangeCapabilities, Market, Trade

from . import checks
from .checks import expect, hold
from .crowd import DIGITS
from .house import House, open_house
from .subjects import Subject
from .table import NotApplicable, case, every, needs

_DAY_MS = 86_400_000
_DEEPEST = 1105
_SIX = {"id": int, "price": str, "qty": str, "quoteQty": str, "time": int, "isBuyerMaker": bool}
_RULES = ("tick_size", "step_size", "min_amount", "max_amount", "min_notional")


@case("C01", "market list", "every market once, with the exchange's id and its rules, to the digit")
async def markets(subject: Subject, variant: str) -> None:
    """Names by equality; rules as numbers, where the fake states them."""
    async with open_house(subject) as house:
        listed = checks.ok(await house.get("markets"), "the market list")["markets"]
        found = {row["symbol"]: row for row in listed}
        asleep = getattr(subject.fake, "asleep", ())
        truth = [*house.world.markets, *asleep]
        expect(sorted(row["symbol"] for row in listed), sorted(market.symbol for market in truth), "the symbols")
        for market in truth:
            row = found[market.symbol]
            for name in ("id", "base", "quote", "active"):
                expect(row[name], getattr(market, name), f"{name} of {market.symbol}")
            for name in _RULES:
                _rule(row[name], getattr(market, name), f"{name} of {market.symbol}")


def _rule(found: str, wanted: str, what: str) -> None:
    if wanted:
        checks.same_number(found or "NaN", wanted, what)
    else:
        hold(not found.strip("0."), f"{what}: {found!r}, though the exchange states none")


@case("C02", "symbol round trips", "any spelling of a symbol reaches its own market and no other", needs("depth"))
async def spellings(subject: Subject, variant: str) -> None:
    """Each market has a book of its own, so that a mix-up shows."""
    async with open_house(subject) as house:
        for depth, market in enumerate(house.world.markets, 2):
            house.crowd.deepen(market, depth)
        for market in house.world.markets:
            for spelling in (market.symbol, market.id, f"{market.base}-{market.quote}".lower()):
                answer = await house.get("depth", symbol=spelling, limit=5)
                checks.book(
                    checks.ok(answer, f"the book of {spelling}"),
                    house.world.depth(market.symbol, 5),
                    f"{spelling} ({market.symbol})",
                )
                expect(
                    unquote(answer.headers.get("exgate-symbol", "")), market.symbol, f"what {spelling} was taken for"
                )


@case("C03", "unknown symbols", "what is no market is refused before anything is asked", needs("depth"))
async def unknown_symbol(subject: Subject, variant: str) -> None:
    """By the market list alone."""
    async with open_house(subject) as house:
        asked = len(house.wire.requests) if house.has_wire else 0
        for symbol in ("NO/SUCH", "", "BTC/USDT&x=1", "../../etc"):
            checks.refused(await house.get("depth", symbol=symbol), f"the book of {symbol!r}")
        expect(len(house.wire.requests) if house.has_wire else 0, asked, "requests sent for markets that don't exist")


@case("C04", "books", "levels, best first on both sides, in the seed's JSON", needs("depth"))
async def depth(subject: Subject, variant: str) -> None:
    """Every market."""
    async with open_house(subject) as house:
        house.crowd.books()
        for market in house.world.markets:
            answer = await house.get("depth", symbol=market.symbol, limit=20)
            found = checks.ok(answer, f"the book of {market.symbol}")
            _shape(found)
            truth = house.world.depth(market.symbol, 20)
            checks.book(found, truth, market.symbol)
            hold(
                int(found["lastUpdateId"]) in (0, truth.last_update_id),
                f"lastUpdateId {found['lastUpdateId']} instead of {truth.last_update_id}, or 0 where there is none",
            )
            stamp = int(found["timeStamp"])
            hold(
                not stamp or abs(stamp - house.world.now_ms()) < _DAY_MS,
                f"timeStamp {stamp} is not now in milliseconds ({house.world.now_ms()})",
            )
            expect(answer.headers.get("exgate-source"), "exchange", "ExGate-Source")


def _shape(found: Any) -> None:
    expect(list(found), ["lastUpdateId", "timeStamp", "bid_list", "ask_list"], "the fields of a book")
    for side in ("bid_list", "ask_list"):
        expect(len(found[side]), 1, f"elements of {side}")
        expect(list(found[side][0]), ["bid"], f"the fields of {side}[0]")


@case("C05", "book sizes", "any limit is answered with that many levels, or with all that there are", needs("depth"))
async def sizes(subject: Subject, variant: str) -> None:
    """Below, at, between and above the sizes that the adapter declares."""
    async with open_house(subject) as house:
        able = house.public
        most = min(able.depth_max, max(able.depth_sizes, default=able.depth_max))
        deep = min(most, _DEEPEST)
        house.crowd.deepen(house.market, deep)
        near = {size + by for size in (*able.depth_sizes, most) for by in (-1, 0, 1)}
        for limit in sorted({1, 2, 7, *near, 5000} - {0, -1}):
            found = checks.ok(await house.get("depth", symbol=house.market.symbol, limit=limit), f"limit={limit}")
            for side in ("bid_list", "ask_list"):
                expect(len(found[side][0]["bid"]), min(limit, deep), f"levels of {side} for limit={limit}")
        truth = house.world.depth(house.market.symbol, deep)
        found = checks.ok(await house.get("depth", symbol=house.market.symbol, limit=deep), f"limit={deep}")
        checks.book(found, truth, f"the book with {deep} levels")


@case(
    "C06",
    "empty books",
    "a book without levels, or with one side only, is an answer like any other",
    needs("depth"),
    variants=("empty", "bids", "asks"),
)
async def empty(subject: Subject, variant: str) -> None:
    """No error, no invented level."""
    async with open_house(subject) as house:
        if variant != "empty":
            for number in range(3):
                buy = variant == "bids"
                house.crowd.rest(house.market, "buy" if buy else "sell", -20 - number if buy else 20 + number)
        found = checks.ok(await house.get("depth", symbol=house.market.symbol, limit=10), f"a book with {variant}")
        _shape(found)
        checks.book(found, house.world.depth(house.market.symbol, 10), f"a book with {variant}")


@case(
    "C07", "trades", "the seed's six fields, oldest first, the taker's side the right way round", needs("recent_trades")
)
async def trades(subject: Subject, variant: str) -> None:
    """Takers of both sides, on every market."""
    async with open_house(subject) as house:
        for market in house.world.markets:
            made = house.crowd.trade(market, 12)
            hold({trade.taker_side for trade in made} == {"buy", "sell"}, "the crowd trades both ways")
            found = checks.ok(
                await house.get("recent_trades", symbol=market.symbol, limit=10), f"the trades of {market.symbol}"
            )["trades"]
            _compare(house, found, made[-10:], market)


def _compare(house: House, found: list[dict[str, Any]], wanted: list[Trade], market: Market) -> None:
    expect(len(found), len(wanted), f"the number of trades of {market.symbol}")
    numbered = house.public.trade_ids != "opaque"
    for row, trade in zip(found, wanted, strict=True):
        expect(list(row), list(_SIX), "the fields of a trade")
        checks.keys(row, _SIX, "a trade")
        if numbered:
            expect(row["id"], int(trade.id), "the id of a trade (oldest first)")
        checks.trade(row, trade, house.public.taker_side, f"trade {trade.id}")


@case("C08", "limits of trades", "as many as asked for, the newest ones", needs("recent_trades"))
async def trade_limits(subject: Subject, variant: str) -> None:
    """One, a few, as many as a page holds, and more than there are."""
    async with open_house(subject) as house:
        most = house.public.trades_max
        made = house.crowd.trade(house.market, min(most, 1000) + 5)
        for limit in sorted({1, 2, 50, min(most, 1000)}):
            answer = await house.get("recent_trades", symbol=house.market.symbol, limit=limit)
            found = checks.ok(answer, f"limit={limit}")["trades"]
            expect([row["time"] for row in found], [t.time for t in made[-limit:]], f"times for limit={limit}")
            expect(len(found), min(limit, len(made)), f"trades for limit={limit}")
        found = checks.ok(await house.get("recent_trades", symbol=house.market.symbol, limit=1000), "limit=1000")
        expect(len(found["trades"]), min(1000, most, len(made)), "trades for limit=1000")


@case(
    "C09",
    "pages of trades",
    "pages by since_id follow on each other: no hole, no double, to the newest",
    needs("recent_trades"),
)
async def pages(subject: Subject, variant: str) -> None:
    """With the largest page, and with small ones; as far back as the adapter says that they reach."""
    async with open_house(subject) as house:
        able = house.public
        _need_ids(able, "there are no pages")
        page = min(able.trades_max, 1000)
        made = [trade.id for trade in house.crowd.trade(house.market, 2 * page + 37)]
        reach = len(made) if able.trades_reach is None else min(able.trades_reach, len(made))
        for size, start in ((page, len(made) - reach), (7, len(made) - min(30, reach))):
            await _walk(house, made, size, start)
        last = await house.exchange.recent_trades(house.market, page, made[-1])
        expect([trade.id for trade in last], [], "trades after the newest")


def _need_ids(able: ExchangeCapabilities, otherwise: str) -> None:
    if able.trade_ids == "opaque" or able.trades_reach == 0:
        raise NotApplicable(f"trade_ids = {able.trade_ids}, trades_reach = {able.trades_reach}: {otherwise}")


async def _walk(house: House, made: list[str], size: int, start: int) -> None:
    since, got = made[start], list[str]()
    for _ in range(len(made)):
        found = [trade.id for trade in await house.exchange.recent_trades(house.market, size, since)]
        hold(len(found) <= size, f"a page of {len(found)} trades, {size} were asked for")
        if not found:
            break
        expect(found, made[start + 1 + len(got) : start + 1 + len(got) + len(found)], f"the page after {since}")
        got += found
        since = found[-1]
    expect(len(got), len(made) - start - 1, f"trades in all pages of {size}")


@case(
    "C29",
    "ids that are none",
    "what can't be the id of a trade is refused as such; it is never answered with some trades",
    needs("recent_trades"),
)
async def no_ids(subject: Subject, variant: str) -> None:
    """Words, and numbers of which there are none among ids."""
    async with open_house(subject) as house:
        _need_ids(house.public, "any text may be an id")
        house.crowd.trade(house.market, 5)
        for text in ("no-id", "1.5", "-1"):
            try:
                found = await house.exchange.recent_trades(house.market, 5, text)
            except ExGateError as error:
                hold(isinstance(error, InvalidArgument | Refused | NotFound), f"since_id = {text!r}: {error!r}")
            else:
                raise AssertionError(f"since_id = {text!r} was answered with {len(found)} trades")


@case(
    "C10",
    "exact digits of books",
    "every price and amount as the exchange wrote it: no digit more, none less",
    every(needs("depth")),
)
async def book_digits(subject: Subject, variant: str) -> None:
    """Trailing zeros, ticks of 1e-8, more digits than a float has."""
    async with open_house(subject) as house:
        house.crowd.books()
        for market in house.world.markets:
            house.crowd.rest(market, "buy", -9, DIGITS)
            found = checks.ok(await house.get("depth", symbol=market.symbol, limit=20), market.symbol)
            rows = [row for side in ("bid_list", "ask_list") for row in found[side][0]["bid"]]
            _exact(house, itertools.chain.from_iterable((row["price"], row["amount"]) for row in rows), market)


@case("C11", "exact digits of trades", "every price and quantity as the exchange wrote it", needs("recent_trades"))
async def trade_digits(subject: Subject, variant: str) -> None:
    """As C10."""
    async with open_house(subject) as house:
        for market in house.world.markets:
            house.crowd.trade(market, 15)
            answer = await house.get("recent_trades", symbol=market.symbol, limit=15)
            found = checks.ok(answer, market.symbol)["trades"]
            _exact(house, [row[name] for row in found for name in ("price", "qty")], market)
            for row in found:
                exact = house.world.trades(market.symbol, 15)
                hold(row["quoteQty"], "quoteQty is empty")
                checks.same_number(row["quoteQty"], exact[found.index(row)].quote_qty, "quoteQty")


def _exact(house: House, texts: Iterable[str], market: Market) -> None:
    if not house.public.exact:
        raise NotApplicable("exact = False: the adapter says that digits may differ")
    if house.has_wire:
        checks.verbatim(list(texts), house.digits(), f"numbers of {market.symbol}")
        return
    rules = house.world.engine.book(market.symbol).rules
    for text in texts:
        price, amount = rules.price(text), rules.amount(text)
        written = {rules.price_text(price)} if price is not None else set()
        hold(text in written | ({rules.amount_text(amount)} if amount is not None else set()), f"{text!r} is not exact")


@case("C12", "large ids", "ids above 2^53 come through exactly", needs("recent_trades"))
async def large_ids(subject: Subject, variant: str) -> None:
    """A float would round every second one."""
    async with open_house(subject) as house:
        if house.world.first_id < 2**53 or house.public.trade_ids == "opaque":
            raise NotApplicable("the ids of this exchange are no large integers")
        made = house.crowd.trade(house.market, 9)
        answer = await house.get("recent_trades", symbol=house.market.symbol, limit=9, extended="true")
        found = checks.ok(answer, "extended trades")["trades"]
        expect([row["trade_id"] for row in found], [trade.id for trade in made], "trade_id")
        expect([row["id"] for row in found], [int(trade.id) for trade in made], "id")


@case("C13", "fresh answers", "each question is asked of the exchange: nothing is remembered", needs("depth"))
async def fresh(subject: Subject, variant: str) -> None:
    """The book changes between two questions."""
    async with open_house(subject) as house:
        house.crowd.books(3)
        for _ in range(3):
            house.crowd.rest(house.market, "buy", -9)
            house.crowd.trade(house.market, 1)
            found = checks.ok(await house.get("depth", symbol=house.market.symbol, limit=5), "the book")
            checks.book(found, house.world.depth(house.market.symbol, 5), "the book after a change")


@case("C14", "honest capabilities", "what the adapter declares fits the hooks that it has")
async def capabilities(subject: Subject, variant: str) -> None:
    """A declared feature without its hook would fail when it is needed."""
    public, private = subject.offer.exchange_capabilities, subject.offer.account_capabilities
    stated = getattr(subject.fake, "weight_limits", {}) if subject.own else {}
    if subject.name in stated:
        expect(public.weight_limit, stated[subject.name], "weight_limit, which the exchange's document states")
    hold(subject.has("markets"), "there is no hook markets")
    paged = public.trades_reach is None or public.trades_reach > 0
    hold(not paged or subject.has("recent_trades"), "trades_reach without recent_trades")
    hold(not paged or public.trade_ids != "opaque", "trades_reach with opaque trade ids: pages need ids that rise")
    expect(list(public.depth_sizes), sorted(set(public.depth_sizes)), "depth_sizes, rising")
    hold(not public.depth_windows or subject.has("pull_depth"), "depth_windows without pull_depth")
    hold(not public.checksum or subject.has("pull_depth"), "a checksum without pull_depth")
    if subject.has("place_order"):
        recovery = private.order_recovery
        hold(recovery == "none" or subject.has("find_order"), f"order_recovery = {recovery} without find_order")
        hold(recovery == "none" or private.client_ids, f"order_recovery = {recovery} without client ids")
        hold(private.order_types <= {"limit", "market"}, f"order_types {sorted(private.order_types)}")
        hold(private.times_in_force <= {"GTC", "IOC", "FOK"}, f"times_in_force {sorted(private.times_in_force)}")
        hold(subject.has("cancel_order"), "orders can be placed and not cancelled")
