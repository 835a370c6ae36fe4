"""A journal and its orders for tests, and what a test breaks in them.

A test module imports ``virtual`` and ``anyio_backend``: its time passes only where everybody waits.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec import structs

from exgate_core import rows
from exgate_core.clock import Clock, Runtime
from exgate_core.contract import PlaceBody
from exgate_core.errors import ExGateError
from exgate_core.freezes import Freezes
from exgate_core.journal import Journal
from exgate_core.models import Order
from exgate_core.orders import Orders, Placed
from exgate_core.rows import Row
from exgate_core.settings import Orders as Settings
from tests.support.desk import BTC, Desk
from tests.support.virtual import Virtual

ENDINGS = ("Nothing was sent.", "It may have been sent.", "No order was placed.")


@pytest.fixture
def virtual() -> Virtual:
    """The time of one test."""
    return Virtual()


@pytest.fixture
def anyio_backend(virtual: Virtual) -> tuple[str, dict[str, Any]]:
    """A loop that lives in that time."""
    return "asyncio", {"loop_factory": virtual.loop}


@pytest.fixture
async def room(virtual: Virtual, tmp_path: Path) -> AsyncIterator[Room]:
    """A room of one test."""
    async with opened(virtual, tmp_path) as room:
        yield room


class Shifted:
    """The loop's clocks, and people's time moved by as much as a test says."""

    def __init__(self, clock: Clock) -> None:
        self.ahead = 0.0
        self._real = clock

    def monotonic(self) -> float:
        return self._real.monotonic()

    def time(self) -> float:
        return self._real.time() + self.ahead


@dataclass
class Room:
    """A journal and its orders, and what a test breaks in them."""

    journal: Journal
    orders: Orders
    clock: Shifted
    broken: set[str]
    """Steps that fail."""
    held: dict[str, threading.Event]
    """Steps at which the disk stands still until the event is set."""
    tasks: anyio.abc.TaskGroup

    async def place(self, desk: Desk, key: str = "k", amount: str = "1", **options: str) -> Placed:
        body = PlaceBody(
            symbol="BTC/USDT", side="buy", type="limit", price="100.00", amount=amount, options=dict(options)
        )
        return await self.orders.place(desk, BTC, body, key)

    def rewrite(self, row: Row, **changes: object) -> None:
        """Change a row as if the gateway itself had written it so."""
        connection = self.journal._connection
        assert connection is not None
        rows.write(connection, structs.replace(row, **changes), tuple(changes))


@asynccontextmanager
async def opened(
    virtual: Virtual,
    path: Path,
    deadline: float = 0.7,
    reconcile: float = 0.7,
    freezes: Freezes | None = None,
) -> AsyncIterator[Room]:
    """A room in the time of the running loop, which is ``virtual``'s."""
    broken: set[str] = set()
    clock = Shifted(virtual.runtime.clock)
    held: dict[str, threading.Event] = {}
    stuck: set[str] = set()

    def step(name: str) -> None:
        if name in held:
            stuck.add(name)
            held[name].wait()
            stuck.discard(name)
        if name in broken:
            raise OSError(28, f"No space left on device at {name}")

    runtime = Runtime(clock=clock)
    async with Journal(path / "journal.db", step, clock) as journal, anyio.create_task_group() as tasks:
        virtual.attend(journal, stuck)
        virtual.jump()
        settings = Settings(deadline=deadline, reconcile_deadline=reconcile)
        try:
            orders = Orders(journal, runtime, tasks, settings, step=step, freezes=freezes)
            yield Room(journal, orders, clock, broken, held, tasks)
        finally:
            virtual.walk()
        tasks.cancel_scope.cancel()


async def failure(placing: Callable[[], object]) -> ExGateError:
    with pytest.raises(ExGateError) as caught:
        await placing()  # type: ignore[misc]
    assert caught.value.message.endswith(ENDINGS), caught.value.message
    return caught.value


def foreign(seconds: float, order_id: str = "7", client_order_id: str = "1") -> Order:
    """An order of the account that this gateway knows nothing of."""
    return Order(
        order_id=order_id,
        symbol="BTC/USDT",
        side="buy",
        type="limit",
        price="100.00",
        amount="1",
        client_order_id=client_order_id,
        time=int(seconds * 1000),
    )
