"""The gateway as an app under uvicorn and granian."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exgate_core.asgi import Hosted
from exgate_core.plugins import load_catalogue
from exgate_core.settings import Server, Settings

from .support.running import clean_environment, free_port

pytestmark = pytest.mark.anyio

COMMANDS = {
    "uvicorn": "uvicorn --factory exgate_core.asgi:app --host 127.0.0.1 --port {port} --ws-per-message-deflate false "
    "--ws-max-size 65536 --timeout-graceful-shutdown 20 --no-proxy-headers --no-access-log",
    "granian": "granian --interface asgi --factory exgate_core.asgi:app --host 127.0.0.1 --port {port} "
    "--workers 1 --runtime-mode st --workers-kill-timeout 20",
}
"""As docs/deploying.md gives them."""


@contextmanager
def hosted(server: str, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The gateway under another server, ready to answer."""
    if importlib.util.find_spec(server) is None:
        pytest.skip(f"{server} is not installed")
    port = free_port()
    settings = f'[server]\nport = {port}\nstate_dir = "{folder / "state"}"\n[exchanges.paper]\n'
    (folder / "exgate.toml").write_text(settings + '[plugins]\nload = ["exgate-paper"]\n')
    command = [sys.executable, "-m", *COMMANDS[server].format(port=port).split()]
    with subprocess.Popen(command, env=clean_environment(folder), cwd=folder) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_answered(url, process)
            yield url, process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _wait_until_answered(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5):
            return
    raise AssertionError("no answer")


@pytest.mark.parametrize("server", COMMANDS)
async def test_another_server_serves_everything_and_ends_in_order(server: str, tmp_path: Path) -> None:
    with hosted(server, tmp_path) as (url, process):
        async with aiohttp.ClientSession(url) as session:
            await _reads(session)
            await _refuses(session)
            placed = await _places(session)
            await _streams(session, process)
        assert process.wait(15) in (0, -signal.SIGTERM)
    with hosted(server, tmp_path) as (url, _):  # the journal was closed, and knows the order
        async with aiohttp.ClientSession(url) as session:
            assert await _places(session, placed) == placed


async def _reads(session: aiohttp.ClientSession) -> None:
    async with session.get("/v1/paper/depth?symbol=BTC/USDT&limit=5") as answer:
        assert answer.status == 200
        assert answer.headers["ExGate-Source"] == "exchange"
        assert len((await answer.json())["bid_list"][0]["bid"]) == 5
    async with session.get("/v1/paper/depth?symbol=NO/SUCH") as answer:
        assert (answer.status, answer.headers["ExGate-Reason"]) == (400, "UNKNOWN_SYMBOL")


async def _refuses(session: aiohttp.ClientSession) -> None:
    async with session.get("/healthz", headers={"Host": "evil.example"}) as answer:
        assert (answer.status, answer.headers["ExGate-Reason"]) == (403, "HOST_NOT_ALLOWED")
    async with session.get("/healthz", headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403
    async with session.post("/v1/paper/order", data=b"{}", headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415
    async with session.post("/v1/paper/order", data=b" " * 70_000, headers={"Content-Type": "application/json"}) as it:
        assert it.status == 413
    path, origin = "/v1/paper/pull_trade?symbol=BTC/USDT", {"Origin": "https://evil.example"}
    async with aiohttp.ClientSession(session._base_url) as other:  # its connection is of no use afterwards
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await other.ws_connect(path, headers=origin)
    assert caught.value.status == 403


async def _places(session: aiohttp.ClientSession, again: str = "") -> str:
    order = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "100", "amount": "0.1"}
    async with session.post("/v1/paper/order", json=order, headers={"Idempotency-Key": "key-1"}) as answer:
        assert (answer.status, answer.headers["ExGate-Outcome"]) == (200, "placed")
        assert ("ExGate-Replayed" in answer.headers) == bool(again)
        return str((await answer.json())["order_id"])


async def _streams(session: aiohttp.ClientSession, process: subprocess.Popen[bytes]) -> None:
    async with session.ws_connect("/v1/paper/pull_trade?symbol=BTC/USDT", max_msg_size=0, compress=15) as socket:
        assert not socket.compress, "nothing is compressed"
        seen: list[str] = []
        while len(seen) < 3:
            message = json.loads((await socket.receive(timeout=10)).data)
            seen += [trade["id"] for trade in message.get("trades", ())]
        assert [int(trade) for trade in seen] == list(range(int(seen[0]), int(seen[0]) + len(seen)))
        process.send_signal(signal.SIGTERM)
        while (message := await socket.receive(timeout=15)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_who_comes_from_elsewhere_is_refused_where_the_settings_say_loopback(tmp_path: Path) -> None:
    it = Hosted(Settings(server=Server(state_dir=str(tmp_path))), load_catalogue([]))
    async with _living(it):
        for client, status in (
            (("127.0.0.1", 5), 200),
            (("::1", 5), 200),
            (("10.0.0.9", 5), 403),
            (("2001:db8::1", 5), 403),
            (None, 403),
        ):
            assert (await _get(it, client)).get("status") == status, client
        assert (await _get(it, ("10.0.0.9", 5), "websocket"))["status"] == 403


async def test_over_a_unix_socket_there_is_no_address(tmp_path: Path) -> None:
    it = Hosted(Settings(server=Server(state_dir=str(tmp_path), uds=str(tmp_path / "s"))), load_catalogue([]))
    async with _living(it):
        assert (await _get(it, None))["status"] == 200


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ({"host": "0.0.0.0"}, "UNSAFE_BIND"),
        ({"tls": f"{__file__}:{__file__}"}, "TLS_ELSEWHERE"),
    ],
)
async def test_what_is_unsafe_does_not_start(tmp_path: Path, server: dict[str, str], reason: str) -> None:
    it = Hosted(Settings(server=Server(state_dir=str(tmp_path), **server)), load_catalogue([]))  # type: ignore[arg-type]
    life = _Life(it)
    answer = await life.begin()
    assert answer["type"] == "lifespan.startup.failed"
    assert answer["message"].startswith(reason)
    assert (await _get(it, ("127.0.0.1", 5)))["status"] == 503


async def test_without_a_lifespan_nothing_is_served(tmp_path: Path) -> None:
    it = Hosted(Settings(server=Server(state_dir=str(tmp_path))), load_catalogue([]))
    assert (await _get(it, ("127.0.0.1", 5)))["status"] == 503


class _Life:
    """The lifespan as a server runs it."""

    def __init__(self, it: Hosted) -> None:
        self._in: asyncio.Queue[Any] = asyncio.Queue()
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self.task = asyncio.create_task(it({"type": "lifespan"}, self._in.get, self._out.put))

    async def begin(self) -> Any:
        await self._in.put({"type": "lifespan.startup"})
        return await asyncio.wait_for(self._out.get(), 5)

    async def end(self) -> Any:
        await self._in.put({"type": "lifespan.shutdown"})
        return await asyncio.wait_for(self._out.get(), 5)


@contextlib.asynccontextmanager
async def _living(it: Hosted) -> Any:
    life = _Life(it)
    assert (await life.begin())["type"] == "lifespan.startup.complete"
    yield
    assert (await life.end())["type"] == "lifespan.shutdown.complete"
    await life.task


async def _get(it: Hosted, client: tuple[str, int] | None, kind: str = "http") -> Any:
    sent: list[Any] = []
    scope: dict[str, Any] = {
        "type": kind,
        "method": "GET",
        "path": "/healthz",
        "raw_path": b"/healthz",
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(b"host", b"127.0.0.1:8000")],
        "client": client,
        "extensions": {"websocket.http.response": {}},
    }

    async def receive() -> Any:
        return {"type": f"{kind}.connect" if kind == "websocket" else "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await it(scope, receive, send)
    return sent[0]
