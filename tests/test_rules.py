"""Orders against the rules of their market: what fits passes unchanged, what doesn't is refused with the way out."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core import client_ids, rules
from exgate_core.contract import PlaceBody
from exgate_core.errors import Internal, InvalidArgument
from exgate_core.models import AccountCapabilities, ClientIds, Market, Option

BTC = Market(
    symbol="BTC/USDT",
    id="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size="0.01",
    step_size="0.0001",
    min_amount="0.0010",
    max_amount="100",
    min_notional="10",
)
ALL = AccountCapabilities(
    client_ids=ClientIds(),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),
    post_only=True,
    quote_amount=True,
    stop_price=True,
    options={
        "leverage": Option(description="", kind="integer"),
        "hidden": Option(description="", kind="boolean"),
        "iceberg": Option(description="", kind="decimal"),
        "mode": Option(description="", choices=("fast", "slow")),
    },
)
NOTHING = AccountCapabilities(order_types=frozenset({"limit"}))


def body(side: str = "buy", kind: str = "limit", price: str = "100", amount: str = "1", **options: str) -> PlaceBody:
    return PlaceBody(symbol="BTC/USDT", side=side, type=kind, price=price, amount=amount, options=options)


def refusal(wanted: PlaceBody, capabilities: AccountCapabilities = ALL, market: Market = BTC) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        rules.check(market, capabilities, wanted, "id")
    return caught.value


@pytest.mark.parametrize(
    "kind",
    ["stop_limit", "STOP_LIMIT", "stop-limit", "stop", "stop_loss", "STOP_LOSS_LIMIT", "take_profit", "trailing_stop"],
)
def test_a_stop_type_points_to_the_stop_price(kind: str) -> None:
    assert "options.stop_price" in refusal(body(kind=kind)).message
    error = refusal(body(kind=kind), AccountCapabilities())
    assert "options.stop_price, which this exchange doesn't offer here" in error.message


def test_a_good_order_passes_with_every_digit_as_written() -> None:
    order = rules.check(BTC, ALL, body("BUY", "Limit", "100.10", "0.5000", time_in_force="ioc", hidden="1"), "id-1")
    assert (order.side, order.type, order.price, order.amount) == ("buy", "limit", "100.10", "0.5000")
    assert (order.time_in_force, order.client_order_id, order.options) == ("IOC", "id-1", {"hidden": "true"})


def test_every_uniform_option_reaches_the_order() -> None:
    order = rules.check(BTC, ALL, body(post_only="true", stop_price="99.5", leverage="3", mode="fast"), "x")
    assert (order.post_only, order.stop_price) == (True, "99.5")
    assert order.options == {"leverage": "3", "mode": "fast"}
    spent = rules.check(BTC, ALL, body(kind="market", price="", amount="", quote_amount="25.5"), "x")
    assert (spent.amount, spent.quote_amount) == ("", "25.5")


@pytest.mark.parametrize(
    ("wanted", "field", "part"),
    [
        (body(side="hold"), "side", "buy"),
        (body(kind="limit_maker"), "type", "post_only"),
        (body(price=""), "price", "needs a price"),
        (body(kind="market"), "price", "leave it out"),
        (body(price="100.005"), "price", "100.00 and 100.01"),
        (body(price="0.001"), "price", "the nearest is 0.01"),
        (body(amount="0.00105"), "amount", "0.0010 and 0.0011"),
        (body(amount="0.0009"), "amount", "minimum 0.0010"),
        (body(amount="100.0001"), "amount", "maximum 100"),
        (body(amount="0.0500"), "amount", "minimum 10 USDT"),
        (body(amount=""), "amount", "is required"),
        (body(amount="-1"), "amount", "no sign"),
        (body(amount="1e3"), "amount", "no exponent"),
        (body(price="٣"), "price", "decimal string"),
        (body(amount="1", kind="market", price="", quote_amount="5"), "amount", "not both"),
        (body(amount="", quote_amount="50"), "options.quote_amount", "market orders"),
        (body(amount="", kind="market", price="", quote_amount="5"), "options.quote_amount", "minimum 10"),
        (body(time_in_force="GTX"), "options.time_in_force", "FOK, GTC, IOC"),
        (body(kind="market", price="", time_in_force="IOC"), "options.time_in_force", "leave it out"),
        (body(kind="market", price="", post_only="true"), "options.post_only", "can't rest"),
        (body(post_only="true", time_in_force="FOK"), "options.post_only", "IOC or FOK"),
        (body(post_only="yes"), "options.post_only", "true"),
        (body(stop_price="1.001"), "options.stop_price", "1.00 and 1.01"),
        (body(leverage="1.5"), "options.leverage", "whole number"),
        (body(iceberg="much"), "options.iceberg", "decimal"),
        (body(mode="medium"), "options.mode", "fast, slow"),
        (body(hidden="maybe"), "options.hidden", "false"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_field_rule_and_fix(wanted: PlaceBody, field: str, part: str) -> None:
    error = refusal(wanted)
    assert [violation.field for violation in error.violations] == [field]
    assert part in error.violations[0].description


def test_an_unknown_option_lists_the_known_ones() -> None:
    text = refusal(body(reduceOnly="true")).message
    assert "options.reduceOnly" in text
    assert "client_order_id" in text
    assert "leverage" in text


@pytest.mark.parametrize(
    "options",
    [{"post_only": "true"}, {"stop_price": "1"}, {"client_order_id": "a"}, {"time_in_force": "IOC"}],
)
def test_what_an_exchange_cannot_do_is_refused_not_ignored(options: dict[str, str]) -> None:
    assert refusal(body(**options), NOTHING).violations[0].field == f"options.{next(iter(options))}"


def test_an_order_type_that_an_exchange_lacks_is_refused() -> None:
    assert refusal(body(kind="market", price=""), NOTHING).violations[0].field == "type"


def test_a_market_that_is_halted_takes_no_orders() -> None:
    halted = Market(symbol="BTC/USDT", id="B", base="BTC", quote="USDT", active=False)
    assert refusal(body(), market=halted).reason == "MARKET_INACTIVE"


@pytest.mark.parametrize(("side", "price"), [("buy", "100.00"), ("sell", "100.01")])
def test_rounding_on_request_moves_the_price_away_from_harm_and_the_amount_down(side: str, price: str) -> None:
    order = rules.check(BTC, ALL, body(side, "limit", "100.005", "1.00019", round="true"), "x")
    assert (order.price, order.amount) == (price, "1.0001")


def test_rounding_never_makes_something_of_nothing() -> None:
    assert refusal(body(amount="0.00005", round="true")).violations[0].field == "amount"


decimals = st.decimals(min_value=Decimal("0.000001"), max_value=Decimal(10_000), places=6).map(lambda d: format(d, "f"))


@given(price=decimals, amount=decimals, side=st.sampled_from(["buy", "sell"]))
def test_an_order_is_sent_as_written_or_refused(price: str, amount: str, side: str) -> None:
    try:
        order = rules.check(BTC, ALL, body(side, "limit", price, amount), "x")
    except InvalidArgument as error:
        assert error.violations[0].field in ("price", "amount")
        return
    assert (order.price, order.amount) == (price, amount)
    assert Decimal(price) % Decimal("0.01") == 0
    assert Decimal(amount) % Decimal("0.0001") == 0
    assert Decimal(price) * Decimal(amount) >= 10


@given(price=decimals, amount=decimals, side=st.sampled_from(["buy", "sell"]))
def test_rounded_orders_are_never_worse_than_asked(price: str, amount: str, side: str) -> None:
    try:
        order = rules.check(BTC, ALL, body(side, "limit", price, amount, round="true"), "x")
    except InvalidArgument:
        return
    assert Decimal(order.amount) <= Decimal(amount)
    assert Decimal(order.price) <= Decimal(price) if side == "buy" else Decimal(order.price) >= Decimal(price)
    assert abs(Decimal(order.price) - Decimal(price)) < Decimal("0.01")


RULES = [
    ClientIds(),
    ClientIds(prefix="t-", pattern=r"t-[0-9A-Za-z._-]{1,28}", max_length=30),
    ClientIds(digits_only=True, pattern=r"[0-9]{1,18}", max_length=18),
    ClientIds(digits_only=True, pattern=r"[0-9]{1,9}", max_length=9),
    ClientIds(pattern=r"[A-Z0-9]{32}", max_length=32),
    ClientIds(pattern=r"[a-zA-Z0-9]{1,32}", max_length=32),
]


@given(rule=st.sampled_from(RULES), text=st.text(st.characters(codec="ascii"), min_size=1, max_size=64))
def test_client_ids_meet_the_rule_and_are_the_same_on_a_replay(rule: ClientIds, text: str) -> None:
    for made in (client_ids.own(rule, text), client_ids.derived(rule, "key", "binance:main", text)):
        assert re.fullmatch(rule.pattern, made)
        assert made.startswith(rule.prefix)
        assert len(made) <= rule.max_length
        assert not rule.digits_only or made.isdigit()
    assert client_ids.own(rule, text) == client_ids.own(rule, text)


def test_an_id_that_fits_goes_upstream_as_it_is() -> None:
    assert client_ids.own(RULES[0], "bot-1") == "bot-1"
    assert client_ids.own(RULES[1], "bot-1") == "t-bot-1"
    assert client_ids.own(RULES[1], "t-bot-1") == "t-bot-1"
    assert client_ids.own(RULES[2], "42") == "42"
    assert client_ids.own(RULES[2], "0042") != "0042"


@pytest.mark.parametrize(
    ("rule", "text", "fitting"),
    [
        (ClientIds(prefix="t-", pattern=".*", max_length=5), "t-abc", True),
        (ClientIds(prefix="t-", pattern=".*", max_length=5), "t-abcd", False),
        (ClientIds(prefix="t-", pattern=".*", max_length=5), "abc", False),
        (ClientIds(pattern="[a-c]*", max_length=5), "abcd", False),
        (ClientIds(pattern=".*", max_length=5, digits_only=True), "10", True),
        (ClientIds(pattern=".*", max_length=5, digits_only=True), "01", False),
        (ClientIds(pattern=".*", max_length=5, digits_only=True), "1a", False),
    ],
)
def test_prefix_length_digits_and_pattern_each_count(rule: ClientIds, text: str, fitting: bool) -> None:
    assert client_ids.fits(rule, text) is fitting


@pytest.mark.parametrize(
    ("rule", "length"),
    [
        (ClientIds(pattern="[0-9a-f]+", max_length=64), 32),
        (ClientIds(prefix="t-", pattern="t-[0-9a-f]+", max_length=30), 30),
        (ClientIds(digits_only=True, pattern="[0-9]+", max_length=64), 18),
        (ClientIds(pattern="[0-9A-F]{8}", max_length=64), 8),
    ],
)
def test_an_id_of_ours_is_as_long_as_it_may_be(rule: ClientIds, length: int) -> None:
    assert len(client_ids.derived(rule, "key", "a", "1")) == length


def test_a_rule_without_room_for_eight_characters_is_a_mistake_of_the_plugin() -> None:
    with pytest.raises(Internal, match="can't be met"):
        client_ids.derived(ClientIds(pattern="[0-9a-f]{7}", max_length=64), "key", "a", "1")


def test_accounts_with_the_same_key_get_different_ids() -> None:
    assert client_ids.derived(RULES[0], "key", "a", "1") != client_ids.derived(RULES[0], "key", "b", "1")


@pytest.mark.parametrize(
    ("recovery", "accepted", "refused"), [("none", False, True), ("none", True, False), ("full", False, False)]
)
def test_trading_without_recovery_must_be_accepted(recovery: Any, accepted: bool, refused: bool) -> None:
    account = AccountCapabilities(order_recovery=recovery)
    problem = rules.trading_problem(account, trading=True, accept_unrecoverable=accepted)
    assert ("accept_unrecoverable = true" in problem) is refused
    assert rules.trading_problem(account, trading=False, accept_unrecoverable=False) == ""
