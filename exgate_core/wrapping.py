"""The wrappers of plugins around one operation, composed once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from .errors import ExGateError, Internal
from .hookspecs import Proceed, Wrapper
from .models import Call

_log = logging.getLogger("exgate.wrapping")


def wrap(wrappers: Sequence[Wrapper], final: Proceed) -> Proceed:
    """``final`` inside the wrappers, the first one outermost. Foreign exceptions come out as Internal."""
    if not wrappers:
        return final
    proceed = final
    for wrapper in reversed(wrappers):
        proceed = _inside(wrapper, proceed)
    return _guarded(proceed)


def _inside(wrapper: Wrapper, proceed: Proceed) -> Proceed:
    async def call_wrapper(call: Call) -> Any:
        return await wrapper(call, proceed)

    return call_wrapper


def _guarded(proceed: Proceed) -> Proceed:
    async def guarded(call: Call) -> Any:
        try:
            return await proceed(call)
        except ExGateError:
            raise
        except Exception as error:
            message = f"a wrapper around {call.operation} failed with {type(error).__name__}"
            raise Internal(message, reason="WRAPPER_FAILED") from error

    return guarded


class Once:
    """The inside of an order's wrappers: runs once, however often they proceed, and keeps what became of it.

    Whatever a wrapper does after the order has left, the caller is told what happened to the order.
    """

    def __init__(self, final: Proceed) -> None:
        self._final = final
        self.outcome: asyncio.Future[Any] | None = None

    async def __call__(self, call: Call) -> Any:
        """What the first run brought."""
        if self.outcome is None:
            self.outcome = asyncio.ensure_future(self._run(call))
        return await asyncio.shield(self.outcome)

    async def _run(self, call: Call) -> Any:
        return await self._final(call)


async def send_once(wrappers: Sequence[Wrapper], final: Proceed, call: Call) -> Any:
    """``final`` inside the wrappers, for calls that may be sent only once and whose truth must reach the caller."""
    if not wrappers:
        return await final(call)
    once = Once(final)
    try:
        await wrap(wrappers, once)(call)
    except Exception as error:
        if once.outcome is None:
            raise
        _log.error("a wrapper around %s failed after the send", call.operation, exc_info=error)
    if once.outcome is None:
        raise Internal(
            f"a wrapper around {call.operation} answered by itself. Nothing was sent.", reason="WRAPPER_FAILED"
        )
    return await asyncio.shield(once.outcome)
