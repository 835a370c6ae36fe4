"""The engine's memory on disk: each accepted command is in the file before its answer is given.

One JSON array per line, written by one ``os.write``: that survives the kill of the process (not the loss of power). A
last line without its end is a command that was never answered: it is dropped.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from exgate_core.errors import FailedPrecondition

from .faults import Faults, crash
from .values import Header, Record

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
        if not whole:
            self._write(_line(self._header))
            return []
        try:
            header, *records = _DECODER.decode_lines(data[:whole])
        except msgspec.MsgspecError as error:
            raise self._unusable(f"can't be read ({error})") from None
        if header != self._header:
            raise self._unusable("was made with other markets or fees")
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
        if self._faults.hits("append.after"):
            crash()

    def replace(self, record: Record) -> None:
        """Let one record stand for all: a new file takes the old one's place whole or not at all."""
        draft = self.path.with_suffix(".new")
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        old, self._file = self._file, file
        self._write(_line(self._header) + _line(record))
        os.fsync(file)
        draft.replace(self.path)
        os.close(old)

    def close(self) -> None:
        """Let go of the file; it can be opened again."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        start = os.fstat(self._file).st_size
        written = os.write(self._file, data)
        if written != len(data):
            os.ftruncate(self._file, start)
            raise OSError(f"{self.path}: only {written} of {len(data)} bytes could be written")

    def _unusable(self, why: str) -> FailedPrecondition:
        return FailedPrecondition(
            f"The paper exchange's state {self.path} {why}; name another folder or remove the file.",
            reason="STATE_UNUSABLE",
        )
