"""Signatures, refusals, joining and orders' forms, each by itself."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import msgspec
import pytest
from exgate_core.dialects import Control
from exgate_core.errors import DUPLICATE, ExGateError, NotFound, RateLimited, Refused, Unavailable
from exgate_core.fetch import Response
from exgate_core.models import Depth, DepthDelta, Market, OrderRequest
from exgate_core.numbers import BadNumber

from exgate_bitstamp import parse, private_parse
from exgate_bitstamp.account import placing
from exgate_bitstamp.dialect import BitstampDialect
from exgate_bitstamp.failures import judged
from exgate_bitstamp.joining import Join
from exgate_bitstamp.signing import signature

BTC = Market(symbol="BTC/USD", id="btcusd", base="BTC", quote="USD")


def test_a_signature_is_over_what_the_document_says() -> None:
    """ "Authentication": the parts one after the other, with the content type only where there is a body."""
    said = "BITSTAMP k" + "POST" + "www.bitstamp.net" + "/api/v2/open_orders/all/" + "n" + "1" + "v2"
    wanted = hmac.new(b"s", said.encode(), hashlib.sha256).hexdigest()
    assert signature("s", "k", "POST", "www.bitstamp.net", "/api/v2/open_orders/all/", "n", "1", "") == wanted
    said = "BITSTAMP kPOSTwww.bitstamp.net/api/v2/buy/btcusd/application/x-www-form-urlencodedn1v2amount=1"
    wanted = hmac.new(b"s", said.encode(), hashlib.sha256).hexdigest()
    assert signature("s", "k", "POST", "www.bitstamp.net", "/api/v2/buy/btcusd/", "n", "1", "amount=1") == wanted


ERROR = '{"status": "error", "reason": %s, "%s": "%s"}'


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (
            400,
            ERROR % ('{"__all__": ["No USD."]}', "response_code", "400.009"),
            Refused,
            "INSUFFICIENT_BALANCE",
        ),
        (400, ERROR % ('"Price is too low."', "response_code", "400.021"), Refused, "BAD_PRICE"),
        (400, ERROR % ('"Exists"', "response_code", "400.019"), Refused, DUPLICATE),
        (404, ERROR % ('"Order not found"', "response_code", "404.002"), NotFound, "NO_SUCH_ORDER"),
        (400, ERROR % ('"Too fast"', "response_code", "400.002"), RateLimited, "RATE_LIMITED"),
        (403, ERROR % ('"Invalid signature"', "code", "API0005"), Refused, "EXCHANGE_AUTH_FAILED"),
        (200, ERROR % ('"Order not found"', "response_code", "404.002"), NotFound, "NO_SUCH_ORDER"),
        (500, ERROR % ('"Oops"', "response_code", "500.001"), Unavailable, "EXCHANGE_UNAVAILABLE"),
        (400, ERROR % ('"Order could not be placed."', "x", "y"), Unavailable, "EXCHANGE_UNAVAILABLE"),
        (400, '{"error": "Order could not be placed."}', Unavailable, "EXCHANGE_UNAVAILABLE"),
        (400, "<html>", Unavailable, "EXCHANGE_UNAVAILABLE"),
        (403, "<html>", Unavailable, "EXCHANGE_UNAVAILABLE"),
        (429, "<html>", RateLimited, "RATE_LIMITED"),
    ],
)
def test_what_an_error_proves(status: int, body: str, kind: type[ExGateError], reason: str) -> None:
    error = judged(Response(status, {}, body.encode()))
    assert type(error) is kind
    assert error.reason == reason


@pytest.mark.parametrize("body", ['{"id": 1, "status": "Open"}', "[]", '{"timestamp": "1", "bids": [], "asks": []}'])
def test_an_answer_is_no_error(body: str) -> None:
    assert judged(Response(200, {}, body.encode())) is None


def test_an_errors_words_are_told_by_field() -> None:
    body = ERROR % ('{"__all__": [""], "amount": ["Too many places.", "No."]}', "response_code", "400.001")
    error = judged(Response(400, {}, body.encode()))
    assert error is not None and error.message == "400.001 ; amount Too many places., No."


# Orders


def order(**more: Any) -> OrderRequest:
    given: dict[str, Any] = {
        "market": BTC,
        "side": "buy",
        "type": "limit",
        "client_order_id": "c1",
        "price": "10.50",
        "amount": "1.20",
    }
    return OrderRequest(**(given | more))


@pytest.mark.parametrize(
    ("request_", "path", "form"),
    [
        (order(), "/api/v2/buy/btcusd/", {"amount": "1.20", "price": "10.50"}),
        (order(side="sell", time_in_force="IOC"), "/api/v2/sell/btcusd/",
         {"amount": "1.20", "price": "10.50", "ioc_order": "True"}),
        (order(time_in_force="FOK"), "/api/v2/buy/btcusd/", {"amount": "1.20", "price": "10.50", "fok_order": "True"}),
        (order(post_only=True), "/api/v2/buy/btcusd/", {"amount": "1.20", "price": "10.50", "moc_order": "True"}),
        (order(options={"daily_order": "true"}), "/api/v2/buy/btcusd/",
         {"amount": "1.20", "price": "10.50", "daily_order": "True"}),
        (order(options={"daily_order": "false"}), "/api/v2/buy/btcusd/", {"amount": "1.20", "price": "10.50"}),
        (order(type="market", price=""), "/api/v2/buy/market/btcusd/", {"amount": "1.20"}),
        (order(type="market", price="", amount="", quote_amount="50"), "/api/v2/buy/instant/btcusd/", {"amount": "50"}),
        (order(type="market", price="", amount="", quote_amount="50", side="sell"), "/api/v2/sell/instant/btcusd/",
         {"amount": "50", "amount_in_counter": "True"}),
    ],
)  # fmt: skip
def test_how_an_order_is_asked_for(request_: OrderRequest, path: str, form: dict[str, str]) -> None:
    assert placing(request_) == (path, {"client_order_id": "c1", **form})


def test_an_orders_amount_is_what_is_left_and_what_was_traded() -> None:
    body = {
        "id": 1429545880227846,
        "status": "Canceled",
        "type": 1,
        "market": "ETH/USDT",
        "price": "4451.25",
        "amount_remaining": "0.00500001",
        "datetime": "2022-01-31 14:43:15.796000",
        "client_order_id": None,
        "transactions": [{"eth": "0.00500000", "usdt": "22.25625000"}, {"eth": 0.10000001, "usdt": "445.1"}],
    }
    found = private_parse.order_state(private_parse.ORDER_STATE.decode(json.dumps(body)), {"ETH/USDT": "ethusdt"})
    assert (found.order_id, found.side, found.status, found.native_symbol) == (
        "1429545880227846",
        "sell",
        "canceled",
        "ethusdt",
    )
    assert (found.filled, found.remaining, found.amount) == ("0.10500001", "0.00500001", "0.11000002")
    assert found.time == 1643640195796


STATE = {"id": 1, "status": "Open", "type": 1, "market": "ETH/USDT", "datetime": "2022-01-31 14:43:15"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "2"},
        {"type": "\u0661"},
        {"datetime": "yesterday"},
        {"datetime": "2022-13-31 14:43:15"},
        {"transactions": [{"btc": "1"}]},
        {"transactions": [{"eth": None}]},
        {"amount_remaining": "none"},
    ],
)
def test_an_order_of_another_shape_is_a_bad_answer(wrong: dict[str, Any]) -> None:
    """MsgspecError and BadNumber are what the gateway tells as BAD_ANSWER."""
    assert private_parse.order_state(private_parse.ORDER_STATE.decode(json.dumps(STATE)), {}).time == 1643640195000
    with pytest.raises((msgspec.MsgspecError, BadNumber)):
        private_parse.order_state(private_parse.ORDER_STATE.decode(json.dumps({**STATE, **wrong})), {})


# The book


def book(micros: int, **sides: list[tuple[str, str]]) -> parse.Book:
    return parse.Book(timestamp="1", bids=sides.get("bids", []), asks=sides.get("asks", []), microtimestamp=str(micros))


def joined() -> tuple[Join, list[Any]]:
    emitted: list[Any] = []
    return Join(emitted.append), emitted


def numbers(emitted: list[Any]) -> list[Any]:
    return [
        item.last_update_id if isinstance(item, Depth) else (item.previous, item.sequence)
        for item in emitted
        if isinstance(item, Depth | DepthDelta)
    ]


def test_changes_wait_for_a_snapshot_that_is_not_older_than_the_first() -> None:
    join, emitted = joined()
    join.change(book(10))
    join.change(book(12))
    assert not join.snapshot(book(9))
    assert not join.snapshot(book(0))
    assert emitted == [] and not join.joined
    assert join.snapshot(book(11))
    join.change(book(12))  # the second copy, of another connection
    join.change(book(15))
    assert numbers(emitted) == [11, (11, 12), (12, 15)]


def test_a_later_snapshot_gets_the_changes_since_put_on_top() -> None:
    join, emitted = joined()
    assert join.snapshot(book(10))
    for micros in (11, 12, 14):
        join.change(book(micros))
    del emitted[:]
    assert not join.snapshot(book(10))
    assert emitted == []
    assert join.snapshot(book(12))
    assert numbers(emitted) == [12, (12, 14)]
    assert join.snapshot(book(20)) and numbers(emitted)[2:] == [20]


def test_without_a_snapshot_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exgate_bitstamp.joining.MOST_WAITING", 2)
    join, _ = joined()
    join.change(book(1))
    join.change(book(2))
    with pytest.raises(Unavailable):
        join.change(book(3))


# The dialect


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ('{"data":{},"channel":"live_trades_btcusd","event":"trade"}', "live_trades_btcusd"),
        ('{"data":{},"channel":"diff_order_book_btcusd","event":"data"}', "diff_order_book_btcusd"),
        ('{"event":"bts:subscription_succeeded","channel":"x_y","data":{}}', Control("confirmed", topic="x_y")),
        ('{"event":"bts:unsubscription_succeeded","channel":"x_y","data":{}}', Control("confirmed", topic="x_y")),
        ('{"event":"bts:request_reconnect","channel":"","data":""}', Control("replace")),
        ('{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}', Control("alive")),
        ('{"event":"bts:error","channel":"x_y","data":{"code":null,"message":"Bad."}}',
         Control("rejected", topic="x_y", message="Bad.")),
        ('{"event":"something","data":{}}', Control("ignored")),
    ],
)  # fmt: skip
def test_what_a_frame_is(frame: str, said: Any) -> None:
    assert BitstampDialect().route(frame.encode()) == said


def test_an_error_of_no_channel_ends_the_connection() -> None:
    with pytest.raises(ValueError, match="Bad subscription string"):
        BitstampDialect().route(
            b'{"event":"bts:error","channel":"","data":{"code":1,"message":"Bad subscription string."}}'
        )
