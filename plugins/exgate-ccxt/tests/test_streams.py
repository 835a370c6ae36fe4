"""Streams against recorded traffic: every trade once and in order, every book to the last digit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from exgate_ccxt import CcxtExchange
from exgate_ccxt.windows import WHOLE, WINDOWS
from streaming import SESSIONS, Copy, collect, found, market_of, opened, streamed, trades_in, wanted

pytestmark = pytest.mark.anyio


async def all_trades(exchange: Any, symbol: str, count: int) -> list[Any]:
    market = market_of(exchange, symbol)
    return await collect(lambda emit: exchange.pull_trade(market, emit), lambda got: len(trades_in(got)) >= count)


@pytest.mark.parametrize("session", SESSIONS)
async def test_every_recorded_trade_once_and_in_order(venue: Any, shared: Path, session: str) -> None:
    name, expected, compared = session.partition("/")[0], streamed(shared)[session], 0
    async with opened(venue, name, session) as exchange:
        for symbol in SESSIONS[session]:
            trades = expected[symbol]["trades"]
            if not trades:
                continue
            got = await all_trades(exchange, symbol, len(trades))
            assert [found(trade) for trade in trades_in(got)] == [wanted(trade) for trade in trades], symbol
            compared += len(trades)
    print(f"{session}: {compared} trades")  # noqa: T201


@pytest.mark.parametrize("session", SESSIONS)
async def test_the_final_books_to_the_last_digit(venue: Any, shared: Path, session: str) -> None:
    name, expected = session.partition("/")[0], streamed(shared)[session]
    # Where a snapshot is fetched, changes must still come after it.
    speed = 800 if name in WHOLE else "max"
    async with opened(venue, name, session, speed=speed) as exchange, anyio.create_task_group() as tasks:
        for symbol in SESSIONS[session]:
            tasks.start_soon(check_book, exchange, name, symbol, expected[symbol]["final_book"])


async def check_book(exchange: CcxtExchange, name: str, symbol: str, expected: dict[str, Any]) -> None:
    levels = WINDOWS.get(name, (1000,))[-1]
    copy, shown = Copy(name, levels), list[bool]()
    market = market_of(exchange, symbol)

    def enough(got: list[Any]) -> bool:
        copy.take(got.pop())
        shown.append(copy.shows(expected))
        return shown[-1]

    await collect(lambda emit: exchange.pull_depth(market, levels, emit), enough)
    assert any(shown), (symbol, copy.count, copy.book.top(3), expected["bids"][:3], expected["asks"][:3])
    print(f"{name} {symbol}: {copy.count} books")  # noqa: T201
