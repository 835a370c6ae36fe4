"""Values become exactly the seed's JSON, errors the Status that protobuf reads."""

from __future__ import annotations

import importlib
import json
from base64 import b64decode
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from exgate_core import contract, status
from exgate_core.errors import ExGateError, Internal, RateLimited, Violation
from exgate_core.models import Balance, CancelResult, Depth, Order, Trade

oracle: Any = importlib.import_module("google.rpc.error_details_pb2")  # it has no types
TRADE = Trade(id="1403", price="0.10", qty="20.0", time=1_700_000_000_123, taker_side="sell")
ORDER = Order(
    order_id="A-1",
    symbol="BTC/USDT",
    side="buy",
    type="limit",
    price="60000.10",
    amount="0.5",
    filled="0.2",
    remaining="0.3",
    client_order_id="mine",
    time=1_700_000_000_000,
    native_symbol="BTCUSDT",
)
decimals = st.from_regex(r"(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?", fullmatch=True)
anything = st.text(st.characters(exclude_categories=["Cs"]))


def reference_depth(depth: Depth) -> dict[str, Any]:
    def side(levels: Any) -> list[Any]:
        return [{"bid": [{"price": price, "amount": amount} for price, amount in levels]}]

    return {
        "lastUpdateId": depth.last_update_id,
        "timeStamp": depth.timestamp,
        "bid_list": side(depth.bids),
        "ask_list": side(depth.asks),
    }


@given(st.lists(st.tuples(decimals | anything, decimals | anything)), st.lists(st.tuples(decimals, decimals)))
def test_depth_is_the_seed_shape_whatever_the_levels_hold(bids: list[Any], asks: list[Any]) -> None:
    depth = Depth(bids=bids, asks=asks, last_update_id=2**70, timestamp=1_700_000_000_000)
    assert json.loads(contract.depth_json(depth)) == reference_depth(depth)


def test_depth_to_the_letter() -> None:
    depth = Depth(bids=[("1.50", "0.10"), ("1.4", "2")], asks=[], last_update_id=7)
    assert contract.depth_json(depth) == (
        b'{"lastUpdateId":7,"timeStamp":0,"bid_list":[{"bid":[{"price":"1.50","amount":"0.10"},'
        b'{"price":"1.4","amount":"2"}]}],"ask_list":[{"bid":[]}]}'
    )


@pytest.mark.parametrize(("bids", "asks"), [([], []), ([("1.5", "2")], []), ([("1.5", "2"), ("1", "3")], [("2", "1")])])
def test_a_book_of_plain_numbers_costs_no_encoder(monkeypatch: pytest.MonkeyPatch, bids: Any, asks: Any) -> None:
    depth = Depth(bids=bids, asks=asks, last_update_id=7, timestamp=9)
    odd = Depth(bids=[*bids, ("\\", "1")], asks=asks)
    with monkeypatch.context() as without:
        without.setattr("exgate_core.contract.encode", lambda value: b"the encoder")
        body = contract.depth_json(depth)
        assert contract.depth_json(odd) == b"the encoder"
    assert json.loads(body)["bid_list"] == [{"bid": [{"price": price, "amount": amount} for price, amount in bids]}]
    assert json.loads(body)["ask_list"] == [{"bid": [{"price": price, "amount": amount} for price, amount in asks]}]


def test_trades_to_the_letter() -> None:
    items = [contract.trade_json(TRADE), contract.trade_json(TRADE)]
    row = (
        b'{"id":1403,"price":"0.10","qty":"20.0","quoteQty":"2.000","time":1700000000123,"isBuyerMaker":true}'  # exact
    )
    assert contract.trades_json(items) == b'{"trades":[' + row + b"," + row + b"]}"
    assert contract.trades_json([]) == b'{"trades":[]}'


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100050000000000000001", 100050000000000000001),
        ("0", 0),
        ("-3", -3),
        ("9" * 400, int("9" * 400)),
        ("007", 0),
        ("7234f202", 0),
        ("1e5", 0),
        ("١٢", 0),
        ("", 0),
        ("1\n", 0),
    ],
)
def test_a_trade_id_is_an_exact_integer_or_0(text: str, number: int) -> None:
    row = json.loads(contract.trade_json(Trade(id=text, price="1", qty="1", time=0)))
    assert row["id"] == number and type(row["id"]) is int


def test_text_that_is_no_unicode_never_stops_an_answer() -> None:
    row = json.loads(contract.trade_json(Trade(id="5", price="\ud800", qty="1", quote_qty="2", time=0)))
    assert (row["id"], row["price"]) == (5, "?")
    book = json.loads(contract.depth_json(Depth(bids=[("\ud800", '"')], asks=[])))
    assert book["bid_list"][0]["bid"] == [{"price": "?", "amount": '"'}]


def test_the_taker_side_and_the_exchange_quote_figure() -> None:
    def row(**more: Any) -> Any:
        return json.loads(contract.trade_json(Trade(id="1", price="2", qty="3", time=0, **more)))

    assert row(taker_side="buy")["isBuyerMaker"] is False
    assert row()["isBuyerMaker"] is False
    assert row(quote_qty="5.99")["quoteQty"] == "5.99"
    assert row()["quoteQty"] == "6"


def test_stream_and_extended_trades() -> None:
    six = json.loads(contract.trade_json(TRADE))
    assert json.loads(contract.stream_trade_json(TRADE)) == {**six, "trade_id": "1403"}
    assert json.loads(contract.extended_trade_json(TRADE)) == {
        **six,
        "trade_id": "1403",
        "time_ns": "0",
        "taker_side": "sell",
    }
    unknown = Trade(id='a"b', price="1", qty="1", time=1, time_ns=1_700_000_000_123_456_789)
    row = json.loads(contract.extended_trade_json(unknown))
    assert (row["trade_id"], row["time_ns"], row["taker_side"]) == ('a"b', "1700000000123456789", None)


def test_frames() -> None:
    frame = contract.trade_frame("BTC/USDT", [contract.stream_trade_json(TRADE)])
    assert json.loads(frame) == {"symbol": "BTC/USDT", "trades": [json.loads(contract.stream_trade_json(TRADE))]}
    assert json.loads(contract.status_frame("BTC/USDT", "gap", "lost", after="1", before="9")) == {
        "symbol": "BTC/USDT",
        "status": "gap",
        "desc": "lost",
        "after": "1",
        "before": "9",
    }


def test_account_answers() -> None:
    assert contract.balances_json([Balance(asset="BTC", available="1.0", frozen="0")]) == (
        b'{"balances":[{"asset":"BTC","available":"1.0","frozen":"0"}]}'
    )
    plain = {
        "order_id": "A-1",
        "symbol": "BTC/USDT",
        "type": "limit",
        "price": "60000.10",
        "amount": "0.5",
        "side": "buy",
    }
    more = {
        "client_order_id": "mine",
        "filled": "0.2",
        "remaining": "0.3",
        "status": "open",
        "order_time": 1_700_000_000_000,
        "native_symbol": "BTCUSDT",
    }
    assert json.loads(contract.orders_json([ORDER])) == {"orders": [plain]}
    assert json.loads(contract.orders_json([ORDER], extended=True)) == {"orders": [plain | more]}
    assert json.loads(contract.order_json(ORDER)) == plain | more
    assert contract.placed_json("1", "mine") == b'{"order_id":"1"}'
    assert json.loads(contract.placed_json("1", "mine", extended=True)) == {"order_id": "1", "client_order_id": "mine"}
    assert contract.cancel_json(CancelResult(status="filled")) == b'{"status":"filled"}'
    assert contract.pull_json("live", "5 s") == b'{"status":"live","desc":"5 s"}'


def test_a_status_to_the_letter_of_the_seed() -> None:
    error = RateLimited("slow down", metadata={"limit": "1200"}, retry_after=2.5, violations=[Violation("a", "b")])
    body = json.loads(contract.status_json(error))
    assert set(body) == {"code", "message", "details"}
    assert (body["code"], body["message"]) == (8, "RATE_LIMITED: slow down")
    info, retry, bad = body["details"]
    assert info["type_url"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert oracle.ErrorInfo.FromString(b64decode(info["value"])) == oracle.ErrorInfo(
        reason="RATE_LIMITED", domain="exgate", metadata={"limit": "1200"}
    )
    assert retry["type_url"] == "type.googleapis.com/google.rpc.RetryInfo"
    delay = oracle.RetryInfo.FromString(b64decode(retry["value"])).retry_delay
    assert delay == Duration(seconds=2, nanos=500_000_000)
    assert bad["type_url"] == "type.googleapis.com/google.rpc.BadRequest"
    assert oracle.BadRequest.FromString(b64decode(bad["value"])).field_violations[0].description == "b"
    extended = json.loads(contract.status_json(error, extended=True))
    assert extended == {**body, "reason": "RATE_LIMITED", "metadata": {"limit": "1200"}}


@pytest.mark.parametrize("length", [1999, 2000, 2001, 5000])
def test_a_message_that_is_too_long_loses_its_middle(length: int) -> None:
    whole = "A_REASON: " + "".join(chr(0x4E00 + place) for place in range(length - 10))
    for message in (whole, whole.removeprefix("A_REASON: ")):
        told = json.loads(contract.status_json(Internal(message, reason="A_REASON")))["message"]
        assert len(told) == min(length, 2000)
        assert told == (whole if length <= 2000 else whole[:1000] + " ... " + whole[-995:])


def test_a_status_can_always_be_written() -> None:
    body = json.loads(contract.status_json(ExGateError("\ud800" * 5000, metadata={"\ud801": "\ud802"}), extended=True))
    assert body["metadata"] == {"?": "?"} and len(body["message"]) <= 2000


@given(anything, anything, st.dictionaries(anything, anything))
def test_error_info_reads_as_protobuf(reason: str, domain: str, metadata: dict[str, str]) -> None:
    read = oracle.ErrorInfo.FromString(status.error_info(reason, domain, metadata))
    assert (read.reason, read.domain, dict(read.metadata)) == (reason, domain, metadata)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384])
def test_lengths_take_as_few_bytes_as_they_can(length: int) -> None:
    ours = status.error_info("x" * length, "exgate", {"k": "v"})
    assert ours == oracle.ErrorInfo(reason="x" * length, domain="exgate", metadata={"k": "v"}).SerializeToString()


@pytest.mark.parametrize(("seconds", "nanos"), [(0, 0), (0, 500_000_000), (3, 0), (200, 1)])
def test_a_zero_is_left_out(seconds: int, nanos: int) -> None:
    delay = oracle.RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos))
    assert status.retry_info(seconds + nanos / 1e9) == delay.SerializeToString()


@given(st.floats(-10, 1e9))
def test_retry_info_reads_as_protobuf(seconds: float) -> None:
    delay = oracle.RetryInfo.FromString(status.retry_info(seconds)).retry_delay
    assert delay.seconds * 10**9 + delay.nanos == max(0, round(seconds * 1_000_000_000))
    assert 0 <= delay.nanos < 10**9


@given(st.lists(st.builds(Violation, anything, anything)))
def test_bad_request_reads_as_protobuf(violations: list[Violation]) -> None:
    read = oracle.BadRequest.FromString(status.bad_request(violations))
    assert [(item.field, item.description) for item in read.field_violations] == violations
