"""Cases about what only this exchange has, as far as its fake tells (``own``), seen without a gateway in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import combinations
from typing import Any

from exgate_core.errors import ExGateError, NotFound, NotSent, RateLimited, Refused
from exgate_core.models import CancelResult, Order

from .bare import Bare, open_bare
from .cases_joins import first_depth
from .checks import expect, hold
from .own import Example
from .subjects import Subject
from .table import Applies, NotApplicable, case, every, needs, wired

_NAME = "example-1"
_NUMBER = "77"
_FAST = 20.0
_LEFT = 6.5
_LIMIT = 3
_JUMP = 60.0
_BLINK = 0.1
_LATE = 3.0
"""Seconds of the exchange's clock by which a busy machine may be late."""


def _told(part: str, what: str) -> Applies:
    def applies(subject: Subject, variant: str) -> str:
        return "" if hasattr(subject.fake, part) else f"the fake doesn't tell {what} ({part})"

    return applies


def _own(subject: Subject, variant: str) -> str:
    return "" if subject.own else "only a plugin for this one exchange knows its codes and its weights"


_PRIVATE = needs("place_order", "cancel_order", "find_order", "balances", "pending_orders")


@case(
    "C15",
    "what requests cost",
    "each request takes from the budget exactly the weight that the exchange charges for it",
    every(wired, _PRIVATE, _told("weight", "what requests cost"), _own),
)
async def cost(subject: Subject, variant: str) -> None:
    """Books and pages of every size, orders and everything about them."""
    async with open_bare(subject) as bare:
        market, account, exchange = bare.market, bare.account, bare.exchange
        await _costs(bare, "opening", 0, _nothing)
        for size in (1, 5, 10, 20, 50, 99, 100, 101, 400, 401, 499, 500, 501, 999, 1000, 1001, 4999, 5000):
            await _costs(bare, f"a book of {size}", None, partial(exchange.depth, market, size))
        for limit in (1, 100, 500, 1000):
            await _costs(bare, f"{limit} trades", None, partial(exchange.recent_trades, market, limit))
        if subject.has("pull_depth"):
            await _stream_is_as_dear(bare)
        if exchange.capabilities.trades_reach != 0:
            await _costs(bare, "older trades", None, lambda: exchange.recent_trades(market, 100, "1"))
        await _costs(bare, "the market list", None, exchange.refresh_markets)
        ids = list[str]()  # the exchange's own, which may differ from the simulation's

        async def place() -> None:
            ids.append(await account.place_order(bare.order(_NAME)))

        await _costs(bare, "an order", None, place)
        placed = ids[0]
        asked: dict[str, Callable[[], Awaitable[Any]]] = {
            "balances": account.balances,
            "open orders of one market": lambda: account.pending_orders(market),
            "an order by its id": lambda: account.find_order(market, placed, ""),
            "an order by its client id": lambda: account.find_order(market, "", bare.name(_NAME)),
            "an id that isn't there": lambda: account.find_order(market, _NUMBER, ""),
            "a client id that isn't there": lambda: account.find_order(market, "", bare.name("nobody")),
            "a cancel": lambda: account.cancel_order(market, placed, ""),
            "a second cancel": lambda: account.cancel_order(market, placed, ""),
            "a closed order by its client id": lambda: account.find_order(market, "", bare.name(_NAME)),
        }
        if "pending_orders" not in subject.offer.account_capabilities.symbol_needed:
            asked["all open orders"] = lambda: account.pending_orders(None)
        for what, ask in asked.items():
            await _costs(bare, what, None, ask)


async def _nothing() -> None:
    pass


async def _costs(bare: Bare, what: str, before: int | None, ask: Callable[[], Awaitable[Any]]) -> None:
    """``before``: the weight used until now, if not what the budget says."""
    weight = bare.wire.fake.weight  # type: ignore[attr-defined]
    used = bare.budget.used if before is None else before
    seen = len(bare.wire.requests) if before is None else 0
    with suppress(NotFound, Refused):  # a second cancel may be refused
        await ask()
    asked = [one.request for one in bare.wire.requests[seen:]]
    found, wanted = bare.budget.used - used, sum(weight(request) for request in asked)
    paths = [f"{request.method} {request.path}" for request in asked]
    expect(found, wanted, f"the weight of {what} ({', '.join(paths)})")


async def _stream_is_as_dear(bare: Bare) -> None:
    """To open the stream of a book costs no more than to ask for as many levels."""
    for levels in bare.exchange.capabilities.depth_windows or (5, 100, 500, 1000, 5000):
        before = bare.budget.used
        await bare.exchange.depth(bare.market, levels)
        asked = bare.budget.used - before
        await first_depth(bare, levels)
        expect(bare.budget.used - before <= 2 * asked, True, f"a stream of {levels} levels is no dearer than a book")


@case(
    "C16",
    "the sandbox",
    "with sandbox = true no request goes to the exchange itself; an exchange without a sandbox doesn't open",
    every(wired, needs("balances")),
)
async def sandbox(subject: Subject, variant: str) -> None:
    """Real orders in place of play money are the dearest mistake."""
    hosts: list[set[str]] = []
    for on in (False, True):
        try:
            async with open_bare(subject, sandbox=on) as bare:
                await bare.exchange.depth(bare.market, 5)
                await bare.account.balances()
                hosts.append({_place(seen.request) for seen in bare.wire.requests})
        except ExGateError as error:
            hold(on and "sandbox" in error.message, f"opening with sandbox = {on}: {error.message}")
            return
    hold(not hosts[0] & hosts[1], f"with the sandbox and without it, the same is asked: {hosts[0] & hosts[1]}")


def _place(request: Any) -> str:
    flags = sorted(name for name in request.headers if "simulated" in name or "demo" in name or "sandbox" in name)
    return f"{request.host} {flags}"


@case(
    "C25",
    "the exchange's own answers",
    "each answer that the exchange gives means what its document says: refused, limited, not there, or unknown",
    every(wired, _PRIVATE, _told("examples", "what answers mean"), _own),
    variants=("place_order", "cancel_order", "find_order", "balances"),
)
async def examples(subject: Subject, variant: str) -> None:
    """What isn't provably refused must never be called so; what is must not be left in doubt."""
    own = [example for example in subject.fake.examples if example.operation == variant]  # type: ignore[union-attr]
    if not own:
        raise NotApplicable(f"the fake has no examples of {variant}")
    limits = [example for example in own if example.means == "limited"]
    async with open_bare(subject) as bare:
        for example in own:
            if example not in limits:
                await _means(bare, example)
    for example in limits:
        async with open_bare(subject) as bare:
            start = bare.now()
            await _means(bare, example)
            await _closes(bare, example, start)


async def _means(bare: Bare, example: Example) -> None:
    shown = f"{example.operation} answered {example.reply.status} {example.reply.body[:160]!r}"
    bare.answer_once(example.operation, example.reply)
    try:
        found = await _call(bare, example)
    except Exception as error:
        expect(_kind(error, example.operation), example.means, f"{shown}: {error!r}")
        if isinstance(error, ExGateError):
            hold(example.reason in ("", error.reason), f"{shown}: the reason {error.reason}, not {example.reason}")
            hold(example.words in error.message, f"{shown}: {example.words!r} isn't in {error.message!r}")
            hold(example.wait in (None, error.retry_after), f"{shown}: wait {error.retry_after}, not {example.wait}")
        return
    if isinstance(found, CancelResult):
        found = found.status
    elif example.order is not None:
        expect(found, example.order.order_id if isinstance(found, str) else [example.order], shown)
        return
    expect(found, example.means, shown)


def _kind(error: Exception, operation: str) -> str:
    kinds = ((NotFound, "not-found"), (Refused, "refused"), (RateLimited, "limited"), (NotSent, "not-sent"))
    doubt = "unknown" if operation in ("place_order", "cancel_order") else "unavailable"
    return next((name for kind, name in kinds if isinstance(error, kind)), doubt)


async def _call(bare: Bare, example: Example) -> Any:
    market, account, operation = bare.market, bare.account, example.operation
    name = ("", "example-77") if example.by_client_id else (_NUMBER, "")
    if operation == "place_order":
        return await account.place_order(bare.order(_NAME))
    if operation == "cancel_order":
        return await account.cancel_order(market, *name)
    return await (account.balances() if operation == "balances" else account.find_order(market, *name))


async def _closes(bare: Bare, example: Example, since: float) -> None:
    """What may leave after a limit, and what may not. ``since``: when the limit was not yet told."""
    sent = len(bare.wire.requests)
    try:
        await bare.account.place_order(bare.order("example-2"))
    except RateLimited as error:
        expect(len(bare.wire.requests), sent, "requests sent for an order right after a limit")
        wait, passed = error.retry_after or 0.0, bare.now() - since
        if example.wait is not None:
            hold(example.wait - passed - _BLINK < wait <= example.wait, f"a wait of {wait} s, not {example.wait}")
    else:
        hold(example.operation != "place_order", "an order left right after a limit of orders")
    if example.orders_only:
        await bare.account.balances()
    elif example.reply.status in (418, 429):
        hold(bare.budget.paused_for > 0, "questions may leave right after the exchange said too many requests")


@case(
    "C47",
    "the account's own limit of orders",
    "no order leaves while the exchange takes none of this account; everything else goes on, and orders do afterwards",
    every(wired, _PRIVATE, _told("limit_orders", "how many orders an account may place")),
)
async def limit_of_orders(subject: Subject, variant: str) -> None:
    """Three orders fill a window of the exchange's clock; the fourth waits for the next one."""
    async with open_bare(subject, speed=_FAST) as bare:
        bare.wire.fake.limit_orders(_LIMIT)  # type: ignore[attr-defined]
        await bare.exchange.refresh_markets()
        if subject.own:  # a library has a clock of its own, which doesn't run faster
            await _early_in_a_window(bare)
        placed, wait = 0, 0.0
        for number in range(3 * _LIMIT):
            try:
                await bare.account.place_order(bare.order(f"limited-{number}"))
            except RateLimited as error:
                wait = error.retry_after or 0.0
                break
            placed += 1
        hold(_LIMIT <= placed < 3 * _LIMIT, f"{placed} orders left within a limit of {_LIMIT}")
        hold(0 < wait <= 60, f"the wait of {wait} s isn't one to the end of a window")
        left = getattr(bare.wire.fake, "window_left", lambda: wait)()
        hold(abs(wait - left) < _LATE or not subject.own, f"the wait of {wait} s: the window is over in {left} s")
        told = 0 if subject.own else 1  # who doesn't know the account's limit is told of it
        expect(bare.wire.operations().count("place_order"), placed + told, "orders that arrived")
        await bare.account.balances()
        await bare.account.cancel_order(bare.market, "", bare.name("limited-0"))
        await bare.sleep(wait + 0.5)
        await bare.account.place_order(bare.order("limited-later"))


async def _early_in_a_window(bare: Bare) -> None:
    """Where the fake tells: so early that what is left of it is neither what has passed nor the whole."""
    left = getattr(bare.wire.fake, "window_left", None)
    if left is not None:
        await bare.sleep(left() + 0.1 if left() < _LEFT else 0.0)
        await bare.sleep(max(0.0, left() - _LEFT))


@case(
    "C48",
    "places that show an order late",
    "an order is found as long as one place shows it, and never called missing while there is a trace of it",
    every(wired, _PRIVATE, _told("places", "in which places an order shows")),
    variants=("open", "canceled", "filled"),
)
async def late(subject: Subject, variant: str) -> None:
    """Each place by itself shows nothing, then all but one; other orders stand beside it in all of them."""
    async with open_bare(subject) as bare:
        fake, market, world = bare.wire.fake, bare.market, bare.wire.simulation
        for name, ticks in (("beside-1", 99_999), (_NAME, 100_000), ("zbeside", 100_001)):
            await bare.account.place_order(bare.order(name, ticks))
        if variant == "canceled":
            world.cancel(market.symbol, client_order_id=bare.name(_NAME))
        elif variant == "filled":
            world.engine.deposit("other", {market.base: "1000"})
            world.engine.place("other", _against(bare))
        order = world.find(market.symbol, client_order_id=bare.name(_NAME))[-1]
        names = {"order_id": (order.order_id, ""), "client_order_id": ("", bare.name(_NAME))}
        for kind, stated in fake.places.items():  # type: ignore[attr-defined]
            places = [place for place in stated if fake.shows(place, market, order)]  # type: ignore[attr-defined]
            for some in (set(some) for count in range(len(places)) for some in combinations(places, count)):
                fake.hide(some)  # type: ignore[attr-defined]
                await _is_found(bare, order, names[kind], some)


def _against(bare: Bare) -> Any:
    from msgspec.structs import replace

    order = bare.order("theirs")
    return replace(order, side="sell", amount=bare.order("", steps=20_000).amount)


async def _is_found(bare: Bare, order: Order, name: tuple[str, str], hidden: set[str]) -> None:
    what = f"find_order{name} while {sorted(hidden) or 'nothing'} is hidden"
    try:
        found = await bare.account.find_order(bare.market, *name)
    except (NotFound, Refused) as error:
        raise AssertionError(f"{what}: {error!r}") from error
    except ExGateError:
        hold(len(hidden) > 1, f"{what}: no answer, though the other places show it")
        return
    expect([one.order_id for one in found], [order.order_id], what)


@case(
    "C49",
    "clocks that drift apart",
    "when the exchange's clock jumps, questions and orders work again at the second attempt, and no order is in doubt",
    every(wired, _PRIVATE, _told("timed", "whether requests carry their time")),
    variants=("ahead", "behind"),
)
async def drift(subject: Subject, variant: str) -> None:
    """A minute, long after the account was opened; for questions, for orders, and for cancels."""
    for first in ("balances", "place_order", "cancel_order"):
        async with open_bare(subject) as bare:
            placed = await bare.account.place_order(bare.order("before"))
            bare.wire.simulation.skew += _JUMP if variant == "ahead" else -_JUMP
            account = bare.account
            calls: dict[str, Callable[[], Awaitable[Any]]] = {
                "balances": account.balances,
                "place_order": partial(account.place_order, bare.order("after")),
                "cancel_order": partial(account.cancel_order, bare.market, placed, ""),
            }
            for name in (first, *(other for other in calls if other != first)):
                await _at_second_attempt(name, calls[name])
            expect(len(bare.wire.simulation.accepted), 2, "orders that came to be")


async def _at_second_attempt(name: str, call: Callable[[], Awaitable[Any]]) -> None:
    try:
        await call()
    except (Refused, RateLimited, NotSent):
        await call()
    except Exception as error:
        raise AssertionError(f"{name} after the exchange's clock jumped: {error!r}, which proves nothing") from error
