"""Placing orders: intent on disk -> one send -> one of three outcomes, whatever happens on the way.

The order of writes makes every death of the process safe: a row that is INTENT was certainly never sent; a row that is
SENT may have been, and is looked up; nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct, structs

from . import drafts, endings, outcomes, rows, rules
from .cancels import Cancels
from .clock import Runtime
from .errands import Errand, Errands
from .errors import OTHER_ORDER, ExGateError
from .freezes import Freezes, froze
from .journal import Journal, JournalError, Step, no_step
from .lookups import Lookups, Times
from .models import CancelResult, Market, Order, OrderRequest
from .outcomes import Account, Verdict
from .rows import Draft, Row
from .waiting import Attempt, until_done

if TYPE_CHECKING:
    from . import settings as _settings
    from .contract import PlaceBody

_SEND_SHARE: Final = 0.4
"""The part of the deadline that a send may take; the rest is for looking the order up."""
_RECORD_PAUSES: Final = (0.0, 0.05, 0.5)
_log = logging.getLogger("exgate.orders")


class Placed(Struct, frozen=True):
    """An order that the exchange has."""

    order_id: str
    client_order_id: str
    replayed: float | None = None
    """Seconds since the request that placed it, where this answer is a replay."""


class Orders:
    """Every error that comes out ends with "Nothing was sent.", "No order was placed." or "It may have been sent.".

    Its metadata has ``outcome`` (refused, not-sent, unknown), ``client_order_id``, ``exchange`` and ``sent_at_ms``.
    """

    def __init__(
        self,
        journal: Journal,
        runtime: Runtime,
        tasks: TaskGroup,
        settings: _settings.Orders,
        *,
        step: Step = no_step,
        freezes: Freezes | None = None,
    ) -> None:
        self.closing = False
        """No new orders; those under way go on, and cancels go out."""
        self._journal, self._runtime, self._tasks, self._step = journal, runtime, tasks, step
        self._deadline, self._reconcile_deadline = settings.deadline, settings.reconcile_deadline
        self._send_limit = settings.deadline * _SEND_SHARE
        self._attempt = Attempt(tasks, runtime)
        self._lookups = Lookups(journal, runtime, self._attempt, step, settings.deadline / 2)
        self._freezes = freezes or Freezes()
        self._errands = Errands(runtime)
        self._gates: dict[str, asyncio.Future[None]] = {}
        self._began = self._now()
        self._cancels = Cancels(journal, runtime, self._attempt, self._lookups, step, settings.deadline)

    async def place(
        self, account: Account, market: Market, body: PlaceBody, key: str, refusal: ExGateError | None = None
    ) -> Placed:
        """Place once per key. ``key`` is the Idempotency-Key, empty where the caller gave none.

        ``refusal`` is why it may not be sent; an order that was sent before under this key is told of nevertheless.
        """
        until = self._now() + self._deadline
        exchange = account.exchange.name
        try:
            endings.require(account, "place_order")
            draft = drafts.make(account, market, body, key, self._runtime.random)
            errand = self._standing(draft)
        except ExGateError as error:
            raise endings.before(error, exchange) from None
        joined = errand is not None
        if errand is None:
            check = functools.partial(_check, refusal, market, account, body, draft.client_order_id)
            errand = self._begin(Errand(account, draft), lambda new: self._place(new, check, until))
        if not await self._errands.wait(errand, until):
            raise outcomes.told(endings.late(errand, joined), exchange, errand.client_order_id, errand.sent_ms)
        return self._answer(errand, errand.verdict.result(), joined)

    async def cancel(
        self, account: Account, market: Market | None, order_id: str, client_order_id: str
    ) -> CancelResult:
        """Cancel by either id. Works while the journal doesn't; safe to repeat."""
        endings.require(account, "cancel_order")
        done: asyncio.Future[CancelResult] = asyncio.get_running_loop().create_future()
        self._errands.begin_other()
        self._tasks.start_soon(self._cancel, done, account, market, order_id, client_order_id)
        return await asyncio.shield(done)

    async def _cancel(
        self,
        done: asyncio.Future[CancelResult],
        account: Account,
        market: Market | None,
        order_id: str,
        client_order_id: str,
    ) -> None:
        """In a task of the gateway, so that a client that leaves cuts no cancel."""
        try:
            done.set_result(await self._cancels.cancel(account, market, order_id, client_order_id))
        except Exception as error:
            done.set_exception(error)
            done.exception()  # The client may have left; asyncio would call that forgotten.
        finally:
            if not done.done():
                done.set_exception(outcomes.unknown_cancel("the gateway is shutting down"))
            self._errands.end_other()

    async def find(self, account: Account, market: Market | None, order_id: str, client_order_id: str) -> Order:
        """The order as the exchange has it; an undecided one is looked up and decided. Never sends."""
        endings.require(account, "find_order")
        row = await self._cancels.row_of(account, market, order_id, client_order_id)
        errand = self._errands.of_key(row.account, row.key) if row is not None else None
        if row is not None and (errand is not None or row.state in rows.MAYBE_SENT):
            until = self._now() + self._deadline
            errand = errand or self._resume(account, row)
            decided = await self._errands.wait(errand, until)
            verdict = errand.verdict.result() if decided else Verdict(rows.UNKNOWN)
            if verdict.order is not None:
                return verdict.order
            if verdict.state == rows.UNKNOWN:
                error = outcomes.unknown(f"{account.exchange.name} doesn't tell what became of the order")
                raise outcomes.told(error, account.exchange.name, row.client_order_id, row.sent)
        return await self._cancels.find(account, market, order_id, client_order_id)

    async def reconcile(self, account: Account) -> None:
        """Decide what a dead gateway left undecided. New orders of the account wait, ``reconcile_deadline`` at most.

        What can't be decided by then becomes UNRESOLVED. Raises JournalError.
        """
        gate = self._gates[account.identity] = asyncio.get_running_loop().create_future()
        try:
            left = await self._journal.undecided(account.identity)
            errands = [self._errands.of_key(row.account, row.key) or self._resume(account, row) for row in left]
            until = self._now() + self._reconcile_deadline
            for errand in errands:
                await until_done(self._runtime, errand.verdict, until - self._now())
            for errand in errands:
                if errand.row is not None and not errand.verdict.done():
                    await self._journal.decide(errand.row, rows.UNRESOLVED)
        finally:
            gate.set_result(None)
            if self._gates.get(account.identity) is gate:
                del self._gates[account.identity]

    def close(self) -> None:
        """Refuse new orders from now on."""
        self.closing = True

    async def drain(self, deadline: float) -> bool:
        """Close, and wait at most so many seconds for what is under way; whether everything ended."""
        self.close()
        return await self._errands.quiet(deadline)

    def _now(self) -> float:
        return self._runtime.clock.monotonic()

    def _now_ms(self) -> int:
        return int(self._runtime.clock.time() * 1000)

    def _standing(self, draft: Draft) -> Errand | None:
        """The errand that this request may share. Raises where one is in its way."""
        errand = self._errands.of_key(draft.account, draft.key)
        if errand is not None:
            if not drafts.same_order(draft, errand.draft):
                raise drafts.reused(draft)
            return errand
        rival = self._errands.of_client_id(draft.account, draft.client_order_id)
        if rival is None or rival.verdict.done():
            return None
        if draft.key.startswith("c:") and drafts.same_order(draft, rival.draft):
            return rival
        raise drafts.rival(draft)

    def _begin(self, errand: Errand, work: Callable[[Errand], Awaitable[Verdict]]) -> Errand:
        self._errands.add(errand)
        self._tasks.start_soon(self._run, errand, work)
        return errand

    def _resume(self, account: Account, row: Row) -> Errand:
        return self._begin(Errand(account, drafts.of_row(row), row), lambda errand: self._continue(errand, row))

    async def _run(self, errand: Errand, work: Callable[[Errand], Awaitable[Verdict]]) -> None:
        verdict: Verdict | None = None
        try:
            with errand.scope:
                verdict = await work(errand)
        except ExGateError as error:
            verdict = Verdict(rows.REFUSED, error=endings.before(error, errand.account.exchange.name))
        except Exception as error:
            _log.exception("%s: an order failed in phase %s", errand.account.identity, errand.phase)
            verdict = endings.bug(errand, error)
        finally:
            errand.verdict.set_result(verdict or endings.stopped(errand))
            if errand.recorded:
                self._errands.remove(errand)
            self._errands.note()

    async def _place(self, errand: Errand, check: Callable[[], OrderRequest], until: float) -> Verdict:
        problem: ExGateError | None = None
        try:
            request = check()
        except ExGateError as error:
            problem = error
        if problem is not None or self.closing or errand.account.identity in self._gates:
            # Whatever stands against sending it now says nothing about an order that was sent before.
            earlier = await self._earlier(errand.draft)
            if earlier is not None:
                return await self._replay(errand, earlier)
            errand.is_new = True
            if problem is not None:
                raise problem
            await self._pass_gate(errand, until)
        try:
            claim = await self._journal.claim(errand.draft)
        except JournalError as error:
            earlier = await self._earlier(errand.draft)
            return await self._replay(errand, earlier) if earlier else endings.unwritable(error)
        if not claim.fresh:
            return await self._replay(errand, claim.row)
        return await self._look_first(errand, claim.row, until) or await self._send(errand, claim.row, request, until)

    async def _earlier(self, draft: Draft) -> Row | None:
        """The row of an earlier request with the key, if it left anything behind."""
        if draft.key.startswith("g:"):
            return None
        try:
            row = await self._journal.by_key(draft.account, draft.key)
        except JournalError as error:
            text = f"{outcomes.text_of(error)}, so nobody can tell whether an earlier request with this key was sent"
            raise outcomes.unknown(text) from error
        return None if row is None or rows.is_free(row) else row

    async def _pass_gate(self, errand: Errand, until: float) -> None:
        gate = self._gates.get(errand.account.identity)
        if gate is not None:
            text = "orders of this account that the last run left undecided are still being looked up"
            errand.held = outcomes.not_sent(text, reason="ACCOUNT_RECONCILING")
            if not await until_done(self._runtime, gate, until - self._now()):
                raise errand.held
            errand.held = None
        if self.closing:
            raise outcomes.not_sent("the gateway is shutting down", reason="SHUTTING_DOWN")

    async def _replay(self, errand: Errand, row: Row) -> Verdict:
        error = drafts.conflict(errand.draft, row, self._journal.age_ms(row))
        if error is not None:
            raise error
        errand.row, errand.replayed = row, True
        other = self._errands.of_key(row.account, row.key)
        if other is not None and other is not errand:
            errand.phase = "looking"
            return await asyncio.shield(other.verdict)
        return await self._continue(errand, row)

    async def _continue(self, errand: Errand, row: Row) -> Verdict:
        """The verdict on an earlier row; never sends."""
        if row.state in rows.MAYBE_SENT:
            return await self._settle(errand, self._times(errand.account, row), duplicate=False)
        if row.state == rows.INTENT:
            await self._journal.decide(row, rows.NOT_SENT, was=rows.INTENT)
        return outcomes.verdict_of(row)

    async def _look_first(self, errand: Errand, row: Row, until: float) -> Verdict | None:
        """Where the row of an earlier request with this key may be lost: what the exchange knows of it; None = it never
        arrived, so that this one may be sent. A death meanwhile leaves the row as it is, and this comes first again.

        The earlier one may have been sent in the last moment of an earlier run, and show late."""
        if not self._journal.forgetful or errand.draft.key.startswith("g:"):
            return None
        errand.row, errand.is_new = row, False
        errand.why = "the journal has lost rows, and nobody can tell yet whether an earlier request was sent"
        times = Times(max(self._now(), self._began + errand.account.settle), until)
        verdict = await self._look(errand, row, times, duplicate=False)
        if outcomes.is_never_placed(verdict):
            errand.is_new, errand.phase, errand.why = True, "writing", ""
            return None
        errand.replayed = verdict.state == rows.PLACED
        return await self._keep(errand, verdict)

    async def _send(self, errand: Errand, row: Row, request: OrderRequest, until: float) -> Verdict:
        errand.row, errand.is_new = row, True
        with anyio.CancelScope(shield=True):
            verdict = await self._send_once(errand, row, request, until)
            await self._record(errand, verdict)
        if verdict.state != rows.UNKNOWN:
            return verdict
        errand.why = outcomes.text_of(verdict.error) if verdict.error else ""
        sure_at = self._now() + errand.account.settle
        times = Times(sure_at, sure_at + self._reconcile_deadline)
        return await self._settle(errand, times, duplicate=verdict.duplicate)

    async def _send_once(self, errand: Errand, row: Row, request: OrderRequest, until: float) -> Verdict:
        try:
            sent_there = errand.account.exchange_now()
            sent_ms = await self._journal.mark_sent(row, sent_there)
        except JournalError as error:
            return endings.unwritable(error)
        errand.row = structs.replace(row, state=rows.SENT, sent=sent_ms, sent_there=sent_there)
        if errand.expired or self._now() >= until:
            return Verdict(rows.NOT_SENT, error=outcomes.not_sent("the deadline passed before it could be sent"))
        errand.phase = "sending"
        account = errand.account

        async def call() -> str:
            self._step("exchange.place")
            order_id = await account.place_order(request)
            self._step("exchange.placed")
            return order_id

        try:
            return outcomes.of_answer(await self._attempt.run(call, self._send_limit))
        except Exception as error:
            return await self._oddly_named(row, error) or outcomes.of_error(error, account.exchange.name)

    async def _oddly_named(self, row: Row, error: Exception) -> Verdict | None:
        """Placed after all: the answer names an order that nobody here has sent, so it can only be about this one."""
        if not isinstance(error, ExGateError) or error.reason != OTHER_ORDER:
            return None
        order_id, named = error.metadata["order_id"], error.metadata["named"]
        try:
            if await self._journal.is_ours(row.account, row.id, order_id, named):
                return None
        except JournalError:
            return None
        known = f"{row.account}: order {row.client_order_id}"
        _log.warning("%s was answered as %s %s, which nobody sent", known, order_id, named)
        return outcomes.of_answer(order_id)

    async def _settle(self, errand: Errand, times: Times, *, duplicate: bool) -> Verdict:
        assert errand.row is not None
        return await self._keep(errand, await self._look(errand, errand.row, times, duplicate=duplicate))

    async def _look(self, errand: Errand, row: Row, times: Times, *, duplicate: bool) -> Verdict:
        """What the exchange says of a row, unless asking for it has frozen the process."""
        errand.phase = "looking"
        if self._freezes.deadly(row):
            return Verdict(rows.UNKNOWN, error=froze(errand.account.exchange.name))
        async with self._freezes.asking(row):
            return await self._lookups.decide(errand.account, row, times, duplicate=duplicate)

    async def _keep(self, errand: Errand, verdict: Verdict) -> Verdict:
        """Write the verdict of looking down; the same verdict."""
        with anyio.CancelScope(shield=True):
            await self._record(errand, verdict if verdict.state != rows.UNKNOWN else Verdict(rows.UNRESOLVED))
        return verdict

    async def _record(self, errand: Errand, verdict: Verdict) -> None:
        """Write the verdict down. Where the disk fails, the errand itself stands in for its row."""
        assert errand.row is not None
        for pause in _RECORD_PAUSES:
            if pause:
                await self._runtime.sleep(pause)
            try:
                await self._journal.decide(
                    errand.row, verdict.state, verdict.order_id, outcomes.written(endings.kept(verdict))
                )
            except JournalError as error:
                known = f"{errand.account.identity}: order {errand.client_order_id}"
                _log.error("%s is %s, but: %s", known, verdict.state, error)
            else:
                errand.recorded = True
                return
        errand.recorded = verdict.state not in (rows.PLACED, rows.REFUSED)

    def _times(self, account: Account, row: Row) -> Times:
        """For a row of the past: its send may have taken all of its time."""
        longest = self._send_limit + account.settle
        left = longest - self._since_sent(account, row)
        sure_at = self._now() + min(max(left, 0.0), longest)
        return Times(sure_at, sure_at + self._reconcile_deadline)

    def _since_sent(self, account: Account, row: Row) -> float:
        """Seconds since an order was sent, as far as no clock that was set since can make them more."""
        here = self._now_ms() - row.sent
        there = account.exchange_now() - row.sent_there if row.sent_there else here
        return min(here, there, self._journal.age_ms(row)) / 1000

    def _age(self, row: Row) -> float:
        """Seconds since a row was made: as people count them, unless their clock was put back."""
        return max(self._now_ms() - row.created, self._journal.age_ms(row)) / 1000

    def _answer(self, errand: Errand, verdict: Verdict, joined: bool) -> Placed:
        row = errand.row
        if row is not None and verdict.state in (rows.PLACED, rows.REFUSED):
            self._journal.mark_delivered(row)
        if verdict.state == rows.PLACED:
            age = self._age(row) if row and (joined or errand.replayed) else None
            return Placed(verdict.order_id, errand.client_order_id, age)
        error = verdict.error or outcomes.unknown("the order's outcome is unknown")
        raise outcomes.told(error, errand.account.exchange.name, errand.client_order_id, errand.sent_ms)


def _check(
    refusal: ExGateError | None, market: Market, account: Account, body: PlaceBody, client_order_id: str
) -> OrderRequest:
    if refusal is not None:
        raise refusal
    return rules.check(market, account.capabilities, body, client_order_id)
