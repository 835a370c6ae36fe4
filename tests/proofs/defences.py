"""Takes out one defence after the other and shows that a test named for it fails: what can't fail protects nothing.

python tests/proofs/defences.py [--short] [--only WORD]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.copies import Copy, copy

SECONDS = 120.0


class Defence(NamedTuple):
    """One line of defence, what is written in its place, and the test that must then fail."""

    name: str
    path: str
    old: str
    new: str
    test: str


DEFENCES = (
    Defence(
        "Host allow-list",
        "exgate_core/access.py",
        "if len(hosts) == 1 and hosts[0].lower() in self._hosts:",
        "if True:",
        "tests/test_access.py::test_other_names_are_not",
    ),
    Defence(
        "foreign pages",
        "exgate_core/access.py",
        "        _check_page(headers)\n",
        "",
        "tests/test_access.py::test_pages_of_other_sites_are_refused",
    ),
    Defence(
        "JSON only",
        "exgate_core/access.py",
        'if method == "POST" and not',
        "if False and not",
        "tests/test_access.py::test_a_post_that_a_form_could_send_is_415",
    ),
    Defence(
        "token compared whole",
        "exgate_core/access.py",
        "if hmac.compare_digest(digest, known):",
        "if True:",
        "tests/test_access.py::test_a_wrong_token_is_401_and_says_where_the_right_one_is",
    ),
    Defence(
        "token scope",
        "exgate_core/access.py",
        "if not caller.grant.may(entry.name, kind):",
        "if False:",
        "tests/test_tokens.py::test_a_token_does_what_it_was_given_for_and_no_more",
    ),
    Defence(
        "order caps",
        "exgate_core/caps.py",
        "if numbers.compare(most, caps[asset]) > 0:",
        "if False:",
        "tests/test_tokens.py::test_an_order_above_the_cap_is_refused_and_so_is_one_that_may_be",
    ),
    Defence(
        "order caps: what has no bound is above the cap",
        "exgate_core/caps.py",
        "        if not most:\n",
        "        most = most or '0'\n        if False:\n",
        "tests/test_limits.py::test_what_passes_moves_no_more_than_any_cap",
    ),
    Defence(
        "secrets struck out of logs",
        "exgate_core/logs.py",
        "struck(super().format(record))",
        "super().format(record)",
        "tests/test_tokens.py::test_a_secret_is_struck_out_of_lines_arguments_and_tracebacks",
    ),
    Defence(
        "body cap",
        "exgate_core/incoming.py",
        "            if len(body) > MAX_BODY:\n                raise body_too_large()\n",
        "",
        "tests/test_app_orders.py::test_reading_stops_at_the_cap",
    ),
    Defence(
        "repeated JSON keys",
        "exgate_core/requests.py",
        "            object_pairs_hook=tuple,\n",
        "            object_pairs_hook=lambda pairs: tuple(dict(pairs).items()),\n",
        "tests/test_requests.py::test_a_repeated_field_is_refused_even_with_the_same_value",
    ),
    Defence(
        "no WebSocket compression",
        "exgate_core/protocols.py",
        "        self.handshake.extensions = None\n",
        "",
        "tests/attacks/test_raw_websocket.py::test_compression_is_never_negotiated",
    ),
    Defence(
        "intent before the send",
        "exgate_core/orders.py",
        "            sent_ms = await self._journal.mark_sent(row, sent_there)\n",
        "            sent_ms = self._now_ms()\n",
        "tests/test_orders_failures.py::test_when_the_adapter_is_called_the_disk_already_says_that_it_may_have_been",
    ),
    Defence(
        "one key, one order",
        "exgate_core/orders.py",
        "        if not claim.fresh:\n            return await self._replay(errand, claim.row)\n",
        "",
        "tests/test_orders.py::test_a_replay_says_how_old_it_is",
    ),
    Defence(
        "not found is no refusal before the exchange has settled",
        "exgate_core/orders.py",
        "sure_at = self._now() + errand.account.settle",
        "sure_at = self._now()",
        "tests/test_orders.py::test_not_found_is_no_refusal_before_the_exchange_has_settled",
    ),
    Defence(
        "an order of a lost row may show late",
        "exgate_core/orders.py",
        "times = Times(max(self._now(), self._began + errand.account.settle), until)",
        "times = Times(self._now(), until)",
        "tests/test_look_first.py::test_an_order_that_shows_late_is_not_sent_again",
    ),
    Defence(
        "look-ups of lost orders go in rounds",
        "exgate_core/lookups.py",
        "        if together < 2:\n",
        "        if True:\n",
        "tests/test_lookup_storm.py::test_look_ups_of_lost_orders_leave_cancels_orders_and_reads_alone",
    ),
    Defence(
        "a part of the limit is for cancels alone",
        "exgate_core/budget.py",
        "    for_cancels = math.ceil(reserve * _FOR_CANCELS)\n",
        "    for_cancels = 0\n",
        "tests/test_budget.py::test_whatever_storms_a_cancel_leaves_at_once",
    ),
    Defence(
        "a wrong clock makes no placed order a refused one",
        "exgate_core/lookups.py",
        "    return known and min(row.sent, row.sent_there) - order.time > _SURELY_OLD_MS\n",
        "    return row.sent - order.time > 3_600_000\n",
        "tests/test_orders_clocks.py::test_an_order_whose_answer_was_lost_is_found",
    ),
    Defence(
        "an order of yesterday is not told as today's",
        "exgate_core/lookups.py",
        '        return "doubtful" if _may_be_older(row, order) else "ours"\n',
        '        return "ours"\n',
        "tests/test_orders_clocks.py::test_an_older_order_of_the_same_client_id_and_content_is_never_told_as_the_new_one",
    ),
    Defence(
        "a clock that was set since proves nothing",
        "exgate_core/orders.py",
        "        return min(here, there, self._journal.age_ms(row)) / 1000\n",
        "        return here / 1000\n",
        "tests/test_orders_clocks.py::test_a_clock_that_was_set_right_before_the_restart_changes_no_outcome",
    ),
    Defence(
        "what bears our client id is not another row's order",
        "exgate_core/lookups.py",
        "        return order.client_order_id != row.client_order_id or known.client_order_id == row.client_order_id\n",
        "        return True\n",
        "tests/test_cancels.py::test_an_id_that_counts_anew_in_the_same_market_makes_no_placed_order_a_refused_one",
    ),
    Defence(
        "an id of two markets is never taken for one of them",
        "exgate_core/cancels.py",
        "        _check_one_market(order_id or client_order_id, {row.symbol for row in found})\n",
        "",
        "tests/test_cancels.py::test_an_id_of_two_markets_needs_its_symbol",
    ),
    Defence(
        "one gateway per journal",
        "exgate_core/journal_file.py",
        "fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(lock, fcntl.LOCK_UN)",
        "tests/test_journal.py::test_only_one_gateway_holds_the_file",
    ),
    Defence(
        "a jump of the clock ages no row of the journal",
        "exgate_core/journal_file.py",
        "        believed = 0 <= passed <= _JUMP_MS\n",
        "        believed = True\n",
        "tests/test_journal.py::test_the_clock_of_the_machine_ages_no_row",
    ),
    Defence(
        "a damaged row of the journal is never free",
        "exgate_core/rows.py",
        "    if checksum == _checksum(tuple(values[1:])):\n",
        "    if checksum:\n",
        "tests/test_journal.py::test_a_damaged_row_is_reported_and_never_free",
    ),
    Defence(
        "lost commits are reported",
        "exgate_core/journal_file.py",
        "        if log.lost(connection) if counted is None else mark.commits < counted:\n",
        "        if False:\n",
        "tests/test_journal.py::test_commits_that_are_lost_from_the_log_are_reported",
    ),
    Defence(
        "a disk that fails takes no reads along",
        "exgate_core/journal.py",
        "                if job.writes:\n",
        "                if True:\n",
        "tests/test_journal.py::test_a_disk_that_fails_takes_no_reads_along",
    ),
    Defence(
        "a look-up uses an index of the journal",
        "exgate_core/rows.py",
        "\"order_id = ? AND order_id != '' AND account = ?\"",
        '"order_id = ? AND account = ?"',
        "tests/test_journal.py::test_no_statement_walks_the_rows_or_sorts_them",
    ),
    Defence(
        "redirects are not followed",
        "exgate_core/pool.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "tests/test_client.py::test_redirects_are_not_followed",
    ),
    Defence(
        "nothing is sent twice by the library",
        "exgate_core/pool.py",
        "middlewares=(_never_again,),",
        "",
        "tests/test_client.py::test_a_dropped_connection_is_asked_again_once_for_data_only_and_paid_for",
    ),
    Defence(
        "retries are few while nothing answers",
        "exgate_core/pool.py",
        "if self._earned < _ANSWERS_PER_RETRY:",
        "if False:",
        "tests/test_client.py::test_an_exchange_that_drops_everything_is_hardly_asked_more_than_callers_ask",
    ),
    Defence(
        "answers are capped",
        "exgate_core/pool.py",
        "if size > MAX_BODY:",
        "if False:",
        "tests/test_client.py::test_an_endless_answer_is_refused",
    ),
    Defence(
        "only paths of the host",
        "exgate_core/fetch.py",
        'if not path.startswith("/") or any(mark in path for mark in ("..", "//", "?", "#", "\\\\", "@", " ")):',
        "if False:",
        "tests/test_client.py::test_only_paths_of_the_host_are_asked",
    ),
    Defence(
        "gaps break a book",
        "exgate_core/book.py",
        "if delta.previous > self.sequence or not self._fresh:",
        "if False:",
        "tests/test_book.py::test_a_gap_breaks_until_the_next_snapshot",
    ),
    Defence(
        "checksums break a book",
        "exgate_core/book.py",
        "if ours != checksum:",
        "if False:",
        "tests/test_book.py::test_a_wrong_checksum_breaks",
    ),
    Defence(
        "a silent copy is no answer",
        "exgate_core/reads.py",
        "if feed.readable(limit, tolerate) and age is not None:",
        "if feed.book.in_sync and age is not None:",
        "tests/test_reads.py::test_quiet_is_not_stale_and_silent_is",
    ),
    Defence(
        "an answer is shared only if it was asked for later",
        "exgate_core/sharing.py",
        "if running.started is None:",
        "if True:",
        "tests/test_reads.py::test_callers_share_a_question_only_if_it_starts_after_they_asked",
    ),
    Defence(
        "options are an allow-list",
        "exgate_core/rules.py",
        "        if name not in known:\n            why",
        "        if False:\n            why",
        "tests/test_rules.py::test_an_unknown_option_lists_the_known_ones",
    ),
    Defence(
        "a reader that lags is let go",
        "exgate_core/readers.py",
        'self._closing = ReaderClosed(1008, "too slow")',
        "pass",
        "tests/test_feeds.py::test_a_stalled_reader_is_told_what_it_lost_and_closed_while_others_go_on",
    ),
    Defence(
        "numbers of a book",
        "exgate_core/answers.py",
        "    if numbers.all_pairs_plain([*item.bids, *item.asks]):\n",
        "    if item is not None:\n",
        "tests/test_hostile_answers.py::test_what_is_no_number_is_refused",
    ),
    Defence(
        "texts of digits and points alone",
        "exgate_core/numbers.py",
        '        if text.translate(None, b"0123456789.") != shape:\n',
        "        if not shape:\n",
        "tests/test_numbers.py::test_many_at_once_are_sure_only_where_each_is_plain",
    ),
    Defence(
        "texts that are whole numbers as JSON writes them",
        "exgate_core/numbers.py",
        '        _skip(b"[0" + text + b"]")\n',
        "",
        "tests/test_numbers.py::test_many_at_once_are_sure_only_where_each_is_plain",
    ),
    Defence(
        "numbers below zero",
        "exgate_core/answers.py",
        '    if found.startswith("-"):\n',
        "    if False:\n",
        "tests/test_hostile_answers.py::test_what_is_no_number_is_refused",
    ),
    Defence(
        "times beyond 64 bits",
        "exgate_core/answers.py",
        "        if not 0 <= order.time < _MOST:\n",
        "        if False:\n",
        "tests/test_hostile_answers.py::test_no_value_of_an_answer_makes_a_500",
    ),
    Defence(
        "a book that crosses",
        "exgate_core/answers.py",
        "    if book.bids and book.asks and Decimal(book.bids[0][0]) > Decimal(book.asks[0][0]):\n",
        "    if False:\n",
        "tests/test_hostile_answers.py::test_a_book_whose_bids_are_above_its_asks_is_refused_and_one_in_which_they_meet_is_told",
    ),
    Defence(
        "an order id that isn't one",
        "exgate_core/outcomes.py",
        "isinstance(answer, str) and is_order_id(answer) and",
        "isinstance(answer, str) and answer.strip() and",
        "tests/test_hostile_answers.py::test_an_order_answered_with_no_id_is_looked_up",
    ),
    Defence(
        "a frame that can't be told",
        "exgate_core/exchange.py",
        "                scope.cancel()\n",
        "",
        "tests/test_hooking.py::test_a_trade_that_cannot_be_told_ends_the_stream_whatever_its_adapter_makes_of_that",
    ),
    Defence(
        "arithmetic with strange numbers",
        "exgate_core/numbers.py",
        "    if len(b) > _LONGEST or not _WRITTEN.fullmatch(b):\n",
        "    if False:\n",
        "tests/test_numbers.py::test_what_only_python_takes_for_a_number_stays_out",
    ),
)


def taken_out(copied: Copy, defence: Defence) -> str:
    """What noticed that the defence is gone; empty = nobody."""
    source = (copied.folder / defence.path).read_text(encoding="utf-8")
    if source.count(defence.old) != 1:
        raise SystemExit(f"{defence.name}: {defence.path} no longer holds this line once:\n{defence.old}")
    with copied.spoiled(defence.path, source.replace(defence.old, defence.new)):
        return copied.notices([defence.test], SECONDS)


def main() -> int:
    """0 if each was noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="every fourth one")
    parser.add_argument("--only", default="", help="those whose name holds this word")
    chosen = parser.parse_args()
    wanted = [defence for defence in DEFENCES if chosen.only in defence.name][:: 4 if chosen.short else 1]
    missed = 0
    with copy() as copied:
        for test in sorted({defence.test for defence in wanted}):
            if copied.notices([test], SECONDS):
                raise SystemExit(f"{test} fails as it is")
        for defence in wanted:
            noticed = taken_out(copied, defence)
            missed += not noticed
            print(f"{'noticed' if noticed else 'MISSED '}  {defence.name}: {noticed or defence.test}", flush=True)
    print(f"{len(wanted) - missed} of {len(wanted)} defences make their test fail when they are taken out")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
