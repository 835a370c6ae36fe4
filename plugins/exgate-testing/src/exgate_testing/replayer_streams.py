"""Recorded WebSocket frames, played to whoever subscribes to them.

No exchange is known by name: the words of a subscription (``btcusdt@trade``; ``trades`` and ``BTC-USDT``) are looked up
among the words of the recorded frames. A subscription is acknowledged by the frame that acknowledged it when it was
recorded; where none was, by the one that exchanges of such messages send.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import WSMsgType, web

from .recordings import Passed, Recording
from .replayer_acks import acknowledged, number_of, with_number

Speed = float | Literal["real", "max"]
"""So many frames per second and topic, as recorded, or at once."""
ALIASES: Final = {
    "level2": ("snapshot", "l2update", "l2_data"),
    "matches": ("match", "last_match"),
}
"""Words of subscriptions that stand for other words in the frames (Coinbase's)."""

_COMMANDS = frozenset({"op", "method", "event", "type", "action", "id", "req_id", "reqid"})
_MOST_WORDS = 40

Topic = frozenset[str]
"""The words that a frame of the topic holds."""


class _Frame(NamedTuple):
    time: float
    data: str | bytes
    words: frozenset[str]


class _Connection:
    """The frames of one recorded connection."""

    def __init__(self, url: str, passed: Sequence[Passed]) -> None:
        self.path = urlsplit(url).path.rstrip("/")
        self.received = [_Frame(it.time, it.frame, words_of(it.frame)) for it in passed if it.direction == "<"]
        self._sent = [_parsed(it.frame) for it in passed if it.direction == ">"]
        self._confirming = [frame for frame in self.received if _confirms(frame.words)]
        self._words = frozenset[str]().union(*(frame.words for frame in self.received if not _confirms(frame.words)))

    def telling(self, topic: Topic) -> list[frozenset[str]]:
        """For each word of a topic that some frame holds: the words that are as good."""
        found = (self._words.intersection((word, *ALIASES.get(word, ()))) for word in topic)
        return [alternatives for alternatives in found if alternatives]

    def frames(self, topic: Topic) -> list[int]:
        """The places of the frames that belong to a topic; its words that no frame holds tell nothing."""
        wanted = self.telling(topic)
        return [
            place
            for place, frame in enumerate(self.received)
            if wanted and not _confirms(frame.words) and not any(frame.words.isdisjoint(good) for good in wanted)
        ]

    def confirmations(self, message: Any) -> list[str]:
        """The frames that confirmed this message when it was recorded, or each of its topics."""
        number = number_of(message)
        asked = next((it for it in self._sent if number is not None and _same_but_number(it, message)), None)
        if asked is not None:
            its = [frame.data for frame in self.received if number_of(_parsed(frame.data)) == number_of(asked)]
            return [with_number(data, number) for data in its if isinstance(data, str)]
        found = [self._confirmation(topic, commands_of(message)) for topic in topics_of(message)]
        return [with_number(data, number) for data in found if data] if found and all(found) else []

    def _confirmation(self, topic: Topic, commands: frozenset[str]) -> str:
        known = frozenset[str]().union(*(frame.words for frame in self._confirming))
        wanted = topic & known
        for frame in self._confirming:
            if wanted and wanted <= frame.words and _unsubscribes(frame.words) is _unsubscribes(commands):
                return frame.data if isinstance(frame.data, str) else ""
        return ""


class Streams:
    """Plays the recorded connections."""

    def __init__(self, recordings: Sequence[Recording], speed: Speed) -> None:
        self.speed = speed
        self.messages: list[str] = []
        """What was sent to us, in order."""
        self._connections: dict[str, list[_Connection]] = {}
        for recording in recordings:
            opened = {it.connection: it.url for it in recording.frames if it.direction == "o"}
            for number, url in opened.items():
                passed = [it for it in recording.frames if it.connection == number]
                self._connections.setdefault(recording.exchange, []).append(_Connection(url, passed))

    async def serve(self, request: web.BaseRequest, url: str, exchange: str) -> web.StreamResponse:
        """One WebSocket connection, until it is closed."""
        parts = urlsplit(url)
        everything = self._connections.get(exchange, [])
        fitting = [it for it in everything if it.path == parts.path.rstrip("/")] or everything
        if not fitting:
            return web.Response(status=404, text="no connection to this URL was recorded")
        socket = web.WebSocketResponse(compress=False, max_msg_size=0)
        await socket.prepare(request)
        player = _Player(socket, fitting, self.speed)
        try:
            for topic in named_in(url):
                player.play(topic)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self.messages.append(message.data)
                    await player.hear(message.data)
        finally:
            await player.stop()
        return socket


class _Player:
    """One connection of a client."""

    def __init__(self, socket: web.WebSocketResponse, recorded: Sequence[_Connection], speed: Speed) -> None:
        self._socket, self._recorded, self._speed = socket, recorded, speed
        self._tasks: dict[Topic, asyncio.Task[None]] = {}
        self._played: set[tuple[int, int]] = set()

    async def hear(self, text: str) -> None:
        """A message of the client: acknowledge it, then do it."""
        message = _parsed(text)
        for answer in ["pong"] if text == "ping" else self._acks(message):
            await self._socket.send_str(answer)
        if _unsubscribes(commands_of(message)):
            for topic in topics_of(message):
                if topic in self._tasks:
                    self._tasks.pop(topic).cancel()
            return
        for topic in topics_of(message):
            self.play(topic)

    def play(self, topic: Topic) -> None:
        """Send the frames of a topic from their beginning, unless they are on their way already."""
        if topic in self._tasks:
            return
        best = max(range(len(self._recorded)), key=lambda place: len(self._recorded[place].telling(topic)))
        frames = [(best, number) for number in self._recorded[best].frames(topic)]
        if frames:
            self._tasks[topic] = asyncio.create_task(self._send(frames))

    async def stop(self) -> None:
        """End everything."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _send(self, frames: list[tuple[int, int]]) -> None:
        begun, first = time.monotonic(), self._frame(frames[0]).time
        for number, key in enumerate(frames):
            frame = self._frame(key)
            await self._wait(begun, frame.time - first, number)
            if key in self._played:
                continue  # two topics may have the same words: no frame comes twice
            self._played.add(key)
            send = self._socket.send_str if isinstance(frame.data, str) else self._socket.send_bytes
            await send(frame.data)  # type: ignore[arg-type]

    async def _wait(self, begun: float, recorded: float, number: int) -> None:
        if self._speed == "max":
            due = 0.0
        else:
            due = recorded if self._speed == "real" else number / self._speed
        left = due - (time.monotonic() - begun)
        if left > 0 or number % 50 == 49:
            await asyncio.sleep(max(left, 0))

    def _frame(self, key: tuple[int, int]) -> _Frame:
        return self._recorded[key[0]].received[key[1]]

    def _acks(self, message: Any) -> list[str]:
        for connection in self._recorded:
            found = connection.confirmations(message)
            if found:
                return found
        return acknowledged(message)


def words_of(frame: str | bytes) -> frozenset[str]:
    """Every text in a frame that could name what it is about; of long lists only the ends."""
    return frozenset(itertools.islice(_texts(_parsed(frame), 6), _MOST_WORDS))


def commands_of(message: Any) -> frozenset[str]:
    """What a message says to do: subscribe, say."""
    if not isinstance(message, dict):
        return frozenset()
    return frozenset(value for name, value in message.items() if name in _COMMANDS and isinstance(value, str))


def topics_of(message: Any) -> list[Topic]:
    """What a message asks for: each member of its lists, with the words that stand beside them."""
    if not isinstance(message, dict):
        return []
    about = {name: value for name, value in message.items() if name not in _COMMANDS}
    beside = frozenset(_scalars(about))
    choices = [[frozenset(_texts(member, 2)) for member in members] for members in _lists(about)]
    return [beside.union(*chosen) for chosen in itertools.product(*choices)] if beside or choices else []


def named_in(url: str) -> list[Topic]:
    """The streams that a URL names itself, as Binance's do: ``?streams=a/b``, ``/ws/a``."""
    parts = urlsplit(url)
    names = dict(parse_qsl(parts.query)).get("streams", "")
    if not names and "@" in parts.path:
        names = unquote(parts.path.rpartition("/ws/")[2])
    return [frozenset({name}) for name in names.split("/") if name]


def _parsed(frame: str | bytes) -> Any:
    try:
        return json.loads(frame)
    except ValueError:
        return None


def _texts(it: Any, depth: int) -> Iterable[str]:
    if isinstance(it, str):
        yield it
    elif depth and isinstance(it, dict):
        for value in it.values():
            yield from _texts(value, depth - 1)
    elif depth and isinstance(it, list):
        for value in it[:4] + it[-2:]:
            yield from _texts(value, depth - 1)


def _scalars(it: Any) -> Iterable[str]:
    if isinstance(it, str):
        yield it
    elif isinstance(it, dict):
        for value in it.values():
            yield from _scalars(value)


def _lists(it: Any) -> Iterable[list[Any]]:
    for value in it.values() if isinstance(it, dict) else ():
        if isinstance(value, list):
            yield value
        else:
            yield from _lists(value)


def _confirms(words: frozenset[str]) -> bool:
    return any("subscri" in word for word in words)


def _unsubscribes(words: frozenset[str]) -> bool:
    return any("unsub" in word.lower() for word in words)


def _same_but_number(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict) and with_number(one, 0) == with_number(other, 0)
