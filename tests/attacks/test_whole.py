"""The same shapes against ``exgate serve`` as a user starts it, with the paper exchange."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from typing import NamedTuple

import pytest

from ..support.doors import Address, RawSocket, ask, connect, handshake, is_closed, read_answer, request
from ..test_access import ALLOWED, REFUSED
from .test_raw_http import BAD_FRAMING, PATHS, is_status

try:
    distribution("exgate-paper")
except PackageNotFoundError:
    pytest.skip("exgate-paper is not installed", allow_module_level=True)

STREAM = "/v1/paper/pull_trade?symbol=BTC/USDT"


class Whole(NamedTuple):
    """A gateway in a process of its own."""

    process: subprocess.Popen[str]
    address: Address


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """``exgate serve`` without settings."""
    state = tmp_path_factory.mktemp("state")
    command = [sys.executable, "-m", "exgate_core", "serve", "--port", "0", "-s", f"server.state_dir={state}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=state) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found is not None
            yield Whole(process, Address("127.0.0.1", int(found[1])))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def address(whole: Whole) -> Address:
    """Where it listens."""
    return whole.address


@pytest.mark.parametrize("shape", BAD_FRAMING)
def test_raw_shapes(address: Address, shape: str) -> None:
    with connect(address) as connection:
        connection.sendall(BAD_FRAMING[shape].replace(b"/v1/stub/", b"/v1/paper/"))
        answer = read_answer(connection)
        assert answer is not None
        assert (answer.status, is_status(answer)) == (400, True)
        assert is_closed(connection)


@pytest.mark.parametrize("path", PATHS)
def test_odd_paths(address: Address, path: str) -> None:
    answer = request(address, path.replace("/stub", "/paper"))
    assert answer is not None
    assert (answer.status in PATHS[path], is_status(answer)) == (True, True)
    assert "location" not in answer.headers


@pytest.mark.parametrize("host", [host for host in REFUSED if host.isprintable()])
def test_other_hosts(address: Address, host: str) -> None:
    name = host.encode("utf-8").decode("latin-1").replace("8000", str(address.port))
    for raw in (f"GET /healthz HTTP/1.1\r\nHost: {name}\r\n\r\n".encode("latin-1"), _socket(address, name)):
        answer = ask(address, raw)
        assert answer is not None
        assert answer.status in (403, 431)
        assert is_status(answer)


@pytest.mark.parametrize("host", [host for host in ALLOWED if "example" not in host.lower()])
def test_own_hosts(address: Address, host: str) -> None:
    name = host.replace("8000", str(address.port))
    answer = request(address, "/healthz", host=name)
    assert answer is not None
    assert answer.status == 200
    answer = ask(address, _socket(address, name))
    assert answer is not None
    assert answer.status == 101


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json;x"])
@pytest.mark.parametrize("path", ["/v1/paper/order", "/v1/paper/cancel"])
def test_what_a_form_can_post(address: Address, path: str, content_type: str) -> None:
    answer = request(address, path, f"Content-Type: {content_type}", method="POST", body=b"{}")
    assert answer is not None
    assert (answer.status, answer.json()["code"]) == (415, 3)


def test_a_page_of_another_site_gets_no_leave(address: Address) -> None:
    lines = ("Origin: http://evil.com", "Access-Control-Request-Method: POST")
    for method in ("OPTIONS", "GET"):
        answer = request(address, "/v1/paper/order", *lines, method=method)
        assert answer is not None
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_stream_ends_with_1012_when_the_gateway_stops(whole: Whole, address: Address) -> None:
    clients = [RawSocket(address, path=STREAM) for _ in range(20)]
    assert all(client.next()[0] == 1 for client in clients)
    whole.process.send_signal(signal.SIGTERM)
    assert {client.close_code() for client in clients} == {1012}
    for client in clients:
        client.close()
    assert whole.process.wait(15) == 0


def _socket(address: Address, host: str) -> bytes:
    return handshake(address, path=STREAM).replace(
        b"%s:%d" % (address.host.encode(), address.port), host.encode("latin-1")
    )
