"""The journal of orders: SQLite on disk, so that no order is sent twice and none is forgotten, whatever dies.

One connection in one worker thread: the loop never waits for the disk, and what arrives while the disk is busy is
committed together. The file belongs to one gateway at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from . import rows
from .clock import Clock, SystemClock
from .errors import ExGateError
from .rows import Claim, Draft, Row

T = TypeVar("T")
Step = Callable[[str], None]
"""Called with its name before each step that touches disk or exchange: where a test kills or raises."""

_MOST_TOGETHER = 64
_RETRY = 1.0
"""Seconds between attempts to write to a disk that failed."""
_PATIENCE = 0.05
"""Seconds that what nobody waits for may wait for company."""
_PRUNE_EVERY_MS = 3_600_000


class JournalError(ExGateError):
    """The journal can't be opened, read or written."""

    code, http, default_reason = 14, 503, "JOURNAL_UNAVAILABLE"


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
        self._connection: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._lock: int | None = None
        self._pruned = 0

    async def __aenter__(self) -> Self:
        """Lock and open the file, make or check its tables. Raises JournalError, naming the path."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, args=(loop,), name="exgate-journal", daemon=True)
        self._thread.start()
        try:
            await self._submit("journal.open", self._open, writes=False)
            await self._submit("journal.prune", lambda connection: self._prune(connection, self._now()))
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def claim(self, draft: Draft) -> Claim:
        """Write the intent, durable on return; or the row that stands in its way."""
        return await self._submit("journal.intent", lambda connection: self._claim(connection, draft))

    async def mark_sent(self, row: Row) -> int:
        """Mark, durably, that the order may now be at the exchange; the time of the mark in ms."""
        now = self._now()
        await self._submit("journal.sent", lambda connection: rows.mark_sent(connection, row.id, now))
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
        return await self._first("account = ? AND key = ?", account, key)

    async def by_order_id(self, account: str, order_id: str, symbol: str = "") -> Row | None:
        """The newest row with the exchange's order id, in one market or, without a symbol, in any."""
        found = await self.all_by_order_id(account, order_id)
        return next((row for row in found if symbol in ("", row.symbol)), None)

    async def all_by_order_id(self, account: str, order_id: str) -> Sequence[Row]:
        """The newest row of each market with the exchange's order id, newest first: an id is unique per market only."""
        found = await self._submit(
            "journal.read",
            lambda connection: rows.select(connection, _BY_ORDER_ID, account, order_id),
            writes=False,
        )
        newest: dict[str, Row] = {}
        for row in found:
            newest.setdefault(row.symbol, row)
        return list(newest.values())

    async def by_client_id(self, account: str, client_order_id: str) -> Row | None:
        """The newest row with a client order id, as the caller or as the exchange knows it."""
        if not client_order_id:
            return None
        where = "account = ? AND (client_order_id = ? OR caller_id = ?)"
        return await self._first(where, account, client_order_id, client_order_id)

    async def is_ours(self, account: str, row_id: int, order_id: str, named: str) -> bool:
        """Whether an answer with these ids is, or may be, about another row than this one, whatever account sent it.

        Without a client order id it may be about any row of the account that is undecided.
        """
        if named:
            return await self._first("client_order_id = ? AND id != ?", named, row_id) is not None
        where = "(order_id = ? OR (account = ? AND state IN ('SENT', 'UNKNOWN', 'UNRESOLVED'))) AND id != ?"
        return await self._first(where, order_id, account, row_id) is not None

    async def undecided(self, account: str = "") -> Sequence[Row]:
        """Rows whose outcome nobody knows, of one account or of all, newest first."""
        states = ", ".join(f"'{state}'" for state in rows.UNDECIDED)
        where = f"state IN ({states})" + (" AND account = ?" if account else "")
        values = (account,) if account else ()
        return await self._submit(
            "journal.read", lambda connection: rows.select(connection, where, *values), writes=False
        )

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
        await self.decide(row, rows.PLACED if order_id else rows.REFUSED, order_id, _BY_HAND if not order_id else "")
        settled = await self.show(row_id)
        assert settled is not None
        return settled

    async def probe(self) -> None:
        """Show that the journal can be written."""
        now = self._now()
        await self._submit("journal.probe", lambda connection: rows.keep_alive(connection, now))

    async def _first(self, where: str, *values: object) -> Row | None:
        found = await self._submit(
            "journal.read", lambda connection: rows.select(connection, where, *values), writes=False
        )
        return found[0] if found else None

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

    # What follows runs in the worker thread.

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (batch := self._batch()) is not None:
            if not batch:
                self._mend()
                continue
            self._run(batch)
            with contextlib.suppress(RuntimeError):  # The loop is gone, and with it everybody who waits.
                loop.call_soon_threadsafe(_deliver, batch)
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            os.close(self._lock)

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
        except (sqlite3.Error, OSError) as error:
            failure = self._failure(error)
            for job in batch:
                job.error = job.error or failure
            self._roll_back()

    def _mend(self) -> None:
        """Write something that nobody needs: only a write that works ends a problem."""
        self._run([_Job("journal.probe", lambda connection: rows.keep_alive(connection, self._now()), writes=True)])

    def _transact(self, batch: list[_Job]) -> None:
        connection = self._connection
        writes = any(job.writes for job in batch)
        if writes and connection is not None:
            connection.execute("BEGIN IMMEDIATE")
        for job in batch:
            self._run_one(job)
        if writes and connection is not None:
            self._step("journal.commit")
            connection.execute("COMMIT")
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
        now = self._now()
        if now - self._pruned > _PRUNE_EVERY_MS:
            self._prune(connection, now)
        return rows.claim(connection, draft, now)

    def _prune(self, connection: sqlite3.Connection, now: int) -> None:
        rows.prune(connection, now)
        self._pruned = now

    def _open(self, _: object) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another gateway uses the journal {self.path}; stop it, or give this one its own state_dir"
            raise JournalError(message, reason="JOURNAL_LOCKED") from None
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        self._check_schema(connection)

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            rows.create(connection)
        elif version != rows.SCHEMA:
            message = f"the journal {self.path} has version {version}, this ExGate knows {rows.SCHEMA}"
            raise JournalError(message, reason="JOURNAL_VERSION")


_BY_HAND = '{"kind":"Refused","message":"settled by hand as never placed","reason":"RESOLVED_BY_HAND"}'

_BY_ORDER_ID = "account = ? AND order_id = ? AND order_id != ''"


def _deliver(batch: list[_Job]) -> None:
    for job in batch:
        job.deliver()
