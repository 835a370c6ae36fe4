"""Signed requests: key, clock, signature, weight and lane (rest-api.md "Request Security", 2026-07-21)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from exgate_core.budget import Lane
from exgate_core.client import Context
from exgate_core.errors import FailedPrecondition
from exgate_core.fetch import Response, decode

from . import failures, private
from .hosts import Host, host_of
from .parse import words
from .server_time import ServerTime
from .settings import BinanceSettings
from .signing import signer_of

T = TypeVar("T")

_SHARE: Final = 0.4
"""The part of a request's deadline that an order or a cancel has: looking after it takes the rest."""
_WAITING: Final = 0.5
"""The part of a deadline that may pass before the request's turn comes."""
_TIME_LIMIT: Final = 2.0


class Desk:
    """Everything of one account that is sent goes through here, each request signed when its turn has come."""

    def __init__(self, context: Context) -> None:
        self.host: Host = host_of(context.name, sandbox=context.sandbox)
        self.time = ServerTime(self._server_time, context.clock, context.log, context.report_time)
        settings = context.settings or BinanceSettings()
        key, secret = context.credentials.api_key.reveal(), context.credentials.api_secret.reveal()
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise FailedPrecondition("api_key holds characters that no key has", reason="BAD_API_KEY")
        self._sign = signer_of(secret)
        self._headers = {"X-MBX-APIKEY": key}
        self._window = str(settings.recv_window)
        # Too many orders of one account must not keep anybody's cancels.
        spared = failures.is_account_limit
        self._http = context.http(self.host.rest, used_weight="X-MBX-USED-WEIGHT-1M", spared=spared)
        self._budget, self._deadline, self._clock = context.budget, context.deadline, context.clock

    async def change(self, method: str, form: Mapping[str, str], lane: Lane) -> Response:
        """One send to ``/api/v3/order``, never repeated. Raises NotSent, RateLimited, Unavailable, DeadlineExceeded."""
        return await self._send(method, "/api/v3/order", form, 1, lane, self._deadline * _SHARE)

    async def ask(
        self, path: str, form: Mapping[str, str], decoder: msgspec.json.Decoder[T], weight: int, lane: Lane = "data"
    ) -> T:
        """One question; a timestamp that the exchange didn't like is put right once.

        Raises what ``failures.of_question`` says.
        """
        response = await self._send("GET", path, form, weight, lane, self._deadline)
        if failures.is_clock(response):
            self.time.forget()
            response = await self._send("GET", path, form, weight, lane, self._deadline)
        if response.status != 200:
            raise failures.of_question(response)
        return decode(response, decoder)

    async def _send(
        self, method: str, path: str, form: Mapping[str, str], weight: int, lane: Lane, deadline: float
    ) -> Response:
        start = self._clock.monotonic()
        await self.time.now()
        # The turn comes first: what is signed before it waits may be too old when it leaves.
        if self._budget is not None:
            await self._budget.take(weight, lane, deadline * _WAITING)
        query = urlencode(form, quote_via=quote)
        joint = "&" if query else ""
        query = f"{query}{joint}recvWindow={self._window}&timestamp={await self.time.now() * 1000:.0f}"
        query = f"{query}&signature={self._sign(query)}"
        left = start + deadline - self._clock.monotonic()
        return await self._http.request(
            method, path, params=query, headers=self._headers, weight=0, lane=lane, deadline=left
        )

    async def _server_time(self) -> int:
        answer = await self._http.get_json(
            "/api/v3/time", private.TIME, lane="orders", deadline=_TIME_LIMIT, explain=words
        )
        return answer.server_time
