"""Judges the mutants that ``mutants.py`` has made: everything is loaded once, then each mutant is tried in a fork.

    python mutants_judge.py FOLDER PACKAGE

FOLDER holds copies of the judges, the package, and ``mutants.json``. Prints ``[number, what killed it]`` for each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import select
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

SIDE_BY_SIDE = 4
AT_A_TIME = 2
LIMIT = 120.0
"""Seconds for one mutant. Sound packages take a quarter of that; who hangs for so long is noticed."""
FIRST = ("C01", "C09", "C15", "C25", "C33", "C40", "C47", "C48", "C70", "C80", "C89")
AGGREGATE_CASES = ("C15", "C07", "C08", "C09", "C11", "C70", "C73", "C75")
"""What ``trades = "aggregate"`` changes."""
US_CASES = ("C01", "C09", "C14", "C15", "C16", "C30", "C32", "C40")
"""What Binance.US has of its own: prices, options, history, no sandbox."""

Trial = tuple[str, Any, Any, str]
"""(label, exchange, case, variant)"""


def all_trials(killers: Counter[str], of_module: Counter[str]) -> list[Trial]:
    """Everything to try, the likeliest to fail first: what has killed neighbours, then what sees most."""
    from exgate_binance.fake import BinanceFake
    from exgate_testing.judging import chosen
    from exgate_testing.subjects import subject

    settings = {"settings": {"trades": "aggregate"}, "apart": 0}  # the kit knows one id of each trade
    third = type("Aggregate", (BinanceFake,), settings)
    found: list[Trial] = []
    for mark, name, fake, only in (
        ("", "binance", BinanceFake, ()),
        ("us ", "binanceus", BinanceFake, US_CASES),
        ("aggregate ", "binance", third, AGGREGATE_CASES),
        ("us aggregate ", "binanceus", third, ("C15",)),
    ):
        whole = subject(name, plugin="exgate-binance", fake=fake)
        found += [(mark + case.label(variant), whole, case, variant) for case, variant in chosen(only)]
    # Neighbours fail together: the first ones should be of every kind, and those that see most.
    random.Random(1).shuffle(found)
    return sorted(
        found, key=lambda one: (one[2].alone, -of_module[one[0]], -min(killers[one[0]], 3), one[2].id not in FIRST)
    )


async def judge(killers: Counter[str], of_module: Counter[str]) -> str:
    """The first case that fails twice, the second time by itself; or an empty text."""
    trials = all_trials(killers, of_module)
    while trials:
        doubted = await beside(trials)
        if doubted is not None and (why := await attempt(doubted)):
            return why
    return ""


async def beside(trials: list[Trial]) -> Trial | None:
    """Try them side by side, taking each off the list; the first that fails, once the others have ended."""
    failed: list[Trial] = []

    async def work() -> None:
        while trials and not failed and not trials[0][2].alone:
            one = trials.pop(0)
            if await attempt(one):
                failed.append(one)

    if trials[0][2].alone:
        one = trials.pop(0)
        return one if await attempt(one) else None
    workers = [asyncio.ensure_future(work()) for _ in range(SIDE_BY_SIDE)]
    await asyncio.gather(*workers)
    return failed[0] if failed else None


async def attempt(one: Trial) -> str:
    """What a case says; empty if it finds no fault."""
    from exgate_testing.judging import judge as judge_one

    label, whole, case, variant = one
    verdict = await judge_one(whole, case, variant, {})
    return f"{label}: {verdict.why[:160]}" if verdict.result == "failed" else ""


def in_fork(folder: Path, killers: Counter[str], of_module: Counter[str]) -> tuple[int, int]:
    """(process, where it writes what killed the mutant)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    sys.path.insert(0, str(folder))
    try:
        found = asyncio.run(judge(killers, of_module))
    except BaseException as error:  # what can't even be loaded
        found = f"{type(error).__name__}: {error}"
    os.write(writer, found.encode()[:2000])
    os._exit(0)  # whatever a mutant left running


class Court:
    """Two mutants at a time, each in a fork with a copy of the package of its own."""

    def __init__(self, folder: Path, package: str) -> None:
        self._folder, self._package, self._started = folder, package, 0
        self._killers, self._of_module = Counter[str](), dict[str, Counter[str]]()
        self._running: dict[int, tuple[int, dict[str, Any], Path, float]] = {}

    def try_all(self, rows: list[dict[str, Any]]) -> None:
        """Print the verdict on each."""
        waiting = list(reversed(rows))
        while waiting or self._running:
            while waiting and len(self._running) < AT_A_TIME:
                self._start(waiting.pop())
            ready, _, _ = select.select(list(self._running), [], [], 1.0)
            for reader in ready:
                self._end(reader, os.read(reader, 4000).decode())
            for reader, (child, _, _, until) in list(self._running.items()):
                if time.monotonic() > until:
                    os.kill(child, signal.SIGKILL)
                    self._end(reader, f"it hung for {LIMIT:.0f} s")

    def _start(self, row: dict[str, Any]) -> None:
        self._started += 1
        own = self._folder / f"mutant-{self._started}"
        shutil.copytree(self._folder / self._package, own / self._package)
        if row["module"]:
            (own / self._package / row["module"]).write_text(row["source"])
        kills = self._of_module.setdefault(row["module"], Counter())
        child, reader = in_fork(own, self._killers, kills)
        self._running[reader] = child, row, own, time.monotonic() + LIMIT

    def _end(self, reader: int, killer: str) -> None:
        child, row, own, _ = self._running.pop(reader)
        os.waitpid(child, 0)
        os.close(reader)
        shutil.rmtree(own)
        label = killer.partition(":")[0]
        if killer:
            self._killers[label] += 1
            self._of_module[row["module"]][label] += 1
        print(json.dumps([row["number"], killer]), flush=True)


def main() -> int:
    """Judge the first of them by itself, for it is the package as it is; then the others."""
    logging.disable(logging.CRITICAL)
    import aiohttp.web  # noqa: F401 - what every fork would load by itself
    from exgate_testing.judging import chosen

    import exgate_core.fetch
    import exgate_core.pool
    import exgate_core.wsline  # noqa: F401

    list(chosen())
    folder, package = Path(sys.argv[1]), sys.argv[2]
    first, *rest = json.loads((folder / "mutants.json").read_text())
    court = Court(folder, package)
    court.try_all([first])
    court.try_all(rest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
