"""HTTP to one host: verified, bounded, never redirected, never repeated behind anybody's back.

What went wrong is told by when it went wrong: NotSent while there was no connection; after that nobody knows what the
exchange did, and the error is Unavailable or DeadlineExceeded. For a question that is all there is to say; for an
order it means "unknown".
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Raw, Struct

from .budget import Lane
from .errors import OTHER_ORDER, DeadlineExceeded, ExGateError, NotSent, RateLimited, Refused, Unavailable
from .numbers import plain

if TYPE_CHECKING:
    import ssl

    from .client import Transport
    from .pool import Session

T = TypeVar("T")

_PAUSES = {429: 10.0, 418: 120.0}
_LONGEST_PAUSE = 3 * 86400.0  # the longest ban that an exchange's document names; what is longer isn't believed
_AS_IT_IS = re.compile(r"[0-9A-Za-z_.~-]*")
_UNTIL_CONNECTED = 0.9  # of a deadline: a connection that takes longer fails as "not sent", not as "no answer"


class Response(Struct, frozen=True):
    """An answer of any status."""

    status: int
    headers: Mapping[str, str]
    """Looked up without regard to case."""
    body: bytes
    url: str = ""
    """Scheme, host and path that were asked, without the query."""
    retry_after: float | None = None
    """Seconds that the exchange asks to wait, None if it doesn't."""


class NoConnection(Exception):
    """There was none yet: no name, no server, no proxy, no TLS, or not in time. Says what was missing."""


class Dropped(Exception):
    """The connection ended before an answer began."""


class TooLong(Exception):
    """The answer has more bytes than are taken."""


class Broken(Exception):
    """The answer broke off, or is none of HTTP. Says how."""


class Arrived(NamedTuple):
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    """Looked up without regard to case."""
    body: bytes


@functools.cache
def tls() -> ssl.SSLContext:
    """What every connection is encrypted with: certificate and host name verified, TLS 1.2 or later.

    Made once, since reading the certificates holds the event loop for 20 ms; ``SSL_CERT_FILE`` names other ones.
    """
    import ssl

    return ssl.create_default_context()


class Http:
    """Requests to one host within the exchange's budget. Made by ``context.http(base_url)``."""

    def __init__(
        self,
        session: Session,
        base_url: str,
        transport: Transport,
        *,
        used_weight: str = "",
        spared: Callable[[Response], bool] | None = None,
    ) -> None:
        self.base_url = base_url
        self._session, self._transport, self._used_weight, self._spared = session, transport, used_weight, spared
        self._clock = transport.runtime.clock

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        weight: int = 1,
        lane: Lane = "data",
        deadline: float | None = None,
    ) -> Response:
        """Ask, and return the answer whatever its status; ``deadline`` in seconds covers everything.

        ``params`` as text is taken as it stands (what was signed is what is sent). A GET of data whose kept-alive
        connection turned out dead is asked once more and pays again, as long as most questions are answered; nothing
        else is ever sent twice. 429 and 418 close the budget for as long as the exchange says. Raises NotSent,
        RateLimited (both: never left), DeadlineExceeded, Unavailable.
        """
        url = self._url(path, params)
        until = self._clock.monotonic() + (self._transport.deadline if deadline is None else deadline)
        for again in (method == "GET" and lane == "data", False):
            left = until - self._clock.monotonic()
            await self._transport.budget.take(weight, lane, left)
            if lane == "data":
                await self._turn(url, until)
            try:
                return await self._send(method, url, headers, body, until - self._clock.monotonic())
            except Dropped as error:
                if not again or not self._session.may_ask_again():
                    raise Unavailable(_text(url, "dropped the connection before it answered")) from error
            finally:
                if lane == "data":
                    self._session.reads.release()
        raise AssertionError

    async def _turn(self, url: str, until: float) -> None:
        reads = self._session.reads
        if not reads.locked():
            await reads.acquire()  # without a pause
            return
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.monotonic()) * _UNTIL_CONNECTED):
                await reads.acquire()
        except TimeoutError:
            raise NotSent(_text(url, "was not asked: too many answers are still awaited. Nothing was sent.")) from None

    async def get_json(
        self,
        path: str,
        decoder: msgspec.json.Decoder[T],
        *,
        params: Mapping[str, str] | str | None = None,
        weight: int = 1,
        lane: Lane = "data",
        deadline: float | None = None,
        explain: Callable[[bytes], str] | None = None,
    ) -> T:
        """Ask a question and decode its answer. Raises what ``request``, ``failure`` and ``decode`` say.

        ``explain`` finds the exchange's own words in the body of an error answer.
        """
        response = await self.request("GET", path, params=params, weight=weight, lane=lane, deadline=deadline)
        if response.status != 200:
            raise failure(response, explain(response.body) if explain is not None else "")
        return decode(response, decoder)

    def _url(self, path: str, params: Mapping[str, str] | str | None) -> str:
        if not path.startswith("/") or any(mark in path for mark in ("..", "//", "?", "#", "\\", "@", " ")):
            raise ValueError(f"not a path of an exchange: {path!r}")
        query = params if isinstance(params, str) else _encoded(params or {})
        url = f"{self.base_url}{path}?{query}" if query else f"{self.base_url}{path}"
        if not (url.isascii() and url.isprintable()) or " " in url or "#" in query:
            raise ValueError(f"not an encoded query: {query!r}")
        return url

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None, left: float
    ) -> Response:
        if left <= 0:  # the library would take that for "no limit"
            late = DeadlineExceeded if method == "GET" else NotSent
            raise late(_text(url, "was not asked: no time was left. Nothing was sent."))
        target, connect = self._transport.last_hop(url), left * _UNTIL_CONNECTED
        try:
            came = await self._session.exchange(method, target, headers, body, left, connect)
        except NoConnection as error:
            raise NotSent(_text(url, f"could not be reached ({error}). Nothing was sent.")) from error
        except TimeoutError as error:
            raise DeadlineExceeded(_text(url, f"gave no answer within {left:.1f} s")) from error
        except TooLong as error:
            raise Unavailable(_text(url, "gave an answer of more than 8 MiB"), reason="BAD_ANSWER") from error
        except Broken as error:
            raise Unavailable(_text(url, f"broke off its answer ({error})")) from error
        said = came.headers.get("Retry-After")
        wait = None if said is None else seconds_of(said, self._clock.time(), came.headers.get("Date", ""))
        response = Response(came.status, came.headers, came.body, url.partition("?")[0], wait)
        self._session.answered()
        self._account(response)
        return response

    def _account(self, response: Response) -> None:
        budget = self._transport.budget
        used = response.headers.get(self._used_weight, "") if self._used_weight else ""
        if used.isdecimal() and len(used) < 10:
            budget.correct(int(used))
        if response.status in _PAUSES and not (self._spared is not None and self._spared(response)):
            budget.pause(response.retry_after or _PAUSES[response.status])


def failure(response: Response, message: str = "") -> ExGateError:
    """The error that an answer other than 200 to a question stands for; ``message`` = the exchange's own words.

    429 and 418 RateLimited; other 4xx Refused, but 403, 408 and 451 (a wall before the exchange) and everything else
    Unavailable.
    """
    status, wait = response.status, response.retry_after
    said = f": {message}" if message else ""
    if status in _PAUSES:
        wait = wait or _PAUSES[status]
        return RateLimited(_text(response.url, f"answered {status}, too many requests{said}"), retry_after=wait)
    if 400 <= status < 500 and status not in (403, 408, 451):
        return Refused(_text(response.url, f"refused ({status}){said}"))
    return Unavailable(_text(response.url, f"answered {status}{said}"), retry_after=wait)


def decode(response: Response, decoder: msgspec.json.Decoder[T]) -> T:
    """The answer as the decoder's type. Whatever isn't exactly that (HTML, half a body, nothing, ``null``, a million
    brackets) is refused with Unavailable, reason BAD_ANSWER, before any parser sees it."""
    try:
        return decoder.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_answer(response.url, str(error)) from error


def exact_json(response: Response) -> Any:
    """The answer as plain objects in which every number with a point or exponent stays text; integers stay exact.

    For answers whose shape isn't fixed; ``decode`` is several times faster. Raises like it.
    """
    try:
        return json.loads(response.body, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad_answer(response.url, str(error)) from error


def digits(raw: Raw) -> str:
    """The decimal text of a JSON number (or of a string that holds one) that a Struct keeps as ``msgspec.Raw``.

    Raises ValueError if it is neither.
    """
    return plain(bytes(raw).decode().strip('"'))


def bad_answer(url: str, why: str) -> Unavailable:
    """What a 200 is that can't be what was asked for."""
    return Unavailable(_text(url, f"gave an answer that can't be read ({why[:120]})"), reason="BAD_ANSWER")


def other_order(url: str, order_id: str, named: str = "") -> Unavailable:
    """What an adapter raises where an order was taken in under another name than was sent: ``errors.OTHER_ORDER``."""
    text = _text(url, f"answered about order {order_id[:40]!r} {named[:40]!r}")
    return Unavailable(text, reason=OTHER_ORDER, metadata={"order_id": order_id, "named": named})


def seconds_of(retry_after: str, now: float, date: str = "") -> float | None:
    """A Retry-After header in seconds: a number, or a date as seen from the answer's own ``date`` (the header).

    Only without that is it seen from ``now`` (epoch): this machine's clock may be wrong. None if it is neither a number
    nor a date, or more than three days.
    """
    text = retry_after.strip()
    with suppress(ValueError, TypeError, OverflowError):
        now = email.utils.parsedate_to_datetime(date).timestamp()
    try:
        if text.isascii() and text.replace(".", "", 1).isdigit():
            seconds = float(text)
        else:
            seconds = max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if seconds <= _LONGEST_PAUSE else None


def _encoded(params: Mapping[str, str]) -> str:
    if all(map(_AS_IT_IS.fullmatch, params.values())) and all(map(_AS_IT_IS.fullmatch, params)):
        return "&".join([f"{name}={value}" for name, value in params.items()])
    return urlencode(params, quote_via=quote)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _text(url: str, what: str) -> str:
    parts = urlsplit(url)  # never the query: it may hold a signature
    return f"{parts.netloc}{parts.path} {what}"
