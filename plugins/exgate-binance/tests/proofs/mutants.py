"""Break exgate-binance in random places, and see whether the kit alone notices.

    python plugins/exgate-binance/tests/proofs/mutants.py [--short] [--count N] [--seed N] [--only MODULE]

cosmic-ray changes one operator, number or condition of a copy of the package at a time; every such mutant is judged by
the conformance cases of exgate-testing, and by nothing else. At least 85 of 100 must be noticed. Where a change can't
change anything, none is made. cosmic-ray is put into .dev/mutation by pip; where that can't be had, this says so and
ends well.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[min(4, len(HERE.parents) - 1)]  # the judge is a copy of this file elsewhere
PACKAGE = "exgate_binance"
SOURCE = HERE.parents[2] / "src" / PACKAGE
JUDGES = (
    ROOT / "exgate_core",
    ROOT / "plugins" / "exgate-testing" / "src" / "exgate_testing",
    ROOT / "plugins" / "exgate-paper" / "src" / "exgate_paper",
)
TOOL = ROOT / ".dev" / "mutation"
GOAL = 0.85
SIDE_BY_SIDE = 4
STAR = re.compile(r"BinaryOperator_(Mul|Pow)_")
SAME = ("Operator_Eq_Is", "Operator_NotEq_IsNot", "Operator_Is_Eq", "Operator_IsNot_NotEq")
FIRST = ("C01", "C09", "C15", "C25", "C33", "C40", "C47", "C48", "C70", "C80", "C89")
AGGREGATE_CASES = ("C15", "C07", "C08", "C09", "C11", "C70", "C73", "C75")
"""What ``trades = "aggregate"`` changes."""
US_CASES = ("C01", "C09", "C14", "C15", "C16", "C30", "C32", "C40")
"""What Binance.US has of its own: prices, options, history, no sandbox."""
LIMIT = 60.0

CONFIG = """[cosmic-ray]
module-path = "{package}"
timeout = {limit}
excluded-modules = [{fakes}]
test-command = "{python} judge.py --judge"

[cosmic-ray.distributor]
name = "local"
"""
INVENTORY = """
import json, sys
from cosmic_ray.work_db import use_db
with use_db(sys.argv[1]) as db:
    rows = []
    for item in db.work_items:
        for one in item.mutations:
            row = [item.job_id, str(one.module_path), one.operator_name, one.occurrence, *one.start_pos, *one.end_pos]
            rows.append([*row, one.definition_name])
print(json.dumps(rows))
"""
KEEP = """
import json, sys
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import WorkerOutcome, WorkResult
kept = set(json.load(sys.stdin))
with use_db(sys.argv[1]) as db:
    for item in list(db.work_items):
        if item.job_id not in kept:
            db.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
"""
RESULTS = """
import json, sys
from cosmic_ray.work_db import use_db
with use_db(sys.argv[1]) as db:
    print(json.dumps([
        [job, str(found.test_outcome and found.test_outcome.value), found.diff, found.output]
        for job, found in db.results if found.worker_outcome.value != "skipped"
    ]))
"""


# -- the judge: this file, started once per mutant with the mutated package first on the path


async def judge() -> str:
    """The first case that fails, or an empty text."""
    trials, failed = await asyncio.to_thread(all_trials), list[str]()
    beside = iter([trial for trial in trials if not trial[1].alone])

    async def work() -> None:
        for trial in beside:
            if not failed:
                failed.extend(await attempt(*trial))

    await asyncio.gather(*(work() for _ in range(SIDE_BY_SIDE)))
    for trial in trials:
        if trial[1].alone and not failed:
            failed.extend(await attempt(*trial))
    return failed[0] if failed else ""


def all_trials() -> list[tuple[Any, Any, str]]:
    """(exchange, case, variant), in the order in which they are tried."""
    from exgate_binance.fake import BinanceFake
    from exgate_testing.judging import chosen
    from exgate_testing.subjects import subject

    whole = subject("binance", plugin="exgate-binance", fake=BinanceFake)
    other = subject("binanceus", plugin="exgate-binance", fake=BinanceFake)
    settings = {"settings": {"trades": "aggregate"}, "apart": 0}  # the kit knows one id of each trade
    third = subject("binance", plugin="exgate-binance", fake=type("Aggregate", (BinanceFake,), settings))
    trials = [(whole, *pair) for pair in chosen()]
    trials += [(other, *pair) for pair in chosen(US_CASES)] + [(third, *pair) for pair in chosen(AGGREGATE_CASES)]
    # Neighbours fail together: the first ones should be of every kind, and those that see most.
    random.Random(1).shuffle(trials)
    return sorted(trials, key=lambda trial: trial[1].id not in FIRST)


async def attempt(trial: Any, case: Any, variant: str) -> list[str]:
    """What a case says, if it says so twice: on a busy machine a failure may be bad luck."""
    from exgate_testing.judging import judge as judge_one

    for _ in range(2):
        verdict = await judge_one(trial, case, variant, {})
        if verdict.result != "failed":
            return []
    return [f"{verdict.label} {verdict.why[:120]}"]


def judged() -> int:
    """1 if the kit notices anything."""
    logging.disable(logging.CRITICAL)
    try:
        found = asyncio.run(judge())
    except Exception as error:  # what can't even be loaded
        found = f"{type(error).__name__}: {error}"
    print(f"KILLED BY {found}" if found else "SURVIVED")
    sys.stdout.flush()
    os._exit(1 if found else 0)  # whatever a mutant left running


# -- the mutants


def tool() -> bool:
    """Whether cosmic-ray is there, or could be installed."""
    if not (TOOL / "bin" / "cosmic-ray").exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(TOOL)], check=False)
        pip = [str(TOOL / "bin" / "pip"), "install", "--quiet", "cosmic-ray"]
        if made.returncode or subprocess.run(pip, check=False).returncode:
            return False
    return (TOOL / "bin" / "cosmic-ray").exists()


def run(folder: Path, *arguments: str, **more: Any) -> str:
    """The output of a program of the tool's environment."""
    program = str(TOOL / "bin" / arguments[0])
    done = subprocess.run([program, *arguments[1:]], cwd=folder, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def unchanging(source: str) -> list[tuple[int, int, int, int]]:
    """Where a change changes nothing that a program does: annotations of functions and of what is in them, which are
    never evaluated here, and the options of classes (frozen, gc). (line, column, last line, column)."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inner = [one for function in functions for one in ast.walk(function) if isinstance(one, ast.arg | ast.AnnAssign)]
    options = [word.value for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for word in node.keywords]
    found = [*(function.returns for function in functions), *(one.annotation for one in inner), *options]
    return [(one.lineno, one.col_offset, one.end_lineno or 0, one.end_col_offset or 0) for one in found if one]


def alive(rows: list[list[Any]], folder: Path, only: str) -> Iterator[list[Any]]:
    """The mutants that are programs and change something.

    ``is`` for ``==`` changes nothing where constants are compared, as here they are; the tool also takes the stars of
    ``**options`` and ``*, name`` for operators, which leaves no program behind.
    """
    spans = {path.name: unchanging(path.read_text()) for path in (folder / PACKAGE).glob("*.py")}
    texts = {path.name: path.read_text().splitlines() for path in (folder / PACKAGE).glob("*.py")}
    for row in rows:
        name, (line, column) = Path(row[1]).name, row[4:6]
        if STAR.search(row[2]) and texts[name][line - 1][:column].rstrip()[-1:] in ("", "(", "[", "{", ",", ":"):
            continue
        inside = any((a, b) <= (line, column) < (c, d) for a, b, c, d in spans[name])
        if not inside and only in name and not row[2].endswith(SAME):
            yield row


def sample(folder: Path, count: int, seed: int, only: str) -> dict[str, list[Any]]:
    """Mark all but the chosen mutants as skipped; the chosen ones by their job."""
    database = str(folder / "session.sqlite")
    fakes = ", ".join(f'"{PACKAGE}/{path.name}"' for path in sorted((folder / PACKAGE).glob("fake*.py")))
    config = CONFIG.format(package=PACKAGE, limit=LIMIT, python=sys.executable, fakes=fakes)
    (folder / "config.toml").write_text(config)
    run(folder, "cosmic-ray", "init", "config.toml", database)
    rows = json.loads(run(folder, "python", "-c", INVENTORY, database))
    candidates = sorted(alive(rows, folder, only), key=lambda row: [str(part) for part in row[1:]])
    chosen = random.Random(seed).sample(candidates, min(count, len(candidates)))
    print(f"{len(rows)} mutants, {len(candidates)} of them change something, {len(chosen)} chosen with seed {seed}")
    run(folder, "python", "-c", KEEP, database, input=json.dumps([row[0] for row in chosen]))
    return {row[0]: row for row in chosen}


def mutate(count: int, seed: int, only: str) -> tuple[int, int]:
    """(noticed, tried), with every survivor printed."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        folder = Path(place)
        for source in (SOURCE, *JUDGES):  # the judges, too: whoever works on them meanwhile changes no verdict
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(HERE, folder / "judge.py")
        chosen = sample(folder, count, seed, only)
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        sound = subprocess.run([sys.executable, "judge.py", "--judge"], cwd=folder, env=environment, check=False)
        assert sound.returncode == 0, "the kit finds fault with the package as it is"
        run(folder, "cosmic-ray", "exec", "config.toml", str(folder / "session.sqlite"), env=environment)
        results = json.loads(run(folder, "python", "-c", RESULTS, str(folder / "session.sqlite")))
    survivors = [(chosen[job], diff) for job, outcome, diff, _ in results if outcome == "survived"]
    for row, diff in survivors:
        changed = [line for line in (diff or "").splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        print(f"SURVIVED {Path(row[1]).name}:{row[4]} {row[2].removeprefix('core/')}", *changed, sep="\n    ")
    return len(results) - len(survivors), len(results)


def main() -> int:
    """0 if the kit noticed enough of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="four of them: the figure means little")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", default="", help="mutate only modules whose name holds this")
    parser.add_argument("--judge", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.judge:
        return judged()
    if not tool():
        print("skipped: cosmic-ray can't be installed here")
        return 0
    start = time.monotonic()
    count, seed = (4, 1) if arguments.short else (arguments.count, arguments.seed)
    killed, total = mutate(count, seed, arguments.only)
    print(f"killed {killed} of {total} ({killed / total:.0%}; goal {GOAL:.0%}) in {time.monotonic() - start:.0f} s")
    return 0 if arguments.short or killed >= GOAL * total else 1


if __name__ == "__main__":
    sys.exit(main())
