"""The tape: every trade once, in order, or a gap frame that says what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.joins import MOST_HELD
from exgate_core.models import Trade
from exgate_core.ring import MOST_BYTES, MOST_TRADES, Ring
from exgate_core.span import Span
from exgate_core.tape import Tape, TradeIds


def trades(*ids: int | str) -> list[Trade]:
    return [Trade(id=str(one), price="1.50", qty="2.0", time=1000, taker_side="sell") for one in ids]


def frames(tape: Tape, cursor: int = 0) -> list[dict[str, Any]]:
    found = []
    while cursor < tape.ring.end:
        frame, cursor = tape.ring.frame(cursor)
        found.append(json.loads(frame))
    return found


def ids(tape: Tape, cursor: int = 0) -> list[str]:
    return [trade["trade_id"] for frame in frames(tape, cursor) for trade in frame.get("trades", ())]


def gaps(tape: Tape) -> list[dict[str, Any]]:
    return [frame for frame in frames(tape) if frame.get("status") == "gap"]


def local(tape: Tape, limit: int) -> list[str] | None:
    found = tape.span.newest(limit)
    return None if found is None else [trade.id for trade in found[0]]


def test_repeats_and_disorder_of_counted_ids_are_put_right_beyond_2_to_53() -> None:
    big = 2**53
    tape = Tape("BTC/USDT", "contiguous")
    tape.take(trades(big))
    tape.take(trades(big + 2))
    assert tape.since == str(big)
    assert ids(tape) == [str(big)]
    tape.take(trades(big + 1, big + 1, big, big + 2))
    assert not tape.missing
    assert ids(tape) == [str(big), str(big + 1), str(big + 2)]
    assert json.loads(tape.ring.frame(0)[0])["trades"][1]["id"] == big + 1


def test_a_hole_is_filled_from_the_history_or_told() -> None:
    tape = Tape("BTC/USDT", "contiguous")
    tape.take(trades(1))
    tape.take(trades(5, 9))
    assert (tape.since, tape.waiting) == ("1", 2)
    tape.fill(trades(2, 3, 4, 5))
    assert ids(tape) == ["1", "2", "3", "4", "5"]
    tape.lose("the exchange keeps no more")
    assert ids(tape) == ["1", "2", "3", "4", "5", "9"]
    (gap,) = gaps(tape)
    assert (gap["after_id"], gap["before_id"], gap["desc"]) == ("5", "9", "the exchange keeps no more")
    assert not tape.missing
    assert local(tape, 1) == ["9"]
    assert local(tape, 2) is None, "the span begins anew behind a gap"


def test_what_ordered_ids_missed_in_a_cut_is_found_before_the_next_trade_goes_out() -> None:
    tape = Tape("BTC/USDT", "ordered", paged=True)
    tape.take(trades(10, 13))
    tape.cut()
    assert tape.missing
    tape.exhausted()
    assert not tape.take(trades(20))
    assert tape.fill(trades(15))
    assert ids(tape)[-1] == "15", "the page doesn't reach the live trade yet"
    tape.fill(trades(17, 20, 22))
    tape.take(trades(22, 25, 24))
    assert ids(tape) == ["10", "13", "15", "17", "20", "22", "24", "25"]
    assert not gaps(tape)


def test_opaque_ids_join_where_the_newest_page_shows_both_ends() -> None:
    tape = Tape("BTC/USDT")
    tape.take(trades("a", "b"))
    tape.take(trades("b", "c"))
    tape.cut()
    tape.take(trades("f"))
    tape.fill(trades("b", "c", "d", "e", "f"))
    assert ids(tape) == list("abcdef")
    tape.cut()
    tape.take(trades("z"))
    assert not tape.fill(trades("x", "y", "z"))
    tape.lose("beyond reach")
    assert ids(tape) == list("abcdefz")
    assert [(gap["after_id"], gap["before_id"]) for gap in gaps(tape)] == [("f", "z")]


def test_the_page_before_the_stream_is_where_it_follows_on() -> None:
    for kind in ("contiguous", "ordered", "opaque"):
        tape = Tape("BTC/USDT", kind, paged=True)
        tape.start(trades(1, 2, 3), asked=3)
        assert local(tape, 3) == ["1", "2", "3"]
        assert local(tape, 4) is None
        tape.take(trades(2, 3, 5))
        page = trades(4, 5) if kind != "opaque" else trades(3, 4, 5)
        tape.fill(page)
        assert not tape.missing
        assert ids(tape) == ["4", "5"], kind
        assert local(tape, 4) == ["2", "3", "4", "5"]


def test_what_is_older_than_the_page_before_the_stream_is_no_news() -> None:
    tape = Tape("BTC/USDT", "ordered", paged=True)
    tape.start(trades(50, 60), asked=2)
    tape.take(trades(40, 50, 60, 70))
    tape.fill(trades(70))
    assert ids(tape) == ["70"]


def test_trades_without_ids_all_go_out() -> None:
    tape = Tape("BTC/USDT")
    tape.start(trades("", ""), asked=2)
    tape.take(trades("", ""))
    tape.take(trades(""))
    assert ids(tape) == ["", "", ""]
    assert local(tape, 5) is None


def test_a_flood_that_waits_too_long_is_seen() -> None:
    tape = Tape("BTC/USDT", "contiguous")
    tape.take(trades(1))
    tape.take(trades(*range(3, MOST_HELD + 5)))
    assert tape.overfull
    tape.lose("too many")
    assert not tape.overfull


def test_frames_are_shared_capped_and_broken_by_notices() -> None:
    ring = Ring("BTC/USDT", 5000)
    ring.add([str(n) for n in range(2500)], [b"{}"] * 2500)
    ring.notice(b'"notice"')
    ring.add(["x", "y"], [b"1" * MOST_BYTES, b"2"])
    frame, cursor = ring.frame(0)
    assert cursor == MOST_TRADES
    assert ring.frame(0)[0] is frame
    cursors = []
    while cursor < ring.end:
        cursors.append(cursor)
        frame, cursor = ring.frame(cursor)
    assert cursors == [1000, 2000, 2500, 2501, 2502]
    assert ring.frame(2500)[0] == b'"notice"'


def test_the_ring_forgets_the_oldest_and_says_where_it_begins() -> None:
    ring = Ring("BTC/USDT", 10)
    for number in range(100):
        ring.add([str(number)], [b"{}"])
    assert ring.end == 100
    assert ring.end - 20 <= ring.first <= 90
    assert ring.after("99") == 100
    assert ring.after("1") is None
    assert ring.id_at(ring.first) == str(ring.first)
    assert ring.id_before(100) == "99"


def test_local_trades_grow_backwards_only_where_an_answer_overlaps() -> None:
    span = Span(capacity=10)
    assert span.newest(1) is None
    span.append(trades(5, 6))
    span.offer(trades(1, 2), asked=2)
    assert span.newest(3) is None
    span.offer(trades(3, 4, 5, 6, 7), asked=5)
    found = span.newest(3)
    assert found is not None
    assert [trade.id for trade in found[0]] == ["4", "5", "6"]
    assert [row["id"] for row in json.loads(found[1])["trades"]] == [4, 5, 6]
    assert span.newest(5) is None
    span.offer(trades(3, 4, 5, 6, 7), asked=6)
    assert len((span.newest(500) or ((),))[0]) == 4, "the exchange has no more either"


class Exchange:
    """A history that reaches back to the first trade, and a tape that follows it."""

    def __init__(self, kind: TradeIds, page: int) -> None:
        self.kind, self.page = kind, page
        self.past = trades(1)
        self.late: list[Trade] = []
        self.tape = Tape("X/Y", kind, paged=True)
        self.tape.start(self.past, asked=1)

    def trade(self, count: int) -> list[Trade]:
        step = 1 if self.kind == "contiguous" else count
        made = trades(*(int(self.past[-1].id) + step * n for n in range(1, count + 1)))
        self.past.extend(made)
        return made

    def history(self) -> Sequence[Trade]:
        if self.kind == "opaque":
            return self.past
        return [trade for trade in self.past if int(trade.id) > int(self.tape.since or 0)][: self.page]

    def catch_up(self) -> None:
        while self.tape.missing:
            if not self.tape.fill(self.history()):
                self.tape.exhausted()
                break

    def happen(self, fate: str, made: list[Trade]) -> None:
        if fate == "cut" or (fate == "lost" and self.kind != "contiguous"):
            self.tape.cut()  # Only counted ids show a loss within a living stream.
        if fate == "late" and self.kind == "contiguous":
            self.late = made
        elif fate == "repeat":
            self.tape.take([*made, *made[:1]])
            self.tape.take(made)
        elif fate != "lost":
            self.tape.take([*made, *self.late])
            self.late = []


FATES = ["live", "live", "lost", "repeat", "late", "cut"]


@pytest.mark.parametrize("kind", ["contiguous", "ordered", "opaque"])
@given(
    plan=st.lists(st.tuples(st.integers(1, 5), st.sampled_from(FATES), st.booleans()), max_size=40),
    page=st.integers(1, 7),
)
def test_under_any_mishap_nothing_is_missing_or_doubled(
    kind: TradeIds, plan: list[tuple[int, str, bool]], page: int
) -> None:
    exchange = Exchange(kind, page)
    for count, fate, quiet in plan:
        exchange.happen(fate, exchange.trade(count))
        if quiet:
            exchange.catch_up()
    exchange.tape.cut()
    exchange.catch_up()
    assert [int(one) for one in ids(exchange.tape)] == [int(trade.id) for trade in exchange.past[1:]]
    assert not gaps(exchange.tape)
    found = local(exchange.tape, 3)
    assert found is None or found == [trade.id for trade in exchange.past[-3:]]
