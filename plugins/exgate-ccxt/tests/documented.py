"""Answers of the shapes that exchanges' documents show, driven through the plugin with the network captured.

``documents/NAME.toml`` holds one exchange: the answer with its market, then one table an operation, each with the
answer or answers that come back, and what must be made of them. The values are made up; the digits are those that get
lost.
"""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from exgate_ccxt import CcxtExchange, CcxtSettings
from exgate_ccxt.account import CcxtAccount
from exgate_ccxt.facts import account_capabilities

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import ExGateError
from exgate_core.fetch import Http, Response
from exgate_core.models import Depth, Market, Order, OrderRequest, Trade
from exgate_core.settings import Credentials, Secret

DOCUMENTS = {path.stem: path for path in sorted((Path(__file__).parent / "documents").glob("*.toml"))}
NOW = 1_700_000_000.0
_PROVEN = ("Refused", "NotFound", "RateLimited", "NotSent")


class Net:
    """Answers every request from a table: a part of its line -> status and body."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, int, str]] = []
        self.asked: list[str] = []

    def prepare(self, case: Mapping[str, Any]) -> None:
        """From now on answer as the case says."""
        status, shown = case.get("status", 200), case.get("answers", {"": case.get("answer", "")})
        # "400 {...}" is an answer with a status of its own
        own = {part: body.partition(" ") for part, body in shown.items() if body[:3].isdecimal() and body[3:4] == " "}
        self.answers = [
            (part, int(own[part][0]), own[part][2]) if part in own else (part, status, body)
            for part, body in shown.items()
        ]
        self.asked = []

    async def request(self, http: Http, method: str, path: str, **given: Any) -> Response:
        """In the place of ``Http.request``."""
        query, body = given.get("params") or "", (given.get("body") or b"").decode()
        line = f"{method} {http.base_url}{path}{'?' if query else ''}{query} {body}"
        self.asked.append(line)
        found = next(((status, text) for part, status, text in self.answers if part in line), (404, "{}"))
        return Response(found[0], {"Content-Type": "application/json"}, found[1].encode(), http.base_url + path)


class Still:
    """A clock that stands."""

    def monotonic(self) -> float:
        """Seconds."""
        return 1.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return NOW


class Driven:
    """Both sides of one exchange over a captured network."""

    def __init__(self, net: Net, exchange: CcxtExchange, account: CcxtAccount, market: Market) -> None:
        self.net, self.exchange, self.account, self.market = net, exchange, account, market

    async def do(self, operation: str, case: Mapping[str, Any]) -> Any:
        """What an operation makes of its answers: a value, or the name of the error."""
        self.net.prepare(case)
        try:
            return await getattr(self, f"_{operation}")(case)
        except ExGateError as error:
            kind = next(
                (name.__name__ for name in type(error).__mro__ if name.__name__ in _PROVEN), type(error).__name__
            )
            if operation in ("place_order", "cancel_order") and kind not in _PROVEN:
                return "unknown"
            return f"{kind} {error.reason}" if error.reason != error.default_reason else kind
        except Exception:
            return "unknown"

    async def _depth(self, case: Mapping[str, Any]) -> dict[str, Any]:
        return told_depth(await self.exchange.depth(self.market, case.get("limit", 5)))

    async def _recent_trades(self, case: Mapping[str, Any]) -> list[list[Any]]:
        found = await self.exchange.recent_trades(self.market, case.get("limit", 5), None)
        return [told_trade(trade) for trade in found]

    async def _balances(self, _case: Mapping[str, Any]) -> dict[str, list[str]]:
        return {row.asset: [row.available, row.frozen] for row in await self.account.balances()}

    async def _pending_orders(self, case: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = await self.account.pending_orders(self.market if case.get("symbol", True) else None)
        return [told_order(order, case) for order in found]

    async def _find_order(self, case: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = await self.account.find_order(self.market, case.get("id", ""), case.get("client_id", ""))
        return [told_order(order, case) for order in found]

    async def _place_order(self, case: Mapping[str, Any]) -> str:
        order = {"side": "buy", "type": "limit", "price": "20", "amount": "1", "client_order_id": "t-1"}
        order |= {} if account_capabilities(self.exchange.context.name).client_ids else {"client_order_id": ""}
        order |= {"price": ""} if case.get("order", {}).get("type") == "market" else {}
        return await self.account.place_order(OrderRequest(market=self.market, **{**order, **case.get("order", {})}))

    async def _cancel_order(self, case: Mapping[str, Any]) -> str:
        return (await self.account.cancel_order(self.market, case.get("id", "1"), "")).status


def told_depth(depth: Depth) -> dict[str, Any]:
    """A book as the tables write it."""
    sides = {"bids": [list(level) for level in depth.bids], "asks": [list(level) for level in depth.asks]}
    return {**sides, "id": depth.last_update_id, "time": depth.timestamp}


def told_trade(trade: Trade) -> list[Any]:
    """A trade as the tables write it."""
    return [trade.id, trade.price, trade.qty, trade.time, trade.taker_side or ""]


def told_order(order: Order, case: Mapping[str, Any]) -> dict[str, Any]:
    """As much of an order as the case says."""
    names = case["wanted"][0] if isinstance(case.get("wanted"), list) and case["wanted"] else ("order_id",)
    return {name: getattr(order, name) for name in names}


def document(name: str) -> dict[str, Any]:
    """The table of an exchange."""
    return tomllib.loads(DOCUMENTS[name].read_text())


@asynccontextmanager
async def driven(name: str, table: Mapping[str, Any]) -> AsyncIterator[Driven]:
    """Both sides of an exchange, open, with its market list read from the table."""
    net, runtime = Net(), Runtime(clock=Still())
    budget = Budget(10**9, 1e9, runtime.clock, runtime.sleep)  # the clock stands: nobody may have to wait
    settings = CcxtSettings(ccxt={"options": table.get("options", {})})
    keys = Credentials(Secret("account-key"), Secret("c2VjcmV0c2VjcmV0"), Secret("1"))

    async def request(http: Http, method: str, path: str, **given: Any) -> Response:
        return await net.request(http, method, path, **given)

    net.prepare(table["markets"])
    with mock.patch.object(Http, "request", request):
        async with (
            Transport(budget, runtime) as transport,
            CcxtExchange(transport.context(name, settings)) as exchange,
        ):
            public = SimpleNamespace(adapters=(exchange,))
            net.prepare(table.get("account", {}))
            async with CcxtAccount(transport.context(name, settings, credentials=keys, exchange=public)) as account:
                account.desk.client.rateLimit = exchange.client.rateLimit = 0
                assert exchange.listing is not None
                yield Driven(net, exchange, account, exchange.listing.table.values[0])
