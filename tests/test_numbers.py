"""Decimal strings: exact, plain, and strict about what a caller may write."""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exgate_core import numbers

decimals = st.from_regex(r"(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?", fullmatch=True)
positive = decimals.filter(lambda text: Decimal(text) > 0)


@pytest.mark.parametrize("text", ["0", "1", "0.0", "10.50", "0.00000001", "1" * 20, "1." + "1" * 20])
def test_a_decimal_as_callers_write_it(text: str) -> None:
    assert numbers.is_decimal(text)


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "1e3", "1_000", ".5", "5.", " 1", "1 ", "01", "٣", "1,5", "NaN", "inf", "1" * 21, "1\n", "0x1"],
)
def test_everything_else_is_refused(text: str) -> None:
    assert not numbers.is_decimal(text)


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("1.1522E-4", "0.00011522"),
        ("1e3", "1000"),
        ("6.37e-06", "0.00000637"),
        ("57.90000000", "57.90000000"),
        ("-2.50", "-2.50"),
    ],
)
def test_plain_notation_keeps_every_written_digit(sent: str, plain: str) -> None:
    assert numbers.plain(sent) == plain


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "1e-999", "abc", "", "1e99999999"])
def test_what_is_no_number_stays_out(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal"):
        numbers.plain(text)


@given(decimals, decimals)
def test_products_sums_and_differences_are_exact(a: str, b: str) -> None:
    assert Fraction(numbers.product(a, b)) == Fraction(a) * Fraction(b)
    assert Fraction(numbers.add(a, b)) == Fraction(a) + Fraction(b)
    assert Fraction(numbers.subtract(a, b)) == Fraction(a) - Fraction(b)
    assert numbers.compare(a, b) == (Fraction(a) > Fraction(b)) - (Fraction(a) < Fraction(b))


def test_the_product_keeps_the_zeros_of_its_factors() -> None:
    assert numbers.product("62.28", "2.00000000") == "124.5600000000"
    assert numbers.product("8194.79", "0.00288599") == "23.6500819921"


@given(positive, positive)
def test_neighbours_enclose_the_value(value: str, step: str) -> None:
    below, above = numbers.neighbours(value, step)
    assert Decimal(below) <= Decimal(value) < Decimal(above)
    assert numbers.is_multiple(below, step)
    assert numbers.is_multiple(above, step)
    assert numbers.compare(numbers.subtract(above, below), step) == 0


@given(decimals)
def test_zero_in_any_spelling(text: str) -> None:
    assert numbers.is_zero(text) == (Decimal(text) == 0)


def test_an_unknown_step_allows_everything() -> None:
    assert numbers.is_multiple("1.2345", "")
    assert not numbers.is_multiple("1.2345", "0.01")


digits = st.builds(
    lambda whole, part: f"{whole}.{part}" if part else str(whole),
    st.integers(0, 10**10 - 1),
    st.text("0123456789", max_size=20),
)
odd = st.one_of(
    st.text('0123456789..+-eE_ \n\t,:[]{}"\\\x00\x92\xa1\u0661\uff11\ud800', max_size=6),
    st.sampled_from(["01", "00", ".5", "5.", "1.2.3", "1\n2", "1,2", "[1]", "[]", "0 ", "null", "true", "1e5", "-0"]),
    st.sampled_from(["9" * 21, "9" * 32, "9" * 33, "9" * 256, "9" * 70_000, f"0.{'9' * 400}", f"{'9' * 400}.5"]),
)


def spoilt(good: str, bad: str, place: int) -> str:
    """The number with something else put into it."""
    return good[: place % (len(good) + 1)] + bad + good[place % (len(good) + 1) :]


texts = st.lists(st.one_of(digits, odd, st.builds(spoilt, digits, odd, st.integers(0, 30))), max_size=20)


def stays(text: object) -> bool:
    """Whether it is a text that ``plain`` leaves as it is."""
    try:
        return isinstance(text, str) and numbers.plain(text) == text and text[0] != "-"
    except numbers.BadNumber:
        return False


@given(st.one_of(texts, st.builds(lambda good, bad: [*good, bad], st.lists(digits, max_size=20), odd)))
@example(["1", "2", "3", "-1"])
@example(["1", "2", "3", "1e5"])
@example(["1", "2", "3", "null"])
@example(["1", "2", "3", "01"])
@example(["1", "2", "3", "1."])
@example(["1", "2", "3", ""])
def test_many_at_once_are_sure_only_where_each_is_plain(texts: list[str]) -> None:
    pairs = list(zip(texts[::2], texts[1::2], strict=False))
    assert not numbers.all_plain(texts) or all(map(stays, texts))
    assert not numbers.all_pairs_plain(pairs) or all(stays(text) for pair in pairs for text in pair)


@given(st.lists(st.tuples(digits, digits), max_size=20))
def test_many_at_once_are_sure_where_each_is_as_exchanges_write_it(pairs: list[tuple[str, str]]) -> None:
    assert numbers.all_pairs_plain(pairs) and numbers.all_plain([text for pair in pairs for text in pair])


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 17, 65535, 65536])
def test_however_many_they_are_one_bad_number_shows(count: int) -> None:
    good = ["1.50"] * count
    assert numbers.all_plain(good) and numbers.all_pairs_plain([(text, "0") for text in good])
    for bad, place in (("", 0), ("-1", count // 2), ("01", count - 1), ("1.", count - 1)):
        texts = [*good[:place], bad, *good[place + 1 :]]
        assert not numbers.all_plain(texts) and not numbers.all_pairs_plain([(text, "0") for text in texts])


@pytest.mark.parametrize("bad", [1, 32, 44, 46, 49, 1.5, None, Decimal("1.5"), b"1.5", ("1.5",), ["1.5"], {"1": "2"}])
def test_what_is_no_text_is_never_sure(bad: Any) -> None:
    # An integer packs into one byte, which may look like a digit, a point or a separator.
    assert not numbers.all_plain(["1", bad, "2"]) and not numbers.all_plain(["1", "2", bad])
    assert not numbers.all_pairs_plain([("1", bad)]) and not numbers.all_pairs_plain([(bad, "1"), ("1", "2")])


@pytest.mark.parametrize("row", [(), ("1",), ("1", "2", "3"), "12", ("1,2",), 32, None])
def test_what_is_no_pair_is_never_sure(row: Any) -> None:
    assert not numbers.all_pairs_plain([("1", "2"), row]) and not numbers.all_pairs_plain([row])


@pytest.mark.parametrize("sign", ["", "-"])
def test_two_hundred_places_are_the_most(sign: str) -> None:
    assert len(numbers.plain(f"1e{sign}200")) == (201 if not sign else 202)
    with pytest.raises(ValueError, match="not a decimal number"):
        numbers.plain(f"1e{sign}201")


@pytest.mark.parametrize(
    "text",
    [
        " 1",
        "1 ",
        "1\n",
        "1_000",
        "\u0661",
        "\uff11",
        "1,5",
        "0x1",
        "--1",
        ".",
        "1e",
        "e1",
        "1e10000",
        "sNaN",
        "9" * 401,
    ],
)
def test_what_only_python_takes_for_a_number_stays_out(text: str) -> None:
    for ask in (numbers.plain, lambda text: numbers.add(text, "1"), lambda text: numbers.compare("1", text)):
        with pytest.raises(numbers.BadNumber, match="not a decimal number"):
            ask(text)


@pytest.mark.parametrize(
    ("sent", "plain"), [("+1", "1"), (".5", "0.5"), ("5.", "5"), ("007", "7"), ("-0.00", "0.00"), ("1" * 25, "1" * 25)]
)
def test_odd_spellings_of_a_number_are_read(sent: str, plain: str) -> None:
    assert numbers.plain(sent) == plain


upstream = st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?(e[+-]?[0-9]{1,9})?", fullmatch=True)
anything = st.one_of(
    upstream, st.text(max_size=10), st.sampled_from(["NaN", "-Infinity", "9" * 5000, "1e-200", "1e200"])
)


@given(anything, anything)
def test_no_two_texts_make_anything_but_exact_numbers_or_a_bad_number(a: str, b: str) -> None:
    exact = {numbers.add: Fraction.__add__, numbers.subtract: Fraction.__sub__, numbers.product: Fraction.__mul__}
    for ours, theirs in exact.items():
        try:
            one, other = numbers.plain(a), numbers.plain(b)
            assert Fraction(ours(a, b)) == theirs(Fraction(one), Fraction(other))
        except numbers.BadNumber:
            pass
    for told in (numbers.compare, numbers.is_multiple, numbers.neighbours, numbers.rest):
        try:
            told(a, b)
        except numbers.BadNumber:
            pass


@pytest.mark.parametrize(("whole", "part", "left"), [("3.0", "1", "2.0"), ("1.0", "1.00", "0.00"), ("1", "2", "0")])
def test_what_is_left_is_never_below_zero(whole: str, part: str, left: str) -> None:
    assert numbers.rest(whole, part) == left


@pytest.mark.parametrize("text", ["9" * 10_000_000, "1e999999999", "-1e-999999999", f"0.{'9' * 10_000_000}"])
def test_a_bomb_costs_no_time(text: str) -> None:
    began = time.process_time()
    for ask in (numbers.plain, lambda text: numbers.add(text, "1"), lambda text: numbers.is_multiple(text, "0.1")):
        with pytest.raises(numbers.BadNumber):
            ask(text)
    assert time.process_time() - began < 1.0
