"""What a hostile or broken WebSocket server can and can't do to its subscribers: raw bytes on a real socket."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from exgate_core.dialects import unpacked
from exgate_core.errors import DeadlineExceeded, ExGateError, RateLimited, Unavailable

from .support.wire import Talk, Visit, text_frame, wire
from .test_client import Talk as Spoken
from .test_client import transport, until

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
TEXT, BINARY, CONTINUATION, PING, FIN = 1, 2, 0, 9, 128


def confirms(*frames: bytes, head: bytes = b"") -> Talk:
    """A server that confirms the subscription and sends that."""

    async def talk(visit: Visit) -> None:
        await visit.upgrade(head)
        await visit.frame()
        visit.send(text_frame("ok|1"), *frames)
        await visit.gone()

    return talk


def floods(begin: bytes, part: bytes) -> Talk:
    """A server that confirms, and then never stops sending."""

    async def talk(visit: Visit) -> None:
        await visit.upgrade()
        await visit.frame()
        visit.send(text_frame("ok|1"), begin)
        while True:
            visit.send(part)
            await visit.writer.drain()

    return talk


def answers(head: bytes) -> Talk:
    """A server that answers the handshake with that."""

    async def talk(visit: Visit) -> None:
        await visit.request()
        visit.send(head)
        await visit.gone()

    return talk


async def cut(talk: Talk, **limits: Any) -> tuple[ExGateError, list[bytes]]:
    """Subscribe to "a" until the stream is cut: why it was, and what had come."""
    got: list[bytes] = []
    async with wire(talk) as it, transport() as its:
        with pytest.raises(ExGateError) as caught, anyio.fail_after(5):
            async with its.ws(it.ws + "/ws", Spoken(**limits)).subscription("a", got.append) as subscription:
                await subscription.ended()
    return caught.value, got


@pytest.mark.parametrize(
    "frames",
    [
        [text_frame("a|1", first=FIN | 0x40 | TEXT)],
        [text_frame("a|1", first=FIN | 0x20 | TEXT)],
        [text_frame("a|1", first=FIN | 0x10 | BINARY)],
        [text_frame("a|1", first=FIN | 3)],
        [text_frame("a|1", first=FIN | 11)],
        [text_frame("a|1", first=FIN | CONTINUATION)],
        [text_frame("a|1", first=TEXT), text_frame("a|2")],
        [text_frame("a|1", first=TEXT), text_frame("a|2", first=TEXT)],
        [text_frame("a|1", first=BINARY), text_frame("a|2", first=FIN | BINARY)],
        [b"\x81\x83\x00\x00\x00\x00a|1"],
        [b"\x81\x7f" + (8 * MIB + 1).to_bytes(8, "big")],
        [b"\x81\x7f" + 8 * b"\xff"],
        [text_frame(200 * "p", first=FIN | PING)],
        [text_frame("p", first=PING)],
        [text_frame(b"a|\xff")],
        [b"HTTP/1.1 200 OK\r\n\r\n"],
        [text_frame(b"", first=FIN | 8)],
        [text_frame(b"\x03", first=FIN | 8)],
    ],
    ids=[
        "compressed",
        "extension",
        "extension, binary",
        "unknown kind",
        "unknown control",
        "continues nothing",
        "text between fragments",
        "two beginnings",
        "binary between fragments",
        "masked",
        "too long",
        "2**64 long",
        "long ping",
        "half a ping",
        "no utf-8",
        "http",
        "close without a code",
        "half a close code",
    ],
)
async def test_what_breaks_the_protocol_cuts_and_nothing_behind_it_is_delivered(frames: list[bytes]) -> None:
    error, got = await cut(confirms(*frames, text_frame("a|behind")))
    assert isinstance(error, Unavailable)
    assert got == []


@pytest.mark.parametrize(
    "frames",
    [
        [text_frame("a|1")],
        [text_frame("a|1", first=FIN | BINARY)],
        [text_frame("a|", first=TEXT), text_frame("p", first=FIN | PING), text_frame("1", first=FIN | CONTINUATION)],
        [text_frame("a|", first=BINARY), text_frame("", first=CONTINUATION), text_frame("1", first=FIN | CONTINUATION)],
        [text_frame("zzz|1"), text_frame("", first=FIN | TEXT), text_frame("a|1")],
    ],
    ids=["text", "binary", "a ping between fragments", "an empty fragment", "unknown topics"],
)
async def test_what_the_protocol_allows_arrives(frames: list[bytes]) -> None:
    error, got = await cut(confirms(*frames, text_frame(b"\x03\xf4bye", first=FIN | 8)))
    assert got == [b"a|1"]
    assert "1012 bye" in error.message


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (text_frame("a|", first=TEXT), text_frame("x", first=CONTINUATION) * 1000),
        (text_frame("a|", first=TEXT), text_frame("", first=CONTINUATION) * 1000),
        (text_frame("a|", first=TEXT), text_frame(MIB * "x", first=CONTINUATION)),
    ],
    ids=["tiny", "empty", "large"],
)
async def test_a_message_without_end_is_cut_soon(begin: bytes, part: bytes) -> None:
    start = time.process_time()
    error, got = await cut(floods(begin, part))
    assert error.reason == "BAD_ANSWER" and got == []
    assert time.process_time() - start < 2  # it took more than a minute when each fragment counted all before it


async def test_who_pings_without_reading_the_pongs_is_cut() -> None:
    error, _ = await cut(floods(b"", text_frame(100 * "p", first=FIN | PING) * 100), ping=0.2, pong=60)
    assert "does not read" in error.message


async def test_a_ping_is_answered() -> None:
    pongs: list[bytes] = []

    async def talk(visit: Visit) -> None:
        await visit.upgrade()
        await visit.frame()
        visit.send(text_frame("ok|1"), text_frame("are you there", first=FIN | PING))
        pongs.append(await visit.frame())

    await cut(talk)
    assert pongs == [b"are you there"]


async def test_no_compression_is_offered() -> None:
    asked: list[bytes] = []

    async def talk(visit: Visit) -> None:
        asked.append(await visit.request())

    await cut(talk)
    assert b"extensions" not in asked[0].lower()
    assert b"cookie" not in asked[0].lower()


HANDSHAKES = {
    "wrong accept": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n",
    "no accept": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "ordinary page": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "wall": b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_what_is_no_handshake_makes_no_connection(name: str) -> None:
    error, _ = await cut(answers(HANDSHAKES[name]))
    assert isinstance(error, Unavailable)


async def test_a_connection_that_closes_instead_of_a_handshake_is_no_connection() -> None:
    async with wire(Visit.request) as it, transport() as its:
        for _ in range(2):
            with pytest.raises(Unavailable), anyio.fail_after(5):
                async with its.ws(it.ws, Spoken()).subscription("a", print):
                    raise AssertionError
        assert len(it.visits) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with wire(confirms()) as elsewhere:
        head = f"HTTP/1.1 {status} X\r\nLocation: {elsewhere.ws}/ws\r\nContent-Length: 0\r\n\r\n".encode()
        error, _ = await cut(answers(head))
    assert str(status) in error.message
    assert elsewhere.visits == []


@pytest.mark.parametrize("status", [418, 429])
async def test_too_many_connections_close_the_budget(status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n".encode()
    async with wire(answers(head)) as it, transport() as its:
        with pytest.raises(RateLimited) as caught:
            async with its.ws(it.ws, Spoken()).subscription("a", print):
                raise AssertionError
        assert caught.value.retry_after == 7
        assert its.budget.paused_for == pytest.approx(7, abs=1)


@pytest.mark.parametrize("head", [b"", b"<html>", b"HTTP/1.1 101 X\r\n"])
async def test_a_handshake_has_a_deadline(head: bytes) -> None:
    error, _ = await cut(answers(head), handshake=0.2)
    assert isinstance(error, DeadlineExceeded)


async def test_an_endless_handshake_keeps_no_memory() -> None:
    async def talk(visit: Visit) -> None:
        await visit.request()
        visit.send(b"HTTP/1.1 101 X\r\n")
        while True:
            visit.send(b"X: " + 4000 * b"y" + b"\r\n")
            await visit.writer.drain()

    error, _ = await cut(talk)
    assert isinstance(error, Unavailable)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_packed_frames_are_unpacked_where_the_dialect_says_so(pack: Callable[[bytes], bytes]) -> None:
    frames = [text_frame(pack(b"a|1"), first=FIN | BINARY), text_frame("a|2")]
    halves = [text_frame(pack(b"a|3")[:9], first=BINARY), text_frame(pack(b"a|3")[9:], first=FIN | CONTINUATION)]
    _, got = await cut(confirms(*frames, *halves, text_frame(b"\x03\xe8", first=FIN | 8)), gzip=True)
    assert got == [b"a|1", b"a|2", b"a|3"]
    error, got = await cut(confirms(*frames, text_frame(b"\x03\xe8", first=FIN | 8)))
    assert got == [] and error.reason == "BAD_ANSWER"


@pytest.mark.parametrize(
    "frame",
    [gzip.compress(bytes(9 * MIB)), b"a|1", gzip.compress(b"a|1")[:-1], b"", gzip.compress(b"a|1") + b"a|2"],
    ids=["a bomb", "not packed", "half", "empty", "more behind it"],
)
async def test_a_packed_frame_that_cant_be_unpacked_cuts(frame: bytes) -> None:
    error, got = await cut(confirms(text_frame(frame, first=FIN | BINARY)), gzip=True)
    assert error.reason == "BAD_ANSWER" and got == []


def test_what_unpacks_to_the_limit_is_not_too_long() -> None:
    assert unpacked(zlib.compress(b"12345"), 5) == b"12345"
    with pytest.raises(ValueError, match="too long"):
        unpacked(zlib.compress(b"123456"), 5)


async def test_a_proxy_carries_the_connection() -> None:
    got: list[bytes] = []
    async with wire(confirms(text_frame("a|1"))) as target, wire(tunnel(target.port)) as proxy:
        async with transport(proxy=proxy.url) as its:
            async with its.ws(target.ws, Spoken()).subscription("a", got.append):
                await until(lambda: got == [b"a|1"])
    assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:%d " % target.port)


def tunnel(port: int) -> Talk:
    """An HTTP proxy to one server."""

    async def talk(visit: Visit) -> None:
        await visit.request()
        async with await anyio.connect_tcp("127.0.0.1", port) as stream, anyio.create_task_group() as tasks:
            visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

            async def back() -> None:
                async for data in stream:
                    visit.send(data)

            tasks.start_soon(back)
            while data := await visit.reader.read(65536):
                await stream.send(data)
            tasks.cancel_scope.cancel()

    return talk
