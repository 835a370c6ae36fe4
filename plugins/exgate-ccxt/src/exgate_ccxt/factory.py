"""Our subclasses of ccxt's exchanges. Imports ccxt: only ``loading`` may import this module, and in a thread."""

from __future__ import annotations

from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from ccxt.async_support.base.ws.client import Client
from ccxt.base.exchange import Exchange

from . import exact
from .bounds import EXPONENT, Boundless, judge, unpacked
from .safely import READERS
from .truth import NOTE, bad_answer, checked
from .wire import Outgoing, Wire

__all__ = ["VERSION", "exchange_class"]

VERSION = metadata.version("ccxt")


class ExactClient(Client):  # type: ignore[misc]  # ccxt has no types
    """ccxt's WebSocket connection with numbers left as text, connected by way of the upstream prefix."""

    exgate: Wire

    def handle_message(self, message: Any) -> None:
        """Unpack what is packed, up to a size; the rest is ccxt's."""
        if isinstance(message.data, bytes) and message.type.name == "BINARY" and (self.gunzip or self.inflate):
            self.handle_text_or_binary_message(unpacked(message.data, bare=not self.gunzip))
        else:
            super().handle_message(message)

    def handle_text_or_binary_message(self, data: str | bytes) -> None:
        """Decode exactly and hand on; what isn't JSON is handed on as it is."""
        if isinstance(data, bytes):
            if not self.decompressBinary:
                self.on_message_callback(self, data)
                return
            data = data.decode()
        message: Any = data
        if data[:1] in ("{", "["):
            message = exact.decode(data)
        self.on_message_callback(self, message)

    def create_connection(self, session: Any) -> Any:
        """Connect to the same URL by way of the prefix and the proxy of the settings."""
        return session.ws_connect(
            self.exgate.context.last_hop(self.url),
            autoping=False,
            autoclose=False,
            headers=self.options.get("headers"),
            proxy=self.exgate.context.proxy or None,
            max_msg_size=10 * 1024 * 1024,
        ).__aenter__()


def exchange_class(exchange_id: str) -> type[Any]:
    """The subclass of ccxt's class: exact numbers, our HTTP, nothing unread. One is made per id."""
    if exchange_id not in _made:
        package = next(name for name in ("ccxt.pro", "ccxt.async_support") if find_spec(f"{name}.{exchange_id}"))
        base = getattr(import_module(f"{package}.{exchange_id}"), exchange_id)
        never = {name: _nothing for name in _NEVER if hasattr(base, name)}
        _made[exchange_id] = type(
            exchange_id, (base,), {**_OVERRIDES, **_levels_reader(base), **_rounders(base), **_guards(base), **never}
        )
    return _made[exchange_id]


async def _fetch(self: Any, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
    sent = self.prepare_request_headers(headers)
    sent.pop("User-Agent", None)
    answer = await self.exgate.send(Outgoing(method, url, sent, body or ""))
    got = {str(key): value for key, value in answer.headers.items()}
    reason = ""
    raw = answer.body.decode("utf-8", "replace")
    note = NOTE.get()
    if note is not None:
        note.status, note.url = answer.status, answer.url
    raw = self.on_rest_response(answer.status, reason, url, method, got, raw, sent, body)
    self.last_response_headers = got
    parsed = _json_or_none(raw, answer.url)
    self.handle_errors(answer.status, reason, url, method, got, raw, parsed, sent, body)
    self.handle_http_status_code(answer.status, reason, url, method, raw)
    result = checked(answer, raw, parsed, method)
    return result if note is None else note.watch(answer, result)


def _json_or_none(raw: str, url: str) -> Any:
    if raw[:1] not in ("{", "["):
        return None
    try:
        return exact.decode(raw)
    except Boundless as error:
        raise bad_answer(url, str(error)) from None
    except ValueError:
        return None


async def _nothing(_self: Any, *_arguments: Any, **_named: Any) -> bool:
    return False


async def _throttle(self: Any, cost: float | None = None) -> None:
    await self.exgate.take((1.0 if cost is None else float(cost)) * self.rateLimit)


def _seconds(self: Any) -> int:
    return int(_now(self))


def _milliseconds(self: Any) -> int:
    return int(_now(self) * 1_000)


def _microseconds(self: Any) -> int:
    return int(_now(self) * 1_000_000)


def _now(client: Any) -> float:
    """The time of day as the exchange has it; ccxt's own, the machine's, is never asked."""
    return float(client.exgate.context.clock.time() + client.exgate_behind)


def _levels_reader(base: type[Any]) -> dict[str, Any]:
    """For a class that reads the levels of a book as most do: the same, all at once."""
    theirs = base.parse_order_book_bids_asks
    if theirs is not Exchange.parse_order_book_bids_asks:
        return {}
    if base.parse_order_book_bid_ask is not Exchange.parse_order_book_bid_ask:
        return {}

    def parse(self: Any, bidasks: Any, priceKey: Any = 0, amountKey: Any = 1, countOrIdKey: Any = 2) -> Any:
        # What has another form, or can't be read, goes ccxt's way, level by level.
        if (priceKey, amountKey) == (0, 1) and type(bidasks) is list and all(type(row) is list for row in bidasks):
            try:
                return [[exact.Num(price), exact.Num(amount)] for price, amount in bidasks]
            except (TypeError, ValueError):
                pass
        return theirs(self, bidasks, priceKey, amountKey, countOrIdKey)

    return {"parse_order_book_bids_asks": parse}


def _rounders(base: type[Any]) -> dict[str, Any]:
    """What isn't known isn't rounded to: Gemini lists its markets without their steps, and ccxt then sends nothing."""
    return {name: _rounder(getattr(base, name), which) for name, which in _ROUNDERS.items()}


def _rounder(theirs: Any, which: str) -> Any:
    def rounded(self: Any, symbol: str, value: Any) -> Any:
        known = self.market(symbol)["precision"].get(which)
        return exact.text(value) if known is None else theirs(self, symbol, value)

    return rounded


def _numeric(_self: Any, value: Any) -> Any:
    """ccxt's own makes 6.37e-06 of 0.00000637, and sends it so (BingX)."""
    written = exact.text(value)
    return exact.Num(written) if "." in written else int(written or 0)


def _guards(base: type[Any]) -> dict[str, Any]:
    """What ccxt computes with beside the numbers of decoded JSON: counts of places, and MEXC's binary frames."""
    counted = {name: _counted(getattr(base, name)) for name in ("parse_precision", "integer_precision_to_amount")}
    return {**counted, "decode_proto_msg": _judged(base.decode_proto_msg)}


def _counted(theirs: Any) -> Any:
    def counted(self: Any, precision: Any) -> Any:
        if precision is not None and abs(float(precision)) > EXPONENT:  # ccxt writes so many zeros, one by one
            raise Boundless(f"a number of {str(precision)[:20]} places")
        return theirs(self, precision)

    return counted


def _judged(theirs: Any) -> Any:
    def judged(self: Any, data: bytes) -> Any:
        found = theirs(self, data)
        judge(found)
        return found

    return judged


def _on_json_response(_self: Any, body: str) -> Any:
    return exact.decode(body)


def _client(self: Any, url: str) -> Any:
    self.open()
    self.clients = self.clients or {}
    if url not in self.clients:
        options = self.extend(
            self.streaming,
            {
                "ping": getattr(self, "ping", None),
                "asyncio_loop": self.asyncio_loop,
                "decompressBinary": self.safe_bool(self.options, "decompressBinary", True),
                "exgate": self.exgate,
            },
            self.safe_value(self.options, "ws", {}),
        )
        self.clients[url] = ExactClient(
            url, self.handle_message, self.on_error, self.on_close, self.on_connected, options
        )
    return self.clients[url]


_NEVER = ("handle_builder_fee_approval", "approve_builder_fee", "approve_builder_code", "set_ref")
"""Signed requests that ccxt makes for its own sake: a builder's fee, a referrer."""

_ROUNDERS = {"amount_to_precision": "amount", "price_to_precision": "price", "cost_to_precision": "price"}

_made: dict[str, type[Any]] = {}
_OVERRIDES: dict[str, Any] = {
    "number": exact.Num,
    "parse_to_numeric": _numeric,
    **READERS,
    "fetch": _fetch,
    "throttle": _throttle,
    "seconds": _seconds,
    "milliseconds": _milliseconds,
    "microseconds": _microseconds,
    "exgate_behind": 0.0,
    "on_json_response": _on_json_response,
    "client": _client,
    "exgate": None,
    "exgate_markets": None,
}
