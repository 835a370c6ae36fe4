"""A plugin that holds the event loop is named in the log while it does so."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from exgate_core.watchdog import FROZEN_FILE, LastResort, Notify, Watchdog

from .support.running import serving

pytestmark = pytest.mark.anyio

BLOCKER = '''
"""Holds the loop for two seconds."""
import time

from exgate_core import Depth, Market, hookimpl

EXGATE_API = 1


class Blocks:
    def __init__(self, context):
        pass

    @hookimpl
    async def markets(self):
        return [Market(symbol="A/B", id="AB", base="A", quote="B")]

    @hookimpl
    async def depth(self, market, limit):
        time.sleep(2.5)
        return Depth(bids=(), asks=())


@hookimpl
def register_exchanges(register):
    register("blocks", exchange=Blocks)
'''


FREEZES = '''
"""Never comes back, and keeps Python's lock: as a computation in C that has no end."""
import ctypes

from exgate_core import Depth, Market, hookimpl

EXGATE_API = 1
LOCK = ctypes.create_string_buffer(64)


class Freezes:
    def __init__(self, context):
        pass

    @hookimpl
    async def markets(self):
        return [Market(symbol="A/B", id="AB", base="A", quote="B")]

    @hookimpl
    async def depth(self, market, limit):
        for _ in range(2):
            ctypes.PyDLL(None).pthread_mutex_lock(LOCK)


@hookimpl
def register_exchanges(register):
    register("freezes", exchange=Freezes)
'''


async def test_who_holds_the_loop_is_named_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    def hold_the_loop() -> None:
        assert told.wait(30)

    log = logging.getLogger("exgate.watchdog")
    handler = Told()
    log.addHandler(handler)
    try:
        with Watchdog(patience=0.05):
            hold_the_loop()
    finally:
        log.removeHandler(handler)
    first = caplog.records[0].getMessage()
    assert "the event loop has been held" in first and "hold_the_loop" in first


async def test_a_loop_that_runs_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    with Watchdog(patience=0.01):
        pass
    assert caplog.records == []


def test_a_served_gateway_says_which_plugin_it_was(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "blocks.py").write_text(BLOCKER)
    with (
        (tmp_path / "log").open("w") as log,
        serving(tmp_path, "--plugins-dir", str(plugins), errors=log.fileno()) as running,
    ):
        with urlopen(f"{running.url}/v1/blocks/depth?symbol=A/B", timeout=30) as answer:
            assert answer.status == 200
    text = (tmp_path / "log").read_text()
    assert "the event loop has been held" in text and "blocks.py" in text
    assert "the event loop answers again" in text


def test_a_process_that_is_frozen_for_good_ends_itself_though_nobody_reads_its_stderr(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "freezes.py").write_text(FREEZES)
    arguments = ("--plugins-dir", str(plugins), "-s", "server.watchdog=1")
    kept, full = os.pipe()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while True:
            os.write(full, b"x" * 4096)
    os.set_blocking(full, True)
    with serving(tmp_path, *arguments, "-s", "server.log_level=error", errors=full) as running:
        with pytest.raises(OSError):
            urlopen(f"{running.url}/v1/freezes/depth?symbol=A/B", timeout=20)
        assert running.process.wait(10) == 1
    os.close(kept)
    os.close(full)
    with (tmp_path / "log").open("w") as log, serving(tmp_path, *arguments, errors=log.fileno()):
        pass
    said = (tmp_path / "log").read_text()
    assert "the watchdog ended the last run" in said
    assert 'freezes.py", line' in said
    with (tmp_path / "log").open("w") as log, serving(tmp_path, *arguments, errors=log.fileno()):
        pass
    assert "the watchdog ended" not in (tmp_path / "log").read_text(), "it is told once"


def test_a_run_without_the_watchdog_tells_what_the_last_one_left_once(tmp_path: Path) -> None:
    (tmp_path / FROZEN_FILE).write_text("Timeout (0:00:30)!\n")
    told = []
    for _ in range(2):
        with (tmp_path / "log").open("w") as log, serving(tmp_path, "-s", "server.watchdog=0", errors=log.fileno()):
            pass
        told.append("the watchdog ended the last run" in (tmp_path / "log").read_text())
    assert told == [True, False]


def test_stderr_has_the_stack_too(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "freezes.py").write_text(FREEZES)
    arguments = ("--plugins-dir", str(plugins), "-s", "server.watchdog=1")
    with (tmp_path / "log").open("w") as log, serving(tmp_path, *arguments, errors=log.fileno()) as running:
        with pytest.raises(OSError):
            urlopen(f"{running.url}/v1/freezes/depth?symbol=A/B", timeout=20)
        assert running.process.wait(10) == 1
    assert 'freezes.py", line' in (tmp_path / "log").read_text()


async def test_the_service_manager_is_told_as_long_as_the_loop_runs(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    for address in (str(tmp_path / "notify"), f"@exgate-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind("\0" + address[1:] if address.startswith("@") else address)
            manager.setblocking(False)
            notify = Notify({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())})
            async with LastResort(0, tmp_path, notify):
                assert [await loop.sock_recv(manager, 100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            notify.say("READY=1")
            assert await loop.sock_recv(manager, 100) == b"READY=1"


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "1000"}, {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}],
)
def test_nobody_is_told_where_nobody_asked(environment: dict[str, str]) -> None:
    notify = Notify(environment)
    notify.say("READY=1")
    assert notify.patience == 0
