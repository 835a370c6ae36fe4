"""Raw requests, spoiled at random, against ``exgate serve``; good ones beside them all the time.

    python tests/proofs/fuzz.py [--cases 100000] [--good 1000] [--seed 1] [--short]

Every spoiled request must end in an answer that the contract knows (with a Status, where it isn't a success) or in a
closed connection; never in a 500, in text, or in a gateway that is gone. Every good one must be answered with 200.
Nothing may be placed by a spoiled request: the journal knows only the orders of the good ones.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import re
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.running import serving

_INTERIM = re.compile(rb"\AHTTP/1\.1 100 [^\n]*\r\n(?:[^\n]+\r\n)*\r\n")
PATIENCE = 0.25
"""Seconds after which a request that is not whole counts as waiting for its rest."""
WORKERS = 32
KNOWN = frozenset({101, 200, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 417, 426, 429, 431, 501, 503, 505})
_BODY = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "1000.00", "amount": "0.01"}
_TARGETS = (
    "/v1/paper/depth?symbol=BTC/USDT&limit=5", "/v1/paper/recent_trades?symbol=BTC/USDT&limit=5", "/v1/paper/balances",
    "/v1/paper/pending_orders", "/v1/paper/pull_trade?symbol=BTC/USDT", "/v1/exchanges", "/healthz", "/readyz",
    "/v1/paper/order?client_order_id=x", "/v1/paper/markets", "/v1/paper/capabilities", "/v1/paper/pulls",
)  # fmt: skip
_PIECES = (
    b"\x00", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x7f", b"\xff", b"%00", b"%2f", b"%5c", b"..", b"//", b"?", b"#",
    b"&", b"=", b";", b":", b"\xe2\x80\xa8", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n",
    b"Host: evil.com\r\n", b"Content-Length: 99999999999\r\n", b"Origin: http://evil.com\r\n", b"Upgrade: h2c\r\n",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"HTTP/1.0", b"HTTP/9.9",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"0\r\n\r\n", b"-1", b"1e999", b"null", b"[]", b'{"a":',
    b'"side":"sell",', b"\xc0\xaf", b"A" * 9000, b"GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip


def whole(dice: random.Random, port: int) -> bytes:
    """A request in which nothing is wrong yet."""
    host, more = f"Host: 127.0.0.1:{port}\r\n", ""
    if dice.random() < 0.3:
        body = json.dumps(_BODY | {"options": {"client_order_id": f"z{dice.getrandbits(48)}"}}).encode()
        path = dice.choice(("/v1/paper/order", "/v1/paper/cancel"))
        head = f"POST {path} HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body
    if dice.random() < 0.1:
        more = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
    method = dice.choice(("GET", "GET", "GET", "HEAD", "DELETE", "PUT", "OPTIONS", "TRACE"))
    return f"{method} {dice.choice(_TARGETS)} HTTP/1.1\r\n{host}{more}\r\n".encode()


def spoiled(dice: random.Random, port: int) -> bytes:
    """The same with one to four things wrong; no order in it can be placed: its length or its host is spoiled too."""
    raw = bytearray(whole(dice, port))
    if raw.startswith(b"POST") and dice.random() < 0.5:
        raw = raw.replace(b'"amount": "0.01"', b'"amount": "-1"')
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(raw))
        how = dice.randrange(5)
        if how == 0:
            raw[place:place] = dice.choice(_PIECES)
        elif how == 1:
            del raw[place : place + dice.randint(1, 30)]
        elif how == 2:
            raw[place] = dice.randrange(256)
        elif how == 3:
            end = place + dice.randint(1, 40)
            raw[place:place] = raw[place:end]
        else:
            raw = bytearray(raw[:place] + dice.choice(_PIECES) + raw[place:])
        raw = raw or bytearray(b"\r\n")
    return bytes(raw)


class Fuzz:
    """What was asked and what came of it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.refused = 0
        self.orders: dict[str, list[bytes]] = {}
        """The bodies that were sent, by the client order id in them."""

    async def spoil(self, raw: bytes) -> None:
        """Send one spoiled request on a connection of its own and judge everything that comes back."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError as error:
            self.wrong.append(f"nobody listens any more ({error}) before {raw[:200]!r}")
            return
        answer = b""
        self.note(raw)
        try:
            writer.write(raw)
            with suppress(TimeoutError, ConnectionError):
                while True:
                    async with asyncio.timeout(PATIENCE):
                        more = await reader.read(65536)
                    if not more:
                        break
                    answer += more
        finally:
            writer.transport.abort()
        self._judge(raw, answer)

    def note(self, raw: bytes) -> None:
        """Remember what a request asks for, if it asks for an order."""
        found = re.search(rb'"client_order_id": ?"([^"]+)"', raw)
        if found:
            body = raw.partition(b"\r\n\r\n")[2]
            self.orders.setdefault(found[1].decode("latin-1"), []).append(body)

    def _judge(self, raw: bytes, answer: bytes) -> None:
        if not _INTERIM.sub(b"", answer):
            self.statuses["no answer"] += 1
            return
        if answer.startswith(b"\x00\x00"):  # an HTTP/2 frame
            self.statuses["h2"] += 1
            return
        answer = _INTERIM.sub(b"", answer)
        head, _, body = answer.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        status = int(found[1]) if found else 0
        self.statuses[str(status)] += 1
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        text = body[: int(length[1])] if length else body
        if status not in KNOWN or (status >= 400 and not self._is_status(raw, text)):
            self.wrong.append(f"{raw[:300]!r} -> {answer[:300]!r}")

    def _is_status(self, raw: bytes, body: bytes) -> bool:
        if raw.lstrip().startswith(b"HEAD"):
            return True
        try:
            found = json.loads(body)
        except ValueError:
            return False
        return isinstance(found, dict) and {"code", "message", "details"} <= found.keys()

    async def good(self, number: int) -> None:
        """One request of a client that does everything right."""
        target = _TARGETS[number % 4]
        raw = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n".encode()
        if number % 5 == 0:
            body = json.dumps(_BODY | {"options": {"client_order_id": f"good-{number}"}}).encode()
            raw = (
                f"POST /v1/paper/order HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            ).encode() + body
        self.note(raw)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(raw)
            async with asyncio.timeout(30):
                answer = await reader.read(-1)
        finally:
            writer.close()
        if not answer.startswith(b"HTTP/1.1 200 "):
            self.refused += 1
            self.wrong.append(f"a good one: {raw[:200]!r} -> {answer[:300]!r}")


async def run(port: int, cases: int, good: int, seed: int) -> Fuzz:
    """All of them, good ones spread among the others."""
    fuzz, every = Fuzz(port), max(1, cases // max(1, good))
    numbers = iter(range(cases))

    async def work() -> None:
        for number in numbers:
            await fuzz.spoil(spoiled(random.Random(seed * 1_000_003 + number), port))
            if number % every == 0:
                await fuzz.good(number // every)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(WORKERS):
            tasks.create_task(work())
    return fuzz


def placed(state: Path, sent: Mapping[str, Sequence[bytes]]) -> Sequence[str]:
    """Orders that went out though no request asked for exactly them, as the standard library reads its body."""
    with closing(sqlite3.connect(f"{(state / 'orders.db').as_uri()}?mode=ro", uri=True)) as journal:
        rows = journal.execute("SELECT caller_id, request FROM orders WHERE state = 'PLACED'").fetchall()
    return [request for caller, request in rows if not any(_same(request, body) for body in sent.get(caller, ()))]


def _same(request: str, body: bytes) -> bool:
    ours = json.loads(request)
    try:
        theirs, _ = json.JSONDecoder().raw_decode(body.decode("latin-1"))  # what follows is another request's
    except ValueError:
        return False
    return isinstance(theirs, dict) and all(ours[name] == theirs.get(name) for name in _BODY)


def main() -> int:
    """0 if everything was answered as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--good", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="2,000 cases and 100 good ones")
    chosen = parser.parse_args()
    cases, good = (2_000, 100) if chosen.short else (chosen.cases, chosen.good)
    start = time.monotonic()
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        state = Path(folder) / "state"
        state.mkdir()
        with serving(state, errors=log.fileno()) as running:
            fuzz = asyncio.run(run(int(running.url.rpartition(":")[2]), cases, good, chosen.seed))
            alive = running.process.poll() is None
        odd = placed(state, fuzz.orders)
        told = (Path(folder) / "log").read_text(errors="replace")
        crashes = told.count("Traceback")
        if crashes:
            print(told[max(0, told.index("Traceback") - 300) :][:3000])
    for line in fuzz.wrong[:20]:
        print(f"WRONG {line}")
    seconds = time.monotonic() - start
    print(f"seed {chosen.seed}: {cases} spoiled requests in {seconds:.0f} s: {dict(sorted(fuzz.statuses.items()))}")
    for line in odd:
        print(f"NOBODY MEANT {line}")
    print(f"answered wrongly {len(fuzz.wrong)}; good ones refused {fuzz.refused} of {good}")
    print(f"orders that nobody meant {len(odd)}")
    print(f"the gateway {'lives' if alive else 'IS GONE'}; tracebacks in its log {crashes}")
    return 0 if alive and not fuzz.wrong and not odd and not crashes else 1


if __name__ == "__main__":
    sys.exit(main())
