"""Requests to OKX: within its limits, and answers read up to their ``data``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from exgate_core.budget import Lane
from exgate_core.client import Context
from exgate_core.errors import ExGateError, RateLimited, Unavailable
from exgate_core.fetch import Response, decode, failure

from .codes import judged
from .hosts import HOSTS
from .limits import WINDOW, Endpoint, Meter
from .settings import OkxSettings

T = TypeVar("T")

_PATIENCE = 1.0
"""Seconds that an order or a cancel waits for its turn: much later it would be another order."""
DEMO = {"x-simulated-trading": "1"}
"""What makes a request one to the demo trading service ("Demo Trading Services")."""


class Envelope(Struct, Generic[T], frozen=True):
    """What every answer is wrapped in."""

    code: str
    data: list[T] = []
    msg: str = ""


class _Failure(Struct, frozen=True):
    code: str
    msg: str = ""


_FAILURE = msgspec.json.Decoder(_Failure)


class Wire:
    """One side's way to the host of its region."""

    def __init__(self, context: Context) -> None:
        settings = context.settings or OkxSettings()
        self._http = context.http(HOSTS[settings.host].rest, spared=_says_it_itself)
        self._budget = context.budget
        self._headers = DEMO if context.sandbox else {}
        self._meter = Meter(context.clock, context.sleep)
        self._clock = context.clock
        self._deadline = context.deadline

    async def send(
        self,
        method: str,
        endpoint: Endpoint,
        query: str = "",
        *,
        instrument: str = "",
        sign: Callable[[], Mapping[str, str]] = dict,
        body: bytes | None = None,
        lane: Lane = "data",
        deadline: float | None = None,
    ) -> Response:
        """One request, and its answer whatever it says. Raises what ``Http.request`` does.

        ``sign`` makes the headers of a private request, when the limits let it go.
        """
        until = self._clock.monotonic() + (self._deadline if deadline is None else deadline)
        left = until - self._clock.monotonic()
        await self._meter.take(method, endpoint, instrument, lane, left if method == "GET" else _PATIENCE)
        if method != "GET" and self._budget is not None:
            await self._budget.take(0, lane, _PATIENCE)
        response = await self._http.request(
            method,
            endpoint.path,
            params=query,
            headers={**self._headers, **sign()},
            body=body,
            lane=lane,
            deadline=until - self._clock.monotonic(),
        )
        if isinstance(error_of(response), RateLimited):
            self._pause(method, endpoint, instrument)
        return response

    def _pause(self, method: str, endpoint: Endpoint, instrument: str) -> None:
        """After OKX's own "too many". What one account orders keeps neither its cancels nor anybody else."""
        self._meter.pause(method, endpoint, instrument)
        if self._budget is not None and method == "GET":
            self._budget.pause(WINDOW)


def _says_it_itself(response: Response) -> bool:
    """Whether a 429 is OKX's own, whose codes say what to do; one of a wall before it closes the budget for longer."""
    return code_of(response) is not None


def rows(response: Response, decoder: msgspec.json.Decoder[Envelope[T]]) -> list[T]:
    """The ``data`` of the answer to a question.

    Raises what its code stands for: Refused, NotFound, RateLimited; Unavailable where it proves nothing.
    """
    if response.status == 200:
        found = decode(response, decoder)
        if found.code == "0":
            return found.data
    raise error_of(response) or _unusable(response)


def error_of(response: Response) -> ExGateError | None:
    """What an answer's code proves; None for a good answer and for one that proves nothing."""
    if response.status == 200 and response.body.startswith(b'{"code":"0"'):
        return None
    said = code_of(response)
    return None if said is None or said.code == "0" else judged(response.status, said.code, said.msg)


def code_of(response: Response) -> _Failure | None:
    """The code and message of an answer; None if it isn't OKX's."""
    try:
        return _FAILURE.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _unusable(response: Response) -> ExGateError:
    said = code_of(response)
    if said is not None:
        return Unavailable(f"OKX answered {response.status}, {said.code} {said.msg}")
    if response.status != 200:
        return failure(response)
    return Unavailable("OKX gave an answer that can't be read", reason="BAD_ANSWER")
