"""Says which code holds the event loop, while it holds it, and ends a process whose loop doesn't come back."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from .clock import Clock, SystemClock

PATIENCE = 1.0
"""Seconds that the loop may be held before it is said."""

_LOG = logging.getLogger("exgate.watchdog")
_FRAMES = 12

FROZEN_FILE = "frozen.txt"
"""The name of the file in the state folder that holds the stack of a process which was ended; else empty or absent."""


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


def last_words(state_dir: Path) -> str:
    """The stack at which the last run was ended by its ``LastResort``; empty where it wasn't."""
    try:
        return (state_dir / FROZEN_FILE).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


class Notify:
    """The service manager's socket (sd_notify), where there is one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        watched = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self.patience = int(watched) / 1e6 if self._address and watched.isdecimal() and meant else 0.0
        """Seconds within which the manager wants a sign of life; 0 = it wants none."""

    def say(self, text: str) -> None:
        """Send one message, if anybody listens; never waits."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)


class LastResort:
    """``async with LastResort(...):`` ends the process (code 1) once the loop hasn't run for so many seconds.

    What holds it may never give Python a turn again, so nothing of this is Python by then: a signal has the stack
    written to stderr, and shortly after a thread of faulthandler writes it to ``FROZEN_FILE`` and ends the process,
    whether or not anybody reads stderr. ``seconds`` 0 leaves that out; the service manager is told all the same. What
    an earlier run left in the file is gone either way.
    """

    def __init__(self, seconds: float, state_dir: Path, notify: Notify) -> None:
        self._seconds, self._path, self._notify = seconds, state_dir / FROZEN_FILE, notify
        waits = [limit / 10 for limit in (seconds, notify.patience) if limit]
        self._pause = min(waits, default=0.0)
        self._tells = False

    async def __aenter__(self) -> LastResort:
        if self._seconds:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with suppress(AttributeError, OSError, ValueError):  # stderr may be closed, or no file
                faulthandler.register(signal.SIGALRM, file=sys.stderr.fileno(), chain=False)
                self._tells = True
        else:
            self._path.unlink(missing_ok=True)
        self._task = asyncio.create_task(self._live()) if self._pause else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._seconds:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
            faulthandler.unregister(signal.SIGALRM)
            os.close(self._file)

    async def _live(self) -> None:
        while True:
            if self._tells:
                signal.setitimer(signal.ITIMER_REAL, self._seconds * 0.9)
            if self._seconds:
                faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._file)
            if self._notify.patience:
                self._notify.say("WATCHDOG=1")
            await asyncio.sleep(self._pause)
