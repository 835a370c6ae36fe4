"""What a stream of HTTP/2 has yet to send, while its client opens no window for it."""

from __future__ import annotations

import asyncio
from collections import deque

from hypercorn.protocol.h2 import BufferCompleteError

HIGH_WATER = 32 * 1024
"""Bytes that may wait before whoever writes has to."""

LEAST = 16 * 1024
"""Bytes that a client must take within a write deadline, unless fewer wait."""


class Outbox:
    """Stands where hypercorn has its StreamBuffer: nothing is copied, a writer waits even where no byte may leave, and
    it knows since when the client has taken too little."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Since when bytes have waited without ``LEAST`` of them leaving, on the loop's clock; None = none wait."""
        self._parts: deque[memoryview] = deque()
        self._size = self._taken = 0
        self._over = self._gone = False
        self._changed = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether everything has left and nothing more comes."""
        return self._over and not self._size

    def set_complete(self) -> None:
        """Nothing more comes."""
        self._over = True

    async def push(self, data: bytes) -> None:
        """Add bytes, once there is room. Raises BufferCompleteError after the end."""
        while self._size >= HIGH_WATER and not self._over:
            await self._change()
        if self._over:
            raise BufferCompleteError
        if data:
            self._parts.append(memoryview(data))
            self._size += len(data)
            if self.since is None:
                self._renew()

    async def pop(self, max_length: int) -> bytes:
        """Take at most so many bytes out."""
        found, left = [], max_length
        while left > 0 and self._parts:
            part = self._parts.popleft()
            if len(part) > left:
                self._parts.appendleft(part[left:])
            found.append(part[:left])
            left -= len(found[-1])
        data = b"".join(found)
        self._note(len(data))
        return data

    async def drain(self) -> None:
        """Wait until everything has left, or nothing will."""
        while self._size and not self._gone:
            await self._change()

    async def close(self) -> None:
        """Throw away what waits."""
        self._over = self._gone = True
        self._parts.clear()
        self._note(self._size)

    def _note(self, count: int) -> None:
        if not count and not self._gone:
            return
        self._size -= count
        self._taken += count
        if not self._size:
            self.since = None
        elif self._taken >= LEAST:
            self._renew()
        self._changed.set()

    def _renew(self) -> None:
        self.since, self._taken = asyncio.get_running_loop().time(), 0

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
