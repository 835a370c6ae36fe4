"""A real gateway in a process of its own, and a fake one that answers as it is told."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent


class Running(NamedTuple):
    """A gateway that serves."""

    url: str
    """``http://127.0.0.1:PORT``, or ``unix:PATH``."""
    process: subprocess.Popen[str]
    lines: list[str]
    """What it printed until it was ready."""

    @property
    def ws(self) -> str:
        """The same for WebSockets."""
        return self.url.replace("http", "ws", 1)


@contextmanager
def serving(
    state: Path, *arguments: str, environment: Mapping[str, str] | None = None, errors: int | None = None
) -> Iterator[Running]:
    """``exgate serve`` on a free port with its state in a folder of the test; stopped as a user stops it.

    ``errors`` is where its stderr goes, a file descriptor or ``subprocess.DEVNULL``.
    """
    command = [sys.executable, "-m", "exgate_core", "serve", "--port", "0", "-s", f"server.state_dir={state}"]
    env = {**clean_environment(state), **(environment or {})}
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, env=env, cwd=state
    ) as process:
        try:
            yield _wait_until_ready(process)
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[str]) -> Running:
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        found = re.search(r"https?://\S+:\d+|unix:\S+", line)
        if found:
            return Running(found[0], process, lines)
    raise AssertionError(f"the gateway ended with {process.wait()} after printing {lines}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def clean_environment(home: Path) -> dict[str, str]:
    """This process's environment without the user's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EXGATE_", "XDG_"))}
    paths = [str(ROOT), kept.get("PYTHONPATH", "")]
    return {**kept, "HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, paths))}


class Asked(NamedTuple):
    """One request that the fake gateway saw."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class FakeGateway:
    """Answers every request with ``status``, ``headers`` and ``body``, or cuts the connection."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.status, self.headers, self.body = 200, dict[str, str](), b"{}"
        self.cut = False
        self.url = ""

    def answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """What to answer from now on."""
        self.status, self.headers = status, dict(headers or {})
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()

    def fail(self, status: int, code: int, reason: str, outcome: str = "") -> None:
        """The same for an error as ExGate writes it."""
        headers = {"ExGate-Reason": reason} | ({"ExGate-Outcome": outcome} if outcome else {})
        self.answer(status, {"code": code, "message": f"{reason}: no.", "details": []}, headers)


@contextmanager
def fake_gateway() -> Iterator[FakeGateway]:
    """A fake gateway on a free port."""
    fake = FakeGateway()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fake.asked.append(Asked(self.command, self.path, dict(self.headers), json.loads(data) if data else None))
            if fake.cut:
                return
            self.send_response(fake.status)
            for name, value in {**fake.headers, "Content-Length": str(len(fake.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(fake.body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
