"""Recorded traffic of exchanges in files: what stands in them, and how they are read and written.

A session is a folder with ``session.json`` (``id``, ``exchange``, ``recorded``, ``kind``, ``notes``, ``sources``),
``rest.jsonl`` and ``ws.jsonl`` (either may be missing, or packed as ``.gz``), one JSON object a line:

- ``rest.jsonl``: ``id``, ``t`` (seconds since 1970), ``m`` method, ``u`` URL, ``b`` body of the request, ``s`` status,
  ``k`` kind, ``src`` index into ``sources``, ``auth`` whether it was a private request, ``h`` the few headers of the
  answer that say something, ``r`` body of the answer, or ``z``: the same in base64 where it is no text.
- ``ws.jsonl``: ``t``, ``c`` number of the connection, ``d`` (``o`` opened, ``>`` sent to the exchange, ``<`` sent by
  it), ``u`` URL (of ``o``), ``x`` text or ``z`` base64 of a binary frame.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TextIO
from urllib.parse import urlsplit

from msgspec import Struct

Direction = Literal["o", ">", "<"]


class Exchanged(Struct, frozen=True, kw_only=True):
    """A request and its answer."""

    method: str
    url: str
    """As it was asked, secrets taken out."""
    body: str = ""
    status: int = 200
    answer: bytes = b""
    """The body, unpacked."""
    headers: Mapping[str, str] = {}
    time: float = 0.0
    """Seconds since 1970; 0 if nobody knows."""
    kind: str = "recorded"
    private: bool = False
    """Whether it was asked with credentials."""
    id: str = ""
    """Its name within the session."""


class Passed(Struct, frozen=True, kw_only=True):
    """A WebSocket frame, or the opening of a connection."""

    time: float
    connection: int
    direction: Direction
    url: str = ""
    """Only of an opening."""
    frame: str | bytes = ""


class Recording(Struct, frozen=True, kw_only=True):
    """One session, read."""

    id: str
    exchange: str
    rest: list[Exchanged]
    frames: list[Passed]


def find(folder: Path) -> list[Path]:
    """The folders of sessions in a folder, in order; the folder itself may be one."""
    return sorted(path.parent for path in folder.rglob("session.json"))


def read(folder: Path) -> Recording:
    """One session. Raises OSError or ValueError if it is none."""
    about = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    return Recording(
        id=about["id"],
        exchange=about["exchange"],
        rest=[_exchanged(line) for line in _lines(folder / "rest.jsonl")],
        frames=[_passed(line) for line in _lines(folder / "ws.jsonl")],
    )


def exchange_of(url: str) -> str:
    """A name for the exchange behind a URL: the last but one part of its host's name (``api.binance.com``: binance)."""
    host = urlsplit(url).hostname or "nobody"
    parts = host.split(".")
    return "local" if len(parts) < 2 or parts[-1].isdigit() else parts[-2]


class Writer:
    """Writes one session while it happens; every line is in the file when the call returns."""

    def __init__(self, folder: Path, exchange: str, recorded: str) -> None:
        folder.mkdir(parents=True, mode=0o700)
        self._folder = folder
        self._about: dict[str, Any] = {
            "id": f"{exchange}/{folder.name}",
            "exchange": exchange,
            "ccxt": [exchange],
            "recorded": recorded,
            "kind": "recorded",
            "notes": "",
            "sources": ["exgate record"],
        }
        self.requests, self.frames = 0, 0
        self._files: dict[str, TextIO] = {}
        self._describe()

    def exchanged(self, it: Exchanged) -> None:
        """Write a request with its answer."""
        line: dict[str, Any] = {"id": f"r{self.requests:04}", "t": it.time, "m": it.method, "u": it.url}
        line |= {"b": it.body} if it.body else {}
        line |= {"s": it.status, "k": it.kind, "src": 0, "auth": it.private}
        line |= {"h": dict(it.headers)} if it.headers else {}
        self._write("rest.jsonl", line | _text("r", it.answer))
        self.requests += 1

    def passed(self, it: Passed) -> None:
        """Write a frame, or the opening of a connection."""
        line: dict[str, Any] = {"t": it.time, "c": it.connection, "d": it.direction}
        self._write("ws.jsonl", line | ({"u": it.url} if it.direction == "o" else _text("x", it.frame)))
        self.frames += it.direction == "<"

    def close(self) -> None:
        """Write down how much there is."""
        for file in self._files.values():
            file.close()
        self._describe()

    def _write(self, name: str, line: dict[str, Any]) -> None:
        if name not in self._files:
            self._files[name] = (self._folder / name).open("a", encoding="utf-8")
        self._files[name].write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        self._files[name].flush()

    def _describe(self) -> None:
        counted = {"rest_records": self.requests, "ws_frames_in": self.frames}
        text = json.dumps(self._about | counted, indent=1, ensure_ascii=False)
        (self._folder / "session.json").write_text(text + "\n", encoding="utf-8")


def _text(name: str, data: str | bytes) -> dict[str, str]:
    if isinstance(data, str):
        return {name: data}
    if name == "r":  # an answer is bytes; where they are text it is kept as text
        try:
            return {name: data.decode()}
        except UnicodeDecodeError:
            pass
    return {"z": base64.b64encode(data).decode()}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    packed = path.with_name(path.name + ".gz")
    if path.exists():
        file: TextIO = path.open(encoding="utf-8")
    elif packed.exists():
        file = gzip.open(packed, "rt", encoding="utf-8")
    else:
        return
    with file:
        for line in file:
            yield json.loads(line)


def _exchanged(line: dict[str, Any]) -> Exchanged:
    return Exchanged(
        method=line["m"].upper(),
        url=line["u"],
        body=line.get("b") or "",
        status=line["s"],
        answer=base64.b64decode(line["z"]) if "z" in line else line["r"].encode(),
        headers=line.get("h") or {},
        time=line.get("t") or 0.0,
        kind=line["k"],
        private=bool(line.get("auth")),
        id=line["id"],
    )


def _passed(line: dict[str, Any]) -> Passed:
    frame = base64.b64decode(line["z"]) if "z" in line else line.get("x", "")
    return Passed(time=line["t"], connection=line["c"], direction=line["d"], url=line.get("u", ""), frame=frame)
