"""The book: what it serves is what the exchange holds, or it serves nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.book import CHECKSUMS, Book
from exgate_core.errors import Internal, Unavailable
from exgate_core.models import Depth, DepthDelta, Level


def book(bids: list[Level], asks: list[Level], sequence: int = 10, levels: int = 0, window: bool = False) -> Book:
    made = Book(levels=levels, window=window)
    assert made.reset(Depth(bids=bids, asks=asks, last_update_id=sequence, timestamp=5))
    return made


def delta(previous: int, sequence: int, bids: list[Level] | None = None, asks: list[Level] | None = None) -> DepthDelta:
    return DepthDelta(bids=bids or [], asks=asks or [], previous=previous, sequence=sequence, timestamp=sequence)


def test_the_exchanges_strings_come_out_best_first() -> None:
    made = book([("1.00", "3"), ("1.5", "0.10")], [("2.10", "1"), ("1.6000", "7.00")])
    assert made.top(5).bids == (("1.5", "0.10"), ("1.00", "3"))
    assert made.top(5).asks == (("1.6000", "7.00"), ("2.10", "1"))
    assert made.top(1).asks == (("1.6000", "7.00"),)
    assert (made.top(1).last_update_id, made.top(1).timestamp) == (10, 5)


def test_a_book_counts_its_states_and_keeps_the_exchanges_time() -> None:
    made = Book()
    assert (made.in_sync, made.sequence, made.timestamp, made.version) == (False, 0, 0, 0)
    assert made.fault == "no snapshot yet"
    assert made.reset(Depth(bids=[("1", "1")], asks=[("2", "1")], last_update_id=10, timestamp=5))
    assert (made.version, made.fault) == (1, "")
    assert made.apply(DepthDelta(bids=[("1", "2")], asks=[], previous=10, sequence=11))
    assert (made.version, made.timestamp, made.sequence) == (2, 5, 11), "a delta without a time changes none"
    assert made.apply(DepthDelta(bids=[], asks=[], previous=11, sequence=12, timestamp=6))
    assert (made.version, made.timestamp) == (3, 6)
    made.invalidate("its stream ended")
    assert (made.version, made.in_sync, made.fault) == (4, False, "its stream ended")


def test_prices_that_no_float_tells_apart_stay_two_levels() -> None:
    made = book([("12345678901.123456781", "1"), ("12345678901.123456782", "2")], [])
    assert made.top(9).bids == (("12345678901.123456782", "2"), ("12345678901.123456781", "1"))
    tiny = "0." + "0" * 23
    assert book([(tiny + "1", "1"), (tiny + "20", "1")], []).top(1).bids == ((tiny + "20", "1"),)


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00000000", "00.0"])
def test_zero_in_any_spelling_removes_and_another_spelling_of_a_price_is_the_same_level(zero: str) -> None:
    made = book([("1.50", "1"), ("1.4", "2")], [("2", "1")])
    assert made.apply(delta(10, 11, [("1.5", zero), ("1.40", "9"), ("1.3", zero)]))
    assert made.top(9).bids == (("1.40", "9"),)
    assert made.top(9).timestamp == 11


def test_old_deltas_are_dropped_and_the_first_may_overlap() -> None:
    made = book([("1", "1")], [("2", "1")])
    assert made.apply(delta(7, 9, [("1", "0")]))
    assert made.apply(delta(8, 10, [("1", "0")]))
    assert made.top(1).bids == (("1", "1"),)
    assert made.apply(delta(9, 12, [("1", "4")]))
    assert made.top(1).bids == (("1", "4"),)
    assert not made.apply(delta(11, 13, [("1", "5")]))
    assert not made.in_sync


def test_a_gap_breaks_until_the_next_snapshot() -> None:
    made = book([("1", "1")], [("2", "1")])
    assert made.encoded(1) is made.encoded(1)
    assert not made.apply(delta(11, 12))
    assert "gap" in made.fault
    with pytest.raises(Unavailable, match="gap"):
        made.encoded(1)
    assert not made.apply(delta(10, 11))
    assert not made.covers(1)
    with pytest.raises(Unavailable, match="gap"):
        made.top(1)
    assert made.reset(Depth(bids=[("1", "8")], asks=[], last_update_id=20))
    assert made.top(1).bids == (("1", "8"),)


@pytest.mark.parametrize("ask", ["1.0", "0.9"])
def test_crossed_and_locked_books_are_broken(ask: str) -> None:
    made = book([("1", "1")], [("2", "1")])
    assert not made.apply(delta(10, 11, asks=[(ask, "1")]))
    assert "cross" in made.fault
    assert not made.reset(Depth(bids=[("1", "1")], asks=[(ask, "1")]))


@pytest.mark.parametrize("price", ["", "1e5", "-1", "nan", ".", "1.2.3", "1_0", "٣", "0." + "1" * 25])
def test_a_price_that_is_no_plain_number_breaks(price: str) -> None:
    made = book([("1", "1")], [("2", "1")])
    assert not made.apply(delta(10, 11, [(price, "1")]))
    assert not made.in_sync


def test_a_stream_that_counts_anew_does_not_leave_an_old_book_standing() -> None:
    made = book([("1", "1")], [("2", "1")], sequence=1_000_000)
    taken = 0
    while made.apply(delta(taken, taken + 1, [("1", "2")])):
        taken += 1
    assert taken <= 1000
    unnumbered = book([("1", "1")], [("2", "1")], sequence=7)
    assert not unnumbered.apply(delta(0, 0, [("1", "2")]))


def test_two_hundred_old_deltas_in_a_row_are_passed_over_and_one_more_breaks() -> None:
    made = book([("1", "1")], [("2", "1")], sequence=1000)
    for after in (1000, 1001):
        assert all(made.apply(delta(1, 2)) for _ in range(200))
        assert made.apply(delta(after, after + 1)), "one that follows starts the count anew"
    assert all(made.apply(delta(1, 2)) for _ in range(200))
    assert not made.apply(delta(1, 2))


def test_streams_without_sequence_numbers_and_idle_deltas_follow() -> None:
    made = book([("1", "1")], [("2", "1")], sequence=0)
    assert made.apply(delta(0, 0, [("1", "2")]))
    assert made.top(1).bids == (("1", "2"),)
    idle = book([("1", "1")], [("2", "1")])
    assert idle.apply(delta(10, 10))
    assert idle.apply(delta(10, 4, [("1", "2")])), "a count that starts anew and names where it follows"
    assert idle.sequence == 4


def test_levels_beyond_the_snapshot_are_not_certain() -> None:
    made = book([("9", "1"), ("8", "1")], [("10", "1"), ("11", "1")], levels=2)
    assert made.covers(2)
    assert not made.covers(3)
    assert made.apply(delta(10, 11, [("5", "1"), ("9", "0")], [("10.5", "1")]))
    assert made.covers(1)
    assert not made.covers(2), "between 8 and 5 there may be levels that nobody named"
    assert made.top(5).bids == (("8", "1"),)
    assert made.top(5).asks == (("10", "1"), ("10.5", "1"), ("11", "1"))


def test_a_window_that_is_just_full_is_known_whole_and_one_that_overflowed_is_not() -> None:
    made = book([("9", "1")], [], levels=2, window=True)
    assert made.apply(delta(10, 11, [("8", "1")]))
    assert made.covers(500)
    assert made.apply(delta(11, 12, [("7", "1")]))
    assert not made.covers(3)
    assert made.top(500).bids == (("9", "1"), ("8", "1"))


def test_where_nobody_told_how_many_levels_there_are_no_more_than_these_are_certain() -> None:
    made = Book()
    assert made.reset(Depth(bids=[("9", "1"), ("8", "1")], asks=[("10", "1"), ("11", "1")], last_update_id=10))
    assert made.covers(2)
    assert not made.covers(3)
    assert made.apply(delta(10, 11, [("7", "1")]))
    assert made.top(9).bids == (("9", "1"), ("8", "1"))


@pytest.mark.parametrize(("name", "counted"), [("crc32-okx", 25), ("crc32-kraken", 10)])
def test_a_checksum_is_over_so_many_levels_a_side(name: str, counted: int) -> None:
    bids = [(str(price), "1.5") for price in range(60, 30, -1)]
    asks = [(str(price), "2.5") for price in range(61, 91)]
    right = CHECKSUMS[name](bids[:counted], asks[:counted])
    assert Book(name).reset(Depth(bids=bids, asks=asks, checksum=right))
    assert right not in [CHECKSUMS[name](bids[:less], asks[:less]) for less in range(counted)]
    assert not Book(name).reset(Depth(bids=bids[1:], asks=asks, checksum=right))
    assert Book(name).reset(Depth(bids=bids[1:], asks=asks)), "no checksum came, none is checked"
    assert Book("").reset(Depth(bids=bids, asks=asks, checksum="1")), "none is known, none is checked"


def test_a_side_shorter_than_asked_is_known_whole() -> None:
    made = book([("9", "1")], [("10", "1")], levels=2)
    assert made.covers(500)
    assert made.apply(delta(10, 11, [("5", "1"), ("4", "1"), ("9", "0")]))
    assert made.covers(500)
    assert made.top(9).bids == (("5", "1"), ("4", "1"))


def test_a_window_drops_what_falls_out_and_waits_for_what_comes_in() -> None:
    made = book([("9", "1"), ("8", "1")], [("10", "1"), ("11", "1")], levels=2, window=True)
    assert made.apply(delta(10, 11, [("9.5", "1")]))
    assert made.top(5).bids == (("9.5", "1"), ("9", "1"))
    assert made.apply(delta(11, 12, [("9.5", "0")]))
    assert made.top(5).bids == (("9", "1"),)
    assert not made.covers(2)
    assert made.apply(delta(12, 13, [("8", "3")]))
    assert made.covers(2)
    assert made.apply(delta(13, 14, [("8", "0"), ("7", "1")]))  # what came in lies beyond the snapshot's worst level
    assert made.covers(2)
    short = book([("9", "1")], [("10", "1")], levels=2, window=True)
    assert short.covers(2)
    assert short.apply(delta(10, 11, [("8", "1"), ("7", "1")]))
    assert short.apply(delta(11, 12, [("9", "0")]))
    assert not short.covers(2)


def test_the_checksums_of_krakens_and_okxs_own_examples() -> None:
    asks = (
        "45285.2 0.00100000 45286.4 1.54571953 45286.6 1.54571109 45289.6 1.54560911 45290.2 0.15890660 "
        "45291.8 1.54553491 45294.7 0.04454749 45296.1 0.35380000 45297.5 0.09945542 45299.5 0.18772827 45300.0 1"
    )
    bids = (
        "45283.5 0.10000000 45283.4 1.54582015 45282.1 0.10000000 45281.0 0.10000000 45280.3 1.54592586 "
        "45279.0 0.07990000 45277.6 0.03310103 45277.5 0.30000000 45277.3 1.54602737 45276.6 0.15445238"
    )
    assert CHECKSUMS["crc32-kraken"](pairs(bids), pairs(asks)) == "3310070434"
    assert CHECKSUMS["crc32-okx"](pairs("3366.1 7 3366 6"), pairs("3366.8 9 3368 8")) == "-1881014294"
    assert CHECKSUMS["crc32-okx"](pairs("3366.1 7"), pairs("3366.8 9 3368 8 3372 8")) == "831078360"


def pairs(text: str) -> list[Level]:
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


def test_a_wrong_checksum_breaks() -> None:
    bids, asks = [("1.0", "2")], [("1.1", "3")]
    right = CHECKSUMS["crc32-kraken"](bids, asks)
    made = Book("crc32-kraken")
    assert made.reset(Depth(bids=bids, asks=asks, checksum=right))
    assert not made.apply(DepthDelta(bids=[("1.0", "2.5")], asks=[], previous=0, sequence=0, checksum=right))
    assert "checksum" in made.fault
    with pytest.raises(Internal, match="crc32-okx"):
        Book("crc33")


def test_answers_are_made_once_per_version() -> None:
    made = book([("1", "1")], [("2", "1")])
    body = made.encoded(5)
    assert made.encoded(5) is body
    assert made.top(5) is made.top(5)
    assert json.loads(body)["bid_list"][0]["bid"] == [{"price": "1", "amount": "1"}]
    assert made.apply(delta(10, 11, [("1", "2")]))
    assert json.loads(made.encoded(5))["bid_list"][0]["bid"] == [{"price": "1", "amount": "2"}]


changes = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), max_size=4)
Rows = list[tuple[int, int]]


def split(rows: Rows) -> tuple[list[Level], list[Level]]:
    """Even prices are bids, odd ones asks, 100 higher and spelled with a point."""
    bids = [(str(price), str(amount)) for price, amount in rows if price % 2 == 0]
    return bids, [(f"{100 + price}.{'0' * (amount + 1)}", str(amount)) for price, amount in rows if price % 2]


def best(state: dict[int, int], limit: int) -> tuple[list[Level], list[Level]]:
    rows = sorted((price, amount) for price, amount in state.items() if amount)
    bids, asks = split(rows)
    return bids[::-1][:limit], asks[:limit]


def numbers(side: Sequence[Level]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(amount)) for price, amount in side]


@given(
    start=changes,
    steps=st.lists(st.tuples(changes, st.sampled_from(["send", "drop", "repeat", "swap", "corrupt"])), max_size=30),
    limit=st.integers(1, 40),
    levels=st.sampled_from([2, 100]),
)
def test_under_any_mishap_the_book_equals_the_model_or_is_unreadable(
    start: Rows, steps: list[tuple[Rows, str]], limit: int, levels: int
) -> None:
    states = {1: dict(start)}
    bids, asks = best(states[1], levels)
    made = Book(levels=levels)
    assert made.reset(Depth(bids=bids, asks=asks, last_update_id=1))
    late: list[DepthDelta] = []
    for number, (rows, fate) in enumerate(steps, start=2):
        states[number] = {**states[number - 1], **dict(rows)}
        bids, asks = split(list(dict(rows).items()))
        sent = DepthDelta(
            bids=[*bids, ("x", "1")] if fate == "corrupt" else bids, asks=asks, previous=number - 1, sequence=number
        )
        arriving = {"drop": [], "swap": [], "repeat": [sent, sent]}.get(fate, [sent])
        for item in [*arriving, *late]:
            made.apply(item)
            if made.covers(limit):
                bids, asks = best(states[made.sequence], limit)
                assert numbers(made.top(limit).bids) == numbers(bids)
                assert numbers(made.top(limit).asks) == numbers(asks)
        late = [sent] if fate == "swap" else []
