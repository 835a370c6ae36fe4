"""Questions against the fake of the exchange: keys, clocks, counts, and looking orders up everywhere."""

from __future__ import annotations

import msgspec
import pytest

pytest.importorskip("exgate_testing")

from binance_stage import BTC, COUNT, KEYS, order, said, sent, stage
from exgate_binance import BinanceSettings
from exgate_binance.hosts import host_of
from exgate_testing.fakes import Reply
from exgate_testing.faults import WireFault

from exgate_core.errors import (
    ExGateError,
    FailedPrecondition,
    NotSent,
    RateLimited,
    Refused,
    Unavailable,
)

pytestmark = pytest.mark.anyio


# -- key and secret


@pytest.mark.parametrize(("key", "secret"), [("A" * 64, KEYS.api_secret), (KEYS.api_key, "wrong")])
async def test_wrong_credentials_are_refused(key: str, secret: str) -> None:
    async with stage(key=key, secret=secret) as (account, _, exchange, _, _):
        for call in (account.balances, lambda: account.place_order(order())):
            with pytest.raises(Refused) as caught:
                await call()
            assert caught.value.reason == "EXCHANGE_AUTH_FAILED"
            assert secret not in str(caught.value) and key not in str(caught.value)
        assert not exchange.simulation.accepted


@pytest.mark.parametrize("key", ["a\r\nX-Other: 1", "schlüssel", "a b", "-"])
async def test_a_key_that_cant_be_one_opens_nothing(key: str) -> None:
    if key == "-":
        async with stage(key=key) as (account, *_):
            with pytest.raises(Refused):
                await account.balances()
        return
    with pytest.raises(FailedPrecondition) as caught:
        async with stage(key=key):
            pass
    assert key not in str(caught.value)


# -- time


async def test_timestamps_are_the_exchanges_whatever_the_clock_here_says() -> None:
    async with stage() as (account, _, exchange, _, clock):
        clock.wall += 3600
        await account.place_order(order())
        exchange.simulation.skew = -7200.0  # now every timestamp is far ahead
        with pytest.raises(Refused) as caught:
            await account.place_order(order(client_order_id="mine-2"))
        assert caught.value.reason == "CLOCK_SKEW"
        await account.place_order(order(client_order_id="mine-3"))
        assert sent(exchange) == ["POST /order"] * 2 + ["GET /time", "POST /order"]


@pytest.mark.parametrize("skew", [-60.0, 60.0])
async def test_a_question_puts_the_clock_right_by_itself(skew: float) -> None:
    async with stage() as (account, _, exchange, _, _):
        exchange.simulation.skew = skew
        assert await account.balances()
        assert sent(exchange) == ["GET /account", "GET /time", "GET /account"]


async def test_a_clock_that_stays_wrong_is_said() -> None:
    wrong = [("GET /api/v3/account", said(-1021, "Timestamp for this request is outside of the recvWindow."))] * 2
    async with stage(*wrong) as (account, _, exchange, _, _):
        with pytest.raises(Refused) as caught:
            await account.balances()
        assert caught.value.reason == "CLOCK_SKEW"
        assert len(exchange.requests) == 3


async def test_clocks_are_compared_every_half_an_hour() -> None:
    async with stage() as (account, _, exchange, _, clock):
        await account.balances()
        clock.mono += 1799
        exchange.simulation.skew += 1799
        await account.balances()
        clock.mono += 2
        exchange.simulation.skew += 2
        await account.balances()
        assert sent(exchange) == ["GET /account"] * 2 + ["GET /time", "GET /account"]
        exchange.faults.add(WireFault(operation="", kind="error_503", times=0))
        clock.mono += 1801
        exchange.simulation.skew += 1801
        await account.balances()  # with what is known
        exchange.requests.clear()
        await account.balances()
        assert sent(exchange) == ["GET /account"]  # the next try comes later
        clock.mono += 61
        exchange.simulation.skew += 61
        await account.balances()
        assert sent(exchange) == ["GET /account", "GET /time", "GET /account"]


async def test_without_the_exchanges_time_nothing_is_sent() -> None:
    down = [("GET /api/v3/time", Reply(b"<html>", 503))] * 2
    limited = ("GET /api/v3/time", said(-1003, "Too many", 429))
    async with stage(*down, limited) as (account, _, exchange, _, _):
        with pytest.raises(NotSent):
            await account.place_order(order())
        with pytest.raises(RateLimited):
            await account.place_order(order())
        assert sent(exchange) == ["GET /time"] * 2


@pytest.mark.parametrize("window", [100, 5000])
async def test_the_window_is_a_setting(window: int) -> None:
    async with stage(recv_window=window) as (account, _, exchange, _, _):
        await account.balances()
        assert exchange.requests[-1].request.fields()["recvWindow"] == str(window)


@pytest.mark.parametrize("window", [5001, 60_000, 99])
def test_a_window_that_is_too_wide_is_refused(window: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"recv_window": window}, BinanceSettings)


# -- counts of orders


def counted(count: str, **headers: str) -> tuple[str, Reply]:
    body = b'{"symbol":"BTCUSDT","orderId":5,"clientOrderId":"mine-1"}'
    return "POST /api/v3/order", Reply(body, 200, {COUNT: count, **headers})


async def test_the_exchanges_count_of_orders_is_held_to() -> None:
    async with stage(counted("10000"), counted("x")) as (account, _, exchange, _, clock):
        await account.place_order(order())
        with pytest.raises(RateLimited) as caught:
            await account.place_order(order())
        assert caught.value.reason == "TOO_MANY_ORDERS"
        assert 0 < (caught.value.retry_after or 0) <= 10
        assert len(exchange.requests) == 1
        clock.mono += 10
        exchange.simulation.skew += 10
        assert await account.place_order(order()) == "5"


# -- look-ups


def row(order_id: int, name: str, status: str = "FILLED", symbol: str = "BTCUSDT") -> str:
    return (
        f'{{"symbol":"{symbol}","orderId":{order_id},"clientOrderId":"{name}","price":"1.0","origQty":"2.0",'
        f'"executedQty":"0.5","status":"{status}","type":"LIMIT","side":"SELL","time":1499827319559}}'
    )


def rows(*found: str) -> Reply:
    return Reply(f"[{','.join(found)}]".encode())


GONE = said(-2013, "Order does not exist.")
NONE = rows()


async def test_a_used_name_finds_every_order_that_bore_it() -> None:
    script = [
        ("GET /api/v3/order?", Reply(row(3, "n").encode())),
        ("/allOrders", rows(row(3, "n"), row(4, "other"), row(7, "n"))),
        ("/openOrders", rows(row(9, "n", "NEW"), row(8, "other", "NEW"))),
    ]
    async with stage(*script) as (account, _, exchange, budget, _):
        used = budget.used
        found = await account.find_order(BTC, "", "n")
        assert budget.used == used + 4 + 20 + 6
        states = {order.order_id: order.status for order in found}
        assert states == {"9": "open", "7": "filled", "3": "filled"} and len(found) == 3
        assert sent(exchange) == ["GET /order", "GET /allOrders", "GET /openOrders"]
        assert exchange.requests[1].request.fields()["limit"] == "1000"


@pytest.mark.parametrize("status", ["NEW", "PARTIALLY_FILLED", "PENDING_NEW", "SOMETHING_NEW"])
async def test_an_open_order_ends_the_search(status: str) -> None:
    async with stage(("GET /api/v3/order?", Reply(row(3, "n", status).encode()))) as (account, _, exchange, _, _):
        assert len(await account.find_order(BTC, "", "n")) == 1
        assert len(exchange.requests) == 1


async def test_an_order_that_only_its_trades_show_is_found() -> None:
    trades = rows('{"orderId":5}', '{"orderId":8}', '{"orderId":9}', '{"orderId":9}')
    script = [
        ("GET /api/v3/order?", GONE),
        ("/allOrders", rows(row(5, "other"))),
        ("/openOrders", NONE),
        ("/myTrades", trades),
        ("orderId=9", Reply(row(9, "n").encode())),
        ("orderId=8", Reply(row(8, "other").encode())),
    ]
    async with stage(*script) as (account, _, exchange, budget, _):
        used = budget.used
        assert [order.order_id for order in await account.find_order(BTC, "", "n")] == ["9"]
        assert budget.used == used + 4 + 20 + 6 + 20 + 2 * 4
        assert len(exchange.requests) == 6


@pytest.mark.parametrize("late", [1, 11])
async def test_trades_of_unknown_orders_prove_nothing(late: int) -> None:
    trades = rows(*(f'{{"orderId":{number}}}' for number in range(20, 20 + late)))
    known = [(f"orderId={number}", Reply(row(number, "x").encode())) for number in range(20, 20 + late) if late > 1]
    script = [("origClientOrderId", GONE), ("/allOrders", NONE), ("/openOrders", NONE), ("/myTrades", trades), *known]
    async with stage(*script) as (account, _, _, _, _):
        with pytest.raises(Unavailable):
            await account.find_order(BTC, "", "n")


@pytest.mark.parametrize("place", ["/allOrders", "/openOrders"])
async def test_an_id_is_looked_for_in_every_list(place: str) -> None:
    script = [("GET /api/v3/order?", GONE), (place, rows(row(6, "m"), row(5, "n")))]
    async with stage(*script) as (account, _, _, _, _):
        assert [order.order_id for order in await account.find_order(BTC, "5", "")] == ["5"]


async def test_an_id_that_only_trades_show_is_undecided() -> None:
    script = [("GET /api/v3/order?", GONE), ("/myTrades", rows('{"orderId":5}'))]
    async with stage(*script) as (account, _, _, budget, _):
        used = budget.used
        with pytest.raises(Unavailable, match="trades"):
            await account.find_order(BTC, "5", "")
        assert budget.used == used + 4 + 20 + 6 + 5


@pytest.mark.parametrize("place", ["/order?", "/allOrders", "/openOrders", "/myTrades"])
async def test_a_place_that_gives_no_answer_proves_nothing(place: str) -> None:
    async with stage((place, Reply(b"<html>", 502))) as (account, _, _, _, _):
        with pytest.raises(Unavailable):
            await account.find_order(BTC, "", "n")
    async with stage((place, Reply(b"<html>", 502))) as (account, _, _, _, _):
        with pytest.raises(Unavailable):
            await account.find_order(BTC, "5", "")


@pytest.mark.parametrize("wrong", [row(6, "n"), row(5, "n", symbol="ETHBTC")])
async def test_another_order_than_asked_for_is_no_answer(wrong: str) -> None:
    async with stage(("GET /api/v3/order?", Reply(wrong.encode()))) as (account, _, _, _, _):
        with pytest.raises(Unavailable):
            await account.find_order(BTC, "5", "")


async def test_orders_archived_long_ago_are_not_there() -> None:
    gone = said(-2026, "Order was canceled or expired with no executed qty over 90 days ago and has been archived.")
    async with stage(("GET /api/v3/order?", gone)) as (account, _, _, _, _):
        assert await account.find_order(BTC, "5", "") == []


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (said(-2015, "Invalid API-key", 401), Refused, "EXCHANGE_AUTH_FAILED"),
        (said(-1102, "Mandatory parameter"), Refused, "EXCHANGE_REFUSED"),
        (said(-1003, "Too many", 429), RateLimited, "RATE_LIMITED"),
        (said(-1001, "Internal error", 500), Unavailable, "EXCHANGE_UNAVAILABLE"),
        (said(-2015, "Invalid API-key", 403), Unavailable, "EXCHANGE_UNAVAILABLE"),
        (Reply(b'{"balances":[{"asset":"BTC","free":1.5,"locked":"0"}]}'), Unavailable, "BAD_ANSWER"),
        (Reply(b"<html>"), Unavailable, "BAD_ANSWER"),
    ],
)
async def test_what_goes_wrong_with_a_question(reply: Reply, kind: type[ExGateError], reason: str) -> None:
    async with stage(("GET /api/v3/account", reply)) as (account, _, _, _, _):
        with pytest.raises(kind) as caught:
            await account.balances()
    assert (type(caught.value), caught.value.reason) == (kind, reason)


# -- the test network


@pytest.mark.parametrize(("name", "ok"), [("binance", True), ("binanceus", False)])
def test_the_sandbox(name: str, ok: bool) -> None:
    if not ok:
        with pytest.raises(FailedPrecondition, match="sandbox"):
            host_of(name, sandbox=True)
        return
    host = host_of(name, sandbox=True)
    assert (host.rest, host.stream) == ("https://testnet.binance.vision", "wss://stream.testnet.binance.vision/stream")
    assert host_of(name, sandbox=False).rest == "https://api.binance.com"


async def test_the_sandbox_is_asked_instead_of_the_exchange() -> None:
    async with stage(sandbox=True) as (account, _, exchange, _, _):
        await account.place_order(order())
        assert {seen.request.host for seen in exchange.requests} == {"testnet.binance.vision"}
