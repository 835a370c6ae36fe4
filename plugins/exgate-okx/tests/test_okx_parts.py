"""The parts that need no exchange: signature, codes, parsing, dialect, joining, limits, orders as they leave."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from exgate_okx import OkxSettings, parse, private_parse
from exgate_okx.account import CAPABILITIES
from exgate_okx.codes import judged
from exgate_okx.dialect import OkxDialect
from exgate_okx.hosts import HOSTS, capabilities_of
from exgate_okx.joining import MOST_WAITING, Join
from exgate_okx.limits import CANCEL, PLACE, TRADES, Meter
from exgate_okx.parse import BookFrame
from exgate_okx.signing import ServerClock, headers, iso, signature
from hypothesis import given
from hypothesis import strategies as st
from okx_support import BTC, Keys, limit_order

from exgate_core import client_ids
from exgate_core.errors import DUPLICATE, ExGateError, NotFound, RateLimited, Refused, Unavailable
from exgate_core.models import Depth, DepthDelta, Order
from exgate_core.sockets import Control
from tests.support.clock import ManualClock

SECRET = "22582BD0CFF14C41EDBF1AB98506286D"
MOMENT = 1607418537715

numbers = st.decimals(min_value=0, max_value=10**12, places=8, allow_nan=False).map(lambda n: format(n, "f"))
ids = st.integers(min_value=1, max_value=2**63)


# -- signature and clock


def test_signatures_as_openssl_makes_them() -> None:
    """OKX publishes what is signed, not a result: the results are those of `openssl dgst -sha256 -hmac`."""
    assert iso(MOMENT) == "2020-12-08T09:08:57.715Z"
    read = signature(SECRET, iso(MOMENT), "GET", "/api/v5/account/balance?ccy=BTC", "")
    assert read == "HiZhvSfMtWJA3uUIVXV3a/bSXNPCWvYFXoGCVS8V4zY="
    body = '{"instId":"BTC-USDT","lever":"5","mgnMode":"isolated"}'
    assert (
        signature(SECRET, iso(MOMENT), "POST", "/api/v5/trade/order", body)
        == "B1CIgFITj5o4lMDG+Uz5juzEGMCIDXO9bxM4MBgQ62g="
    )


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_a_time_in_its_headers_form_keeps_every_millisecond(moment: int) -> None:
    text = iso(moment)
    assert len(text) == 24 and text.endswith(f".{moment % 1000:03d}Z")


def test_the_four_headers() -> None:
    made = headers(Keys(), MOMENT, "GET", "/api/v5/account/balance", "")
    assert made == {
        "OK-ACCESS-KEY": "the-key",
        "OK-ACCESS-SIGN": signature(SECRET, "2020-12-08T09:08:57.715Z", "GET", "/api/v5/account/balance", ""),
        "OK-ACCESS-TIMESTAMP": "2020-12-08T09:08:57.715Z",
        "OK-ACCESS-PASSPHRASE": "the-pass",
    }


@pytest.mark.anyio
async def test_the_exchanges_clock_is_ours_and_what_was_measured() -> None:
    clock = ManualClock(epoch=1000.0)

    async def ask() -> int:
        clock._now += 2.0  # the answer takes two seconds, of which one is the way there
        return 1_061_000

    reported: list[float] = []
    theirs = ServerClock(clock, ask, reported.append)
    assert (theirs.now(), theirs.measured) == (1_000_000, False)
    await theirs.measure()
    assert (theirs.now(), theirs.measured) == (1_062_000, True)
    assert reported == [1_062_000], "what OKX's clock says when its answer is there"


# -- codes


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "reason"),
    [
        (200, "51008", "Order failed. Insufficient USDT balance in account", Refused, "INSUFFICIENT_BALANCE"),
        (200, "51008_1000", "Order failed. Insufficient USDT balance", Refused, "INSUFFICIENT_BALANCE"),
        (200, "51020", "Your order should meet or exceed the minimum order amount.", Refused, "TOO_SMALL"),
        (200, "51121", "Order quantity must be a multiple of the lot size.", Refused, "BAD_AMOUNT"),
        (200, "51006", "Order price is not within the price limit", Refused, "BAD_PRICE"),
        (200, "51001", "Instrument ID doesn't exist.", Refused, "UNKNOWN_SYMBOL"),
        (200, "51016", "Client order ID already exists.", Refused, DUPLICATE),
        (200, "50071", "clOrdId already exists", Refused, DUPLICATE),
        (200, "51010", "Request unsupported under current account mode", Refused, "EXCHANGE_REFUSED"),
        (200, "54036", "You can't place fill or kill orders", Refused, "EXCHANGE_REFUSED"),
        (400, "51000", "Parameter sz error", Refused, "EXCHANGE_REFUSED"),
        (400, "50014", "Parameter px can not be empty.", Refused, "EXCHANGE_REFUSED"),
        (401, "50113", "Invalid signature.", Refused, "EXCHANGE_AUTH_FAILED"),
        (401, "50111", "Invalid OK-ACCESS-KEY.", Refused, "EXCHANGE_AUTH_FAILED"),
        (401, "50105", "Request header OK-ACCESS-PASSPHRASE incorrect.", Refused, "EXCHANGE_AUTH_FAILED"),
        (200, "50110", "Your IP is not included in your API key's IP whitelist.", Refused, "EXCHANGE_AUTH_FAILED"),
        (401, "50102", "Timestamp request expired.", Refused, "CLOCK_SKEW"),
        (200, "50037", "Order expired.", Refused, "ORDER_EXPIRED"),
        (200, "51400", "the order has been filled, canceled or does not exist.", NotFound, "NO_SUCH_ORDER"),
        (200, "51603", "Order does not exist.", NotFound, "NO_SUCH_ORDER"),
        (200, "50011", "Rate limit reached.", RateLimited, "RATE_LIMITED"),
        (429, "50011", "Too Many Requests", RateLimited, "RATE_LIMITED"),
        (200, "50061", "You've reached the maximum order rate limit.", RateLimited, "RATE_LIMITED"),
    ],
)
def test_codes_that_prove_something(status: int, code: str, message: str, kind: type[ExGateError], reason: str) -> None:
    error = judged(status, code, message)
    assert type(error) is kind and error.reason == reason
    assert error.message == f"{code} {message}"
    assert error.retry_after == (2.0 if kind is RateLimited else None)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (503, "50001", "Service temporarily unavailable."),
        (400, "50004", "API endpoint request timeout."),
        (200, "50004", "API endpoint request timeout."),
        (429, "50013", "Systems are busy."),
        (500, "50026", "System error."),
        (200, "50026", "System error."),
        (200, "50042", "Repeated request"),
        (500, "51054", "Request timed out."),
        (500, "51149", "Order timed out."),
        (200, "51149", "Order timed out."),
        (200, "51412", "Cancellation timed out, please try again later."),
        (200, "51999", "The new thing timed out"),
        (500, "51008", "Insufficient balance"),
        (502, "50011", "Rate limit reached"),
        (200, "1", "Operation failed."),
        (200, "2", "Bulk operation partially succeeded."),
        (200, "58350", "Insufficient balance"),
        (200, "52000", "No market data found."),
        (200, "", ""),
        (200, "-1", "?"),
    ],
)
def test_codes_that_prove_nothing(status: int, code: str, message: str) -> None:
    assert judged(status, code, message) is None


# -- parsing


@given(st.lists(st.tuples(numbers, numbers, st.just("0"), st.just("4")), max_size=5), ids, ids)
def test_books_keep_every_digit(levels: list[tuple[str, str, str, str]], sequence: int, time: int) -> None:
    row = {"asks": levels, "bids": levels, "ts": str(time), "seqId": sequence, "prevSeqId": -1, "checksum": 0}
    body = json.dumps({"code": "0", "msg": "", "data": [row]}).encode()
    book = parse.depth(parse.BOOKS.decode(body).data[0])
    kept = [level[:2] for level in levels]
    assert book == Depth(bids=kept, asks=kept, last_update_id=sequence, timestamp=time)


@given(st.lists(st.tuples(ids, numbers, numbers, st.sampled_from(["buy", "sell"]), ids), max_size=5))
def test_trades_keep_every_digit(rows: list[tuple[int, str, str, str, int]]) -> None:
    names = ("tradeId", "px", "sz", "side", "ts")
    data = [dict(zip(names, map(str, row), strict=True)) | {"instId": "A-B", "source": "1"} for row in rows]
    frame = json.dumps({"arg": {"channel": "trades-all", "instId": "A-B"}, "data": data}).encode()
    found = [(int(t.id), t.price, t.qty, t.taker_side, t.time) for t in parse.trade_frame(frame)]
    assert found == rows


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for read in (parse.trade_frame, parse.book_frame, OkxDialect(5).route):
        try:
            read(body)
        except (msgspec.MsgspecError, ValueError):
            continue


def row(number: int, qty: str, time: int = 5, price: str = "2", side: str = "buy") -> dict[str, str]:
    return {"tradeId": str(number), "px": price, "sz": qty, "side": side, "ts": str(time)}


def test_matches_of_one_order_at_one_price_become_one_trade() -> None:
    rows = [
        row(1, "0.10"),
        row(2, "0.25"),
        row(3, "1", price="2.1"),
        row(4, "1", price="2.1", side="sell"),
        row(5, "1", price="2.1", side="sell", time=6),
    ]
    decoded = parse.TRADES.decode(json.dumps({"code": "0", "data": rows}).encode()).data
    merged = parse.merged(decoded)
    assert [(trade.id, trade.qty) for trade in merged] == [("2", "0.35"), ("3", "1"), ("4", "1"), ("5", "1")]
    assert [trade.id for trade in parse.trades(decoded)] == ["1", "2", "3", "4", "5"]
    assert capabilities_of(OkxSettings(trades="merged")).trade_ids == "ordered"
    assert capabilities_of(OkxSettings()).trade_ids == "contiguous"


def test_markets_that_are_only_announced_are_left_out_and_those_that_rest_are_inactive() -> None:
    rows = [
        {"instId": "A-B", "state": "live", "baseCcy": "A", "quoteCcy": "B", "tickSz": "0.1"},
        {"instId": "C-B", "state": "suspend", "baseCcy": "C", "quoteCcy": "B"},
        {"instId": "D-B", "state": "preopen", "baseCcy": "", "quoteCcy": ""},
    ]
    decoded = parse.INSTRUMENTS.decode(json.dumps({"code": "0", "data": rows}).encode()).data
    assert [(market.symbol, market.active) for market in parse.markets(decoded)] == [("A/B", True), ("C/B", False)]


ORDER: dict[str, Any] = {
    "instId": "BTC-USDT",
    "instType": "SPOT",
    "ordId": "680800019749904384",
    "clOrdId": "b15",
    "side": "buy",
    "ordType": "limit",
    "state": "live",
    "px": "13013.50",
    "sz": "0.0010",
    "accFillSz": "0",
    "tgtCcy": "",
    "cTime": "1724733617998",
}
SHOWN = Order(
    order_id="680800019749904384",
    symbol="BTC/USDT",
    side="buy",
    type="limit",
    price="13013.50",
    amount="0.0010",
    status="open",
    filled="0",
    remaining="0.0010",
    client_order_id="b15",
    time=1724733617998,
    native_symbol="BTC-USDT",
)


def changed(**changes: Any) -> dict[str, Any]:
    return {name: changes.get(name, getattr(SHOWN, name)) for name in SHOWN.__struct_fields__}


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({}, {}),
        ({"ordType": "post_only"}, {"post_only": True}),
        ({"ordType": "ioc"}, {}),
        ({"ordType": "fok"}, {}),
        (
            {"state": "partially_filled", "accFillSz": "0.0004"},
            {"status": "partially_filled", "filled": "0.0004", "remaining": "0.0006"},
        ),
        (
            {"state": "filled", "accFillSz": "0.0010"},
            {"status": "filled", "filled": "0.0010", "remaining": "0.0000"},
        ),
        ({"state": "canceled"}, {"status": "canceled"}),
        ({"state": "mmp_canceled"}, {"status": "canceled"}),
        (
            {"ordType": "market", "px": "", "sz": "100", "tgtCcy": "quote_ccy", "state": "filled", "accFillSz": "0.5"},
            {"type": "market", "price": "0", "amount": "0", "status": "filled", "filled": "0.5", "remaining": ""},
        ),
        (
            {"ordType": "market", "px": "", "sz": "100", "tgtCcy": ""},
            {"type": "market", "price": "0", "amount": "0", "remaining": ""},
        ),
        (
            {"ordType": "market", "px": "", "sz": "3", "tgtCcy": "base_ccy"},
            {"type": "market", "price": "0", "amount": "3", "remaining": "3"},
        ),
        (
            {"ordType": "market", "px": "", "sz": "3", "tgtCcy": "", "side": "sell"},
            {"type": "market", "price": "0", "amount": "3", "remaining": "3", "side": "sell"},
        ),
        ({"ordType": "optimal_limit_ioc"}, {"type": "optimal_limit_ioc"}),
        ({"accFillSz": ""}, {"filled": "", "remaining": ""}),
    ],
)
def test_orders_as_they_are_shown(sent: dict[str, str], shown: dict[str, Any]) -> None:
    body = json.dumps({"code": "0", "data": [{**ORDER, **sent}]}).encode()
    (decoded,) = private_parse.ORDERS.decode(body).data
    found = private_parse.order(decoded, lambda instrument: instrument.replace("-", "/"))
    assert {name: getattr(found, name) for name in found.__struct_fields__} == changed(**shown)


def test_a_state_that_nobody_knows_is_handed_on() -> None:
    body = json.dumps({"code": "0", "data": [{**ORDER, "state": "floating"}]}).encode()
    (decoded,) = private_parse.ORDERS.decode(body).data
    assert private_parse.order(decoded, str).status == "floating"


# -- orders as they leave


BASE = {"instId": "BTC-USDT", "tdMode": "cash", "clOrdId": "b15", "side": "buy"}


@pytest.mark.parametrize(
    ("given_", "body"),
    [
        ({}, {"ordType": "limit", "px": "2.15", "sz": "2"}),
        ({"time_in_force": "IOC"}, {"ordType": "ioc", "px": "2.15", "sz": "2"}),
        ({"time_in_force": "FOK"}, {"ordType": "fok", "px": "2.15", "sz": "2"}),
        ({"post_only": True}, {"ordType": "post_only", "px": "2.15", "sz": "2"}),
        (
            {"type": "market", "price": ""},
            {"ordType": "market", "sz": "2", "tgtCcy": "base_ccy", "banAmend": True},
        ),
        (
            {"type": "market", "price": "", "amount": "", "quote_amount": "100"},
            {"ordType": "market", "sz": "100", "tgtCcy": "quote_ccy", "banAmend": True},
        ),
        (
            {"type": "market", "price": "", "options": {"banAmend": "false", "slippagePct": "0.01"}},
            {"ordType": "market", "sz": "2", "tgtCcy": "base_ccy", "banAmend": False, "slippagePct": "0.01"},
        ),
        (
            {"options": {"stpMode": "cancel_both", "pxAmendType": "1", "tag": "bot7", "tradeQuoteCcy": "USDC"}},
            {
                "ordType": "limit",
                "px": "2.15",
                "sz": "2",
                "stpMode": "cancel_both",
                "pxAmendType": "1",
                "tag": "bot7",
                "tradeQuoteCcy": "USDC",
            },
        ),
        (
            {"time_in_force": "IOC", "options": {"isElpTakerAccess": "true"}},
            {"ordType": "ioc", "px": "2.15", "sz": "2", "isElpTakerAccess": True},
        ),
    ],
)
def test_the_body_of_an_order(given_: dict[str, Any], body: dict[str, Any]) -> None:
    assert private_parse.order_body(limit_order(**given_), "cash") == BASE | body


@pytest.mark.parametrize(
    "given_",
    [
        {"options": {"banAmend": "true"}},
        {"options": {"slippagePct": "0.01"}},
        {"options": {"isElpTakerAccess": "true"}},
        {"type": "market", "price": "", "options": {"isElpTakerAccess": "true"}},
    ],
)
def test_an_option_that_does_not_go_with_the_order_is_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="Nothing was sent") as refused:
        private_parse.order_body(limit_order(**given_), "cash")
    assert refused.value.reason == "OPTION_NOT_APPLICABLE"


@pytest.mark.parametrize("given_", [{}, {"post_only": True}, {"time_in_force": "FOK"}, {"type": "market", "price": ""}])
def test_where_okx_takes_it_every_order_may_trade_with_elp_orders(given_: dict[str, Any]) -> None:
    order = limit_order(options={"isElpTakerAccess": "true"}, **given_)
    assert private_parse.order_body(order, "cash", elp_for_all=True)["isElpTakerAccess"] is True
    assert [name for name, host in HOSTS.items() if host.elp_for_all] == ["us.okx.com"]


@given(st.text(max_size=60))
def test_whatever_a_caller_calls_an_order_okx_takes_the_name(text: str) -> None:
    rule = CAPABILITIES.client_ids
    assert rule is not None
    made = client_ids.own(rule, text)
    assert made.isascii() and made.isalnum() and 1 <= len(made) <= 32


# -- dialect


def test_what_is_sent() -> None:
    dialect = OkxDialect(5)
    wanted = {
        "id": "7",
        "op": "subscribe",
        "args": [{"channel": "books", "instId": "BTC-USDT"}, {"channel": "trades-all", "instId": "A-B"}],
    }
    topics = ["books:BTC-USDT", "trades-all:A-B"]
    assert json.loads(dialect.subscribe(topics, 7)) == wanted
    assert json.loads(dialect.unsubscribe(topics, 7)) == wanted | {"op": "unsubscribe"}
    assert dialect.ping() == "ping"


@pytest.mark.parametrize(
    ("frame", "meaning"),
    [
        (b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[]}', "books:BTC-USDT"),
        (b'{"data":[],"arg":{"instId":"BTC-USDT","channel":"books"}}', "books:BTC-USDT"),
        (b'{"arg":{"channel":"books", "instId":"BTC-USDT"},"data":[]}', "books:BTC-USDT"),
        (rb'{"arg":{"channel":"books","instId":"BTC\u002dUSDT"},"data":[]}', "books:BTC-USDT"),
        (
            b'{"arg":{"channel":"books","instId":"A-B"},"event":"subscribe","id":"3"}',
            Control("confirmed", 3, "books:A-B"),
        ),
        (b"pong", Control("alive")),
        (
            b'{"id":"3","event":"subscribe","arg":{"channel":"books","instId":"A-B"},"connId":"a4d3ae55"}',
            Control("confirmed", 3, "books:A-B"),
        ),
        (
            b'{"event":"unsubscribe","arg":{"channel":"books","instId":"A-B"}}',
            Control("confirmed", 0, "books:A-B"),
        ),
        (
            b'{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade."}',
            Control("replace"),
        ),
        (b'{"event":"notice","code":"1","msg":"?"}', Control("ignored")),
        (b'{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"abcd"}', Control("ignored")),
        (
            b'{"id":"3","event":"error","code":"60018","msg":"channel:books,instId:A-B doesn\'t exist"}',
            Control("rejected", 3, "books:A-B", "60018 channel:books,instId:A-B doesn't exist"),
        ),
        (
            b'{"id":"3","event":"error","code":"60012","msg":"Invalid request"}',
            Control("rejected", 3, "", "60012 Invalid request"),
        ),
    ],
)
def test_what_frames_mean(frame: bytes, meaning: object) -> None:
    assert OkxDialect(5).route(frame) == meaning


@pytest.mark.parametrize("frame", [b'{"data":[]}', b'{"arg":{"channel":"books"},"data":[]}', b"{}", b"[]", b""])
def test_frames_that_belong_to_nothing_are_errors(frame: bytes) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        OkxDialect(5).route(frame)


def test_an_error_that_names_no_request_ends_the_connection() -> None:
    with pytest.raises(ValueError, match="60014"):
        OkxDialect(5).route(b'{"event":"error","code":"60014","msg":"Requests too frequent"}')


# -- joining


def frame(action: str, previous: int, sequence: int, time: int = 1, price: str = "1") -> BookFrame:
    book = {"asks": [], "bids": [[price, "1", "0", "1"]], "ts": str(time), "prevSeqId": previous, "seqId": sequence}
    return parse.book_frame(json.dumps({"arg": {}, "action": action, "data": [book]}).encode())


def heard(*frames: BookFrame) -> tuple[Join, list[Any]]:
    got: list[Any] = []
    join = Join(got.append)
    for one in frames:
        join.frame(one)
    return join, got


def numbers_of(items: list[Any]) -> list[tuple[int, ...]]:
    return [
        (item.previous, item.sequence) if isinstance(item, DepthDelta) else (item.last_update_id,) for item in items
    ]


def test_the_documents_example_of_a_sequence() -> None:
    join, got = heard(
        frame("snapshot", -1, 10),
        frame("update", 10, 15),
        frame("update", 15, 15),
        frame("update", 15, 3),
        frame("update", 3, 5),
    )
    assert numbers_of(got) == [(10,), (10, 15), (15, 15), (15, 3), (3, 5)]
    assert join.joined


def test_without_a_snapshot_updates_wait_for_one_that_is_asked_for() -> None:
    join, got = heard(frame("update", 20, 25), frame("update", 25, 30), frame("update", 30, 30))
    assert not got and not join.joined
    assert not join.asked(Depth(bids=[], asks=[], last_update_id=19))
    assert join.asked(Depth(bids=[], asks=[], last_update_id=27))
    join.frame(frame("update", 30, 31))
    assert numbers_of(got) == [(27,), (25, 30), (30, 30), (30, 31)]


def test_a_snapshot_that_comes_by_itself_makes_the_asked_one_needless() -> None:
    join, got = heard(frame("update", 20, 25), frame("snapshot", -1, 30))
    assert join.asked(Depth(bids=[], asks=[], last_update_id=40))
    assert numbers_of(got) == [(30,)]


def test_a_replaced_connections_older_snapshot_is_passed_over_and_a_reset_is_not() -> None:
    join, got = heard(frame("snapshot", -1, 10, time=5), frame("update", 10, 20, time=9), frame("snapshot", -1, 15, 8))
    assert numbers_of(got) == [(10,), (10, 20)]
    join.frame(frame("snapshot", -1, 2, time=12))
    join.frame(frame("update", 2, 3, time=13))
    assert numbers_of(got)[2:] == [(2,), (2, 3)]


def test_a_snapshot_that_never_comes_is_told() -> None:
    join, _ = heard()
    update = frame("update", 1, 2)
    with pytest.raises(Unavailable, match="snapshot"):
        for _ in range(MOST_WAITING + 1):
            join.frame(update)


def test_a_checksum_of_nought_says_nothing() -> None:
    book = {"asks": [], "bids": [], "ts": "1", "prevSeqId": -1, "seqId": 1}
    for sent, read in ((0, ""), (-855196043, "-855196043"), (7, "7")):
        decoded = parse.book_frame(json.dumps({"action": "snapshot", "data": [{**book, "checksum": sent}]}).encode())
        assert parse.depth(decoded.data[0]).checksum == read
        assert parse.delta(decoded.data[0]).checksum == read


# -- limits


@pytest.mark.anyio
async def test_each_endpoint_and_instrument_has_a_limit_of_its_own() -> None:
    clock = ManualClock()
    meter = Meter(clock, clock.sleep)
    for _ in range(PLACE.limit):
        await meter.take("POST", PLACE, BTC.id, "orders", 0)
    with pytest.raises(RateLimited) as full:
        await meter.take("POST", PLACE, BTC.id, "orders", 0)
    assert full.value.retry_after == pytest.approx(2.0, abs=0.01)
    await meter.take("POST", PLACE, "ETH-USDT", "orders", 0)
    await meter.take("GET", PLACE, BTC.id, "orders", 0)
    await meter.take("POST", CANCEL, BTC.id, "cancels", 0)
    await clock.advance(2.01)
    await meter.take("POST", PLACE, BTC.id, "orders", 0)


@pytest.mark.anyio
async def test_a_limit_per_address_holds_for_all_instruments_together() -> None:
    clock = ManualClock()
    meter = Meter(clock, clock.sleep)
    for number in range(TRADES.limit):
        await meter.take("GET", TRADES, f"I{number}", "data", 0)
    with pytest.raises(RateLimited):
        await meter.take("GET", TRADES, BTC.id, "data", 0)
