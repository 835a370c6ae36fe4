"""The private side over the fake of the exchange: outcomes, nonces, counters, statuses."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from exgate_kraken import KrakenAccount, KrakenSettings, failures
from exgate_kraken.limits import TRANSACTIONS
from exgate_testing.fakes import Reply
from exgate_testing.faults import WireFault
from kraken_stage import BTC, DOGE, ETH, KEYS, Public, Stage, order, said, sent, stage

from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import (
    DUPLICATE,
    ExGateError,
    FailedPrecondition,
    NotFound,
    NotSent,
    RateLimited,
    Refused,
    Unavailable,
)
from exgate_core.settings import Credentials, Secret

pytestmark = pytest.mark.anyio

# -- orders


async def test_an_order_is_placed_found_and_cancelled() -> None:
    async with stage() as here:
        order_id = await here.account.place_order(order())
        understood, placed = here.exchange.simulation.accepted[0]
        assert (understood.price, understood.amount, understood.side) == ("100.0", "0.1", "buy")
        assert placed.client_order_id == "mine-1"
        for names in ((order_id, ""), ("", "mine-1")):
            (found,) = await here.account.find_order(BTC, *names)
            assert (found.order_id, found.symbol, found.status) == (order_id, "BTC/USDT", "open")
            assert (found.client_order_id, found.native_symbol) == ("mine-1", "XBTUSDT")
        assert (await here.account.cancel_order(BTC, order_id, "")).status == "canceled"
        (found,) = await here.account.find_order(None, "", "mine-1")
        assert found.status == "canceled"
        assert sent(here.exchange) == [
            "AddOrder", "QueryOrders", "OpenOrders", "CancelOrder", "OpenOrders", "ClosedOrders",
        ]  # fmt: skip


async def test_open_orders_of_one_market_and_of_all() -> None:
    async with stage() as here:
        await here.account.place_order(order())
        await here.account.place_order(order(market=DOGE, price="0.01", amount="100", client_order_id="mine-2"))
        everything = await here.account.pending_orders(None)
        assert sorted((one.symbol, one.native_symbol) for one in everything) == [
            ("BTC/USDT", "XBTUSDT"),
            ("DOGE/USD", "XDGUSD"),
        ]
        assert [one.client_order_id for one in await here.account.pending_orders(DOGE)] == ["mine-2"]
        assert await here.account.pending_orders(ETH) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"displayvol": "0.01"}},
        {"options": {"expiretm": "1900000000", "stptype": "cancel-oldest", "fee": "fcib"}},
        {"stop_price": "90.0", "options": {"stop_kind": "take-profit", "trigger": "index"}},
        {"type": "market", "price": "", "side": "sell", "options": {"trailing_offset": "1.5%"}},
        {"time_in_force": "GTC", "post_only": True},
    ],
)
async def test_every_option_is_taken_as_it_was_meant(changes: dict[str, Any]) -> None:
    async with stage() as here:
        order_id = await here.account.place_order(order(**changes))
        understood, _ = here.exchange.simulation.accepted[0]
        assert understood.options == changes.get("options", {})
        assert understood.post_only == changes.get("post_only", False)
        if "stop_price" in changes:
            assert understood.stop_price == changes["stop_price"]
        (found,) = await here.account.find_order(BTC, order_id, "")
        assert found.status == "open"


@pytest.mark.parametrize(
    "answer",
    [
        Reply(b"<html>520: Web server is returning an unknown error</html>", 520, {"Content-Type": "text/html"}),
        Reply(b"<html>Attention Required! | Cloudflare</html>", 403, {"Content-Type": "text/html"}),
        Reply(b"<html>ok</html>", 200, {"Content-Type": "text/html"}),
        Reply(b'{"error":["EOrder:Insufficient funds"]}', 502),
        Reply(b""),
        Reply(b"null"),
        Reply(b"{}"),
        said(),
        said(result='{"txid":[],"descr":{}}'),
        said(result='{"txid":[""]}'),
        said(result='{"txid":["12345"]}'),
        said("EService:Unavailable"),
        said("EService:Busy"),
        said("EService:Timeout"),
        said("EService:Deadline elapsed"),
        said("EGeneral:Internal error"),
        said("EOrder:Insufficient funds", "EService:Unavailable"),
        said(result='{"txid":["OQCLML-BW3P3-BUCMWZ"],"descr":{"order":"sell 0.1 XBTUSDT @ limit 100.0"}}'),
        said(result='{"txid":["OQCLML-BW3P3-BUCMWZ"],"descr":{"order":"buy 0.1 ETHUSDT @ limit 100.0"}}'),
        said(result='{"txid":["OQCLML-BW3P3-BUCMWZ"],"descr":{"order":"buy 0.2 XBTUSDT @ limit 100.0"}}'),
        said(result='{"txid":["OQCLML-BW3P3-BUCMWZ"],"descr":{"order":"buy 0.1 XBTUSDT @ limit 100.1"}}'),
        said(result='{"txid":["OQCLML-BW3P3-BUCMWZ"],"descr":{"order":"buy some XBTUSDT @ limit 100.0"}}'),
    ],
)
async def test_an_answer_that_proves_nothing_leaves_the_outcome_open(answer: Reply) -> None:
    async with stage(("AddOrder", answer)) as here:
        with pytest.raises(ExGateError) as caught:
            await here.account.place_order(order())
        assert not isinstance(caught.value, Refused | NotFound | RateLimited | NotSent)
        assert sent(here.exchange).count("AddOrder") == 1


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (said("EOrder:Insufficient funds", result="{}"), Refused, "INSUFFICIENT_BALANCE"),
        (said("EAPI:Invalid nonce"), Refused, failures.INVALID_NONCE),
        (said("EAPI:Invalid key", result="{}"), Refused, "BAD_CREDENTIALS"),
        (said("EOrder:Rate limit exceeded"), RateLimited, "RATE_LIMITED"),
        (said("EAPI:Rate limit exceeded"), RateLimited, "RATE_LIMITED"),
        (Reply(b"error code: 1015", 429, {"Retry-After": "3"}), RateLimited, "RATE_LIMITED"),
    ],
)
async def test_an_answer_that_proves_that_there_is_no_order(
    answer: Reply, kind: type[ExGateError], reason: str
) -> None:
    async with stage(("AddOrder", answer)) as here:
        with pytest.raises(kind) as caught:
            await here.account.place_order(order())
        assert caught.value.reason == reason
        assert sent(here.exchange) == ["AddOrder"]


async def test_an_order_that_came_to_be_in_spite_of_an_error_is_an_order() -> None:
    odd = said("EOrder:Reduce only:Position is closed", result='{"txid":["OQCLML-BW3P3-BUCMWZ"]}')
    async with stage(("AddOrder", odd)) as here:
        assert await here.account.place_order(order()) == "OQCLML-BW3P3-BUCMWZ"


async def test_the_answer_to_an_earlier_order_is_not_believed() -> None:
    async with stage() as here:
        first = await here.account.place_order(order())
        here.exchange.faults.add(WireFault(operation="place_order", kind="stale", when="after"))
        with pytest.raises(Unavailable, match=first):
            await here.account.place_order(order(client_order_id="mine-2"))
        (found,) = await here.account.find_order(BTC, "", "mine-2")
        assert found.order_id != first


async def test_a_client_order_id_that_is_in_use_is_told_as_a_double() -> None:
    async with stage() as here:
        await here.account.place_order(order())
        with pytest.raises(Refused) as caught:
            await here.account.place_order(order(price="99.0"))
        assert caught.value.reason == DUPLICATE


# -- cancels


async def test_what_became_of_an_order_that_is_not_open() -> None:
    async with stage() as here:
        canceled = await here.account.place_order(order())
        await here.account.cancel_order(BTC, canceled, "")
        assert (await here.account.cancel_order(BTC, canceled, "")).status == "already_canceled"
        with pytest.raises(NotFound):
            await here.account.cancel_order(BTC, canceled[:-2] + "00", "")
        with pytest.raises(NotFound):
            await here.account.cancel_order(BTC, "", "nobodys")


@pytest.mark.parametrize("order_id", ["12345", "0", "-7", "O-1", "OQCLML-BW3P3-BUCMWZ,OTHER1-BW3P3-BUCMWZ"])
async def test_a_number_is_never_sent_as_an_order_id(order_id: str) -> None:
    """Kraken would take it for a user reference and cancel every order that has it."""
    async with stage() as here:
        with pytest.raises(NotFound):
            await here.account.cancel_order(BTC, order_id, "")
        assert await here.account.find_order(BTC, order_id, "") == []
        assert sent(here.exchange) == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [(said(result='{"count":1}'), "canceled"), (said(result='{"count":1,"pending":true}'), "pending")],
)
async def test_a_cancel_that_takes_its_time_is_pending(answer: Reply, status: str) -> None:
    async with stage(("CancelOrder", answer)) as here:
        assert (await here.account.cancel_order(None, "OQCLML-BW3P3-BUCMWZ", "")).status == status


async def test_a_cancel_of_nothing_is_looked_after() -> None:
    async with stage(("CancelOrder", said(result='{"count":0}'))) as here:
        order_id = await here.account.place_order(order())
        with pytest.raises(Unavailable, match="shows it as open"):
            await here.account.cancel_order(BTC, order_id, "")


@pytest.mark.parametrize("error", ["EService:Unavailable", "EOrder:Cancel pending", "EGeneral:Internal error"])
async def test_a_cancel_without_a_clear_answer_is_unknown(error: str) -> None:
    async with stage(("CancelOrder", said(error))) as here:
        with pytest.raises(Unavailable):
            await here.account.cancel_order(None, "OQCLML-BW3P3-BUCMWZ", "")


# -- looking


@pytest.mark.parametrize("error", ["EOrder:Unknown order", "EOrder:Invalid order"])
async def test_an_unknown_order_is_not_there(error: str) -> None:
    async with stage(("QueryOrders", said(error))) as here:
        assert await here.account.find_order(None, "OQCLML-BW3P3-BUCMWZ", "") == []


@pytest.mark.parametrize("error", ["EGeneral:Permission denied", "EService:Busy", "EAPI:Rate limit exceeded"])
async def test_a_look_that_fails_is_not_a_miss(error: str) -> None:
    for endpoint, names in (
        ("QueryOrders", ("OQCLML-BW3P3-BUCMWZ", "")),
        ("OpenOrders", ("", "mine-1")),
        ("ClosedOrders", ("", "mine-1")),
    ):
        async with stage((endpoint, said(error)), (endpoint, said(error))) as here:
            with pytest.raises(ExGateError) as caught:
                await here.account.find_order(None, *names)
            assert not isinstance(caught.value, NotFound)


async def test_a_second_place_that_fails_once_is_asked_again_without_the_first() -> None:
    async with stage(("ClosedOrders", said("EService:Busy"))) as here:
        assert await here.account.find_order(None, "", "mine-1") == []
        assert sent(here.exchange) == ["OpenOrders", "ClosedOrders", "ClosedOrders"]


@pytest.mark.parametrize(("endpoint", "error"), [("OpenOrders", "EService:Busy"), ("ClosedOrders", "EAPI:Rate limit")])
async def test_what_failed_before_anything_was_learned_or_for_a_limit_is_not(endpoint: str, error: str) -> None:
    async with stage((endpoint, said(error))) as here:
        with pytest.raises(ExGateError):
            await here.account.find_order(None, "", "mine-1")
        assert sent(here.exchange)[-1] == endpoint
        assert sent(here.exchange).count(endpoint) == 1


# -- nonces


async def test_requests_of_one_key_arrive_in_the_order_of_their_nonces() -> None:
    async with stage() as here, anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(here.account.balances)
            tasks.start_soon(here.account.place_order, order(client_order_id=f"mine-{number}"))
    nonces = [int(seen.request.fields()["nonce"]) for seen in here.exchange.requests]
    assert len(nonces) == 24
    assert nonces == sorted(set(nonces))


async def test_accounts_with_the_same_key_share_their_nonces() -> None:
    async with stage() as here, other_account(here) as other, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(here.account.balances)
            tasks.start_soon(other.balances)
    nonces = [int(seen.request.fields()["nonce"]) for seen in here.exchange.requests]
    assert (len(nonces), nonces) == (16, sorted(set(nonces)))


@asynccontextmanager
async def other_account(here: Stage) -> AsyncIterator[KrakenAccount]:
    runtime = Runtime(clock=here.clock)
    async with Transport(here.budget, runtime, upstream_prefix=here.exchange.prefix) as transport:
        credentials = Credentials(Secret(here.exchange.fake.credentials.api_key), Secret(KEYS.api_secret))
        settings = KrakenSettings(tier="negotiated")
        yield KrakenAccount(transport.context("kraken", settings, credentials=credentials, exchange=Public()))


async def test_a_clock_that_goes_back_costs_nothing() -> None:
    async with stage() as here:
        await here.account.balances()
        here.clock.wall = -3600.0
        await here.account.balances()
        first, second = (int(seen.request.fields()["nonce"]) for seen in here.exchange.requests)
        assert second == first + 1


async def test_a_question_that_was_overtaken_is_asked_again_and_an_order_never() -> None:
    overtaken = said("EAPI:Invalid nonce")
    async with stage(("BalanceEx", overtaken), ("BalanceEx", overtaken)) as here:
        assert await here.account.balances()
        assert sent(here.exchange) == ["BalanceEx"] * 3
        here.script.extend([("BalanceEx", overtaken)] * 3 + [("AddOrder", overtaken)])
        with pytest.raises(Refused, match="Invalid nonce"):
            await here.account.balances()
        with pytest.raises(Refused, match="Invalid nonce"):
            await here.account.place_order(order())
        assert sent(here.exchange)[3:] == ["BalanceEx"] * 3 + ["AddOrder"]


async def arrived(here: Stage, count: int) -> None:
    with anyio.fail_after(5):
        while len(here.exchange.requests) < count:  # noqa: ASYNC110  # the server tells nobody
            await anyio.sleep(0.005)


async def test_a_question_without_an_answer_holds_an_order_up_only_briefly() -> None:
    async with stage() as here:
        here.exchange.faults.add(WireFault(operation="balances", kind="hang"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.account.balances)
            while not here.exchange.requests:
                await anyio.lowlevel.checkpoint()
            with anyio.fail_after(3):
                await here.account.place_order(order())
            tasks.cancel_scope.cancel()
        assert sent(here.exchange) == ["BalanceEx", "AddOrder"]


async def test_nothing_overtakes_an_order_whose_answer_is_awaited() -> None:
    async with stage() as here:
        here.exchange.faults.add(WireFault(operation="place_order", kind="hang"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.account.place_order, order())
            await arrived(here, 1)
            left = here.clock.monotonic()
            await here.account.balances()
            assert here.clock.monotonic() - left > 0.3
            tasks.cancel_scope.cancel()
        assert sent(here.exchange) == ["AddOrder", "BalanceEx"]


async def test_an_order_goes_before_the_questions_that_wait() -> None:
    async with stage() as here:
        here.exchange.faults.add(WireFault(operation="place_order", kind="hang"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.account.place_order, order())
            await arrived(here, 1)
            for _ in range(3):
                tasks.start_soon(here.account.pending_orders, None)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(here.account.place_order, order(client_order_id="mine-2"))
            await arrived(here, 5)
            tasks.cancel_scope.cancel()
        assert sent(here.exchange)[:3] == ["AddOrder", "AddOrder", "OpenOrders"]


# -- limits


async def test_questions_keep_within_the_call_counter() -> None:
    async with stage(tier="starter", deadline=1.0) as here:
        for _ in range(15):
            await here.account.balances()
        with pytest.raises(RateLimited, match="Nothing was sent") as caught:
            await here.account.balances()
        assert caught.value.retry_after == pytest.approx(1 / 0.33, abs=0.5)
        assert len(here.exchange.requests) == 15
        await here.account.place_order(order())
        here.clock.mono += 4.0
        await here.account.balances()


async def test_a_limit_that_kraken_reports_is_waited_for() -> None:
    async with stage(("BalanceEx", said("EAPI:Rate limit exceeded")), tier="starter", deadline=1.0) as here:
        for _ in range(2):
            with pytest.raises(RateLimited):
                await here.account.balances()
        assert sent(here.exchange) == ["BalanceEx"]


@pytest.mark.parametrize("error", ["EGeneral:Too many requests", "EService:Throttled"])
async def test_a_limit_of_the_address_holds_for_public_data_too(error: str) -> None:
    async with stage(("BalanceEx", said(error)), deadline=1.0) as here:
        with pytest.raises(RateLimited):
            await here.account.balances()
        with pytest.raises(RateLimited, match="asked for a pause"):
            await here.public.depth(BTC, 5)
        with pytest.raises(RateLimited, match="asked for a pause"):
            await here.account.place_order(order())
        assert sent(here.exchange) == ["BalanceEx"]
        here.clock.mono += 5.0
        await here.account.place_order(order())


async def test_a_limit_of_the_address_fills_no_counter_of_the_key() -> None:
    async with stage(("BalanceEx", said("EGeneral:Too many requests")), tier="starter", deadline=1.0) as here:
        with pytest.raises(RateLimited):
            await here.account.balances()
        here.clock.mono += 3.0
        for _ in range(10):
            await here.account.balances()


async def test_an_order_whose_time_is_over_when_its_turn_comes_is_sent_or_not_but_never_half() -> None:
    async with stage(deadline=0.5) as here:
        here.budget.pause(0.5)
        await here.account.place_order(order())
        assert sent(here.exchange) == ["AddOrder"]


async def test_orders_keep_within_the_transaction_counter_of_their_pair() -> None:
    async with stage(tier="starter", deadline=0.5) as here:
        counter = here.account._desk.key.transactions["XBTUSDT"]
        for _ in range(60):
            counter.add(1, TRANSACTIONS["starter"], here.clock.monotonic())
        with pytest.raises(RateLimited, match="Nothing was sent"):
            await here.account.place_order(order())
        assert sent(here.exchange) == []
        await here.account.place_order(order(market=ETH, price="0.05", amount="1"))
        here.clock.mono += 1.5
        order_id = await here.account.place_order(order(client_order_id="mine-2"))
        assert (await here.account.cancel_order(BTC, order_id, "")).status == "canceled"
        assert counter.wait(1, TRANSACTIONS["starter"], here.clock.monotonic()) > 6


async def test_after_a_limit_of_orders_other_pairs_questions_and_cancels_go_on() -> None:
    async with stage() as here:
        order_id = await here.account.place_order(order())
        here.script.append(("AddOrder", said("EOrder:Rate limit exceeded")))
        for number in (2, 3):
            with pytest.raises(RateLimited):
                await here.account.place_order(order(client_order_id=f"mine-{number}"))
        assert sent(here.exchange) == ["AddOrder", "AddOrder"]
        await here.account.balances()
        await here.account.place_order(order(market=ETH, price="0.05", amount="1", client_order_id="mine-4"))
        assert (await here.account.cancel_order(BTC, order_id, "")).status == "canceled"
        here.clock.mono += 5.0
        await here.account.place_order(order(client_order_id="mine-5"))


async def test_a_locked_out_key_is_left_alone_until_the_lockout_is_over() -> None:
    async with stage(("BalanceEx", said("EGeneral:Temporary lockout"))) as here:
        with pytest.raises(RateLimited) as caught:
            await here.account.balances()
        assert caught.value.retry_after == 900
        with pytest.raises(RateLimited, match="locked"):
            await here.account.balances()
        with pytest.raises(RateLimited, match="locked"):
            await here.account.place_order(order())
        with pytest.raises(RateLimited, match="locked"):
            await here.account.cancel_order(BTC, "OQCLML-BW3P3-BUCMWZ", "")
        assert sent(here.exchange) == ["BalanceEx"]
        here.clock.mono += 901
        await here.account.balances()


# -- the time of orders


@pytest.mark.parametrize("skew", [-3600.0, -30.0, 0.0, 1.0, 55.0, 3600.0])
async def test_a_wrong_clock_does_not_stop_orders(skew: float) -> None:
    async with stage(skew=skew) as here:
        await here.account.place_order(order())
        deadline = datetime.fromisoformat(here.exchange.requests[0].request.fields()["deadline"]).timestamp()
        assert 6 <= deadline - here.exchange.simulation.time_ns() / 1e9 <= 12


async def test_a_clock_that_is_put_right_costs_at_most_one_order() -> None:
    async with stage(skew=120.0) as here:
        here.clock.wall += 120.0
        with pytest.raises(Refused, match="deadline"):
            await here.account.place_order(order())
        await here.account.place_order(order())


# -- opening


@pytest.mark.parametrize("answer", [Reply(b"<html>", 502), Reply(b"{}"), said("EService:Unavailable"), said()])
async def test_an_account_opens_without_krakens_time(answer: Reply) -> None:
    async with stage(("Time", answer)) as here:
        await here.account.place_order(order())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sandbox": True}, "NO_SANDBOX"),
        ({"secret": "not base64!"}, "BAD_API_SECRET"),
        ({"key": "two words"}, "BAD_API_KEY"),
        ({"key": "sch\u00fcssel"}, "BAD_API_KEY"),
    ],
)
async def test_what_can_not_work_does_not_open(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        async with stage(**changes):
            pass
    assert caught.value.reason == reason
    assert "not base64!" not in caught.value.message


@pytest.mark.parametrize(
    ("changes", "said_by_kraken"),
    [({"secret": "YWJj"}, "EAPI:Invalid signature"), ({"key": "wrong"}, "EAPI:Invalid key")],
)
async def test_wrong_keys_are_told_in_krakens_words(
    changes: dict[str, Any], said_by_kraken: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with stage(**changes) as here:
        with pytest.raises(Refused, match=said_by_kraken):
            await here.account.balances()
    assert "YWJj" not in caplog.text
