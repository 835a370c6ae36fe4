"""Every raw HTTP shape that a server may read in two ways, or that is meant to hold it up."""

from __future__ import annotations

import socket
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import pytest

from ..support.doors import Address, Answered, Running, ask, connect, is_closed, read_answer, request, until

OK = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST /v1/stub/order HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"

BAD_FRAMING = {
    "length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    "the same length twice": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": POST + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a signed length": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a hexadecimal length": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "a negative length": POST + b"Content-Length: -4\r\n\r\nabcd",
    "an empty length": POST + b"Content-Length:\r\n\r\nabcd",
    "a length of 23 digits": POST + b"Content-Length: 11111111111111111111111\r\n\r\nabcd",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a chunk with a wrong end": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
    "a chunk with a wrong size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "LF only": OK.replace(b"\r\n", b"\n"),
    "LF in one line": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\nX-A: b\r\n\r\n",
    "bare CR": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\rc\r\n\r\n",
    "NUL": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\0c\r\n\r\n",
    "a folded line": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\n c\r\n\r\n",
    "a folded first line": b"GET /healthz HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n",
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no path": b"GET @evil/v1/stub/balances HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "authority form": b"CONNECT evil:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a version of tomorrow": b"GET /healthz HTTP/3.7\r\nHost: 127.0.0.1\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "two spaces": b"GET  /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303") + b"\0" * 64 + b"\r\n\r\n",
    "a WebSocket with a body": b"GET /v1/stub/pull_trade HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nContent-Length: 40\r\n\r\n" + OK,
}


def is_status(answer: Answered | None) -> bool:
    """Whether the answer is a google.rpc.Status."""
    assert answer is not None
    body = answer.json()
    return answer.headers["content-type"] == "application/json" and body.keys() == {"code", "message", "details"}


@pytest.mark.parametrize("shape", BAD_FRAMING)
def test_what_could_be_read_in_two_ways_is_refused_and_ends_the_connection(
    server_address: Address, stubbed: Running, shape: str
) -> None:
    with connect(server_address) as connection:
        connection.sendall(BAD_FRAMING[shape] + OK)
        answer = read_answer(connection)
        assert answer is not None
        assert (answer.status, is_status(answer)) == (400, True)
        assert answer.headers["exgate-outcome"] == "refused", "it may have been an order, and it went nowhere"
        assert is_closed(connection)
    assert stubbed.entry.orders == 0


PATHS = {
    "/v1/%2e%2e%2fx/balances": {400, 404},
    "/v1/..%5c..%5cetc/balances": {400, 404},
    "/v1/../v1/stub/balances": {400, 404},
    "/v1/%2e%2e/v1/stub/balances": {400, 404},
    "/v1/stub%2fbalances": {400, 404},
    "/v1/%00/balances": {400, 404},
    "/v1/%ff/balances": {400, 404},
    "/v1/%0d%0aX-A:b/balances": {400, 404},
    "/v1/stub/balances/": {404},
    "//evil/v1/stub/balances": {404},
    "/v1/stub": {404},
    "/v1/__class__/balances": {404},
}


@pytest.mark.parametrize("path", PATHS)
def test_odd_paths_lead_nowhere(server_address: Address, path: str) -> None:
    answer = request(server_address, path)
    assert answer is not None
    assert answer.status in PATHS[path]
    assert is_status(answer)
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://evil.com/healthz", "127.0.0.1", 403),
        ("http://evil.com/healthz", "evil.com", 403),
        ("http://127.0.0.1/healthz", "evil.com", 403),
        ("http://127.0.0.1@evil.com/healthz", "127.0.0.1", 403),
        ("http://127.0.0.1/healthz", "127.0.0.1", 200),
        ("ftp://127.0.0.1/healthz", "127.0.0.1", 400),
    ],
)
def test_a_target_in_absolute_form_names_the_host(server_address: Address, target: str, host: str, status: int) -> None:
    answer = request(server_address, target, host=host)
    assert answer is not None
    assert answer.status == status


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_405_with_the_right_ones(server_address: Address, method: str) -> None:
    answer = request(server_address, "/v1/stub/depth?symbol=BTC/USDT", method=method)
    assert answer is not None
    assert (answer.status, is_status(answer)) == (405, True)
    assert "GET" in answer.headers["allow"]


def test_head_starts_nothing(server_address: Address, stubbed: Running) -> None:
    answer = request(server_address, "/v1/stub/pull_trade?symbol=BTC/USDT", method="HEAD")
    assert answer is not None
    assert (answer.status, answer.body, stubbed.entry.pins) == (200, b"", 0)


def test_a_refused_head_has_no_body_and_breaks_nothing(
    server_address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    refused = b"HEAD /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-WebSocket-Protocol: \xff\r\n\r\n"
    for raw in (refused, OK.replace(b"GET", b"HEAD") + refused, OK.replace(b"GET", b"HEAD") + b"nonsense\r\n\r\n"):
        with connect(server_address) as connection:
            connection.sendall(raw)
            data = b""
            while more := connection.recv(65536):
                data += more
        heads = [part for part in data.split(b"HTTP/1.1 ") if part]
        assert [int(part[:3]) for part in heads] == ([400] if raw == refused else [200, 400])
        assert heads[-1].endswith(b"}") == raw.endswith(b"nonsense\r\n\r\n")
    assert "a connection broke" not in caplog.text


@pytest.mark.parametrize("size", [9_000, 15_000, 20_000, 200_000])
def test_long_lines_are_refused(server_address: Address, size: int) -> None:
    answer = request(server_address, "/healthz?" + "a" * size)
    assert answer is not None
    assert answer.status in (400, 414)


@pytest.mark.parametrize("line", ["A: b", "X-Some-Header: with-a-longer-value"])
def test_1500_headers_are_refused(server_address: Address, line: str) -> None:
    answer = request(server_address, "/healthz", *[line] * 1_500)
    assert answer is not None
    assert answer.status in (400, 431)


def test_a_get_with_a_body_works(server_address: Address) -> None:
    answer = request(server_address, "/healthz", body=b"{}")
    assert answer is not None
    assert answer.status == 200


def test_two_requests_in_one_packet_are_answered_in_order(server_address: Address) -> None:
    with connect(server_address) as connection:
        connection.sendall(OK + OK)
        first = read_answer(connection)
        assert first is not None
        assert first.status == 200


def test_an_upgrade_to_h2c_is_ignored(server_address: Address) -> None:
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    for host, status in (("127.0.0.1", 200), ("evil.com", 403)):
        answer = request(server_address, "/healthz", *lines, host=host)
        assert answer is not None
        assert answer.status == status


@pytest.mark.parametrize(
    ("authority", "extra", "status"),
    [
        ("127.0.0.1", [], 200),
        ("evil.com", [], 403),
        ("127.0.0.1", [("origin", "http://evil.com")], 403),
        ("127.0.0.1", [("host", "evil.com")], 0),
    ],
)
def test_http2_passes_the_same_checks(
    server_address: Address, authority: str, extra: list[tuple[str, str]], status: int
) -> None:
    with connect(server_address) as connection:
        client = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        client.initiate_connection()
        head = [(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", "/healthz"), *extra]
        client.send_headers(1, head, end_stream=True)
        connection.sendall(client.data_to_send())
        assert _h2_status(connection, client) == status


def _h2_status(connection: socket.socket, client: h2.connection.H2Connection) -> int:
    while data := connection.recv(65536):
        for event in client.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                return int(dict(event.headers)[b":status"])
            if isinstance(event, h2.events.StreamReset):
                return 0
        connection.sendall(client.data_to_send())
    return 0


def test_http2_streams_without_a_path_or_with_late_data_break_nothing(server_address: Address) -> None:
    with connect(server_address) as connection:
        client = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        client.initiate_connection()
        client.send_headers(1, [(":method", "CONNECT"), (":authority", "127.0.0.1")])
        post = [(":method", "POST"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", "/v1/stub/order")]
        client.send_headers(3, [*post, ("content-type", "text/plain")])
        connection.sendall(client.data_to_send())
        assert _h2_status(connection, client) in (0, 415)
        client.send_data(3, b"{}", end_stream=True)
        client.send_headers(
            5, [(":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", "/healthz")], True
        )
        connection.sendall(client.data_to_send())
        statuses = {_h2_status(connection, client) for _ in range(1)}
        assert statuses <= {200, 415, 0}
    assert request(server_address, "/healthz") is not None


def test_a_flood_of_resets_ends_an_http2_connection(server_address: Address) -> None:
    with connect(server_address) as connection:
        client = h2.connection.H2Connection()
        client.initiate_connection()
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", "/v1/stub/order")]
        with suppress(ConnectionError):
            for number in range(1, 1_000, 2):
                client.send_headers(number, head)
                client.reset_stream(number)
                connection.sendall(client.data_to_send())
        assert is_closed(connection)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_huge_body_is_refused_after_64_kb(server_address: Address, stubbed: Running, chunked: bool) -> None:
    how = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 100000000\r\n\r\n"
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n" if chunked else b" " * 65536
    sent = 0
    with connect(server_address) as connection:
        connection.sendall(POST + how)
        with suppress(ConnectionError, TimeoutError):
            for _ in range(1_500):
                connection.settimeout(0.05 if sent > 300_000 else 5)
                connection.sendall(piece)
                sent += 65536
                connection.setblocking(False)
                with suppress(BlockingIOError):
                    assert connection.recv(12) == b"HTTP/1.1 413"
                    break
        assert sent < 20_000_000
    assert stubbed.entry.orders == 0


def test_a_body_that_never_comes_ends_by_the_deadline(server_address: Address) -> None:
    with connect(server_address) as connection:
        connection.sendall(POST + b"Content-Length: 20\r\n\r\nabcd")
        assert is_closed(connection)
    answer = ask(server_address, POST + b"Content-Length: 10000000000\r\n\r\nabcd")
    assert answer is None or (answer.status, is_status(answer)) == (413, True)


def test_a_slow_head_ends_by_the_deadline(server_address: Address) -> None:
    with connect(server_address) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert is_closed(connection)


def test_a_silent_reader_of_answers_is_dropped(server_address: Address, stubbed: Running) -> None:
    with connect(server_address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        with suppress(TimeoutError, ConnectionError):
            while True:
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50)
        answer = request(server_address, "/healthz")
        assert answer is not None
        assert answer.status == 200


def test_2000_idle_connections_leave_room_for_others(server_address: Address) -> None:
    crowd = []
    try:
        for _ in range(2_000):
            with suppress(OSError):
                crowd.append(connect(server_address))
        answer = request(server_address, "/healthz")
        assert answer is not None
        assert answer.status == 200
    finally:
        for connection in crowd:
            connection.close()
    until(lambda: (found := request(server_address, "/healthz")) is not None and found.status == 200)
