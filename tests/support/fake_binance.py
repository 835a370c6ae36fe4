"""A Binance of one process: markets, trades with contiguous ids and their streams, as many at once as it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from exgate_core.protocols import text_frame

FIRST_ID = 10_000_000
"""The id of the last trade before the first."""

_ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
_TIME = 1_700_000_000_000


def price(number: int) -> str:
    """The price of a trade."""
    return f"{64_000 + number % 100}.12000000"


def trade_payload(name: str, number: int, *, combined: bool = True) -> bytes:
    """A trade as the stream carries it; ``combined``: in the envelope of a combined stream."""
    data = (
        f'{{"e":"trade","E":{_TIME + number},"s":"{name}","t":{number},"p":"{price(number)}",'
        f'"q":"0.00100000","T":{_TIME + number},"m":{"true" if number % 2 else "false"},"M":true}}'
    )
    return (f'{{"stream":"{name.lower()}@trade","data":{data}}}' if combined else data).encode()


def symbol_row(base: str, quote: str) -> dict[str, Any]:
    """A market as exchangeInfo has it, about as long as a real one."""
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.0", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.0", "stepSize": "0.00001000"},
            {"filterType": "ICEBERG_PARTS", "limit": 10},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "141.37", "stepSize": "0.00000000"},
            {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000},
            {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "askMultiplierUp": "5", "avgPriceMins": 5},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "maxNotional": "9000000.0", "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        ],
        "permissions": [],
        "permissionSets": [],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"],
    }


def book(levels: int) -> bytes:
    """An answer to a question for a book, with so many levels a side."""
    bids = [[f"{64_000 - level}.00", "1"] for level in range(levels)]
    asks = [[f"{64_001 + level}.00", "1"] for level in range(levels)]
    return json.dumps({"lastUpdateId": 1, "bids": bids, "asks": asks}).encode()


class FakeBinance:
    """Every market has its own trade ids, from ``FIRST_ID + 1``, and all have the same book."""

    def __init__(self, markets: int = 2, levels: int = 1) -> None:
        bases = ["BTC", "ETH", *(f"C{number:04d}" for number in range(markets - 2))]
        info = {"timezone": "UTC", "serverTime": _TIME, "rateLimits": [], "exchangeFilters": []}
        self._info = json.dumps({**info, "symbols": [symbol_row(base, "USDT") for base in bases]}).encode()
        self.last: dict[str, int] = {base + "USDT": FIRST_ID for base in bases}
        self.books_asked = 0
        self._book = book(levels)
        self.port = 0
        self._followers: dict[str, set[_Connection]] = {}
        self._news = asyncio.Event()

    @property
    def prefix(self) -> str:
        """What to put before Binance's addresses to come here."""
        return f"http://127.0.0.1:{self.port}/"

    async def followed(self, name: str) -> None:
        """Wait until somebody has subscribed to the trades of a market."""
        while not self._followers.get(f"{name.lower()}@trade"):
            self._news.clear()
            await self._news.wait()

    def trade(self, name: str, count: int = 1) -> int:
        """So many trades happen at once; the id of the last."""
        first = self.last[name] + 1
        self.last[name] += count
        numbers = range(first, first + count)
        for follower in self._followers.get(f"{name.lower()}@trade", ()):
            payloads = (trade_payload(name, number, combined=follower.combined) for number in numbers)
            follower.transport.write(b"".join(map(text_frame, payloads)))
        return self.last[name]

    def follow(self, topics: list[str], connection: _Connection, *, wanted: bool) -> None:
        """A connection subscribed or unsubscribed."""
        for topic in topics:
            followers = self._followers.setdefault(topic, set())
            (followers.add if wanted else followers.discard)(connection)
        self._news.set()

    def gone(self, connection: _Connection) -> None:
        """A connection is over."""
        for followers in self._followers.values():
            followers.discard(connection)

    def cut(self) -> int:
        """Break every connection that follows something; how many."""
        found = {follower for followers in self._followers.values() for follower in followers}
        for follower in found:
            follower.transport.abort()
        return len(found)

    def answer(self, target: str) -> bytes:
        """The body for a request line's target."""
        parts = urlsplit(target[target.index("/api/") :])
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path.endswith("exchangeInfo"):
            return self._info
        if parts.path.endswith("depth"):
            self.books_asked += 1
            return self._book
        return self._trades(query)

    def _trades(self, query: dict[str, str]) -> bytes:
        last, limit = self.last[query["symbol"]], int(query.get("limit", "500"))
        first = int(query.get("fromId", max(FIRST_ID, last - limit) + 1))
        rows = [
            {
                "id": number,
                "price": price(number),
                "qty": "0.00100000",
                "quoteQty": "64.00012000",
                "time": _TIME + number,
                "isBuyerMaker": bool(number % 2),
                "isBestMatch": True,
            }
            for number in range(first, min(last, first + limit - 1) + 1)
        ]
        return json.dumps(rows).encode()


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, fake: FakeBinance) -> None:
        self._fake, self._data, self._upgraded = fake, b"", False
        self.combined = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._fake.gone(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while self._frame() if self._upgraded else self._request():
            pass

    def _request(self) -> bool:
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return False
        self._data = rest
        target = head.split(b" ", 2)[1].decode()
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head)
        if key:
            self._upgraded, self.combined = True, target.endswith("/stream")
            self.transport.write(_ACCEPT + _accept(key[1]) + b"\r\n\r\n")
        else:
            body = self._fake.answer(target)
            length = b"%d" % len(body)
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + length + b"\r\n\r\n" + body
            )
        return True

    def _frame(self) -> bool:
        size, start = (self._data[1] & 127, 2) if len(self._data) > 1 else (0, 2)
        if size == 126:
            size, start = int.from_bytes(self._data[2:4], "big"), 4
        if len(self._data) < start + 4 + size:
            return False
        kind, mask = self._data[0] & 15, self._data[start : start + 4]
        masked = self._data[start + 4 : start + 4 + size]
        self._data = self._data[start + 4 + size :]
        self._message(kind, bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked)))
        return True

    def _message(self, kind: int, payload: bytes) -> None:
        if kind == 9:
            self.transport.write(b"\x8a" + len(payload).to_bytes(1, "big") + payload)
        elif kind == 8:
            self.transport.close()
        elif kind == 1:
            message = json.loads(payload)
            self._fake.follow(message["params"], self, wanted=message["method"] == "SUBSCRIBE")
            self.transport.write(text_frame(b'{"result":null,"id":%d}' % message["id"]))


def _accept(key: bytes) -> bytes:
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    return base64.b64encode(digest)


@asynccontextmanager
async def fake_binance(markets: int = 2, levels: int = 1) -> AsyncIterator[FakeBinance]:
    """Listens on a free port of this machine until the block ends."""
    fake = FakeBinance(markets, levels)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(fake), "127.0.0.1", 0)
    try:
        fake.port = server.sockets[0].getsockname()[1]
        yield fake
    finally:
        server.close()
