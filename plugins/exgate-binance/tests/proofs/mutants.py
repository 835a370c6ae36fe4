"""Break exgate-binance in random places, and see whether the kit alone notices.

    python plugins/exgate-binance/tests/proofs/mutants.py [--short] [--count N] [--seed N] [--only MODULE]

cosmic-ray makes the mutants: one operator, number, condition or decorator of the package changed at a time. Each is
judged by the conformance cases of exgate-testing, and by nothing else: it is killed if a case fails, and fails again
when it is tried by itself. At least 85 of 100 must be. Not judged is what can't change what the package does, by the
rules that are printed with their counts (``mutants_rules.py``). Among the mutants stand packages without a change: if
one of those is killed the run counts for nothing. cosmic-ray is put into .dev/mutation by pip; where that
can't be had, this says so and ends well.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mutants_rules import excluded, known_survivor

HERE = Path(__file__).resolve()
ROOT = HERE.parents[4]
PACKAGE = "exgate_binance"
SOURCE = HERE.parents[2] / "src" / PACKAGE
JUDGES = (
    ROOT / "exgate_core",
    ROOT / "plugins" / "exgate-testing" / "src" / "exgate_testing",
    ROOT / "plugins" / "exgate-paper" / "src" / "exgate_paper",
)
TOOL = ROOT / ".dev" / "mutation"
GOAL = 0.85
FEW, OF_FEW = 4, 30
"""How many a short run judges, and of how many it takes them."""
CONTROL_OF = 20
"""One mutant in so many is none: whatever is killed of those shows what a busy machine does to the figure."""

MAKE = """
import json, random, sys
from pathlib import Path
import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
most, seed, spots = int(sys.argv[2]), int(sys.argv[3]), []
kinds = [(name, cosmic_ray.plugins.get_operator(name)) for name in cosmic_ray.plugins.operator_names()]
for path in sorted(Path(sys.argv[1]).glob("*.py")):
    if not path.name.startswith("fake"):
        source = path.read_text()
        nodes = list(ast_nodes(get_ast(source)))
        for name, kind in kinds:
            if not kind.arguments():
                own = [spot for node in nodes for spot in kind().mutation_positions(node)]
                spots += [(path, name, kind, number, start) for number, (start, _) in enumerate(own)]
found = []
for path, name, kind, number, start in random.Random(seed).sample(spots, most) if most else spots:
    try:
        changed = mutate_code(path.read_text(), kind(), number)
    except Exception:
        changed = ""
    found.append([path.name, name.removeprefix("core/"), *start, changed])
print(json.dumps(found))
"""


class Mutant(NamedTuple):
    """One change of one module."""

    module: str
    operator: str
    line: int
    column: int
    source: str

    def shown(self, before: str) -> str:
        """Where it is, and the lines that differ."""
        old, new = before.splitlines(), self.source.splitlines()
        pairs = [(a, b) for a, b in zip(old, new, strict=False) if a != b] or [(f"{len(old)} lines", f"{len(new)}")]
        lines = [f"    - {a.strip()}\n    + {b.strip()}" for a, b in pairs[:1]]
        return "\n".join([f"{self.module}:{self.line} {self.operator}", *lines])


def tool() -> bool:
    """Whether cosmic-ray is there, or could be installed."""
    if not (TOOL / "bin" / "cosmic-ray").exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(TOOL)], check=False)
        pip = [str(TOOL / "bin" / "pip"), "install", "--quiet", "cosmic-ray"]
        if made.returncode or subprocess.run(pip, check=False).returncode:
            return False
    return (TOOL / "bin" / "cosmic-ray").exists()


class Unsound(Exception):
    """The kit found fault with the package as it is: nothing that it says of mutants counts."""


def mutants(folder: Path, only: str, most: int, seed: int) -> list[Mutant]:
    """All that are judged, of so many made (0 = all that there are); says how many aren't, and by which rule."""
    command = [str(TOOL / "bin" / "python"), "-c", MAKE, str(folder / PACKAGE), str(most), str(seed)]
    made = [Mutant(*row) for row in json.loads(subprocess.run(command, check=True, capture_output=True).stdout)]
    rules, found = Counter[str](), list[Mutant]()
    texts = {path.name: path.read_text() for path in (folder / PACKAGE).glob("*.py")}
    for mutant in made:
        rule = excluded(mutant, texts[mutant.module])
        rules[rule] += 1
        if not rule and only in mutant.module:
            found.append(mutant)
    print(f"{len(made)} mutants made; {rules.pop('', 0)} of them are judged. Not judged:")
    for rule, count in rules.most_common():
        print(f"  {count:4}  {rule}")
    return sorted(found)


def judged(folder: Path, chosen: list[Mutant]) -> Iterator[tuple[int, str]]:
    """(number of the mutant, what killed it, or an empty text), as they come; -1 = the package as it is, tried first
    and now and then."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    rows = [{"number": -1, "module": "", "source": ""}]
    for number, one in enumerate(chosen, 1):
        rows.append({"number": number - 1, "module": one.module, "source": one.source})
        rows += rows[:1] if number % CONTROL_OF == 0 else []
    (folder / "mutants.json").write_text(json.dumps(rows))
    command = [sys.executable, str(HERE.parent / "mutants_judge.py"), str(folder), PACKAGE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, text=True, process_group=0) as judge:
        assert judge.stdout is not None
        try:
            for line in judge.stdout:
                number, killer = json.loads(line)
                yield number, killer
        except BaseException:  # whoever asks has heard enough
            os.killpg(judge.pid, signal.SIGKILL)
            raise
    assert judge.returncode == 0, f"the judge ended with {judge.returncode}"


def trial(count: int, seed: int, only: str, verbose: bool, most: int = 0) -> tuple[int, int]:
    """(killed, tried), with every survivor printed. Raises Unsound."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        folder = Path(place)
        for source in (SOURCE, *JUDGES):  # the judges, too: whoever works on them meanwhile changes no verdict
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        texts = {path.name: path.read_text() for path in (folder / PACKAGE).glob("*.py")}
        found = mutants(folder, only, most, seed)
        chosen = random.Random(seed).sample(found, min(count, len(found)))
        print(f"{len(chosen)} chosen with seed {seed}", flush=True)
        killed = sound = 0
        for number, killer in judged(folder, chosen):
            if number < 0:
                if killer:
                    raise Unsound(f"the kit finds fault with the package as it is: {killer}")
                sound += 1
                continue
            killed += bool(killer)
            if verbose or not killer:
                text = texts[chosen[number].module]
                why = f"killed by {killer}" if killer else f"SURVIVED: {known_survivor(chosen[number], text)}"
                print(f"{chosen[number].shown(text)}\n    {why}", flush=True)
    print(f"the kit found no fault with the package as it is, {sound} times")
    return killed, len(chosen)


def main() -> int:
    """0 if the kit noticed enough of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help=f"{FEW} of them: fails only if all of them survive")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", default="", help="mutate only modules whose name holds this")
    parser.add_argument("--verbose", action="store_true", help="print what killed each")
    arguments = parser.parse_args()
    if not tool():
        print("skipped: cosmic-ray can't be installed here")
        return 0
    start = time.monotonic()
    count, most = (FEW, OF_FEW) if arguments.short else (arguments.count, 0)
    try:
        killed, total = trial(count, arguments.seed, arguments.only, arguments.verbose, most)
    except Unsound as error:
        print(f"seed {arguments.seed}: {error}")
        return 0 if arguments.short else 1  # a busy machine may be too slow for a case; whether it is, others tell
    took = time.monotonic() - start
    print(f"killed {killed} of {total} ({killed / total:.1%}; goal {GOAL:.0%}), seed {arguments.seed}, in {took:.0f} s")
    return 0 if killed >= (1 if arguments.short else GOAL * total) else 1


if __name__ == "__main__":
    sys.exit(main())
