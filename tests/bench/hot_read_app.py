"""What one local depth read costs in the app, against the same answer from FastAPI with a response model.

No server and no socket: the ASGI apps are called directly, in turns, so that noise hits both. The book has 20 levels a
side and is in sync; the guard is the real one. Besides the app over a plain value, the whole gateway over the paper
exchange is measured where that is installed. Prints the ratio, median of all rounds; the goal is 0.12.

    python tests/bench/hot_read_app.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.access import Guard, Tokens
from exgate_core.app import make_app
from exgate_core.contract import depth_json
from exgate_core.gateway import open_gateway
from exgate_core.models import Answer, Depth, Freshness, Market
from exgate_core.plugins import load_catalogue
from exgate_core.settings import Server, Settings
from tests.support.fake_gateway import FakeEntry, FakeGateway, ask

GOAL = 0.12
BASE = "FastAPI, response model"
PATH = "/v1/paper/depth"
LEVELS = [(f"{64000 + n}.12000000", f"0.{n:08d}") for n in range(20)]
BOOK = Depth(bids=LEVELS[::-1], asks=LEVELS, last_update_id=123456789012, timestamp=1_700_000_000_123)
QUERY = b"symbol=BTC/USDT&limit=20&isLocal=true"
HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"user-agent", b"python-requests/2.32"),
    (b"connection", b"keep-alive"),
]


class LocalEntry(FakeEntry):
    """A copy in sync: the encoded book is there, or only its levels."""

    encoded: bytes | None = depth_json(BOOK)

    async def depth(self, market: Market, limit: int, freshness: Freshness) -> Answer[Depth]:
        return Answer(BOOK, "local", 0.012, self.encoded)


class Level(BaseModel):
    """One level, as a FastAPI user writes it."""

    price: str
    amount: str


class Side(BaseModel):
    """One side."""

    bid: list[Level]


class DepthModel(BaseModel):
    """The seed's answer."""

    lastUpdateId: int
    timeStamp: int
    bid_list: list[Side]
    ask_list: list[Side]


def fastapi_app() -> Any:
    """The same operation with the framework's own means."""
    app = FastAPI()

    @app.get("/v1/{exchange}/depth", response_model=DepthModel)
    async def depth(
        exchange: str, symbol: str = "", limit: int = 500, isLocal: bool = False, tolerate_interval: float | None = None
    ) -> Any:
        def side(levels: Sequence[tuple[str, str]]) -> Any:
            return [{"bid": [{"price": price, "amount": amount} for price, amount in levels[:limit]]}]

        return {
            "lastUpdateId": BOOK.last_update_id,
            "timeStamp": BOOK.timestamp,
            "bid_list": side(BOOK.bids),
            "ask_list": side(BOOK.asks),
        }

    return app


def exgate_app(*, encoded: bool) -> Any:
    """ExGate's app with its real guard over a copy in memory."""
    gateway = FakeGateway()
    entry = LocalEntry()
    if not encoded:
        entry.encoded = None
    gateway.entries["paper"] = entry
    return make_app(gateway, Guard(Server(), Tokens({})))


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The least that an ASGI app can do."""
    body = depth_json(BOOK)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


async def receive() -> Any:
    """A request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def cost(app: Any, calls: int) -> float:
    """Seconds of processor time per request."""
    messages = 0

    async def send(message: Any) -> None:
        nonlocal messages
        messages += 1

    start = time.process_time()
    for _ in range(calls):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": QUERY,
            "root_path": "",
            "headers": list(HEADERS),
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
            "extensions": {},
        }
        await app(scope, receive, send)
    assert messages == 2 * calls
    return (time.process_time() - start) / calls


async def is_local(app: Any) -> bool:
    """Whether the app answers this read from its copy now."""
    got = await ask(app, "GET", f"{PATH}?{QUERY.decode()}")
    return got.status == 200 and got.headers["exgate-source"] == "local"


@asynccontextmanager
async def whole_gateway() -> AsyncIterator[Any]:
    """ExGate with everything in it over the paper exchange, whose market moves; None where that isn't installed."""
    catalogue = load_catalogue(["exgate-paper"])
    with TemporaryDirectory() as folder:
        settings = Settings(server=Server(state_dir=folder))
        async with open_gateway(settings, catalogue) as gateway:
            app = make_app(gateway, Guard(Server(), Tokens({})))
            if not catalogue.offers:
                yield None
                return
            for _ in range(3000):
                if await is_local(app):
                    break
                await asyncio.sleep(0.01)
            yield app


async def measure(rounds: int, calls: int) -> dict[str, list[float]]:
    """Seconds per request of each app, round by round."""
    apps = {
        BASE: fastapi_app(),
        "exgate app, book encoded": exgate_app(encoded=True),
        "exgate app, book just changed": exgate_app(encoded=False),
        "bare ASGI, book just changed": bare,
    }
    async with whole_gateway() as whole:
        if whole is not None:
            apps["exgate, whole, over paper"] = whole
        costs: dict[str, list[float]] = {name: [] for name in apps}
        for number in range(rounds + 1):
            for name, app in apps.items():
                await asyncio.sleep(0.01)  # the gateway's feeds run while nobody asks
                seconds = await cost(app, calls)
                if number:  # the first round warms up
                    costs[name].append(seconds)
            assert whole is None or await is_local(whole), "the copy got lost"
    return costs


def main() -> None:
    """Measure and print; ends with 1 above the goal, unless it is only a smoke run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=3000)
    chosen = parser.parse_args()
    rounds, calls = (3, 200) if chosen.smoke else (chosen.rounds, chosen.calls)
    costs = asyncio.run(measure(rounds, calls))
    worst = 0.0
    for name, seconds in costs.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(seconds, costs[BASE], strict=True))
        worst = max(worst, ratio) if name.startswith("exgate") else worst
        print(f"{name:32} {statistics.median(seconds) * 1e6:8.1f} us   {ratio:.4f} of FastAPI")
    print(f"worst exgate ratio {worst:.3f}, goal {GOAL}, {rounds} rounds of {calls} calls")
    sys.exit(not chosen.smoke and worst > GOAL)


if __name__ == "__main__":
    main()
