"""Every exchange's requests, caught before they leave: what is declared is what they can do, nothing else passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from exgate_ccxt import facts as kept
from exgate_ccxt.arguments import created, intent_of
from exgate_ccxt.intents import Intent
from exgate_ccxt.recovery import LISTED_ONLY, recipe_of
from exgate_ccxt.request_check import Mismatch, Wording, check, hosts_of
from exgate_ccxt.wordings import wording_of
from hypothesis import assume, example, given
from hypothesis import strategies as st
from make_facts import CASES, MARKET, Caught, exchange, measure, rule_of

from exgate_core import client_ids
from exgate_core.models import Market, OrderRequest

pytest.importorskip("ccxt")
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore")]

PLACING = [name for name, fact in kept.facts().items() if fact.places]
Request = tuple[str, str, Any, Any]


async def built(name: str, case: str = "limit") -> tuple[Intent, frozenset[str], Request]:
    """An order's intent, the exchange's hosts, and the request that ccxt builds."""
    made = exchange(name)
    own = client_ids.derived(rule_of(name), "test") if kept.fact(name).client_ids else ""
    order = OrderRequest(market=MARKET, client_order_id=own, **CASES[case])
    arguments = created(name, order)
    with pytest.raises(Caught):
        await made.create_order(
            arguments.symbol, arguments.type, arguments.side, arguments.amount, arguments.price, arguments.params
        )
    await made.close()
    native = made.markets["BTC/USDT"]
    intent = intent_of("place", name, MARKET, native, order=order, client_order_id=own)
    return intent, hosts_of(made.urls["api"], made.hostname or ""), made.caught[-1]


def passes(name: str, intent: Intent, hosts: frozenset[str], request: Request) -> bool:
    try:
        check(intent, wording_of(name), hosts, *request)
    except Mismatch:
        return False
    return True


async def test_what_is_declared_is_what_was_measured() -> None:
    for name, fact in kept.facts().items():
        measured, why = await measure(name)
        assert measured == fact, why
    assert len(PLACING) >= 70


async def test_every_place_where_a_lost_order_is_looked_for_can_be_asked() -> None:
    """What ccxt says it has, and then refuses to ask of a spot market, would end every search for an order."""
    for name in PLACING:
        recipe, made = recipe_of(name), exchange(name)
        calls: dict[str, tuple[Any, ...]] = {
            "query": ("fetch_order", "" if recipe.key else "1", {recipe.key: "1"} if recipe.key else {}),
            "trades": ("fetch_my_trades",),
            "closed": ("fetch_closed_orders",),
            "canceled": ("fetch_canceled_orders",),
            "ended": ("fetch_canceled_and_closed_orders",),
            "orders": ("fetch_orders",),
        }
        if made.has.get("fetchOrder") and name not in LISTED_ONLY:
            with pytest.raises(Caught):
                more = {"acknowledged": True} if name.startswith("bybit") else {}
                await made.fetch_order("1122334455", "BTC/USDT", more)
        for method, *by in (calls[place] for place in recipe.searches if place in calls):
            arguments = (by[0], "BTC/USDT", by[1]) if by else ("BTC/USDT",)
            with pytest.raises(Caught):
                await getattr(made, method)(*arguments)
        await made.close()


def test_what_isnt_declared_has_a_reason() -> None:
    for fact in kept.facts().values():
        assert fact.places or fact.absent, fact.id


@pytest.mark.parametrize("name", PLACING)
async def test_a_changed_request_never_leaves(name: str) -> None:
    intent, hosts, request = await built(name)
    assert passes(name, intent, hosts, request)
    changed = 0
    for kind, other in tampered(request):
        changed += 1
        assert not passes(name, intent, hosts, other), (kind, other)
    assert changed >= 5


async def test_an_added_parameter_never_leaves() -> None:
    """What a caller's option could do if it reached the request: 0 may change size, side, symbol, account or route."""
    smuggled = {
        **{"side": "sell", "type": "market", "symbol": "ETHUSDT", "amount": "99", "price": "1", "size": "99"},
        **{"marginMode": "cross", "test": "true", "sor": "true", "isIsolated": "TRUE", "account": "margin"},
        **{"sideEffectType": "MARGIN_BUY", "leverage": "5", "quoteOrderQty": "9", "subaccount": "x", "tdMode": "cross"},
        **{"builder": "0x1", "feeRate": "0.01", "stopPrice": "3", "timeInForce": "IOC", "postOnly": "true"},
    }
    leaked = []
    for name in PLACING:
        intent, hosts, request = await built(name)
        for key, value in smuggled.items():
            if passes(name, intent, hosts, with_parameter(request, key, value)):
                leaked.append((name, key))
    assert leaked == []


@pytest.mark.parametrize("price", ["45.6789", "45.674"])
async def test_a_price_that_ccxt_rounds_never_leaves(price: str) -> None:
    made = exchange("okx")
    made.markets["BTC/USDT"]["precision"]["price"] = 0.01
    order = OrderRequest(market=MARKET, side="buy", type="limit", price=price, amount="1", client_order_id="mine")
    with pytest.raises(Caught):
        await made.create_order("BTC/USDT", "limit", "buy", "1", price, {"clientOrderId": "mine"})
    await made.close()
    intent = intent_of("place", "okx", MARKET, made.markets["BTC/USDT"], order=order, client_order_id="mine")
    with pytest.raises(Mismatch, match=r"its price is 45\.6"):
        check(intent, wording_of("okx"), hosts_of(made.urls["api"], made.hostname), *made.caught[-1])


@pytest.mark.parametrize("name", PLACING)
async def test_an_order_is_sent_once(name: str) -> None:
    intent, hosts, request = await built(name)
    intent.sends = 1
    assert not passes(name, intent, hosts, request)


async def test_no_raw_and_no_empty_order_id_in_a_cancel() -> None:
    sent = []
    for name in PLACING:
        for order_id in ("../../../EVIL?x=1", "", "1/2", "a b", "..", "%2e%2e"):
            made = exchange(name)
            try:
                await made.cancel_order(order_id, "BTC/USDT")
            except Caught:
                intent = intent_of("cancel", name, MARKET, made.markets["BTC/USDT"], order_id=order_id)
                hosts = hosts_of(made.urls["api"], made.hostname or "")
                url, method, headers, body = made.caught[-1]
                raw = order_id in url and order_id != ""
                if passes(name, intent, hosts, (url, method, headers, body)) and (raw or not order_id):
                    sent.append((name, order_id, url))
            except Exception:
                continue
            finally:
                await made.close()
    assert sent == []


@given(st.text(max_size=8), st.text(max_size=8))
@example("ACTION", ":")
@example("options", "買")
def test_nothing_unexplained_passes(key: str, value: str) -> None:
    market = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")
    order = OrderRequest(market=market, side="buy", type="limit", price="2", amount="3", client_order_id="mine")
    native = {"id": "BTCUSDT", "baseId": "BTC", "quoteId": "USDT"}
    intent = intent_of("place", "test", market, native, order=order, client_order_id="mine")
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "price": "2", "quantity": "3", "clientOrderId": "mine"}
    hosts = frozenset({"api.test"})
    check(intent, Wording(), hosts, "https://api.test/order", "POST", {}, json.dumps(good))
    assume(key not in good and value not in ("mine", "BTCUSDT", "BTC", "USDT", "2", "3", "6"))
    assume(key.replace("_", "").replace("-", "").lower() not in _HARMLESS)
    with pytest.raises(Mismatch):
        check(intent, Wording(), hosts, "https://api.test/order", "POST", {}, json.dumps({**good, key: value or "x"}))


_HARMLESS = frozenset({"nonce", "timestamp", "signature", "sig", "key", "sign", "ts", "time", "user", "uid", "tonce"})


def tampered(request: Request) -> Iterator[tuple[str, Request]]:
    """The request with one thing changed."""
    url, method, headers, body = request
    yield "host", (url.replace("https://", "https://evil."), method, headers, body)
    yield "scheme", (url.replace("https://", "http://"), method, headers, body)
    yield "method", (url, "DELETE", headers, body)
    for old, new in (("45.67", "45.66"), ("0.0123", "0.123"), ("0.0123", "-0.0123")):
        if (other := replaced(request, old, new)) != request:
            yield f"{old} -> {new}", other
    for old, new in (("BTC", "ETH"), ("btc", "eth")):
        if (other := replaced(request, old, new)) != request:
            yield f"{old} -> {new}", other
    for old, new in (("buy", "sell"), ("BUY", "SELL"), ("Buy", "Sell"), ("bid", "ask"), ("BID", "ASK"), ("Bid", "Ask")):
        if (other := replaced(request, old, new)) != request:
            yield f"{old} -> {new}", other


def replaced(request: Request, old: str, new: str) -> Request:
    """The request with a text replaced wherever it stands."""
    url, method, headers, body = request
    if url.startswith("https://api.gemini.com"):
        import base64

        packed = headers["X-GEMINI-PAYLOAD"]
        changed = base64.b64encode(base64.b64decode(packed).decode().replace(old, new).encode()).decode()
        return url, method, {**headers, "X-GEMINI-PAYLOAD": changed}, body
    host, _, rest = url.removeprefix("https://").partition("/")
    changed_body = body.replace(old, new) if isinstance(body, str) else body
    return f"https://{host}/{rest.replace(old, new)}", method, headers, changed_body


def with_parameter(request: Request, key: str, value: str) -> Request:
    """The request with one more parameter, where this one has its own."""
    url, method, headers, body = request
    text = body if isinstance(body, str) else ""
    if text.startswith("{"):
        return url, method, headers, json.dumps({**json.loads(text), key: value})
    if text.startswith("["):
        return url, method, headers, json.dumps([{**row, key: value} for row in json.loads(text)])
    if text:
        return url, method, headers, urlencode([*parse_qsl(text, keep_blank_values=True), (key, value)])
    return f"{url}{'&' if '?' in url else '?'}{urlencode({key: value})}", method, headers, body
