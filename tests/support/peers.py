"""Gateways to compare with, each a process of its own, and a crowd of clients that asks any of them the same."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from exgate_core.budget import Budget
from exgate_core.settings import Plugins, Section, Server, Settings

from .measuring import Orders, processor_time, serve_exgate
from .running import ROOT, clean_environment, free_port

PEERS = ROOT / "tests" / "bench" / "peers"
_NODE_PACKAGES = ROOT / ".dev" / "peers"
PORT = "PORT"
"""Stands in a command where the port goes."""
_PATIENCE = 60.0


class Peer(NamedTuple):
    """A running server."""

    port: int
    pid: int


class Done(NamedTuple):
    """What a load of requests took."""

    rate: float
    """Answers per second."""
    spent: float
    """Seconds of the server's processor time per answer."""
    latencies: list[float]
    """Seconds, in rising order."""


def fastapi_command() -> list[str]:
    """How to start the FastAPI + ccxt wrapper."""
    return [sys.executable, str(PEERS / "fastapi_ccxt.py")]


def asgi_command(server: str) -> list[str] | None:
    """How to start ExGate under uvicorn or granian, as docs/deploying.md does; None where that isn't installed."""
    if importlib.util.find_spec(server) is None:
        return None
    common = ["--factory", "--host", "127.0.0.1", "--port", PORT]
    app = "tests.bench.peers.exgate_asgi:app"
    if server == "uvicorn":
        more = ["--ws-per-message-deflate", "false", "--no-proxy-headers", "--no-access-log", "--log-level", "error"]
        return [sys.executable, "-m", "uvicorn", app, *common, *more]
    more = ["--interface", "asgi", "--workers", "1", "--runtime-mode", "st", "--log-level", "error"]
    return [sys.executable, "-m", "granian", app, *common, *more]


def settings_of(plugin: str, prefix: str, state: Path) -> Settings:
    """Binance through one plugin and nothing else."""
    section = Section(exchange="binance", plugin=plugin, upstream_prefix=prefix)
    server, plugins = Server(port=0, state_dir=str(state)), Plugins(load=(plugin,))
    return Settings(server=server, plugins=plugins, exchanges={"binance": section})


async def unlimited(orders: Orders, settings: Settings) -> None:
    """The main of a child: ``exgate serve`` whose exchanges allow everything."""
    Budget.take = _at_once  # type: ignore[method-assign, assignment]
    await serve_exgate(orders, settings)


async def _at_once(*_: object) -> None:
    return None


@contextmanager
def exgate_under(server: str, plugin: str, folder: Path, prefix: str) -> Iterator[Peer]:
    """ExGate under uvicorn or granian, with exchanges that allow everything. A worker process is the peer."""
    command, port = asgi_command(server), free_port()
    assert command is not None
    home = folder / f"{plugin} on {server}"
    home.mkdir()
    (home / "exgate.toml").write_text(
        f'[server]\nport = {port}\nstate_dir = "{home / "state"}"\n[plugins]\nload = ["{plugin}"]\n'
        f'[exchanges.binance]\nplugin = "{plugin}"\nupstream_prefix = "{prefix}"\n'
    )
    with process(command, home, port, LIMITER="off") as started:
        yield Peer(port, _worker(started))


def _worker(started: Peer) -> int:
    """The process that answers: the child of one that only watches, as soon as somebody listens."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", started.port), 1):
            children = psutil.Process(started.pid).children()
            return children[-1].pid if children else started.pid
        time.sleep(0.02)
    raise AssertionError("the server never listened")


def fastify_command() -> list[str] | None:
    """How to start the fastify + ccxt wrapper; None where there is no node, or npm can't install its packages."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    if not (_NODE_PACKAGES / "node_modules" / "fastify").exists():
        _NODE_PACKAGES.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(_NODE_PACKAGES), "fastify", "ccxt"]
        if subprocess.run(install, capture_output=True, timeout=300).returncode != 0:
            return None
    return ["node", str(PEERS / "fastify_ccxt.js")]


@contextmanager
def process(command: Sequence[str], folder: Path, port: int | None = None, **environment: str) -> Iterator[Peer]:
    """A server process on a port that its command or its variable ``PORT`` names; it need not listen yet."""
    port = port or free_port()
    command = [str(port) if word == PORT else word for word in command]
    env = clean_environment(folder) | {"PORT": str(port), "NODE_MODULES": str(_NODE_PACKAGES), **environment}
    with subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL) as started:
        try:
            yield Peer(port, started.pid)
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()


@contextmanager
def wrapper(
    command: Sequence[str], folder: Path, upstream: str, *, limiter: bool, server: str = "hypercorn"
) -> Iterator[Peer]:
    """One of the wrappers around ccxt; ``upstream`` is put before Binance's addresses."""
    environment = {"UPSTREAM": upstream, "LIMITER": "on" if limiter else "off", "SERVER": server}
    with process(command, folder, None, **environment) as started:
        yield started


@contextmanager
def nginx(folder: Path, upstream: int, more: str = "") -> Iterator[Peer]:
    """nginx that keeps each answer of a server on port ``upstream`` for a second; ``more`` directives of its cache."""
    program, port = nginx_program(), free_port()
    assert program is not None
    (folder / "logs").mkdir(parents=True)
    settings = (PEERS / "nginx.conf").read_text()
    for name, value in (("PORT_OF_NGINX", port), ("PORT_OF_WRAPPER", upstream), ("MORE", more)):
        settings = settings.replace(name, str(value))
    (folder / "nginx.conf").write_text(settings)
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "logs" / "error.log")]
    with subprocess.Popen(command) as started:
        try:
            yield Peer(port, started.pid)
        finally:
            started.send_signal(signal.SIGTERM)


def nginx_program() -> str | None:
    """Where nginx is; None if it isn't installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


class Clients:
    """Keep-alive connections to one server, each of which asks again as soon as it is answered.

    The paths are asked in turns, so that with several of them no two connections ask for the same at once.
    """

    def __init__(self, peer: Peer, paths: Sequence[str]) -> None:
        self._peer = peer
        head = f"HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"
        self._requests = cycle([f"GET {path} {head}".encode() for path in paths])
        self.last = b""
        self._connections: list[_Connection] = []
        self._latencies: list[float] = []
        self._to_send = self._to_come = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self, count: int) -> None:
        """Open so many connections, as soon as the server listens."""
        loop, until = asyncio.get_running_loop(), time.monotonic() + _PATIENCE
        while len(self._connections) < count:
            try:
                _, made = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._peer.port)
                self._connections.append(made)
            except ConnectionRefusedError:
                assert time.monotonic() < until, "the server never listened"
                await asyncio.sleep(0.005)

    async def run(self, requests: int, connections: int | None = None) -> Done:
        """Send so many requests over so many of the connections. Raises AssertionError for an answer other than 200."""
        await self._renew()
        self._to_send = self._to_come = requests
        self._latencies, self._done = [], asyncio.get_running_loop().create_future()
        before, start = processor_time(self._peer.pid), time.perf_counter()
        for connection in self._connections[:connections]:
            connection.ask()
        await asyncio.wait_for(self._done, _PATIENCE)
        seconds = time.perf_counter() - start
        spent = (processor_time(self._peer.pid) - before) / requests
        return Done(requests / seconds, spent, sorted(self._latencies))

    async def _renew(self) -> None:
        """Replace the connections that the server has closed because they were idle."""
        count = len(self._connections)
        self._connections = [it for it in self._connections if not it.transport.is_closing()]
        await self.connect(count)

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.transport.abort()

    def take(self) -> bytes | None:
        """The next request; None if enough were sent."""
        self._to_send -= 1
        return next(self._requests) if self._to_send >= 0 else None

    def answered(self, answer: bytes, seconds: float) -> None:
        """One whole answer came."""
        self.last = answer
        self._latencies.append(seconds)
        self._to_come -= 1
        if not answer.startswith(b"HTTP/1.1 200") and not self._done.done():
            self._done.set_exception(AssertionError(answer[:400]))
        elif not self._to_come and not self._done.done():
            self._done.set_result(None)


class _Connection(asyncio.Protocol):
    transport: Any

    def __init__(self, owner: Clients) -> None:
        self._owner, self._data, self._asked = owner, b"", 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self) -> None:
        request = self._owner.take()
        if request is not None:
            self._asked = time.perf_counter()
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self._owner.answered(self._data, time.perf_counter() - self._asked)
            self._data = b""
            self.ask()


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    assert found, head
    return int(found[1])
