"""What it costs the paper exchange to keep its state: orders a second over HTTP, in memory and in a file.

Each round starts a gateway, in turns with the state in memory and in the state folder (the default), and lets so many
callers place resting orders at once, each over a connection of its own.

    python tests/bench/paper_state.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.front import Caller, calling
from tests.support.running import serving

GOAL = 0.8
"""Of the orders in memory, so many must be left."""
PLACES = {"memory": "memory", "file": ""}


async def place(url: str, callers: int, count: int) -> float:
    """Orders a second."""

    async def one(caller: Caller, numbers: range) -> None:
        for number in numbers:
            reply = await caller.buy(6_000 + number)
            assert reply.outcome == "placed", reply

    async with calling(url) as caller:
        await caller.get("/v1/paper/balances")
        began = time.perf_counter()
        await asyncio.gather(*(one(caller, range(count // callers)) for _ in range(callers)))
        return count / (time.perf_counter() - began)


def main() -> int:
    """Print one line for each number of callers; 1 where the file costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one short round, no judgement")
    smoke: bool = parser.parse_args().smoke
    missed = False
    for callers in (1, 16, 64):
        found: dict[str, list[float]] = {name: [] for name in PLACES}
        for _ in range(1 if smoke else 5):
            for name, state in PLACES.items():
                with TemporaryDirectory() as folder:
                    own = ("-s", f"exchanges.paper.state={state}")
                    with serving(Path(folder), *own) as running:
                        count = 64 if smoke else 640
                        found[name].append(asyncio.run(place(running.url, callers, count)))
        memory, file = (statistics.median(found[name]) for name in PLACES)
        missed = missed or file < GOAL * memory
        print(f"{callers:3} callers: {memory:6.0f} orders/s in memory, {file:6.0f} in a file ({file / memory:.2f})")
    return int(missed and not smoke)


if __name__ == "__main__":
    sys.exit(main())
