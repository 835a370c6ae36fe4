"""Frames of HTTP/2, counted before they are understood: each costs the server far more than its client."""

from __future__ import annotations

from collections.abc import Iterator

_HEAD = 9
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _WINDOW_UPDATE = 0, 1, 8
SLICE = 20
"""Frames that are understood in one go; then everybody else has his turn."""

MOST, MOST_UPDATES, WINDOW = 300, 20_000, 10.0
"""Commands, and window updates, that a client may send in so many seconds; data and requests are bounded elsewhere."""


class Frames:
    """Follows the frames of one connection, however its bytes are cut."""

    def __init__(self) -> None:
        self._skip = len(_PREFACE)
        self._head = b""
        self._since = 0.0
        self._commands = self._updates = 0

    @property
    def counts(self) -> tuple[int, int]:
        """Commands and window updates since the count last began."""
        return self._commands, self._updates

    def flooded(self, now: float) -> bool:
        """Whether there were too many commands lately. ``now``: the loop's clock."""
        if self._commands > MOST or self._updates > MOST_UPDATES:
            return True
        if now - self._since > WINDOW:
            self._since, self._commands, self._updates = now, 0, 0
        return False

    def slices(self, data: bytes) -> Iterator[bytes]:
        """The same bytes in pieces of at most ``SLICE`` frames' beginnings."""
        start = at = begun = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            step = min(_HEAD - len(self._head), len(data) - at)
            self._head += data[at : at + step]
            at += step
            if len(self._head) == _HEAD:
                self._count(self._head)
                self._skip, self._head = int.from_bytes(self._head[:3], "big"), b""
                begun += 1
                if begun == SLICE:
                    yield data[start:at]
                    start, begun = at, 0
        if start < len(data):
            yield data[start:]

    def _count(self, head: bytes) -> None:
        kind, empty = head[3], not any(head[:3])
        if kind == _WINDOW_UPDATE:
            self._updates += 1
        elif kind != _HEADERS and (kind != _DATA or (empty and not head[4] & 1)):
            self._commands += 1
