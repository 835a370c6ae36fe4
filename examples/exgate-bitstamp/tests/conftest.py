"""Recordings of Bitstamp's own traffic are no part of this package: tests that need them skip where they aren't."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Lines = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def anyio_backend() -> str:
    """ExGate runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings, of what must come out of them, and of the server that replays them."""
    folder = os.environ.get("EXGATE_SHARED")
    if not folder:
        pytest.skip("EXGATE_SHARED is not set: no recordings")
    return Path(folder)


@pytest.fixture(scope="session")
def lines(shared: Path) -> Lines:
    """The lines of a gzipped file of JSON, by its name in that folder."""

    def read(name: str) -> list[dict[str, Any]]:
        with gzip.open(shared / name, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    return read


@pytest.fixture
async def replay(shared: Path, anyio_backend: str) -> AsyncIterator[str]:
    """The address of a server that replays Bitstamp as fast as it is read."""
    web = pytest.importorskip("aiohttp.web")
    module = _load(shared / "venue" / "venue.py")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", web.NotAppKeyWarning)
        app = module.app(str(shared / "recordings"))
        app["venue"].config.update(speed="max")
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("venue", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
