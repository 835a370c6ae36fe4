"""Every order is read again before it leaves: what the built request says must be what was meant, and nothing else.

The check doesn't trust the code that built the request, nor any option that steered it: it takes the request apart and
explains every value in it by the intent or by a table. What differs, and what nobody can explain, isn't sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from exgate_core import numbers
from exgate_core.errors import Refused
from exgate_core.models import OrderRequest

from . import vocabulary as words
from .intents import Intent
from .sent import Leaf, Sent, Unreadable, take_apart

_TOKENS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+[0-9]*|[0-9]+")
_BETWEEN: Final = re.compile(r"[-_ ,./:|]")
_FORBIDDEN: Final = re.compile(
    r"withdraw|transfer|approve|builder|referr|deposit/?new|apikey|api-key|create|order/?(new|place|add)|leverage"
    r"|cancel|addorder|submit|borrow|repay|convert|redeem|stak|subaccount/(new|create)|setreferrer|usdclass",
    re.IGNORECASE,
)
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
_SWITCHES: Final = {"postonly": "postonly", "makeronly": "postonly", "immediateorcancel": "ioc", "ioc": "ioc"}
_EXTRA_WORDS: Final = frozenset({"gtc", "good", "till", "til", "cancel", "cancelled", "canceled", "fill", "kill"})


class Wording(Struct, frozen=True, kw_only=True):
    """How one exchange's orders differ from what most write."""

    signed_amount: bool = False
    """A sell is an amount below zero."""
    implied_quote: bool = False
    """The market is named by its base asset alone."""
    cost_key: str = ""
    """The parameter that holds the quote amount of a market order, where the word for it isn't one of the common."""
    flags: Mapping[str, str] = {}
    """Numbers and odd words that stand for common ones: ``{"flags=4096": "postonly"}``."""
    constants: frozenset[tuple[str, str]] = frozenset()
    market_words: frozenset[str] = words.MARKET


class Mismatch(Refused):
    """The request that was built isn't the one that was meant. It was not sent."""

    default_reason = "REQUEST_CHECK"


def hosts_of(urls: Any, hostname: str = "") -> frozenset[str]:
    """Every host in an exchange's table of addresses."""
    if isinstance(urls, str):
        text = urls.replace("{hostname}", hostname)
        found = re.match(r"(?:https?|wss?)://([^/?#]+)", text)
        return frozenset({found[1].lower()}) if found else frozenset()
    parts = urls.values() if isinstance(urls, dict) else urls if isinstance(urls, (list, tuple)) else ()
    return frozenset().union(*(hosts_of(part, hostname) for part in parts))


def check(
    intent: Intent,
    wording: Wording,
    hosts: Collection[str],
    url: str,
    method: str,
    headers: Mapping[str, Any] | None,
    body: Any,
) -> None:
    """Raise Mismatch unless the request does exactly what the intent says."""
    try:
        sent = take_apart(url, method, headers, body)
        problem = _problem(intent, wording, hosts, sent)
    except Unreadable as error:
        problem = str(error)
    if problem:
        raise Mismatch(f"the request that was built for it doesn't say what was meant: {problem}")


def _problem(intent: Intent, wording: Wording, hosts: Collection[str], sent: Sent) -> str:
    if sent.scheme != "https" or sent.host not in hosts:
        return f"it would go to {sent.scheme}://{sent.host}"
    if intent.operation == "read":
        return _of_read(sent)
    if intent.sends:
        return "it would be the second request of one order"
    if intent.operation == "cancel":
        return _of_cancel(intent, wording, sent)
    assert intent.order is not None
    return _of_order(intent, intent.order, wording, sent)


def _of_read(sent: Sent) -> str:
    if sent.method not in ("GET", "POST"):
        return f"a question would be asked by {sent.method}"
    path = "/".join(sent.segments)
    if sent.method == "POST" and _FORBIDDEN.search(path):
        return f"a question would be put to {path}"
    for leaf in sent.leaves:
        if leaf.key in ("type", "action.", "method", "action") and _FORBIDDEN.search(leaf.value):
            return f"a question would ask for {leaf.value[:40]}"
    return ""


def _forms(intent: Intent) -> frozenset[str]:
    """The ways in which the market may be named as a whole."""
    return frozenset(form.casefold() for form in intent.ids)


def _of_cancel(intent: Intent, wording: Wording, sent: Sent) -> str:
    wanted = {text for text in (intent.order_id, intent.client_order_id) if text}
    if not all(_ORDER_ID.fullmatch(text) and ".." not in text for text in wanted):
        return "its order id could be read as a part of a path"
    seen = 0
    for leaf in sent.leaves:
        if leaf.value in wanted:
            seen += 1
        elif (problem := _other_of_cancel(intent, wording, leaf, sent)) is not None:
            return problem
    # order-17, client:17, {...}17: some put a word in front of the id in the path
    seen += sum(segment in wanted or segment.rpartition(":")[2] in wanted for segment in sent.segments)
    return "" if seen else "it names no order, or another one"


def _other_of_cancel(intent: Intent, wording: Wording, leaf: Leaf, sent: Sent) -> str | None:
    if leaf.key in words.SYMBOL and not _is_constant(leaf, wording):
        return None if _names_market(intent, leaf.value) else f"it is for the market {leaf.value[:40]}"
    if leaf.key in words.FREE or _is_constant(leaf, wording) or _is_own_path(leaf, sent):
        return None
    if leaf.key in words.ORDER_ID and leaf.key not in ("id",):
        return f"it names another order: {leaf.key} = {leaf.value[:40]!r}"
    if leaf.key in words.WORDS or (leaf.key == "id" and leaf.value.isdigit() and len(sent.leaves) > 2):
        return None
    return f"nobody knows what {leaf.key} = {leaf.value[:40]!r} means"


class _Reading:
    """What an order's request says, collected leaf by leaf."""

    def __init__(self) -> None:
        self.markets: list[str] = []
        self.tokens: set[str] = set()
        self.amounts: list[str] = []
        self.costs: list[str] = []
        self.prices: list[str] = []
        self.stops: list[str] = []
        self.quote_unit = False
        self.client_id = False


def _of_order(intent: Intent, order: OrderRequest, wording: Wording, sent: Sent) -> str:
    if sent.method not in ("POST", "GET", "PUT"):
        return f"it would be sent by {sent.method}"
    reading = _Reading()
    for leaf in sent.leaves:
        problem = _read_leaf(intent, order, wording, sent, leaf, reading)
        if problem:
            return problem
    for segment in sent.segments:
        if segment.casefold() in _forms(intent):
            reading.markets.append(segment)
    # The API's own words for "order" in a path say nothing about which order; "buy" and "market" in it do.
    path_tokens = {token for segment in sent.segments for token in _tokens(segment)}
    spoken = words.BUY | words.SELL | wording.market_words | words.LIMIT
    reading.tokens |= path_tokens & spoken - {"b", "s"}
    return next((problem for problem in _judge(intent, order, wording, reading) if problem), "")


def _read_leaf(intent: Intent, order: OrderRequest, wording: Wording, sent: Sent, leaf: Leaf, reading: _Reading) -> str:
    if intent.client_order_id and leaf.value == intent.client_order_id:
        reading.client_id = True
        return ""
    if (leaf.key, leaf.value.lower()) in words.QUOTE_UNIT:
        reading.quote_unit = True
        return ""
    if _is_constant(leaf, wording) or leaf.key in words.FREE or _is_own_path(leaf, sent):
        return ""
    if leaf.key in words.SYMBOL:
        reading.markets.append(leaf.value)
        return "" if _names_market(intent, leaf.value) else f"it is for the market {leaf.value[:40]}"
    if _read_number(intent, wording, leaf, reading):
        return ""
    if leaf.key in words.WORDS or (leaf.key and leaf.key == wording.cost_key):
        return _read_words(wording, leaf, reading)
    if leaf.key == "id" and leaf.value.isdigit() and any(other.key == "method" for other in sent.leaves):
        return ""  # the number of a JSON-RPC call
    return f"nobody knows what {leaf.key} = {leaf.value[:40]!r} means"


def _read_number(intent: Intent, wording: Wording, leaf: Leaf, reading: _Reading) -> bool:
    place: list[str] | None = None
    if wording.cost_key and leaf.key == wording.cost_key and intent.order is not None and intent.order.quote_amount:
        place = reading.costs
    elif leaf.key in words.PRICE:
        place = reading.prices
    elif leaf.key in words.AMOUNT or leaf.key in {form.lower() for form in intent.base_ids}:
        place = reading.amounts
    elif leaf.key in words.COST or leaf.key in {form.lower() for form in intent.quote_ids}:
        place = reading.costs
    elif leaf.key in words.STOP:
        place = reading.stops
    if place is None:
        return False
    place.append(leaf.value)
    return True


def _read_words(wording: Wording, leaf: Leaf, reading: _Reading) -> str:
    value = wording.flags.get(f"{leaf.key}={leaf.value.lower()}", leaf.value)
    if leaf.key == "isbid":
        value = "buy" if value == "true" else "sell"
    if leaf.key in _SWITCHES:
        value = "" if value.lower() in ("false", "0") else _SWITCHES[leaf.key]
    tokens = set(_tokens(value))
    # What isn't made of known words alone, signs and foreign letters too, isn't understood.
    if not tokens <= _KNOWN_TOKENS or bool(value) != bool(tokens) or _BETWEEN.sub("", _TOKENS.sub("", value)):
        return f"nobody knows what {leaf.key} = {leaf.value[:40]!r} means"
    reading.tokens |= tokens
    return ""


def _tokens(text: str) -> Iterator[str]:
    whole = text.replace("_", "").replace("-", "").replace(" ", "").lower()
    if whole in _WHOLE:
        yield whole
        return
    for token in _TOKENS.findall(text):
        yield token.lower()


_WHOLE: Final = words.POST_ONLY.union(*words.TIMES.values())
_KNOWN_TOKENS: Final = words.BUY | words.SELL | words.MARKET | words.LIMIT | words.FILLERS | _EXTRA_WORDS | _WHOLE


def _is_constant(leaf: Leaf, wording: Wording) -> bool:
    pair = (leaf.key, leaf.value.lower())
    return pair in words.CONSTANTS or pair in wording.constants or (leaf.key, "*") in wording.constants


def _is_own_path(leaf: Leaf, sent: Sent) -> bool:
    """Some repeat the path, or the name of the call, in the body."""
    path = "/".join(sent.segments).strip("/")
    return leaf.key in ("request", "endpoint", "method") and bool(leaf.value) and leaf.value.strip("/") in path


def _names_market(intent: Intent, text: str) -> bool:
    return text.casefold() in _forms(intent) | {form.casefold() for form in (*intent.base_ids, *intent.quote_ids)}


def _judge(intent: Intent, order: OrderRequest, wording: Wording, reading: _Reading) -> Iterator[str]:
    yield _judge_market(intent, wording, reading)
    yield _judge_side(order, wording, reading)
    yield _judge_type(order, wording, reading)
    yield _judge_time(order, reading)
    yield _judge_amount(order, wording, reading)
    yield _judge_price(order, reading)
    if intent.client_order_id and not reading.client_id:
        yield "it doesn't carry the client order id"


def _judge_market(intent: Intent, wording: Wording, reading: _Reading) -> str:
    named = {text.casefold() for text in reading.markets}
    bases = {form.casefold() for form in intent.base_ids}
    quotes = {form.casefold() for form in intent.quote_ids}
    if named & (_forms(intent) - bases - quotes) or (named & bases and named & quotes):
        return ""
    return "" if wording.implied_quote and named and named <= bases else "it doesn't name the market"


def _judge_side(order: OrderRequest, wording: Wording, reading: _Reading) -> str:
    said = {side for side, tokens in (("buy", words.BUY), ("sell", words.SELL)) if tokens & reading.tokens}
    if wording.signed_amount:
        said.add("sell" if any(text.startswith("-") for text in reading.amounts) else "buy")
    return "" if said == {order.side} else f"its side is {' and '.join(sorted(said)) or 'not said'}"


def _judge_type(order: OrderRequest, wording: Wording, reading: _Reading) -> str:
    market, limit = bool(reading.tokens & (wording.market_words | words.MARKET)), bool(reading.tokens & words.LIMIT)
    priced = any(not numbers.is_zero(text) for text in reading.prices)
    if order.type == "market":
        return "" if market and not limit else "it doesn't say that it is a market order"
    if market or not (limit or priced):
        return "it doesn't say that it is a limit order"
    return ""


def _judge_time(order: OrderRequest, reading: _Reading) -> str:
    post_only = bool(reading.tokens & words.POST_ONLY)
    if post_only != order.post_only:
        return "it may only rest" if post_only else "it doesn't say that it may only rest"
    if order.type == "market":
        return ""
    said = {name for name in ("IOC", "FOK") if words.TIMES[name] & reading.tokens}
    wanted = {order.time_in_force} - {"GTC"}
    return "" if said == wanted else f"its time in force is {' and '.join(sorted(said)) or 'GTC'}"


def _judge_amount(order: OrderRequest, wording: Wording, reading: _Reading) -> str:
    if order.quote_amount:
        said = reading.costs or (reading.amounts if reading.quote_unit else [])
        rest = reading.amounts if reading.costs else []
        if not said or any(not _equal(text, order.quote_amount) for text in said) or any(map(_more, rest)):
            return f"its quote amount is {', '.join(said) or 'not said'}"
        return ""
    if reading.quote_unit:
        return "its amount would be one of the quote asset"
    said = [text.removeprefix("-") if wording.signed_amount else text for text in reading.amounts]
    if not said or any(not _equal(text, order.amount) for text in said):
        return f"its amount is {', '.join(said) or 'not said'}"
    worth = numbers.product(order.price, order.amount) if order.price else "0"
    return "" if all(_equal(text, worth) for text in reading.costs) else f"its worth is {', '.join(reading.costs)}"


def _judge_price(order: OrderRequest, reading: _Reading) -> str:
    if any(not _equal(text, order.stop_price or "0") for text in reading.stops):
        return f"its stop price is {', '.join(reading.stops)}"
    if order.stop_price and not reading.stops:
        return "its stop price is not said"
    if order.type == "market":
        return f"a market order would have the price {reading.prices[0]}" if any(map(_more, reading.prices)) else ""
    if not reading.prices or any(not _equal(text, order.price) for text in reading.prices):
        return f"its price is {', '.join(reading.prices) or 'not said'}"
    return ""


def _more(text: str) -> bool:
    return not _equal(text, "0")


def _equal(text: str, wanted: str) -> bool:
    try:
        return text.isascii() and numbers.compare(numbers.plain(text), wanted) == 0
    except ValueError:
        return False
