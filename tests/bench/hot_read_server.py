"""What one local depth read costs a running gateway, against a bare ASGI app on the same server.

Both are processes of their own on ExGate's server and answer the same number of bytes, heads included: the paper
exchange's book of 20 levels a side, and constant bytes. 64 keep-alive connections of this process ask one, then the
other, in turns. Processor time of the server's process per request; the goal is 1.2 times the bare app's.

    python tests/bench/hot_read_server.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.plugins import load_catalogue
from exgate_core.settings import Section, Server, Settings
from tests.support.measuring import Child, Orders, child, ratio, run_loop, serve_bare, serve_exgate

GOAL = 1.2
CONNECTIONS = 64
PATH = "/v1/paper/depth?symbol=BTC/USDT&limit=20&isLocal=true"
REQUEST = (
    f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{{port}}\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    "User-Agent: python-requests/2.32\r\nConnection: keep-alive\r\n\r\n"
)
PADDING = b"x-padding"


async def bare(orders: Orders, body: bytes, padding: int) -> None:
    """The least that answers so many bytes."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (PADDING, b"x" * padding),
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    await serve_bare(app, orders)


class Asker(asyncio.Protocol):
    """One connection that asks again as soon as it is answered, as long as the load wants more."""

    transport: Any

    def __init__(self, load: Load) -> None:
        self._load, self._data = load, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self) -> None:
        """Send one request unless enough were sent."""
        if self._load.take():
            self.transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self._load.answered(self._data)
            self._data = b""
            self.ask()


class Load:
    """Keep-alive connections to one server."""

    def __init__(self, server: Child, port: int) -> None:
        self.server, self.request = server, REQUEST.format(port=port).encode()
        self.last = b""
        self._port = port
        self._askers: list[Asker] = []
        self._to_send = self._to_come = 0
        self._done = asyncio.Event()

    async def connect(self, connections: int) -> None:
        """Open the connections."""
        for _ in range(connections):
            _, asker = await asyncio.get_running_loop().create_connection(lambda: Asker(self), "127.0.0.1", self._port)
            self._askers.append(asker)

    async def run(self, requests: int) -> float:
        """Seconds of the server's processor time per request."""
        self._to_send = self._to_come = requests
        self._done.clear()
        before = self.server.spent
        for asker in self._askers:
            asker.ask()
        await asyncio.wait_for(self._done.wait(), 60)
        return (self.server.spent - before) / requests

    def take(self) -> bool:
        """Whether one more request is wanted."""
        self._to_send -= 1
        return self._to_send >= 0

    def answered(self, answer: bytes) -> None:
        """One whole answer came."""
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        self.last = answer
        self._to_come -= 1
        if not self._to_come:
            self._done.set()


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    assert found, head
    return int(found[1])


async def local(load: Load) -> bytes:
    """An answer of ExGate from its copy, as soon as that is in sync."""
    for _ in range(1000):
        await load.run(1)
        if b"exgate-source: local" in load.last:
            return load.last
        await asyncio.sleep(0.01)
    raise AssertionError(f"no local answer: {load.last!r}")


async def measure(rounds: int, requests: int, connections: int) -> tuple[list[float], list[float]]:
    """Seconds per request of ExGate and of the bare app, round by round."""
    # Some levels more than are read, for the market eats into them.
    paper = {"paper": Section(exchange="paper", extra={"levels": 30})}
    with TemporaryDirectory() as folder:
        settings = Settings(server=Server(port=0, state_dir=folder), exchanges=paper)
        return await compare(settings, rounds, requests, connections)


async def compare(settings: Settings, rounds: int, requests: int, connections: int) -> tuple[list[float], list[float]]:
    """The same for a gateway with these settings."""
    with child(serve_exgate, settings) as one:
        ours = Load(one, await one.hear())
        await ours.connect(connections)
        answer = await local(ours)
        body = answer.partition(b"\r\n\r\n")[2]
        assert body.count(b'"price"') == 40
        with child(bare, body, 1) as other:
            probe = Load(other, await other.hear())
            await probe.connect(1)
            await probe.run(1)
        with child(bare, body, 1 + len(answer) - len(probe.last)) as other:
            theirs = Load(other, await other.hear())
            await theirs.connect(connections)
            pairs = []
            for _ in range(rounds + 1):
                pairs.append((await ours.run(requests), await theirs.run(requests)))
                assert b"exgate-source: local" in ours.last, "the copy got lost"
                assert abs(len(ours.last) - len(theirs.last)) < 32, (len(ours.last), len(theirs.last))
    return [a for a, _ in pairs[1:]], [b for _, b in pairs[1:]]


def main() -> int:
    """0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--requests", type=int, default=400)
    chosen = parser.parse_args()
    if "paper" not in load_catalogue().offers:
        print("skipped: the paper exchange isn't installed")
        return 0
    rounds, requests = (2, 200) if chosen.smoke else (chosen.rounds, chosen.requests)
    ours, theirs = run_loop(measure(rounds, requests, 8 if chosen.smoke else CONNECTIONS))
    found = ratio(ours, theirs)
    print(f"exgate: {statistics.median(ours) * 1e6:.0f} us of the server's processor time per request")
    print(f"bare ASGI app: {statistics.median(theirs) * 1e6:.0f} us")
    print(f"hot_read_server {found:.3f} (goal {GOAL}), {rounds} rounds of {requests} requests")
    return 0 if chosen.smoke or found <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
