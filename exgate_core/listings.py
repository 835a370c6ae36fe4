"""Lists of an account's orders that several look-ups share: what is asked for the same is asked for once a round."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

from .waiting import is_cancelled

T = TypeVar("T")


class Listings:
    """The newest answer to each question. One that was asked for before a look-up began proves nothing to it, for its
    order may have come in between: then the question is put anew, once for all who wait for it.

    An answer is kept as long as there is a look-up to which it may prove something.
    """

    def __init__(self) -> None:
        self._moments = count(1)
        self._newest: dict[Hashable, tuple[int, asyncio.Future[Any]]] = {}
        self._under_way: dict[int, None] = {}
        """When the look-ups under way began, the earliest first."""

    @contextmanager
    def look_up(self) -> Iterator[int]:
        """Around a look-up: the moment at which it began, which it gives to ``ask``."""
        began = next(self._moments)
        self._under_way[began] = None
        try:
            yield began
        finally:
            del self._under_way[began]
            self._tidy()

    async def ask(self, key: Hashable, began: int, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question that left after the look-up ``began``; ``key`` is equal for equal questions.

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
        self._newest[key] = next(self._moments), answer
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

    def _tidy(self) -> None:
        """Drop the answers that all look-ups under way began after."""
        earliest = next(iter(self._under_way), None)
        useless = [
            key
            for key, (asked, answer) in self._newest.items()
            if answer.done() and (earliest is None or asked < earliest)
        ]
        for key in useless:
            del self._newest[key]
