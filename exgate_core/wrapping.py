"""The wrappers of plugins around one operation, composed once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import anyio

from .errors import DeadlineExceeded, ExGateError, Internal, NotSent, Unimplemented
from .hookspecs import Proceed, Wrapper
from .models import Call
from .waiting import is_cancelled

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
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            message = f"a wrapper around {call.operation} failed with {type(error).__name__}"
            raise Internal(message, reason="WRAPPER_FAILED") from error

    return guarded


async def in_time(seconds: float, proceed: Proceed, call: Call) -> Any:
    """``proceed(call)``, for wrappers may hang. Raises DeadlineExceeded."""
    with anyio.move_on_after(seconds):
        return await proceed(call)
    raise DeadlineExceeded(f"no answer to {call.operation} of {call.exchange} in time; ask again")


class Once:
    """The inside of an order's wrappers: runs once, however often they proceed, and keeps what became of it.

    Whatever a wrapper does after the order has left, the caller is told what happened to the order.
    """

    def __init__(self, final: Proceed) -> None:
        self._final = final
        self.outcome: asyncio.Future[Any] | None = None
        self.over = False
        """The caller has an answer: nothing may be sent any more."""

    async def __call__(self, call: Call) -> Any:
        """What the first run brought."""
        if self.outcome is None:
            if self.over:
                raise NotSent("the caller has been told that nothing was sent.", reason="WRAPPER_FAILED")
            self.outcome = asyncio.ensure_future(self._run(call))
        return await asyncio.shield(self.outcome)

    async def _run(self, call: Call) -> Any:
        return await self._final(call)


async def send_once(wrappers: Sequence[Wrapper], final: Proceed, call: Call, seconds: float) -> Any:
    """``final`` inside the wrappers, for calls that may be sent only once and whose truth must reach the caller.

    The wrappers have so many seconds; what is under way then is waited for without them.
    """
    if not wrappers:
        return await final(call)
    once = Once(final)
    try:
        await in_time(seconds, wrap(wrappers, once), call)
    except ExGateError as error:
        if once.outcome is None:
            raise _before_the_send(error) from error.__cause__
        _log.error("%s: a wrapper around %s failed after the send", call.exchange, call.operation, exc_info=error)
    finally:
        once.over = True
    if once.outcome is None:
        message = f"a wrapper around {call.operation} answered by itself. Nothing was sent."
        raise _before_the_send(Internal(message, reason="WRAPPER_FAILED"))
    return await asyncio.shield(once.outcome)


def _before_the_send(error: ExGateError) -> ExGateError:
    if error.http >= Internal.http and not isinstance(error, Unimplemented):
        error.metadata["outcome"] = "not-sent"
    return error
