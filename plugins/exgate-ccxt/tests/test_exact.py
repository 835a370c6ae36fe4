"""Every digit survives ccxt's arithmetic-minded readers."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from exgate_ccxt.exact import Num, decode, text, whole
from exgate_ccxt.parse import depth_of
from exgate_ccxt.safely import READERS
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ccxt")

DECIMALS = st.from_regex(r"(0|[1-9][0-9]{0,19})\.[0-9]{1,20}", fullmatch=True)
STRING = READERS["safe_string"].__func__
INTEGER = READERS["safe_integer"].__func__


@given(DECIMALS)
def test_a_number_prints_as_it_came(digits: str) -> None:
    number = Num(digits)
    assert str(number) == repr(number) == text(number) == digits
    assert number == float(digits) and number + 0 == float(digits)
    for twin in (copy.deepcopy(number), pickle.loads(pickle.dumps(number)), Num(number)):
        assert str(twin) == digits


@given(DECIMALS, st.integers(min_value=-(10**30), max_value=10**30))
def test_json_keeps_decimals_as_text_and_integers_whole(digits: str, integer: int) -> None:
    body = f'{{"a": {digits}, "b": [{integer}], "c": "{digits}"}}'
    assert decode(body) == {"a": digits, "b": [integer], "c": digits}


@pytest.mark.parametrize("body", ["", "nul", "{", '{"a":1', "<html>", "NaN", "[1,]", '{"a":1}}'])
def test_what_is_no_json_is_an_error(body: str) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        decode(body)


@given(DECIMALS)
def test_a_price_that_was_parsed_once_is_still_there_when_it_is_read_again(digits: str) -> None:
    row = {"price": Num(digits)}
    assert STRING(row, "price") == digits
    assert READERS["safe_string_2"].__func__(row, "p", "price") == digits
    assert READERS["safe_string_n"].__func__(row, ["p", "price"]) == digits
    assert str(READERS["safe_float"].__func__({"price": digits}, "price")) == digits


@given(st.integers(min_value=0, max_value=10**30))
def test_integers_do_not_pass_through_a_float(integer: int) -> None:
    assert INTEGER({"id": integer}, "id") == integer
    assert INTEGER({"id": str(integer)}, "id") == integer
    assert STRING({"id": json.loads(str(integer))}, "id") == str(integer)


@pytest.mark.parametrize("digits", ["\u0661\u0662\u0663", "\uff11", "1\u0662", "\u00a01"])
def test_digits_of_another_script_are_no_number(digits: str) -> None:
    """ccxt makes a time of them, by which trades are sorted."""
    row = {"a": digits}
    for name in ("safe_integer", "safe_timestamp", "safe_float"):
        assert READERS[name].__func__(row, "a", "d") == "d"
        assert READERS[f"{name}_2"].__func__(row, "b", "a", "d") == "d"
    assert READERS["safe_integer_product"].__func__(row, "a", 1000, "d") == "d"
    assert READERS["safe_integer_product_2"].__func__(row, "b", "a", 1000, "d") == "d"
    assert whole(digits) == 0


def test_the_readers_read_the_rest_as_ccxt_does() -> None:
    import ccxt

    values: list[object] = ["", "x", "Ab", None, 0, 1, True, 1.5, "1.5", "100.0", "-3", [], {}, [1]]
    rows: list[dict[str, object]] = [{}, {"b": 1}, *({"a": value} for value in values)]
    for name, reader in READERS.items():
        if name.endswith(("_2", "_n")):
            continue
        theirs, factor = getattr(ccxt.Exchange, name), (0.1,) if name.endswith("product") else ()
        for row in rows:
            assert reader.__func__(row, "a", *factor, "d") == theirs(row, "a", *factor, "d"), (name, row)


@pytest.mark.parametrize(
    ("value", "expected"), [(None, ""), (1, "1"), (1e-08, "0.00000001"), ("1.1522E-4", "0.00011522")]
)
def test_anything_that_ccxt_returns_becomes_plain_text(value: object, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize("value", [True, "nan", "inf", "x", float("nan")])
def test_what_is_no_number_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="not a decimal"):
        text(value)


VALUES = DECIMALS | st.sampled_from(["1", "1e-7", "", "x", "-0.5", " 1", None, True, 3, 10**17, [1]])


@pytest.mark.parametrize("name", ["binance", "kraken", "mexc", "toobit", "upbit"])
@given(st.lists(st.lists(VALUES, max_size=4) | st.dictionaries(st.sampled_from("pq"), VALUES) | VALUES, max_size=3))
def test_levels_are_read_at_once_as_ccxt_reads_them_one_by_one(name: str, rows: list[object]) -> None:
    from exgate_ccxt.factory import exchange_class

    made = exchange_class(name)
    base: Any = made.__mro__[1]
    client, theirs = made(), base.parse_order_book_bids_asks
    assert _outcome(client.parse_order_book_bids_asks, rows) == _outcome(theirs, client, rows)


def _outcome(read: Callable[..., object], *arguments: object) -> object:
    try:
        return repr(read(*arguments))
    except Exception as error:
        return type(error)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=3))
def test_levels_become_text_whole_or_not_at_all(rows: list[tuple[object, object]]) -> None:
    def one_by_one() -> list[tuple[str, str]]:
        found = [(text(price), text(amount)) for price, amount in levels]
        assert all(map(all, found))
        return found

    try:
        levels = [[Num(price), Num(amount)] for price, amount in rows]
    except (TypeError, ValueError):
        return
    try:
        expected = one_by_one()
    except (AssertionError, ValueError):
        with pytest.raises(ValueError):
            depth_of({"bids": levels, "asks": []})
    else:
        assert depth_of({"bids": levels, "asks": []}).bids == expected
