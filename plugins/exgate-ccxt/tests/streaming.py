"""What the tests of streams share: recordings, an open exchange over them, and what its streams emit."""

from __future__ import annotations

import functools
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from exgate_ccxt import CcxtExchange, CcxtSettings
from exgate_ccxt.proofs import CHECKSUMS
from exgate_ccxt.windows import WINDOWS

from exgate_core.book import Book
from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.models import Depth, DepthDelta, Market, Trade

AGGREGATE = CcxtSettings(ccxt={"options": {"watchTrades": {"name": "aggTrade"}}})
"""Binance's recordings hold aggregate trades."""

SESSIONS = {
    "binance/20210404-btc-eth-dot": ("BTCUSDT", "DOTUSDT", "ETHUSDT"),
    "binance/20211012-small-prices": ("BLZETH", "LRCBTC", "NKNUSDT", "RUNEEUR"),
    "binanceus/20211012": ("COMPUSDT", "CRVUSDT", "OMGBUSD", "ZRXUSDT"),
    "bitstamp/20220105": ("adaeur", "bateur", "batbtc", "ethusd", "usdteur", "usdtusd", "xlmgbp", "xrpeur", "galaeur"),
    "coinbase/20210417-a-adv": ("BAND-GBP", "CRV-EUR", "NMR-EUR", "NU-GBP", "SKL-BTC", "SKL-USD"),
    "coinbaseexchange/20210417-a": ("BAND-GBP", "CRV-EUR", "NMR-EUR", "NU-GBP", "SKL-BTC", "SKL-USD"),
    "kraken/20210417-v2": (
        *("ADA/BTC", "BTC/CHF", "ETH/CHF", "GRT/ETH", "KSM/BTC"),
        *("OCEAN/BTC", "OMG/USD", "SC/EUR", "WAVES/EUR", "XMR/USD"),
    ),
    "okx/20220513": ("BTC-USDT",),
}
"""Recorded session -> the exchange's names of its spot markets."""


@functools.cache
def streamed(shared: Path) -> dict[str, Any]:
    """Session -> market -> what came over its streams."""
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        found: dict[str, Any] = json.load(text)
        return found


@asynccontextmanager
async def opened(
    venue: Any, name: str, session: str, *, speed: str | float = "max", runtime: Runtime | None = None
) -> AsyncIterator[CcxtExchange]:
    """The public side of an exchange over a recording, which plays with so many frames a second."""
    venue.state.config.update(speed=speed, session={name: session})
    runtime = runtime or Runtime()
    budget = Budget(100_000, 1, runtime.clock, runtime.sleep)
    settings = AGGREGATE if name.startswith("binance") else None
    async with (
        Transport(budget, runtime, upstream_prefix=venue.url) as transport,
        CcxtExchange(transport.context(name, settings)) as exchange,
    ):
        yield exchange


def market_of(exchange: CcxtExchange, name: str) -> Market:
    """A market by the exchange's name or the unified one."""
    symbol = exchange.client.exgate_markets.symbol_of(name) or name
    markets: tuple[Market, ...] = tuple(exchange.client.exgate_markets.values)
    return next(market for market in markets if market.symbol == symbol)


async def collect(
    run: Callable[[Callable[[Any], None]], Coroutine[Any, Any, None]],
    enough: Callable[[list[Any]], bool],
    limit: float = 15,
) -> list[Any]:
    """What a pull emits until there is enough of it, or for so many seconds."""
    got: list[Any] = []
    full = anyio.Event()

    def emit(item: Any) -> None:
        got.append(item)
        if enough(got):
            full.set()

    with anyio.move_on_after(limit):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, emit)
            await full.wait()
            tasks.cancel_scope.cancel()
    return got


def wanted(trade: dict[str, Any]) -> tuple[str, ...]:
    """A trade of the oracle."""
    return trade["id"], trade["price"], trade["qty"], trade["time"], str(trade["isBuyerMaker"])


def found(trade: Trade) -> tuple[str, ...]:
    """The same of a trade of ours."""
    return trade.id, trade.price, trade.qty, str(trade.time), str(trade.taker_side == "sell")


def trades_in(batches: Sequence[Sequence[Trade]]) -> list[Trade]:
    """All trades of all batches."""
    return [trade for batch in batches for trade in batch]


class Copy:
    """The core's book, fed by a stream."""

    def __init__(self, name: str, levels: int) -> None:
        self.book = Book(CHECKSUMS.get(name, ""), levels=levels, window=name in WINDOWS)
        self.count, self.levels = 0, levels

    def take(self, item: Depth | DepthDelta | None) -> None:
        """What the stream emitted. Fails if it doesn't fit."""
        if item is None:
            return
        self.count += 1
        right = self.book.reset(item) if isinstance(item, Depth) else self.book.apply(item)
        assert right, self.book.fault

    def shows(self, expected: dict[str, Any]) -> bool:
        """Whether it is the book of the oracle."""
        if not self.book.in_sync:
            return False
        top = self.book.top(25)
        return [list(map(list, top.bids)), list(map(list, top.asks))] == [expected["bids"], expected["asks"]]


class FastClock:
    """The machine's time, ``pace`` times as fast."""

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._start = time.monotonic()

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return (time.monotonic() - self._start) * self._pace

    def time(self) -> float:
        """Seconds since the epoch, of a day long past."""
        return 1_700_000_000 + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        """So many of its seconds."""
        await anyio.sleep(seconds / self._pace)

    def runtime(self) -> Runtime:
        """All that waits goes by it."""
        return Runtime(clock=self, sleep=self.sleep)
