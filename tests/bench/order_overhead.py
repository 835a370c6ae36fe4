"""What the gateway and its journal add to an order: POST /order over HTTP to an exchange that answers at once.

One keep-alive connection, one order after the other, in turns with the same POST to a bare ASGI app on the same
server. The exchange is the paper one with a still market, so nearly all of the time is the gateway's: door, checks,
intent and outcome on disk. A third column, a plain fsync of a small file in the same folder, is the disk's own part.

    python tests/bench/order_overhead.py [--smoke]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.running import Running, free_port, serving

GOAL_P50, GOAL_P99 = 0.0015, 0.008
BODY = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "30000.00", "amount": "0.00100"}
HEADERS = {"Content-Type": "application/json"}
BARE = """
import asyncio, sys
from exgate_core.server import Stop, listen, run
from exgate_core.settings import Server

async def app(scope, receive, send):
    await receive()
    body = b'{"order_id":"1"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

class Nothing:
    async def drain(self, seconds): pass

async def main():
    server = Server(port=int(sys.argv[1]))
    stop = Stop()
    stop.listen_to_signals()
    await run(app, server, listen(server), Nothing(), stop, ready=lambda line: print(line, flush=True))

import uvloop
uvloop.run(main())
"""


@contextmanager
def bare() -> Iterator[int]:
    """The same server with an app that does nothing."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def post(connection: http.client.HTTPConnection, path: str, count: int) -> list[float]:
    """Seconds of each of so many orders, one after the other."""
    body, took = json.dumps(BODY).encode(), []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("POST", path, body, HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        took.append(time.perf_counter() - began)
        assert answer.status == 200, text
    return took


def fsyncs(folder: Path, count: int) -> list[float]:
    """Seconds of each of so many appends with fsync."""
    took = []
    with (folder / "probe").open("ab", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return took


def measure(gateway: Running, bare_port: int, folder: Path, rounds: int, count: int) -> dict[str, list[float]]:
    """The times of all three, in turns."""
    orders = http.client.HTTPConnection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    nothing = http.client.HTTPConnection("127.0.0.1", bare_port)
    post(orders, "/v1/paper/order", 20)
    post(nothing, "/v1/paper/order", 20)
    took: dict[str, list[float]] = {"order": [], "bare POST": [], "one fsync": []}
    for _ in range(rounds):
        took["order"] += post(orders, "/v1/paper/order", count)
        took["bare POST"] += post(nothing, "/v1/paper/order", count)
        took["one fsync"] += fsyncs(folder, count // 4)
    return took


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    rounds, count = (2, 20) if parser.parse_args().smoke else (9, 100)
    with TemporaryDirectory() as state, serving(Path(state), "-s", "exchanges.paper.rate=0") as gateway, bare() as port:
        took = measure(gateway, port, Path(state), rounds, count)
    for name, times in took.items():
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(f"{name:10} p50 {p50 * 1000:6.2f} ms  p99 {p99 * 1000:6.2f} ms  ({len(times)})")
    added = [statistics.median(took["order"]) - statistics.median(took["bare POST"])]
    added.append(statistics.quantiles(took["order"], n=100)[98] - statistics.median(took["bare POST"]))
    print(f"added by gateway and journal: p50 {added[0] * 1000:.2f} ms (goal {GOAL_P50 * 1000:g})", end=", ")
    print(f"p99 {added[1] * 1000:.2f} ms (goal {GOAL_P99 * 1000:g})")


if __name__ == "__main__":
    main()
