"""Changes the meaning of the core in small ways, at random, and counts which changes the tests notice.

    python tests/proofs/mutants.py [--count 300] [--seed 1] [--jobs 2] [--only orders] [--short]

Goal: 90 % noticed. The others are listed with file, line and change, to be read one by one: what changes no behaviour
that anybody could see survives rightly.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.copies import Copy, copy
from tests.support.mutation import Mutant, count, pick
from tests.support.running import ROOT

SECONDS = 150.0
GOAL = 0.9
_ORDERS = ("tests/test_orders.py", "tests/test_orders_failures.py", "tests/test_cancels.py", "tests/test_journal.py",
           "tests/test_app_orders.py", "tests/test_orders_machine.py")  # fmt: skip
ROOMS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "orders": (("orders", "drafts", "outcomes", "lookups", "endings", "errands", "cancels", "client_ids"),
               (*_ORDERS, "tests/test_rules.py")),
    "journal": (("journal", "rows"), ("tests/test_journal.py", *_ORDERS)),
    "access": (("access", "grants", "caps", "rates"),
               ("tests/test_access.py", "tests/test_tokens.py", "tests/attacks/test_whole.py")),
    "contract": (("contract", "wire", "status", "requests"), ("tests/test_contract.py", "tests/test_requests.py",
                                                                "tests/test_openapi.py", "tests/test_app.py", "tests/test_app_orders.py")),
    "numbers": (("numbers",), ("tests/test_numbers.py", "tests/test_rules.py", "tests/test_book.py")),
    "reads": (("reads", "sharing"), ("tests/test_reads.py",)),
    "book": (("book",), ("tests/test_book.py", "tests/test_reads.py")),
}  # fmt: skip
"""What is changed, and the tests that must notice."""


def drawn(rooms: Sequence[str], number: int, seed: int) -> list[tuple[Mutant, Sequence[str]]]:
    """So many changes, each as likely as any other."""
    found: list[tuple[str, str, int, Sequence[str]]] = []
    for room in rooms:
        modules, tests = ROOMS[room]
        for module in modules:
            path = f"exgate_core/{module}.py"
            source = (ROOT / path).read_text(encoding="utf-8")
            found += [(path, source, place, tests) for place in range(count(source))]
    print(f"{len(found)} changes are possible; {min(number, len(found))} are drawn with seed {seed}", flush=True)
    chosen = random.Random(seed).sample(found, min(number, len(found)))
    return [(pick(path, source, place), tests) for path, source, place, tests in chosen]


def judge(copies: SimpleQueue[Copy], mutant: Mutant, tests: Sequence[str]) -> tuple[Mutant, str]:
    """What noticed it; empty = nothing."""
    copied = copies.get()
    try:
        with copied.spoiled(mutant.path, mutant.text):
            return mutant, copied.notices(tests, SECONDS)
    finally:
        copies.put(copied)


def main() -> int:
    """0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=sorted(ROOMS), help="one room")
    parser.add_argument("--short", action="store_true", help="six changes; the figure means little")
    chosen = parser.parse_args()
    rooms = [chosen.only] if chosen.only else list(ROOMS)
    todo = drawn(rooms, 6 if chosen.short else chosen.count, chosen.seed)
    survivors: list[Mutant] = []
    with ExitStack() as stack, ThreadPoolExecutor(chosen.jobs) as pool:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for _ in range(chosen.jobs):
            copies.put(stack.enter_context(copy()))
        for done, (mutant, noticed) in enumerate(pool.map(lambda each: judge(copies, *each), todo), 1):
            if not noticed:
                survivors.append(mutant)
                print(f"survived ({done}): {mutant.path}:{mutant.line}: {mutant.what}", flush=True)
    share = 1 - len(survivors) / len(todo)
    print(f"{len(todo) - len(survivors)} of {len(todo)} noticed: {share:.1%} (goal {GOAL:.0%})")
    return 0 if chosen.short or share >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
