"""OKX as exgate-testing needs it: the dialect of API v5, REST and WebSocket, over a simulated exchange.

It answers as www.okx.com/docs-v5/en says (2026-06-27), refusals included. Only the kit imports this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from exgate_testing.fakes import Keys, OwnTrade, Reply, Request, Session, Simulation
from exgate_testing.own import Example
from msgspec.structs import replace

from exgate_core.errors import DUPLICATE, NotFound, Refused
from exgate_core.models import Depth, DepthDelta, Level, Market, Order, OrderRequest, Trade

from .fake_examples import all_examples
from .fake_rules import PRIVATE, ROUTES, Problem, changes, check_signed, limit_of, needed, order_of, ordered_type

_REFUSALS: Final = {
    "INSUFFICIENT_BALANCE": ("51008", "Order failed. Insufficient balance in account"),
    DUPLICATE: ("51016", "Client order ID already exists."),
    "BAD_PRICE": ("51150", "The precision of the number of trades or the price exceeds the limit."),
    "BAD_AMOUNT": ("51121", "Order quantity must be a multiple of the lot size."),
    "MIN_NOTIONAL": ("51020", "Your order should meet or exceed the minimum order amount."),
    "UNKNOWN_SYMBOL": ("51001", "Instrument ID, Instrument ID code or Spread ID doesn't exist."),
}
_STATES: Final = {"open": "live", "partially_filled": "partially_filled", "filled": "filled"}
_PLACES: Final = ("order", "orders-pending", "orders-history", "orders-history-archive", "fills")
_SERVICES: Final = {"books": "public", "trades": "public", "trades-all": "business"}
_DEPTH: Final = 400
_MANY: Final = 1_000_000


def _market(base: str, quote: str, tick: str, step: str) -> Market:
    return Market(
        symbol=f"{base}/{quote}",
        id=f"{base}-{quote}",
        base=base,
        quote=quote,
        tick_size=tick,
        step_size=step,
        min_amount=step,
        max_amount="9999999999",
    )


class OkxFake:
    """One account and its market data. See ``exgate_testing.fakes.Fake``."""

    markets: ClassVar[Sequence[Market]] = (
        _market("BTC", "USDT", "0.1", "0.00000001"),
        _market("ETH", "BTC", "0.00001", "0.000001"),
        _market("SATS", "USDC", "0.00000001", "1"),
        _market("1INCH", "USDT", "0.0001", "0.000001"),
    )
    credentials: ClassVar[Keys] = Keys(
        api_key="37c541a1-0000-4000-8000-10fe7a038418",
        api_secret="22582BD0CFF14C41EDBF1AB98506286D",
        passphrase="correct-horse-16",
    )
    sends_checksums: ClassVar[bool] = False
    """As OKX does now: every checksum is 0."""
    examples: ClassVar[Sequence[Example]] = all_examples()
    timed: ClassVar[bool] = True
    places: ClassVar[Mapping[str, Sequence[str]]] = {"order_id": _PLACES, "client_order_id": _PLACES}
    word_for_open: ClassVar[str] = "live"

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._asked: dict[str, OrderRequest] = {}  # by order id, as it was accepted
        self._hidden: frozenset[str] = frozenset()
        self._repelled: list[Order] = []
        """Post-only orders that would have traded: OKX takes them and cancels them at once (``cancelSource`` 31)."""
        self._calls: dict[str, Callable[[Mapping[str, str]], list[Any]]] = {
            "GET /public/time": lambda form: [{"ts": str(simulation.now_ms())}],
            "GET /public/instruments": lambda form: [_instrument(market) for market in simulation.markets],
            "GET /market/books": self._books,
            "GET /market/books-full": self._books,
            "GET /market/trades": lambda form: self._trades(form, 500),
            "GET /market/history-trades": lambda form: self._trades(form, 100),
            "GET /account/balance": lambda form: [self._balance()],
            "POST /trade/order": self._place,
            "POST /trade/batch-orders": self._place_first,
            "GET /trade/order": self._details,
            "POST /trade/cancel-order": self._cancel,
            "GET /trade/orders-pending": lambda form: self._orders(form, ("live", "partially_filled")),
            "GET /trade/orders-history": lambda form: self._orders(form, ("filled", "canceled")),
            "GET /trade/orders-history-archive": self._archive,
            "GET /trade/fills": self._fills,
            "GET /trade/fills-history": self._fills,
        }

    # --- HTTP

    def operation(self, request: Request) -> str:
        """By method and path."""
        return ROUTES.get(_route(request), "")

    def answer(self, request: Request) -> Reply:
        """Whatever the exchange would say."""
        route = _route(request)
        call = self._calls.get(route)
        try:
            if call is None:
                raise Problem(404, "404", "Not Found")
            if route in PRIVATE:
                check_signed(request, self.credentials, self._simulation.now_ms())
            form = json.loads(request.body) if request.method == "POST" else request.fields()
            if request.method == "GET" and route.rpartition("/")[2] in self._hidden:
                call = _nothing if route != "GET /trade/order" else _missing
            return _reply({"code": "0", "msg": "", "data": call(form)})
        except Problem as problem:
            return _reply(problem.body, problem.status)
        except Refused as error:
            code, text = _REFUSALS[error.reason]
            return _reply({"code": code, "msg": text, "data": []})

    def too_many(self) -> Reply:
        """ "Rate Limits": code 50011."""
        return _reply({"code": "50011", "msg": "Too Many Requests"}, 429)

    def weight(self, request: Request) -> int:
        """ "Rate Limits": requests are counted, not weighed."""
        return 1

    def hide(self, places: Collection[str]) -> None:
        """These places show no order."""
        self._hidden = frozenset(places)

    def shows(self, place: str, market: Market, order: Order) -> bool:
        """Open orders, completed ones, those with trades: each has places of its own."""
        traded = bool(self._simulation.fills(market.symbol, order.order_id))
        ended = order.status not in ("open", "partially_filled")
        there = {"orders-pending": not ended, "orders-history": ended, "orders-history-archive": ended and traded}
        return there.get(place, place == "order" or traded)

    def _books(self, form: Mapping[str, str]) -> list[Any]:
        depth = self._simulation.depth(self._symbol(form), limit_of(form, "sz", 5000, 1))
        sides = {"asks": _rows(depth.asks), "bids": _rows(depth.bids)}
        return [{**sides, "ts": str(self._simulation.now_ms()), "seqId": depth.last_update_id}]

    def _trades(self, form: Mapping[str, str], most: int) -> list[Any]:
        symbol, limit = self._symbol(form), limit_of(form, "limit", most, 100)
        after = int(form.get("after") or 0)
        found = self._simulation.trades(symbol, _MANY if after else limit)
        older = [trade for trade in found if not after or int(trade.id) < after]
        return [_trade(trade, needed(form, "instId")) for trade in older[-limit:][::-1]]

    def _balance(self) -> dict[str, Any]:
        rows = [
            {"ccy": one.asset, "availBal": one.available, "frozenBal": one.frozen, "availEq": "", "cashBal": ""}
            for one in self._simulation.balances()
        ]
        return {"totalEq": "0", "uTime": str(self._simulation.now_ms()), "details": rows}

    def _place(self, form: Mapping[str, Any]) -> list[Any]:
        client_order_id = str(form.get("clOrdId", ""))
        try:
            request = order_of(form, self._simulation)
            order = self._simulation.place(request)
        except Refused as error:
            if error.reason != "WOULD_TAKE":
                raise Problem.of_order(*_REFUSALS[error.reason], client_order_id) from None
            order = self._repel(request)
        return [self._ack(order)]

    def _place_first(self, forms: Any) -> list[Any]:
        """ "POST / Place multiple orders", for clients that send each order so."""
        if len(forms) != 1:
            raise Problem(200, "51000", "Parameter batch-orders error")
        return self._place(forms[0])

    def _repel(self, request: OrderRequest) -> Order:
        first = self._simulation.first_id + 10**8
        order = Order(
            order_id=str(first + len(self._repelled)),
            symbol=request.market.symbol,
            side=request.side,
            type="limit",
            price=request.price,
            amount=request.amount,
            status="canceled",
            filled="0",
            client_order_id=request.client_order_id,
            time=self._simulation.now_ms(),
            post_only=True,
        )
        self._repelled.append(order)
        return order

    def _cancel(self, form: Mapping[str, str]) -> list[Any]:
        names = _named(form)
        try:
            return [self._ack(self._simulation.cancel(self._symbol(form), *names))]
        except (NotFound, Refused) as error:
            if error.reason == "UNKNOWN_SYMBOL":
                raise
            text = "Order cancellation failed as the order has been filled, canceled or does not exist."
            raise Problem.of_order("51400", text, names[1], names[0]) from None

    def _details(self, form: Mapping[str, str]) -> list[Any]:
        order_id, client_order_id = _named(form)
        found = [order for order in self._all(self._symbol(form)) if _is(order, order_id, client_order_id)]
        return [self._shown(found[-1])] if found else _missing(form)

    def _orders(self, form: Mapping[str, str], states: Sequence[str]) -> list[Any]:
        kind = needed(form, "instType") if "live" not in states else form.get("instType", "SPOT")
        if kind != "SPOT":
            return []
        symbol = self._symbol(form) if "instId" in form else None
        after = int(form.get("after") or _MANY**4)
        rows = [self._shown(order) for order in self._all(symbol) if int(order.order_id) < after]
        return [row for row in rows[::-1] if row["state"] in states][: limit_of(form, "limit", 100, 100)]

    def _archive(self, form: Mapping[str, str]) -> list[Any]:
        """Without orders that were canceled and never traded."""
        return [row for row in self._orders(form, ("filled", "canceled")) if float(row["accFillSz"])]

    def _fills(self, form: Mapping[str, str]) -> list[Any]:
        symbol = self._symbol(form) if "instId" in form else None
        found = self._simulation.fills(symbol, form.get("ordId", ""))
        return [self._fill(own) for own in found[::-1][: limit_of(form, "limit", 100, 100)]]

    def _all(self, symbol: str | None) -> list[Order]:
        repelled = [order for order in self._repelled if symbol in (None, order.symbol)]
        return sorted([*self._simulation.all_orders(symbol), *repelled], key=lambda order: int(order.order_id))

    def _symbol(self, form: Mapping[str, str]) -> str:
        return self._simulation.market_by_id(needed(form, "instId")).symbol

    def _ack(self, order: Order) -> dict[str, str]:
        names = {"clOrdId": order.client_order_id, "ordId": order.order_id, "tag": ""}
        return {**names, "ts": str(self._simulation.now_ms()), "sCode": "0", "sMsg": ""}

    def _shown(self, order: Order) -> dict[str, str]:
        for asked, placed in self._simulation.accepted[len(self._asked) :]:
            self._asked[placed.order_id] = asked
        request = self._asked.get(order.order_id)
        quote = request.quote_amount if request else ""
        return {
            "instType": "SPOT",
            "instId": self._simulation.market(order.symbol).id,
            "ordId": order.order_id,
            "clOrdId": order.client_order_id,
            "side": order.side,
            "ordType": ordered_type(request) if request else "post_only",
            "state": _STATES.get(order.status, "canceled"),
            "px": "" if order.type == "market" else order.price,
            "sz": quote or order.amount,
            "accFillSz": order.filled or "0",
            "tgtCcy": ("quote_ccy" if quote else "base_ccy") if order.type == "market" else "",
            "cTime": str(order.time),
            "uTime": str(order.time),
            "tdMode": "cash",
            "cancelSource": "31" if order in self._repelled else "",
        }

    def _fill(self, own: OwnTrade) -> dict[str, str]:
        return {
            "instType": "SPOT",
            "instId": self._simulation.market(own.symbol).id,
            "ordId": own.order_id,
            "clOrdId": own.client_order_id,
            "tradeId": own.trade_id,
            "side": own.side,
            "fillPx": own.price,
            "fillSz": own.qty,
            "execType": "M" if own.maker else "T",
            "ts": str(own.time),
        }

    # --- WebSocket

    def opened(self, session: Session) -> None:
        """Nothing is said before something is asked."""

    def closed(self, session: Session) -> None:
        """End what was subscribed."""
        for stop in session.state.values():
            stop()
        session.state.clear()

    def message(self, session: Session, text: str) -> None:
        """``ping``, ``subscribe`` and ``unsubscribe``."""
        if text == "ping":
            return session.send("pong")
        asked = json.loads(text)
        for argument in asked["args"]:
            self._argue(session, asked, argument)

    def _argue(self, session: Session, asked: Mapping[str, Any], argument: dict[str, str]) -> None:
        channel, instrument = argument["channel"], argument["instId"]
        more = {**({"id": asked["id"]} if "id" in asked else {}), "connId": "a4d3ae55"}
        try:
            market = self._simulation.market_by_id(instrument)
        except Refused:
            market = None
        if market is None or not session.path.endswith(f"/{_SERVICES.get(channel, '?')}"):
            message = f"Wrong URL or channel:{channel},instId:{instrument} doesn't exist."
            return session.send(_text({"event": "error", "code": "60018", "msg": message, **more}))
        name = f"{channel}:{instrument}"
        session.state.pop(name, lambda: None)()
        session.send(_text({"event": asked["op"], "arg": argument, **more}))
        if asked["op"] == "subscribe":
            start = self._stream_book if channel == "books" else self._stream_trades
            session.state[name] = start(session, market, argument)

    def _stream_trades(self, session: Session, market: Market, argument: dict[str, str]) -> Callable[[], None]:
        def tell(trades: Sequence[Trade]) -> None:
            for trade in trades:
                frame = {"arg": argument, "data": [_trade(trade, market.id)]}
                session.send(_text(frame), f"{argument['channel']}:{market.id}")

        return self._simulation.on_trades(market.symbol, tell)

    def _stream_book(self, session: Session, market: Market, argument: dict[str, str]) -> Callable[[], None]:
        state = [self._simulation.depth(market.symbol, _DEPTH)]
        send = partial(self._send_book, session, argument)
        send("snapshot", state[0], -1)

        def tell(delta: DepthDelta) -> None:
            before, now = state[0], self._simulation.depth(market.symbol, _DEPTH)
            state[0] = now
            changed = replace(now, bids=changes(before.bids, now.bids), asks=changes(before.asks, now.asks))
            send("update", changed, before.last_update_id)

        return self._simulation.on_delta(market.symbol, tell)

    def _send_book(self, session: Session, argument: dict[str, str], action: str, depth: Depth, previous: int) -> None:
        row = {"asks": _rows(depth.asks), "bids": _rows(depth.bids), "ts": str(self._simulation.now_ms())}
        # Since 2026-06-23 a checksum of 0 is all that comes.
        numbers = {"checksum": 0, "prevSeqId": previous, "seqId": depth.last_update_id}
        session.send(
            _text({"arg": argument, "action": action, "data": [{**row, **numbers}]}), f"books:{argument['instId']}"
        )


def _route(request: Request) -> str:
    return f"{request.method} {request.path.removeprefix('/api/v5')}"


def _reply(body: Mapping[str, Any], status: int = 200) -> Reply:
    return Reply(_text(body).encode(), status)


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _missing(form: Mapping[str, str]) -> list[Any]:
    raise Problem(200, "51603", "Order does not exist")


def _nothing(form: Mapping[str, str]) -> list[Any]:
    return []


def _named(form: Mapping[str, str]) -> tuple[str, str]:
    order_id, client_order_id = form.get("ordId", ""), form.get("clOrdId", "")
    if not order_id and not client_order_id:
        raise Problem(200, "51003", "Either client order ID or order ID is required.")
    return order_id, client_order_id


def _is(order: Order, order_id: str, client_order_id: str) -> bool:
    return order.order_id == order_id if order_id else order.client_order_id == client_order_id


def _instrument(market: Market) -> dict[str, str]:
    return {
        "instType": "SPOT",
        "instId": market.id,
        "baseCcy": market.base,
        "quoteCcy": market.quote,
        "tickSz": market.tick_size,
        "lotSz": market.step_size,
        "minSz": market.min_amount,
        "maxLmtSz": market.max_amount,
        "state": "live",
    }


def _rows(levels: Sequence[Level]) -> list[list[str]]:
    return [[price, amount, "0", "1"] for price, amount in levels]


def _trade(trade: Trade, instrument: str) -> dict[str, str]:
    return {
        "instId": instrument,
        "tradeId": trade.id,
        "px": trade.price,
        "sz": trade.qty,
        "side": trade.taker_side or "buy",
        "source": "0",
        "ts": str(trade.time),
    }
