"""Recorded streams through a whole gateway: what its WebSocket clients and local reads get. Needs EXGATE_SHARED.

One stream and one book an exchange; all of them: ``proofs/ccxt_recordings.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("aiohttp")

from recorded_streams import NO_HISTORY, expected_trades, final_book, gateway, to_many, trades_of
from streaming import SESSIONS, streamed

pytestmark = pytest.mark.anyio

STREAMED = {
    "binance/20210404-btc-eth-dot": "DOTUSDT",
    "binanceus/20211012": "OMGBUSD",
    "bitstamp/20220105": "ethusd",
    "coinbase/20210417-a-adv": "SKL-USD",
    "coinbaseexchange/20210417-a": "SKL-USD",
    "kraken/20210417-v2": "SC/EUR",
    "okx/20220513": "BTC-USDT",
}


@pytest.mark.parametrize("session", STREAMED)
async def test_every_trade_to_a_hundred_clients_once_and_in_order(
    venue: Any, shared: Path, tmp_path: Path, session: str
) -> None:
    symbol = STREAMED[session]
    async with gateway(venue, tmp_path, session) as url:
        assert not await to_many(venue, url, symbol, expected_trades(shared, session)[symbol], 100)


@pytest.mark.parametrize("session", [session for session in STREAMED if "binanceus" not in session])
async def test_every_trade_once_though_the_stream_is_cut(
    venue: Any, shared: Path, tmp_path: Path, session: str
) -> None:
    symbol = STREAMED[session]
    expected = expected_trades(shared, session)[symbol]
    # The recording starts again when the stream is opened again.
    venue.state.faults = [NO_HISTORY, {"kind": "ws", "cut_after": max(3, len(expected) // 2), "times": 1}]
    async with gateway(venue, tmp_path, session, pace=10) as url:
        with anyio.fail_after(45):
            got = await trades_of(f"{url}/pull_trade?symbol={symbol}", len(expected))
    assert got == expected


@pytest.mark.parametrize("session", STREAMED)
async def test_local_depth_is_the_final_book(venue: Any, shared: Path, tmp_path: Path, session: str) -> None:
    symbol = SESSIONS[session][0]
    async with gateway(venue, tmp_path, session) as url:
        assert not await final_book(url, symbol, streamed(shared)[session][symbol]["final_book"])
