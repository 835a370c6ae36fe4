"""Lists of an account's orders that several look-ups share: what is asked for the same is asked for once a round."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from itertools import count
from typing import Any, TypeVar

from .waiting import is_cancelled

T = TypeVar("T")

_MOST_KEPT = 8


class Listings:
    """The newest answer to each question. One that was asked for before a look-up began proves nothing to it, for its
    order may have come in between: then the question is put anew, once for all who wait for it."""

    def __init__(self) -> None:
        self._moments = count(1)
        self._newest: dict[Hashable, tuple[int, asyncio.Future[Any]]] = {}

    def begin(self) -> int:
        """A look-up begins: what it gives to ``ask``."""
        return next(self._moments)

    async def ask(self, key: Hashable, began: int, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question that left after ``began``; ``key`` is equal for equal questions.

        Raises what the question does. Who leaves while the others wait ends only his own waiting.
        """
        while True:
            asked, answer = self._newest.get(key, (0, None))
            if answer is None or (answer.done() and asked < began):
                return await self._put(key, question)
            try:
                found: T = await asyncio.shield(answer)
            except asyncio.CancelledError as error:
                if is_cancelled(error):
                    raise
                self._forget(key, answer)  # who had asked left: somebody else asks
                continue
            except Exception:
                if asked < began:
                    continue
                raise
            if asked > began:
                return found

    async def _put(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._newest.pop(key, None)
        self._newest[key] = next(self._moments), answer
        if len(self._newest) > _MOST_KEPT:
            del self._newest[next(iter(self._newest))]
        try:
            found = await question()
        except Exception as error:
            answer.set_exception(error)
            answer.exception()  # perhaps nobody else waits; asyncio would call that forgotten
            raise
        except BaseException:
            answer.cancel()
            raise
        answer.set_result(found)
        return found

    def _forget(self, key: Hashable, answer: asyncio.Future[Any]) -> None:
        if self._newest.get(key, (0, None))[1] is answer:
            del self._newest[key]
