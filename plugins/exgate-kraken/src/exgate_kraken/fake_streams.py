"""WebSocket v2 of the fake: trades, and books of a window of levels with the checksum of ten. For the kit only."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zlib import crc32

from exgate_testing.fakes import Session, Simulation

from exgate_core.models import Level, Trade

_DEPTHS: Final = (10, 25, 100, 500, 1000)
_CHECKED: Final = 10
_TRADES: Final = 50

Sides = tuple[Sequence[Level], Sequence[Level]]


class Streams:
    """What is subscribed stands in ``session.state``: channel and symbol -> (depth, what ends it)."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def opened(self, session: Session) -> None:
        """The frame with which every connection begins."""
        data = [{"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": 15113583034416118705}]
        session.send(json.dumps({"channel": "status", "type": "update", "data": data}))

    def beat(self, session: Session) -> None:
        """One heartbeat."""
        if session.state:
            session.send('{"channel":"heartbeat"}')

    def closed(self, session: Session) -> None:
        """End everything."""
        while session.state:
            session.state.popitem()[1][1]()

    def message(self, session: Session, asked: dict[str, Any]) -> None:
        """One request of the adapter."""
        if asked["method"] == "ping":
            return self._tell(session, {"method": "pong"}, asked)
        params = asked["params"]
        for symbol in params["symbol"]:
            depth = params.get("depth", 10) if params["channel"] == "book" else 0
            if problem := self._problem(session, asked["method"], params["channel"], symbol, depth):
                answer = {"error": problem, "method": asked["method"], "success": False, "symbol": symbol}
                self._tell(session, answer, asked)
                continue
            result: dict[str, Any] = {"channel": params["channel"], "symbol": symbol}
            result |= {"depth": depth} if depth else {}
            if asked["method"] == "unsubscribe":
                session.state.pop(f"{params['channel']} {symbol}")[1]()
                self._tell(session, {"method": "unsubscribe", "result": result, "success": True}, asked)
                continue
            result["snapshot"] = params.get("snapshot", depth > 0)
            self._tell(session, {"method": "subscribe", "result": result, "success": True}, asked)
            follow = self._book if depth else self._trades
            session.state[f"{params['channel']} {symbol}"] = depth, follow(session, symbol, depth, result["snapshot"])

    def _problem(self, session: Session, method: str, channel: str, symbol: str, depth: int) -> str:
        if symbol not in {market.symbol for market in self._simulation.markets}:
            return f"Currency pair not supported {symbol}"
        if channel not in ("book", "trade"):
            return "Channel field is missing or invalid"
        if depth and depth not in _DEPTHS:
            return "Subscription depth not supported"
        known = session.state.get(f"{channel} {symbol}")
        if method == "subscribe" and known is not None:
            return "Already subscribed"
        return "" if method == "subscribe" or (known is not None and known[0] == depth) else "Subscription Not Found"

    def _tell(self, session: Session, answer: dict[str, Any], asked: dict[str, Any]) -> None:
        now = _time(self._simulation.time_ns())
        more = {"req_id": asked["req_id"]} if "req_id" in asked else {}
        session.send(json.dumps({**answer, **more, "time_in": now, "time_out": now}))

    def _trades(self, session: Session, symbol: str, depth: int, snapshot: bool) -> Callable[[], None]:
        def send(trades: Sequence[Trade], kind: str = "update") -> None:
            rows = ",".join(_trade(symbol, trade) for trade in trades)
            session.send(f'{{"channel":"trade","type":"{kind}","data":[{rows}]}}', f"trade:{symbol}")

        if snapshot:
            send(self._simulation.trades(symbol, _TRADES), "snapshot")
        return self._simulation.on_trades(symbol, send)

    def _book(self, session: Session, symbol: str, depth: int, snapshot: bool) -> Callable[[], None]:
        held: list[Sides] = [((), ())]

        def send(kind: str) -> None:
            book = self._simulation.depth(symbol, depth)
            changed = [_changes(old, new, depth) for old, new in zip(held[0], (book.bids, book.asks), strict=True)]
            held[0] = book.bids, book.asks
            if kind == "snapshot" or any(changed):
                frame = _frame(kind, symbol, changed, _checksum(held[0]), _time(self._simulation.time_ns()))
                session.send(frame, f"book:{symbol}")

        if snapshot:
            send("snapshot")
        return self._simulation.on_delta(symbol, lambda delta: send("update"))


def _changes(old: Sequence[Level], new: Sequence[Level], depth: int) -> list[Level]:
    """What a client that keeps ``depth`` levels must be told: nothing of a level that falls out of them."""
    before, after = dict(old), dict(new)
    gone = [price for price, _ in old if price not in after]
    if len(new) == depth and old and new:
        rising = float(new[-1][0]) > float(new[0][0])
        worst = float(new[-1][0])
        gone = [price for price in gone if (float(price) < worst) == rising]
    return [(price, "0.00000000") for price in gone] + [level for level in new if before.get(level[0]) != level[1]]


def _checksum(sides: Sides) -> int:
    bids, asks = sides
    levels = [*asks[:_CHECKED], *bids[:_CHECKED]]
    return crc32("".join(text.replace(".", "").lstrip("0") for level in levels for text in level).encode())


def _frame(kind: str, symbol: str, changed: Sequence[Sequence[Level]], checksum: int, now: str) -> str:
    bids, asks = (",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in side) for side in changed)
    data = f'"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"{now}"'
    return f'{{"channel":"book","type":"{kind}","data":[{{{data}}}]}}'


def _trade(symbol: str, trade: Trade) -> str:
    return (
        f'{{"symbol":"{symbol}","side":"{trade.taker_side}","price":{trade.price},"qty":{trade.qty},'
        f'"ord_type":"limit","trade_id":{trade.id},"timestamp":"{_time(trade.time_ns)}"}}'
    )


def _time(time_ns: int) -> str:
    moment = datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{time_ns // 1000 % 10**6:06d}Z"
