"""What survives the kill of the process: every accepted order, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from exgate_paper import Engine, Fault
from exgate_paper.rules import Fees
from exgate_paper.statefile import NAME, StateFile
from paper_support import MARKET, engine, place

from exgate_core.errors import FailedPrecondition


def rebuilt(folder: Path) -> Engine:
    made = Engine([MARKET], now=lambda: 1_700_000_000_000)
    file = StateFile(folder, made.fingerprint, made.faults)
    made.attach(file)
    file.close()
    return made


CHILD = """
import sys
from pathlib import Path
from exgate_paper import Engine, Fault
from exgate_paper.statefile import StateFile
from paper_support import MARKET, place
made = Engine([MARKET], now=lambda: 1_700_000_000_000)
file = StateFile(Path(sys.argv[1]), made.fingerprint, made.faults)
made.attach(file)
made.deposit("ann", {"USDT": "100000"})
made.faults.add(Fault(point=sys.argv[2], kind=sys.argv[3], after=2))
for number in range(5):
    print(place(made, "ann", "buy 1 @ 100", client_order_id=f"id-{number}").order_id, flush=True)
"""


@pytest.mark.parametrize(
    ("point", "kind", "stored"),
    [("append.before", "crash", 2), ("append.before", "torn", 2), ("append.after", "crash", 3)],
)
def test_kill_at_the_append(tmp_path: Path, point: str, kind: str, stored: int) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), point, kind],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert child.stdout.split() == ["1", "2"]
    made = rebuilt(tmp_path)
    assert [order.client_order_id for order in made.open_orders("ann")] == [f"id-{n}" for n in range(stored)]
    assert len(rebuilt(tmp_path).open_orders("ann")) == stored
    assert [len(made.ledger.accepted(f"id-{n}")) for n in range(4)] == [1] * stored + [0] * (4 - stored)


def test_a_full_disk_accepts_nothing(tmp_path: Path) -> None:
    made = engine()
    made.attach(StateFile(tmp_path, made.fingerprint, made.faults))
    made.faults.add(Fault(point="append.before", kind="error"))
    before = made.snapshot()
    with pytest.raises(OSError, match="no space"):
        place(made, "ann", "buy 1 @ 100")
    assert made.snapshot() == before
    assert place(made, "ann", "buy 1 @ 100").status == "open"


def test_two_processes_never_share_a_file(tmp_path: Path) -> None:
    made = engine()
    made.attach(StateFile(tmp_path, made.fingerprint, made.faults))
    with pytest.raises(FailedPrecondition, match="in use"):
        StateFile(tmp_path, made.fingerprint, made.faults)


def test_a_file_of_other_rules_or_with_a_broken_middle_is_refused(tmp_path: Path) -> None:
    rebuilt(tmp_path)
    other = Engine([MARKET], now=lambda: 0, fees=Fees.of("0.1", "0.1"))
    with pytest.raises(FailedPrecondition, match="other markets or fees"):
        other.attach(StateFile(tmp_path, other.fingerprint, other.faults))
    path = tmp_path / "b"
    rebuilt(path)
    with (path / NAME).open("ab") as file:
        file.write(b"broken\n[]\n")
    with pytest.raises(FailedPrecondition, match="can't be read"):
        rebuilt(path)


def test_commands_during_a_compaction_are_kept_and_an_abandoned_one_changes_nothing(tmp_path: Path) -> None:
    made = engine()
    file = StateFile(tmp_path, made.fingerprint, made.faults)
    made = Engine([MARKET], now=lambda: 1_700_000_000_000)
    made.attach(file)
    made.deposit("ann", {"USDT": "100000", "BTC": "100"})
    place(made, "ann", "sell 9 @ 100", client_order_id="old")
    for number in range(6_000):
        place(made, "ann", "buy 0.01 @ 100" if number % 2 else "sell 0.01 @ 100")
    work = file.compact(made.snapshot())
    next(work)
    place(made, "ann", "buy 1 @ 100", client_order_id="during")
    for _ in work:
        place(made, "ann", "buy 1 @ 100")
    assert file.records < 6_000
    place(made, "ann", "buy 1 @ 100", client_order_id="after")
    abandoned = file.compact(made.snapshot())
    next(abandoned)
    abandoned.close()
    place(made, "ann", "buy 1 @ 100", client_order_id="last")
    file.close()
    again = rebuilt(tmp_path)
    assert again.snapshot() == made.snapshot()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert len(again.find("ann", None, "", "during")) == len(again.find("ann", None, "", "last")) == 1
