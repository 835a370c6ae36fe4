"""Kraken as exgate-testing needs it: the dialect of REST and of WebSocket v2 over a simulated exchange.

It answers as docs.kraken.com says (pages named in ``parse``, ``privates`` and ``dialect``), refusals included. Only the
kit imports this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, cast

from exgate_testing.fakes import Keys, Reply, Request, Session, Simulation
from exgate_testing.own import Example

from exgate_core.errors import NotFound, Refused
from exgate_core.models import Market, Order, OrderRequest, Side, TimeInForce

from .fake_examples import EXAMPLES
from .fake_rules import REFUSALS, STOPS, Gate, Problem, check_order
from .fake_streams import Streams
from .names import altname

_CODES: Final = {"BTC": "XXBT", "DOGE": "XXDG", "ETH": "XETH", "USD": "ZUSD"}
_WORDS: Final = {"BTC": "XBT", "DOGE": "XDG"}
_STATUSES: Final = {"partially_filled": "open", "filled": "closed", "rejected": "canceled"}
_OPEN: Final = ("open", "partially_filled")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_LENGTH: Final = 16
_LIMITS: Final = frozenset({"limit", "iceberg", "stop-loss-limit", "take-profit-limit"})
_OPTIONS: Final[tuple[str, ...]] = ("displayvol", "expiretm", "starttm", "stptype", "trigger")
_PAGE: Final = 50


def _market(base: str, quote: str, name: str, tick: str, least: str, cost: str) -> Market:
    short = [_WORDS.get(code, code) for code in (base, quote)]
    return Market(
        symbol=f"{base}/{quote}",
        id=name,
        base=base,
        quote=quote,
        aliases=("".join(short), "/".join(short)),
        tick_size=tick,
        step_size="0.00000001",
        min_amount=least,
        min_notional=cost,
    )


class KrakenFake:
    """One account and its market data. See ``exgate_testing.fakes.Fake``."""

    markets: ClassVar[Sequence[Market]] = (
        _market("BTC", "USDT", "XBTUSDT", "0.1", "0.00005", "0.5"),
        _market("ETH", "BTC", "XETHXXBT", "0.00001", "0.002", "0.00002"),
        _market("SC", "BTC", "SCXBT", "0.00000001", "0.1", "0.00002"),
        _market("DOGE", "USD", "XDGUSD", "0.0000001", "0.1", "0.5"),
    )
    credentials: ClassVar[Keys] = Keys(
        api_key="n4mBaxjuLwbQSNmbnWKKSpSMNWWnPYhIVXK9xBV5CBVbnpaYVPxqy3Ml",
        api_secret="kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
    )
    settings: ClassVar[Mapping[str, Any]] = {"tier": "negotiated"}
    timed: ClassVar[bool] = True
    examples: ClassVar[Sequence[Example]] = EXAMPLES
    word_for_open: ClassVar[str] = "open"

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._gate = Gate(self.credentials)
        self._streams = Streams(simulation)
        self._special: dict[str, dict[str, str]] = {}  # order id -> what its row says besides
        self._calls: dict[str, Callable[[dict[str, str]], Any]] = {
            "/0/public/Time": lambda form: {"unixtime": simulation.now_ms() // 1000},
            "/0/public/AssetPairs": lambda form: {market.id: _pair(market) for market in self.markets},
            "/0/public/Depth": self._depth,
            "/0/public/Trades": self._trades,
            "/0/private/BalanceEx": lambda form: self._balances(),
            "/0/private/AddOrder": self._place,
            "/0/private/CancelOrder": self._cancel,
            "/0/private/OpenOrders": lambda form: {"open": self._rows(form, _OPEN)},
            "/0/private/ClosedOrders": self._closed,
            "/0/private/QueryOrders": self._query,
        }

    def operation(self, request: Request) -> str:
        """The hook to which a path belongs."""
        name = request.path.rpartition("/")[2]
        if name == "OpenOrders":
            return "find_order" if {"cl_ord_id", "trades"} & request.fields().keys() else "pending_orders"
        return {
            "AssetPairs": "markets",
            "Depth": "depth",
            "Trades": "recent_trades",
            "BalanceEx": "balances",
            "AddOrder": "place_order",
            "CancelOrder": "cancel_order",
            "ClosedOrders": "find_order",
            "QueryOrders": "find_order",
        }.get(name, "")

    def too_many(self) -> Reply:
        """An error like any other, in a 200; this one holds for everything from an address."""
        return _error("EGeneral:Too many requests")

    def answer(self, request: Request) -> Reply:
        """Checks in Kraken's order: path, key, signature, nonce, arguments, then what is asked for."""
        call, form = self._calls.get(request.path), request.fields()
        if call is None or (request.method == "GET") != request.path.startswith("/0/public/"):
            return _error("EGeneral:Unknown method")
        try:
            if request.method == "POST":
                self._gate.check(request, form)
            found = call(form)
        except Problem as problem:
            return _error(str(problem))
        except Refused as refusal:
            return _error(REFUSALS[refusal.reason])
        return Reply(json.dumps({"error": [], "result": found}).replace('"~', "").replace('~"', "").encode())

    # --- public

    def _depth(self, form: dict[str, str]) -> dict[str, Any]:
        market = self._simulation.market_by_id(form["pair"])
        book = self._simulation.depth(market.symbol, min(int(form.get("count", 100)), 500))
        now = self._simulation.now_ms() // 1000
        sides = {"asks": book.asks, "bids": book.bids}
        return {market.id: {side: [[*level, now] for level in levels] for side, levels in sides.items()}}

    def _trades(self, form: dict[str, str]) -> dict[str, Any]:
        market, count = self._simulation.market_by_id(form["pair"]), min(int(form.get("count", 1000)), 1000)
        made = self._simulation.trades(market.symbol, 10**9)
        if "since" in form:
            found = [trade for trade in made if trade.time_ns >= int(form["since"])][:count]
        else:
            found = made[-count:]
        rows = [
            [t.price, t.qty, _number(t.time_ns), "b" if t.taker_side == "buy" else "s", "l", "", int(t.id)]
            for t in found
        ]
        return {market.id: rows, "last": str(found[-1].time_ns if found else form.get("since", "0"))}

    # --- private

    def _balances(self) -> dict[str, Any]:
        return {
            _CODES.get(row.asset, row.asset): {
                "balance": _sum(row.available, row.frozen),
                "hold_trade": row.frozen,
                "credit": "0.0000",
                "credit_used": "0.0000",
            }
            for row in self._simulation.balances()
        }

    def _place(self, form: dict[str, str]) -> dict[str, Any]:
        check_order(form, self._simulation.now_ms() / 1000)
        market, kind, flags = self._simulation.market_by_id(form["pair"]), form["ordertype"], form.get("oflags", "")
        special = {"ordertype": kind, "oflags": flags, "volume": form["volume"]}
        if kind in STOPS:
            special |= {"price": form["price"], "price2": form.get("price2", "0")}
        order = self._simulation.place(
            OrderRequest(
                market=market,
                side=cast(Side, form["type"]),
                type="limit" if kind in _LIMITS else "market",
                client_order_id=form.get("cl_ord_id", ""),
                price=form.get("price2" if kind in STOPS else "price", "") if kind in _LIMITS else "",
                amount="" if "viqc" in flags else form["volume"],
                quote_amount=form["volume"] if "viqc" in flags else "",
                time_in_force=cast(TimeInForce, form.get("timeinforce", "GTC").replace("GTD", "GTC")),
                post_only="post" in flags,
                stop_price=form["price"].removeprefix("+").removesuffix("%") if kind in STOPS else "",
                options=_options(form),
            )
        )
        self._special[order.order_id] = special
        told = f"{form['type']} {order.amount} {altname(market)} @ {kind} {form.get('price', '')}".strip()
        return {"txid": [_txid(order)], "descr": {"order": told}}

    def _cancel(self, form: dict[str, str]) -> dict[str, Any]:
        name = self._named(form)
        try:
            self._simulation.cancel(None, *name)
        except (NotFound, Refused):
            raise Problem("EOrder:Unknown order") from None
        return {"count": 1}

    def _named(self, form: dict[str, str]) -> tuple[str, str]:
        if form.get("txid", "0").isdecimal() and "cl_ord_id" not in form:
            raise Problem("EGeneral:Invalid arguments")
        return _order_id(form["txid"]) if "txid" in form else "", form.get("cl_ord_id", "")

    def _closed(self, form: dict[str, str]) -> dict[str, Any]:
        rows = self._rows(form, ("filled", "canceled", "expired", "rejected"))
        newest = dict(list(rows.items())[:_PAGE])
        return {"closed": newest} | ({} if form.get("without_count") == "true" else {"count": len(rows)})

    def _query(self, form: dict[str, str]) -> dict[str, Any]:
        found = self._simulation.find(None, _order_id(form["txid"]))
        if not found:
            raise Problem("EOrder:Invalid order")
        return {_txid(order): self._row(order) for order in found}

    def _rows(self, form: dict[str, str], statuses: Sequence[str]) -> dict[str, Any]:
        mine = form.get("cl_ord_id")
        found = [order for order in self._simulation.all_orders() if order.status in statuses]
        wanted = [order for order in found if mine in (None, order.client_order_id)]
        return {_txid(order): self._row(order) for order in reversed(wanted)}

    def _row(self, order: Order) -> dict[str, Any]:
        special = self._special.get(order.order_id, {})
        price, flags = special.get("price", order.price), special.get("oflags", "")
        return {
            "refid": None,
            "userref": 0,
            "cl_ord_id": order.client_order_id or None,
            "status": _STATUSES.get(order.status, order.status),
            "opentm": _number(order.time * 1_000_000),
            "starttm": 0,
            "expiretm": 0,
            "descr": {
                "pair": altname(self._simulation.market(order.symbol)),
                "type": order.side,
                "ordertype": special.get("ordertype", order.type),
                "price": price if order.type == "limit" or special.get("price") else "0",
                "price2": special.get("price2", "0"),
                "leverage": "none",
                "order": "",
                "close": "",
            },
            "vol": special.get("volume", order.amount) if "viqc" in flags else order.amount,
            "vol_exec": order.filled,
            "misc": "",
            "oflags": flags or ("post" if order.post_only else "fciq"),
        }

    # --- streams

    def weight(self, request: Request) -> int:
        """Public questions are counted by the address, private ones by the key."""
        return int(request.path.startswith("/0/public/"))

    def opened(self, session: Session) -> None:
        """Kraken says first how it is."""
        self._streams.opened(session)

    def message(self, session: Session, text: str) -> None:
        """ping, subscribe, unsubscribe."""
        self._streams.message(session, json.loads(text))

    def closed(self, session: Session) -> None:
        """End every subscription of the connection."""
        self._streams.closed(session)

    def ping(self, session: Session) -> None:
        """The heartbeat of a connection with subscriptions."""
        self._streams.beat(session)


def _options(form: Mapping[str, str]) -> dict[str, str]:
    """What the adapter's further options must have been."""
    found = {name: form[name] for name in _OPTIONS if name in form}
    if form["ordertype"] == "trailing-stop":
        found["trailing_offset"] = form["price"].removeprefix("+")
    if form["ordertype"].startswith("take-profit"):
        found["stop_kind"] = "take-profit"
    for flag in form.get("oflags", "").split(","):
        if flag in ("fcib", "fciq"):
            found["fee"] = flag
    return found


def _error(text: str) -> Reply:
    return Reply(json.dumps({"error": [text]}).encode())


def _number(time_ns: int) -> str:
    """Seconds as a JSON number with every digit: between marks that ``answer`` takes off together with the quotes."""
    return f"~{time_ns // 10**9}.{time_ns % 10**9:09d}~"


def _sum(one: str, other: str) -> str:
    places = max(len(text.partition(".")[2]) for text in (one, other))
    total = sum(int(text.replace(".", "").ljust(len(text.partition(".")[0]) + places, "0")) for text in (one, other))
    return f"{total // 10**places}.{total % 10**places:0{places}d}" if places else str(total)


def _pair(market: Market) -> dict[str, Any]:
    base, quote = (_WORDS.get(code, code) for code in (market.base, market.quote))
    return {
        "altname": altname(market),
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": _CODES.get(market.base, market.base),
        "aclass_quote": "currency",
        "quote": _CODES.get(market.quote, market.quote),
        "pair_decimals": len(market.tick_size.partition(".")[2]),
        "cost_decimals": 8,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "ordermin": market.min_amount,
        "costmin": market.min_notional,
        "tick_size": market.tick_size,
        "status": "online",
    }


def _txid(order: Order) -> str:
    number, text = int(order.order_id), ""
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return f"O{text[:5]}-{text[5:10]}-{text[10:]}"


def _order_id(txid: str) -> str:
    digits = txid.removeprefix("O").replace("-", "")
    return str(int(digits, len(_DIGITS))) if digits.isalnum() and digits.isascii() else "none"
