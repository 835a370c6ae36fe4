"""The adapter over a replay server, and what the recordings expect."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from exgate_okx import Okx, OkxAccount, OkxSettings

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import InvalidArgument
from exgate_core.models import Market, OrderRequest

BTC = Market(symbol="BTC/USDT", id="BTC-USDT", base="BTC", quote="USDT")
SESSION = "okx/20220513"


class Secret(NamedTuple):
    """A secret of a test."""

    text: str

    def reveal(self) -> str:
        return self.text


class Keys(NamedTuple):
    """The credentials of a test."""

    api_key: Secret = Secret("the-key")
    api_secret: Secret = Secret("22582BD0CFF14C41EDBF1AB98506286D")
    passphrase: Secret | None = Secret("the-pass")


class Markets:
    """A market list of one."""

    def resolve(self, text: str) -> Market:
        if text != BTC.id:
            raise InvalidArgument.of("symbol", "no such market")
        return BTC


class Public:
    """The public side of an account under test."""

    name = "okx"
    markets = Markets()


@asynccontextmanager
async def transport(venue: Any, session: str = "", *, sandbox: bool = False) -> AsyncIterator[Transport]:
    """A way to the replay server. Control of its pace is off."""
    venue.state.config.update(speed="max", session={"okx": session} if session else {})
    runtime = Runtime()
    budget = Budget(100_000, 1, runtime.clock, runtime.sleep)
    async with Transport(budget, runtime, upstream_prefix=venue.url, sandbox=sandbox) as way:
        yield way


@asynccontextmanager
async def public(venue: Any, session: str = SESSION, *, sandbox: bool = False, **settings: Any) -> AsyncIterator[Okx]:
    """The public side over one recorded session."""
    async with transport(venue, session, sandbox=sandbox) as way:
        yield Okx(way.context("okx", OkxSettings(**settings)))


@asynccontextmanager
async def account(
    venue: Any, session: str = "", *, sandbox: bool = False, **settings: Any
) -> AsyncIterator[OkxAccount]:
    """The private side over one recorded session; the requests of its opening are forgotten."""
    async with transport(venue, session, sandbox=sandbox) as way:
        context = way.context("okx", OkxSettings(**settings), credentials=Keys(), exchange=Public())
        async with OkxAccount(context) as opened:
            venue.state.log.clear()
            yield opened


def limit_order(**changes: Any) -> OrderRequest:
    """An order as the gateway would hand it on."""
    given = {"market": BTC, "side": "buy", "type": "limit", "client_order_id": "b15", "price": "2.15", "amount": "2"}
    return OrderRequest(**{**given, **changes})


async def collect(
    run: Callable[[Callable[[Any], None]], Coroutine[Any, Any, None]], enough: Callable[[list[Any]], bool]
) -> list[Any]:
    """What a pull emits until there is enough of it."""
    got: list[Any] = []
    full = anyio.Event()

    def emit(item: Any) -> None:
        got.append(item)
        if enough(got):
            full.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, emit)
            await full.wait()
            tasks.cancel_scope.cancel()
    return got


def oracles(shared: Path, *operations: str) -> list[dict[str, Any]]:
    """The expected answers of OKX."""
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [row for row in found if row["exchange"] == "okx" and row["op"] in operations]


def recorded(shared: Path, record: str) -> bytes:
    """The body of one recorded answer."""
    session, _, name = record.rpartition("/")
    folder = shared / "recordings" / session
    plain = folder / "rest.jsonl"
    with plain.open() if plain.exists() else gzip.open(folder / "rest.jsonl.gz", "rt") as lines:
        return next(str(row["r"]).encode() for row in map(json.loads, lines) if row["id"] == name)


def streamed(shared: Path, symbol: str) -> dict[str, Any]:
    """The expected trades and final book of the recorded stream."""
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        found: dict[str, Any] = json.load(text)[SESSION][symbol]
    return found


def requests(venue: Any, path: str) -> list[dict[str, Any]]:
    """What was asked for at a path."""
    return [entry for entry in venue.state.log if path in entry.get("url", "").partition("?")[0]]
