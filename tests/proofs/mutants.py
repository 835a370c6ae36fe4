"""Changes the meaning of the core in small ways, at random, and counts which changes the tests notice.

    python tests/proofs/mutants.py [--count 300] [--seed 1] [--jobs 2] [--only orders] [--short]

Each change is judged by the tests that run the changed line, which a first run of all of them finds out. Every
twentieth time the unchanged source is judged too: a test that fails then is not to be believed. Goal: 90 % noticed.
Survivors are listed with file, line and change, and with the reason where equivalent.toml knows one: it explains a
survivor, and never makes it one that was noticed.
"""

from __future__ import annotations

import argparse
import ast
import random
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.copies import NOTICED, Copy, Touched, copy
from tests.support.mutation import Mutant, count, excluded, pick
from tests.support.running import ROOT

SECONDS = 120.0
RECORDING = 600.0
GOAL = 0.9
CONTROL = 20
SHORT = 6
SHORT_ROOMS = ("reads", "book")
REASONS = Path(__file__).with_name("equivalent.toml")
ROOMS: dict[str, Sequence[str]] = {
    "orders": ("orders", "drafts", "outcomes", "lookups", "endings", "errands", "cancels", "client_ids"),
    "journal": ("journal", "journal_file", "rows"),
    "access": ("access", "grants", "caps", "rates"),
    "contract": ("contract", "wire", "status", "requests"),
    "numbers": ("numbers",),
    "reads": ("reads", "sharing"),
    "book": ("book",),
}
"""What is changed."""
_ORDERS = ("orders", "orders_failures", "orders_machine", "orders_times", "orders_told", "cancels", "app_orders")
TESTS: dict[str, Sequence[str]] = {
    "orders": (*_ORDERS, "lookups", "rules"),
    "journal": ("journal", *_ORDERS),
    "access": ("access", "limits", "tokens", "app", "app_orders"),
    "contract": ("contract", "requests", "openapi", "app", "app_orders"),
    "numbers": ("numbers", "rules", "book"),
    "reads": ("reads", "sharing"),
    "book": ("book", "reads"),
}
"""The tests that must notice it: of these files, those that run the line."""


def drawn(rooms: Iterable[str], number: int, seed: int) -> list[Mutant]:
    """So many changes, each as likely as any other."""
    found: list[tuple[str, str, int]] = []
    unmade: Counter[str] = Counter()
    for room in rooms:
        for module in ROOMS[room]:
            path = f"exgate_core/{module}.py"
            source = (ROOT / path).read_text(encoding="utf-8")
            unmade += excluded(source)
            found += [(path, source, place) for place in range(count(source))]
    number = min(number, len(found))
    print(f"{len(found)} changes are possible; {number} are drawn with seed {seed}. Not made:", flush=True)
    print(*(f"    {many} in {rule}" for rule, many in unmade.most_common()), sep="\n", flush=True)
    return [pick(path, source, place) for path, source, place in random.Random(seed).sample(found, number)]


def files(rooms: Iterable[str]) -> list[str]:
    """The files with the tests of these rooms."""
    return [f"tests/test_{name}.py" for name in dict.fromkeys(name for room in rooms for name in TESTS[room])]


def watched(copies: Sequence[Copy], pool: ThreadPoolExecutor, tests: Sequence[str]) -> Touched:
    """Which test runs what: each copy runs a share of the files."""
    shares = [tests[first :: len(copies)] for first in range(len(copies))]
    whole = Touched({}, {})
    for part in pool.map(lambda copied, share: copied.touched(share, RECORDING), copies, shares):
        whole.add(part)
    list(pool.map(lambda copied: copied.warm(tests), copies))
    print(f"{len(whole.seconds)} tests take {sum(whole.seconds.values()):.0f} s while they are watched", flush=True)
    return whole


class Bench:
    """The copies, and what each change is judged by."""

    def __init__(self, copies: Sequence[Copy], touched: Touched) -> None:
        self._copies: SimpleQueue[Copy] = SimpleQueue()
        for each in copies:
            self._copies.put(each)
        self._touched = touched

    def judge(self, mutant: Mutant, control: bool) -> str:
        """What noticed it; empty = nothing. Raises SystemExit where the tests fail without the change."""
        tests = self._touched.of(mutant.path, mutant.lines)
        if not tests:
            return ""
        copied = self._copies.get()
        try:
            if control:
                same = ast.unparse(ast.parse((copied.folder / mutant.path).read_text(encoding="utf-8")))
                with copied.spoiled(mutant.path, same):
                    flaky = copied.notices(tests, SECONDS)
                if flaky:
                    raise SystemExit(f"fails without a change: {flaky}")
            with copied.spoiled(mutant.path, mutant.text):
                return copied.notices(tests, SECONDS)
        finally:
            self._copies.put(copied)


def reason(mutant: Mutant, known: Sequence[dict[str, str]]) -> str:
    """Why nobody can see this change, where that is known."""
    for each in known:
        if each["path"] == mutant.path and each["line"] == mutant.source and mutant.what.startswith(each["change"]):
            return each["reason"]
    return ""


class Tally(NamedTuple):
    """How it went."""

    survived: int
    explained: int
    hung: int
    """Noticed by nothing but that the tests came to no end."""


def told(judged: Iterable[tuple[Mutant, str]]) -> Tally:
    """Print the survivors."""
    known = tomllib.loads(REASONS.read_text(encoding="utf-8"))["change"]
    survived = explained = hung = 0
    for place, (mutant, noticed) in enumerate(judged, 1):
        hung += bool(noticed) and not noticed.startswith(NOTICED)
        if noticed:
            continue
        why = reason(mutant, known)
        survived, explained = survived + 1, explained + bool(why)
        print(f"survived ({place}): {mutant.path}:{mutant.line}: {mutant.what}", flush=True)
        print(f"    {why or 'no reason known: ' + mutant.source}", flush=True)
    return Tally(survived, explained, hung)


def main() -> int:
    """0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=sorted(ROOMS), help="one room")
    parser.add_argument("--short", action="store_true", help=f"{SHORT} changes; the figure means little")
    chosen = parser.parse_args()
    rooms = [chosen.only] if chosen.only else list(SHORT_ROOMS if chosen.short else ROOMS)
    todo = drawn(rooms, SHORT if chosen.short else chosen.count, chosen.seed)
    begun = time.monotonic()
    with ExitStack() as stack, ThreadPoolExecutor(chosen.jobs) as pool:
        copies = [stack.enter_context(copy()) for _ in range(chosen.jobs)]
        bench = Bench(copies, watched(copies, pool, files(rooms)))
        verdicts = pool.map(bench.judge, todo, [place % CONTROL == 0 for place in range(len(todo))])
        tally = told(zip(todo, verdicts, strict=True))
    noticed, share = len(todo) - tally.survived, 1 - tally.survived / len(todo)
    print(
        f"{noticed} of {len(todo)} noticed: {share:.1%} (goal {GOAL:.0%}), {tally.hung} of them by tests without end;"
    )
    print(f"{tally.explained} of {tally.survived} survivors are explained; {time.monotonic() - begun:.0f} s")
    return 0 if share >= GOAL or (chosen.short and share > 0) else 1


if __name__ == "__main__":
    sys.exit(main())
