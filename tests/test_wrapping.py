"""Wrappers of plugins: around every call, never between an order and the truth about it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from exgate_core.errors import Internal, PermissionDenied
from exgate_core.hookspecs import Proceed
from exgate_core.models import Call
from exgate_core.wrapping import send_once, wrap

pytestmark = pytest.mark.anyio
CALL = Call(exchange="x", operation="place_order")


class Exchange:
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.sent = 0

    async def send(self, call: Call) -> str:
        await anyio.lowlevel.checkpoint()
        self.sent += 1
        return f"order {self.sent}"


async def test_the_first_wrapper_is_outermost() -> None:
    seen: list[str] = []

    def named(name: str) -> Any:
        async def wrapper(call: Call, proceed: Proceed) -> Any:
            seen.append(name)
            return await proceed(call)

        return wrapper

    assert await wrap([named("outer"), named("inner")], Exchange().send)(CALL) == "order 1"
    assert seen == ["outer", "inner"]


async def test_a_wrapper_may_refuse_before_the_send() -> None:
    exchange = Exchange()

    async def refuse(call: Call, proceed: Proceed) -> Any:
        raise PermissionDenied("over the cap. Nothing was sent.")

    with pytest.raises(PermissionDenied):
        await send_once([refuse], exchange.send, CALL, 5.0)
    assert exchange.sent == 0


async def test_a_wrapper_that_answers_by_itself_places_nothing_and_says_so() -> None:
    async def invent(call: Call, proceed: Proceed) -> Any:
        return "order 7"

    with pytest.raises(Internal, match="Nothing was sent"):
        await send_once([invent], Exchange().send, CALL, 5.0)


async def test_a_wrapper_that_fails_after_the_send_hides_nothing() -> None:
    exchange = Exchange()

    async def fail_after(call: Call, proceed: Proceed) -> Any:
        await proceed(call)
        raise ZeroDivisionError

    assert await send_once([fail_after], exchange.send, CALL, 5.0) == "order 1"


async def test_a_wrapper_that_changes_the_answer_changes_nothing() -> None:
    async def lie(call: Call, proceed: Proceed) -> Any:
        await proceed(call)
        return "order 99"

    assert await send_once([lie], Exchange().send, CALL, 5.0) == "order 1"


async def test_a_wrapper_that_proceeds_twice_sends_once() -> None:
    exchange = Exchange()

    async def twice(call: Call, proceed: Proceed) -> Any:
        await proceed(call)
        return await proceed(call)

    assert await send_once([twice], exchange.send, CALL, 5.0) == "order 1"
    assert exchange.sent == 1


async def test_a_wrapper_that_loses_patience_does_not_cut_the_send() -> None:
    exchange = Exchange()
    gate = anyio.Event()

    async def slow(call: Call) -> str:
        await gate.wait()
        return await exchange.send(call)

    async def impatient(call: Call, proceed: Proceed) -> Any:
        with anyio.move_on_after(0):
            await proceed(call)
        gate.set()

    assert await send_once([impatient], slow, CALL, 5.0) == "order 1"


async def test_a_bug_in_a_wrapper_of_a_read_is_internal_and_names_no_secret() -> None:
    async def bug(call: Call, proceed: Proceed) -> Any:
        raise ValueError("key=CANARY")

    with pytest.raises(Internal) as caught:
        await wrap([bug], Exchange().send)(CALL)
    assert "CANARY" not in caught.value.message
