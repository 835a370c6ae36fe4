"""The fault matrix as data: faults, operations, and what asserts that the worst never happens. No test is run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

COLUMNS: Final = ("place_order", "cancel", "balances, pending_orders", "depth, recent_trades", "pull_trade")


class Cell(Struct, frozen=True, kw_only=True):
    """One fault on one kind of operation."""

    cases: tuple[str, ...] = ()
    """Of the author's kit: a case with all its variants, or one variant."""
    tests: tuple[str, ...] = ()
    """Of the core: what they assert holds whatever the adapter is."""
    tests_for: Mapping[str, tuple[str, ...]] = {}
    """More for one way, by the last word of its name."""
    absent: str = ""
    """Why the fault can't strike this operation, whatever the way."""
    absent_for: Mapping[str, str] = {}
    """The same for one way, by the last word of its name."""

    def tests_of(self, way: str, column: str) -> tuple[str, ...]:
        """All tests that count for a way: those of the core's client only where it is used."""
        kind = way.rpartition(" ")[2]
        other = kind == "paper" or (kind == "ccxt" and column == "pull_trade")
        shared = tuple(test for test in self.tests if not (other and test.startswith("tests/test_client")))
        return shared + self.tests_for.get(kind, ())


class Fault(Struct, frozen=True, kw_only=True):
    """One row."""

    id: str
    what: str
    never: str
    cells: Mapping[str, Cell]
    """One per column."""


PAPER: Final = "the exchange lives in this process: there is no wire"
ORDERS, FAILED, CANCELS = (
    "tests/test_orders.py::test_",
    "tests/test_orders_failures.py::test_",
    "tests/test_cancels.py::test_",
)
CLIENT, HTTP, FRAMES = (
    "tests/test_client.py::test_",
    "tests/test_client_http.py::test_",
    "tests/test_client_frames.py::test_",
)
FEEDS, READS, GATEWAY = "tests/test_feeds.py::test_", "tests/test_reads.py::test_", "tests/test_gateway.py::test_"
STREAMS, BOOK, JOURNAL = "tests/test_streams.py::test_", "tests/test_book.py::test_", "tests/test_journal.py::test_"
_CCXT_KIT = "plugins/exgate-ccxt/tests/test_conformance.py::test_"
CCXT = "plugins/exgate-ccxt/tests/test_private_orders.py::test_"


def asserted(*names: str) -> Cell:
    """By cases (``C51[drop]``) and by tests of the core."""
    return Cell(
        cases=tuple(name for name in names if "::" not in name), tests=tuple(name for name in names if "::" in name)
    )


def wire(*names: str) -> Cell:
    """The same, but for paper, which has no wire."""
    return Cell(cases=asserted(*names).cases, tests=asserted(*names).tests, absent_for={"paper": PAPER})


def absent(why: str) -> Cell:
    """No way has it."""
    return Cell(absent=why)


def _row(number: int, what: str, never: str, cells: Sequence[Cell]) -> Fault:
    return Fault(id=f"F{number}", what=what, never=never, cells=dict(zip(COLUMNS, cells, strict=True)))


def _kinds(*kinds: str) -> Sequence[Cell]:
    """What befalls an answer: sends, cancels, questions of both kinds."""

    def of(*cases: str) -> Cell:
        return asserted(*(f"{case}{kind}]" for case in cases for kind in kinds))

    return (
        of("C50[", "C51["),
        of("C57[", "C58["),
        of("C20[balances-", "C20[pending_orders-"),
        of("C20[depth-", "C20[recent_trades-"),
    )


_NO_ORDER = absent("it happens to orders alone")
_NO_BOOK = absent("it happens to copies and streams alone")

FAULTS: Final[Sequence[Fault]] = (
    _row(
        1,
        "no connection, no name, no TLS",
        "an order counted as unknown; a hang beyond the deadline",
        (
            wire("C98[place_order]", HTTP + "a_name_that_is_never_found_is_not_sent"),
            wire("C98[cancel_order]", HTTP + "a_handshake_that_never_ends_is_not_sent"),
            wire("C98[balances]", CLIENT + "nothing_to_connect_to_is_not_sent"),
            wire("C98[depth]", READS + "neither_copy_nor_exchange_is_unavailable_with_the_age"),
            wire("C77", CLIENT + "no_websocket_there_is_not_sent"),
        ),
    ),
    _row(2, "no answer after the send", "a second POST", (*_kinds("hang"), asserted("C78"))),
    _row(3, "the connection drops after the send", "a second POST", (*_kinds("drop"), asserted("C73"))),
    _row(4, "half an answer", "a refusal of an order that was placed", (*_kinds("cut", "truncated"), wire("C76"))),
    _row(
        5,
        "200 with HTML, nothing, null, another shape",
        "200 without an order id; an empty book or list that isn't",
        (*_kinds("html", "empty", "null", "blank"), wire("C76", "C84[malformed]")),
    ),
    _row(
        6,
        "200 without an order id",
        "200 with an empty id",
        (
            asserted("C51[blank]", ORDERS + "an_order_that_is_not_there_is_never_called_placed_or_unknown"),
            *[absent("only the answer to an order names a new id")] * 4,
        ),
    ),
    _row(
        7,
        "500, 502, 503, 504",
        "a retry of an order; a refusal",
        (*_kinds("error_500", "error_502", "error_503", "error_504"), wire("C77")),
    ),
    _row(
        8,
        "the exchange says that it doesn't know",
        "a refusal",
        (
            Cell(
                cases=("C25[place_order]",),
                tests=(ORDERS + "while_the_exchange_cannot_be_asked_the_outcome_is_unknown_and_found_later",),
                tests_for={"ccxt": (CCXT + "what_proves_nothing_stays_unknown",)},
            ),
            Cell(
                cases=("C25[cancel_order]",),
                tests=(CANCELS + "a_cancel_that_nobody_can_look_up_is_unknown",),
                tests_for={"ccxt": (CCXT + "what_proves_nothing_stays_unknown",)},
            ),
            wire("C23", CLIENT + "what_a_status_means"),
            wire("C23", CLIENT + "what_a_status_means"),
            absent("streams have no outcome"),
        ),
    ),
    _row(
        9,
        "429, 418, the exchange's own limit",
        "a request during a ban; an order called unknown that was turned away",
        (
            asserted("C55", "C90", CLIENT + "after_too_many_requests_nothing_leaves"),
            asserted("C59", CLIENT + "after_too_many_requests_nothing_leaves"),
            asserted(
                "C21[balances]",
                "C21[pending_orders]",
                "C22[balances]",
                CLIENT + "after_too_many_requests_nothing_leaves",
            ),
            asserted(
                "C21[depth]", "C21[recent_trades]", "C22[depth]", CLIENT + "after_too_many_requests_nothing_leaves"
            ),
            asserted(
                "C79[too_many]",
                FRAMES + "too_many_connections_close_the_budget",
                CLIENT + "a_hundred_callers_do_not_knock_a_hundred_times",
            ),
        ),
    ),
    _row(
        10,
        "403 from a wall in front of the exchange",
        "a refusal without proof; hammering",
        (*_kinds("error_403"), wire("C77")),
    ),
    _row(
        11,
        "the exchange refuses for a reason",
        "5xx; unknown",
        (
            asserted("C41"),
            asserted("C62", "C63[unknown]", "C63[filled]", "C63[canceled]"),
            *[absent("questions name nothing that could be refused")] * 2,
            absent("a market is looked up before a stream is opened"),
        ),
    ),
    _row(
        12,
        '"duplicate client order id"',
        "a new id and a second send",
        (asserted("C42", ORDERS + "yesterdays_order_with_the_same_id_is_not_todays"), *[_NO_ORDER] * 4),
    ),
    _row(
        13,
        "the exchange's clock differs",
        "an order in doubt; a wider window in silence",
        (
            wire("C44", "C49"),
            wire("C49"),
            wire("C49"),
            absent("public questions carry no time"),
            absent("public streams carry no time"),
        ),
    ),
    _row(
        14,
        "a wrong key, secret or passphrase",
        "the key in a text; an unknown outcome",
        (
            wire("C43", "C95"),
            wire("C43", "C95"),
            wire("C43", "C95"),
            wire("C43"),
            absent("public streams need no keys"),
        ),
    ),
    _row(
        15,
        "the same key twice, at once",
        "two sends",
        (
            asserted("C46", ORDERS + "a_hundred_parallel_requests_with_one_key_are_one_order"),
            asserted("C63[canceled]"),
            *[absent("questions may be asked twice")] * 2,
            absent("streams may be opened twice"),
        ),
    ),
    _row(
        16,
        "the same key, another order",
        "a send",
        (asserted(ORDERS + "another_order_under_a_used_key_is_refused"), *[_NO_ORDER] * 4),
    ),
    _row(
        17,
        "the caller leaves",
        "a lost record",
        (
            asserted("C56", FAILED + "a_client_that_leaves_cuts_nothing"),
            asserted(CANCELS + "a_caller_who_leaves_cuts_no_cancel"),
            asserted(READS + "a_caller_who_leaves_takes_nothing_from_the_others", "C91[depth]"),
            asserted(READS + "a_caller_who_leaves_takes_nothing_from_the_others", "C91[depth]", "C91[recent_trades]"),
            asserted("C91[pull_trade]", STREAMS + "a_client_that_left_ends_a_quiet_stream"),
        ),
    ),
    _row(
        18,
        "SIGTERM while it is under way",
        "a cut between send and record",
        (
            asserted(
                GATEWAY + "a_stop_waits_for_orders_in_flight_and_every_answer_is_true",
                "tests/test_server.py::test_a_stop_waits_for_the_order_in_flight_and_says_so_meanwhile",
            ),
            asserted(FAILED + "draining_waits_for_a_cancel_under_way"),
            asserted("C92"),
            asserted("C92"),
            asserted(GATEWAY + "a_stop_closes_every_stream_with_1012"),
        ),
    ),
    _row(
        19,
        "kill -9 at any point",
        "an order lost or doubled",
        (
            asserted(
                FAILED + "a_start_decides_what_the_last_run_left",
                JOURNAL + "what_the_disk_holds_while_the_process_lives_survives_a_kill",
                FAILED + "when_the_adapter_is_called_the_disk_already_says_that_it_may_have_been",
            ),
            asserted("C63[canceled]", CANCELS + "a_cancel_takes_the_symbol_from_the_journal_or_asks_for_it"),
            absent("nothing is kept of questions"),
            asserted("C13", READS + "tolerance_zero_and_not_local_always_ask_the_exchange"),
            asserted(FEEDS + "since_id_goes_on_where_the_reader_was", FEEDS + "since_id_beyond_reach_is_a_gap"),
        ),
    ),
    _row(
        20,
        "the disk is full",
        "a send without an intent",
        (
            asserted(
                FAILED + "without_the_journal_nothing_is_sent",
                GATEWAY + "while_the_journal_cant_be_written_nothing_is_sent",
                JOURNAL + "a_disk_that_is_full_amid_a_batch_leaves_none_of_it",
            ),
            asserted(
                CANCELS + "a_cancel_goes_out_without_the_journal_and_while_draining",
                JOURNAL + "a_disk_that_fails_takes_no_reads_along",
            ),
            *[absent("nothing is written for questions")] * 2,
            absent("nothing is written for streams"),
        ),
    ),
    _row(
        21,
        "the adapter raises whatever it likes",
        "the process dies; an order called refused after its send",
        (
            asserted(FAILED + "a_bug_before_the_send_is_internal_and_after_it_unknown"),
            asserted(CANCELS + "a_cancel_answered_with_nonsense_is_looked_up"),
            asserted(GATEWAY + "exchanges_that_hang_or_break_are_alone_with_it"),
            asserted(GATEWAY + "exchanges_that_hang_or_break_are_alone_with_it"),
            asserted(FEEDS + "no_exception_of_a_stream_gets_out_and_pauses_stay_within_thirty_seconds"),
        ),
    ),
    _row(
        22,
        "the adapter never returns, or holds the loop",
        "others stall; nobody knows who it was",
        (
            asserted("C51[hang]", "tests/test_watchdog.py::test_a_served_gateway_says_which_plugin_it_was"),
            asserted("C58[hang]", "tests/test_watchdog.py::test_who_holds_the_loop_is_named_and_when_it_is_over"),
            asserted("C20[balances-hang]", GATEWAY + "exchanges_that_hang_or_break_are_alone_with_it"),
            asserted("C20[depth-hang]", GATEWAY + "exchanges_that_hang_or_break_are_alone_with_it"),
            asserted("C78", FEEDS + "a_stream_that_never_says_a_word_is_opened_anew"),
        ),
    ),
    _row(
        23,
        "an answer byte by byte",
        "a deadline that begins anew with each byte",
        (
            *[wire(HTTP + "the_deadline_covers_what_never_becomes_an_answer", CLIENT + "no_answer_in_time")] * 4,
            wire(FRAMES + "a_handshake_has_a_deadline", "C78"),
        ),
    ),
    _row(
        24,
        "an endless answer, a packed bomb",
        "memory without end",
        (
            *[
                wire(
                    HTTP + "a_packed_bomb_is_refused_before_it_is_unpacked",
                    HTTP + "an_endless_answer_is_cut_and_keeps_no_memory",
                )
            ]
            * 4,
            Cell(
                absent_for={"paper": PAPER},
                tests=(FRAMES + "a_message_without_end_is_cut_soon",),
                tests_for={"ccxt": (f"{_CCXT_KIT}a_frame_without_end_ends_the_stream",)},
            ),
        ),
    ),
    _row(
        25,
        "a redirect",
        "a key at another origin",
        (*_kinds("redirect"), absent("public streams carry no keys")),
    ),
    _row(
        26,
        "a hole in the book, a wrong checksum, a crossed book",
        "such a book shown as the local one",
        (
            *[_NO_BOOK] * 3,
            asserted(
                "C81",
                "C82",
                "C84",
                "C110",
                BOOK + "crossed_and_locked_books_are_broken",
                BOOK + "a_gap_breaks_until_the_next_snapshot",
                BOOK + "a_wrong_checksum_breaks",
            ),
            absent("it happens to books alone"),
        ),
    ),
    _row(
        27,
        "a copy that is older than was tolerated",
        "a stale 200",
        (
            *[_NO_BOOK] * 3,
            asserted(
                "C83",
                "C85",
                READS + "quiet_is_not_stale_and_silent_is",
                READS + "neither_copy_nor_exchange_is_unavailable_with_the_age",
            ),
            absent("a stream shows nothing old as new: F28"),
        ),
    ),
    _row(
        28,
        "a stream is opened again",
        "a missing or doubled trade without a gap frame",
        (
            *[_NO_BOOK] * 3,
            asserted("C83", READS + "trades_are_not_local_from_a_cut_until_it_is_filled"),
            asserted(
                "C73",
                "C77",
                "C79",
                FEEDS + "many_cuts_lose_and_double_nothing",
                FEEDS + "what_the_history_does_not_hold_is_told_with_its_bounds",
            ),
        ),
    ),
    _row(
        29,
        "two connections take turns",
        "a gap at the change",
        (
            *[_NO_BOOK] * 3,
            asserted("C83", "C89"),
            asserted(
                "C73",
                CLIENT + "an_old_connection_is_replaced_with_overlap",
                CLIENT + "a_replacement_cut_during_the_overlap_is_tried_again",
            ),
        ),
    ),
    _row(
        30,
        "out of order, repeated, ids above 2^53",
        "loss by rounding; a double",
        (
            *[_NO_BOOK] * 3,
            asserted(
                "C12", "tests/test_tape.py::test_repeats_and_disorder_of_counted_ids_are_put_right_beyond_2_to_53"
            ),
            asserted("C75", "C74", "tests/test_tape.py::test_under_any_mishap_nothing_is_missing_or_doubled"),
        ),
    ),
    _row(
        31,
        "a slow reader",
        "others that wait for it",
        (
            *[absent("each answer goes to one caller")] * 4,
            asserted(
                STREAMS + "a_stalled_reader_delays_nobody_and_is_dropped",
                FEEDS + "one_stalled_and_one_slow_reader_among_a_hundred_cost_the_others_nothing",
            ),
        ),
    ),
    _row(
        32,
        "this machine's clock jumps",
        "mass timeouts; an age below zero; a key that is forgotten",
        [asserted("C99", GATEWAY + "no_jump_of_the_clock_makes_a_key_send_again"), *[asserted("C99")] * 4],
    ),
    _row(
        33,
        "the name leads to another host",
        "plain text; a key at a stranger's",
        (
            *[wire("tests/test_client_tls.py::test_only_the_server_that_the_authority_names_is_told_anything")] * 4,
            Cell(
                absent_for={"paper": PAPER},
                tests=("tests/test_client_tls.py::test_only_the_server_that_the_authority_names_is_told_anything",),
                tests_for={"ccxt": (f"{_CCXT_KIT}a_stranger_with_a_certificate_of_his_own_is_told_nothing",)},
            ),
        ),
    ),
    _row(
        34,
        "two processes",
        "a key that only one of them knows",
        (
            *[asserted(JOURNAL + "only_one_gateway_holds_the_file")] * 2,
            *[absent("copies belong to the process that shows them")] * 3,
        ),
    ),
    _row(
        35,
        "a hundred callers while the exchange is down",
        "more than 1.1 times the requests",
        (
            asserted(
                "C51[drop]", "C90", CLIENT + "an_exchange_that_drops_everything_is_hardly_asked_more_than_callers_ask"
            ),
            asserted("C90", CLIENT + "an_exchange_that_drops_everything_is_hardly_asked_more_than_callers_ask"),
            wire(CLIENT + "an_exchange_that_drops_everything_is_hardly_asked_more_than_callers_ask"),
            asserted(
                CLIENT + "an_exchange_that_drops_everything_is_hardly_asked_more_than_callers_ask",
                READS + "callers_share_a_question_only_if_it_starts_after_they_asked",
            ),
            asserted(FEEDS + "recovery_is_fast_and_pauses_grow_with_full_jitter"),
        ),
    ),
    _row(
        36,
        "a number that nobody may compute with",
        "a gateway that stands still; the number told; an order called refused",
        (
            wire("C100[place_order]"),
            wire("C100[cancel_order]"),
            wire("C100[balances]", "C100[pending_orders]", "C100[find_order]"),
            wire("C100[depth]", "C100[recent_trades]"),
            wire("C107"),
        ),
    ),
    _row(
        37,
        "thirty more answers that are none",
        "500; a value made of them; a refusal without the exchange's own words",
        (
            wire("C101[place_order]", "C105"),
            wire("C101[cancel_order]"),
            wire("C101[balances]", "C101[pending_orders]", "C101[find_order]"),
            wire("C101[depth]", "C101[recent_trades]"),
            wire("C76"),
        ),
    ),
    _row(
        38,
        "this machine's clock is wrong: -2 h, +10 min, +2 h, 31 days",
        "a placed order called refused; a clock that nobody is told of",
        (
            wire(
                "C102",
                "tests/test_orders_clocks.py::test_whatever_clocks_and_dates_say_a_placed_order_is_never_refused",
            ),
            wire("C99"),
            wire("C99"),
            wire("C99"),
            wire("C99"),
        ),
    ),
    _row(
        39,
        "one order id in two markets",
        "a placed order called refused; a cancel of the other market's order",
        (
            asserted("C103", JOURNAL + "an_order_id_belongs_to_a_market"),
            asserted(
                "C103",
                CANCELS + "an_id_of_two_markets_needs_its_symbol",
                CANCELS + "an_id_of_two_markets_that_only_the_exchange_knows_needs_its_symbol_too",
            ),
            asserted(JOURNAL + "an_order_id_belongs_to_a_market"),
            absent("markets are named by their symbol"),
            absent("markets are named by their symbol"),
        ),
    ),
    _row(
        40,
        "twenty answers lost in a second",
        "cancels, orders and reads that wait for look-ups",
        (
            wire("C104"),
            wire("C104"),
            wire("tests/test_lookup_storm.py::test_look_ups_of_lost_orders_leave_cancels_orders_and_reads_alone"),
            wire("tests/test_lookup_storm.py::test_look_ups_of_lost_orders_leave_cancels_orders_and_reads_alone"),
            absent("streams take nothing from the limit"),
        ),
    ),
    _row(
        41,
        "frames with white space; a stream whose history can't be had at first",
        "a stream called live that drops, or holds back, what comes",
        (
            *[_NO_BOOK] * 3,
            wire("C109[depth]"),
            wire("C108", "C109[trade]", FEEDS + "a_new_stream_is_live_once_its_history_is_joined"),
        ),
    ),
)
"""All rows."""
