"""Thousands of orders over a connection that fails three times out of four, judged by the exchange's own ledger.

    python tests/proofs/chaos_paper.py [--short] [--seed N] [--seeds 5] [--orders 400]

Callers follow the rules: unknown and not-sent are asked again with the same key. Some leave before the answer, some ask
twice at once. A caller who simply tries again with the adapter is shown beside, over the same faults.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from exgate_paper.faults import Fault, Kind
from exgate_paper.ledger import Accepted

from exgate_core.errors import ExGateError
from exgate_core.journal import no_step
from exgate_core.models import OrderRequest
from tests.support.paper_desk import Gateway, gateway

PARALLEL = 20
TRIES = 6
# Of a hundred orders 75 meet a fault: 46 of the way there, 29 of the 54 left on the way back.
THERE: dict[Kind, float] = {
    "drop": 0.20,
    "not_sent": 0.10,
    "rate_limited": 0.06,
    "refuse": 0.10,
    "hang": 0.01,
    "error": 0.1,
}
BACK: dict[Kind, float] = {"drop": 0.30, "error": 0.12, "lie": 0.20, "hang": 0.02}
LOOKS: dict[Kind, float] = {"drop": 0.30, "error": 0.35, "refuse": 0.25}


def storm() -> list[Fault]:
    """The faults of every call."""
    points = (("place.before_accept", THERE), ("place.after_accept", BACK), ("find_order", LOOKS))
    return [
        Fault(point=point, kind=kind, times=0, probability=probability)
        for point, kinds in points
        for kind, probability in kinds.items()
    ]


async def ask(house: Gateway, key: str, number: int, kind: str) -> list[str]:
    """[outcome, id, client order id] as the caller gets it."""
    try:
        return ["placed", await house.place(key, number, kind), ""]
    except ExGateError as error:
        return [error.metadata.get("outcome", "unknown"), error.reason, error.metadata.get("client_order_id", "")]


async def customer(house: Gateway, number: int, kind: str, dice: random.Random, tally: Counter[str]) -> list[str]:
    """One order until it is placed or refused, or patience ends."""
    key, answer = f"order-{number}", ["unknown", "", ""]
    for _ in range(TRIES):
        mood = dice.random()
        if mood < 0.1:
            leaving = asyncio.ensure_future(ask(house, key, number, kind))
            await asyncio.sleep(dice.random() * 0.01)
            leaving.cancel()
            tally["left before the answer"] += 1
        elif mood < 0.2:
            both = await asyncio.gather(*(ask(house, key, number, kind) for _ in range(2)))
            tally["asked twice at once"] += 1
            answer = both[dice.randrange(2)]
        else:
            answer = await ask(house, key, number, kind)
        tally[f"told {answer[0]}"] += 1
        if answer[0] in ("placed", "refused"):
            break
    return answer


def judge(house: Gateway, number: int, answer: list[str]) -> list[str]:
    """What is wrong with the last answer about one order, by the ledger."""
    step = 1000 + number
    ledger = house.desk.account.engine.ledger
    really = [str(entry.order_id) for entry in ledger.of(Accepted) if entry.amount == step]
    found = ["doubled"] if len(really) > 1 else []
    if answer[0] == "placed" and answer[1] not in really:
        found.append("wrong id")
    if answer[0] in ("refused", "not-sent") and really:
        found.append("lost")
    if answer[0] == "unknown":
        found.append("unknown")
    return found


async def one_seed(seed: int, orders: int, kind: str) -> tuple[Counter[str], Counter[str]]:
    """All orders of a seed; the tally of answers, and of what was wrong."""
    dice, tally, wrongs = random.Random(seed), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        async with gateway(
            Path(folder),
            no_step,
            settle=0.05,
            deadline=0.6,
            levels=20 if kind == "market" else 0,
            persistent=False,
            seed=seed,
        ) as house:
            faults = house.desk.account.engine.faults
            faults.add(*storm())
            room = asyncio.Semaphore(PARALLEL)

            async def bounded(number: int) -> list[str]:
                async with room:
                    return await customer(house, number, kind, dice, tally)

            answers = await asyncio.gather(*(bounded(number) for number in range(orders)))
            tally["faults"] += len(faults.fired)
            faults.clear()
            # The storm is over: whoever was left without a definite answer asks once more.
            for number, answer in enumerate(answers):
                wrongs.update(f"{name} in the storm" for name in judge(house, number, answer) if name != "unknown")
                last = answer
                for _ in range(TRIES):
                    if last[0] in ("placed", "refused"):
                        break
                    last = await ask(house, f"order-{number}", number, kind)
                wrongs.update(judge(house, number, last))
            tally["undecided rows"] += len(await house.journal.undecided())
    return tally, wrongs


async def naive(seed: int, orders: int, kind: str) -> Counter[str]:
    """What a caller gets who asks the adapter itself, three times, with one client order id."""
    wrongs = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        async with gateway(
            Path(folder), no_step, levels=20 if kind == "market" else 0, persistent=False, seed=seed
        ) as house:
            house.desk.account.engine.faults.add(*storm())
            for number in range(orders):
                wrongs.update(judge(house, number, await _try_three_times(house, number, kind)))
    return wrongs


async def _try_three_times(house: Gateway, number: int, kind: str) -> list[str]:
    order = OrderRequest(
        market=house.desk.market,
        side="buy",
        type="market" if kind == "market" else "limit",
        client_order_id=f"naive-{number}",
        price="" if kind == "market" else "100.00",
        amount=f"{1 + number / 1000:.3f}",
    )
    for _ in range(3):
        try:
            return ["placed", await asyncio.wait_for(house.desk.place_order(order), 0.2), ""]
        except Exception:
            continue
    return ["refused", "", ""]


def show(title: str, counts: Counter[str], names: Sequence[str] = ()) -> None:
    """One block of figures."""
    print(title)
    for name in names or sorted(counts):
        print(f"  {name:40}{counts[name]:>8,}")


def main() -> int:
    """The command line; the exit code is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one seed, 100 orders a kind")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--orders", type=int, default=400, help="a seed and kind")
    args = parser.parse_args()
    seeds, orders = (1, 100) if args.short else (args.seeds, args.orders)
    logging.disable()
    start, bad = time.monotonic(), 0
    for kind in ("limit", "market"):
        tally, wrongs, careless = Counter[str](), Counter[str](), Counter[str]()
        for seed in range(args.seed, args.seed + seeds):
            told, wrong = asyncio.run(one_seed(seed, orders, kind))
            tally, wrongs = tally + told, wrongs + wrong
            careless += asyncio.run(naive(seed, orders, kind))
        show(f"{kind}: {seeds} x {orders} orders, seed {args.seed}", tally)
        names = (
            "lost",
            "doubled",
            "wrong id",
            "unknown",
            "lost in the storm",
            "doubled in the storm",
            "wrong id in the storm",
        )
        show("  wrong by the ledger:", wrongs, names)
        show("  wrong where a caller tries three times with the same client id:", careless, names[:3])
        bad += wrongs.total() + tally["undecided rows"]
    print(f"{time.monotonic() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
