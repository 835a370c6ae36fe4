"""The answers of 50 orders are lost within a second: cancels, new orders and reads go on, and all is known in the end.

    python tests/proofs/lookup_storm.py [--short] [--exchange NAME ...] [--lost 50] [--cancels 20]

A whole gateway in front of the fakes of binance, okx and kraken, each within the limits that its adapter declares. Half
of the orders were taken in; for some seconds nobody can be asked about them. Time passes only where everybody waits.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.lookup_storm import Storm

EXCHANGES = ("binance", "okx", "kraken")
LONGEST_CANCEL, LONGEST_SETTLED = 1.0, 60.0
"""Seconds; what is more fails."""


def report(name: str, storm: Storm) -> int:
    """Print what was seen; how much of it is wrong."""
    refused = sum(status == 429 for status in storm.reads)
    undecided = sum(outcome not in ("placed", "refused") for outcome in storm.told.values())
    print(f"{name}: {storm.lost} answers lost, no look-up answered for {storm.down:g} s; {storm.looks} looks arrived")
    print(f"  {len(storm.cancels)} cancels: longest {max(storm.cancels):.3f} s; {len(storm.failed)} answers not 200")
    print(f"  {len(storm.reads)} reads, {refused} of them 429; {undecided} unknown, {len(storm.wrong)} told wrongly;")
    print(f"  the last one known {max(storm.settled):.1f} s after the exchange was well")
    for line in (*map(repr, storm.failed[:5]), *storm.wrong[:5]):
        print("   ", line)
    late = max(storm.cancels) > LONGEST_CANCEL or max(storm.settled) > LONGEST_SETTLED
    return len(storm.failed) + len(storm.wrong) + undecided + late


def main() -> int:
    """The command line; the exit code is 1 where a cancel or order was held up, or an outcome wrong or late."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="20 lost answers, 8 cancels")
    parser.add_argument("--exchange", action="append", choices=EXCHANGES, help="only this; may be given again")
    parser.add_argument("--lost", type=int, default=50)
    parser.add_argument("--cancels", type=int, default=20)
    parser.add_argument("--down", type=float, default=12.0, help="seconds")
    asked = parser.parse_args()
    lost, cancels = (20, 8) if asked.short else (asked.lost, asked.cancels)
    logging.disable()
    bad = [report(name, Storm(lost, asked.down).run(name, cancels=cancels)) for name in asked.exchange or EXCHANGES]
    return 1 if any(bad) else 0


if __name__ == "__main__":
    sys.exit(main())
