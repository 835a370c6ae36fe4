"""Orders and cancels against the fake of the exchange: what leaves, and what the answers prove."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("exgate_testing")

from binance_stage import BTC, ETH, ODD, order, said, sent, stage
from exgate_testing.fakes import Reply
from exgate_testing.faults import AnswerKind, WireFault

from exgate_core.errors import (
    DUPLICATE,
    DeadlineExceeded,
    ExGateError,
    NotFound,
    NotSent,
    RateLimited,
    Refused,
    Unavailable,
)
from exgate_core.models import Balance, CancelResult, CancelStatus, Market, Order

pytestmark = pytest.mark.anyio


# -- the way of an order


async def test_an_order_from_placing_to_its_end() -> None:
    async with stage() as (account, _, exchange, budget, _):
        used = budget.used
        order_id = await account.place_order(order())
        assert sent(exchange) == ["POST /order"] and budget.used == used + 1
        expected = Order(
            order_id=order_id,
            symbol="BTC/USDT",
            side="buy",
            type="limit",
            price="100.00000000",
            amount="0.10000000",
            status="open",
            filled="0.00000000",
            remaining="0.10000000",
            client_order_id="mine-1",
            native_symbol="BTCUSDT",
        )
        (found,) = await account.find_order(BTC, order_id, "")
        assert found.time > 0
        assert replace_time(found) == expected
        assert await account.find_order(BTC, "", "mine-1") == [found]
        assert await account.pending_orders(None) == await account.pending_orders(BTC) == [found]
        assert await account.pending_orders(ETH) == []
        assert await account.cancel_order(BTC, "", "mine-1") == CancelResult(status="canceled")
        assert await account.cancel_order(BTC, order_id, "") == CancelResult(status="already_canceled")
        assert [row.status for row in await account.find_order(BTC, "", "mine-1")] == ["canceled"]


def replace_time(found: Order) -> Order:
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return Order(**{**fields, "time": 0})


async def test_every_kind_of_order_arrives_as_it_was_meant() -> None:
    kinds: list[dict[str, Any]] = [
        {"time_in_force": "IOC"},
        {"time_in_force": "FOK", "side": "sell"},
        {"post_only": True, "price": "0.01000000", "amount": "1000.00000000"},
        {"stop_price": "90.00000000", "side": "sell"},
        {"stop_price": "90.00000000", "options": {"trigger": "take_profit", "trailingDelta": "150"}},
        {"type": "market", "price": "", "stop_price": "90.00000000", "side": "sell"},
        {"options": {"icebergQty": "0.05000000", "strategyId": "7", "strategyType": "1000000"}},
        {"options": {"selfTradePreventionMode": "EXPIRE_MAKER"}},
        {"options": {"pegPriceType": "PRIMARY_PEG", "pegOffsetValue": "2"}},
        {"market": ODD, "price": "1.00000000", "amount": "10.00000000"},
    ]
    async with stage() as (account, _, exchange, _, _):
        for number, changes in enumerate(kinds):
            wanted = order(client_order_id=f"n{number}", **changes)
            order_id = await account.place_order(wanted)
            arrived, became = exchange.simulation.accepted[-1]
            assert arrived == wanted, changes
            assert became.order_id == order_id


async def test_balances() -> None:
    async with stage() as (account, _, _, budget, _):
        used = budget.used
        rows = await account.balances()
        assert budget.used == used + 20
    assert rows[0] == Balance(asset="BTC", available="98765432109.12345678", frozen="0.00000000")
    assert {row.asset for row in rows} == {"BTC", "USDT", "ETH", "PEPE", "币安人生"}


@pytest.mark.parametrize(("market", "weight"), [(BTC, 6), (None, 80)])
async def test_open_orders_of_one_market_cost_less(market: Any, weight: int) -> None:
    async with stage() as (account, _, _, budget, _):
        used = budget.used
        await account.pending_orders(market)
        assert budget.used == used + weight


# -- what an answer proves

REFUSALS = [
    (said(-2010, "Account has insufficient balance for requested action."), "INSUFFICIENT_BALANCE"),
    (said(-2010, "Order would immediately match and take."), "WOULD_TAKE"),
    (said(-2010, "Duplicate order sent."), DUPLICATE),
    (said(-1010, "Duplicate order sent."), DUPLICATE),
    (said(-2010, "Something new"), "EXCHANGE_REFUSED"),
    (said(-1013, "Filter failure: PRICE_FILTER"), "BAD_PRICE"),
    (said(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"), "BAD_PRICE"),
    (said(-1013, "Filter failure: LOT_SIZE"), "BAD_AMOUNT"),
    (said(-1013, "Filter failure: NOTIONAL"), "MIN_NOTIONAL"),
    (said(-1121, "Invalid symbol."), "UNKNOWN_SYMBOL"),
    (said(-1111, "Parameter 'price' has too much precision."), "BAD_PRECISION"),
    (said(-1100, "Illegal characters found"), "EXCHANGE_REFUSED"),
    (said(-1225, "Pending orders"), "EXCHANGE_REFUSED"),
    (said(-2014, "API-key format invalid.", 401), "EXCHANGE_AUTH_FAILED"),
    (said(-2015, "Invalid API-key, IP, or permissions for action.", 401), "EXCHANGE_AUTH_FAILED"),
    (said(-1022, "Signature for this request is not valid."), "EXCHANGE_AUTH_FAILED"),
    (said(-1021, "Timestamp for this request is outside of the recvWindow."), "CLOCK_SKEW"),
]


@pytest.mark.parametrize(("reply", "reason"), REFUSALS)
async def test_refusals_are_told_with_their_reason(reply: Reply, reason: str) -> None:
    async with stage(("POST /api/v3/order", reply)) as (account, _, exchange, _, _):
        with pytest.raises(Refused) as caught:
            await account.place_order(order())
        assert sent(exchange).count("POST /order") == 1
    assert (type(caught.value), caught.value.reason) == (Refused, reason)
    code, text = str(caught.value).split(" ", 1)
    assert caught.value.metadata == {"exchange_code": code} and text in reply.body.decode()


PROVES_NOTHING = [
    said(-1000, "An unknown error occurred while processing the request."),
    said(-1001, "Internal error; unable to process your request. Please try again."),
    said(-1006, "An unexpected response was received from the message bus. Execution status unknown."),
    said(-1007, "Timeout waiting for response from backend server. Send status unknown"),
    said(-1008, "Server is currently overloaded with other requests."),
    said(-1016, "This service is no longer available."),
    said(-9999, "A code of next year"),
    said(-1003, "Too many requests queued."),
    said(-1015, "Too many new orders."),
    said(-1226, "A code of next year"),
    said(-1099, "A code of next year"),
    said(-2010, "Account has insufficient balance for requested action.", 500),
    said(-2010, "Account has insufficient balance for requested action.", 503),
    said(-2010, "Duplicate order sent.", 500),
    said(-2010, "Account has insufficient balance for requested action.", 403),
    said(-2010, "Account has insufficient balance for requested action.", 408),
    said(-2010, "Account has insufficient balance for requested action.", 409),
    said(-2010, "Account has insufficient balance for requested action.", 200),
    said(0, "Service unavailable from a restricted location", 451),
    Reply(b"<html>WAF</html>", 403),
    Reply(b"<html>bad request</html>", 400),
    Reply(b'{"code":"-2010","msg":"text, not a number"}', 400),
    Reply(b"", 400),
    Reply(b"[]", 200),
    Reply(b"{}", 200),
    Reply(b'{"symbol":"BTCUSDT","orderId":null,"clientOrderId":"mine-1"}', 200),
    Reply(b'{"symbol":"BTCUSDT","orderId":0,"clientOrderId":"mine-1"}', 200),
    Reply(b'{"symbol":"BTCUSDT","orderId":5,"clientOrderId":"other"}', 200),
    Reply(b'{"symbol":"ETHUSDT","orderId":5,"clientOrderId":"mine-1"}', 200),
    Reply(b"", 302, {"Location": "https://api.binance.com/elsewhere"}),
]


@pytest.mark.parametrize("reply", PROVES_NOTHING)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_everything_else_proves_nothing(reply: Reply, method: str) -> None:
    async with stage((f"{method} /api/v3/order", reply)) as (account, _, exchange, _, _):
        with pytest.raises(Unavailable) as caught:
            if method == "POST":
                await account.place_order(order())
            else:
                await account.cancel_order(BTC, "6", "")
        assert sent(exchange) == [f"{method} /order"]
    assert type(caught.value) is Unavailable


@pytest.mark.parametrize(
    ("reply", "wait"),
    [
        (said(-1003, "Too much request weight used", 429, **{"Retry-After": "7"}), 7.0),
        (said(-1003, "Way too much request weight used; IP banned", 418, **{"Retry-After": "180"}), 180.0),
        (said(-1003, "Way too much request weight used; IP banned", 418), 120.0),
        (said(-1015, "Too many new orders; current limit is 50 orders per TEN_SECONDS.", 429), 10.0),
        (Reply(b"<html>", 429, {"Retry-After": "3"}), 3.0),
    ],
)
async def test_too_many_requests(reply: Reply, wait: float) -> None:
    async with stage(("POST /api/v3/order", reply)) as (account, _, exchange, _, _):
        with pytest.raises(RateLimited) as caught:
            await account.place_order(order())
        assert caught.value.retry_after == wait
        for _ in range(2):
            with pytest.raises(RateLimited):
                await account.place_order(order(client_order_id="mine-2"))
        assert sent(exchange) == ["POST /order"]


@pytest.mark.parametrize("kind", ["drop", "hang", "html", "truncated", "empty", "null", "blank", "cut", "redirect"])
@pytest.mark.parametrize("operation", ["place_order", "cancel_order"])
async def test_nothing_is_sent_twice(kind: AnswerKind, operation: str) -> None:
    async with stage(deadline=0.5) as (account, _, exchange, _, _):
        order_id = await account.place_order(order()) if operation == "cancel_order" else ""
        exchange.requests.clear()
        exchange.faults.add(WireFault(operation=operation, kind=kind, when="after"))
        with pytest.raises(ExGateError) as caught:
            await (account.cancel_order(BTC, order_id, "") if order_id else account.place_order(order()))
        assert type(caught.value) in (Unavailable, DeadlineExceeded)
        assert len(exchange.requests) == 1 and not exchange.followed


async def test_no_connection_means_not_sent() -> None:
    async with stage(prefix=lambda _: "http://127.0.0.1:9/") as (account, *_):
        for call in (account.place_order(order()), account.cancel_order(BTC, "5", ""), account.balances()):
            with pytest.raises(NotSent):
                await call


async def test_too_many_orders_stop_orders_and_nothing_else() -> None:
    reply = said(-1015, "Too many new orders; current limit is 200000 orders per DAY.", 429, **{"Retry-After": "3600"})
    async with stage(("POST /", reply)) as (account, _, exchange, budget, clock):
        for _ in range(2):
            with pytest.raises(RateLimited) as caught:
                await account.place_order(order())
            assert 3590 < (caught.value.retry_after or 0) <= 3600
        assert sent(exchange) == ["POST /order"] and budget.paused_for == 0
        assert await account.balances()
        clock.mono += 3600
        exchange.simulation.skew += 3600
        assert await account.place_order(order())


# -- cancels


async def test_a_filled_order_is_not_cancelled() -> None:
    async with stage() as (account, _, exchange, _, _):
        maker = exchange.simulation.engine
        maker.deposit("other", {"BTC": "5"})
        order_id = await account.place_order(order())
        sale = order(side="sell", client_order_id="theirs")
        maker.place("other", sale)
        exchange.requests.clear()
        for name in ((order_id, ""), ("", "mine-1")):
            assert await account.cancel_order(BTC, *name) == CancelResult(status="filled")
        assert sent(exchange) == ["DELETE /order", "GET /order"] * 2


@pytest.mark.parametrize("name", [("77", ""), ("", "nobody"), ("abc", ""), ("0", ""), ("1" + "0" * 19, ""), ("٣", "")])
async def test_there_is_no_such_order(name: tuple[str, str]) -> None:
    async with stage() as (account, _, exchange, _, _):
        with pytest.raises(NotFound):
            await account.cancel_order(BTC, *name)
        assert await account.find_order(BTC, *name) == []
        assert len([seen for seen in exchange.requests if seen.request.method != "GET"]) == (name[0] in ("77", ""))


CANCELED = b'{"symbol":"BTCUSDT","orderId":6,"origClientOrderId":"mine-1","clientOrderId":"c","status":"%s"}'


@pytest.mark.parametrize(
    ("status", "means"),
    [(b"CANCELED", "canceled"), (b"FILLED", "filled"), (b"EXPIRED", "canceled"), (b"PENDING_CANCEL", "pending")],
)
async def test_what_a_cancel_did(status: bytes, means: CancelStatus) -> None:
    for name in (("6", ""), ("", "mine-1")):
        async with stage(("DELETE /", Reply(CANCELED % status))) as (account, _, _, _, _):
            assert await account.cancel_order(BTC, *name) == CancelResult(status=means)


@pytest.mark.parametrize(("market", "name"), [(BTC, ("5", "")), (BTC, ("", "other")), (ETH, ("6", ""))])
async def test_the_cancel_of_another_order_is_no_answer(market: Market, name: tuple[str, str]) -> None:
    async with stage(("DELETE /", Reply(CANCELED % b"CANCELED"))) as (account, _, _, _, _):
        with pytest.raises(Unavailable):
            await account.cancel_order(market, *name)


async def test_an_order_that_is_open_and_not_to_be_found_is_no_answer() -> None:
    async with stage(("DELETE /", said(-2011, "Unknown order sent."))) as (account, _, _, _, _):
        order_id = await account.place_order(order())
        with pytest.raises(Unavailable):
            await account.cancel_order(BTC, order_id, "")


@pytest.mark.parametrize("broken", [Reply(b"<html>", 502), said(-1003, "Too many", 429), Reply(b"{}")])
async def test_what_goes_wrong_after_a_cancel_has_left_is_not_told_as_never_sent(broken: Reply) -> None:
    script = [("DELETE /", said(-2011, "Unknown order sent.")), ("GET /api/v3/order?", broken)]
    async with stage(*script) as (account, _, exchange, _, _):
        with pytest.raises(NotFound):
            await account.cancel_order(BTC, "5", "")
        assert sent(exchange) == ["DELETE /order", "GET /order"]


async def test_a_cancel_can_be_refused() -> None:
    async with stage(("DELETE /", said(-2011, "This account may not place or cancel orders."))) as (account, *_):
        with pytest.raises(Refused):
            await account.cancel_order(BTC, "5", "")


async def test_orders_are_named_with_their_market() -> None:
    async with stage() as (account, _, exchange, _, _):
        for call in (account.cancel_order(None, "5", ""), account.find_order(None, "5", "")):
            with pytest.raises(Refused, match="symbol"):
                await call
        assert not exchange.requests
