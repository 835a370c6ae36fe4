"""The pure parts of the private side: answers to values, orders to parameters, counts of orders."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from exgate_binance import forms, private
from exgate_binance.counting import OrderGate, OrderLimit, RateLimit, order_limits
from exgate_binance.hosts import HOSTS
from exgate_binance.options import BINANCE_OPTIONS, BINANCE_US_OPTIONS
from hypothesis import given
from hypothesis import strategies as st

from exgate_core import client_ids
from exgate_core.errors import RateLimited, Refused
from exgate_core.models import Balance, Market, Order, OrderRequest

BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")
ROW: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": 1,
    "orderListId": -1,
    "clientOrderId": "myOrder1",
    "price": "0.1",
    "origQty": "1.0",
    "executedQty": "0.4",
    "cummulativeQuoteQty": "0.0",
    "status": "NEW",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
    "time": 1499827319559,
}


def order_of(**changes: Any) -> Order:
    return private.order(private.ORDER.decode(json.dumps({**ROW, **changes})), "BTC/USDT")


def test_an_order() -> None:
    assert order_of() == Order(
        order_id="1",
        symbol="BTC/USDT",
        side="buy",
        type="limit",
        price="0.1",
        amount="1.0",
        status="open",
        filled="0.4",
        remaining="0.6",
        client_order_id="myOrder1",
        time=1499827319559,
        native_symbol="BTCUSDT",
    )


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"side": "SELL"}, {"side": "sell"}),
        ({"type": "LIMIT_MAKER"}, {"type": "limit", "post_only": True}),
        ({"type": "MARKET", "price": "0.00000000"}, {"type": "market", "price": "0"}),
        ({"type": "STOP_LOSS_LIMIT"}, {"type": "stop_loss_limit", "post_only": False}),
        ({"type": "TAKE_PROFIT"}, {"type": "take_profit", "price": "0.1"}),
        ({"origQty": "0.00000000", "executedQty": "3.0"}, {"amount": "0.00000000", "remaining": "0"}),
        ({"status": "PENDING_NEW"}, {"status": "open"}),
        ({"status": "PENDING_CANCEL"}, {"status": "open"}),
        ({"status": "PARTIALLY_FILLED"}, {"status": "partially_filled"}),
        ({"status": "FILLED"}, {"status": "filled"}),
        ({"status": "CANCELED"}, {"status": "canceled"}),
        ({"status": "REJECTED"}, {"status": "rejected"}),
        ({"status": "EXPIRED"}, {"status": "expired"}),
        ({"status": "EXPIRED_IN_MATCH"}, {"status": "expired"}),
        ({"status": "OF_NEXT_YEAR"}, {"status": "OF_NEXT_YEAR"}),
    ],
)
def test_what_an_order_is(changes: dict[str, Any], shown: dict[str, Any]) -> None:
    found = order_of(**changes)
    assert {name: getattr(found, name) for name in shown} == shown


@pytest.mark.parametrize(
    ("status", "canceled", "ended"),
    [
        ("NEW", "pending", None),
        ("PARTIALLY_FILLED", "pending", None),
        ("FILLED", "filled", "filled"),
        ("CANCELED", "canceled", "already_canceled"),
        ("REJECTED", "canceled", "already_canceled"),
        ("EXPIRED", "canceled", "already_canceled"),
        ("EXPIRED_IN_MATCH", "canceled", "already_canceled"),
    ],
)
def test_what_a_cancel_means(status: str, canceled: str, ended: str | None) -> None:
    answer = private.Canceled("BTCUSDT", 1, "a", status)
    assert private.canceled(answer) == canceled
    assert private.ended(order_of(status=status)) == ended


numerals = st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,20})?", fullmatch=True)


@given(st.integers(1, 2**63 - 1), numerals, numerals, numerals)
def test_every_digit_of_an_order_survives(number: int, price: str, amount: str, filled: str) -> None:
    found = order_of(orderId=number, price=price, origQty=amount, executedQty=filled)
    assert (found.order_id, found.price, found.amount, found.filled) == (str(number), price, amount, filled)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=6), numerals, numerals), max_size=5))
def test_every_digit_of_a_balance_survives(rows: list[tuple[str, str, str]]) -> None:
    body = {"balances": [{"asset": asset, "free": free, "locked": locked} for asset, free, locked in rows]}
    found = private.balances(private.ACCOUNT.decode(json.dumps(body)))
    assert found == [Balance(asset=asset, available=free, frozen=locked) for asset, free, locked in rows]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"orderId": "1"},
        {"orderId": 1.5},
        {"orderId": None},
        {"orderId": 0},
        {"orderId": True},
        {"price": 0.1},
        {"origQty": None},
        {"side": "buy"},
        {"time": "x"},
    ],
)
def test_an_order_of_another_shape_is_refused(spoilt: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        order_of(**spoilt)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_answer_never_become_one(body: bytes) -> None:
    for decoder in (private.PLACED, private.CANCELED, private.ORDER, private.ACCOUNT, private.TIME):
        with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
            decoder.decode(body)


def test_markets_that_are_not_listed_keep_their_own_name() -> None:
    rows = [private.ORDER.decode(json.dumps({**ROW, "symbol": name})) for name in ("BTCUSDT", "GONEBTC")]
    assert [order.symbol for order in private.orders(rows, [BTC])] == ["BTC/USDT", "GONEBTC"]


# -- orders to parameters


def order(**changes: Any) -> OrderRequest:
    plain: dict[str, Any] = {
        "market": BTC,
        "side": "buy",
        "type": "limit",
        "client_order_id": "c1",
        "price": "10",
        "amount": "2",
    }
    return OrderRequest(**{**plain, **changes})


LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "2",
    "price": "10",
    "newClientOrderId": "c1",
    "newOrderRespType": "ACK",
}
UNTIMED = {name: text for name, text in LIMIT.items() if name != "timeInForce"}
MARKET = {name: text for name, text in UNTIMED.items() if name != "price"}


@pytest.mark.parametrize(
    ("changes", "form"),
    [
        ({}, LIMIT),
        ({"side": "sell", "time_in_force": "IOC"}, LIMIT | {"side": "SELL", "timeInForce": "IOC"}),
        ({"time_in_force": "FOK"}, LIMIT | {"timeInForce": "FOK"}),
        ({"post_only": True}, UNTIMED | {"type": "LIMIT_MAKER"}),
        ({"type": "market", "price": ""}, MARKET | {"type": "MARKET"}),
        (
            {"type": "market", "price": "", "amount": "", "quote_amount": "50"},
            {name: text for name, text in MARKET.items() if name != "quantity"}
            | {"type": "MARKET", "quoteOrderQty": "50"},
        ),
        ({"stop_price": "9"}, LIMIT | {"type": "STOP_LOSS_LIMIT", "stopPrice": "9"}),
        (
            {"stop_price": "9", "options": {"trigger": "take_profit"}},
            LIMIT | {"type": "TAKE_PROFIT_LIMIT", "stopPrice": "9"},
        ),
        ({"type": "market", "price": "", "stop_price": "9"}, MARKET | {"type": "STOP_LOSS", "stopPrice": "9"}),
        (
            {"type": "market", "price": "", "options": {"trailingDelta": "150", "trigger": "take_profit"}},
            MARKET | {"type": "TAKE_PROFIT", "trailingDelta": "150"},
        ),
        (
            {"type": "market", "price": "", "options": {"trailingDelta": "150", "trigger": "stop_loss"}},
            MARKET | {"type": "STOP_LOSS", "trailingDelta": "150"},
        ),
        (
            {"options": {"icebergQty": "1", "strategyId": "5", "strategyType": "1000000"}},
            LIMIT | {"icebergQty": "1", "strategyId": "5", "strategyType": "1000000"},
        ),
        (
            {"options": {"pegPriceType": "PRIMARY_PEG", "pegOffsetValue": "3"}},
            LIMIT | {"pegPriceType": "PRIMARY_PEG", "pegOffsetValue": "3", "pegOffsetType": "PRICE_LEVEL"},
        ),
        ({"options": {"selfTradePreventionMode": "NONE"}}, LIMIT | {"selfTradePreventionMode": "NONE"}),
    ],
)
def test_an_order_as_parameters(changes: dict[str, Any], form: dict[str, str]) -> None:
    assert forms.placing(order(**changes)) == form


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_price": "9", "post_only": True},
        {"options": {"trailingDelta": "150"}, "post_only": True},
        {"options": {"trigger": "take_profit"}},
        {"options": {"trigger": "stop_loss"}, "type": "market"},
    ],
)
def test_an_order_that_would_lose_a_word_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        forms.placing(order(**changes))
    assert caught.value.reason == "NOT_SENDABLE"


@pytest.mark.parametrize("name", sorted(BINANCE_OPTIONS.keys() - {"trigger", "trailingDelta"}))
def test_every_declared_option_is_sent(name: str) -> None:
    form = forms.placing(order(options={name: "1"}))
    assert form[name] == "1" and BINANCE_OPTIONS[name].description
    assert BINANCE_US_OPTIONS.keys() < BINANCE_OPTIONS.keys()


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("1", True),
        (str(2**63 - 1), True),
        ("1" + "0" * 19, False),
        ("01", False),
        ("0", False),
        ("", False),
        ("-1", False),
        ("٣", False),
    ],
)
def test_what_can_be_an_id(text: str, is_id: bool) -> None:
    assert forms.is_id(text) is is_id


@pytest.mark.parametrize(("text", "same"), [("a-B_9", True), ("x" * 36, True), ("x" * 37, False), ("a.b", False)])
def test_client_ids_are_those_that_the_exchange_takes(text: str, same: bool) -> None:
    for host in HOSTS.values():
        rule = host.account.client_ids
        assert rule is not None
        assert (client_ids.own(rule, text) == text) is same


# -- counts of orders

TEN = OrderLimit(10, 3, "X-MBX-ORDER-COUNT-10S")
MINUTE = OrderLimit(60, 4, "X-MBX-ORDER-COUNT-60S")


def test_the_limits_that_are_waited_for() -> None:
    stated = [
        RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 6000),
        RateLimit("ORDERS", "SECOND", 10, 3),
        RateLimit("ORDERS", "SECOND", 60, 4),
        RateLimit("ORDERS", "DAY", 1, 200_000),
        RateLimit("RAW_REQUESTS", "SECOND", 5, 4),
    ]
    assert order_limits(stated) == [TEN, MINUTE]


@pytest.mark.parametrize(
    ("headers", "now", "wait"),
    [
        ({}, 25.0, 0.0),
        ({"X-MBX-ORDER-COUNT-10S": "2"}, 25.0, 0.0),
        ({"X-MBX-ORDER-COUNT-10S": "3"}, 25.0, 5.0),
        ({"X-MBX-ORDER-COUNT-10S": "40"}, 21.5, 8.5),
        ({"X-MBX-ORDER-COUNT-10S": "many"}, 25.0, 0.0),
        ({"X-MBX-ORDER-COUNT-60S": "4"}, 70.0, 50.0),
        ({"X-MBX-ORDER-COUNT-60S": "4", "X-MBX-ORDER-COUNT-10S": "3"}, 70.0, 50.0),
        ({"X-MBX-ORDER-COUNT-1D": "9999999"}, 70.0, 0.0),
    ],
)
def test_orders_wait_for_the_end_of_the_exchanges_window(headers: dict[str, str], now: float, wait: float) -> None:
    gate = OrderGate()
    gate.check(now)
    gate.note(headers, [TEN, MINUTE], now)
    if wait:
        with pytest.raises(RateLimited) as caught:
            gate.check(now)
        assert caught.value.retry_after == wait
        with pytest.raises(RateLimited):
            gate.check(now + wait - 0.001)
    gate.check(now + wait)


def test_of_two_waits_the_longer_one_stays() -> None:
    gate = OrderGate()
    gate.close(5, 1.0)
    gate.close(2, 1.0)
    with pytest.raises(RateLimited) as caught:
        gate.check(2.0)
    assert caught.value.retry_after == 4.0
    gate.check(6.0)
