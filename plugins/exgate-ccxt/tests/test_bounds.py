"""Numbers that nobody may compute with never reach ccxt; texts that only look a little like them do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from exgate_ccxt.bounds import Boundless, may_be_boundless, unpacked
from exgate_ccxt.exact import decode
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("ccxt")

BOMBS = Path(__file__).parent / "proofs" / "ccxt_bombs.py"
LONG = "7" * 100_000


def test_no_answer_with_a_boundless_number_is_computed_with() -> None:
    """In a process of its own, which is ended if it hangs: this one would hang for good."""
    asked = subprocess.run(
        [sys.executable, BOMBS, "--short", "bybit", "htx"], capture_output=True, text=True, timeout=60
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr


SIGNS, BLANKS, SCRIPTS = st.sampled_from(["", "-", "+"]), st.sampled_from(["", " ", "\n", "\u00a0"]), (0, 0x660 - 0x30)


@st.composite
def spelt(draw: st.DrawFn, size: st.SearchStrategy[int]) -> str:
    """An integer as Python reads it: signs, leading zeros, underscores, digits of another script, blanks around."""
    digits = "0" * draw(st.integers(0, 20)) + str(draw(size))
    script = draw(st.sampled_from(SCRIPTS))
    digits = draw(st.sampled_from(["", "_"])).join(chr(ord(digit) + script) for digit in digits)
    return draw(BLANKS) + draw(SIGNS) + digits + draw(BLANKS)


def precise(text: str) -> None:
    """Read a text as ccxt's ``Precise`` does, without computing. Raises ValueError where that finds no number."""
    mantissa, exponent = text.lower().split("e")
    int(exponent)
    int(mantissa.replace(".", ""))


@st.composite
def pointed(draw: st.DrawFn) -> str:
    """An integer with points anywhere in it, which ``Precise`` takes out."""
    text = draw(spelt(st.integers(0, 10**30))).rstrip()
    for at in draw(st.lists(st.integers(0, len(text)), max_size=3)):
        text = f"{text[:at]}.{text[at:]}"
    return text


@given(pointed(), st.sampled_from("eE"), spelt(st.integers(201, 10**12)), st.booleans())
@example("1", "e", "0000000000000999", False)
@example("..1", "e", "999999999", False)
@example(".-1.", "e", "999999999", False)
def test_a_large_exponent_is_found_however_it_is_spelt(
    mantissa: str, letter: str, exponent: str, escaped: bool
) -> None:
    text = mantissa + letter + exponent
    precise(text)
    for value in ([text], {text: 1}, {"price": text}, [[f"buy {text} XBTUSD @ limit 2"]], {"fee": json.dumps([text])}):
        with pytest.raises(Boundless):
            decode(json.dumps(value, ensure_ascii=escaped))


@given(spelt(st.integers(0, 10**30)), st.sampled_from("eE"), spelt(st.integers(0, 200)))
def test_a_small_one_is_left_as_it_is(mantissa: str, letter: str, exponent: str) -> None:
    text = mantissa.rstrip() + letter + exponent
    assert decode(json.dumps({"price": text, text: [text]})) == {"price": text, text: [text]}


@pytest.mark.parametrize("number", ["1e201", "1E-201", "1.5e+999999999", LONG, f"0.{LONG}", f"-{LONG}.5", "1" * 401])
def test_numbers_of_json_are_bounded_too(number: str) -> None:
    with pytest.raises(Boundless):
        decode(f'{{"data":[[{number},1]]}}')
    with pytest.raises(Boundless):
        decode(f'{{"data":[["{number}",1]]}}')


@pytest.mark.parametrize(
    "value",
    [
        {"orderId": "5135027039116732e1235916"},
        {"cancelledOrderIds": ["5135027039116732e1235916"], "client-order-id": "1e99999", "txid": ["1234e5678"]},
        {"note": "." * 200_000, "more": "..-" * 50_000},
        {"hash": "f" * 500, "note": "ab" * 400},
        {"id": "a0eebc99-9c0b-4ef8-8b6d-5678e9012345", "name": "a0eebc99-9c0b-4ef8-8b6d-5678e9012345"},
        {"text": "t-1e999", "other": "x1e999", "more": "1e999x", "path": "C:\\1e5"},
        {"price": "9" * 400, "amount": "0." + "0" * 300 + "1", "size": "1e200", "small": "1e-200"},
        [10**399, "\u20ac 12e3", "1,000.00"],
    ],
)
def test_what_is_no_such_number_is_kept(value: object) -> None:
    assert decode(json.dumps(value)) == value


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    )
)
def test_whatever_may_hold_none_holds_none(value: object) -> None:
    """What is judged by its bytes alone is what would have been judged well."""
    body = json.dumps([value], ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        found = decode(body)
    except ValueError:
        return
    assert found == [value]


def test_an_answer_without_them_is_not_gone_through() -> None:
    rows = [["64000.12000000", "0.00100000", 1_700_000_000_000, "6.37E-6", 1.5e-08]] * 100
    assert not may_be_boundless(json.dumps({"bids": rows, "time": "2026-07-21T10:00:00.000Z"}).encode())


def test_answers_within_answers_end() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        decode("[" * 100_000)


def test_a_packed_frame_is_unpacked_up_to_a_size() -> None:
    assert unpacked(gzip.compress(b'{"ping":1}'), bare=False) == b'{"ping":1}'
    assert unpacked(zlib.compress(b'{"ping":1}')[2:-4], bare=True) == b'{"ping":1}'
    with pytest.raises(ValueError, match="more than"):
        unpacked(gzip.compress(bytes(80 * 1024 * 1024), 1), bare=False)
    with pytest.raises(ValueError, match="can't be unpacked"):
        unpacked(b"no such thing", bare=False)
