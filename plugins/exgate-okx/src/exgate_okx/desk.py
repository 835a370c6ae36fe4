"""Private requests: signed with OKX's time, within the user's limits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec

from exgate_core.budget import Lane
from exgate_core.client import Context
from exgate_core.errors import ExGateError, Unavailable
from exgate_core.fetch import Response

from . import limits, parse
from .codes import STALE_CLOCK
from .limits import Endpoint
from .signing import Keys, ServerClock, headers
from .wire import Envelope, Wire, code_of, rows

T = TypeVar("T")

_JSON = {"Content-Type": "application/json"}
_TIME_LIMIT = 2.0
_PAUSE: Final = 0.1
"""Seconds before a question to which no usable answer came is put once more."""


class Desk:
    """One set of credentials."""

    def __init__(self, context: Context) -> None:
        self._wire = Wire(context)
        self._credentials: Keys = context.credentials
        self._clock = ServerClock(context.clock, self._server_time, context.report_time)
        self._log: logging.Logger = context.log
        self._sleep = context.sleep

    async def measure(self) -> bool:
        """Ask for OKX's time. If that fails, what was known of it stays. Whether it is known now."""
        try:
            await self._clock.measure()
        except ExGateError as error:
            self._log.warning("OKX's time could not be asked for: %s", error)
        return self._clock.measured

    async def get(
        self,
        endpoint: Endpoint,
        params: Mapping[str, str],
        decoder: msgspec.json.Decoder[Envelope[T]],
        *,
        lane: Lane = "data",
        deadline: float | None = None,
    ) -> list[T]:
        """Ask a question. One whose timestamp OKX refused is asked once more after its clock was measured."""
        query, instrument = urlencode(params), params.get("instId", "")
        response = await self._signed("GET", endpoint, query, instrument, lane=lane, deadline=deadline)
        if _is_stale(response) and await self.measure():
            response = await self._signed("GET", endpoint, query, instrument, lane=lane, deadline=deadline)
        return rows(response, decoder)

    async def look(
        self, endpoint: Endpoint, params: Mapping[str, str], decoder: msgspec.json.Decoder[Envelope[T]]
    ) -> list[T]:
        """Look in one more place for what others don't have. One failure makes what they said no less true, so this
        place is asked once more before all is for nothing. Raises what ``get`` does the second time."""
        try:
            return await self.get(endpoint, params, decoder, lane="lookups")
        except Unavailable as error:
            if error.retry_after is not None:
                raise
        await self._sleep(_PAUSE)
        return await self.get(endpoint, params, decoder, lane="lookups")

    async def post(self, endpoint: Endpoint, body: Mapping[str, Any], lane: Lane, *, expiry: float = 0.0) -> Response:
        """Send something that changes, once. ``expiry``: seconds after which OKX drops it unprocessed; 0 = never."""
        text, instrument = msgspec.json.encode(body), str(body["instId"])
        return await self._signed("POST", endpoint, "", instrument, text, lane=lane, expiry=expiry)

    async def _signed(
        self,
        method: str,
        endpoint: Endpoint,
        query: str,
        instrument: str,
        body: bytes | None = None,
        *,
        lane: Lane,
        deadline: float | None = None,
        expiry: float = 0.0,
    ) -> Response:
        target = f"{endpoint.path}?{query}" if query else endpoint.path

        def sign() -> dict[str, str]:
            now = self._clock.now()
            signed = headers(self._credentials, now, method, target, (body or b"").decode())
            return {**signed, **(_JSON if body else {}), **self._expires(now, expiry)}

        return await self._wire.send(
            method, endpoint, query, instrument=instrument, sign=sign, body=body, lane=lane, deadline=deadline
        )

    def _expires(self, now: int, expiry: float) -> dict[str, str]:
        """ "Transaction Timeouts": never with a clock that may be wrong."""
        return {"expTime": str(now + int(expiry * 1000))} if expiry and self._clock.measured else {}

    async def _server_time(self) -> int:
        found = rows(await self._wire.send("GET", limits.TIME, deadline=_TIME_LIMIT), parse.TIMES)
        if not found:
            raise Unavailable("OKX gave no time.", reason="BAD_ANSWER")
        return found[0].ts


def _is_stale(response: Response) -> bool:
    said = code_of(response) if response.status in (200, 400, 401) else None
    return said is not None and said.code in STALE_CLOCK
