"""The running server: where it listens, what it caps, and how it stops."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exgate_core.connections import Deadlines
from exgate_core.errors import FailedPrecondition
from exgate_core.plugins import load_catalogue
from exgate_core.server import listen, serve
from exgate_core.settings import Server, Settings

from .support.doors import (
    Address,
    RawSocket,
    ask,
    connect,
    handshake,
    is_closed,
    read_answer,
    request,
    resident,
    serving,
    until,
)
from .support.running import clean_environment

ROOT = Path(__file__).parent.parent
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HALF_AN_ORDER = (
    b"POST /v1/stub/order HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
)


class Process:
    """The stub server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self._line())
        assert found is not None
        self.address = Address("127.0.0.1", int(found[1]))

    def command(self) -> None:
        """Put an order in flight, or let it finish."""
        assert self.process.stdin is not None
        self.process.stdin.write("order\n")
        self.process.stdin.flush()
        assert self._line() == "done"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def stub_process(graceful: float = 10.0) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.support.stub_server", str(graceful)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_200_streams_with_1012_and_ends_the_process(number: signal.Signals) -> None:
    with stub_process() as stub:
        clients = [RawSocket(stub.address) for _ in range(200)]
        idle = connect(stub.address)
        idle.sendall(GET)
        read_answer(idle)
        start = time.monotonic()
        stub.process.send_signal(number)
        assert {client.close_code() for client in clients} == {1012}
        assert is_closed(idle)
        for connection in [idle, *(client.connection for client in clients)]:
            connection.close()
        assert stub.process.wait(10) == 0
        assert time.monotonic() - start < 8


def test_a_stop_waits_for_the_order_in_flight_and_says_so_meanwhile() -> None:
    with stub_process() as stub:
        stub.command()
        client = RawSocket(stub.address)
        stub.process.send_signal(signal.SIGTERM)
        until(
            lambda: (
                (answer := ask(stub.address, GET.replace(b"healthz", b"readyz"))) is not None and answer.status == 503
            )
        )
        refused = ask(stub.address, handshake(stub.address))
        assert refused is not None
        assert refused.status == 503
        assert stub.process.poll() is None
        stub.command()
        assert client.close_code() == 1012
        client.close()
        assert stub.process.wait(10) == 0


def test_a_second_signal_hurries() -> None:
    with stub_process(60) as stub:
        stub.command()
        client = RawSocket(stub.address)
        stub.process.send_signal(signal.SIGTERM)
        until(
            lambda: (
                (answer := ask(stub.address, GET.replace(b"healthz", b"readyz"))) is not None and answer.status == 503
            )
        )
        stub.process.send_signal(signal.SIGTERM)
        assert stub.process.wait(10) == 0
        client.close()


def test_after_the_deadline_what_is_left_is_dropped() -> None:
    with stub_process(1) as stub:
        deaf = RawSocket(stub.address)
        half = connect(stub.address)
        half.sendall(HALF_AN_ORDER)
        stub.process.send_signal(signal.SIGTERM)
        assert stub.process.wait(12) == 0
        assert is_closed(half)
        half.close()
        deaf.close()


def test_too_many_connections_push_out_the_idle_ones_not_the_streams() -> None:
    with serving(Server(port=0, max_connections=5)) as running:
        streams = [RawSocket(running.address) for _ in range(10)]
        crowd = [connect(running.address) for _ in range(20)]
        for _ in range(10):
            answer = request(running.address, "/healthz")
            assert answer is not None
            assert answer.status == 200
        assert sum(is_closed(connection) for connection in crowd[:10]) == 10
        assert running.entry.readers == 10
        for connection in [*crowd, *(stream.connection for stream in streams)]:
            connection.close()


def test_where_all_are_busy_the_next_is_told_503() -> None:
    with serving(Server(port=0, max_connections=3)) as running:
        busy = [connect(running.address) for _ in range(3)]
        for connection in busy:
            connection.sendall(HALF_AN_ORDER.replace(b"\r\n\r\n{", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert connection.recv(12) == b"HTTP/1.1 100"
        until(lambda: (found := ask(running.address, GET)) is not None and found.status == 503)
        told = ask(running.address, GET)
        assert told is not None and "server.max_connections" in told.json()["message"]
        names = ("exgate-reason", "exgate-outcome", "retry-after")
        assert [told.headers[name] for name in names] == ["TOO_MANY_CONNECTIONS", "not-sent", "1"]
        for connection in busy:
            connection.close()
        until(lambda: (found := ask(running.address, GET)) is not None and found.status == 200)


def test_a_body_that_no_app_reads_takes_no_memory() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    with serving(app=app, deadlines=Deadlines(body=60)) as running, connect(running.address) as connection:
        connection.sendall(HALF_AN_ORDER.replace(b"Content-Length: 9", b"Content-Length: 100000000"))
        before = resident()
        for _ in range(1_000):
            connection.sendall(b" " * 65_536)
        assert resident() - before < 15_000_000


def test_an_idle_connection_ends_by_the_deadline() -> None:
    with serving(deadlines=Deadlines(idle=0.5)) as running:
        with connect(running.address) as connection:
            connection.sendall(GET)
            assert read_answer(connection) is not None
            assert is_closed(connection)


def test_a_quiet_stream_is_pinged_and_a_dead_one_dropped() -> None:
    with serving(deadlines=Deadlines(idle=0.5, ping=0.5)) as running:
        alive, dead = RawSocket(running.address), RawSocket(running.address)
        for _ in range(3):
            assert alive.next() == (9, b"")
            alive.send(b"", 10)
        until(lambda: running.entry.readers == 1)
        alive.close()
        dead.close()


def test_a_thousand_requests_go_through_one_connection() -> None:
    with serving() as running, connect(running.address) as connection:
        for _ in range(1_100):
            connection.sendall(GET)
            answer = read_answer(connection)
            assert answer is not None
            assert answer.status == 200
            assert "server" not in answer.headers


def test_a_unix_socket_is_served_to_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    with serving(Server(uds=str(path))) as running:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "unix:" in running.line
        for host, status in (("localhost", 200), ("evil.com", 403)):
            answer = request(running.address, "/healthz", host=host)
            assert answer is not None
            assert answer.status == status
        with pytest.raises(FailedPrecondition, match=r"can.t listen on"):
            listen(Server(uds=str(path)))
        client = RawSocket(running.address, host="localhost")
        client.close()


def test_a_gateway_whose_standard_streams_are_closed_serves_and_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        line = 'exec "$0" -m exgate_core serve -s server.uds=exgate.sock -s server.state_dir=. <&- >&- 2>&-'
        environment = clean_environment(tmp_path) | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(["sh", "-c", line, sys.executable], env=environment, cwd=tmp_path) as process:
            assert manager.recv(100) == b"READY=1"
            assert request(Address(str(tmp_path / "exgate.sock"), 0), "/healthz") is not None
            process.terminate()
            assert process.wait(20) == 0


def test_an_address_in_use_is_said_clearly() -> None:
    with serving() as running, pytest.raises(FailedPrecondition, match=r"can't listen on 127\.0\.0\.1"):
        listen(Server(port=running.address.port))


def test_an_unsafe_bind_does_not_start(tmp_path: Path) -> None:
    settings = Settings(server=Server(host="0.0.0.0", port=0, state_dir=str(tmp_path)))
    with pytest.raises(FailedPrecondition, match=r"server\.tls is not set"):
        serve(settings, load_catalogue(()), ready=lambda line: pytest.fail(line))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_with_both_versions_of_http(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    with serving(Server(port=0, tls=f"{certificate}:{key}")) as running:
        assert "https://" in running.line
        with context.wrap_socket(connect(running.address), server_hostname="localhost") as connection:
            connection.sendall(GET)
            answer = read_answer(connection)
            assert answer is not None
            assert answer.status == 200
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(connect(running.address), server_hostname="localhost") as connection:
            assert connection.selected_alpn_protocol() == "h2"


def test_nothing_but_the_server_imports_hypercorn() -> None:
    found = {file.name for file in (ROOT / "exgate_core").glob("*.py") if "hypercorn" in _imports(file)}
    assert found == {"connections.py", "http2.py", "outbox.py", "protocols.py", "server.py"}


def _imports(file: Path) -> set[str]:
    return {
        found.split(".")[0] for found in re.findall(r"^\s*(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE)
    }
