"""Signed requests: one at a time per key, each signed in the moment in which it leaves.

Kraken refuses a nonce that isn't higher than all before, and two connections may overtake one another. So a request
waits for its lane first, then for the answer to the one before it; but for no longer than ``_GRACE``, by which time
that one has left: an order must never be overtaken, a question that is can be asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import anyio
import msgspec

from exgate_core.budget import Lane
from exgate_core.client import Context
from exgate_core.errors import ExGateError, FailedPrecondition, NotSent, RateLimited, Refused, Unavailable
from exgate_core.fetch import Response, bad_answer, decode

from . import failures, keys, signing
from .exchange import REST
from .limits import CALLS, TRANSACTIONS, Ages, Counter, Limit
from .parse import TIME, Answer
from .privates import CANCELED, PLACED, Canceled, Placed
from .settings import KrakenSettings
from .times import KrakenTime

T = TypeVar("T")

_GRACE: Final[Mapping[Lane, float]] = {"orders": 0.5, "cancels": 0.5, "lookups": 0.1, "data": 0.1}
_TRIES: Final = 3
_PATIENCE: Final = 2.0
"""Seconds that an order or a cancel may wait: later it is another order."""
_PAUSE: Final = 0.1
"""Seconds before a question to which no usable answer came is put once more."""
_SHARE: Final = 0.4
"""The part of a request's deadline that an order or a cancel has: looking after it takes the rest."""
_DEADLINE: Final = "eadline"
"""In errors about an order's deadline: "Invalid arguments:deadline", "Deadline elapsed"."""
_FORM: Final = "application/x-www-form-urlencoded"


class Desk:
    """Everything of one account that is sent goes through here."""

    def __init__(self, context: Context) -> None:
        failures.refuse_sandbox(context)
        settings = context.settings or KrakenSettings()
        api_key = context.credentials.api_key.reveal()
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise FailedPrecondition("api_key holds characters that no key has", reason="BAD_API_KEY")
        try:
            self._secret = signing.key_of(context.credentials.api_secret.reveal())
        except ValueError:
            message = "api_secret isn't base64: copy Kraken's private key whole"
            raise FailedPrecondition(message, reason="BAD_API_SECRET") from None
        self.key = keys.shared(api_key, context.last_hop(REST))
        """What all users of the API key share."""
        self.ages = Ages()
        """The orders that were placed here."""
        self.clock = context.clock
        self.time = KrakenTime(context.clock, context.report_time)
        self._api_key, self._unit, self._tier = api_key, settings.nonce, settings.tier
        self._http = context.http(REST)
        self._log = context.log
        self._budget, self._sleep, self._deadline = context.budget, context.sleep, context.deadline

    async def compare_clocks(self) -> None:
        """See what time it is at Kraken; without an answer it stays what it was."""
        try:
            answer = await self._http.get_json("/0/public/Time", TIME, deadline=min(_PATIENCE, self._deadline))
        except ExGateError as error:
            self._log.info("Kraken doesn't tell its time: %s", error.message)
            return
        if answer.result is not None:
            self.time.note(answer.result.unixtime)

    async def ask(
        self, name: str, fields: Mapping[str, str], decoder: msgspec.json.Decoder[Answer[T]], lane: Lane = "data"
    ) -> T:
        """One question, within the key's call counter; asked again where another request overtook it.

        Raises what ``failures.of_question`` says, RateLimited, NotSent, DeadlineExceeded, Unavailable.
        """
        limit, until = CALLS[self._tier], self.clock.monotonic() + self._deadline
        for tries in range(1, _TRIES + 1):
            self._check_pause(keys.CALLS)
            await self._count(self.key.calls, limit, until)
            response = await self._send(name, fields, lane, until)
            try:
                return self._result(response, self._read(response, decoder), keys.CALLS)
            except Refused as error:
                if error.reason != failures.INVALID_NONCE or tries == _TRIES:
                    raise
        raise AssertionError

    async def look(self, name: str, fields: Mapping[str, str], decoder: msgspec.json.Decoder[Answer[T]]) -> T:
        """Look in one more place for what others don't have. One failure makes what they said no less true, so this
        place is asked once more before all is for nothing. Raises what ``ask`` does the second time."""
        try:
            return await self.ask(name, fields, decoder, "lookups")
        except Unavailable as error:
            if error.retry_after is not None:
                raise
        await self._sleep(_PAUSE)
        return await self.ask(name, fields, decoder, "lookups")

    async def place(self, pair: str, fields: Mapping[str, str]) -> Placed:
        """One order, sent once, within the pair's transaction counter. Raises like ``ask``."""
        self._check_pause(pair)
        until = self.clock.monotonic() + min(_PATIENCE, self._deadline)
        await self._count(self.key.transactions[pair], TRANSACTIONS[self._tier], until)
        response = await self._send("AddOrder", fields, "orders", until)
        answer = self._read(response, PLACED)
        if answer.result is not None and answer.result.txid:
            return answer.result  # whatever is said besides: there is an order
        if any(_DEADLINE in text for text in answer.error):
            await self.compare_clocks()
        return self._result(response, answer, pair)

    async def cancel(self, order_id: str, fields: Mapping[str, str]) -> Canceled:
        """One cancel, sent once, never held back: Kraken counts it, and so it is counted here. Raises like ``ask``."""
        now = self.clock.monotonic()
        pair, cost = self.ages.cancel(order_id, now)
        self.key.transactions[pair].add(cost, TRANSACTIONS[self._tier], now)
        response = await self._send("CancelOrder", fields, "cancels", now + min(_PATIENCE, self._deadline))
        return self._result(response, self._read(response, CANCELED), pair)

    async def _count(self, counter: Counter, limit: Limit, until: float) -> None:
        while (wait := counter.wait(1, limit, self.clock.monotonic())) > 0:
            if self.clock.monotonic() + wait > until:
                text = f"Kraken's counter for this account is full; free again in {wait:.1f} s. Nothing was sent."
                raise RateLimited(text, retry_after=wait)
            await self._sleep(wait)
        counter.add(1, limit, self.clock.monotonic())

    async def _send(self, name: str, fields: Mapping[str, str], lane: Lane, until: float) -> Response:
        """``until``: the last moment to leave; a change has its own time from then on, a question none besides."""
        self._check_pause(keys.LOCKOUT)
        await self._pass_budget(until)  # not while others wait for the turn
        hold: keys.Hold | None = None
        # The limit ends before anything is sent: it could strike in the moment in which the request leaves.
        with anyio.move_on_after(max(0.0, until - self.clock.monotonic())):
            hold = await self.key.turn.take(lane)
        if hold is None:
            text = "Other requests with the same API key took too long. Nothing was sent."
            raise NotSent(text, retry_after=1.0)
        try:
            return await self._post(name, fields, lane, until, hold)
        finally:
            hold.end()

    def _filled(self, counted: str, wait: float) -> None:
        """Kraken's counter is full, whatever ours says: others use the account too."""
        now = self.clock.monotonic()
        self.key.pauses[counted] = now + wait
        if counted == keys.CALLS:
            self.key.calls.fill(CALLS[self._tier], now)
        elif counted != keys.LOCKOUT:
            self.key.transactions[counted].fill(TRANSACTIONS[self._tier], now)

    def _check_pause(self, counted: str) -> None:
        wait = self.key.pauses.get(counted, 0.0) - self.clock.monotonic()
        if wait > 0:
            why = "has locked this API key out" if counted == keys.LOCKOUT else "takes no more of this account now"
            text = f"Kraken {why}; free again in {wait:.1f} s. Nothing was sent."
            raise RateLimited(text, retry_after=wait)

    async def _post(self, name: str, fields: Mapping[str, str], lane: Lane, until: float, hold: keys.Hold) -> Response:
        """Send, and end the turn when the answer is there or the grace is over."""
        await self._pass_budget(until)  # signed things must not wait
        path = f"/0/private/{name}"
        nonce = self.key.nonces.next(self.clock.time(), self._unit)
        body = signing.encoded(nonce, fields)
        headers = {
            "API-Key": self._api_key,
            "API-Sign": signing.sign(path, nonce, body, self._secret),
            "Content-Type": _FORM,
        }
        left = until - self.clock.monotonic() if lane in ("lookups", "data") else self._deadline * _SHARE
        result: Response | Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._after_grace, _GRACE[lane], hold)
            try:
                result = await self._http.request(
                    "POST", path, headers=headers, body=body.encode(), weight=0, lane=lane, deadline=left
                )
            except Exception as error:
                result = error  # a task group would wrap it
            hold.end()
            tasks.cancel_scope.cancel()
        if isinstance(result, Response):
            return result
        assert result is not None
        raise result

    async def _pass_budget(self, until: float) -> None:
        """Wait for the pauses of the whole exchange."""
        if self._budget is not None:
            await self._budget.take(0, "cancels", until - self.clock.monotonic())

    async def _after_grace(self, seconds: float, hold: keys.Hold) -> None:
        await self._sleep(seconds)
        hold.end()

    def _read(self, response: Response, decoder: msgspec.json.Decoder[Answer[T]]) -> Answer[T]:
        failures.check_status(response)
        answer = decode(response, decoder)
        texts = failures.stated(answer.error)
        if self._budget is not None:
            self._budget.pause(failures.pause_of(texts, self.clock.time()))
        return answer

    def _result(self, response: Response, answer: Answer[T], counted: str) -> T:
        """``counted``: the counter that the request is counted on, ``CALLS`` or a pair."""
        texts = failures.stated(answer.error)
        if texts:
            error = failures.of_question(answer.error, self.clock.time())
            if isinstance(error, RateLimited) and not failures.is_of_address(texts):
                locked = any(text.startswith(failures.LOCKOUT) for text in answer.error)
                self._filled(keys.LOCKOUT if locked else counted, error.retry_after or 0.0)
            raise error
        if answer.result is None:
            raise bad_answer(response.url, "neither an error nor a result")
        return answer.result
