"""Send every request that exgate-binance can build to a mock server made of the exchange's own OpenAPI description.

    python plugins/exgate-binance/tests/proofs/openapi_requests.py [--short]

Between adapter and exchange (``upstream_prefix``) stands a relay: it shows each request to Stoplight's prism, which
refuses what the description doesn't allow, and has it answered by the fake of the exchange. Needs EXGATE_SHARED, node
and prism (``npm install --prefix .dev/prism @stoplight/prism-cli``, done here where npm is); without them it says so
and ends well. Whether prism refuses at all is tried first.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve()
ROOT = HERE.parents[4]
sys.path.insert(0, str(HERE.parents[1]))
PLACE = ROOT / ".dev" / "prism"
PRISM = PLACE / "node_modules" / ".bin" / "prism"
SIGNED = "timestamp=1499827319559&signature=00"
WRONG: tuple[tuple[str, str, dict[str, str], str], ...] = (
    ("GET", f"/api/v3/openOrders?symbol=BTCUSDT&{SIGNED}", {}, "no key"),
    ("GET", "/api/v3/account?timestamp=1499827319559", {"X-MBX-APIKEY": "k"}, "no signature"),
    ("POST", f"/api/v3/order?symbol=BTCUSDT&side=LONG&type=LIMIT&{SIGNED}", {"X-MBX-APIKEY": "k"}, "a wrong side"),
    ("POST", f"/api/v3/order?side=BUY&type=LIMIT&{SIGNED}", {"X-MBX-APIKEY": "k"}, "no symbol"),
    ("GET", "/api/v3/depth?limit=5", {}, "no symbol"),
)


def missing() -> str:
    """What keeps this from running; empty = nothing."""
    if not os.environ.get("EXGATE_SHARED"):
        return "EXGATE_SHARED is not set: no OpenAPI description"
    if shutil.which("node") is None:
        return "there is no node"
    if not PRISM.exists() and shutil.which("npm"):
        PLACE.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(PLACE), "--no-audit", "--no-fund", "--silent"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run([*command, "@stoplight/prism-cli"], timeout=120, check=False)
    return "" if PRISM.exists() else "prism is absent and can't be installed here"


@contextlib.asynccontextmanager
async def prism(folder: Path) -> AsyncIterator[str]:
    """A mock server of the description; yields its URL."""
    spec = folder / "spot_api.yaml"
    spec.write_bytes(
        gzip.decompress((Path(os.environ["EXGATE_SHARED"]) / "specs/binance_spot_api.yaml.gz").read_bytes())
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        str(PRISM), "mock", "--errors", "-h", "127.0.0.1", "-p", str(port), str(spec), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            while b"is listening" not in (line := await process.stdout.readline()):
                assert line, "prism ended before it listened"
        drain = asyncio.ensure_future(process.stdout.read())
        yield f"http://127.0.0.1:{port}"
        drain.cancel()
    finally:
        process.terminate()
        await process.wait()


class Relay:
    """Shows every request to prism, then has it answered by the fake.

    prism reads numbers as doubles: ids of orders, which the fake counts from 2^53 on, are shown to it that much lower.
    And it also checks the examples with which it answers: one that the description itself has wrong says nothing of the
    request.
    """

    def __init__(self, client: Any, judge: str) -> None:
        self.url = self.upstream = ""
        self.judged: list[tuple[str, str, int, str]] = []
        self._client, self._judge = client, judge

    def before(self, upstream: str) -> str:
        """Where the adapter finds the exchange: here."""
        self.upstream = upstream
        return self.url

    async def verdict(self, method: str, target: str, headers: dict[str, str]) -> tuple[int, str]:
        """prism's status and words."""
        from yarl import URL

        shown = re.sub(r"(?<=orderId=)\d{16,}", lambda found: str(int(found[0]) - 2**53 + 1), target)
        async with self._client.request(method, URL(self._judge + shown, encoded=True), headers=headers) as answer:
            text = await answer.text()
            found = json.loads(text).get("validation", ()) if answer.status == 500 else ()
            if found and all(problem["location"][0] == "response" for problem in found):
                return 200, text
            return answer.status, text[:300]

    async def handle(self, request: Any) -> Any:
        """One request of the adapter."""
        from aiohttp import web
        from yarl import URL

        raw = request.raw_path.lstrip("/")
        parts = urlsplit(raw)
        key = {name: value for name, value in request.headers.items() if name == "X-MBX-APIKEY"}
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.judged.append((request.method, target, *await self.verdict(request.method, target, key)))
        url = URL(self.upstream + raw, encoded=True)
        async with self._client.request(request.method, url, headers=key) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")


async def judge(short: bool) -> int:
    """Run everything; the number of requests that prism refused, and of wrong ones that it didn't."""
    import aiohttp
    from aiohttp import web
    from binance_stage import stage
    from binance_tour import everything

    with tempfile.TemporaryDirectory() as folder:
        async with prism(Path(folder)) as url, aiohttp.ClientSession() as client:
            relay = Relay(client, url)
            blind = [why for method, target, key, why in WRONG if (await relay.verdict(method, target, key))[0] < 400]
            print(f"wrong requests: {len(WRONG)} sent, {len(WRONG) - len(blind)} refused by prism")
            server = web.ServerRunner(web.Server(relay.handle))
            await server.setup()
            site = web.TCPSite(server, "127.0.0.1", 0)
            await site.start()
            relay.url = f"http://127.0.0.1:{server.addresses[0][1]}/"
            for _ in range(1 if short else 3):
                async with stage(prefix=relay.before) as on_stage:
                    await everything(on_stage)
            await server.cleanup()
    return report(relay.judged) + len(blind)


def report(judged: list[tuple[str, str, int, str]]) -> int:
    """Print what prism said; the number of refusals."""
    kinds = Counter(f"{method} {urlsplit(target).path}" for method, target, _, _ in judged)
    for kind, count in sorted(kinds.items()):
        print(f"{count:5} {kind}")
    younger = [row for row in judged if row[2] >= 400 and holds_newer(row[1])]
    refused = [row for row in judged if row[2] >= 400 and row not in younger]
    for method, target, status, words in refused:
        print(f"REFUSED {status} {method} {target}\n        {words}")
    accepted = len(judged) - len(refused) - len(younger)
    print(f"{len(judged)} requests sent to prism: {accepted} accepted, {len(refused)} refused,")
    print(f"{len(younger)} with values that the API's document has and its older description doesn't")
    return len(refused)


def holds_newer(target: str) -> bool:
    """Whether a request holds a value that the description is too old for."""
    from binance_tour import NEWER_VALUES

    pairs = [f"{name}={value}" for name, values in NEWER_VALUES.items() for value in values]
    return any(pair in target.split("&") for pair in pairs)


def main() -> int:
    """0 if prism accepted every request, or isn't here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="once instead of three times")
    short = parser.parse_args().short
    if why := missing():
        print(f"skipped: {why}")
        return 0
    return min(1, asyncio.run(judge(short)))


if __name__ == "__main__":
    sys.exit(main())
