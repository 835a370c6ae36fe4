"""Bitstamp from the other side: what the kit judges the adapter with.

Nothing else of this package imports it, so that an installation needs no kit.
"""

from __future__ import annotations

import datetime
import hmac
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
from exgate_core.errors import DUPLICATE, NotFound, Refused
from exgate_core.models import Depth, DepthDelta, Market, Order, OrderRequest, Side, TimeInForce, Trade
from exgate_testing.fakes import Keys, Reply, Request, Session, Simulation
from exgate_testing.own import Example

from .fake_examples import examples as own_examples
from .signing import FORM, signature

_PLACING: Final = re.compile(r"/api/v2/(buy|sell)/(?:(market|instant)/)?([^/]+)/")
_PUBLIC: Final = re.compile(r"/api/v2/(markets|order_book|transactions)/(?:([^/]+)/)?")
_READS: Final = {"markets": "markets", "order_book": "depth", "transactions": "recent_trades"}
_PRIVATE: Final = {
    "/api/v2/account_balances/": "balances",
    "/api/v2/cancel_order/": "cancel_order",
    "/api/v2/order_status/": "find_order",
}
_WINDOWS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_AGE: Final = 150_000
_CODES: Final = {
    DUPLICATE: "400.019",
    "UNKNOWN_SYMBOL": "404.003",
    "INSUFFICIENT_BALANCE": "400.009",
    "MIN_NOTIONAL": "400.020",
    "BAD_PRICE": "400.021",
    "BAD_AMOUNT": "400.026",
}
_STATUSES: Final = {"filled": "Finished", "canceled": "Canceled", "expired": "Expired"}
_ALL: Final = 10**9


class BitstampFake:
    """Bitstamp's dialect in front of the kit's simulation."""

    markets: ClassVar[Sequence[Market]] = (
        Market(symbol="BTC/USDT", id="btcusdt", base="BTC", quote="USDT", tick_size="0.01", step_size="0.00000001"),
        Market(symbol="ETH/BTC", id="ethbtc", base="ETH", quote="BTC", tick_size="0.00000001", step_size="0.00000001"),
        Market(
            symbol="XRP/USD",
            id="xrpusd",
            base="XRP",
            quote="USD",
            tick_size="0.00001",
            step_size="0.00000001",
            min_notional="10",
        ),
        Market(symbol="1INCH/EUR", id="1incheur", base="1INCH", quote="EUR", tick_size="1", step_size="0.001"),
    )
    credentials: ClassVar[Keys] = Keys("bitstamp-key-0123456789abcdef", "bitstamp-secret-0123456789abcdef")
    client_ids: ClassVar[str] = "ever"
    timed: ClassVar[bool] = True
    word_for_open: ClassVar[str] = "Open"
    simulated: ClassVar[Mapping[str, Any]] = {
        "first_id": int(time.time() * 1_000_000),
        "clock_step_ms": 1000,
    }
    """Books are numbered by their time in us, and trades are told in whole seconds."""
    examples: ClassVar[Sequence[Example]] = tuple(own_examples())
    waivers: ClassVar[Mapping[str, str]] = {
        "C99": "Bitstamp tells nobody its time: while this machine's clock is an hour off, its orders are refused",
        "C81": "Bitstamp's changes of a book don't say what they follow on: a lost one shows at the next snapshot only",
        "C84[swap]": "Bitstamp's changes of a book are told apart by their time alone: an older one is dropped",
    }

    def __init__(self, simulation: Simulation) -> None:
        self._world = simulation
        self._nonces: set[str] = set()
        self._answers: dict[str, Callable[[Request, Mapping[str, str]], object]] = {
            "markets": self._markets,
            "depth": self._depth,
            "recent_trades": self._trades,
            "balances": self._balances,
            "place_order": self._place,
            "cancel_order": self._cancel,
            "pending_orders": self._open,
            "find_order": self._state,
        }

    def operation(self, request: Request) -> str:
        """The hook that a request belongs to."""
        if found := _PUBLIC.fullmatch(request.path):
            return _READS[found[1]] if request.method == "GET" else ""
        if request.method != "POST":
            return ""
        if _PLACING.fullmatch(request.path):
            return "place_order"
        if request.path.startswith("/api/v2/open_orders/"):
            return "pending_orders"
        return _PRIVATE.get(request.path, "")

    def answer(self, request: Request) -> Reply:
        """An honest answer, errors included."""
        operation = self.operation(request)
        if not operation:
            return _failed(404, "404.000", "Not found")
        if request.method == "POST" and (said := self._unsigned(request)):
            return Reply(msgspec.json.encode({"status": "error", "reason": said[1], "code": said[0]}), 403)
        try:
            return Reply(msgspec.json.encode(self._answers[operation](request, request.fields())))
        except NotFound:
            return _failed(404, "404.002", "Order not found")
        except Refused as error:
            if error.reason in ("FILLED", "CANCELED"):
                return _failed(404, "404.002", "Order not found")
            code = _CODES.get(error.reason, "400.001")
            return _failed(int(code[:3]), code, error.message)
        except (KeyError, ValueError) as error:
            return _failed(400, "400.007", f"POST parameter(s) is malformed: {error}")

    def too_many(self) -> Reply:
        """The answer to too many requests."""
        reply = _failed(400, "400.002", "Request rejected due to exceeded rate limit.")
        return Reply(reply.body, 400, {"Retry-After": "1"})

    def weight(self, request: Request) -> int:
        """Every request counts one."""
        return 1

    # --- WebSocket

    def opened(self, session: Session) -> None:
        """Nothing is sent before it is asked for."""
        session.state["stops"] = {}

    def message(self, session: Session, text: str) -> None:
        """One message, one channel; heartbeats are answered."""
        message = msgspec.json.decode(text)
        event, channel = message["event"], message.get("data", {}).get("channel", "")
        if event == "bts:heartbeat":
            return session.send(_text({"event": event, "channel": "", "data": {"status": "success"}}))
        stops: dict[str, Callable[[], None]] = session.state["stops"]
        name, _, market_id = channel.rpartition("_")
        try:
            market = self._world.market_by_id(market_id)
            begin = {"live_trades": self._live_trades, "diff_order_book": self._diffs}[name]
        except (Refused, KeyError):
            data = {"code": None, "message": "Bad subscription string."}
            return session.send(_text({"event": "bts:error", "channel": channel, "data": data}))
        if stop := stops.pop(channel, None):
            stop()
        done = event.replace("subscribe", "subscription_succeeded")
        session.send(_text({"event": done, "channel": channel, "data": {}}))
        if event == "bts:subscribe":
            stops[channel] = begin(session, channel, market)

    def closed(self, session: Session) -> None:
        """End what was subscribed."""
        for stop in session.state["stops"].values():
            stop()

    def _live_trades(self, session: Session, channel: str, market: Market) -> Callable[[], None]:
        def listener(trades: Sequence[Trade]) -> None:
            for trade in trades:
                session.send(_text({"data": _live_trade(trade), "channel": channel, "event": "trade"}), channel)

        return self._world.on_trades(market.symbol, listener)

    def _diffs(self, session: Session, channel: str, market: Market) -> Callable[[], None]:
        def listener(delta: DepthDelta) -> None:
            data = _book(delta.sequence, delta.bids, delta.asks)
            session.send(_text({"data": data, "channel": channel, "event": "data"}), channel)

        return self._world.on_delta(market.symbol, listener)

    # --- HTTP

    def _unsigned(self, request: Request) -> tuple[str, str] | None:
        """Code and words of what is wrong with the signature."""
        headers, body = request.headers, request.body.decode()
        nonce, timestamp = headers.get("x-auth-nonce", ""), headers.get("x-auth-timestamp", "")
        keys = self.credentials
        if headers.get("x-auth") != f"BITSTAMP {keys.api_key}" or headers.get("x-auth-version") != "v2":
            return "API0001", "API key not found"
        if headers.get("content-type", "") != (FORM if body else ""):
            return "API0020", "Wrong content type"
        right = signature(keys.api_secret, keys.api_key, "POST", request.host, request.path, nonce, timestamp, body)
        if not hmac.compare_digest(headers.get("x-auth-signature", ""), right):
            return "API0005", "Invalid signature"
        if not timestamp.isdecimal() or abs(int(timestamp) - self._world.now_ms()) > _AGE:
            return "API0017", "X-Auth-Timestamp is not in range"
        if nonce in self._nonces or str(uuid.UUID(nonce)) != nonce or uuid.UUID(nonce).version != 4:
            return "API0004", "Invalid nonce"
        self._nonces.add(nonce)
        return None

    def _markets(self, request: Request, fields: Mapping[str, str]) -> object:
        return [_market(market) for market in self._world.markets]

    def _depth(self, request: Request, fields: Mapping[str, str]) -> object:
        depth: Depth = self._world.depth(self._market(request).symbol, _ALL)
        return _book(depth.last_update_id, depth.bids, depth.asks)

    def _trades(self, request: Request, fields: Mapping[str, str]) -> object:
        since = self._world.now_ms() - _WINDOWS[fields.get("time", "hour")] * 1000
        trades = self._world.trades(self._market(request).symbol, _ALL)
        return [_transaction(trade) for trade in reversed(trades) if trade.time >= since]

    def _balances(self, request: Request, fields: Mapping[str, str]) -> object:
        rows = self._world.balances()
        return [{"currency": r.asset.lower(), "available": r.available, "reserved": r.frozen} for r in rows]

    def _place(self, request: Request, fields: Mapping[str, str]) -> object:
        found = _PLACING.fullmatch(request.path)
        assert found is not None
        side: Side = "buy" if found[1] == "buy" else "sell"
        by_counter = found[2] == "instant" and (side == "buy" or fields.get("amount_in_counter") == "True")
        in_force: TimeInForce = "IOC" if "ioc_order" in fields else "FOK" if "fok_order" in fields else "GTC"
        order = OrderRequest(
            market=self._world.market_by_id(found[3]),
            side=side,
            type="market" if found[2] else "limit",
            client_order_id=fields.get("client_order_id", ""),
            price="" if found[2] else fields["price"],
            amount="" if by_counter else fields["amount"],
            quote_amount=fields["amount"] if by_counter else "",
            time_in_force=in_force,
            post_only=fields.get("moc_order") == "True",
            options={"daily_order": "true"} if fields.get("daily_order") == "True" else {},
        )
        placed = self._world.place(order)
        return {
            "id": placed.order_id,
            "market": placed.symbol,
            "datetime": _datetime(placed.time),
            "type": str(int(side == "sell")),
            "price": placed.price,
            "amount": fields["amount"],
            "client_order_id": placed.client_order_id,
        }

    def _cancel(self, request: Request, fields: Mapping[str, str]) -> object:
        order = self._world.cancel(None, fields["id"])
        side = int(order.side == "sell")
        return {"id": int(order.order_id), "amount": order.remaining, "price": order.price, "type": side}

    def _open(self, request: Request, fields: Mapping[str, str]) -> object:
        name = request.path.rstrip("/").rpartition("/")[2]
        symbol = None if name == "all" else self._world.market_by_id(name).symbol
        return [_open_order(order) for order in self._world.open_orders(symbol)]

    def _state(self, request: Request, fields: Mapping[str, str]) -> object:
        found = self._world.find(None, fields.get("id", ""), fields.get("client_order_id", ""))
        if not found:
            raise NotFound("Order not found")
        order = found[-1]
        base, quote = (part.lower() for part in order.symbol.split("/"))
        return {
            "id": int(order.order_id),
            "datetime": _datetime(order.time),
            "type": str(int(order.side == "sell")),
            "subtype": order.type.upper(),
            "status": _STATUSES.get(order.status, "Open"),
            "market": order.symbol,
            "price": order.price,
            "amount_remaining": order.remaining,
            "client_order_id": order.client_order_id,
            "transactions": [
                {"tid": int(own.trade_id), "price": own.price, base: own.qty, quote: own.quote_qty, "type": 2}
                for own in self._world.fills(None, order.order_id)
            ],
        }

    def _market(self, request: Request) -> Market:
        found = _PUBLIC.fullmatch(request.path)
        return self._world.market_by_id(found[2] if found and found[2] else "")


def _market(market: Market) -> dict[str, Any]:
    return {
        "name": market.symbol,
        "market_symbol": market.id,
        "base_currency": market.base,
        "base_decimals": len(market.step_size.partition(".")[2]),
        "counter_currency": market.quote,
        "counter_decimals": len(market.tick_size.partition(".")[2]),
        "minimum_order_value": market.min_notional or None,
        "maximum_order_value": None,
        "minimum_order_amount": market.min_amount or None,
        "maximum_order_amount": None,
        "trading": "Enabled",
        "instant_and_market_orders": "Enabled",
        "market_type": "SPOT",
    }


def _book(micros: int, bids: Sequence[Any], asks: Sequence[Any]) -> dict[str, Any]:
    return {"timestamp": str(micros // 1_000_000), "microtimestamp": str(micros), "bids": bids, "asks": asks}


def _transaction(trade: Trade) -> dict[str, str]:
    row = {"date": str(trade.time // 1000), "tid": trade.id, "amount": trade.qty, "price": trade.price}
    return {**row, "type": str(int(trade.taker_side == "sell"))}


def _live_trade(trade: Trade) -> dict[str, Any]:
    return {
        "id": int(trade.id),
        "timestamp": str(trade.time // 1000),
        "amount": float(trade.qty),
        "amount_str": trade.qty,
        "price": float(trade.price),
        "price_str": trade.price,
        "type": int(trade.taker_side == "sell"),
        "microtimestamp": str(trade.time * 1000),
        "buy_order_id": 1,
        "sell_order_id": 2,
    }


def _open_order(order: Order) -> dict[str, Any]:
    return {
        "id": order.order_id,
        "datetime": _datetime(order.time),
        "type": str(int(order.side == "sell")),
        "price": order.price,
        "amount": order.remaining,
        "amount_at_create": order.amount,
        "currency_pair": order.symbol,
        "market": order.symbol,
        "client_order_id": order.client_order_id,
    }


def _datetime(millis: int) -> str:
    moment = datetime.datetime.fromtimestamp(millis / 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def _text(message: Mapping[str, object]) -> str:
    return msgspec.json.encode(message).decode()


def _failed(status: int, code: str, reason: str) -> Reply:
    body = {"status": "error", "reason": reason, "response_code": code}
    return Reply(msgspec.json.encode(body), status)
