"""The servers that are attacked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exgate_core.connections import Deadlines

from ..support.doors import Address, Running, serving


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def stubbed(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server over a stub, with short deadlines, on each event loop."""
    loop = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else None
    limits = Deadlines(idle=30.0, head=1.0, body=1.0, write=3.0, linger=1.0)
    with serving(deadlines=limits, loop=loop) as running:
        yield running


@pytest.fixture(scope="module")
def server_address(stubbed: Running) -> Address:
    """Where the attacked server listens; it serves an exchange ``stub`` with a market BTC/USDT."""
    return stubbed.address
