"""Every fault on every operation: what must never happen, and the cases and tests that assert it.

    python tests/proofs/fault_matrix.py [--short]

Rows are faults F1 to F41, columns five kinds of operation, and each cell stands for five ways to an exchange: Binance,
OKX and Kraken by hand, Binance through ccxt, paper. A cell names cases of the author's kit, which are tried on that
way, and tests of the core, which hold for all. The script runs all of them, prints every cell, and fails unless each
one that applies is asserted. ``--short``: every seventh fault, over Binance by hand and through ccxt.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "plugins/exgate-ccxt/tests"))

from exgate_testing.judging import Verdict, chosen, judge_all
from exgate_testing.subjects import Subject, subject

from tests.support.fault_rows import COLUMNS, FAULTS, Cell, Fault

ROOT: Final = Path(__file__).parents[2]
WAYS: Final = ("binance", "okx", "kraken", "binance through ccxt", "paper")
_SHORT: Final = ("binance", "binance through ccxt")
WAIVERS: Final[Mapping[str, Mapping[str, str]]] = importlib.import_module("conforming").WAIVERS
"""What ccxt can't do, as the tests of its plugin have it."""


def judged(way: str) -> Subject:
    """Who stands for a way."""
    name, _, ccxt = way.partition(" through ")
    return subject(name, plugin="exgate-ccxt" if ccxt else "")


def verdicts(way: str, faults: Sequence[Fault]) -> dict[str, Verdict]:
    """What the kit says of a way, by the label of each variant."""
    labels = {label for fault in faults for cell in fault.cells.values() for label in cell.cases}
    known = {case.label(variant) for case, variant in chosen(labels)}
    missing = [
        label for label in labels if label not in known and not any(one.startswith(label + "[") for one in known)
    ]
    assert not missing, f"the kit has no {missing}"
    waivers = WAIVERS["binance"] if way.endswith("ccxt") else {}
    return {one.label: one for one in asyncio.run(judge_all(judged(way), waivers, labels))}


def outcomes(tests: Iterable[str]) -> dict[str, bool]:
    """Whether each test passed, in every variant of it."""
    wanted = sorted(set(tests))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--junitxml={report}", *wanted]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
        if not report.exists():
            raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
        found: dict[str, list[bool]] = {}
        for one in ET.parse(report).iter("testcase"):
            name = f"{one.get('classname', '').replace('.', '/')}.py::{one.get('name', '').partition('[')[0]}"
            wrong = any(one.find(kind) is not None for kind in ("failure", "error", "skipped"))
            found.setdefault(name, []).append(not wrong)
    return {test: bool(found.get(test)) and all(found[test]) for test in wanted}


def judge(cell: Cell, column: str, way: str, kit: Mapping[str, Verdict], tests: Mapping[str, bool]) -> tuple[str, str]:
    """``asserted``, ``not applicable`` or ``MISSING``, and why."""
    reason = cell.absent or cell.absent_for.get(way.rpartition(" ")[2], "")
    if reason:
        return "not applicable", reason
    mine = [one for label, one in kit.items() if label in cell.cases or one.case in cell.cases]
    wrong = [f"{one.label}: {one.why[:120]}" for one in mine if one.result == "failed"]
    wrong += [test for test in cell.tests_of(way, column) if not tests[test]]
    if wrong:
        return "MISSING", "; ".join(wrong)
    said = [one.label for one in mine if one.result == "passed"] + list(cell.tests_of(way, column))
    if said:
        return "asserted", ", ".join(said)
    why = sorted({one.why for one in mine if one.result == "not applicable"})
    return ("not applicable", "; ".join(why)) if why else ("MISSING", "nothing asserts it")


def main() -> int:
    """Run, print, count."""
    logging.disable(logging.CRITICAL)
    short = "--short" in sys.argv
    ways, faults = (_SHORT, FAULTS[::7]) if short else (WAYS, FAULTS)
    cells = [cell for fault in faults for cell in fault.cells.items()]
    tests = outcomes(test for column, cell in cells for way in ways for test in cell.tests_of(way, column))
    kits = {way: verdicts(way, faults) for way in ways}
    counted = dict.fromkeys(("asserted", "not applicable", "MISSING"), 0)
    for fault in faults:
        print(f"{fault.id} {fault.what}. Never: {fault.never}")
        for column in COLUMNS:
            lines: dict[tuple[str, str], list[str]] = {}
            for way in ways:
                found = judge(fault.cells[column], column, way, kits[way], tests)
                counted[found[0]] += 1
                lines.setdefault(found, []).append(way)
            for (result, why), those in lines.items():
                print(f"  {column:28} {result:15} {', '.join(those)}: {why[:300]}")
    applicable = counted["asserted"] + counted["MISSING"]
    print(
        f"{len(faults)} faults, {sum(counted.values())} cells: {counted['asserted']} of {applicable} that apply are "
        f"asserted ({100 * counted['asserted'] / applicable:.1f} %), {counted['not applicable']} don't apply; "
        f"{len(tests)} tests of the core, {sum(map(len, kits.values()))} variants of cases"
    )
    return 1 if counted["MISSING"] else 0


if __name__ == "__main__":
    sys.exit(main())
