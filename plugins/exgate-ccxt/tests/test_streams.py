"""Streams against recorded traffic: every trade once and in order, every book to the last digit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exgate_ccxt.windows import WHOLE, WINDOWS

from .streaming import SESSIONS, Copy, collect, found, market_of, opened, streamed, trades_in, wanted

pytestmark = pytest.mark.anyio

BOOKS = [(session, name) for session, names in SESSIONS.items() for name in names]


@pytest.mark.parametrize("session", SESSIONS)
async def test_every_recorded_trade_once_and_in_order(venue: Any, shared: Path, session: str) -> None:
    name, expected, compared = session.partition("/")[0], streamed(shared)[session], 0
    async with opened(venue, name, session) as exchange:
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
            compared += count
    print(f"{session}: {compared} trades")  # noqa: T201


@pytest.mark.parametrize(("session", "symbol"), BOOKS)
async def test_the_final_book_to_the_last_digit(venue: Any, shared: Path, session: str, symbol: str) -> None:
    name, expected = session.partition("/")[0], streamed(shared)[session][symbol]["final_book"]
    levels = WINDOWS.get(name, (1000,))[-1]
    copy, shown = Copy(name, levels), list[bool]()
    # Where a snapshot is fetched, changes must still come after it.
    speed = 800 if name in WHOLE else "max"
    async with opened(venue, name, session, speed=speed) as exchange:
        market = market_of(exchange, symbol)

        def enough(got: list[Any]) -> bool:
            copy.take(got.pop())
            shown.append(copy.shows(expected))
            return shown[-1]

        await collect(lambda emit: exchange.pull_depth(market, levels, emit), enough)
    assert any(shown), (copy.count, copy.book.top(3), expected["bids"][:3], expected["asks"][:3])
    print(f"{session} {symbol}: {copy.count} books")  # noqa: T201
