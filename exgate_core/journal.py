"""The journal of orders: SQLite on disk, so that no order is sent twice and none is forgotten, whatever dies.

One connection in one worker thread: the loop never waits for the disk, and what arrives while the disk is busy is
committed together. The file belongs to one gateway at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from . import rows
from .clock import Clock, SystemClock
from .journal_file import JournalError, JournalFile
from .rows import Claim, Draft, Mark, Row

__all__ = ["Journal", "JournalError", "Step", "no_step"]

T = TypeVar("T")
Step = Callable[[str], None]
"""Called with its name before each step that touches disk or exchange: where a test kills or raises."""

_MOST_TOGETHER = 64
_RETRY = 1.0
"""Seconds between attempts to write to a disk that failed."""
_PATIENCE = 0.05
"""Seconds that what nobody waits for may wait for company."""
_PRUNE_EVERY_MS = 3_600_000
_DAMAGES_SHOWN = 5


def no_step(name: str) -> None:
    """The step of a gateway that isn't under test."""


class _Job:
    """One function to run over the connection, and who waits for its result."""

    def __init__(self, name: str, run: Callable[[Any], Any], *, writes: bool, urgent: bool = True) -> None:
        self.name, self.run, self.writes, self.urgent = name, run, writes, urgent
        self.future: asyncio.Future[Any] | None = None
        """Of the loop; none where nobody waits."""
        self.result: Any = None
        self.error: Exception | None = None

    def deliver(self) -> None:
        if self.future is None or self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Journal:
    """``async with Journal(path) as journal``. Every method raises JournalError where the file fails."""

    def __init__(self, path: Path, step: Step = no_step, clock: Clock | None = None) -> None:
        self.path = path
        self.problem = ""
        """Why the last write failed; empty while the journal works."""
        self._step, self._clock = step, clock or SystemClock()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._file = JournalFile(path, self._now)
        self._opened_at = 0.0
        """Of the monotonic clock, s."""
        self._thread: threading.Thread | None = None
        self._pruned = -_PRUNE_EVERY_MS

    async def __aenter__(self) -> Self:
        """Lock and open the file, make or check its tables. Raises JournalError, naming the path."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, args=(loop,), name="exgate-journal", daemon=True)
        self._thread.start()
        try:
            await self._submit("journal.open", self._open, writes=False)
            with contextlib.suppress(JournalError):  # A full disk keeps nobody from cancelling; ``problem`` tells.
                await self._submit("journal.prune", self._prune)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # So that the file tells when it was last used, whatever happened meanwhile.
        self._jobs.put(_Job("journal.probe", _nothing, writes=True))
        await self._close()

    @property
    def damage(self) -> str:
        """What the file has lost, as far as that shows; empty = nothing. The rest is served."""
        found = self._file.damage
        more = len(found) - _DAMAGES_SHOWN
        return "; ".join(found[:_DAMAGES_SHOWN]) + (f"; and {more} more, which the log names" if more > 0 else "")

    @property
    def forgetful(self) -> bool:
        """Whether rows may be missing: that a key isn't there doesn't mean then that it was never used."""
        return self._file.forgetful

    def age_ms(self, row: Row) -> int:
        """How long ago a row was made, ms, by the time that the journal saw pass: no jump of a clock changes it."""
        return self._witnessed() - row.witnessed

    async def claim(self, draft: Draft) -> Claim:
        """Write the intent, durable on return; or the row that stands in its way."""
        return await self._submit("journal.intent", lambda connection: self._claim(connection, draft))

    async def mark_sent(self, row: Row, there: int = 0) -> int:
        """Mark, durably, that the order may now be at the exchange; the time of the mark in ms.

        ``there``: the exchange's own time, in ms; 0 = nobody has measured it.
        """
        now = self._now()
        await self._submit("journal.sent", lambda connection: rows.mark_sent(connection, row.id, now, there))
        return now

    async def decide(self, row: Row, state: str, order_id: str = "", answer: str = "", *, was: str = "") -> None:
        """Write what became of the order, durable on return. A decided row stays as it is.

        ``was``: only if the row is still in this state.
        """
        now = self._now()
        await self._submit(
            "journal.outcome", lambda connection: rows.decide(connection, row.id, state, order_id, answer, now, was)
        )

    def mark_delivered(self, row: Row) -> None:
        """Write, some time soon, that a caller was told the outcome."""
        now = self._now()
        job = _Job(
            "journal.delivered",
            lambda connection: rows.mark_delivered(connection, row.id, now),
            writes=True,
            urgent=False,
        )
        # Nobody waits for it: a mark that is lost only lets the same answer be given once more.
        self._jobs.put(job)

    async def by_key(self, account: str, key: str) -> Row | None:
        """The row of a key."""
        return await self._first(rows.BY_KEY, account, key)

    async def by_order_id(self, account: str, order_id: str, symbol: str = "") -> Row | None:
        """The newest row with the exchange's order id, in one market or, without a symbol, in any."""
        found = await self.all_by_order_id(account, order_id)
        return next((row for row in found if symbol in ("", row.symbol)), None)

    async def all_by_order_id(self, account: str, order_id: str) -> Sequence[Row]:
        """The newest row of each market with the exchange's order id, newest first: an id is unique per market only."""
        found = await self._read(lambda connection: rows.select(connection, rows.BY_ORDER_ID, order_id, account))
        newest: dict[str, Row] = {}
        for row in found:
            newest.setdefault(row.symbol, row)
        return list(newest.values())

    async def all_by_client_id(self, account: str, client_order_id: str, symbol: str = "") -> Sequence[Row]:
        """The newest rows with a client order id, as the caller or as the exchange knows it: of one market or, without
        a symbol, of two where there are two. What the exchange certainly doesn't have counts only where that is all.
        """
        ways = (rows.BY_CLIENT_ORDER_ID, rows.BY_CALLER_ID)
        within, values = (" AND symbol = ?", (symbol,)) if symbol else ("", ())

        def read(connection: sqlite3.Connection) -> list[Row]:
            for condition in (f"{within} AND {rows.MAYBE_THERE}", within):
                found = [
                    row
                    for where in ways
                    for row in rows.newest_of_two_markets(
                        connection, where + condition, client_order_id, account, *values
                    )
                ]
                if found:
                    return sorted(found, key=lambda row: (row.witnessed, row.id), reverse=True)
            return []

        return await self._read(read)

    async def is_ours(self, account: str, row_id: int, order_id: str, named: str) -> bool:
        """Whether an answer with these ids is, or may be, about another row than this one, whatever account sent it.

        Without a client order id it may be about any row of the account that is undecided.
        """
        conditions: list[tuple[str, object]] = [("client_order_id = ? AND client_order_id != ''", named)]
        if not named:
            open_rows = f"account = ? AND {rows.OPEN} AND state != 'INTENT'"
            conditions = [("order_id = ? AND order_id != ''", order_id), (open_rows, account)]
        return await self._submit(
            "journal.read",
            lambda connection: any(
                rows.exists(connection, f"{where} AND id != ?", value, row_id) for where, value in conditions
            ),
            writes=False,
        )

    async def undecided(self, account: str = "") -> Sequence[Row]:
        """Rows whose outcome nobody knows yet, of one account or of all, newest first; no damaged ones."""

        where = f"account = ? AND {rows.OPEN}"
        found = await self._read(
            lambda connection: rows.select(connection, where, account) if account else rows.undecided(connection)
        )
        return [row for row in found if row.state in rows.UNDECIDED]

    async def show(self, row_id: int) -> Row | None:
        """The row with this number."""
        return await self._first("id = ?", row_id)

    async def resolve(self, row_id: int, order_id: str) -> Row:
        """Settle an undecided row by hand: placed as ``order_id``, or, where that is empty, never placed.

        Raises JournalError where there is no undecided row with this number.
        """
        row = await self.show(row_id)
        if row is None or not row.undecided:
            found = "there is no such row" if row is None else f"it is {row.state} already"
            raise JournalError(f"row {row_id} can't be resolved: {found}", reason="NOT_UNDECIDED")
        state, answer = (rows.PLACED, "") if order_id else (rows.REFUSED, _BY_HAND)
        await self.decide(row, state, order_id, answer, was=row.state)
        settled = await self.show(row_id)
        assert settled is not None
        return settled

    async def probe(self) -> None:
        """Show that the journal can be written."""
        await self._submit("journal.probe", _nothing)

    async def _first(self, where: str, *values: object) -> Row | None:
        def read(connection: sqlite3.Connection) -> list[Row]:
            found = rows.newest(connection, where, *values)
            return [] if found is None else [found]

        return next(iter(await self._read(read)), None)

    async def _read(self, read: Callable[[sqlite3.Connection], list[Row]]) -> list[Row]:
        return await self._submit(
            "journal.read", lambda connection: self._file.reporting(read(connection)), writes=False
        )

    async def _submit(self, name: str, run: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        if self._thread is None:
            raise JournalError(f"the journal {self.path} is closed", reason="JOURNAL_CLOSED")
        job = _Job(name, run, writes=writes)
        future = job.future = asyncio.get_running_loop().create_future()
        self._jobs.put(job)
        result: T = await future
        return result

    async def _close(self) -> None:
        thread, self._thread = self._thread, None
        assert thread is not None
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def _now(self) -> int:
        return int(self._clock.time() * 1000)

    def _witnessed(self) -> int:
        return self._file.witnessed + int((self._clock.monotonic() - self._opened_at) * 1000)

    @property
    def _connection(self) -> sqlite3.Connection | None:
        return self._file.connection

    # What follows runs in the worker thread.

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (batch := self._batch()) is not None:
            if not batch:
                self._mend()
                continue
            self._run(batch)
            with contextlib.suppress(RuntimeError):  # The loop is gone, and with it everybody who waits.
                loop.call_soon_threadsafe(_deliver, batch)
        self._file.close()

    def _batch(self) -> list[_Job] | None:
        """The next jobs that can be committed together; none = look whether the disk works again; None = closed."""
        batch: list[_Job] = []
        wait = _RETRY if self.problem and self._connection is not None else None
        while len(batch) < _MOST_TOGETHER:
            try:
                job = self._jobs.get(timeout=wait)
            except queue.Empty:
                break
            if job is None:
                if not batch:
                    return None
                self._jobs.put(None)
                break
            batch.append(job)
            wait = 0 if job.urgent or wait == 0 else _PATIENCE
        return batch

    def _run(self, batch: list[_Job]) -> None:
        try:
            self._transact(batch)
        except (sqlite3.Error, OSError, JournalError) as error:
            failure = error if isinstance(error, JournalError) else self._failure(error)
            self._roll_back()
            for job in batch:
                if job.writes:
                    job.error = job.error or failure
                else:  # It may have seen what isn't there any more, and needs none of what failed.
                    job.error = None
                    self._run_one(job)

    def _mend(self) -> None:
        """Write something that nobody needs: only a write that works ends a problem."""
        self._run([_Job("journal.probe", _nothing, writes=True)])

    def _transact(self, batch: list[_Job]) -> None:
        connection = self._connection if any(job.writes for job in batch) else None
        if connection is not None:
            connection.execute("BEGIN IMMEDIATE")
        for job in batch:
            self._run_one(job)
            if connection is not None and not connection.in_transaction and isinstance(job.error, JournalError):
                raise job.error  # SQLite took back all of it, and would write what follows by itself.
        if connection is not None:
            rows.keep_alive(connection, Mark(self._witnessed(), self._now(), self._file.commits + 1))
            self._step("journal.commit")
            connection.execute("COMMIT")
            self._file.count(self._file.commits + 1)
            self._step("journal.committed")
            if not any(job.error for job in batch):
                self.problem = ""

    def _run_one(self, job: _Job) -> None:
        try:
            self._step(job.name)
            job.result = job.run(self._connection)
        except (sqlite3.Error, OSError) as error:
            job.error = self._failure(error)
        except Exception as error:
            job.error = error

    def _roll_back(self) -> None:
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.problem = str(error)

    def _failure(self, error: Exception) -> JournalError:
        self.problem = f"the journal {self.path} failed: {error}"
        return JournalError(self.problem)

    def _claim(self, connection: sqlite3.Connection, draft: Draft) -> Claim:
        witnessed = self._witnessed()
        if witnessed - self._pruned > _PRUNE_EVERY_MS:
            self._prune(connection)
        claim = rows.claim(connection, draft, self._now(), witnessed)
        self._file.reporting([claim.row])
        return claim

    def _prune(self, connection: sqlite3.Connection) -> None:
        witnessed = self._witnessed()
        if rows.prune(connection, witnessed):
            self._pruned = witnessed

    def _open(self, _: object) -> None:
        self._file.open()
        self._opened_at = self._clock.monotonic()


_BY_HAND = '{"kind":"Refused","message":"settled by hand as never placed","reason":"RESOLVED_BY_HAND"}'


def _nothing(_: object) -> None:
    """What only a commit is wanted of."""


def _deliver(batch: list[_Job]) -> None:
    for job in batch:
        job.deliver()
