"""Whatever an exchange sends as a number or an id: callers get a plain number or an honest error, never a 500.

One table for all adapters, each over its fake and a whole gateway.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

pytest.importorskip("exgate_testing")

from exgate_testing.door import Answered
from exgate_testing.house import House, Terms, open_house
from exgate_testing.serving import running
from exgate_testing.subjects import subject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.hostile import BELOW_ZERO, IDS, NUMBERS, Path, Spoilt, leaves, spoilt_fake

pytestmark = pytest.mark.anyio

EXCHANGES = {"binance": "exgate_binance", "okx": "exgate_okx", "kraken": "exgate_kraken"}
FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "binance": {
        "depth": ("bids/0/0", "bids/0/1", "asks/0/0", "asks/0/1"),
        "recent_trades": ("0/price", "0/qty"),
        "balances": ("balances/0/free", "balances/0/locked"),
        "pending_orders": ("0/price", "0/origQty", "0/executedQty"),
        "find_order": ("price", "origQty", "executedQty"),
    },
    "okx": {
        "depth": ("data/0/bids/0/0", "data/0/bids/0/1", "data/0/asks/0/0", "data/0/asks/0/1"),
        "recent_trades": ("data/0/px", "data/0/sz"),
        "balances": ("data/0/details/0/availBal", "data/0/details/0/frozenBal"),
        "pending_orders": ("data/0/px", "data/0/sz", "data/0/accFillSz"),
        "find_order": ("data/0/px", "data/0/sz", "data/0/accFillSz"),
    },
    "kraken": {
        "depth": ("result/*/bids/0/0", "result/*/bids/0/1", "result/*/asks/0/0", "result/*/asks/0/1"),
        "recent_trades": ("result/*/0/0", "result/*/0/1"),
        "balances": ("result/*/balance", "result/*/hold_trade"),
        "pending_orders": ("result/open/*/descr/price", "result/open/*/vol", "result/open/*/vol_exec"),
        "find_order": ("result/*/descr/price", "result/*/vol", "result/*/vol_exec"),
    },
}
"""The numbers that callers are told, of the first row of each answer."""
STATUSES = {"binance": "0/status", "okx": "data/0/state", "kraken": "result/open/*/status"}
ORDER_IDS = {"binance": "orderId", "okx": "data/0/ordId", "kraken": "result/txid/0"}
DEBTS = ("free", "availBal", "balance", "hold_trade")
"""What is available of an asset may be below zero; Kraken tells what is held besides."""
PLAIN = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?", re.ASCII)
INTEGERS = re.compile(r'"(?:order_time|time|timeStamp|lastUpdateId)":(-?[0-9]+)')
QUICK = Terms(speed=100.0, deadline=1000.0, orders=1000.0, settle=1.0, weight_limit=1_000_000)
CAREFUL = Terms(speed=5.0, deadline=25.0, orders=50.0, weight_limit=1_000_000)
"""For orders, which an exchange takes only until their deadline."""
READS = [(exchange, operation) for exchange in FIELDS for operation in FIELDS[exchange]]


@asynccontextmanager
async def spoiling(exchange: str, terms: Terms = QUICK) -> AsyncIterator[tuple[House, Any]]:
    """A gateway over the exchange, and the class whose ``spoilt`` can be set."""
    pytest.importorskip(EXCHANGES[exchange])
    fake = spoilt_fake(exchange)
    async with running(fake) as wire, open_house(subject(exchange, fake=fake), terms, wire=wire) as house:
        house.crowd.books()
        house.crowd.trade(house.market, 5)
        yield house, fake


async def ask(house: House, operation: str, order_id: str) -> Answered:
    named = {"symbol": house.market.symbol}
    if operation == "find_order":
        return await house.get("order", order_id=order_id, **named)
    if operation == "depth":
        return await house.get("depth", limit=5, **named)
    return await house.get(operation, **(named if operation != "balances" else {}))


async def honest(house: House, operation: str) -> tuple[str, list[Path]]:
    """The id of an open order, and the way to every value of an honest answer to the operation."""
    placed = (await house.order(house.body())).json["order_id"]
    assert (await ask(house, operation, placed)).status == 200
    bodies = [seen.reply.body for seen in house.wire.requests if seen.operation == operation and seen.reply]
    return placed, leaves(bodies[-1])


def fits(path: Path, shape: str) -> bool:
    steps = shape.split("/")
    return len(steps) == len(path) and all(step in ("*", str(at)) for step, at in zip(steps, path, strict=True))


def told(answer: Answered) -> set[str]:
    """Every number in an answer of ours."""
    names = "price|amount|qty|quoteQty|available|frozen|filled|remaining"
    return set(re.findall(rf'"(?:{names})":"([^"]*)"', answer.body.decode()))


def empty_is_told(exchange: str, operation: str) -> bool:
    """OKX leaves empty what an order or an asset doesn't have."""
    return exchange == "okx" and operation in ("balances", "pending_orders", "find_order")


@pytest.mark.parametrize(("exchange", "operation"), READS)
async def test_what_is_no_number_is_refused(exchange: str, operation: str) -> None:
    wrong: list[Any] = []
    async with spoiling(exchange) as (house, fake):
        order_id, ways = await honest(house, operation)
        numbers = [path for path in ways if any(fits(path, shape) for shape in FIELDS[exchange][operation])]
        assert len(numbers) >= len(FIELDS[exchange][operation])
        for path, text in product(numbers[: len(FIELDS[exchange][operation])], (*NUMBERS, *BELOW_ZERO)):
            if (text == '""' and empty_is_told(exchange, operation)) or (text in BELOW_ZERO and path[-1] in DEBTS):
                continue
            fake.spoilt = Spoilt(operation, path, text)
            answer = await ask(house, operation, order_id)
            reason = answer.reason == "BAD_ANSWER" or operation == "find_order"
            if answer.status != 503 or not reason or len(answer.body) > 2_000:
                wrong.append((path, text[:40], answer))
        fake.spoilt = None
        assert (await ask(house, operation, order_id)).status == 200
    assert not wrong


@pytest.mark.parametrize(("exchange", "operation"), READS)
async def test_no_value_of_an_answer_makes_a_500(exchange: str, operation: str) -> None:
    wrong: list[Any] = []
    async with spoiling(exchange) as (house, fake):
        order_id, ways = await honest(house, operation)
        for path, text in product(ways, ("1e999999999", '"1e999999999"', '"NaN"', '"-1"', "9" * 30, "-1", "null")):
            fake.spoilt = Spoilt(operation, path, text)
            answer = await ask(house, operation, order_id)
            plain = all(PLAIN.fullmatch(number) for number in told(answer) if number)
            short = all(0 <= int(number) < 2**63 for number in INTEGERS.findall(answer.body.decode()))
            if answer.status in (500, 501) or (answer.status == 200 and not (plain and short)):
                wrong.append((path, text[:40], answer))
    assert not wrong


@pytest.mark.parametrize("exchange", FIELDS)
async def test_an_order_with_a_status_of_next_year_is_open_and_the_word_is_logged_once(
    exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with spoiling(exchange) as (house, fake):
        order_id, ways = await honest(house, "pending_orders")
        path = next(path for path in ways if fits(path, STATUSES[exchange]))
        fake.spoilt = Spoilt("pending_orders", path, '"OF_NEXT_YEAR"')
        for _ in range(2):
            answer = await house.get("pending_orders", symbol=house.market.symbol, extended="true")
            assert [(row["order_id"], row["status"]) for row in answer.json["orders"]] == [(order_id, "open")]
    assert caplog.text.count("OF_NEXT_YEAR") == 1


@pytest.mark.parametrize("exchange", FIELDS)
async def test_a_debt_is_told(exchange: str) -> None:
    async with spoiling(exchange) as (house, fake):
        _, ways = await honest(house, "balances")
        path = next(path for path in ways if path[-1] in DEBTS)
        fake.spoilt = Spoilt("balances", path, '"-1.50"')
        answer = await ask(house, "balances", "")
        assert answer.status == 200 and Decimal("-1.5") in map(Decimal, told(answer))


@pytest.mark.parametrize("exchange", FIELDS)
async def test_a_book_whose_bids_are_above_its_asks_is_refused_and_one_in_which_they_meet_is_told(
    exchange: str,
) -> None:
    async with spoiling(exchange) as (house, fake):
        _, ways = await honest(house, "depth")
        shape = FIELDS[exchange]["depth"][0]
        bid = next(path for path in ways if fits(path, shape))
        best = json.loads((await ask(house, "depth", "")).body)["ask_list"][0]["bid"][0]["price"]
        fake.spoilt = Spoilt("depth", bid, f'"{best}1"')
        answer = await ask(house, "depth", "")
        assert (answer.status, answer.reason) == (503, "BAD_ANSWER") and "above" in answer.json["message"]
        fake.spoilt = Spoilt("depth", bid, f'"{best}"')
        assert (await ask(house, "depth", "")).status == 200


@pytest.mark.parametrize("exchange", FIELDS)
async def test_an_order_answered_with_no_id_is_looked_up(exchange: str) -> None:
    wrong: list[Any] = []
    async with spoiling(exchange, CAREFUL) as (house, fake):
        path = tuple(int(step) if step.isdecimal() else step for step in ORDER_IDS[exchange].split("/"))
        for number, text in enumerate(IDS):
            fake.spoilt = Spoilt("place_order", path, text)
            answer = await house.order(house.body(), f"key-{number}")
            if (answer.status, answer.outcome) == (200, "placed"):
                found = await house.get("order", order_id=answer.json["order_id"], symbol=house.market.symbol)
                right = found.json["client_order_id"] == answer.headers["exgate-client-order-id"]
            else:
                right = (answer.status, answer.outcome) == (504, "unknown")
            if not right or len(house.world.accepted) != number + 1:
                wrong.append((text[:40], answer))
    assert not wrong


@pytest.mark.parametrize("exchange", FIELDS)
@pytest.mark.parametrize("operation", ["place_order", "cancel_order"])
async def test_no_value_of_an_answer_to_an_order_makes_a_500_or_a_false_refusal(exchange: str, operation: str) -> None:
    wrong: list[Any] = []
    async with spoiling(exchange, CAREFUL) as (house, fake):
        placed = (await house.order(house.body())).json["order_id"]
        if operation == "cancel_order":
            await house.cancel(house.market, placed)
        seen = [one.reply.body for one in house.wire.requests if one.operation == operation and one.reply]
        for path, text in product(leaves(seen[-1]), ("1e999999999", '"1e999999999"', "9" * 30, "[]", '"\u0661"')):
            fake.spoilt = Spoilt(operation, path, text) if operation == "place_order" else None
            answer = await house.order(house.body())
            if operation == "cancel_order":
                fake.spoilt = Spoilt(operation, path, text)
                answer = await house.cancel(house.market, answer.json["order_id"])
            if answer.outcome not in ("placed", "canceled", "unknown", ""):
                wrong.append((path, text[:40], answer))
            if answer.status not in (200, 504):
                wrong.append((path, text[:40], answer))
    assert not wrong


written = st.one_of(
    st.from_regex(r"[+-]?[0-9]{0,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.text(max_size=12),
    st.sampled_from([json.loads(text) for text in NUMBERS if text.startswith('"')]),
)


@pytest.mark.parametrize("exchange", FIELDS)
async def test_any_text_is_told_as_that_exact_number_or_refused(exchange: str) -> None:
    async with spoiling(exchange) as (house, fake):
        _, ways = await honest(house, "recent_trades")
        shape = FIELDS[exchange]["recent_trades"][1]
        amount = next(path for path in ways if fits(path, shape))
        texts: list[str] = []

        @settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)
        @given(written)
        def collect(text: str) -> None:
            texts.append(text)

        collect()
        for text in texts:
            fake.spoilt = Spoilt("recent_trades", amount, json.dumps(text))
            answer = await ask(house, "recent_trades", "")
            if answer.status == 200:
                found = {trade["qty"] for trade in answer.json["trades"]}
                assert all(PLAIN.fullmatch(number) for number in found)
                assert Decimal(text) in map(Decimal, found) and text.isascii() and "_" not in text
            else:
                assert (answer.status, answer.reason) == (503, "BAD_ANSWER"), text
