"""A plugin that holds the event loop is named in the log while it does so."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest

from exgate_core.watchdog import Watchdog

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
