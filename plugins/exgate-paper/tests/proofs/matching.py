"""Many random histories of the matching engine, judged by a naive second exchange, and its speed. Prints figures.

python plugins/exgate-paper/tests/proofs/matching.py --sequences 2000 --seed 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "src"), str(HERE.parents[4])]


def histories(sequences: int, steps: int, seed: int) -> None:
    """Run them; an AssertionError with the shortest history found ends the run."""
    import hypothesis
    from hypothesis.stateful import run_state_machine_as_test
    from paper_machine import PaperMachine

    machine = hypothesis.seed(seed)(PaperMachine)
    limits = hypothesis.settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    start = time.perf_counter()
    run_state_machine_as_test(machine, settings=limits)
    print(f"seed {seed}: no difference in {time.perf_counter() - start:.1f} s")
    for name, count in sorted(PaperMachine.counts.items()):
        print(f"  {name:36}{count:>10,}")


def speed(orders: int) -> None:
    """Orders a second through the public door of the engine: decimal strings in, matched, recorded."""
    import random

    from exgate_paper import Engine
    from exgate_paper.settings import DEFAULT_MARKETS
    from exgate_paper.statefile import StateFile

    from exgate_core.models import OrderRequest

    market, dice = DEFAULT_MARKETS[0].market(), random.Random(1)
    requests = [
        OrderRequest(
            market=market,
            side="buy" if dice.random() < 0.5 else "sell",
            type="limit",
            client_order_id=f"id-{number}",
            price=f"{60000 + dice.randint(-500, 500) / 100:.2f}",
            amount=f"{dice.randint(100, 5000) / 100000:.5f}",
        )
        for number in range(orders)
    ]
    for where in ("memory", "state file"):
        engine = Engine([market], now=lambda: 0)
        with tempfile.TemporaryDirectory() as folder:
            if where == "state file":
                engine.attach(StateFile(Path(folder), engine.fingerprint, engine.faults))
            engine.deposit("ann", {"BTC": "1000000", "USDT": "100000000000"})
            start, used = time.perf_counter(), time.process_time()
            for request in requests:
                engine.place("ann", request)
            wall, cpu = time.perf_counter() - start, time.process_time() - used
        trades = engine.book(market.symbol).history.last_id
        print(f"{where}: {orders / wall:,.0f} orders/s ({orders / cpu:,.0f} a CPU second), {trades:,} trades")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--orders", type=int, default=100_000, help="for the measurement of speed; 0 = none")
    args = parser.parse_args()
    histories(args.sequences, args.steps, args.seed)
    if args.orders:
        speed(args.orders)


if __name__ == "__main__":
    main()
