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
_ORDERS = (
    "test_orders",
    "test_orders_failures",
    "test_cancels",
    "test_journal",
    "test_app_orders",
    "test_orders_machine",
)
ROOMS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "orders": (
        ("orders", "drafts", "outcomes", "lookups", "endings", "errands", "cancels", "client_ids"),
        (*_ORDERS, "test_rules"),
    ),
    "journal": (("journal", "rows"), _ORDERS),
    "access": (("access", "grants", "caps", "rates"), ("test_access", "test_tokens", "attacks/test_whole")),
    "contract": (
        ("contract", "wire", "status", "requests"),
        ("test_contract", "test_requests", "test_openapi", "test_app", "test_app_orders"),
    ),
    "numbers": (("numbers",), ("test_numbers", "test_rules", "test_book")),
    "reads": (("reads", "sharing"), ("test_reads",)),
    "book": (("book",), ("test_book", "test_reads")),
}
"""What is changed, and the tests that must notice."""


def drawn(rooms: Sequence[str], number: int, seed: int) -> list[tuple[Mutant, Sequence[str]]]:
    """So many changes, each as likely as any other."""
    found: list[tuple[str, str, int, Sequence[str]]] = []
    for room in rooms:
        modules, names = ROOMS[room]
        tests = [f"tests/{name}.py" for name in names]
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
