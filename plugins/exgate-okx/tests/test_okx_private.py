"""The private side against recorded and documented answers: every digit, every outcome. Needs EXGATE_SHARED."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from exgate_okx import OkxAccount, private_parse
from exgate_okx.signing import signature
from okx_support import BTC, Keys, Public, account, limit_order, oracles, recorded, requests, transport

from exgate_core.errors import DUPLICATE, ExGateError, NotFound, NotSent, RateLimited, Refused, Unavailable
from exgate_core.models import CancelResult, Order

pytestmark = pytest.mark.anyio

ORDER_ID = "312269865356374016"
FOUND: dict[str, Any] = {
    "instId": "BTC-USDT",
    "ordId": ORDER_ID,
    "clOrdId": "b15",
    "side": "buy",
    "ordType": "limit",
    "state": "live",
    "px": "2.15",
    "sz": "2",
    "accFillSz": "0",
    "tgtCcy": "",
    "cTime": "1724733617998",
}
MISSING = '{"code":"51603","msg":"Order does not exist","data":[]}'
NONE = '{"code":"0","msg":"","data":[]}'


def told(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "symbol": order.native_symbol,
        "type": order.type,
        "price": order.price,
        "amount": order.amount,
        "side": order.side,
    }


def answer(match: str, body: str, status: int = 200, times: int = -1) -> dict[str, Any]:
    return {"match": match, "status": status, "body": body, "times": times}


def rows(*found: dict[str, Any]) -> str:
    return json.dumps({"code": "0", "msg": "", "data": list(found)})


def ack(code: str = "0", message: str = "", order_id: str = ORDER_ID, top: str = "") -> str:
    row = {"clOrdId": "b15", "ordId": order_id, "tag": "", "ts": "1695190491421", "sCode": code, "sMsg": message}
    return json.dumps({"code": top or ("0" if code == "0" else "1"), "msg": "", "data": [row]})


# -- every recorded answer, to the last character


async def test_every_recorded_balance(venue: Any, shared: Path) -> None:
    found = oracles(shared, "balances")
    for row in found:
        decoded = private_parse.ACCOUNT.decode(recorded(shared, row["record"])).data
        shown = [
            {"asset": one.asset, "available": one.available, "frozen": one.frozen}
            for one in private_parse.balances(decoded)
        ]
        assert shown == row["expect"], row["record"]
    assert len(found) == 3
    async with account(venue, "okx/ccxt-static") as desk:
        balances = {one.asset: (one.available, one.frozen) for one in await desk.balances()}
    assert balances["BTC"] == ("0.6612664522199999", "0.4")


async def test_the_recorded_open_order(venue: Any, shared: Path) -> None:
    (row,) = oracles(shared, "pending_orders")
    async with account(venue, "okx/samples") as desk:
        for market in (None, BTC):
            assert [told(order) for order in await desk.pending_orders(market)] == row["expect"]


@pytest.mark.parametrize(
    ("record", "client_id"),
    [("okx/samples/r0001", "oktswap6"), ("okx/ccxt-static/r0000", "6b9ad766b55dBCDE63969a1144bfb943")],
)
async def test_every_recorded_order(venue: Any, shared: Path, record: str, client_id: str) -> None:
    (row,) = (row for row in oracles(shared, "order") if row["record"] == record)
    async with account(venue, record.rpartition("/")[0]) as desk:
        assert await desk.place_order(limit_order(client_order_id=client_id)) == row["expect"]["order_id"]
    assert len(requests(venue, "trade/order")) == 1


async def test_the_recorded_cancel(venue: Any, shared: Path) -> None:
    (row,) = oracles(shared, "cancel")
    async with account(venue, "okx/samples") as desk:
        result = await desk.cancel_order(BTC, row["expect"]["order_id"], "")
    assert result == CancelResult(status="pending")
    (sent,) = requests(venue, "cancel-order")
    assert json.loads(sent["body"]) == {"instId": "BTC-USDT", "ordId": row["expect"]["order_id"]}


# -- what leaves


async def test_an_order_leaves_signed_dated_and_once(venue: Any) -> None:
    venue.state.faults = [answer("public/time", rows({"ts": "1700000000000"}), times=1)]
    async with account(venue, "okx/samples") as desk:
        await desk.place_order(limit_order(client_order_id="oktswap6"))
    (sent,) = requests(venue, "trade/order")
    header = {name.lower(): value for name, value in sent["headers"].items()}
    stamp = header["ok-access-timestamp"]
    assert stamp.startswith("2023-11-14T22:13:2")  # the exchange's clock, not ours
    assert header["ok-access-sign"] == signature(
        "22582BD0CFF14C41EDBF1AB98506286D", stamp, "POST", "/api/v5/trade/order", sent["body"]
    )
    assert (header["ok-access-key"], header["ok-access-passphrase"]) == ("the-key", "the-pass")
    assert 4_000 < int(header["exptime"]) - 1_700_000_000_000 < 10_000
    assert header["content-type"] == "application/json"
    assert json.loads(sent["body"])["clOrdId"] == "oktswap6"
    assert "x-simulated-trading" not in header


@pytest.mark.parametrize(
    ("clock", "settings"),
    [(rows({"ts": "1700000000000"}), {"order_expiry": 0.0}), ("<html>", {}), (NONE, {})],
)
async def test_no_expiry_is_sent_where_none_is_wanted_or_the_clock_is_unknown(
    venue: Any, clock: str, settings: dict[str, Any]
) -> None:
    venue.state.faults = [answer("public/time", clock)]
    async with account(venue, "okx/samples", sandbox=True, **settings) as desk:
        await desk.place_order(limit_order(client_order_id="oktswap6"))
    (sent,) = requests(venue, "trade/order")
    header = {name.lower(): value for name, value in sent["headers"].items()}
    assert "exptime" not in header and header["x-simulated-trading"] == "1"


async def test_a_question_signs_its_query(venue: Any) -> None:
    async with account(venue, "okx/samples") as desk:
        await desk.pending_orders(BTC)
    (sent,) = requests(venue, "orders-pending")
    header = {name.lower(): value for name, value in sent["headers"].items()}
    target = sent["url"].removeprefix("https://www.okx.com")
    assert target == "/api/v5/trade/orders-pending?instType=SPOT&instId=BTC-USDT"
    assert header["ok-access-sign"] == signature(
        "22582BD0CFF14C41EDBF1AB98506286D", header["ok-access-timestamp"], "GET", target, ""
    )


@pytest.mark.parametrize(("host", "sent"), [("us.okx.com", 1), ("www.okx.com", 0), ("eea.okx.com", 0)])
async def test_the_part_of_okx_decides_which_orders_may_trade_with_elp_orders(venue: Any, host: str, sent: int) -> None:
    order = limit_order(client_order_id="oktswap6", options={"isElpTakerAccess": "true"})
    venue.state.faults = [answer("trade/order", ack().replace("b15", "oktswap6"))]
    async with account(venue, "okx/samples", host=host) as desk:
        if sent:
            await desk.place_order(order)
        else:
            with pytest.raises(Refused, match=r"IOC only, but with host us\.okx\.com"):
                await desk.place_order(order)
    assert [json.loads(one["body"])["isElpTakerAccess"] for one in requests(venue, "trade/order")] == [True] * sent


async def test_orders_of_margin_modes_are_cross(venue: Any) -> None:
    async with account(venue, "okx/samples", trade_mode="cross") as desk:
        await desk.place_order(limit_order(client_order_id="oktswap6"))
        await desk.pending_orders(None)
    (sent,) = requests(venue, "trade/order")[:1]
    assert json.loads(sent["body"])["tdMode"] == "cross"
    kinds = [entry["url"].rpartition("=")[2] for entry in requests(venue, "orders-pending")]
    assert kinds == ["SPOT", "MARGIN"]


# -- the outcomes of an order


OUTCOMES: dict[str, tuple[dict[str, Any], type[ExGateError], str]] = {
    "no money": (answer("", ack("51008", "Insufficient USDT balance", "")), Refused, "INSUFFICIENT_BALANCE"),
    "a double": (answer("", ack("51016", "Client order ID already exists.", "")), Refused, DUPLICATE),
    "refused on top": (answer("", '{"code":"51000","msg":"Parameter sz error","data":[]}', 400), Refused, ""),
    "a wrong key": (answer("", '{"code":"50111","msg":"Invalid OK-ACCESS-KEY"}', 401), Refused, "EXCHANGE_AUTH_FAILED"),
    "too many": (answer("", '{"code":"50011","msg":"Too Many Requests"}', 429), RateLimited, ""),
    "too many orders": (answer("", ack("50061", "maximum order rate limit", "")), RateLimited, ""),
    "too many, said by a wall": (answer("", "<html>", 429), RateLimited, ""),
    "busy": (answer("", '{"code":"50013","msg":"Systems are busy."}', 429), Unavailable, ""),
    "timed out inside": (answer("", '{"code":"50004","msg":"API endpoint request timeout."}', 400), Unavailable, ""),
    "timed out, said of the order": (answer("", ack("51149", "Order timed out.", "")), Unavailable, ""),
    "unavailable": (answer("", '{"code":"50001","msg":"Service temporarily unavailable"}', 503), Unavailable, ""),
    "a refusal in a 500": (answer("", ack("51008", "Insufficient balance", ""), 500), Unavailable, ""),
    "of another order": (answer("", ack().replace("b15", "c16")), Unavailable, ""),
    "no id": (answer("", ack(order_id="")), Unavailable, ""),
    "no row": (answer("", NONE), Unavailable, ""),
    "two rows": (answer("", rows(*json.loads(ack())["data"] * 2)), Unavailable, ""),
    "html": (answer("", "<html>maintenance</html>"), Unavailable, ""),
    "a wall": (answer("", "<html>", 403), Unavailable, ""),
    "half": ({"match": "", "truncate": 40, "times": -1}, Unavailable, ""),
    "nothing": (answer("", ""), Unavailable, ""),
    "null": (answer("", "null"), Unavailable, ""),
    "failed without a word": (answer("", '{"code":"1","msg":"Operation failed.","data":[]}'), Unavailable, ""),
    "dropped": ({"match": "", "drop": True, "times": -1}, Unavailable, ""),
}


@pytest.mark.parametrize("kind", OUTCOMES)
async def test_what_the_answer_to_an_order_proves(venue: Any, kind: str) -> None:
    fault, error, reason = OUTCOMES[kind]
    async with account(venue, "okx/samples") as desk:
        venue.state.faults = [{**fault, "match": "POST .*trade/order"}]
        with pytest.raises(error) as raised:
            await desk.place_order(limit_order())
    assert type(raised.value) is error
    assert reason in ("", raised.value.reason)
    assert len(requests(venue, "trade/order")) == 1
    assert "22582BD0CFF14C41EDBF1AB98506286D" not in str(raised.value) and "the-pass" not in str(raised.value)


async def test_an_order_that_can_not_be_sent(venue: Any) -> None:
    async with account(venue, "okx/samples") as desk:
        with pytest.raises(Refused, match="Nothing was sent"):
            await desk.place_order(limit_order(options={"slippagePct": "0.01"}))
    assert not requests(venue, "trade/order")


@pytest.mark.parametrize(
    ("stale", "status", "reason"),
    [
        ('{"code":"50102","msg":"Timestamp request expired."}', 401, "CLOCK_SKEW"),
        ('{"code":"50036","msg":"The expTime can\'t be earlier than the current system time."}', 200, "ORDER_EXPIRED"),
        (ack("50037", "Order expired.", ""), 200, "ORDER_EXPIRED"),
    ],
)
async def test_after_a_refused_time_the_clock_is_measured_and_the_order_not_sent_again(
    venue: Any, stale: str, status: int, reason: str
) -> None:
    async with account(venue, "okx/samples") as desk:
        venue.state.faults = [
            answer("POST .*trade/order", stale, status, times=1),
            answer("public/time", rows({"ts": "1700000000000"})),
        ]
        with pytest.raises(Refused) as refused:
            await desk.place_order(limit_order())
        assert refused.value.reason == reason
        assert await desk.place_order(limit_order(client_order_id="oktswap6")) == ORDER_ID
    first, second = requests(venue, "trade/order")
    assert second["headers"]["OK-ACCESS-TIMESTAMP"].startswith("2023-11-14T22:13")
    assert not first["headers"]["OK-ACCESS-TIMESTAMP"].startswith("2023-11-14T22:13")


async def test_a_question_with_a_refused_timestamp_is_asked_again(venue: Any) -> None:
    stale = '{"code":"50102","msg":"Timestamp request expired."}'
    async with account(venue, "okx/samples") as desk:
        venue.state.faults = [
            answer("account/balance", stale, 401, times=1),
            answer("public/time", rows({"ts": "1700000000000"})),
        ]
        assert await desk.balances()
    assert len(requests(venue, "account/balance")) == 2


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ('{"code":"50111","msg":"Invalid OK-ACCESS-KEY","data":[]}', 401, Refused),
        ('{"code":"50011","msg":"Rate limit reached","data":[]}', 200, RateLimited),
        ('{"code":"50001","msg":"Service temporarily unavailable","data":[]}', 503, Unavailable),
        ('{"code":"0","msg":"","data":[{"details":[{"ccy":"BTC"}]}]}', 200, Unavailable),
        ('{"code":"50004","msg":"API endpoint request timeout.","data":[]}', 400, Unavailable),
        ('{"code":"50013","msg":"Systems are busy.","data":[]}', 429, Unavailable),
        ("<html>", 429, RateLimited),
    ],
)
async def test_a_bad_answer_never_becomes_balances(
    venue: Any, body: str, status: int, error: type[ExGateError]
) -> None:
    async with account(venue, "okx/samples") as desk:
        venue.state.faults = [answer("account/balance", body, status)]
        with pytest.raises(error):
            await desk.balances()


async def test_without_a_connection_nothing_was_sent() -> None:
    class Nowhere:
        url = "http://127.0.0.1:9"
        state = type("State", (), {"config": {}, "log": []})()

    async with account(Nowhere()) as desk:
        with pytest.raises(NotSent):
            await desk.place_order(limit_order())


# -- cancels


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("canceled", "canceled"),
        ("mmp_canceled", "canceled"),
        ("filled", "filled"),
        ("live", "pending"),
        ("partially_filled", "pending"),
    ],
)
@pytest.mark.parametrize("code", ["0", "51410"])
async def test_a_cancel_that_okx_took_in_is_looked_at(venue: Any, state: str, status: Any, code: str) -> None:
    async with account(venue) as desk:
        venue.state.faults = [
            answer("cancel-order", ack(code)),
            answer("GET .*trade/order", rows({**FOUND, "state": state})),
        ]
        assert await desk.cancel_order(BTC, ORDER_ID, "") == CancelResult(status=status)


@pytest.mark.parametrize("body", ["<html>", MISSING, NONE])
async def test_a_cancel_that_can_not_be_looked_at_is_pending(venue: Any, body: str) -> None:
    async with account(venue) as desk:
        venue.state.faults = [answer("cancel-order", ack()), answer("GET .*trade/order", body)]
        assert await desk.cancel_order(BTC, "", "b15") == CancelResult(status="pending")
    (sent,) = requests(venue, "cancel-order")
    assert json.loads(sent["body"]) == {"instId": "BTC-USDT", "clOrdId": "b15"}
    assert f"ordId={ORDER_ID}" in requests(venue, "trade/order")[-1]["url"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (ack("51400", "filled, canceled or does not exist", ""), 200, NotFound),
        (ack("51401", "already canceled", ""), 200, NotFound),
        (ack("51402", "already completed", ""), 200, NotFound),
        (ack("51404", "unavailable during the second phase of call auction", ""), 200, Refused),
        (ack("51412", "Cancellation timed out, please try again later.", ""), 200, Unavailable),
        ('{"code":"50102","msg":"Timestamp request expired."}', 401, Refused),
        ('{"code":"50011","msg":"Too Many Requests"}', 429, RateLimited),
        ('{"code":"50026","msg":"System error"}', 500, Unavailable),
        ("<html>", 200, Unavailable),
    ],
)
async def test_what_the_answer_to_a_cancel_proves(venue: Any, body: str, status: int, error: type[ExGateError]) -> None:
    async with account(venue) as desk:
        venue.state.faults = [answer("cancel-order", body, status)]
        with pytest.raises(error) as raised:
            await desk.cancel_order(BTC, ORDER_ID, "")
    assert type(raised.value) is error
    assert len(requests(venue, "cancel-order")) == 1


async def test_a_cancel_without_a_market_finds_it_first(venue: Any) -> None:
    async with account(venue) as desk:
        venue.state.faults = [
            answer("orders-pending", rows(FOUND)),
            answer("cancel-order", ack()),
            answer("GET .*trade/order", rows({**FOUND, "state": "canceled"})),
        ]
        assert await desk.cancel_order(None, ORDER_ID, "") == CancelResult(status="canceled")
        venue.state.faults = [answer("orders", NONE), answer("fills", NONE)]
        with pytest.raises(NotFound):
            await desk.cancel_order(None, ORDER_ID, "")
    assert len(requests(venue, "cancel-order")) == 1


async def test_a_cancel_that_is_answered_about_another_order_proves_nothing(venue: Any) -> None:
    async with account(venue) as desk:
        venue.state.faults = [answer("cancel-order", ack(order_id="1"))]
        with pytest.raises(Unavailable, match="another order"):
            await desk.cancel_order(BTC, ORDER_ID, "")


# -- looking orders up


def many(first: int, count: int) -> str:
    return rows(
        *({**FOUND, "ordId": str(number), "clOrdId": f"c{number}"} for number in range(first, first - count, -1))
    )


async def test_open_orders_are_paged_to_the_end(venue: Any) -> None:
    async with account(venue) as desk:
        venue.state.faults = [
            answer("orders-pending.*after=801", many(800, 37)),
            answer("orders-pending.*after=901", many(900, 100)),
            answer("orders-pending", many(1000, 100)),
        ]
        found = await desk.pending_orders(None)
    assert [order.order_id for order in found] == [str(number) for number in range(1000, 763, -1)]


async def test_a_list_that_never_ends_is_told(venue: Any) -> None:
    async with account(venue) as desk:
        venue.state.faults = [
            answer(f"orders-pending.*after={number * 100 + 1}$", many(number * 100, 100)) for number in range(1, 100)
        ] + [answer("orders-pending", many(10_000, 100))]
        with pytest.raises(Unavailable, match="more than 5000"):
            await desk.pending_orders(None)


PLACES = ["GET .*trade/order\\?", "orders-pending", "orders-history\\?", "orders-history-archive"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("order_id", "client_id"), [(ORDER_ID, ""), ("", "b15")])
async def test_an_order_is_found_wherever_it_is(venue: Any, place: str, order_id: str, client_id: str) -> None:
    async with account(venue) as desk:
        venue.state.faults = [
            answer(place, rows(FOUND)),
            answer(PLACES[0], MISSING),
            answer("orders-pending|orders-history|fills", NONE),
        ]
        (found,) = await desk.find_order(BTC, order_id, client_id)
    assert (found.order_id, found.client_order_id, found.symbol) == (ORDER_ID, "b15", "BTC/USDT")


@pytest.mark.parametrize(("order_id", "client_id"), [(ORDER_ID, ""), ("", "b15")])
async def test_an_order_of_which_only_trades_are_told_is_there(venue: Any, order_id: str, client_id: str) -> None:
    fill = {
        "instId": "BTC-USDT",
        "ordId": ORDER_ID,
        "clOrdId": "b15",
        "side": "sell",
        "fillPx": "2.10",
        "fillSz": "0.50",
        "ts": "1724733617998",
    }
    other = {**fill, "ordId": "1", "clOrdId": "c1"}
    async with account(venue) as desk:
        venue.state.faults = [
            answer(PLACES[0], MISSING),
            answer("orders-pending|orders-history", NONE),
            answer("fills", rows({**fill, "fillSz": "0.25", "ts": "1724733618000"}, fill, other)),
        ]
        (found,) = await desk.find_order(BTC, order_id, client_id)
    assert (found.order_id, found.filled, found.status, found.side, found.time) == (
        ORDER_ID,
        "0.75",
        "partially_filled",
        "sell",
        1724733617998,
    )


async def test_a_look_up_that_is_answered_about_another_order_proves_nothing(venue: Any) -> None:
    async with account(venue) as desk:
        venue.state.faults = [answer(PLACES[0], rows({**FOUND, "clOrdId": "c16", "ordId": "1"}))]
        for names in ((ORDER_ID, ""), ("", "b15")):
            with pytest.raises(Unavailable, match="another order"):
                await desk.find_order(BTC, *names)


async def test_an_order_that_is_nowhere_was_asked_for_everywhere(venue: Any) -> None:
    async with account(venue) as desk:
        venue.state.faults = [
            answer(PLACES[0], MISSING),
            answer("orders-pending|orders-history|fills", rows()),
        ]
        assert await desk.find_order(BTC, "", "b15") == []
        assert await desk.find_order(BTC, ORDER_ID, "") == []
        assert await desk.find_order(BTC, "no-number", "") == []
    asked = [entry["url"].partition("/trade/")[2] for entry in venue.state.log]
    spot, later = "instType=SPOT&instId=BTC-USDT", f"&after={int(ORDER_ID) + 1}&limit=1"
    assert asked == [
        "order?instId=BTC-USDT&clOrdId=b15",
        f"orders-pending?{spot}",
        f"orders-history?{spot}",
        f"orders-history-archive?{spot}",
        f"fills?{spot}",
        f"order?instId=BTC-USDT&ordId={ORDER_ID}",
        f"orders-pending?{spot}",
        f"orders-history?{spot}{later}",
        f"orders-history-archive?{spot}{later}",
        f"fills?{spot}&ordId={ORDER_ID}",
    ]


@pytest.mark.parametrize("place", [*PLACES, "fills"])
async def test_a_place_that_gives_no_answer_is_no_proof(venue: Any, place: str) -> None:
    async with account(venue) as desk:
        venue.state.faults = [
            answer(place, '{"code":"50001","msg":"Service temporarily unavailable"}', 503),
            answer(PLACES[0], MISSING),
            answer("orders-pending|orders-history|fills", NONE),
        ]
        with pytest.raises(Unavailable):
            await desk.find_order(BTC, "", "b15")


async def test_a_place_that_fails_once_is_asked_again_without_the_others(venue: Any) -> None:
    async with account(venue) as desk:
        venue.state.faults = [
            answer(PLACES[0], MISSING),
            answer("orders-history\\?", "<html>", times=1),
            answer("fills", NONE, 503, times=1),
            answer("orders-pending|orders-history|fills", NONE),
        ]
        assert await desk.find_order(BTC, "", "b15") == []
    asked = [entry["url"].partition("/trade/")[2].partition("?")[0] for entry in venue.state.log]
    lists = ["orders-pending", "orders-history", "orders-history", "orders-history-archive"]
    assert asked == ["order", *lists, "fills", "fills"]


@pytest.mark.parametrize(
    ("place", "body", "status"),
    [(PLACES[0], "<html>", 502), ("orders-pending", '{"code":"50011","msg":"Too Many Requests"}', 429)],
)
async def test_what_failed_before_anything_was_learned_or_for_a_limit_is_not_asked_again(
    venue: Any, place: str, body: str, status: int
) -> None:
    async with account(venue) as desk:
        venue.state.faults = [answer(place, body, status), answer(PLACES[0], MISSING)]
        with pytest.raises((Unavailable, RateLimited)):
            await desk.find_order(BTC, "", "b15")
    assert len(requests(venue, "trade/order")) == (1 if place == PLACES[0] else 2)


async def test_an_order_of_a_market_that_is_gone_is_found_in_the_lists(venue: Any) -> None:
    gone = {**FOUND, "instId": "OLD-USDT", "state": "filled"}
    async with account(venue) as desk:
        venue.state.faults = [
            answer(PLACES[0], '{"code":"51001","msg":"Instrument ID doesn\'t exist","data":[]}'),
            answer("orders-history\\?", rows(gone)),
            answer("orders-pending|orders-history|fills", NONE),
        ]
        (found,) = await desk.find_order(BTC, ORDER_ID, "")
    assert (found.symbol, found.native_symbol) == ("OLD/USDT", "OLD-USDT")


# -- limits


async def test_what_an_account_orders_too_fast_keeps_nothing_else(venue: Any) -> None:
    async with transport(venue, "okx/samples") as way:
        context = way.context("okx", credentials=Keys(), exchange=Public())
        async with OkxAccount(context) as desk:
            venue.state.faults = [answer("POST .*trade/order", '{"code":"50011","msg":"Too Many Requests"}', 429)]
            with pytest.raises(RateLimited):
                await desk.place_order(limit_order())
            assert way.budget.paused_for == 0
            assert await desk.balances()
            with pytest.raises(RateLimited, match="Nothing was sent"):
                await desk.place_order(limit_order())
    assert len(requests(venue, "trade/order")) == 1


# -- post-only orders


@pytest.mark.parametrize(
    ("look", "settings", "refused"),
    [
        (rows({**FOUND, "state": "canceled", "cancelSource": "31"}), {}, True),
        (rows({**FOUND, "state": "canceled", "cancelSource": "31"}), {"post_only_check": False}, False),
        (rows({**FOUND, "state": "canceled", "cancelSource": "1"}), {}, False),
        (rows({**FOUND, "state": "live"}), {}, False),
        (rows({**FOUND, "ordId": "1", "state": "canceled", "cancelSource": "31"}), {}, False),
        (MISSING, {}, False),
        ("<html>", {}, False),
    ],
)
async def test_a_post_only_order_that_okx_cancels_at_once_is_refused(
    venue: Any, look: str, settings: dict[str, Any], refused: bool
) -> None:
    async with account(venue, **settings) as desk:
        venue.state.faults = [answer("POST .*trade/order", ack()), answer("GET .*trade/order", look)]
        if refused:
            with pytest.raises(Refused, match="would have traded") as error:
                await desk.place_order(limit_order(post_only=True))
            assert (error.value.reason, error.value.metadata) == ("WOULD_TAKE", {"order_id": ORDER_ID})
        else:
            assert await desk.place_order(limit_order(post_only=True)) == ORDER_ID
        asked = [entry["method"] for entry in requests(venue, "trade/order")]
        assert asked == (["POST"] if settings else ["POST", "GET"])
        assert await desk.place_order(limit_order()) == ORDER_ID
        assert len(requests(venue, "trade/order")) == len(asked) + 1
