"""What callers send is understood exactly, or refused with the name of the field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core import contract
from exgate_core.errors import InvalidArgument
from exgate_core.models import Freshness

PLACE = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "1.5", "amount": "2"}
decimals = st.from_regex(r"(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?", fullmatch=True)


def refused(body: bytes) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        contract.parse_place(body)
    (violation,) = caught.value.violations
    assert violation.field in caught.value.message and len(caught.value.message) < 500
    return caught.value


def place_with(**fields: Any) -> bytes:
    return json.dumps({**PLACE, **fields}).encode()


def test_a_good_order_body() -> None:
    body = contract.parse_place(place_with(side="BUY", type="Limit", options={"post_only": "true", "x": None}))
    assert (body.symbol, body.side, body.type) == ("BTC/USDT", "buy", "limit")
    assert (body.price, body.amount, body.options) == ("1.5", "2", {"post_only": "true"})
    market = contract.parse_place(place_with(type="market", price="0.00", amount=None, options=None))
    assert (market.price, market.amount, market.options) == ("", "", {})


BAD_SYNTAX = [
    b"",
    b"  ",
    b"{",
    b"[]",
    b"1",
    b"null",
    b'"x"',
    b"true",
    b"NaN",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{}",
    json.dumps(PLACE).encode("utf-16"),
    json.dumps(PLACE).encode("utf-32-le"),
    json.dumps(PLACE).encode() + b"x",
    json.dumps(PLACE).encode() + b"{}",
    json.dumps(PLACE).encode() + b"\x00",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"symbol":"\x00"}',
    b"{'symbol':'x'}",
]


def test_a_body_that_is_no_json_is_called_so_with_the_place() -> None:
    assert "is not JSON" in refused(b'{"side": }').message
    assert "at character 9" in refused(b'{"side": }').message
    assert "'" not in refused(b'{"a": "' + b"b" * 60 + b'"}').message  # the whole text isn't repeated


def test_a_field_is_shown_as_it_was_sent_but_never_with_control_characters() -> None:
    assert refused(place_with(größe="1")).violations[0].field == "größe"
    assert refused(place_with(**{"a\nb": "1"})).violations[0].field == "a\\nb"
    assert refused(place_with(**{"x" * 40: "1"})).violations[0].field == "x" * 40
    assert refused(place_with(**{"x" * 41: "1"})).violations[0].field == "x" * 37 + "..."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a\xff', "is not UTF-8 (byte 3)"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
        (b"[]", "must be a JSON object, not an array"),
        (b'"x"', "not a string"),
        (b"true", "not a boolean"),
        (b"null", "not null"),
        (b"17", "not the number 17"),
        (place_with(amount=[]), "must be a JSON string in quotes, not an array"),
        (place_with(amount={}), "not an object"),
        (place_with(options=1), "must be an object of strings, not the number 1"),
        (place_with(symbol="BTC\x00"), "control characters"),
        (place_with(type="é"), "plain letters"),
        (place_with(side="hold"), '"buy" or "sell", not "hold"'),
        (place_with(options={"a\tb": "1"}), "control characters"),
    ],
    ids=range(17),
)
def test_what_is_wrong_with_a_body_is_said(body: bytes, words: str) -> None:
    assert words in refused(body).message


@pytest.mark.parametrize("body", BAD_SYNTAX, ids=range(len(BAD_SYNTAX)))
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert refused(body).violations[0].field in ("body", "a")


BAD_FIELDS = [
    ("amount", b'"amount": 2'),
    ("amount", b'"amount": NaN'),
    ("amount", b'"amount": -Infinity'),
    ("amount", b'"amount": 1e999'),
    ("amount", b'"amount": ' + b"9" * 5000),
    ("amount", b'"amount": "' + b"9" * 5000 + b'"'),
    ("amount", b'"amount": []'),
    ("amount", b'"amount": {}'),
    ("amount", b'"amount": true'),
    ("symbol", b'"symbol": "\\ud800"'),
    ("symbol", b'"symbol": "BTC\\u0000"'),
    ("symbol", b'"symbol": null'),
    ("symbol", b'"symbol": ""'),
    ("side", b'"side": "hold"'),
    ("side", b'"side": null'),
    ("type", '"type": "mar\u212aet"'.encode()),
    ("options", b'"options": []'),
    ("options", b'"options": "a"'),
    ("options", b'"options": {"\\u0001": "a"}'),
    ("options.a", b'"options": {"a": 1}'),
    ("options.a", b'"options": {"a": {"a": "b"}}'),
    ("options.a", b'"options": {"a": "b", "a": "b"}'),
]


@pytest.mark.parametrize(("field", "member"), BAD_FIELDS, ids=range(len(BAD_FIELDS)))
def test_a_bad_member_is_refused_by_its_name(field: str, member: bytes) -> None:
    name = json.loads(member.partition(b":")[0])
    rest = {key: value for key, value in PLACE.items() if key != name}
    assert refused(b"{" + member + b"," + json.dumps(rest).encode()[1:]).violations[0].field == field


def test_a_repeated_field_is_refused_even_with_the_same_value() -> None:
    for name, value in PLACE.items():
        body = json.dumps(PLACE)[:-1] + f', "{name}": "{value}"}}'
        assert refused(body.encode()).violations[0].field == name
    assert "twice" in refused(b'{"symbol": null, "symbol": "BTC/USDT"}').message


@pytest.mark.parametrize(
    ("unknown", "near"),
    [
        ("post_only", "options.post_only"),
        ("clientOrderId", "options.client_order_id"),
        ("Amount", "amount"),
        ("amout", "amount"),
        ("", ""),
        ("x" * 5000, ""),
        ("\ud800", ""),
    ],
)
def test_an_unknown_field_is_refused_and_the_nearest_named(unknown: str, near: str) -> None:
    error = refused(place_with(**{unknown: "1"}))
    assert error.reason == "UNKNOWN_FIELD" and error.message.endswith(near)


BAD_DECIMALS = [
    *"-1 +1 1e3 1E3 1_000 .5 5. 01 00 0 0.0 0.000 1,5 0x1 1.2.3 ١٢ \uff11 १ NaN Infinity inf - .".split(),
    *"1.000000000000000000001 100000000000000000000 1.1e-5".split(),
    *(" 1", "1 ", "\t1", "1\n"),
]


@pytest.mark.parametrize("text", BAD_DECIMALS)
@pytest.mark.parametrize("field", ["price", "amount"])
def test_odd_decimals_are_refused_with_the_rule(field: str, text: str) -> None:
    error = refused(place_with(**{field: text}))
    assert error.violations[0].field == field
    assert "decimal string above zero" in error.message or "control characters" in error.message


@given(decimals.filter(lambda text: text.strip("0.")), decimals.filter(lambda text: text.strip("0.")))
def test_good_decimals_keep_every_digit(price: str, amount: str) -> None:
    body = contract.parse_place(place_with(price=price, amount=amount))
    assert (body.price, body.amount) == (price, amount)


@given(st.binary() | st.text().map(lambda text: json.dumps({"symbol": text}).encode()))
def test_any_bytes_are_an_answer_or_an_invalid_argument(body: bytes) -> None:
    for parse in (contract.parse_place, contract.parse_cancel):
        try:
            parse(body)
        except InvalidArgument as error:
            assert error.violations


def test_cancel_bodies() -> None:
    body = contract.parse_cancel(b'{"order_id": "A-1:2.3_x", "symbol": null}')
    assert (body.symbol, body.order_id, body.options) == ("", "A-1:2.3_x", {})
    by_client = contract.parse_cancel(b'{"order_id": "", "options": {"client_order_id": "mine"}}')
    assert by_client.options == {"client_order_id": "mine"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "order_id"),
        ({"order_id": ""}, "order_id"),
        ({"order_id": "../../x"}, "order_id"),
        ({"order_id": "a..b"}, "order_id"),
        ({"order_id": "a/b"}, "order_id"),
        ({"order_id": "a?x=1"}, "order_id"),
        ({"order_id": "é"}, "order_id"),
        ({"order_id": "1" * 129}, "order_id"),
        ({"order_id": "1\n"}, "order_id"),
        ({"order_id": "1", "side": "buy"}, "side"),
        ({"order_id": "1", "options": {"margin": "1"}}, "options.margin"),
        ({"options": {"client_order_id": "a b"}}, "options.client_order_id"),
    ],
)
def test_bad_cancel_bodies(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        contract.parse_cancel(json.dumps(body).encode())
    assert caught.value.violations[0].field == field


KNOWN = frozenset({"symbol", "limit"})


def test_queries() -> None:
    parsed = contract.parse_query(b"symbol=BTC%2fUSDT&limit=5&&x=%41+b&y&x=", KNOWN)
    assert parsed == ({"symbol": "BTC/USDT", "limit": "5"}, ["x", "y", "x"])
    assert contract.parse_query(b"", KNOWN) == ({}, [])
    assert contract.parse_query("symbol=é".encode(), KNOWN) == ({"symbol": "é"}, [])


@pytest.mark.parametrize(
    "query",
    [b"symbol=a&symbol=a", b"symbol=%", b"symbol=%zz", b"symbol=%ff", b"%ff=1", b"symbol=%00", b"symbol=%f0%9f"],
)
def test_bad_queries_are_refused(query: bytes) -> None:
    with pytest.raises(InvalidArgument):
        contract.parse_query(query, KNOWN)


@given(st.binary())
def test_any_query_is_an_answer_or_an_invalid_argument(query: bytes) -> None:
    try:
        contract.parse_query(query, KNOWN)
    except InvalidArgument as error:
        assert error.violations


@pytest.mark.parametrize(
    ("text", "limit"), [(None, 500), ("", 500), ("0", 500), ("000", 500), ("7", 7), ("007", 7), ("1001", 1000)]
)
def test_limits(text: str | None, limit: int) -> None:
    assert contract.parse_limit(text, 500, 1000) == limit
    assert contract.parse_limit("9" * 5000, 500, 1000) == 1000


@pytest.mark.parametrize("text", ["-1", "1.0", "1e3", "x", " 1", "١"])
def test_bad_limits(text: str) -> None:
    with pytest.raises(InvalidArgument, match="limit"):
        contract.parse_limit(text, 500, 1000)


def test_freshness() -> None:
    assert contract.parse_freshness({}) == Freshness(local=False, tolerate=None)
    assert contract.parse_freshness({"isLocal": "1", "tolerate_interval": "0.5"}) == Freshness(local=True, tolerate=0.5)
    assert contract.parse_freshness({"isLocal": "False", "tolerate_interval": "0"}).tolerate == 0
    for params in ({"isLocal": "yes"}, {"tolerate_interval": "-1"}, {"tolerate_interval": "nan"}):
        with pytest.raises(InvalidArgument):
            contract.parse_freshness(params)
