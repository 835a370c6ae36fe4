"""Says which code holds the event loop, while it holds it: everybody else waits meanwhile."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import traceback
from types import TracebackType

from .clock import Clock, SystemClock

PATIENCE = 1.0
"""Seconds that the loop may be held before it is said."""

_LOG = logging.getLogger("exgate.watchdog")
_FRAMES = 12


def collect_less() -> None:
    """Let Python look for circular garbage less often than by default: for a process that does nothing but serve.

    A request leaves hardly any. By default every 700 new objects start a search, which costs a tenth of the processor
    and, every now and then, 40 ms in one piece.
    """
    gc.set_threshold(10_000, 20, 20)


class Watchdog:
    """``with Watchdog():`` inside the loop's own thread; a thread of its own asks the loop for a sign of life."""

    def __init__(self, patience: float = PATIENCE, clock: Clock | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._patience, self._clock = patience, clock or SystemClock()
        self._answered, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="exgate-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._answered.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._patience):
            self._answered.clear()
            asked = self._clock.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:  # the loop is closed
                return
            if self._answered.wait(self._patience) or self._over.is_set():
                continue
            self._tell()
            self._answered.wait()
            _LOG.warning("the event loop answers again; it was held for %.1f s", self._clock.monotonic() - asked)

    def _tell(self) -> None:
        frame = sys._current_frames().get(self._watched)
        stack = traceback.extract_stack(frame)[-_FRAMES:] if frame is not None else []
        where = f"{stack[-1].filename}:{stack[-1].lineno} in {stack[-1].name}" if stack else "nobody knows where"
        _LOG.error(
            "the event loop has been held for more than %.1f s at %s; nobody is served meanwhile. Stack:\n%s",
            self._patience,
            where,
            "".join(traceback.format_list(stack)).rstrip(),
        )
