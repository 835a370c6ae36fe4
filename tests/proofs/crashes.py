"""Kill the gateway, or make it fail, at every step of an order and of a cancel that touches disk or exchange.

    python tests/proofs/crashes.py [--short] [--seed N]

For each outcome at the exchange and each step: (a) the process gets SIGKILL there, a new one starts over the same files
and the caller asks again; (b) an error is raised there, the caller asks again, then the gateway starts anew. The
exchange is the paper engine, whose truth is on disk as well. What callers were told is compared with it.
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
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from exgate_paper.faults import Fault

from exgate_core.errors import ExGateError, OutcomeUnknown
from tests.support.paper_desk import Gateway, gateway

KEY = "the-key"
PLACES: dict[str, tuple[Fault, ...]] = {
    "accepted": (),
    "refused": (Fault(point="place.before_accept", kind="refuse"),),
    "not sent": (Fault(point="place.before_accept", kind="not_sent"),),
    "rate limited": (Fault(point="place.before_accept", kind="rate_limited"),),
    "dropped before accepting": (Fault(point="place.before_accept", kind="drop"),),
    "dropped after accepting": (Fault(point="place.after_accept", kind="drop"),),
    "error after accepting": (Fault(point="place.after_accept", kind="error"),),
    "empty id": (Fault(point="place.after_accept", kind="lie", value=""),),
    "slow": (Fault(point="place.after_accept", kind="delay", seconds=0.05),),
    "no answer, accepted": (Fault(point="place.after_accept", kind="hang"),),
    "no answer, not accepted": (Fault(point="place.before_accept", kind="hang"),),
    "exchange can't store it": (Fault(point="append.before", kind="error"),),
    "dropped, then not to be asked": (
        Fault(point="place.after_accept", kind="drop"),
        Fault(point="find_order", kind="error", times=3),
    ),
}
CANCELS: dict[str, tuple[Fault, ...]] = {
    "accepted": (),
    "refused": (Fault(point="cancel.before_accept", kind="refuse"),),
    "not sent": (Fault(point="cancel.before_accept", kind="not_sent"),),
    "rate limited": (Fault(point="cancel.before_accept", kind="rate_limited"),),
    "dropped before accepting": (Fault(point="cancel.before_accept", kind="drop"),),
    "dropped after accepting": (Fault(point="cancel.after_accept", kind="drop"),),
    "empty status": (Fault(point="cancel.after_accept", kind="error"),),
    "slow": (Fault(point="cancel.after_accept", kind="delay", seconds=0.05),),
}
SHORT = ("accepted", "refused", "dropped before accepting", "dropped after accepting", "empty id")


class Steps:
    """Counts the steps, and does something at one of them."""

    def __init__(self, at: int = -1, act: Callable[[str], None] | None = None) -> None:
        self.names: list[str] = []
        self.armed = False
        self._at, self._act = at, act

    def __call__(self, name: str) -> None:
        """One step."""
        if not self.armed:
            return
        self.names.append(name)
        if len(self.names) - 1 == self._at and self._act is not None:
            self._act(name)


def kill(name: str) -> None:
    """As ``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail(name: str) -> None:
    """What disks and connections do."""
    raise OSError(5, f"Input/output error at {name}") if name.startswith("journal") else ConnectionResetError(name)


def in_child(work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Run in a process of its own; its answer, empty if it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            os.write(write, json.dumps(asyncio.run(_awaited(work))).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not answer and not killed:
        raise RuntimeError(f"a child ended with {status} and without an answer")
    return dict(json.loads(answer)) if answer else {}


async def _awaited(work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    return await work()


async def told(asking: Awaitable[str]) -> list[str]:
    """[outcome, id or status or reason] as the caller gets it."""
    try:
        return ["done", await asking]
    except OutcomeUnknown as error:
        return ["unknown", error.reason]
    except ExGateError as error:
        return [error.metadata.get("outcome", "unknown"), error.reason]


async def cancel(house: Gateway, order_id: str) -> str:
    """Cancel; the status."""
    return (await house.orders.cancel(house.desk, house.desk.market, order_id, "")).status


class Place:
    """One market order, placed under one key. It fills at once, so that the exchange would take its double too."""

    outcomes, levels = PLACES, 20

    async def prepare(self, house: Gateway) -> None:
        """Nothing."""

    async def ask(self, house: Gateway) -> list[str]:
        """The caller's request; the same each time."""
        return await told(house.place(KEY, kind="market"))

    def truth(self, house: Gateway) -> list[str]:
        """The ids of the orders that the exchange has."""
        wallet = house.desk.account.engine.wallet(house.desk.account.name)
        return [str(order) for order in sorted((*wallet.open, *wallet.closed))]

    def wrong(self, answer: list[str], truth: list[str], *, last: bool) -> list[str]:
        """What an answer gets wrong at the moment in which it is given."""
        kind, detail = answer
        found = ["doubled"] if len(truth) > 1 else []
        if kind == "done" and truth != [detail]:
            found.append("wrong")
        if kind in ("refused", "not-sent") and truth:
            found.append("lost")
        if kind == "unknown" and last:
            found.append("unknown")
        return found


class Cancel:
    """One cancel of an order that rests."""

    outcomes, levels = CANCELS, 0

    async def prepare(self, house: Gateway) -> None:
        """Place it."""
        await house.place(KEY)

    async def ask(self, house: Gateway) -> list[str]:
        """The caller's request; the same each time."""
        wallet = house.desk.account.engine.wallet(house.desk.account.name)
        return await told(cancel(house, str(min((*wallet.open, *wallet.closed)))))

    def truth(self, house: Gateway) -> list[str]:
        """The status of the order."""
        wallet = house.desk.account.engine.wallet(house.desk.account.name)
        return ["open"] * len(wallet.open) + ["canceled"] * len(wallet.closed)

    def wrong(self, answer: list[str], truth: list[str], *, last: bool) -> list[str]:
        """What an answer gets wrong at the moment in which it is given."""
        kind, _ = answer
        found = ["doubled"] if len(truth) != 1 else []
        if kind == "done" and truth != ["canceled"]:
            found.append("wrong")
        if kind in ("refused", "not-sent") and truth == ["canceled"]:
            found.append("lost")
        if kind == "unknown" and last:
            found.append("unknown")
        return found


Kind = Place | Cancel


async def first_life(kind: Kind, folder: Path, outcome: str, steps: Steps) -> dict[str, Any]:
    """The request under a fault; asked again in the same life, without the fault, if it wasn't killed."""
    async with gateway(folder, steps, levels=kind.levels) as house:
        await kind.prepare(house)
        house.desk.account.engine.faults.add(*kind.outcomes[outcome])
        steps.armed = True
        answers = [await kind.ask(house)]
        wrongs = kind.wrong(answers[0], kind.truth(house), last=False)
        steps.armed = False
        house.desk.account.engine.faults.clear()
        found = {"answers": answers, "wrong": wrongs, "steps": steps.names, "tries": 1}
        return found | {"again": await ask_until_definite(kind, house, answers, wrongs)}


async def ask_until_definite(kind: Kind, house: Gateway, answers: list[list[str]], wrongs: list[str]) -> list[str]:
    """A caller who follows the rules: the same key again until it is placed or refused."""
    for _ in range(6):
        answers.append(await kind.ask(house))
        definite = answers[-1][0] in ("done", "refused")
        wrongs += kind.wrong(answers[-1], kind.truth(house), last=False)
        if definite:
            break
    wrongs += kind.wrong(answers[-1], kind.truth(house), last=True)
    placed = {detail for outcome, detail in answers if outcome == "done" and isinstance(kind, Place)}
    wrongs += ["wrong"] * (len(placed) > 1)
    return answers[-1]


async def second_life(kind: Kind, folder: Path, before: dict[str, Any]) -> dict[str, Any]:
    """Start again, reconcile, and ask as the caller would."""
    async with gateway(folder, Steps(), levels=kind.levels) as house:
        await house.orders.reconcile(house.desk)
        answers: list[list[str]] = [answer for answer in before.get("answers", []) if answer[0] == "done"]
        wrongs: list[str] = []
        last = await ask_until_definite(kind, house, answers, wrongs)
        again = before.get("again")
        if isinstance(kind, Place) and again and again[0] in ("done", "refused") and last != again:
            wrongs.append("wrong")
        wrongs += ["unknown"] * len(await house.journal.undecided())
        return {"wrong": wrongs, "answers": answers}


def count_steps(kind: Kind, outcome: str) -> list[str]:
    """The steps of a run in which nothing is killed."""
    with tempfile.TemporaryDirectory() as folder:
        found = in_child(lambda: first_life(kind, Path(folder), outcome, Steps()))
        return [str(name) for name in found["steps"]]


def run(kind: Kind, outcome: str, at: int, act: Callable[[str], None]) -> tuple[bool, Counter[str]]:
    """One case; whether the step was reached in a way that shows, and what went wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = in_child(lambda: first_life(kind, folder, outcome, Steps(at, act)))
        after = in_child(lambda: second_life(kind, folder, before))
        wrongs = Counter(before.get("wrong", [])) + Counter(after["wrong"])
        if wrongs:
            print(f"  {type(kind).__name__.lower()}, {outcome}, step {at}: {dict(wrongs)}; {before} {after}")
        return not before, wrongs


def main() -> int:
    """The command line; the exit code is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="five outcomes, every second case")
    parser.add_argument("--seed", type=int, default=1, help="which cases --short takes, and their order")
    args = parser.parse_args()
    logging.disable()
    dice, total, cases, killed = random.Random(args.seed), Counter[str](), 0, 0
    start = time.monotonic()
    for kind in (Place(), Cancel()):
        outcomes = [name for name in kind.outcomes if not args.short or name in SHORT]
        steps = {outcome: count_steps(kind, outcome) for outcome in outcomes}
        kinds = sorted({name for names in steps.values() for name in names})
        print(f"{type(kind).__name__.lower()}: up to {max(map(len, steps.values()))} steps: {', '.join(kinds)}")
        plan = [(outcome, at, act) for outcome in outcomes for at in range(len(steps[outcome])) for act in (kill, fail)]
        dice.shuffle(plan)
        for outcome, at, act in plan[: len(plan) // 2] if args.short else plan:
            was_killed, wrongs = run(kind, outcome, at, act)
            cases, killed, total = cases + 1, killed + was_killed, total + wrongs
    print(f"seed {args.seed}: {cases} cases, {killed} killed, in {time.monotonic() - start:.0f} s")
    for name, what in (
        ("lost", "orders lost"),
        ("doubled", "orders doubled"),
        ("wrong", "answers wrong, then or later"),
        ("unknown", "left unknown though the exchange can be asked"),
    ):
        print(f"{what:48}{total[name]:>6}")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
