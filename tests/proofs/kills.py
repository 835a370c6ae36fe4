"""SIGKILL at a random moment while twenty orders and their cancels are under way at once, again and again.

    python tests/proofs/kills.py [--kills 500] [--seed 1] [--short]

Each time a new gateway starts over the same journal and the same exchange, reconciles, and every caller asks again with
its key. The exchange's own ledger says what is true: an order lost, doubled, answered wrongly or left unknown fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from exgate_paper.faults import Fault

from exgate_core.errors import ExGateError, OutcomeUnknown
from exgate_core.journal import no_step
from tests.support.paper_desk import Gateway, gateway

ORDERS = 20
LONGEST = 0.06
"""Seconds after the first order within which the kill comes: all are done by then."""
_FAULTS = (
    Fault(point="place.after_accept", kind="drop", probability=0.2, times=0),
    Fault(point="place.before_accept", kind="drop", probability=0.1, times=0),
    Fault(point="place.after_accept", kind="delay", seconds=0.005, probability=0.5, times=0),
)


async def first_life(folder: Path, number: int, ready: int) -> None:
    """Place until killed; says when it begins."""
    async with gateway(folder, no_step, levels=20, seed=number) as house:
        house.desk.account.engine.faults.add(*_FAULTS)
        os.write(ready, b"!")
        async with asyncio.TaskGroup() as tasks:
            for order in range(ORDERS):
                tasks.create_task(_place_and_cancel(house, order))
        os.write(ready, b".")
        await asyncio.Event().wait()


async def _place_and_cancel(house: Gateway, order: int) -> None:
    kind = "market" if order % 2 else "limit"
    try:
        order_id = await house.place(f"key-{order}", order, kind)
        if order % 4 == 0:
            await house.orders.cancel(house.desk, house.desk.market, order_id, "")
    except ExGateError:
        pass


async def second_life(folder: Path, number: int) -> Counter[str]:
    """Start again, ask for everything, compare with the ledger."""
    found: Counter[str] = Counter()
    async with gateway(folder, no_step, levels=20, seed=number, deadline=3.0) as house:
        await house.orders.reconcile(house.desk)
        rows = {row.key: row for row in await house.journal.undecided()}
        found["unknown"] += len(rows)
        wallet = house.desk.account.engine.wallet(house.desk.account.name)
        before = {str(order) for order in (*wallet.open, *wallet.closed)}
        answers = []
        for order in range(ORDERS):
            try:
                answers.append(await house.place(f"key-{order}", order, "market" if order % 2 else "limit"))
            except OutcomeUnknown:
                found["unknown"] += 1
            except ExGateError as error:
                found[f"refused: {error.reason}"] += 1
        after = {str(order) for order in (*wallet.open, *wallet.closed)}
        found["asked"] += ORDERS
        found["there before"] += len(before)
        found["lost"] += len(before - set(answers))  # the exchange has it, and no caller is told
        found["doubled"] += len(answers) - len(set(answers)) + len(after) - len(set(answers) | before)
        found["wrong"] += len(set(answers) - after)
    return found


def one(number: int, dice: random.Random) -> Counter[str]:
    """One kill and what came of it."""
    with tempfile.TemporaryDirectory() as name:
        folder, (read, write) = Path(name), os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                asyncio.run(first_life(folder, number, write))
            finally:
                os._exit(1)
        os.close(write)
        with os.fdopen(read, "rb", buffering=0) as pipe:
            if pipe.read(1) != b"!":
                raise RuntimeError("the first life ended before it began")
            time.sleep(dice.uniform(0, LONGEST))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            finished = pipe.read(1) == b"."
        read, write = os.pipe()
        second = os.fork()
        if second == 0:
            os.close(read)
            status = 1
            try:
                os.write(write, json.dumps(asyncio.run(second_life(folder, number))).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(second, 0)
        if not answer:
            raise RuntimeError("the second life died")
        return Counter(json.loads(answer)) + Counter({"after all were done": int(finished)})


def main() -> int:
    """0 if nothing was lost, doubled, wrong or unknown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="15 kills")
    chosen = parser.parse_args()
    logging.disable()
    dice, total, start = random.Random(chosen.seed), Counter[str](), time.monotonic()
    kills = 15 if chosen.short else chosen.kills
    for number in range(kills):
        found = one(number, dice)
        total += found
        bad = {name: found[name] for name in ("lost", "doubled", "wrong", "unknown") if found[name]}
        if bad:
            print(f"kill {number}: {bad}", flush=True)
    print(f"seed {chosen.seed}: {kills} kills in {time.monotonic() - start:.0f} s: {dict(total)}")
    failed = [name for name in ("lost", "doubled", "wrong", "unknown") if total[name]]
    print("lost 0, doubled 0, wrong 0, unknown 0" if not failed else f"FAILED: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
