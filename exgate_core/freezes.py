"""Orders whose look-up froze the process: what hangs on them must not freeze it again at every start."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
import msgspec
from msgspec import Struct

from . import outcomes
from .errors import OutcomeUnknown
from .rows import Row

FREEZES_FILE: Final = "lookups.json"
"""The name of the file in the state folder."""

MOST: Final = 2
"""Freezes after which an order isn't asked for any more."""

_log = logging.getLogger("exgate.orders")


class _Kept(Struct):
    asking: list[str]
    """Orders that are being asked for."""
    froze: dict[str, int]
    """How many times in a row the process froze meanwhile."""


class Freezes:
    """Kept in a small file that outlives the process; written before a look-up begins and soon after it ends, once for
    all that begin or end together.

    An order that was asked for while the process froze is asked for alone from then on: so the guilty one is found.
    ``path`` None keeps nothing. ``froze``: the last run was ended by the watchdog.
    """

    def __init__(self, path: Path | None = None, *, froze: bool = False) -> None:
        self._path = path
        self._stale = False
        """What is kept isn't in the file yet."""
        self._alone = anyio.Lock()
        kept = self._read()
        again = {name: kept.froze.get(name, 0) + 1 for name in kept.asking} if froze else {}
        self._kept = _Kept([], kept.froze | again)
        for name, times in again.items():
            then = "; it is not asked for any more, see 'exgate journal resolve'" if times >= MOST else ""
            _log.error("the gateway froze while it asked for the order %s%s", name, then)

    def begin(self) -> None:
        """This run alone uses the file from now on."""
        if self._kept.froze or (self._path is not None and self._path.exists()):
            self._write()

    def deadly(self, row: Row) -> bool:
        """Whether the order must not be asked for."""
        return self._kept.froze.get(_name(row), 0) >= MOST

    @asynccontextmanager
    async def asking(self, row: Row) -> AsyncIterator[None]:
        """Around the questions for one order."""
        name = _name(row)
        async with self._alone if name in self._kept.froze else nullcontext():
            self._kept.asking.append(name)
            self._stale = True
            try:
                await anyio.lowlevel.checkpoint()
                self._keep_up()
                yield
                self._kept.froze.pop(name, None)
            finally:
                self._kept.asking.remove(name)
                self._stale = True
                asyncio.get_running_loop().call_soon(self._keep_up)

    def _keep_up(self) -> None:
        if self._stale:
            self._write()

    def _read(self) -> _Kept:
        try:
            if self._path is not None:
                return msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _log.warning("%s can't be read, what froze before is forgotten: %s", self._path, error)
        return _Kept([], {})

    def _write(self) -> None:
        self._stale = False
        if self._path is None:
            return
        # Without fsync: it must outlive the process, not the machine.
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(self._kept))
            os.replace(fresh, self._path)
        except OSError as error:
            _log.warning("%s can't be written: %s", self._path, error)


def froze(exchange: str) -> OutcomeUnknown:
    """504: the order is not asked for any more."""
    text = f"the gateway froze {MOST} times while it asked {exchange} for the order, so it doesn't ask any more: look"
    return outcomes.unknown(f"{text} at the exchange's own site, then settle it with 'exgate journal resolve'")


def _name(row: Row) -> str:
    return f"{row.account} {row.client_order_id or row.id}"
