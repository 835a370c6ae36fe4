"""A gateway and a guard made of plain values, and a caller that speaks ASGI to a door in front of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import unquote

from exgate_core.access import Caller
from exgate_core.contract import PlaceBody
from exgate_core.errors import ExGateError, NotFound
from exgate_core.grants import OWNER
from exgate_core.markets import MarketList
from exgate_core.models import Answer, Balance, CancelResult, Depth, Freshness, Market, Order, Trade

BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT", tick_size="0.01")
ETH = Market(symbol="ETH/USDT", id="ETHUSDT", base="ETH", quote="USDT")
DEPTH = Depth(bids=[("1.50", "0.10")], asks=[("1.60", "2")], last_update_id=7, timestamp=9)
TRADE = Trade(id="12345678901234567890", price="2", qty="3", time=5, taker_side="sell", time_ns=5_000_001)
ORDER = Order(
    order_id="A-1", symbol="BTC/USDT", side="buy", type="limit", price="1", amount="2", client_order_id="mine"
)

STANDING: dict[str, dict[str, str]] = {
    "exchanges": {"main": "failed"},
    "accounts": {"paper": "open"},
    "problems": {"main": "no keys"},
}


@dataclass
class FakeExchange:
    """The public side as far as doors look at it."""

    markets: MarketList = field(default_factory=lambda: MarketList([BTC, ETH]))

    def has(self, operation: str) -> bool:
        return True


class Placed(NamedTuple):
    order_id: str = "A-1"
    client_order_id: str = "mine"
    replayed: float | None = None


class FakeEntry:
    """Answers with the values above, keeps what it was asked, and raises ``error`` where one is set."""

    def __init__(self, name: str = "paper") -> None:
        self.name = name
        self.private_real = True
        self.exchange = FakeExchange()
        self.error: Exception | None = None
        self.body: bytes | None = None
        self.placed = Placed()
        self.canceled = CancelResult(status="canceled")
        self.asked: list[tuple[Any, ...]] = []
        self.reader: Any = None

    def _asked(self, *what: Any) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    async def depth(self, market: Market, limit: int, freshness: Freshness) -> Answer[Depth]:
        self._asked("depth", market.symbol, limit, freshness)
        return Answer(DEPTH, "local" if freshness.local else "exchange", 0.0123, self.body)

    async def recent_trades(self, market: Market, limit: int, freshness: Freshness) -> Answer[Sequence[Trade]]:
        self._asked("recent_trades", market.symbol, limit, freshness)
        return Answer([TRADE], "exchange", 1.5, self.body)

    def pin(self, market: Market) -> tuple[str, str]:
        self._asked("pin", market.symbol)
        return "starting", "opening the stream"

    def unpin(self, market: Market) -> tuple[str, str]:
        self._asked("unpin", market.symbol)
        return "live", "stops when idle"

    def pulls(self) -> list[dict[str, Any]]:
        return [{"symbol": "BTC/USDT", "status": "live", "age": 0.5}]

    def capabilities(self) -> dict[str, Any]:
        return {"exchange": self.name, "operations": {"depth": "Paper"}}

    async def pull_trade(self, market: Market, since_id: str | None, serve: Callable[[Any], Awaitable[None]]) -> None:
        self._asked("pull_trade", market.symbol, since_id)
        await serve(self.reader)

    async def balances(self, credentials: Any) -> Answer[Sequence[Balance]]:
        self._asked("balances", credentials)
        return Answer([Balance(asset="BTC", available="1.0", frozen="0")], "exchange", 0.25)

    async def pending_orders(self, credentials: Any, market: Market | None) -> Answer[Sequence[Order]]:
        self._asked("pending_orders", credentials, market and market.symbol)
        return Answer([ORDER], "exchange", 0.25)

    async def find_order(self, credentials: Any, market: Market | None, order_id: str, client_order_id: str) -> Order:
        self._asked("find_order", credentials, market and market.symbol, order_id, client_order_id)
        return ORDER

    async def place_order(
        self, credentials: Any, market: Market, body: PlaceBody, key: str, refusal: ExGateError | None
    ) -> Placed:
        self._asked("place_order", credentials, market.symbol, body, key)
        return self.placed

    async def cancel_order(
        self, credentials: Any, market: Market | None, order_id: str, client_order_id: str
    ) -> CancelResult:
        self._asked("cancel_order", credentials, market and market.symbol, order_id, client_order_id)
        return self.canceled


class FakeGateway:
    """One open name, ``paper``."""

    def __init__(self, root_path: str = "", deadline: float = 10.0) -> None:
        server = SimpleNamespace(root_path=root_path, deadline=deadline)
        offer = SimpleNamespace(distribution="exgate-paper", version="1.0", operations=frozenset({"depth"}))
        self.settings = SimpleNamespace(server=server, exchanges={"main": SimpleNamespace(exchange="paper")})
        self.catalogue = SimpleNamespace(offers={"paper": (offer,)})
        self.paper = FakeEntry()
        self.entries: dict[str, Any] = {"paper": self.paper}
        self.opening: Exception | None = None
        self.ready: tuple[bool, dict[str, Any]] = (True, {"journal": "ok", **STANDING})
        self.draining = False

    def names(self) -> list[str]:
        return ["main", "paper"]

    def clock_skew(self, name: str) -> float | None:
        return 0.25 if name == "paper" else None

    def known(self, name: str) -> Any:
        return self.entries[name]

    async def entry(self, name: str) -> Any:
        if self.opening is not None:
            raise self.opening
        if name not in self.entries:
            raise NotFound("no such exchange")
        return self.entries[name]


class FakeGuard:
    """Lets everybody in as ``who`` unless an error is set."""

    def __init__(self) -> None:
        self.who = Caller(OWNER)
        self.refusal: Exception | None = None
        self.denial: Exception | None = None
        self.required: list[str] = []

    def check(self, scope: Any) -> None:
        if self.refusal is not None:
            raise self.refusal

    def caller(self, scope: Any) -> Caller:
        return self.who

    def require(self, caller: Caller, entry: Any, kind: str) -> None:
        self.required.append(kind)
        if self.denial is not None:
            raise self.denial


class Got(NamedTuple):
    """An answer as its client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        return self.headers["exgate-reason"]


JSON = [(b"content-type", b"application/json")]


async def ask(
    app: Any,
    method: str,
    target: str,
    body: Any = b"",
    headers: Iterable[tuple[bytes, bytes]] = JSON,
    chunks: Sequence[bytes] | None = None,
) -> Got:
    """One request through ASGI. Whatever isn't a success must be a Status with its reason in a header."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    waiting = [content] if chunks is None else list(chunks)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(http_scope(method, target, headers), receive, send)
    return read(sent, head=method == "HEAD")


def http_scope(method: str, target: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    """A scope as a server makes it."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), *headers],
        "extensions": {},
    }


def read(sent: Sequence[dict[str, Any]], head: bool = False) -> Got:
    """The two messages of an answer as one; checks what holds for every answer."""
    start, end = sent
    names = [name.decode() for name, _ in start["headers"]]
    assert len(names) == len(set(names)), names
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    got = Got(start["status"], headers, end["body"])
    assert headers["content-type"] == "application/json"
    if head:
        assert got.body == b""
    else:
        assert headers["content-length"] == str(len(got.body))
    if got.status >= 300 and not head:
        assert isinstance(got.json["code"], int) and got.json["message"].startswith(got.reason + ": ")
        info = got.json["details"][0]
        assert info["type_url"].endswith("google.rpc.ErrorInfo")
    return got
