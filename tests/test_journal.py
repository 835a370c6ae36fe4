"""The journal: what it was told is there after any death of the process, and nobody else writes to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio.lowlevel
import pytest
from msgspec import structs

from exgate_core import outcomes, rows
from exgate_core.journal import Journal, JournalError
from exgate_core.rows import Draft, Row
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


def draft(key: str = "k:1", client_order_id: str = "", caller_id: str = "", account: str = "a") -> Draft:
    return Draft(account=account, key=key, fingerprint="f", caller_id=caller_id, client_order_id=client_order_id)


class Wall:
    """A clock that stands still, until a test moves people's time by ``ahead`` seconds."""

    ahead = 0.0

    def monotonic(self) -> float:
        return 1_000.0

    def time(self) -> float:
        return 1_700_000_000.0 + self.ahead


def copy_files(path: Path, to: Path) -> None:
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", f"{to}{suffix}")


async def test_a_key_is_claimed_once(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        first = await journal.claim(draft())
        await journal.mark_sent(first.row)
        again = await journal.claim(draft())
        other = await journal.claim(draft(account="b"))
    assert first.fresh
    assert not again.fresh
    assert again.row.id == first.row.id
    assert other.fresh


async def test_a_hundred_parallel_claims_of_one_key_leave_one_row(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        first = await journal.claim(draft())
        await journal.mark_sent(first.row)
        claims = await asyncio.gather(*(journal.claim(draft()) for _ in range(100)))
        assert {claim.row.id for claim in claims} == {first.row.id}
        assert not any(claim.fresh for claim in claims)


async def test_rows_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with Journal(path) as journal:
        claim = await journal.claim(draft(client_order_id="up", caller_id="mine"))
        sent_at = await journal.mark_sent(claim.row, 1_700_000_000_000)
        await journal.decide(claim.row, rows.PLACED, "42")
    async with Journal(path) as journal:
        found = [
            await journal.by_key("a", "k:1"),
            await journal.by_order_id("a", "42"),
            *await journal.all_by_client_id("a", "up"),
            *await journal.all_by_client_id("a", "mine"),
        ]
        assert await journal.all_by_client_id("a", "") == []
        assert await journal.by_order_id("b", "42") is None
    told = {(row.state, row.order_id, row.sent, row.sent_there) for row in found if row}
    assert told == {(rows.PLACED, "42", sent_at, 1_700_000_000_000)}
    assert None not in found


async def test_an_order_id_belongs_to_a_market(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        for key, symbol in (("k:1", "BTC/USDT"), ("k:2", "ETH/BTC"), ("k:3", "BTC/USDT"), ("k:4", "ETH/BTC")):
            claim = await journal.claim(Draft(account="a", key=key, fingerprint="f", symbol=symbol))
            await journal.decide(claim.row, rows.PLACED, "7")
        await journal.claim(draft("k:none"))
        named = [await journal.by_order_id("a", "7", symbol) for symbol in ("BTC/USDT", "ETH/BTC", "ETH/USDT", "")]
        assert [row and row.key for row in named] == ["k:3", "k:4", None, "k:4"]
        assert [row.key for row in await journal.all_by_order_id("a", "7")] == ["k:4", "k:3"]
        assert await journal.all_by_order_id("a", "") == []


async def test_what_the_disk_holds_while_the_process_lives_survives_a_kill(tmp_path: Path) -> None:
    """A copy of the files, taken without closing anything, is what a kill -9 leaves."""
    path, copy = tmp_path / "j.db", tmp_path / "copy.db"
    async with Journal(path) as journal:
        claim = await journal.claim(draft())
        await journal.mark_sent(claim.row)
        copy_files(path, copy)
    async with Journal(copy) as after:
        assert [row.state for row in await after.undecided()] == [rows.SENT]


async def test_only_one_gateway_holds_the_file(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j.db"):
        with pytest.raises(JournalError, match="another gateway") as caught:
            async with Journal(tmp_path / "j.db"):
                pass
    assert caught.value.reason == "JOURNAL_LOCKED"
    async with Journal(tmp_path / "j.db"):
        pass


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(JournalError, match="version 9"):
        async with Journal(path):
            pass


async def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    async with Journal(tmp_path / "new" / "state" / "j.db"):
        modes = {file.name: file.stat().st_mode & 0o077 for file in (tmp_path / "new" / "state").iterdir()}
        assert os.stat(tmp_path / "new" / "state").st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0}
    assert {"j.db", "j.db-wal", "j.db.lock"} <= set(modes)


async def test_a_closed_journal_is_one_file_and_its_lock(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    async with journal:
        await journal.claim(draft())
    assert set(os.listdir(tmp_path)) == {"j.db", "j.db.lock"}
    assert journal.problem == ""


async def test_a_folder_that_cannot_be_made_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"j\.db"):
        async with Journal(tmp_path / "file" / "j.db"):
            pass


async def test_a_file_that_is_no_database_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(JournalError, match=r"j\.db"):
        async with Journal(tmp_path / "j.db"):
            pass


@pytest.mark.parametrize("where", ["journal.intent", "journal.commit", "journal.committed"])
async def test_a_failing_disk_is_told_and_forgotten_when_it_works_again(tmp_path: Path, where: str) -> None:
    broken: set[str] = set()

    def step(name: str) -> None:
        if name in broken:
            raise OSError(28, os.strerror(28))

    async with Journal(tmp_path / "j.db", step) as journal:
        broken.add(where)
        with pytest.raises(JournalError, match="No space left"):
            await journal.claim(draft())
        assert "No space left" in journal.problem
        broken.clear()
        assert (await journal.claim(draft())).fresh
        await journal.probe()
        assert journal.problem == ""


async def test_a_probe_tells_whether_the_disk_works(tmp_path: Path) -> None:
    broken: set[str] = set()

    def step(name: str) -> None:
        if name in broken:
            raise OSError(28, os.strerror(28))

    async with Journal(tmp_path / "j.db", step) as journal:
        broken.add("journal.commit")
        with pytest.raises(JournalError, match="No space left"):
            await journal.probe()
        assert await journal.by_key("a", "k:1") is None
        assert journal.problem, "a read that works ends no problem"
        broken.clear()
        await journal.probe()
        assert journal.problem == ""
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db")) as connection:
        assert len(connection.execute("SELECT commits FROM alive").fetchall()) == 1, "it was really written"


async def test_a_journal_finds_out_by_itself_that_the_disk_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exgate_core.journal._RETRY", 0.01)
    probes: list[bool] = []
    broken = True

    def step(name: str) -> None:
        probes.extend([broken] if name == "journal.probe" else [])
        if broken and name == "journal.commit":
            raise OSError(28, os.strerror(28))

    broken = False
    async with Journal(tmp_path / "j.db", step) as journal:
        broken = True
        with pytest.raises(JournalError):
            await journal.claim(draft())
        while len(probes) < 3:
            await anyio.lowlevel.checkpoint()
        assert journal.problem
        broken = False
        while journal.problem:
            await anyio.lowlevel.checkpoint()
        quiet, until = len(probes), time.monotonic() + 0.05
        while time.monotonic() < until:
            await anyio.lowlevel.checkpoint()
        assert len(probes) == quiet


async def test_a_full_disk_fails_the_write_and_keeps_the_reads(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with Journal(path) as journal:
        claim = await journal.claim(draft("k:0"))
        connection = journal._connection
        assert connection is not None
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(JournalError, match="full"):
            for number in range(1, 1000):
                await journal.claim(Draft(account="a", key=f"k:{number}", fingerprint="x" * 2000))
        assert await journal.by_key("a", "k:0") == claim.row


async def test_decided_rows_are_dropped_after_thirty_days_and_undecided_ones_never(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Journal(tmp_path / "j.db", clock=clock) as journal:
        placed = await journal.claim(draft("k:placed"))
        await journal.decide(placed.row, rows.PLACED, "1")
        sent = await journal.claim(draft("k:sent"))
        await journal.mark_sent(sent.row)
        await clock.advance(29 * 86_400)
        await journal.claim(draft("k:new"))
        assert await journal.by_key("a", "k:placed") is not None
        await clock.advance(2 * 86_400)
        await journal.claim(draft("k:newer"))
        assert await journal.by_key("a", "k:placed") is None
        assert await journal.by_key("a", "k:sent") is not None


async def test_old_rows_are_looked_for_at_the_start_and_then_once_an_hour(tmp_path: Path) -> None:
    clock = ManualClock()

    async def decided(journal: Journal, key: str) -> None:
        claim = await journal.claim(draft(key))
        await journal.decide(claim.row, rows.REFUSED)

    async with Journal(tmp_path / "j.db", clock=clock) as journal:
        await decided(journal, "k:first")
        await clock.advance(60)
        await decided(journal, "k:second")
        await clock.advance(30 * 86_400 - 60 + 1)
    async with Journal(tmp_path / "j.db", clock=clock) as journal:
        assert await journal.by_key("a", "k:first") is None
        assert await journal.by_key("a", "k:second") is not None
        await clock.advance(3600)
        await journal.claim(draft("k:within"))
        assert await journal.by_key("a", "k:second") is not None
        await clock.advance(0.0015)
        await journal.claim(draft("k:after"))
        assert await journal.by_key("a", "k:second") is None


async def test_an_undecided_row_is_settled_by_hand_once(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        one, two = await journal.claim(draft("k:1")), await journal.claim(draft("k:2"))
        await journal.mark_sent(one.row)
        await journal.decide(two.row, rows.UNRESOLVED)
        assert {row.key for row in await journal.undecided("a")} == {"k:1", "k:2"}
        placed, never = await journal.resolve(one.row.id, "42"), await journal.resolve(two.row.id, "")
        assert (placed.state, placed.order_id, placed.answer) == (rows.PLACED, "42", "")
        assert never.state == rows.REFUSED and "by hand" in never.answer
        assert await journal.undecided() == []
        with pytest.raises(JournalError, match="PLACED already"):
            await journal.resolve(one.row.id, "43")
        with pytest.raises(JournalError, match="no such row"):
            await journal.resolve(999, "43")


@pytest.mark.parametrize(
    ("key", "state", "delivered", "fresh"),
    [
        ("k:1", rows.NOT_SENT, False, True),
        ("k:1", rows.REFUSED, True, False),
        ("c:1", rows.REFUSED, False, False),
        ("c:1", rows.REFUSED, True, True),
        ("c:1", rows.PLACED, True, False),
        ("k:1", rows.UNKNOWN, True, False),
    ],
)
async def test_a_key_is_free_again_only_when_nothing_was_placed(
    tmp_path: Path, key: str, state: str, delivered: bool, fresh: bool
) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        claim = await journal.claim(draft(key))
        await journal.decide(claim.row, state)
        if delivered:
            journal.mark_delivered(claim.row)
        assert (await journal.claim(draft(key))).fresh is fresh


@pytest.mark.parametrize(
    ("key", "state", "stands"),
    [
        ("k:2", rows.UNKNOWN, True),
        ("k:2", rows.PLACED, False),
        ("c:2", rows.PLACED, True),
        ("c:2", rows.REFUSED, False),
    ],
)
async def test_an_earlier_order_with_the_same_client_id_stands_in_the_way(
    tmp_path: Path, key: str, state: str, stands: bool
) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        earlier = await journal.claim(draft("k:1", "same"))
        await journal.decide(earlier.row, state)
        assert (await journal.claim(draft(key, "same"))).fresh is not stands


async def test_whether_an_answer_with_other_ids_may_be_about_another_row(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        asked = (await journal.claim(draft("k:1", "mine"))).row
        placed = (await journal.claim(draft("k:2", "theirs"))).row
        await journal.mark_sent(asked)
        await journal.decide(placed, rows.PLACED, "5")
        for order_id, named, ours in (("5", "", True), ("6", "", False), ("6", "theirs", True), ("6", "mine", False)):
            assert await journal.is_ours("a", asked.id, order_id, named) is ours
        await journal.mark_sent((await journal.claim(draft("k:3", account="b"))).row)
        assert await journal.is_ours("a", asked.id, "6", "") is False
        await journal.mark_sent((await journal.claim(draft("k:3"))).row)
        assert await journal.is_ours("a", asked.id, "6", "") is True


async def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        pass
    with pytest.raises(JournalError, match="closed") as caught:
        await journal.claim(draft())
    assert (caught.value.code, caught.value.status, caught.value.reason) == (14, 503, "JOURNAL_CLOSED")


def reads_wait_for(go_on: threading.Event) -> Callable[[str], None]:
    """A disk that stands still before each read until the event is set."""

    def step(name: str) -> None:
        if name == "journal.read":
            go_on.wait(10)

    return step


async def test_who_no_longer_waits_keeps_no_answer_from_the_others(tmp_path: Path) -> None:
    go_on = threading.Event()
    async with Journal(tmp_path / "j.db", reads_wait_for(go_on)) as journal:
        held = asyncio.ensure_future(journal.show(1))
        await anyio.lowlevel.checkpoint()
        left = asyncio.ensure_future(journal.claim(draft("k:left")))
        stays = asyncio.ensure_future(journal.claim(draft("k:stays")))
        await anyio.lowlevel.checkpoint()
        left.cancel()
        go_on.set()
        assert await held is None
        assert (await asyncio.wait_for(stays, 10)).fresh
        assert [row.key for row in await journal.undecided()] == ["k:stays", "k:left"]


async def test_one_mistake_in_a_batch_is_told_to_who_made_it(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j.db") as journal:
        bad = Draft(account="a", key=1, fingerprint="f", symbol=object())  # type: ignore[arg-type]
        made = await asyncio.gather(
            journal.claim(draft("k:1")), journal.claim(bad), journal.claim(draft("k:2")), return_exceptions=True
        )
        assert [type(each).__name__ for each in made] == ["Claim", "JournalError", "Claim"]
        assert {row.key for row in await journal.undecided()} == {"k:1", "k:2"}


async def test_a_mark_that_nobody_waits_for_is_written(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Journal(tmp_path / "j.db", clock=clock) as journal:
        claim = await journal.claim(draft())
        await journal.decide(claim.row, rows.PLACED, "1")
        journal.mark_delivered(claim.row)
        first = await journal.show(claim.row.id)
        await clock.advance(5)
        journal.mark_delivered(claim.row)
        again = await journal.show(claim.row.id)
    assert first is not None and again is not None
    assert first.delivered == again.delivered == int(clock.time() * 1000) - 5000
    async with Journal(tmp_path / "j.db", clock=clock) as journal:
        journal.mark_delivered(structs.replace(claim.row, id=99))
    async with Journal(tmp_path / "j.db", clock=clock) as journal:
        assert await journal.show(99) is None


async def test_what_was_asked_before_the_end_is_done(tmp_path: Path) -> None:
    go_on = threading.Event()
    async with Journal(tmp_path / "j.db", reads_wait_for(go_on)) as journal:
        held = asyncio.ensure_future(journal.show(1))
        await anyio.lowlevel.checkpoint()
        claims = [asyncio.ensure_future(journal.claim(draft(f"k:{number}"))) for number in range(100)]
        await anyio.lowlevel.checkpoint()
        asyncio.get_running_loop().call_later(0.01, go_on.set)
    assert await held is None
    done, late = await asyncio.wait(claims, timeout=5)
    assert not late
    assert all(claim.result().fresh for claim in done)


LISTING = {
    "FROM orders WHERE state IN ('INTENT', 'SENT', 'UNKNOWN', 'UNRESOLVED')": "SCAN orders USING INDEX undecided",
}
"""What walks an index from end to end, and why that is right: the start wants every undecided row, and only those."""


async def test_no_statement_walks_the_rows_or_sorts_them(tmp_path: Path) -> None:
    statements: list[str] = []
    clock = ManualClock()
    async with Journal(tmp_path / "j.db", clock=clock) as journal:
        connection = journal._connection
        assert connection is not None
        connection.set_trace_callback(statements.append)
        one = (await journal.claim(draft("k:1", "up", "mine"))).row
        await journal.mark_sent(one)
        await journal.decide(one, rows.NOT_SENT)
        await journal.claim(draft("k:1", "up", "mine"))
        journal.mark_delivered(one)
        for asking in (
            journal.by_key("a", "k:1"),
            journal.by_order_id("a", "7"),
            journal.by_order_id("a", "7", "BTC/USDT"),
            journal.all_by_client_id("a", "up"),
            journal.all_by_client_id("a", "up", "BTC/USDT"),
            journal.is_ours("a", one.id, "7", ""),
            journal.is_ours("a", one.id, "7", "up"),
            journal.undecided("a"),
            journal.undecided(),
            journal.show(one.id),
            journal.resolve(one.id, "7"),
            journal.probe(),
        ):
            await asking
        await clock.advance(31 * 86_400)
        await journal.claim(draft("k:2"))
        connection.set_trace_callback(None)
        asked = [text for text in statements if text.partition(" ")[0] in ("SELECT", "INSERT", "UPDATE", "DELETE")]
        plans = {text: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")] for text in set(asked)}
    for text, plan in plans.items():
        known = [step for part, step in LISTING.items() if text.endswith(part)]
        assert [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step] == known, text
    assert {text.partition(" ")[0] for text in plans} == {"SELECT", "INSERT", "UPDATE", "DELETE"}


VERSION_1 = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    caller_id TEXT NOT NULL, client_order_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
    request TEXT NOT NULL, state TEXT NOT NULL, order_id TEXT NOT NULL DEFAULT '', created INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, decided INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0,
    answer TEXT NOT NULL DEFAULT '', UNIQUE (account, key)
);
CREATE INDEX by_client_order_id ON orders (account, client_order_id) WHERE client_order_id != '';
CREATE INDEX by_caller_id ON orders (account, caller_id) WHERE caller_id != '';
CREATE INDEX by_order_id ON orders (account, order_id) WHERE order_id != '';
CREATE INDEX undecided ON orders (account) WHERE state IN ('INTENT', 'SENT', 'UNKNOWN', 'UNRESOLVED');
CREATE TABLE alive (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL);
PRAGMA user_version = 1;
"""


@pytest.mark.parametrize("room", [0, 1, 8])
async def test_a_file_of_version_1_is_brought_up_to_date_whole_or_not_at_all(tmp_path: Path, room: int) -> None:
    """``room``: so many pages more than the file has are all that the disk holds at the first attempt."""
    clock, path = ManualClock(), tmp_path / "j.db"
    day, now = 86_400_000, int(ManualClock().time() * 1000)
    ages = [0, 3, 29, 400]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL;" + VERSION_1)
        for age in ages:
            for state in rows.STATES:
                values = ("a", f"k:{state}-{age}", "f", "mine", f"x-{state}-{age}", state, f"7-{age}", now - age * day)
                connection.execute(
                    "INSERT INTO orders (account, key, fingerprint, caller_id, client_order_id, symbol, side, request, "
                    "state, order_id, created) VALUES (?, ?, ?, ?, ?, 's', 'buy', hex(zeroblob(1000)), ?, ?, ?)",
                    values,
                )
        connection.commit()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if room:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + room}")
            with pytest.raises(sqlite3.OperationalError, match="full"):
                rows.migrate(connection, now)
    async with Journal(path, clock=clock) as journal:
        assert journal.damage == ""
        for age in ages:
            for state in rows.STATES:
                row = await journal.by_key("a", f"k:{state}-{age}")
                assert row is not None, "an old row waits for a clock that it can trust"
                assert (row.state, row.order_id, row.created) == (state, f"7-{age}", now - age * day)
                assert journal.age_ms(row) == min(age, 15) * day
        assert len(await journal.undecided()) == len(ages) * len(rows.UNDECIDED)
        assert {row.symbol for row in await journal.all_by_order_id("a", "7-29")} == {"s"}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


async def test_the_clock_of_the_machine_ages_no_row(tmp_path: Path) -> None:
    """Neither a start with a wrong clock, nor one that is put right while the gateway runs."""
    clock, path, day = Wall(), tmp_path / "j.db", 86_400
    for ahead in (0, 400 * day, 0, -9_000 * day, 0):
        clock.ahead = ahead
        async with Journal(path, clock=clock) as journal:
            claim = await journal.claim(draft(f"k:{ahead}"))
            if claim.fresh:
                await journal.decide(claim.row, rows.PLACED, "1")
            clock.ahead += 40 * day
            await journal.claim(draft("k:other"))
            row = await journal.by_key("a", "k:0")
            assert row is not None and journal.age_ms(row) == 0


async def test_time_that_passes_while_the_gateway_is_stopped_counts_up_to_a_day(tmp_path: Path) -> None:
    clock, path = Wall(), tmp_path / "j.db"
    async with Journal(path, clock=clock) as journal:
        row = (await journal.claim(draft())).row
    for hours, age in ((24, 24), (25, 24), (2, 26), (-3, 26)):
        clock.ahead += hours * 3600
        async with Journal(path, clock=clock) as journal:
            assert journal.age_ms(row) == age * 3_600_000


async def test_many_old_rows_are_dropped_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exgate_core.rows._PRUNED_AT_ONCE", 2)
    clock = ManualClock()
    async with Journal(tmp_path / "j.db", clock=clock) as journal:
        for number in range(5):
            await journal.decide((await journal.claim(draft(f"k:{number}"))).row, rows.REFUSED)
        await clock.advance(31 * 86_400)
        left = []
        for number in range(4):
            await journal.claim(draft(f"k:new-{number}"))
            left.append(sum([await journal.by_key("a", f"k:{number}") is not None for number in range(5)]))
    assert left == [3, 1, 0, 0]


async def test_a_disk_that_fails_takes_no_reads_along(tmp_path: Path) -> None:
    broken: set[str] = set()

    def step(name: str) -> None:
        if name in broken:
            raise OSError(28, os.strerror(28))

    async with Journal(tmp_path / "j.db", step) as journal:
        known = (await journal.claim(draft("k:known"))).row
        broken.add("journal.commit")
        asking = [journal.claim(draft(f"k:{number}")) for number in range(10)]
        reading = [journal.by_key("a", "k:known"), journal.by_key("a", "k:0"), journal.undecided()]
        *claims, found, none, undecided = await asyncio.gather(*asking, *reading, return_exceptions=True)
        assert {type(claim) for claim in claims} == {JournalError}
        assert (found, none, undecided) == (known, None, [known]), "nothing that was taken back is seen"


async def test_a_disk_that_is_full_amid_a_batch_leaves_none_of_it(tmp_path: Path) -> None:
    go_on = threading.Event()
    async with Journal(tmp_path / "j.db", reads_wait_for(go_on)) as journal:
        held = asyncio.ensure_future(journal.show(1))
        await anyio.lowlevel.checkpoint()
        connection = journal._connection
        assert connection is not None
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
        big = Draft(account="a", key="k:big", fingerprint="x" * 100_000)
        asking = [asyncio.ensure_future(journal.claim(each)) for each in (draft("k:1"), big, draft("k:2"))]
        await anyio.lowlevel.checkpoint()
        go_on.set()
        await held
        failed = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(each) for each in failed} == {JournalError}
        assert [str(each).count("failed: database or disk is full") for each in failed] == [1, 1, 1]
        assert await journal.undecided() == []


SPOILT = {
    "an unknown state": ("state", "SDNT"),
    "text for a time": ("sent", "soon"),
    "another order id": ("order_id", "8"),
    "text that is none": ("request", b"\xff\xfe"),
    "a state that would let it be sent again": ("state", "NOT_SENT"),
}


@pytest.mark.parametrize(("column", "value"), SPOILT.values(), ids=SPOILT)
async def test_a_damaged_row_is_reported_and_never_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, value: object
) -> None:
    path = tmp_path / "j.db"
    async with Journal(path) as journal:
        for number in range(3):
            claim = await journal.claim(draft(f"k:{number}", f"up-{number}"))
            await journal.mark_sent(claim.row)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE orders SET {column} = CAST(? AS TEXT) WHERE key = 'k:1'", (value,))
        connection.commit()
    async with Journal(path) as journal:
        assert "row 2" in journal.damage and str(path) in journal.damage
        assert "row 2" in caplog.text and "resolve 2" in caplog.text
        assert [row.key for row in await journal.undecided()] == ["k:2", "k:0"]
        damaged = await journal.by_key("a", "k:1")
        assert damaged is not None and damaged.state == rows.DAMAGED
        assert outcomes.verdict_of(damaged).state == rows.UNKNOWN
        assert not (await journal.claim(draft("k:1", "up-1"))).fresh
        assert not (await journal.claim(draft("k:other", "up-1"))).fresh, "it may be at the exchange under that id"
        with pytest.raises(JournalError, match="damaged"):
            await journal.mark_sent(damaged)
        await journal.resolve(2, "77")
    async with Journal(path) as journal:
        assert journal.damage == ""
        settled = await journal.by_key("a", "k:1")
        assert settled is not None and (settled.state, settled.order_id) == (rows.PLACED, "77")


def test_what_the_journal_cant_say_is_unknown() -> None:
    row = Row(1, "a", "k:1", "f", "", "", "", "", "", "ELSE", "", 0, 0, 0, 0, "", 0)
    verdict = outcomes.verdict_of(row)
    assert verdict.state == rows.UNKNOWN and verdict.error is not None
    assert (verdict.error.status, verdict.error.metadata) == (504, {"outcome": "unknown"})
    assert outcomes.verdict_of(structs.replace(row, state=rows.NOT_SENT)).state == rows.NOT_SENT


@pytest.mark.parametrize(("age", "said"), [(0, False), (3600, True)])
async def test_a_token_from_before_without_any_journal_is_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, age: int, said: bool
) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    made = token.stat().st_mtime - age
    os.utime(token, (made, made))
    async with Journal(tmp_path / "orders.db") as journal:
        assert ("no journal" in caplog.text) == said
        assert journal.damage == "" and not journal.forgetful, "a command may have made the token"


@pytest.mark.parametrize("lost", ["missing", "empty"])
async def test_a_file_that_is_gone_is_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture, lost: str) -> None:
    path = tmp_path / "orders.db"
    async with Journal(path) as journal:
        assert journal.damage == "", "the first start has nothing to miss"
        await journal.claim(draft())
    path.unlink() if lost == "missing" else path.write_bytes(b"")
    async with Journal(path) as journal:
        assert lost in journal.damage and str(path) in journal.damage
        assert lost in caplog.text
        await journal.claim(draft("k:2"))
    async with Journal(path) as journal:
        assert lost in journal.damage and journal.forgetful, "until somebody has looked"
    (tmp_path / "orders.db.losses").unlink()
    async with Journal(path) as journal:
        assert journal.damage == "" and not journal.forgetful
        assert await journal.by_key("a", "k:2") is not None


@pytest.mark.parametrize("left", [None, b""])
async def test_a_log_without_its_file_is_not_thrown_away(tmp_path: Path, left: bytes | None) -> None:
    path, copy = tmp_path / "j.db", tmp_path / "copy.db"
    async with Journal(path) as journal:
        await journal.claim(draft())
        copy_files(path, copy)
    (tmp_path / "copy.db.lock").touch()
    copy.unlink()
    if left is not None:
        copy.write_bytes(left)
    with pytest.raises(JournalError, match="runbook") as caught:
        async with Journal(copy):
            pass
    assert caught.value.reason == "JOURNAL_DAMAGED"
    assert (tmp_path / "copy.db-wal").stat().st_size > 0


@pytest.mark.parametrize(
    ("what", "beside"),
    [("flipped", True), ("flipped", False), ("head", True), ("head", False), ("removed", True)],
    ids=["frame", "frame of a copy", "head", "head of a copy", "removed"],
)
async def test_commits_that_are_lost_from_the_log_are_reported(tmp_path: Path, what: str, beside: bool) -> None:
    path, copy = tmp_path / "j.db", tmp_path / "copy.db"
    async with Journal(path) as journal:
        first = await journal.claim(draft("k:0"))
        connection = journal._connection
        assert connection is not None
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await journal.mark_sent(first.row)
        for number in range(1, 5):
            await journal.claim(draft(f"k:{number}"))
        copy_files(path, copy)
        shutil.copyfile(f"{path}.lock", f"{copy}.lock")
    log = tmp_path / "copy.db-wal"
    if what == "removed":
        log.unlink()
    else:
        content = bytearray(log.read_bytes())
        content[100 if what == "flipped" else 17] ^= 4
        log.write_bytes(content)
    damaged = log.read_bytes() if log.exists() else None
    if not beside:
        (tmp_path / "copy.db.lock").unlink()
    async with Journal(copy) as journal:
        assert "lacks" in journal.damage and str(copy) in journal.damage
        known = await journal.by_key("a", "k:0")
        assert known is not None and known.state == rows.UNKNOWN, "its send may have been in what is lost"
    async with Journal(copy) as journal:
        assert "lacks" in journal.damage and journal.forgetful, "until somebody has looked"
    (tmp_path / "copy.db.losses").unlink()
    async with Journal(copy) as journal:
        assert journal.damage == "" and not journal.forgetful
    saved = tmp_path / "copy.db-wal.damaged"
    assert (saved.read_bytes() if saved.exists() else None) == damaged, "it may tell which orders are lost"


async def test_a_kill_loses_nothing_and_reports_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with Journal(path) as journal:
        for number in range(40):
            claim = await journal.claim(draft(f"k:{number}"))
            copy = tmp_path / f"copy-{number}.db"
            copy_files(path, copy)
            if number % 2:
                shutil.copyfile(f"{path}.lock", f"{copy}.lock")
            await journal.decide(claim.row, rows.PLACED, str(number))
    for number in range(40):
        async with Journal(tmp_path / f"copy-{number}.db") as journal:
            assert journal.damage == ""
            assert [row.key for row in await journal.undecided()] == [f"k:{number}"]


@pytest.mark.parametrize(
    ("text", "spoilt"),
    [(b"by_age ON orders", b"by_age \xe1N orders"), (b"key TEXT NOT NULL", b"kex TEXT NOT NULL")],
    ids=["no SQL", "another column"],
)
async def test_tables_that_are_others_than_were_made_stop_the_start(tmp_path: Path, text: bytes, spoilt: bytes) -> None:
    path = tmp_path / "j.db"
    async with Journal(path) as journal:
        await journal.claim(draft())
    content = path.read_bytes()
    assert content.count(text) == 1
    path.write_bytes(content.replace(text, spoilt))
    with pytest.raises(JournalError, match="runbook") as caught:
        async with Journal(path):
            pass
    assert caught.value.reason == "JOURNAL_DAMAGED"
    assert path.read_bytes() == content.replace(text, spoilt), "the file is left as it is"


async def test_a_damaged_index_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with Journal(path) as journal:
        await journal.claim(draft("k:the-one-that-is-spoilt"))
    content = path.read_bytes()
    places = {content.find(b"k:the-one"), content.rfind(b"k:the-one")}
    assert len(places) == 2, "one in the row, one in the index"
    for at in places:
        path.write_bytes(content[: at + 2] + b"X" + content[at + 3 :])
        async with Journal(path) as journal:
            assert "indexes" in journal.damage
            found = await journal.by_key("a", "k:the-one-that-is-spoilt")
            assert found is not None or "row 1" in journal.damage
