"""The pure parts: signatures, nonces, counters, names, errors, forms, frames, the walk through history."""

from __future__ import annotations

import json
import urllib.parse
from datetime import datetime
from typing import Any
from zlib import crc32

import msgspec
import pytest
from exgate_kraken import failures, frames, history, limits, names, orders, parse, privates, signing
from exgate_kraken.dialect import KrakenDialect, book_topic, trade_topic
from hypothesis import given
from hypothesis import strategies as st
from kraken_stage import order

from exgate_core import client_ids
from exgate_core.errors import DUPLICATE, NotFound, RateLimited, Refused, Unavailable
from exgate_core.models import Depth, DepthDelta, Market, Trade
from exgate_core.sockets import Control

NOW = 1_800_000_000.0

# -- signatures and nonces


def test_the_published_signature() -> None:
    """docs.kraken.com, "Spot REST Authentication", Examples."""
    secret = signing.key_of("kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==")
    fields = {"ordertype": "limit", "pair": "XBTUSD", "price": "37500", "type": "buy", "volume": "1.25"}
    body = signing.encoded("1616492376594", fields)
    assert body == "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    assert signing.sign("/0/private/AddOrder", "1616492376594", body, secret) == (
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    )


def test_a_secret_that_is_no_base64_is_refused() -> None:
    with pytest.raises(ValueError):
        signing.key_of("not base64!")


@given(st.dictionaries(st.sampled_from(["pair", "price", "oflags", "deadline"]), st.text(max_size=20)))
def test_a_form_decodes_to_what_was_meant(fields: dict[str, str]) -> None:
    decoded = urllib.parse.parse_qsl(signing.encoded("7", fields), keep_blank_values=True)
    assert dict(decoded) == {"nonce": "7", **fields}
    assert decoded[0] == ("nonce", "7")


@given(st.lists(st.floats(min_value=1e9, max_value=4e9), min_size=1, max_size=50), st.sampled_from(["ms", "us", "ns"]))
def test_nonces_rise_whatever_the_clock_does(times: list[float], unit: str) -> None:
    nonces = signing.Nonces()
    found = [int(nonces.next(now, unit)) for now in times]
    assert found == sorted(set(found))
    assert found[0] == int(times[0] * signing.PER_SECOND[unit])
    assert found[-1] < 2**64


def test_nonces_go_on_after_a_restart() -> None:
    before, after = signing.Nonces(), signing.Nonces()
    last = [int(before.next(NOW, "ms")) for _ in range(100)][-1]
    assert int(after.next(NOW + 0.2, "ms")) > last


# -- counters


def test_a_counter_lets_through_what_kraken_would() -> None:
    """The worked example of "Spot Trading Limits": 50 orders, 10 s of an intermediate tier, 26.6 left."""
    counter, limit = limits.Counter(), limits.TRANSACTIONS["intermediate"]
    for _ in range(50):
        counter.add(1, limit, 0.0)
    assert counter.wait(limit.most - 26.6, limit, 10.0) == pytest.approx(0, abs=1e-9)
    assert counter.wait(limit.most - 26.5, limit, 10.0) == pytest.approx(0.1 / 2.34)


@given(st.sampled_from(["starter", "intermediate", "pro"]), st.integers(1, 60))
def test_a_counter_never_exceeds_its_limit(tier: str, count: int) -> None:
    counter, limit, now, model = limits.Counter(), limits.CALLS[tier], 0.0, 0.0
    for _ in range(count):
        wait = counter.wait(1, limit, now)
        now, model = now + wait, max(0.0, model - wait * limit.decay)
        counter.add(1, limit, now)
        model += 1
        assert model <= limit.most + 1e-6


def test_a_counter_that_kraken_calls_full_is_full() -> None:
    counter, limit = limits.Counter(), limits.CALLS["pro"]
    assert counter.wait(1, limit, 5.0) == 0
    counter.fill(limit, 5.0)
    assert counter.wait(1, limit, 5.0) == 1.0
    free = limits.CALLS["negotiated"]
    counter.fill(free, 5.0)
    assert counter.wait(1, free, 5.0) == 0


@pytest.mark.parametrize(("age", "cost"), [(0, 8), (4.9, 8), (5, 6), (12, 5), (44, 4), (89, 2), (299, 1), (301, 0)])
def test_a_cancel_costs_more_the_younger_its_order_is(age: float, cost: int) -> None:
    ages = limits.Ages()
    ages.note("O-1", "XBTUSD", 100.0)
    assert ages.cancel("O-1", 100.0 + age) == ("XBTUSD", cost)
    assert ages.cancel("O-2", 100.0) == ("", 0)


# -- names


@pytest.mark.parametrize(
    ("code", "unified"),
    [
        ("XXBT", "BTC"), ("XBT", "BTC"), ("XBT.F", "BTC.F"), ("XXDG", "DOGE"), ("ZUSD", "USD"), ("USD.M", "USD.M"),
        ("XETH", "ETH"), ("ETH2.S", "ETH2.S"), ("XTZ", "XTZ"), ("ZRX", "ZRX"), ("XCN", "XCN"), ("USDT", "USDT"),
        ("ZEUR", "EUR"), ("KFEE", "KFEE"), ("ZETA", "ZETA"), ("XION", "XION"),
    ],
)  # fmt: skip
def test_assets_under_their_unified_codes(code: str, unified: str) -> None:
    assert names.unified(code) == unified


def test_a_market_by_each_of_its_names() -> None:
    market = Market(symbol="DOGE/BTC", id="XXDGXXBT", base="DOGE", quote="BTC")
    known = names.Names([market])
    assert {known.symbol(name) for name in ("XXDGXXBT", "XDGXBT", "XDG/XBT", "DOGE/BTC")} == {"DOGE/BTC"}
    assert known.symbol("GONEUSD") == "GONEUSD"


# -- what errors prove

REFUSED = [
    ("EOrder:Insufficient funds", "INSUFFICIENT_BALANCE"),
    ("EOrder:Order minimum not met", "BAD_AMOUNT"),
    ("EOrder:Cost minimum not met", "MIN_NOTIONAL"),
    ("EOrder:Tick size check failed", "BAD_PRICE"),
    ("EOrder:Invalid price:XBTUSD price can only be specified up to 1 decimals.", "BAD_PRICE"),
    ("EOrder:Orders limit exceeded", ""),
    ("EOrder:Post only order", "WOULD_TAKE"),
    ("EOrder:Trading agreement required", ""),
    ("EGeneral:Invalid arguments", ""),
    ("EGeneral: Invalid arguments:ordertype", ""),
    ("EGeneral:Invalid arguments:volume", "BAD_AMOUNT"),
    ("EGeneral:Permission denied", "PERMISSION_DENIED"),
    ("EGeneral:Unknown method", ""),
    ("EAPI:Invalid key", "BAD_CREDENTIALS"),
    ("EAPI:Invalid signature", "BAD_CREDENTIALS"),
    ("EAPI:Invalid nonce", failures.INVALID_NONCE),
    ("EQuery:Unknown asset pair", "UNKNOWN_SYMBOL"),
    ("EAuth:Account temporary disabled", ""),
    ("EAccount:Invalid permissions", ""),
    ("EBM:limit exceeded:CAL", ""),
    ("ETrade:User Locked", ""),
    ("EService:Market in cancel_only mode", ""),
    ("EService:Market in post_only mode", ""),
    ("EGeneral:Invalid arguments:cl_ord_id", DUPLICATE),
    ("EOrder:cl_ord_id already in use", DUPLICATE),
    ("EOrder:Duplicate order", DUPLICATE),
    ("EOrder:cl_ord_id is not supported on conditional close", ""),
]
UNKNOWN = [
    "EService:Unavailable",
    "EService:Busy",
    "EService:Timeout",
    "EService:Deadline elapsed",
    "EGeneral:Internal error",
    "EGeneral:Internal error[:12]",
    "EDatabase:Internal error",
    "EOrder:Internal error",
    "EAPI:Unavailable",
    "EGeneral:Something new",
    "EWhatever:New category",
    "not an error of Kraken",
    "",
]
LIMITED = [
    ("EAPI:Rate limit exceeded", 5.0),
    ("EOrder:Rate limit exceeded", 5.0),
    ("EOrder:Domain rate limit exceeded", 5.0),
    ("EGeneral:Too many requests", 3.0),
    ("EGeneral:Temporary lockout", 900.0),
    ("EAuth:Too many requests", 60.0),
    ("EAuth:Rate limit exceeded", 60.0),
    ("EService:Throttled", 5.0),
    (f"EService:Throttled:{int(NOW) + 30}", 30.0),
    (f"EService: Throttled: {int(NOW) + 7}", 7.0),
    (f"EService:Throttled:{int(NOW) - 7}", 1.0),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_errors_that_prove_a_refusal(text: str, reason: str) -> None:
    error = failures.proven([text], NOW)
    assert isinstance(error, Refused)
    assert error.reason == (reason or Refused.default_reason)
    assert text.replace(": ", ":") in error.message


@pytest.mark.parametrize("text", UNKNOWN)
def test_errors_that_prove_nothing(text: str) -> None:
    assert failures.proven([text], NOW) is None
    assert isinstance(failures.of_question([text], NOW), Unavailable)


@pytest.mark.parametrize(("text", "wait"), LIMITED)
def test_errors_by_which_nothing_was_done(text: str, wait: float) -> None:
    error = failures.proven([text], NOW)
    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


def test_several_errors_prove_only_what_all_of_them_prove() -> None:
    assert failures.proven(["EOrder:Insufficient funds", "EService:Unavailable"], NOW) is None
    assert failures.proven(["EAPI:Rate limit exceeded", "EService:Unavailable"], NOW) is None
    assert isinstance(failures.proven(["EOrder:Invalid price", "EGeneral:Invalid arguments"], NOW), Refused)
    assert isinstance(failures.proven(["WService:Slow", "EOrder:Insufficient funds"], NOW), Refused)
    assert failures.proven(["WService:Slow"], NOW) is None
    assert failures.proven([], NOW) is None
    assert isinstance(failures.proven(["EOrder:Unknown order"], NOW), NotFound)


@given(st.lists(st.text(max_size=40), max_size=4))
def test_no_text_breaks_the_judgement(texts: list[str]) -> None:
    assert isinstance(failures.of_question(texts, NOW), Refused | RateLimited | NotFound | Unavailable)


# -- forms


def test_the_fields_of_a_plain_order() -> None:
    assert orders.fields(order(), NOW) == {
        "ordertype": "limit",
        "type": "buy",
        "volume": "0.1",
        "pair": "XBTUSDT",
        "cl_ord_id": "mine-1",
        "price": "100.0",
        "deadline": "2027-01-15T08:00:10Z",
    }
    until = datetime.fromisoformat(orders.fields(order(), NOW)["deadline"]).timestamp()
    assert 2 < until - NOW < 60


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"time_in_force": "IOC"}, {"timeinforce": "IOC"}),
        ({"time_in_force": "FOK"}, {"timeinforce": "FOK"}),
        ({"post_only": True}, {"oflags": "post"}),
        ({"options": {"expiretm": "1800000060"}}, {"timeinforce": "GTD", "expiretm": "1800000060"}),
        ({"options": {"starttm": "1800000060"}}, {"starttm": "1800000060"}),
        ({"options": {"displayvol": "0.01"}}, {"ordertype": "iceberg", "displayvol": "0.01"}),
        ({"options": {"stptype": "cancel-both"}}, {"stptype": "cancel-both"}),
        ({"options": {"fee": "fcib"}, "post_only": True}, {"oflags": "post,fcib"}),
        ({"stop_price": "90.0"}, {"ordertype": "stop-loss-limit", "price": "90.0", "price2": "100.0"}),
        (
            {"stop_price": "90.0", "options": {"stop_kind": "take-profit", "trigger": "index"}},
            {"ordertype": "take-profit-limit", "price": "90.0", "price2": "100.0", "trigger": "index"},
        ),
        ({"type": "market", "price": ""}, {"ordertype": "market", "price": ""}),
        ({"type": "market", "price": "", "stop_price": "90.0"}, {"ordertype": "stop-loss", "price": "90.0"}),
        (
            {"type": "market", "price": "", "amount": "", "quote_amount": "250"},
            {"ordertype": "market", "price": "", "volume": "250", "oflags": "viqc"},
        ),
        (
            {"type": "market", "price": "", "options": {"trailing_offset": "1.5%"}},
            {"ordertype": "trailing-stop", "price": "+1.5%"},
        ),
    ],
)
def test_the_fields_of_other_orders(changes: dict[str, Any], wanted: dict[str, str]) -> None:
    plain, found = orders.fields(order(), NOW), orders.fields(order(**changes), NOW)
    assert found == {name: value for name, value in (plain | wanted).items() if value}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "market", "side": "sell", "price": "", "amount": "", "quote_amount": "5"}, "AMOUNT_ONLY"),
        ({"type": "market", "price": "", "options": {"expiretm": "1800000060"}}, "BAD_OPTION"),
        ({"time_in_force": "IOC", "options": {"expiretm": "1800000060"}}, "BAD_OPTION"),
        ({"type": "market", "price": "", "options": {"displayvol": "1"}}, "BAD_OPTION"),
        ({"stop_price": "90.0", "options": {"displayvol": "1"}}, "BAD_OPTION"),
        ({"stop_price": "90.0", "post_only": True}, "BAD_OPTION"),
        ({"post_only": True, "options": {"displayvol": "1"}}, "BAD_OPTION"),
        ({"options": {"trailing_offset": "1"}}, "BAD_OPTION"),
        ({"type": "market", "price": "", "options": {"trailing_offset": "0"}}, "BAD_OPTION"),
        ({"type": "market", "price": "", "options": {"trailing_offset": "-1"}}, "BAD_OPTION"),
        (
            {"type": "market", "price": "", "amount": "", "quote_amount": "5", "stop_price": "9.0"},
            "BAD_OPTION",
        ),
        ({"options": {"stop_kind": "take-profit"}}, "BAD_OPTION"),
        ({"options": {"trigger": "index"}}, "BAD_OPTION"),
    ],
)
def test_what_kraken_does_not_take_together_is_not_sent(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as caught:
        orders.fields(order(**changes), NOW)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("6d1b345e-2821-40e2-ad83-4ecb18a06876", True),
        ("da8e4ad59b78481c93e589746b0cf91f", True),
        ("arb-20240509-00010", True),
        ("arb-20240509-000101", False),
        ("DA8E4AD59B78481C93E589746B0CF91F", False),
        ("da8e4ad59b78481c93e589746b0cf91f0", False),
        ("a b", False),
    ],
)
def test_the_rule_for_client_order_ids(text: str, fits: bool) -> None:
    assert client_ids.fits(orders.CLIENT_IDS, text) is fits
    assert client_ids.fits(orders.CLIENT_IDS, client_ids.own(orders.CLIENT_IDS, text))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("OQCLML-BW3P3-BUCMWZ", True), ("O-1", False), ("12345", False), ("1-2-3", False), ("", False)],
)
def test_what_may_be_sent_as_an_order_id(text: str, is_one: bool) -> None:
    assert privates.is_txid(text) is is_one


# -- private answers


def row(**changes: Any) -> privates.OrderRow:
    plain = {
        "status": "open",
        "opentm": 1688666559.8974,
        "descr": {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "30010.0", "price2": "0"},
        "vol": "1.25000000",
        "vol_exec": "0.00000000",
        "oflags": "fciq",
        "cl_ord_id": "mine",
    }
    described = changes.pop("descr", {})
    merged = plain | changes | {"descr": plain["descr"] | described}
    return msgspec.json.decode(json.dumps(merged), type=privates.OrderRow)


@pytest.mark.parametrize(
    ("status", "filled", "wanted"),
    [
        ("pending", "0", "open"),
        ("open", "0.00000000", "open"),
        ("open", "0.5", "partially_filled"),
        ("closed", "1.25000000", "filled"),
        ("canceled", "0.5", "canceled"),
        ("expired", "0", "expired"),
    ],
)
def test_the_status_of_an_order(status: str, filled: str, wanted: str) -> None:
    found = privates.orders({"T": row(status=status, vol_exec=filled)}, names.Names(()))[0]
    assert (found.status, found.filled, found.symbol) == (wanted, filled, "XBTUSD")


def test_special_orders_are_told_by_their_own_figures() -> None:
    stop = {"ordertype": "stop-loss-limit", "price": "27500.0", "price2": "27400.0"}
    trailing = {"ordertype": "trailing-stop", "price": "+1.5000%"}
    rows = {
        "A": row(descr=stop),
        "B": row(descr=trailing),
        "C": row(descr={"ordertype": "market", "price": "0"}, oflags="fciq,viqc", vol="250.0"),
        "D": row(oflags="post", cl_ord_id=None),
    }
    found = {order.order_id: order for order in privates.orders(rows, names.Names(()))}
    assert (found["A"].type, found["A"].price) == ("stop-loss-limit", "27400.0")
    assert (found["B"].type, found["B"].price) == ("trailing-stop", "0")
    assert (found["C"].amount, found["C"].filled, found["C"].remaining) == ("0", "", "")
    assert (found["D"].post_only, found["D"].client_order_id, found["A"].post_only) == (True, "", False)


def test_only_orders_with_the_client_id_however_it_is_spelt() -> None:
    bare, dashed = "6d1b345e282140e2ad834ecb18a06876", "6D1B345E-2821-40E2-AD83-4ECB18A06876"
    rows = {"A": row(cl_ord_id=dashed), "B": row(cl_ord_id="other"), "C": row(cl_ord_id=None), "D": row()}
    found = privates.orders(rows, names.Names(()), bare)
    assert [(order.order_id, order.client_order_id) for order in found] == [("A", bare)]


def test_balances_with_credit() -> None:
    body = (
        b'{"error":[],"result":{"ZUSD":{"balance":"10.0000","credit":"5.0000","credit_used":"1.5000",'
        b'"hold_trade":"2.2500"},"XBT.F":{"balance":1.2435,"hold_trade":0.8423},"SC":{"balance":"0.10000000"}}}'
    )
    rows = privates.BALANCES.decode(body).result
    assert rows is not None
    found = [(one.asset, one.available, one.frozen) for one in privates.balances(rows)]
    assert found == [("USD", "11.2500", "2.2500"), ("BTC.F", "0.4012", "0.8423"), ("SC", "0.10000000", "0")]


# -- markets


def pair(**changes: Any) -> parse.Pair:
    plain: dict[str, Any] = {
        "base": "XXBT",
        "quote": "ZUSD",
        "altname": "XBTUSD",
        "pair_decimals": 1,
        "lot_decimals": 8,
    }
    return parse.Pair(**(plain | changes))


def test_markets_of_todays_list() -> None:
    found = parse.markets(
        {
            "XXBTZUSD": pair(wsname="XBT/USD", tick_size="0.1", ordermin="0.00005", costmin="0.5", status="online"),
            "XBTUSD.d": pair(altname="XBTUSD.d"),
            "AAPLxUSD": pair(altname="AAPLxUSD", wsname="AAPLx/USD", aclass_base="tokenized_asset"),
            "XXDGZEUR": pair(base="XXDG", quote="ZEUR", altname="XDGEUR", pair_decimals=7, status="cancel_only"),
            "NEWUSD": pair(base="NEW", altname="NEWUSD", wsname="NEW/USD", lot_decimals=0, status="post_only"),
        }
    )
    assert [(m.symbol, m.id, m.tick_size, m.step_size, m.min_amount, m.min_notional, m.active) for m in found] == [
        ("BTC/USD", "XXBTZUSD", "0.1", "0.00000001", "0.00005", "0.5", True),
        ("DOGE/EUR", "XXDGZEUR", "0.0000001", "0.00000001", "", "", False),
        ("NEW/USD", "NEWUSD", "0.1", "1", "", "", True),
    ]
    assert [m.aliases for m in found] == [("XBTUSD", "XBT/USD"), ("XDGEUR",), ("NEWUSD", "NEW/USD")]


def test_an_answer_about_another_pair_is_none() -> None:
    book = parse.RestBook(asks=[], bids=[])
    for books in ({}, {"XETHZUSD": book}, {"XXBTZUSD": book, "XETHZUSD": book}):
        with pytest.raises(ValueError):
            parse.depth("XXBTZUSD", books)
    with pytest.raises(ValueError):
        parse.trades("XXBTZUSD", {"XETHZUSD": [], "last": "1"})


@given(st.integers(0, 4 * 10**18))
def test_seconds_become_nanoseconds_exactly(time_ns: int) -> None:
    text = f"{time_ns // 10**9}.{time_ns % 10**9:09d}"
    assert parse.nanoseconds(text) == time_ns
    assert parse.nanoseconds(text + "5") == time_ns


# -- frames

SNAPSHOT = (
    b'{"channel":"book","type":"snapshot","data":[{"symbol":"ETH/USD","bids":[{"price":1797.24,"qty":0.43393711},'
    b'{"price":1797.18,"qty":139.10616255},{"price":1797.13,"qty":139.10995927},{"price":1797.12,"qty":0.80386470},'
    b'{"price":1797.07,"qty":139.11517673},{"price":1796.98,"qty":5.22282896},{"price":1796.97,"qty":12.17138476},'
    b'{"price":1796.95,"qty":139.69390939},{"price":1796.88,"qty":4.21870000},{"price":1796.85,"qty":1.22932317}],'
    b'"asks":[{"price":1797.25,"qty":1.40355852},{"price":1797.28,"qty":10.82400000},{"price":1797.29,'
    b'"qty":139.09899871},{"price":1797.30,"qty":139.09783403},{"price":1797.37,"qty":139.09216827},{"price":1797.41,'
    b'"qty":5.24638952},{"price":1797.42,"qty":0.01780330},{"price":1797.46,"qty":33.05700000},{"price":1797.48,'
    b'"qty":3.11556555},{"price":1797.49,"qty":139.49306646}],"checksum":2606672715}]}'
)
"""A frame of 2025-05-06 with the checksum that Kraken sent: the zeros that it writes count."""


def test_a_snapshot_fits_krakens_own_checksum() -> None:
    (depth,) = frames.book(SNAPSHOT, "ETH/USD")
    assert isinstance(depth, Depth)
    levels = [*depth.asks, *depth.bids]
    text = "".join(number.replace(".", "").lstrip("0") for level in levels for number in level)
    assert depth.checksum == str(crc32(text.encode())) == "2606672715"
    assert depth.asks[3] == ("1797.30", "139.09783403")
    assert frames.book(SNAPSHOT, "ETH/EUR") == []


def test_an_update() -> None:
    frame = (
        b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":62807.0,'
        b'"qty":0.00000000},{"price":1e-7,"qty":5E-8}],"checksum":4249465476,'
        b'"timestamp":"2026-08-16T23:37:03.745044Z"}]}'
    )
    (delta,) = frames.book(frame, "BTC/USD")
    assert delta == DepthDelta(
        bids=[],
        asks=[("62807.0", "0.00000000"), ("0.0000001", "0.00000005")],
        previous=0,
        sequence=0,
        timestamp=1786923423745,
        checksum="4249465476",
    )


@pytest.mark.parametrize("number", [b"null", b'"x"', b"{}", b"true", b"[1]"])
def test_a_level_without_numbers_is_no_level(number: bytes) -> None:
    frame = b'{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1.0,"qty":%b}]}]}' % number
    with pytest.raises(ValueError):
        frames.book(frame, "A/B")


@given(st.decimals("0", "99999999", places=10), st.decimals("0", "99999999", places=8), st.booleans())
def test_trades_keep_every_written_digit(price: Any, qty: Any, buys: bool) -> None:
    entry = (
        f'{{"symbol":"BTC/USD","side":"{"buy" if buys else "sell"}","price":{price:f},"qty":{qty:f},"ord_type":"limit",'
        f'"trade_id":9007199254740993,"timestamp":"2026-08-22T17:30:53.355059Z"}}'
    )
    other = entry.replace("BTC/USD", "ETH/USD")
    frame = f'{{"channel":"trade","type":"update","data":[{other},{entry}]}}'.encode()
    assert frames.trades(frame, "BTC/USD") == [
        Trade(
            id="9007199254740993",
            price=f"{price:f}",
            qty=f"{qty:f}",
            time=1787419853355,
            taker_side="buy" if buys else "sell",
            time_ns=1787419853355059000,
        )
    ]


@pytest.mark.parametrize("text", ["", "2026-08-22", "2026-08-22T17:30:53.355059", "2026-08-22T17:30:53.3x5Z", "nope"])
def test_what_is_no_time_in_utc(text: str) -> None:
    with pytest.raises(ValueError):
        frames.nanoseconds(text)


# -- the dialect


def test_routes_by_channel_and_symbol() -> None:
    dialect = KrakenDialect(25)
    assert json.loads(dialect.subscribe([book_topic("BTC/USD")], 4)) == {
        "method": "subscribe",
        "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 25, "snapshot": True},
        "req_id": 4,
    }
    assert json.loads(dialect.unsubscribe([book_topic("BTC/USD")], 5))["params"]["depth"] == 25
    assert json.loads(dialect.unsubscribe([trade_topic("BTC/USD")], 6)) == {
        "method": "unsubscribe",
        "params": {"channel": "trade", "symbol": ["BTC/USD"]},
        "req_id": 6,
    }
    update = b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[]}]}'
    assert dialect.route(update) == "book:BTC/USD"
    assert dialect.route(update.replace(b",", b", ").replace(b":", b": ", 2)) == "book:BTC/USD"
    trade = b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy"}]}'
    assert dialect.route(trade) == "trade:BTC/USD"
    assert dialect.route(update.replace(b"BTC/", rb"BTC\/")) == "book:BTC/USD"


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (b'{"channel":"heartbeat"}', Control("alive")),
        (b'{ "channel" : "heartbeat" }', Control("alive")),
        (b'{"channel":"trade","type":"snapshot","data":[]}', Control("ignored")),
        (b'{"method":"pong","time_in":"x"}', Control("alive")),
        (b'{"method":"pong","req_id":null,"error":null,"result":{}}', Control("alive")),
        (b'{"channel":"status","type":"update","data":[{"connection_id":15113583034416118705}]}', Control("ignored")),
        (b'{"channel":"instrument","type":"snapshot","data":{"assets":[]}}', Control("ignored")),
        (b'{"method":"subscribe","result":{"channel":"book"},"success":true,"req_id":3}', Control("confirmed", 3)),
        (b'{"method":"unsubscribe","result":{},"success":true,"req_id":4}', Control("confirmed", 4)),
        (
            b'{"error":"Subscription depth not supported","method":"subscribe","req_id":7,"success":false}',
            Control("rejected", 7, message="Subscription depth not supported"),
        ),
        (
            b'{"error":"Subscription Not Found","method":"unsubscribe","req_id":8,"success":false}',
            Control("confirmed", 8),
        ),
    ],
)
def test_frames_that_are_no_data(frame: bytes, control: Control) -> None:
    assert KrakenDialect(10).route(frame) == control


@pytest.mark.parametrize(
    "frame",
    [b'{"method":"po', b'{"channel":"trade"}', b'{"channel":"book","data":[{}]}', b'{"data":[{"symbol":"BTC/USD"}]}'],
)
def test_frames_that_belong_to_nothing_are_errors(frame: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, LookupError, TypeError, ValueError)):
        KrakenDialect(10).route(frame)


# -- the walk through history


class Past:
    """An exchange that pages by time, as Kraken does."""

    def __init__(self, times: list[int]) -> None:
        self.trades = [
            Trade(id=str(number), price="1", qty="1", time=0, time_ns=time_ns)
            for number, time_ns in enumerate(sorted(times), 1)
        ]
        self.asked = 0

    async def ask(self, since: int | None) -> parse.Page:
        self.asked += 1
        if since is None:
            return parse.Page(self.trades[-history.PAGE :], 0)
        found = [trade for trade in self.trades if trade.time_ns >= since][: history.PAGE]
        return parse.Page(found, found[-1].time_ns if found else since)


HOUR = 3_600_000_000_000


@pytest.mark.anyio
@pytest.mark.parametrize("spread", ["even", "bursts", "tail"])
@pytest.mark.parametrize("number", [0, 1, 999, 1000, 1001, 6543, 18_999, 19_000, 19_999, 20_000, 20_001])
async def test_any_id_is_found(spread: str, number: int) -> None:
    if spread == "even":
        times = [HOUR * at for at in range(1, 20_001)]
    elif spread == "bursts":
        times = [HOUR * (at // 700 * 1000) + at for at in range(1, 20_001)]
    else:
        times = [HOUR + at for at in range(15_000)] + [HOUR * 1000 * at for at in range(2, 5_002)]
    past = Past(times)
    found = await history.after(number, 1500, history.Marks(), past.ask)
    assert [int(trade.id) for trade in found] == list(range(number + 1, min(number + 1501, 20_001)))
    assert past.asked <= 24


@pytest.mark.anyio
async def test_a_known_id_takes_one_question() -> None:
    past, marks = Past([1_700_000_000_000_000_000 + HOUR * at for at in range(1, 5000)]), history.Marks()
    marks.note(past.trades[:4001])
    found = await history.after(4001, 500, marks, past.ask)
    assert [int(trade.id) for trade in found] == list(range(4002, 4502))
    assert past.asked == 1


@pytest.mark.anyio
async def test_a_stream_whose_clock_runs_late_is_no_reason_for_a_hole() -> None:
    past, marks = Past([HOUR * at for at in range(1, 3000)]), history.Marks()
    marks.note([msgspec.structs.replace(past.trades[1499], time_ns=past.trades[1499].time_ns + 20_000_000_000)])
    found = await history.after(1500, 10, marks, past.ask)
    assert [int(trade.id) for trade in found] == list(range(1501, 1511))


@pytest.mark.anyio
async def test_trades_of_one_moment_fill_more_than_a_page() -> None:
    past, marks = Past([HOUR] * 3 + [2 * HOUR + at for at in range(2500)] + [3 * HOUR]), history.Marks()
    marks.note(past.trades[:3])
    found = await history.after(3, 3000, marks, past.ask)
    assert [int(trade.id) for trade in found] == list(range(4, 2505))


@pytest.mark.anyio
@pytest.mark.parametrize("number", [*range(0, 40), 2998, 2999, 3000, 5999])
async def test_ids_with_holes(number: int) -> None:
    past = Past([HOUR * at for at in range(1, 3001)])
    past.trades = [msgspec.structs.replace(trade, id=str(int(trade.id) * 7 // 4)) for trade in past.trades]
    found = await history.after(number, 1200, history.Marks(), past.ask)
    ids = [int(trade.id) for trade in past.trades]
    assert [int(trade.id) for trade in found] == [known for known in ids if known > number][:1200]


@pytest.mark.anyio
async def test_a_market_without_trades_has_none() -> None:
    assert await history.after(7, 10, history.Marks(), Past([]).ask) == []


@pytest.mark.anyio
async def test_a_history_that_does_not_rise_is_no_history() -> None:
    past = Past([HOUR * at for at in range(1, 5000)])

    async def ask(since: int | None) -> parse.Page:
        page = await past.ask(since)
        return page if since in (None, 0) else parse.Page([], 0)

    with pytest.raises(Unavailable):
        await history.after(2500, 10, history.Marks(), ask)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=200, unique=True))
def test_marks_give_the_last_one_before(ids: list[int]) -> None:
    marks = history.Marks()
    for number in ids:
        marks.note([Trade(id=str(number), price="1", qty="1", time=0, time_ns=number * 10)])
    for number in range(0, 10**6, 49_999):
        wanted = max((known for known in ids if known <= number), default=None)
        assert marks.before(number) == (None if wanted is None else (wanted, wanted * 10))
