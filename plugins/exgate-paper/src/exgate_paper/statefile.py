"""The engine's memory on disk: each accepted command is in the file before its answer is given.

One JSON array per line, written by one ``os.write``: that survives the kill of the process (not the loss of power). A
last line without its end is a command that was never answered: it is dropped.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec

from exgate_core.errors import FailedPrecondition

from .faults import Faults, crash
from .values import BookState, Header, Record, Snapshot, Trades

VERSION = 1
NAME = "paper.jsonl"
_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_ENCODER = msgspec.json.Encoder()


def _line(record: Record) -> bytes:
    return _ENCODER.encode(record) + b"\n"


class StateFile:
    """One append-only file in a folder, held by one process at a time."""

    def __init__(self, folder: Path, fingerprint: str, faults: Faults) -> None:
        self.path = folder / NAME
        self._header = Header(VERSION, fingerprint)
        self._faults = faults
        self.records = 0
        """How many commands a start would replay."""
        self._size = 0
        self._meanwhile: list[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise FailedPrecondition(f"{self.path} is in use by another process.", reason="STATE_IN_USE") from None

    def read(self) -> list[Record]:
        """All whole records after the header. Raises FailedPrecondition if they don't fit these markets and fees."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
        self._size = whole
        if not whole:
            self._write(_line(self._header))
            return []
        try:
            header, *records = _DECODER.decode_lines(data[:whole])
        except msgspec.MsgspecError as error:
            raise self._unusable(f"can't be read ({error})") from None
        if header != self._header:
            raise self._unusable("was made with other markets or fees")
        self.records = len(records)
        return records

    def append(self, record: Record) -> None:
        """Write one record; when this returns it survives ``kill -9``. OSError = nothing was accepted."""
        line = _line(record)
        for fault in self._faults.hits("append.before"):
            if fault.kind == "error":
                raise OSError(fault.value or "no space left on device")
            self._write(line[: len(line) // 2] if fault.kind == "torn" else b"")
            crash()
        self._write(line)
        self.records += 1
        if self._meanwhile is not None:
            self._meanwhile.append(line)
        if self._faults.hits("append.after"):
            crash()

    def compact(self, snapshot: Snapshot) -> Generator[None]:
        """Let a snapshot stand for all records so far; yields between pieces of work, so that others can run.

        Records appended meanwhile are kept. A new file takes the old one's place whole, or, if this is not run to its
        end, not at all.
        """
        draft = self.path.with_suffix(".new")
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._meanwhile = []
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            for piece in _pieces(self._header, snapshot):
                _write_all(file, piece)
                yield
            _write_all(file, b"".join(self._meanwhile))
            self.records = len(self._meanwhile)
            self._size = os.fstat(file).st_size
            draft.replace(self.path)
            self._file, file = file, self._file
        finally:
            self._meanwhile = None
            os.close(file)
            draft.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; it can be opened again."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        written = os.write(self._file, data)
        if written != len(data):
            os.ftruncate(self._file, self._size)
            raise OSError(f"{self.path}: only {written} of {len(data)} bytes could be written")
        self._size += written

    def _unusable(self, why: str) -> FailedPrecondition:
        return FailedPrecondition(
            f"The paper exchange's state {self.path} {why}; name another folder or remove the file.",
            reason="STATE_UNUSABLE",
        )


_PIECE = 5_000  # trades in one record of a snapshot


def _pieces(header: Header, snapshot: Snapshot) -> Iterator[bytes]:
    books = [BookState(book.symbol, book.sequence, book.trades, []) for book in snapshot.books]
    yield _line(header) + _line(Snapshot(snapshot.time, snapshot.orders, books, snapshot.wallets))
    for book in snapshot.books:
        for start in range(0, len(book.fills), _PIECE):
            yield _line(Trades(book.symbol, book.fills[start : start + _PIECE]))


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
