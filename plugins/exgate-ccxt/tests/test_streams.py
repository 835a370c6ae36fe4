"""Streams against recorded traffic: every trade once and in order, every book to the last digit. Needs EXGATE_SHARED."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from exgate_ccxt import CcxtExchange, CcxtSettings
from exgate_ccxt.proofs import CHECKSUMS
from exgate_ccxt.windows import WINDOWS

from exgate_core.book import Book
from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.models import Depth, DepthDelta, Market, Trade

pytestmark = pytest.mark.anyio

AGGREGATE = CcxtSettings(ccxt={"options": {"watchTrades": {"name": "aggTrade"}}})
SESSIONS = {
    "binance/20210404-btc-eth-dot": ("BTCUSDT", "DOTUSDT", "ETHUSDT"),
    "binance/20211012-small-prices": ("BLZETH", "LRCBTC", "NKNUSDT", "RUNEEUR"),
    "binanceus/20211012": ("COMPUSDT", "CRVUSDT", "OMGBUSD", "ZRXUSDT"),
    "bitstamp/20220105": ("adaeur", "bateur", "batbtc", "ethusd", "usdteur", "usdtusd", "xlmgbp", "xrpeur", "galaeur"),
    "coinbase/20210417-a-adv": ("BAND-GBP", "CRV-EUR", "NMR-EUR", "NU-GBP", "SKL-BTC", "SKL-USD"),
    "coinbaseexchange/20210417-a": ("BAND-GBP", "CRV-EUR", "NMR-EUR", "NU-GBP", "SKL-BTC", "SKL-USD"),
    "kraken/20210417-v2": ("ADA/BTC", "BTC/CHF", "ETH/CHF", "GRT/ETH", "KSM/BTC", "OMG/USD", "SC/EUR", "XMR/USD"),
    "okx/20220513": ("BTC-USDT",),
}
BOOKS = [(session, name) for session, names in SESSIONS.items() for name in names]


def streamed(shared: Path) -> dict[str, Any]:
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        found: dict[str, Any] = json.load(text)
        return found


@asynccontextmanager
async def opened(venue: Any, name: str, session: str = "", settings: Any = None) -> AsyncIterator[CcxtExchange]:
    venue.state.config.update(speed="max", session={name: session} if session else {})
    runtime = Runtime()
    budget = Budget(100_000, 1, runtime.clock, runtime.sleep)
    async with (
        Transport(budget, runtime, upstream_prefix=venue.url) as transport,
        CcxtExchange(transport.context(name, settings)) as exchange,
    ):
        yield exchange


def market_of(exchange: CcxtExchange, name: str) -> Market:
    symbol = exchange.client.exgate_markets.symbol_of(name) or name
    return next(market for market in exchange.client.exgate_markets.values if market.symbol == symbol)


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

    with anyio.move_on_after(15):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, emit)
            await full.wait()
            tasks.cancel_scope.cancel()
    return got


def wanted(trade: dict[str, Any]) -> tuple[str, ...]:
    return trade["id"], trade["price"], trade["qty"], trade["time"], str(trade["isBuyerMaker"])


def found(trade: Trade) -> tuple[str, ...]:
    return trade.id, trade.price, trade.qty, str(trade.time), str(trade.taker_side == "sell")


def trades_in(batches: Sequence[Sequence[Trade]]) -> list[Trade]:
    return [trade for batch in batches for trade in batch]


@pytest.mark.parametrize("session", SESSIONS)
async def test_every_recorded_trade_once_and_in_order(venue: Any, shared: Path, session: str) -> None:
    name, expected = session.partition("/")[0], streamed(shared)[session]
    settings = AGGREGATE if name.startswith("binance") else None
    async with opened(venue, name, session, settings) as exchange:
        for symbol in SESSIONS[session]:
            trades = expected[symbol]["trades"]
            if not trades:
                continue
            market, count = market_of(exchange, symbol), len(trades)
            got = await collect(
                lambda emit, market=market: exchange.pull_trade(market, emit),
                lambda got, count=count: len(trades_in(got)) >= count,
            )
            assert [found(trade) for trade in trades_in(got)] == [wanted(trade) for trade in trades], symbol


class Copy:
    """The core's book, fed by a stream."""

    def __init__(self, name: str, levels: int) -> None:
        self.book = Book(CHECKSUMS.get(name, ""), levels=levels, window=name in WINDOWS)
        self.count = 0

    def take(self, item: Depth | DepthDelta | None) -> None:
        if item is None:
            return
        self.count += 1
        right = self.book.reset(item) if isinstance(item, Depth) else self.book.apply(item)
        assert right, self.book.fault

    def shows(self, expected: dict[str, Any]) -> bool:
        if not self.book.in_sync:
            return False
        top = self.book.top(25)
        return [list(map(list, top.bids)), list(map(list, top.asks))] == [expected["bids"], expected["asks"]]


@pytest.mark.parametrize(("session", "symbol"), BOOKS)
async def test_the_final_book_to_the_last_digit(venue: Any, shared: Path, session: str, symbol: str) -> None:
    name, expected = session.partition("/")[0], streamed(shared)[session][symbol]["final_book"]
    levels = WINDOWS.get(name, (1000,))[-1]
    copy = Copy(name, levels)
    async with opened(venue, name, session) as exchange:
        market = market_of(exchange, symbol)

        def enough(got: list[Any]) -> bool:
            copy.take(got.pop())
            return copy.shows(expected)

        await collect(lambda emit: exchange.pull_depth(market, levels, emit), enough)
    assert copy.shows(expected), (copy.count, copy.book.top(3), expected["bids"][:3], expected["asks"][:3])
