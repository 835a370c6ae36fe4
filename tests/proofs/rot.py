"""Flip one bit in the journal's file, or in its log, again and again: what a gateway then makes of every order.

    python tests/proofs/rot.py [--file 200] [--log 100] [--seed 1] [--short]

A journal of 200 orders in every state, left as a clean stop and as a kill leave it. After each flip it is opened, and
every key is asked for. It may refuse to start, or call a row damaged; an order that it takes for another than it is
must at least have been reported, and one that it no longer knows must be looked for at the exchange before it is sent.
The log is judged both beside the lock file, which has the count of commits, and as a copy without it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from exgate_core import rows
from exgate_core.journal import Journal, JournalError
from exgate_core.rows import Draft, Row
from tests.proofs.front_tools import Figures

ORDERS, FILES = 200, ("", "-wal", ".lock")
KINDS = (
    "one would be sent again",
    "one looked for before it is sent",
    "one as it was earlier",
    "one unknown",
    "all as it was",
)
"""What became of the orders of one file, the worst first."""
SILENT, NAMELESS = "an order lost or changed without a report", "a refusal that doesn't name the file"
Truth = dict[str, Row]


def copy(path: Path, to: Path) -> None:
    """All files of a journal."""
    for suffix in FILES:
        if Path(f"{path}{suffix}").exists():
            shutil.copyfile(f"{path}{suffix}", f"{to}{suffix}")


async def fill(journal: Journal, first: int, count: int) -> Truth:
    """Orders in every state, and what their rows say."""
    truth = {}
    for number in range(first, first + count):
        names = {"caller_id": f"mine-{number}", "client_order_id": f"xg-{number:028}", "symbol": "BTC/USDT"}
        draft = Draft(account="paper:main", key=f"k:{number}", fingerprint=f"{number:064x}", request="{}", **names)
        row = (await journal.claim(draft)).row
        await journal.mark_sent(row)
        state = rows.STATES[1 + number % (len(rows.STATES) - 1)]
        if state != rows.SENT:
            await journal.decide(row, state, str(number) if state == rows.PLACED else "")
        found = await journal.show(row.id)
        assert found is not None
        truth[found.key] = found
    return truth


async def judge(path: Path, truth: Truth, log: list[str]) -> str:
    """What a gateway makes of the file."""
    log.clear()
    try:
        async with Journal(path) as journal:
            kinds = {await kind(journal, really) for really in truth.values()}
            reported = bool(journal.damage and log)
    except JournalError as error:
        return "refuses to start" if str(path) in error.message else NAMELESS
    worst = next(kind for kind in KINDS if kind in kinds)
    if worst == KINDS[0]:
        return SILENT
    return f"{worst}, reported" if reported else worst if worst == KINDS[-1] else SILENT


async def kind(journal: Journal, really: Row) -> str:
    """What became of one order."""
    found = await journal.by_key(really.account, really.key)
    if found == really:
        return "all as it was"
    if found is not None:
        return "one unknown" if found.state in (rows.DAMAGED, rows.UNKNOWN) else "one as it was earlier"
    names = {name: getattr(really, name) for name in Draft.__struct_fields__}
    if not (await journal.claim(Draft(**names))).fresh:
        return "one unknown"
    return "one looked for before it is sent" if journal.forgetful else "one would be sent again"


def spoil(made: Path, path: Path, suffix: str, dice: random.Random, *, alone: bool) -> None:
    """Copy a journal and flip one bit of one of its files."""
    copy(made, path)
    if alone:
        Path(f"{path}.lock").unlink()
    spoilt = Path(f"{path}{suffix}")
    content = bytearray(spoilt.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    spoilt.write_bytes(content)


class Heard(logging.Handler):
    """The lines of the journal's log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def run(in_file: int, in_log: int, seed: int) -> list[str]:
    """What failed."""
    dice, heard = random.Random(seed), Heard()
    logging.getLogger("exgate.journal").addHandler(heard)
    logging.getLogger("exgate.journal").propagate = False
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        stopped, killed = Path(folder) / "stopped.db", Path(folder) / "killed.db"
        live = Path(folder) / "live.db"
        async with Journal(stopped) as journal:
            first = await fill(journal, 0, ORDERS)
        copy(stopped, live)
        async with Journal(live) as journal:
            later = first | await fill(journal, ORDERS, 15)
            copy(live, killed)
        for title, made, suffix, truth, count, alone in (
            ("the file", stopped, "", first, in_file, False),
            ("the log", killed, "-wal", later, in_log // 2, False),
            ("the log of a copy without its lock file", killed, "-wal", later, in_log - in_log // 2, True),
        ):
            figures = Figures(f"{count} flipped bits in {title}")
            came = Counter[str]()
            for number in range(count):
                path = Path(folder) / f"{number}{suffix}" / "orders.db"
                path.parent.mkdir(exist_ok=True)
                spoil(made, path, suffix, dice, alone=alone)
                came[await judge(path, truth, heard.lines)] += 1
                shutil.rmtree(path.parent)
            for what in sorted(set(came) - {NAMELESS, SILENT}):
                figures.say(what, came[what])
            for what in (NAMELESS, SILENT):
                figures.never(what, came[what])
            failed += figures.failed
    return failed


def main() -> int:
    """0 if nothing happened that must never happen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=int, default=200)
    parser.add_argument("--log", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="20 flips of each kind")
    chosen = parser.parse_args()
    in_file, in_log = (20, 20) if chosen.short else (chosen.file, chosen.log)
    return 1 if asyncio.run(run(in_file, in_log, chosen.seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
