"""Recorded streams through a whole gateway: what many WebSocket clients and local reads get of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
from streaming import SESSIONS, FastClock, streamed, wanted

from exgate_core.settings import Local, Section, Server, Settings
from tests.support.serving import serving

_AGGREGATE = {"ccxt": {"options": {"watchTrades": {"name": "aggTrade"}, "fetchTradesMethod": "publicGetAggTrades"}}}
NO_HISTORY = {"match": "GET .*(/trades|/Trades|/aggTrades|/transactions|ticker)", "status": 503, "times": -1}
"""A rule for the replay, whose history is of another moment: what a stream brings must come over the stream."""
_LONGEST = 20.0


class Gate:
    """Holds the frames of every replayed stream back until it is opened."""

    def __init__(self, venue: Any) -> None:
        self._connections = type(venue.state).websocket.__globals__["Connection"]
        self._play = self._connections.play
        self._open = asyncio.Event()

    def __enter__(self) -> Gate:
        gate, play = self._open, self._play

        async def held(connection: Any, key: str, frames: Any) -> None:
            await gate.wait()
            await play(connection, key, frames)

        self._connections.play = held
        return self

    def __exit__(self, *error: object) -> None:
        self._connections.play = self._play

    def open(self) -> None:
        """Let the frames come."""
        self._open.set()


@asynccontextmanager
async def gateway(venue: Any, state: Path, session: str, pace: float = 5.0) -> AsyncIterator[str]:
    """The URL of a gateway's exchange over a recording."""
    name = session.partition("/")[0]
    venue.state.config.update(speed="max", session={name: session})
    extra = _AGGREGATE if name.startswith("binance") else {}
    section = Section(exchange=name, plugin="exgate-ccxt", upstream_prefix=venue.url, extra=extra)
    settings = Settings(
        server=Server(port=0, state_dir=str(state)), local=Local(idle_stop=60.0), exchanges={"one": section}
    )
    async with serving(settings, runtime=FastClock(pace).runtime()) as running:
        yield f"{running.url}/v1/one"


async def trades_of(url: str, count: int, ready: Any = None) -> list[tuple[str, ...]]:
    """The first ``count`` trades that a client gets; ``ready()`` is called when it has got its first frame."""
    trades: list[tuple[str, ...]] = []
    async with aiohttp.ClientSession() as client, client.ws_connect(url, max_msg_size=0) as socket:
        while len(trades) < count:
            frame = json.loads((await socket.receive(timeout=_LONGEST)).data)
            if ready is not None:
                ready = ready()
            for trade in frame.get("trades", ()):
                maker = str(trade["isBuyerMaker"])
                trades.append((trade["trade_id"], trade["price"], trade["qty"], str(trade["time"]), maker))
    return trades


async def to_many(venue: Any, url: str, symbol: str, expected: list[tuple[str, ...]], clients: int) -> list[str]:
    """Have so many clients read a stream from its first trade; what was wrong with what they got."""
    waiting, address = clients, f"{url}/pull_trade?symbol={symbol}"
    venue.state.faults = [NO_HISTORY]
    with Gate(venue) as gate:

        def ready() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                gate.open()

        got = await asyncio.gather(*(trades_of(address, len(expected), ready) for _ in range(clients)))
    return [f"{symbol}: client {number}" for number, trades in enumerate(got) if trades != expected]


def expected_trades(shared: Path, session: str) -> dict[str, list[tuple[str, ...]]]:
    """Symbol -> all recorded trades, of those symbols that have any."""
    oracle = streamed(shared)[session]
    found = {symbol: [wanted(trade) for trade in oracle[symbol]["trades"]] for symbol in SESSIONS[session]}
    return {symbol: trades for symbol, trades in found.items() if trades}


async def final_book(url: str, symbol: str, expected: Any) -> str:
    """Read the local book over HTTP until it is the recording's last. Empty, or what it was instead."""
    query = {"symbol": symbol, "limit": "25", "isLocal": "true", "tolerate_interval": "60"}
    shown: Any = None
    async with aiohttp.ClientSession() as client:
        with anyio.move_on_after(_LONGEST):
            while True:
                async with client.get(f"{url}/depth", params=query) as answer:
                    found, source = await answer.json(), answer.headers.get("ExGate-Source")
                shown = levels(found) if answer.status == 200 else found
                if source == "local" and shown == [expected["bids"], expected["asks"]]:
                    return ""
                await anyio.sleep(0.02)
    return f"{symbol}: {str(shown)[:300]} != {str([expected['bids'], expected['asks']])[:300]}"


def levels(answer: Any) -> list[Any]:
    """Bids and asks of an answer as pairs."""
    sides = (answer["bid_list"][0]["bid"], answer["ask_list"][0]["bid"])
    return [[[level["price"], level["amount"]] for level in side] for side in sides]
