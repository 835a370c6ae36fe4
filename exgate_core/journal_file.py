"""The file of the journal: its lock, how it is opened, and what shows that part of it is lost or damaged.

A row has a checksum, and the structure is SQLite's to check. Commits that are gone leave no trace in the file itself:
so their number is kept beside it, in the lock file. A part of the file that is lost is reported, and the rest served.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import sqlite3
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from . import rows
from .errors import ExGateError
from .rows import Mark, Row

_JUMP_MS = 24 * 3_600_000
"""What the machine's clock may have moved while the gateway was stopped; more than that isn't believed."""
_PAGES_BESIDE = 256
"""How many pages may wait in the log beside the file."""
_COUNT = re.compile(rb"([0-9]{20}) ([0-9a-f]{8})\n")
_OF_ONE_ROW = re.compile(r"(NULL|TEXT|NUMERIC) value in |CHECK constraint failed ")
"""Complaints about one row's values, which its checksum finds as well."""
_OF_AN_INDEX = re.compile(r"(missing from|entries in|entry in|of) index |rowid not at end-of-record")
_SHOWN = 3
_FIRST_START_MS = 60_000
"""How long before its journal a gateway's token may have been made by the same start."""
_LOOKS_FIRST = "until then each order with a key is looked for at the exchange before it is sent"
_log = logging.getLogger("exgate.journal")


class JournalError(ExGateError):
    """The journal can't be opened, read or written."""

    code, http, default_reason = 14, 503, "JOURNAL_UNAVAILABLE"


class JournalFile:
    """One SQLite file, its log (``-wal``) and its lock. ``now`` is the machine's clock, ms since the epoch."""

    def __init__(self, path: Path, now: Callable[[], int]) -> None:
        self.path = path
        self.connection: sqlite3.Connection | None = None
        self.damage: list[str] = []
        """What the file has lost, a sentence for each."""
        self.forgetful = False
        """Rows may be missing: a key that isn't there may have been used all the same."""
        self.witnessed = 0
        """The journal's own clock at the moment of opening, ms."""
        self.commits = 0
        self._losses = Path(f"{path}.losses")
        self._now = now
        self._lock: int | None = None
        self._reported: set[int] = set()

    def open(self) -> None:
        """Lock and open the file, make, bring up to date or check its tables. Raises JournalError, sqlite3.Error."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = Path(f"{self.path}.lock")
        used = beside.exists()
        lock = self._lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another gateway uses the journal {self.path}; stop it, or give this one its own state_dir"
            raise JournalError(message, reason="JOURNAL_LOCKED") from None
        self._recall_losses()
        self._look_for_the_file(used)
        log = _Log(self.path)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = self.connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
            self._check(connection, _read_count(lock), log)
        except UnicodeDecodeError:  # SQLite's own words, about a text that is none any more.
            log.save()
            raise self._refusal("its tables can't be read") from None
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            log.save()
            raise self._refusal(str(error)) from None

    def close(self) -> None:
        """Let another gateway have the file."""
        if self.connection is not None:
            self.connection.close()
        if self._lock is not None:
            os.close(self._lock)

    def count(self, commits: int) -> None:
        """Note how many commits the file has now: what is lost of them shows at the next start.

        The number is there after a kill; after a power cut it may be an earlier one.
        """
        self.commits = commits
        number = b"%020d" % commits
        assert self._lock is not None
        with contextlib.suppress(OSError):  # The commit stands; only its loss would go unnoticed.
            os.pwrite(self._lock, b"%s %08x\n" % (number, zlib.crc32(number)), 0)

    def reporting(self, found: list[Row]) -> list[Row]:
        """The same rows; a damaged one is reported when it is first met."""
        for row in found:
            if row.state == rows.DAMAGED and row.id not in self._reported:
                self._reported.add(row.id)
                self.forgetful = True
                self._report(
                    f"row {row.id} of {self.path} isn't what was written, so nobody can tell what became of its order. "
                    f"Its key is answered as unknown and not sent again; {_LOOKS_FIRST}. Look for the order at the "
                    f"exchange, then use 'exgate journal resolve {row.id}'"
                )
        return found

    def _report(self, text: str) -> None:
        _log.warning("%s", text)
        self.damage.append(text)

    def _report_loss(self, text: str) -> None:
        """Rows are gone, which the file itself won't show at the next start: so it is written down beside it."""
        self._report(text)
        self.forgetful = True
        with contextlib.suppress(OSError), self._losses.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    def _recall_losses(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for text in self._losses.read_text(encoding="utf-8", errors="replace").splitlines():
                self._report(f"{text} (found at an earlier start; remove {self._losses} once you have looked)")
                self.forgetful = True

    def _refusal(self, what: str) -> JournalError:
        message = (
            f"the journal {self.path} is damaged: {what}. The gateway can't tell which of its orders are at the "
            "exchange, so it doesn't start; no row of it was changed. What to do stands in docs/runbook.md, under "
            "'The journal is damaged'"
        )
        return JournalError(message, reason="JOURNAL_DAMAGED")

    def _look_for_the_file(self, used: bool) -> None:
        size = self.path.stat().st_size if self.path.exists() else None
        if size is None and not used:
            return self._mention_an_old_token()
        if size:
            return None
        what = "is missing" if size is None else "is empty"
        if os.path.exists(f"{self.path}-wal"):  # SQLite would delete it, and it may be all that is left.
            raise self._refusal(f"it {what}, beside its log {self.path.name}-wal")
        self._report_loss(
            f"the journal {self.path} {what}, though a gateway has used it before: every key of then is forgotten. Put "
            f"the file back; {_LOOKS_FIRST}"
        )

    def _mention_an_old_token(self) -> None:
        """A folder that has been somebody's, with neither journal nor lock: that is a first start after a command made
        the token, or the loss of everything else."""
        with contextlib.suppress(FileNotFoundError):
            made = (self.path.parent / "token").stat().st_mtime
            if made * 1000 < self._now() - _FIRST_START_MS:
                text = (
                    "there is no journal %s, though the token beside it is of %s: if a gateway has placed orders from "
                    "this folder before, their keys are forgotten and would be sent again"
                )
                _log.warning(text, self.path, datetime.fromtimestamp(made, UTC).isoformat(timespec="seconds"))

    def _prepare(self, connection: sqlite3.Connection) -> None:
        rows.prepare(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BESIDE}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not _schema(connection):
            rows.create(connection, self._now())
        elif version == 0:
            raise sqlite3.DatabaseError("it has tables, but no version")
        elif version == 1:
            _mend(connection)
            rows.migrate(connection, self._now())
        elif version != rows.SCHEMA:
            message = f"the journal {self.path} has version {version}, this ExGate knows {rows.SCHEMA}"
            raise JournalError(message, reason="JOURNAL_VERSION")

    def _check(self, connection: sqlite3.Connection, counted: int | None, log: _Log) -> None:
        if not set(_schema_as_made()) <= set(_schema(connection)):
            raise sqlite3.DatabaseError("its tables aren't those that were made")
        mended = _mend(connection)
        if mended:
            self._report(f"indexes of the journal {self.path} were damaged, and are made again from its rows: {mended}")
        for row in rows.damaged(connection):
            self.reporting([row])
        mark = rows.last_mark(connection)
        if mark is None:
            what = "has lost its time and its count of commits: others may be missing"
            self._report_loss(f"the journal {self.path} {what}; {_LOOKS_FIRST}")
            mark = Mark(rows.newest_witnessed(connection), self._now(), counted or 0)
        self._set_clock(mark)
        if log.lost(connection) if counted is None else mark.commits < counted:
            log.save()
            self._go_on_without(connection, mark, counted)
        self.count(max(mark.commits, counted or 0))

    def _set_clock(self, mark: Mark) -> None:
        passed = self._now() - mark.wall
        believed = 0 <= passed <= _JUMP_MS
        if not believed:
            text = "%s: %d s lie between its last entry and now; its keys don't age by them"
            _log.warning(text, self.path, passed // 1000)
        self.witnessed = mark.witnessed + (passed if believed else 0)

    def _go_on_without(self, connection: sqlite3.Connection, mark: Mark, counted: int | None) -> None:
        """Commits are missing: which rows they made, and what they did to older ones, nobody can tell any more."""
        lost = "what was written last" if counted is None else f"its last {counted - mark.commits} commits"
        connection.execute("BEGIN IMMEDIATE")
        rows.suspect_intents(connection, self._now())
        rows.keep_alive(connection, structs.replace(mark, commits=max(mark.commits, counted or 0)))
        connection.execute("COMMIT")
        since = datetime.fromtimestamp(mark.wall / 1000, UTC).isoformat(timespec="seconds")
        self._report_loss(
            f"the journal {self.path} lacks {lost}: its log was damaged or removed, or an earlier copy took its place. "
            f"Orders of after {since} may be missing; {_LOOKS_FIRST}"
        )


class _Log:
    """The log beside the file, as it is before the file is opened.

    SQLite reads a log up to the first frame whose checksum is wrong, and says nothing of the frames behind it. This
    is what tells where the count of commits is not there, as beside a copy.
    """

    def __init__(self, path: Path) -> None:
        self._salt, self._frames = b"", list[tuple[bytes, bool]]()
        """Salt of each frame, and whether it ends a commit."""
        self._path, self._content = Path(f"{path}-wal"), b""
        with contextlib.suppress(FileNotFoundError):
            self._content = self._path.read_bytes()
        self._read(self._content)

    def save(self) -> None:
        """Keep a copy, since SQLite removes the log when the file is closed: it may tell which orders are lost."""
        if self._content:
            with contextlib.suppress(OSError):
                saved = os.open(f"{self._path}.damaged", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(saved, "wb") as file:
                    file.write(self._content)

    def _read(self, content: bytes) -> None:
        if len(content) < 32:
            return
        self._salt = content[16:24]
        size = struct.unpack(">I", content[8:12])[0] + 24
        for at in range(32, len(content) - 23, size):
            self._frames.append((content[at + 8 : at + 16], content[at + 4 : at + 8] != bytes(4)))

    def lost(self, connection: sqlite3.Connection) -> bool:
        """Whether a commit is in the log that SQLite hasn't read: damaged, or cut off while it was written."""
        if not self._frames:
            return False
        try:
            read = max(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1], 0)
        except sqlite3.OperationalError:  # a full disk; nothing can be told
            return False
        if not read and self._frames[0][0] != self._salt:
            return True  # the head itself
        return any(salt == self._salt and ends for salt, ends in self._frames[read:])


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """The names and texts of everything that the file holds."""
    return connection.execute("SELECT name, sql FROM sqlite_master").fetchall()


def _schema_as_made() -> list[tuple[str, str]]:
    """The same of a new file."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        rows.create(connection, 0)
        return _schema(connection)


def _read_count(lock: int) -> int | None:
    found = _COUNT.fullmatch(os.pread(lock, 64, 0))
    if found is None or int(found[2], 16) != zlib.crc32(found[1]):
        return None
    return int(found[1])


def _mend(connection: sqlite3.Connection) -> str:
    """Check the structure, and make the indexes again where only they are damaged; what was wrong, empty = nothing.

    Raises sqlite3.DatabaseError where more than that is damaged.
    """
    wrong = left = _complaints(connection)
    if wrong and all(_OF_AN_INDEX.search(line) for line in wrong):
        connection.execute("REINDEX")
        left = _complaints(connection)
    if left:
        raise sqlite3.DatabaseError("; ".join(left[:_SHOWN]))
    return "; ".join(wrong[:_SHOWN])


def _complaints(connection: sqlite3.Connection) -> list[str]:
    lines = [line for (text,) in connection.execute("PRAGMA integrity_check") for line in text.splitlines()]
    return [line for line in lines if line != "ok" and not _OF_ONE_ROW.match(line)]
