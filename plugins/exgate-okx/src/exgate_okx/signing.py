"""Who asks, and when: OKX's signature and OKX's clock ("REST Authentication", "Get system time", 2026-06-27)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from exgate_core.clock import Clock


class Secret(Protocol):
    """A text that never shows."""

    def reveal(self) -> str:
        """The text."""
        ...


class Keys(Protocol):
    """What ``context.credentials`` holds."""

    @property
    def api_key(self) -> Secret: ...
    @property
    def api_secret(self) -> Secret: ...
    @property
    def passphrase(self) -> Secret | None: ...


def iso(milliseconds: int) -> str:
    """A time as ``OK-ACCESS-TIMESTAMP`` wants it: ``2020-12-08T09:08:57.715Z``."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def signature(secret: str, timestamp: str, method: str, target: str, body: str) -> str:
    """``OK-ACCESS-SIGN`` ("Signature"); ``target`` is the path with its query."""
    text = f"{timestamp}{method}{target}{body}"
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def headers(credentials: Keys, milliseconds: int, method: str, target: str, body: str) -> dict[str, str]:
    """The four headers of a private request ("Making Requests")."""
    timestamp = iso(milliseconds)
    passphrase = credentials.passphrase
    return {
        "OK-ACCESS-KEY": credentials.api_key.reveal(),
        "OK-ACCESS-SIGN": signature(credentials.api_secret.reveal(), timestamp, method, target, body),
        "OK-ACCESS-TIMESTAMP": timestamp,
        "OK-ACCESS-PASSPHRASE": passphrase.reveal() if passphrase is not None else "",
    }


class ServerClock:
    """OKX's time: ours and the difference that was measured last. A request lives 30 s from its timestamp."""

    def __init__(self, clock: Clock, ask: Callable[[], Awaitable[int]], report: Callable[[float], None]) -> None:
        self._clock, self._ask, self._report = clock, ask, report
        self._offset = 0.0
        self.measured = False
        """Whether the difference is known."""

    async def measure(self) -> None:
        """Ask OKX for its time. Raises what the question does, and keeps the difference that was known."""
        start, began = self._clock.monotonic(), self._clock.time()
        theirs = await self._ask()
        on_the_way = (self._clock.monotonic() - start) / 2
        self._offset, self.measured = theirs / 1000 - began - on_the_way, True
        self._report(theirs + on_the_way * 1000)

    def now(self) -> int:
        """OKX's time in ms."""
        return int((self._clock.time() + self._offset) * 1000)
