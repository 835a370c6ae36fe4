"""Handshakes and frames that a client of ours never sends, and clients that vanish."""

from __future__ import annotations

import zlib

import pytest

from ..support.doors import Address, RawSocket, Running, ask, connect, frame, handshake, resident, until
from .test_raw_http import is_status

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


@pytest.mark.parametrize(
    "lines",
    [
        ("Origin: http://evil.com",),
        ("Origin: null",),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
    ],
)
def test_pages_of_other_sites_get_403_before_the_accept(
    server_address: Address, stubbed: Running, lines: tuple[str, ...]
) -> None:
    answer = ask(server_address, handshake(server_address, *lines))
    assert answer is not None
    assert (answer.status, is_status(answer)) == (403, True)
    assert stubbed.entry.readers == 0


@pytest.mark.parametrize("host", ["evil.com", "localhost.evil.com", "127.0.0.1@evil.com", "0.0.0.0"])
def test_another_host_gets_403_before_the_accept(server_address: Address, host: str) -> None:
    answer = ask(server_address, handshake(server_address, host=host))
    assert answer is not None
    assert (answer.status, is_status(answer)) == (403, True)


def test_a_token_in_the_address_gets_403(server_address: Address) -> None:
    answer = ask(server_address, handshake(server_address, path="/v1/stub/pull_trade?symbol=BTC/USDT&token=x"))
    assert answer is not None
    assert (answer.status, is_status(answer)) == (403, True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/stub/pull_trade?symbol=NO/PE", 400),
        ("/v1/stub/pull_trade", 400),
        ("/v1/stub/pull_trade?symbol=BTC/USDT&since_id=" + "x" * 129, 400),
        ("/v1/nobody/pull_trade?symbol=BTC/USDT", 404),
        ("/v1/stub/depth", 404),
        ("/", 404),
    ],
)
def test_what_can_not_be_streamed_is_refused_before_the_accept(server_address: Address, path: str, status: int) -> None:
    answer = ask(server_address, handshake(server_address, path=path))
    assert answer is not None
    assert (answer.status, is_status(answer)) == (status, True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"),
        (b"Sec-WebSocket-Version: 13\r\n", b""),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: \xff"),
        (b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_a_wrong_handshake_is_400(server_address: Address, old: bytes, new: bytes) -> None:
    answer = ask(server_address, handshake(server_address).replace(old, new))
    assert answer is not None
    assert (answer.status, is_status(answer)) == (400, True)


def test_compression_is_never_negotiated(server_address: Address) -> None:
    client = RawSocket(server_address, DEFLATE)
    assert b"sec-websocket-extensions" not in client.head.lower()
    client.close()


def test_a_compressed_bomb_is_not_inflated(server_address: Address) -> None:
    deflate = zlib.compressobj(wbits=-15)
    zeros = b"\0" * 1_000_000
    bomb = b"".join(deflate.compress(zeros) for _ in range(200)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    before = resident()
    for _ in range(10):
        client = RawSocket(server_address, DEFLATE)
        client.connection.sendall(frame(bomb, rsv1=True))
        assert client.close_code() == 1002
        client.close()
    assert resident() - before < 20_000_000


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(b"x" * 65_537, 1, True)], 1009),
        ([(b"x" * 40_000, 1, False), (b"x" * 40_000, 0, False)], 1009),
        ([(b"\xff\xfe", 1, True)], 1007),
        ([(b"x", 3, True)], 1002),
        ([(b"x", 0, True)], 1002),
        ([(b"x" * 126, 9, True)], 1002),
        ([(b"not json", 1, True)] * 201, 1008),
        ([(b"x", 9, True)] * 400, 1008),
        ([(b"", 1, False)] + [(b"", 0, False)] * 400, 1008),
        ([(b"{", 1, False)], 1008),
        ([(b"\x03\xe8", 8, True)], 1000),
    ],
)
def test_bad_frames_end_with_their_code(
    server_address: Address, frames: list[tuple[bytes, int, bool]], code: int
) -> None:
    client = RawSocket(server_address)
    client.connection.sendall(b"".join(frame(payload, opcode, fin=fin) for payload, opcode, fin in frames))
    assert client.close_code() == code
    client.close()


def test_a_frame_without_mask_ends_the_stream(server_address: Address) -> None:
    client = RawSocket(server_address)
    client.connection.sendall(b"\x81\x01x")
    assert client.close_code() == 1002
    client.close()


def test_some_words_and_pings_are_no_offence(server_address: Address, stubbed: Running) -> None:
    client = RawSocket(server_address)
    for opcode, payload in ((1, b"not json"), (2, b"\0"), (9, b"hello")):
        client.send(payload, opcode)
    assert client.next() == (10, b"hello")
    until(lambda: stubbed.entry.readers >= 1)
    stubbed.call(stubbed.entry.publish, b'{"a":1}')
    assert client.next() == (1, b'{"a":1}')
    client.close()


def test_frames_after_a_refused_handshake_break_nothing(
    server_address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    refused = handshake(server_address).replace(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 12")
    answer = ask(server_address, refused + frame(b"early", 1) * 3)
    assert answer is not None and answer.status == 400
    assert "a connection broke" not in caplog.text


def test_frames_sent_before_the_accept_are_not_lost(server_address: Address) -> None:
    with connect(server_address) as connection:
        connection.sendall(handshake(server_address) + frame(b"early", 9))
        data = b""
        while b"early" not in data:
            more = connection.recv(65536)
            assert more
            data += more


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_vanishes_is_gone_in_two_seconds(server_address: Address, stubbed: Running, how: str) -> None:
    until(lambda: stubbed.entry.readers == 0)
    clients = [RawSocket(server_address) for _ in range(20)]
    until(lambda: stubbed.entry.readers == 20)
    for client in clients:
        getattr(client, how)()
    until(lambda: stubbed.entry.readers == 0, 2.0)


def test_a_handshake_may_break_off_at_any_byte(server_address: Address, stubbed: Running) -> None:
    raw = handshake(server_address) + frame(b"hello")
    for end in range(0, len(raw), 7):
        with connect(server_address) as connection:
            connection.sendall(raw[:end])
    until(lambda: stubbed.entry.readers == 0, 2.0)
