"""HTTP/2 clients that ask for much and open no window: what they hold, when they are cut, and who waits meanwhile.

    python tests/proofs/windowless.py [--clients 100] [--short]

Goals: memory grows by less than 60 MB, every client is cut within 30 s, /healthz p99 < 0.3 s meanwhile. Then the same
for floods of commands.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import h2.connection
import h2.settings
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.running import serving

STREAMS = 95
MOST_MEMORY, LATEST, SLOWEST = 60.0, 30.0, 0.3
FLOODS = {
    "SETTINGS": b"\0\0\0\4\0\0\0\0\0",
    "PING": b"\0\0\x08\6\0\0\0\0\0" + b"\0" * 8,
    "PRIORITY": b"\0\0\5\2\0\0\0\0\3\0\0\0\0\1",
}


def requests(path: str, count: int) -> bytes:
    """The bytes of a client that allows nothing back."""
    client = h2.connection.H2Connection()
    none = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
    client.local_settings = h2.settings.Settings(client=True, initial_values=none)
    client.initiate_connection()
    for stream in range(1, 2 * count, 2):
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", path)]
        client.send_headers(stream, head, end_stream=True)
    return client.data_to_send()


class Health:
    """Asks /healthz twenty times a second, on a connection of its own each."""

    def __init__(self, port: int) -> None:
        self.times: list[float] = []
        self._port, self._over = port, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Health:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def p99(self) -> float:
        """Seconds."""
        return sorted(self.times)[int(0.99 * (len(self.times) - 1))]

    def _run(self) -> None:
        while not self._over.wait(0.05):
            start = time.monotonic()
            with socket.create_connection(("127.0.0.1", self._port), 30) as connection:
                connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                connection.recv(1)
            self.times.append(time.monotonic() - start)


def held(port: int, process: psutil.Process, data: bytes, clients: int) -> tuple[float, float, float, float]:
    """Memory gained (MB), seconds until the last client was cut, p99 of /healthz, memory that stays (MB)."""
    before, most = process.memory_info().rss, 0
    start, last = time.monotonic(), 0.0
    with Health(port) as health, ExitStack() as stack:
        left = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(clients)]
        for connection in left:
            connection.sendall(data)
            connection.setblocking(False)
        while left and time.monotonic() - start < 60:
            left = [connection for connection in left if not ended(connection)]
            most = max(most, process.memory_info().rss)
            last = time.monotonic() - start
            time.sleep(0.1)
    time.sleep(1)
    return (most - before) / 1e6, last, health.p99(), (process.memory_info().rss - before) / 1e6


def ended(connection: socket.socket) -> bool:
    """Whether the server has closed it."""
    try:
        while data := connection.recv(65536):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def flooded(port: int, frame: bytes, connections: int, seconds: float) -> float:
    """p99 of /healthz while so many connections flood, and come again whenever they are cut."""
    opening, over = requests("/healthz", 0), threading.Event()

    def flood() -> None:
        while not over.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(opening)
                while not over.is_set():
                    connection.sendall(frame * 5_000)

    threads = [threading.Thread(target=flood) for _ in range(connections)]
    with Health(port) as health:
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        over.set()
        for thread in threads:
            thread.join()
    return health.p99()


def judge(name: str, value: float, goal: float, unit: str) -> bool:
    """Print one figure; whether it is within its goal."""
    print(f"  {name}: {value:.2f} {unit} (goal < {goal:g}){'' if value < goal else '  <-- BROKEN'}", flush=True)
    return value < goal


def run(clients: int, paths: Sequence[str], seconds: float) -> bool:
    """All of it; whether every goal was met."""
    good = []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), errors=-3) as running:
        port, process = int(running.url.rpartition(":")[2]), psutil.Process(running.process.pid)
        for path in paths:
            print(f"{clients} clients x {STREAMS} streams of {path}")
            grown, cut, slow, kept = held(port, process, requests(path, STREAMS), clients)
            good.append(judge("memory", grown, MOST_MEMORY, "MB"))
            good.append(judge("the last was cut after", cut, LATEST, "s"))
            good.append(judge("/healthz p99", slow, SLOWEST, "s"))
            good.append(judge("memory kept", kept, MOST_MEMORY, "MB"))
        for name, frame in FLOODS.items():
            slow = flooded(port, frame, 1, seconds)
            good.append(judge(f"a flood of {name}: /healthz p99", slow, SLOWEST, "s"))
    return all(good)


def main() -> int:
    """0 if every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--short", action="store_true", help="20 clients, one path, 2 s of each flood")
    chosen = parser.parse_args()
    paths = ["/v1/exchanges"] if chosen.short else ["/v1/exchanges", "/openapi.json"]
    return 0 if run(20 if chosen.short else chosen.clients, paths, 2.0 if chosen.short else 5.0) else 1


if __name__ == "__main__":
    sys.exit(main())
