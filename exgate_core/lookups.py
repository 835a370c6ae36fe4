"""After an unknown outcome: ask the exchange until it is certain whether the order is there. Nothing here sends."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from . import numbers, outcomes, rows
from .clock import Runtime
from .contract import PlaceBody
from .errors import NotFound, RateLimited
from .journal import Journal, Step
from .models import Market, Order
from .outcomes import Account, Verdict
from .rows import Row
from .waiting import Attempt

LEAST_LOOKS: Final = 3
"""How many times an order must not be found before it counts as never placed."""
_STILL_NEW_MS: Final = 60_000
"""How long before the send an order may be dated and still count as sent then."""
_SURELY_OLD_MS: Final = 48 * 3_600_000
"""More than any date without an hour, in any time zone, can be wrong."""
_APART: Final = 0.0125
"""Seconds between the first rounds of looking orders up, for each order of the account that is looked up: 80 looks a
second. It grows with the pause of an order to eight times as much, while nothing is found."""
_LONGEST_APART: Final = 15.0
_JUST_AFTER: Final = 0.001
"""Seconds: a timer may ring a little early, and a question asked then would prove nothing."""
_EARLIEST_MS: Final = 1_000_000_000_000
"""A time below this is none in ms: an adapter's mistake, and no proof of age."""
_log = logging.getLogger("exgate.orders")


Kind = Literal["ours", "other", "unlike", "nothing", "doubtful", "failed"]

_FIRST: Final[tuple[Kind, ...]] = ("ours", "doubtful", "unlike", "other")
"""Where an exchange shows several orders, the first of these kinds that there is counts."""


class Times(Struct, frozen=True):
    """Moments of the monotonic clock, in seconds."""

    sure_at: float
    """From here on "not found" proves something."""
    give_up_at: float


class Look(Struct, frozen=True):
    """What one question to the exchange brought."""

    kind: Kind
    """other: orders that are certainly not this one; unlike: one with its id, of another price or amount; doubtful: one
    that may be it; failed: no answer."""
    order: Order | None = None
    wait: float = 0.0
    """Seconds for which the exchange, or a limit, lets no more questions through."""


def can_look(account: Account, row: Row) -> bool:
    """Whether the exchange can be asked for this order at all."""
    capable = account.capabilities.order_recovery != "none" and account.has("find_order")
    return capable and bool(row.client_order_id or row.order_id)


class Lookups:
    """Looks orders up, one row at a time, each look bounded by ``look_limit`` seconds; the first ones by half of that,
    until the exchange turns out to be slow: an answer that never comes costs less so."""

    def __init__(self, journal: Journal, runtime: Runtime, attempt: Attempt, step: Step, look_limit: float) -> None:
        self._journal, self._runtime, self._attempt, self._step = journal, runtime, attempt, step
        self._look_limit = look_limit
        self._undecided: Counter[str] = Counter()
        """How many orders of each account are being looked up."""

    async def decide(self, account: Account, row: Row, times: Times, *, duplicate: bool) -> Verdict:
        """PLACED, REFUSED, or UNKNOWN where nothing could be proven until ``give_up_at``.

        ``duplicate``: the exchange refused the order as a double of one that it has.
        """
        self._undecided[account.identity] += 1
        try:
            return await self._decide(account, row, times, duplicate=duplicate)
        finally:
            self._undecided[account.identity] -= 1
            self._undecided += Counter()  # what is down to 0 goes

    async def _decide(self, account: Account, row: Row, times: Times, *, duplicate: bool) -> Verdict:
        clock, misses, limit = self._runtime.clock, 0, self._look_limit / 2
        pause = shortest = max(account.settle / 80, 0.005)
        longest, sure_at = shortest * 8, times.sure_at
        while can_look(account, row):
            started = clock.monotonic()
            # Nothing is awaited beyond the moment from which on an answer proves more.
            look = await self.look(account, row, min(limit, sure_at - started) if started < sure_at else limit)
            misses += look.kind in ("nothing", "other")
            if verdict := _proven(account, look, duplicate, misses, sure=started >= sure_at):
                return verdict
            now = clock.monotonic()
            if now >= times.give_up_at:
                break
            limit = max(limit, min(2 * (now - started), self._look_limit))
            if started < sure_at <= now + pause:
                # From then on one good answer decides, so it is worth asking more often once again.
                wake, pause, longest = max(sure_at, now) + _JUST_AFTER, shortest, shortest * 4
            else:
                wake, pause = now + pause, min(pause * 2, longest)
            apart = _APART * pause / shortest
            await self._runtime.sleep(self._round(account, max(wake, now + look.wait), apart) - now)
        return Verdict(rows.UNKNOWN, error=outcomes.unknown(f"{account.exchange.name} doesn't tell what became of it"))

    def _round(self, account: Account, wake: float, apart: float) -> float:
        """When to ask again, not before ``wake``. The more orders of the account are looked up, the rarer are their
        rounds, in which all ask together: an adapter asks for what they have in common once, and the account's limit is
        left to others. ``apart``: seconds between rounds for each of the orders."""
        together = self._undecided[account.identity]
        if together < 2:
            return wake
        between = min(apart * together, _LONGEST_APART)
        return math.ceil(wake / between) * between

    async def look(self, account: Account, row: Row, limit: float) -> Look:
        """Ask once for the order of a row, for at most so many seconds."""
        try:
            found = await self.ask(account, market_of(account, row.symbol), row.order_id, row.client_order_id, limit)
            return await self._judge(row, found)
        except Exception as error:
            _log.info("looking for order %s at %s failed: %r", row.client_order_id, account.exchange.name, error)
            wait = error.retry_after if isinstance(error, RateLimited) else None
            return Look("failed", wait=min(wait or 0.0, _LONGEST_APART))

    async def ask(
        self, account: Account, market: Market | None, order_id: str, client_order_id: str, limit: float | None = None
    ) -> Sequence[Order]:
        """The adapter's answer to find_order, NotFound read as none. Raises whatever else it raises.

        ``limit``: seconds; None = the longest.
        """

        async def call() -> Sequence[Order]:
            self._step("exchange.find")
            found = await account.find_order(market, order_id, client_order_id)
            self._step("exchange.found")
            return found

        try:
            return await self._attempt.run(call, self._look_limit if limit is None else limit)
        except NotFound:
            return ()

    async def _judge(self, row: Row, found: Sequence[Order]) -> Look:
        kinds = [(await self._kind(row, order), order) for order in found]
        for kind in _FIRST:
            fitting = [order for its_kind, order in kinds if its_kind == kind]
            if fitting:
                return Look(kind, max(fitting, key=lambda order: order.time))
        return Look("nothing")

    async def _kind(self, row: Row, order: Order) -> Kind:
        if _is_surely_older(row, order) or await self._is_of_another_row(row, order):
            return "other"
        same = (order.symbol, order.side) == (row.symbol, row.side) and order.client_order_id in (
            "",
            row.client_order_id,
        )
        # What doesn't fit may be an adapter's mistake: then it must not count as "not there".
        if not (order.order_id and same):
            return "doubtful"
        if not _as_ordered(row, order):
            return "unlike"
        return "doubtful" if _may_be_older(row, order) else "ours"

    async def _is_of_another_row(self, row: Row, order: Order) -> bool:
        """Whether the journal knows the order as that of another row: ids are unique in one market only."""
        if not order.order_id:
            return False
        known = await self._journal.by_order_id(row.account, order.order_id, order.symbol)
        if known is None or known.id == row.id:
            return False
        # Exchanges have begun to count anew: what bears our client id, and not that row's, isn't that row's order.
        return order.client_order_id != row.client_order_id or known.client_order_id == row.client_order_id


def _is_surely_older(row: Row, order: Order) -> bool:
    """Whether an order was there before the send: exchanges let a client id be used again once its order is closed.

    Clocks are wrong by hours, and dates are given without an hour or in another zone: both clocks must say so.
    """
    known = _age_tells(row, order) and row.sent_there != 0
    return known and min(row.sent, row.sent_there) - order.time > _SURELY_OLD_MS


def _may_be_older(row: Row, order: Order) -> bool:
    """Whether an order with the row's client id may be that of an earlier send."""
    return _age_tells(row, order) and (row.sent_there or row.sent) - order.time > _STILL_NEW_MS


def _age_tells(row: Row, order: Order) -> bool:
    """Whether there may be older orders like this: none has a client id that was made for one send alone."""
    used_once = row.key.startswith("g:") and order.client_order_id == row.client_order_id != ""
    return order.time > _EARLIEST_MS and not used_once


def _as_ordered(row: Row, order: Order) -> bool:
    """Whether price and amount are those of the row, as far as both say them in the same unit."""
    body = msgspec.json.decode(row.request, type=PlaceBody)
    if body.options.get("round"):
        return True
    price = body.price if body.type == order.type == "limit" else ""
    pairs = ((price, order.price), (body.amount, order.amount))
    return all(numbers.compare(ours, theirs) == 0 for ours, theirs in pairs if _tells(ours) and _tells(theirs))


def _tells(text: str) -> bool:
    return numbers.is_decimal(text) and not numbers.is_zero(text)


def market_of(account: Account, symbol: str) -> Market | None:
    """The market of a row."""
    return account.exchange.markets.get(symbol) if symbol else None


def _proven(account: Account, look: Look, duplicate: bool, misses: int, *, sure: bool) -> Verdict | None:
    order, name = look.order, account.exchange.name
    if look.kind == "ours" and order is not None:
        if order.status == "rejected":
            error = outcomes.refused(outcomes.rejection(order), name)
            return Verdict(rows.REFUSED, error=error, order=order)
        return Verdict(rows.PLACED, order.order_id, order=order)
    if look.kind in ("other", "unlike") and duplicate and order is not None:
        text = f"{name} has an earlier order {order.order_id} with the client order id {order.client_order_id}"
        return Verdict(rows.REFUSED, error=outcomes.exists(text, order.order_id))
    full = account.capabilities.order_recovery == "full"
    if full and sure and misses >= LEAST_LOOKS and look.kind in ("nothing", "other"):
        return Verdict(rows.REFUSED, error=outcomes.never_placed(name, account.settle))
    return None
