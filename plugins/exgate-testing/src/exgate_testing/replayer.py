"""A server that answers as recorded exchanges did: ``upstream_prefix`` leads to it.

A request is answered by the recorded one that it resembles most, in whatever order they come: same exchange, method and
path, and every recorded parameter in the request, but for those of paging, time and signature. The same question asked
again gets the answers in the order in which they were recorded, at the end the last one again and again. WebSocket
subscriptions are acknowledged and play their recorded frames from the beginning (``replayer_streams``).
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from .recordings import Exchanged, Recording, exchange_of, find, read
from .recordings_secrets import REDACTED, asked_for_secret
from .recordings_server import is_socket, served
from .replayer_streams import Speed, Streams

IGNORED: Final = frozenset(
    "limit count sz depth size level page cursor reverse timestamp recvwindow recv_window nonce expires ts".split()
)
"""Parameters that needn't be the same, in lower case; nor need those whose name says that they are secret."""
RECORD: Final = "X-Recorded"
"""The header of an answer that names its record: session, then the record's id."""

_KINDS = {"recorded": 0, "edited": 1, "converted": 2, "sample": 3, "made": 4}
_SYMBOLS = frozenset("symbol symbols instid pair currency_pair product_id market".split())
_VERSION = re.compile(r"v\d+")
_BODYLESS = frozenset({204, 304})


class _Asked(NamedTuple):
    """A recorded request, ready to be compared."""

    session: str
    record: Exchanged
    required: dict[str, str]
    others: dict[str, str]
    place: int


class Library:
    """Everything that was recorded, of all sessions; of equally good answers the first session's counts."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.recordings = recordings
        self._exchanges: dict[str, str] = {}
        self._asked: defaultdict[tuple[str, str, str], list[_Asked]] = defaultdict(list)
        self._given: Counter[tuple[str, str]] = Counter()
        self.preferred = ""
        """The id of a session; of equally good answers its own is given, whatever the order."""
        for place, recording in enumerate(recordings):
            self._add(place, recording)

    def exchange(self, url: str) -> str:
        """The exchange behind a URL; "" if none was recorded there."""
        host = urlsplit(url).netloc
        return self._exchanges.get(host) or self._exchanges.get(exchange_of(url), "")

    def find(self, method: str, url: str, body: str = "") -> tuple[str, Exchanged] | None:
        """The session and the record that answer a request; None if nothing like it was recorded."""
        path, given = urlsplit(url).path.rstrip("/"), parameters(url, body)
        fitting = [
            asked
            for asked in self._candidates(self.exchange(url), method.upper(), path)
            if all(_same(given.get(name), value) for name, value in asked.required.items())
        ]
        if not fitting:
            return None
        best = min(self._distance(asked, given) for asked in fitting)
        equal = [asked for asked in fitting if self._distance(asked, given) == best]
        equal = [asked for asked in equal if asked.session == equal[0].session]
        question = (equal[0].session, f"{method} {path} {sorted(equal[0].required.items())} {best}")
        number = min(self._given[question], len(equal) - 1)
        self._given[question] += 1
        return equal[number].session, equal[number].record

    def _add(self, place: int, recording: Recording) -> None:
        opened = [frame.url for frame in recording.frames if frame.direction == "o"]
        for url in [*(record.url for record in recording.rest), *opened]:
            self._exchanges[urlsplit(url).netloc] = self._exchanges[exchange_of(url)] = recording.exchange
        for record in recording.rest:
            all_of_them = parameters(record.url, record.body)
            required = {name: value for name, value in all_of_them.items() if not _ignored(name, value)}
            others = {name: value for name, value in all_of_them.items() if name in IGNORED}
            key = (recording.exchange, record.method, urlsplit(record.url).path.rstrip("/"))
            self._asked[key].append(_Asked(recording.id, record, required, others, place))

    def _distance(self, asked: _Asked, given: Mapping[str, str]) -> tuple[int, ...]:
        equal = sum(given.get(name) == value for name, value in (asked.required | asked.others).items())
        unmatched = any(name in given and name not in asked.required for name in _SYMBOLS)
        place = -1 if asked.session == self.preferred else asked.place
        return -equal, unmatched, place, _KINDS.get(asked.record.kind, 5)

    def _candidates(self, exchange: str, method: str, path: str) -> list[_Asked]:
        exact = self._asked.get((exchange, method, path))
        if exact is not None:
            return exact
        return [
            asked
            for (its_exchange, its_method, its_path), several in self._asked.items()
            if (its_exchange, its_method) == (exchange, method) and _alike(its_path.split("/"), path.split("/"))
            for asked in several
        ]


class Replayer:
    """Answers requests from a library."""

    def __init__(self, library: Library, speed: Speed = "real") -> None:
        self.library = library
        self.streams = Streams(library.recordings, speed)
        self.asked: list[tuple[str, str, str]] = []
        """Method, URL and body of every request so far."""
        self.missed: list[tuple[str, str, str]] = []
        """Those of them that nothing recorded resembles."""

    async def answer(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        """One request of whatever kind."""
        if is_socket(request):
            return await self.streams.serve(request, url, self.library.exchange(url))
        body = (await request.read()).decode(errors="replace")
        asked = (request.method, url, body)
        self.asked.append(asked)
        found = self.library.find(*asked)
        if found is None:
            self.missed.append(asked)
            return web.json_response({"message": "nothing like this was recorded"}, status=404)
        session, record = found
        headers = {"content-type": "application/json", **record.headers, RECORD: f"{session}/{record.id}"}
        return web.Response(
            status=record.status, headers=headers, body=None if record.status in _BODYLESS else record.answer
        )


@asynccontextmanager
async def replaying(
    folders: Sequence[Path], *, host: str = "127.0.0.1", port: int = 0, speed: Speed = "real"
) -> AsyncIterator[tuple[Replayer, str]]:
    """Serve the sessions of these folders while the block runs; yields the replayer and its prefix.

    Sessions in folders named earlier go first. Raises ValueError where there is no session, and for a host beyond this
    machine.
    """
    sessions = [session for folder in folders for session in find(folder)]
    if not sessions:
        raise ValueError(f"no recorded session (session.json) in {', '.join(map(str, folders))}")
    it = Replayer(Library([read(session) for session in sessions]), speed)
    async with served(it.answer, host=host, port=port) as prefix:
        yield it, prefix


def parameters(url: str, body: str = "") -> dict[str, str]:
    """The parameters of a request, names in lower case: of its query, and of a body that is a form or JSON."""
    found = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    if body[:1] not in ("{", "["):
        return found | {name.lower(): value for name, value in parse_qsl(body, keep_blank_values=True)}
    try:
        fields = json.loads(body)
    except ValueError:
        return found
    first = fields[0] if isinstance(fields, list) and fields else fields
    if not isinstance(first, dict):
        return found
    return found | {
        name.lower(): value if isinstance(value, str) else json.dumps(value) for name, value in first.items()
    }


def _ignored(name: str, value: str) -> bool:
    return name in IGNORED or value == REDACTED or asked_for_secret(name)


def _same(given: str | None, recorded: str) -> bool:
    return given is not None and given.upper() == recorded.upper()


def _alike(recorded: Sequence[str], path: Sequence[str]) -> bool:
    """Whether the paths differ in ids only: ``/orders/123`` and ``/orders/456``."""
    return len(recorded) == len(path) and all(
        one == other or (_is_id(one) and _is_id(other)) for one, other in zip(recorded, path, strict=True)
    )


def _is_id(part: str) -> bool:
    return any(letter.isdigit() for letter in part) and not _VERSION.fullmatch(part)
