"""What stands between an adapter and its engine: a moment of waiting, and the faults of a call."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import anyio
import anyio.lowlevel

from exgate_core.clock import Clock, Sleep
from exgate_core.errors import NotSent, RateLimited, Refused

from .faults import Fault, Faults, crash
from .settings import PaperSettings


class Context(Protocol):
    """What the adapters use of the context that the core gives them."""

    @property
    def settings(self) -> PaperSettings | None:
        """The section's own keys; None = the defaults."""
        ...

    @property
    def state(self) -> Path | None:
        """The folder of this exchange; None = nothing is kept."""
        ...

    @property
    def clock(self) -> Clock: ...
    @property
    def sleep(self) -> Sleep: ...
    @property
    def random(self) -> random.Random: ...
    @property
    def log(self) -> logging.Logger | logging.LoggerAdapter[logging.Logger]: ...


@contextmanager
def writing() -> Iterator[None]:
    """A command that can't be kept is none: raises NotSent."""
    try:
        yield
    except OSError as error:
        raise NotSent(f"The paper exchange can't keep its state ({error}). Nothing was sent.") from error


async def travel(faults: Faults, sleep: Sleep, point: str, symbol: str = "") -> Fault | None:
    """Let a call pass a point: yields once, then suffers the faults there. Returns the lie to tell, if any."""
    await anyio.lowlevel.checkpoint()
    lie: Fault | None = None
    for fault in faults.hits(point, symbol):
        if fault.kind == "lie":
            lie = fault
        elif fault.kind == "delay":
            await sleep(fault.seconds)
        elif fault.kind == "hang":
            await anyio.sleep_forever()
        elif fault.kind == "crash":
            crash()
        else:
            raise _error(fault)
    return lie


def _error(fault: Fault) -> Exception:
    if fault.kind == "refuse":
        return Refused(fault.value or "The exchange refused.", reason="FAULT_REFUSED")
    if fault.kind == "not_sent":
        return NotSent(fault.value or "No connection to the exchange. Nothing was sent.")
    if fault.kind == "rate_limited":
        return RateLimited(fault.value or "Too many requests.", retry_after=fault.seconds)
    if fault.kind == "drop":
        return ConnectionResetError(fault.value or "the connection was reset")
    return RuntimeError(fault.value or "an error that no contract knows")
