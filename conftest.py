"""Fixtures for the core's tests and for every plugin's."""

from __future__ import annotations

import functools
import importlib.util
import os
import random
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import hypothesis
import pytest

hypothesis.settings.register_profile("dev", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("dev"), derandomize=True)


class Venue(NamedTuple):
    """A running replay server of recorded exchange traffic."""

    url: str
    """``http://127.0.0.1:PORT``; also the ``upstream_prefix`` of settings when a slash is put behind it."""
    state: Any
    """The server's own object: its counters and what was sent to it."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The same examples in every CI run; elsewhere new ones, whose seed the header names."""
    in_ci = bool(os.environ.get("CI"))
    hypothesis.settings.load_profile("ci" if in_ci else "dev")
    if not in_ci and not config.getoption("--hypothesis-seed"):
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is needed to run the same examples again, and whether recordings are here."""
    seed = config.getoption("--hypothesis-seed")
    return [
        f"examples: --hypothesis-seed={seed}" if seed else "examples: derandomized",
        f"recordings: {os.environ.get('EXGATE_SHARED') or 'none (EXGATE_SHARED is not set)'}",
    ]


@pytest.fixture
def anyio_backend() -> str:
    """ExGate runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings, oracles and the replay server; skips where there is none."""
    folder = os.environ.get("EXGATE_SHARED")
    if not folder:
        pytest.skip("EXGATE_SHARED is not set: no recordings")
    return Path(folder)


@pytest.fixture
async def venue(shared: Path, anyio_backend: str) -> AsyncIterator[Venue]:
    """A replay server in this process, on a free port of 127.0.0.1."""
    web = pytest.importorskip("aiohttp.web")
    module = _load(shared / "venue" / "venue.py")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", web.NotAppKeyWarning)
        app = module.app(str(shared / "recordings"))
        state = app["venue"]
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Venue(f"http://127.0.0.1:{runner.addresses[0][1]}", state)
    finally:
        await runner.cleanup()


@functools.cache
def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("venue", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Library = functools.cache(module.Library)  # type: ignore[attr-defined]  # the recordings are read once a run
    return module
