"""Binance as exgate-testing needs it: the dialect of REST v3 and of the combined streams over a simulated exchange.

It answers as rest-api.md, errors.md, filters.md and web-socket-streams.md (2026-07-21) say, refusals included. Only the
kit imports this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, cast

from exgate_testing.fakes import Keys, Reply, Request, Session, Simulation
from exgate_testing.own import Caps, Example
from msgspec.structs import replace

from exgate_core.errors import DUPLICATE, NotFound, Refused
from exgate_core.models import Market, Order, OrderRequest, Side, TimeInForce, Trade

from .fake_examples import all_examples
from .fake_rows import (
    aggregate_row,
    aggregate_rows,
    book_event,
    fill_row,
    listed,
    market_of,
    order_row,
    trade_event,
    trade_row,
)
from .fake_rules import (
    OWN,
    PRICED,
    ROUTES,
    Problem,
    check_form,
    check_history,
    check_signed,
    kind_of,
    limit_of,
    named,
    needed,
    page_of,
    refusal_of_stream,
    weight_of,
)

_REFUSALS: Final = {
    "INSUFFICIENT_BALANCE": (-2010, "Account has insufficient balance for requested action."),
    "WOULD_TAKE": (-2010, "Order would immediately match and take."),
    DUPLICATE: (-2010, "Duplicate order sent."),
    "BAD_PRICE": (-1013, "Filter failure: PRICE_FILTER"),
    "BAD_AMOUNT": (-1013, "Filter failure: LOT_SIZE"),
    "MIN_NOTIONAL": (-1013, "Filter failure: NOTIONAL"),
    "UNKNOWN_SYMBOL": (-1121, "Invalid symbol."),
}


_MARGIN: Final = {"symbol": "BTCONMARGIN", "baseAsset": "BTCON", "isSpotTradingAllowed": False}
_COUNT: Final = "X-MBX-ORDER-COUNT-10S"


class BinanceFake:
    """One account and its market data. See ``exgate_testing.fakes.Fake``."""

    markets: ClassVar[Sequence[Market]] = (
        market_of("BTC", "USDT", "0.01000000", "0.00001000", "5.00000000"),
        market_of("ETH", "BTC", "0.00001000", "0.00010000", "0.00010000"),
        market_of("PEPE", "BTC", "0.00000001", "1.00000000", "0.00000001"),
        market_of("币安人生", "USDT", "0.00010000", "0.10000000", "5.00000000"),
    )
    asleep: ClassVar[Sequence[Market]] = (
        replace(market_of("OLD", "BTC", "0.00000100", "1.00000000", "0.00010000"), active=False),
    )
    credentials: ClassVar[Keys] = Keys(
        api_key="vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
        api_secret="NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
    )

    examples: ClassVar[Sequence[Example]] = [
        Example(
            operation=told.operation,
            by_client_id=told.by_client_id,
            reply=Reply(told.body, told.status, told.headers),
            means=told.means,
            reason=told.reason,
            wait=told.wait,
            orders_only=told.orders_only,
            order=told.order,
            words=told.words,
        )
        for told in all_examples("BTCUSDT", "BTC/USDT")
    ]
    apart: ClassVar[int] = 2**40
    """How far the ids of aggregate trades are from those of trades."""
    timed: ClassVar[bool] = True
    tells_options: ClassVar[bool] = True
    places: ClassVar[Mapping[str, Sequence[str]]] = {
        "order_id": ("orderId", "openOrders", "allOrders", "myTrades"),
        "client_order_id": ("origClientOrderId", "openOrders", "allOrders", "myTrades"),
    }

    not_applicable: ClassVar[Collection[str]] = ("C43[passphrase]", "C65", "C82")
    """No passphrase, orders are found by their market, and books have no checksum."""
    weight_limits: ClassVar[Mapping[str, int]] = {"binance": 6000, "binanceus": 1200}
    caps: ClassVar[Caps] = Caps(topics=1024, messages=5.0, lifetime=86400.0)
    settings_taken: ClassVar[Sequence[tuple[Mapping[str, Any], str]]] = (
        ({}, "recvWindow=5000&"),
        ({"recv_window": 100}, "recvWindow=100&"),
        ({"recv_window": 5000}, "recvWindow=5000&"),
        ({"trades": "raw"}, "/api/v3/trades?"),
        ({"trades": "aggregate"}, "/api/v3/aggTrades?"),
    )
    settings_refused: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"recv_window": 99}, {"recv_window": 5001}, {"recv_window": "5000"}, {"trades": "both"}
    )  # fmt: skip
    stream_refusals: ClassVar[Sequence[str]] = ("0 Unknown property", "2 Invalid request: unknown stream", "")
    word_for_open: ClassVar[str] = "NEW"
    ids_per_market: ClassVar[bool] = True

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._kinds: dict[str, tuple[str, str]] = {}  # order id -> (type, stop price) of conditional orders
        self._used = (0, 0)  # (minute, weight)
        self._placed = (0, 0)  # (ten seconds, orders)
        self._most_orders = 10_000
        self._hidden: frozenset[str] = frozenset()
        self._refusal: int | None = None  # the way in which the next stream is refused
        self._announced = 0
        self._calls: dict[str, Callable[[dict[str, str]], Any]] = {
            "/time": lambda form: {"serverTime": simulation.now_ms()},
            "/exchangeInfo": lambda form: self._info(),
            "/depth": self._depth,
            "/trades": self._trades,
            "/historicalTrades": self._trades,
            "/aggTrades": lambda form: aggregate_rows(self._page(form), self.apart),
            "/account": lambda form: self._account(),
            "POST/order": self._place,
            "DELETE/order": self._cancel,
            "GET/order": self._one,
            "/openOrders": self._open,
            "/allOrders": self._all,
            "/myTrades": self._own,
        }

    def operation(self, request: Request) -> str:
        """The hook to which a path belongs."""
        route = ROUTES.get(f"{request.method} {request.path}")
        return route.operation if route else ""

    def too_many(self) -> Reply:
        """429 with its code; the exchange says for how long."""
        text = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket "
        return _error(-1003, text + "Streams for live updates to avoid polling the API.", 429, {"Retry-After": "1"})

    def answer(self, request: Request) -> Reply:
        """Checks in the exchange's order: path, parameters, key, time, signature, then what is asked for."""
        route = ROUTES.get(f"{request.method} {request.path}")
        if route is None:
            return Reply(b"<html><h1>404 Not found</h1></html>", 404, {"Content-Type": "text/html"})
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._spend(self.weight(request)))}
        try:
            text = request.query + request.body.decode("utf-8", "replace")
            form = check_form(text, route)
            if request.path.endswith("/historicalTrades"):
                check_history(request.host, request.headers)
            if route.signed:
                key = request.headers.get("x-mbx-apikey", "")
                check_signed(text, key, self.credentials, self._simulation.now_ms())
            if route.operation == "place_order":
                headers[_COUNT] = str(self._count(headers))
            name = request.path.removeprefix("/api/v3")
            call = self._calls.get(name) or self._calls[request.method + name]
            found = call(form)
        except Problem as problem:
            return _error(problem.code, problem.text, problem.status, headers)
        except Refused as refusal:
            return _error(*_REFUSALS[refusal.reason], 400, headers)
        return Reply(json.dumps(found, ensure_ascii=False).encode(), 200, headers)

    # --- what only this exchange has

    def weight(self, request: Request) -> int:
        """What a request costs; the exchange of the United States is told by its host."""
        return weight_of(request.method, request.path, request.fields(), us=request.host.endswith(".us"))

    def limit_orders(self, count: int) -> None:
        """So many orders are taken in ten seconds."""
        self._most_orders = count

    def window_left(self) -> float:
        """Windows are those of the exchange's clock."""
        return 10.0 - self._simulation.now_ms() % 10_000 / 1000

    def hide(self, places: Collection[str]) -> None:
        """These places show no orders."""
        self._hidden = frozenset(places)

    def shows(self, place: str, market: Market, order: Order) -> bool:
        """Open orders stand in one place more, traded ones in another."""
        if place == "openOrders":
            return order.status in ("open", "partially_filled")
        return place != "myTrades" or bool(self._simulation.fills(market.symbol, order.order_id))

    def _spend(self, weight: int) -> int:
        minute = self._simulation.now_ms() // 60_000
        before = self._used[1] if self._used[0] == minute else 0
        self._used = minute, before + weight
        return self._used[1]

    def _count(self, headers: dict[str, str]) -> int:
        now = self._simulation.now_ms()
        window = now // 10_000
        before = self._placed[1] if self._placed[0] == window else 0
        if before >= self._most_orders:
            headers["Retry-After"] = str(10 - now % 10_000 // 1000)
            text = f"Too many new orders; current limit is {self._most_orders} orders per TEN_SECONDS."
            raise Problem(-1015, text, 429)
        self._placed = window, before + 1
        return before + 1

    def _market(self, form: dict[str, str]) -> Market:
        return self._simulation.market_by_id(needed(form, "symbol"))

    # --- public

    def _info(self) -> dict[str, Any]:
        most = self._most_orders
        limits = [("REQUEST_WEIGHT", "MINUTE", 1, 6000), ("ORDERS", "SECOND", 10, most), ("ORDERS", "DAY", 1, 200_000)]
        names = ("rateLimitType", "interval", "intervalNum", "limit")
        return {
            "timezone": "UTC",
            "serverTime": self._simulation.now_ms(),
            "rateLimits": [dict(zip(names, limit, strict=True)) for limit in limits],
            "exchangeFilters": [],
            "symbols": [*map(listed, (*self.markets, *self.asleep)), {**listed(self.markets[0]), **_MARGIN}],
        }

    def _depth(self, form: dict[str, str]) -> dict[str, Any]:
        book = self._simulation.depth(self._market(form).symbol, min(limit_of(form, 100), 5000))
        return {"lastUpdateId": book.last_update_id, "bids": book.bids, "asks": book.asks}

    def _page(self, form: dict[str, str]) -> list[Trade]:
        market, limit = self._market(form), page_of(form)
        since = str(int(form["fromId"]) - 1) if "fromId" in form else None
        return self._simulation.trades(market.symbol, limit, since)

    def _trades(self, form: dict[str, str]) -> list[dict[str, Any]]:
        return [trade_row(trade) for trade in self._page(form)]

    # --- private

    def _account(self) -> dict[str, Any]:
        rows = self._simulation.balances()
        return {
            "canTrade": True,
            "accountType": "SPOT",
            "updateTime": self._simulation.now_ms(),
            "balances": [{"asset": row.asset, "free": row.available, "locked": row.frozen} for row in rows],
            "permissions": ["SPOT"],
        }

    def _place(self, form: dict[str, str]) -> dict[str, Any]:
        market, kind = self._market(form), kind_of(form)
        stops = "stopPrice" in form or "trailingDelta" in form
        options: dict[str, str] = {name: form[name] for name in OWN if name in form}
        if kind.startswith("TAKE_PROFIT"):
            options["trigger"] = "take_profit"
        order = self._simulation.place(
            OrderRequest(
                market=market,
                side=cast(Side, form["side"].lower()),
                type="limit" if kind in PRICED else "market",
                client_order_id=form.get("newClientOrderId") or f"web_{len(self._simulation.accepted)}",
                price=form.get("price", ""),
                amount=form.get("quantity", ""),
                quote_amount=form.get("quoteOrderQty", ""),
                time_in_force=cast(TimeInForce, form.get("timeInForce", "GTC")),
                post_only=kind == "LIMIT_MAKER",
                stop_price=form.get("stopPrice", "0") if stops else "",
                options=options,
            )
        )
        if stops:
            self._kinds[order.order_id] = kind, form.get("stopPrice", "0")
        row = self._row(order)
        ack = {name: row[name] for name in ("symbol", "orderId", "orderListId", "clientOrderId")}
        whole = form.get("newOrderRespType") != "ACK"
        return {**(row if whole else ack), "transactTime": self._simulation.now_ms()}

    def _cancel(self, form: dict[str, str]) -> dict[str, Any]:
        market, name = self._market(form), named(form)
        try:
            order = self._simulation.cancel(market.symbol, *name)
        except (NotFound, Refused):
            raise Problem(-2011, "Unknown order sent.") from None
        row = self._row(order)
        own = {"origClientOrderId": row["clientOrderId"], "clientOrderId": f"cancel{row['orderId']}"}
        return {**row, **own, "transactTime": self._simulation.now_ms()}

    def _one(self, form: dict[str, str]) -> dict[str, Any]:
        found = self._simulation.find(self._market(form).symbol, *named(form))
        if not found or self._hidden & form.keys():
            raise Problem(-2013, "Order does not exist.")
        return self._row(found[-1])

    def _open(self, form: dict[str, str]) -> list[dict[str, Any]]:
        symbol = self._market(form).symbol if "symbol" in form else None
        if "openOrders" in self._hidden:
            return []
        return [self._row(order) for order in self._simulation.open_orders(symbol)]

    def _all(self, form: dict[str, str]) -> list[dict[str, Any]]:
        orders, limit = self._simulation.all_orders(self._market(form).symbol), page_of(form)
        if "allOrders" in self._hidden:
            return []
        if "orderId" in form:
            return [self._row(order) for order in orders if int(order.order_id) >= int(form["orderId"])][:limit]
        return [self._row(order) for order in orders[-limit:]]

    def _own(self, form: dict[str, str]) -> list[dict[str, Any]]:
        fills = self._simulation.fills(self._market(form).symbol, form.get("orderId", ""))
        if "myTrades" in self._hidden:
            return []
        first = int(form.get("fromId", 0))
        return [fill_row(fill) for fill in fills if int(fill.trade_id) >= first][-page_of(form) :]

    def _row(self, order: Order) -> dict[str, Any]:
        plain = "LIMIT_MAKER" if order.post_only else order.type.upper()
        kind, stop = self._kinds.get(order.order_id, (plain, "0.00000000"))
        return order_row(order, self._simulation.market(order.symbol).id, kind, stop)

    # --- streams

    def opened(self, session: Session) -> None:
        """Nothing is subscribed yet."""

    def message(self, session: Session, text: str) -> None:
        """SUBSCRIBE and UNSUBSCRIBE; a stream that doesn't exist is confirmed like any other, and stays silent."""
        asked = json.loads(text)
        if asked["method"] == "SUBSCRIBE" and self._refusal is not None:
            number, self._refusal = self._refusal, None
            return session.send(json.dumps(refusal_of_stream(number, asked["id"])))
        for topic in asked["params"]:
            if asked["method"] == "SUBSCRIBE" and topic not in session.state:
                session.state[topic] = self._follow(session, topic)
            elif asked["method"] == "UNSUBSCRIBE" and topic in session.state:
                session.state.pop(topic)()
        session.send(json.dumps({"result": None, "id": asked["id"]}))

    def refuse_stream(self, number: int) -> None:
        """The next SUBSCRIBE is answered with an error: of three shapes, the last of which names no request."""
        self._refusal = number

    def leaving(self, session: Session) -> None:
        """``serverShutdown``, as an event by itself and as one of a combined stream ("Server Shutdown")."""
        self._announced += 1
        event: dict[str, Any] = {"e": "serverShutdown", "E": self._simulation.now_ms()}
        if self._announced % 2:
            event = {"stream": "!serverShutdown", "data": event}
        session.send(json.dumps(event, separators=(",", ":")))

    def closed(self, session: Session) -> None:
        """End every stream of the connection."""
        while session.state:
            session.state.popitem()[1]()

    def _follow(self, session: Session, topic: str) -> Callable[[], None]:
        name, _, kind = topic.partition("@")
        market = next((market for market in self.markets if market.id.lower() == name), None)
        if market is None or kind not in ("trade", "aggTrade", "depth", "depth@100ms"):
            return lambda: None
        send = partial(self._send, session, topic, market, kind)
        if kind.startswith("depth"):
            return self._simulation.on_delta(market.symbol, lambda delta: send(book_event(delta)))
        build = trade_event if kind == "trade" else partial(aggregate_row, apart=self.apart)

        def traded(trades: Sequence[Trade]) -> None:
            for trade in trades:
                send(build(trade))

        return self._simulation.on_trades(market.symbol, traded)

    def _send(self, session: Session, topic: str, market: Market, kind: str, data: dict[str, Any]) -> None:
        event = "depthUpdate" if kind.startswith("depth") else kind
        data = {"e": event, "E": self._simulation.now_ms(), "s": market.id, **data}
        session.send(json.dumps({"stream": topic, "data": data}, ensure_ascii=False, separators=(",", ":")), topic)


def _error(code: int, text: str, status: int, headers: Mapping[str, str]) -> Reply:
    return Reply(json.dumps({"code": code, "msg": text}).encode(), status, headers)
