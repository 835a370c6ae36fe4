"""What one diff event and a look at the best 20 levels cost, against ccxt.pro's book of Binance.

A book of 1000 levels a side, events of 20 changed levels, decoding left out on both sides. Ours are looked at number by
number first, as those of any adapter are. Both run in turns in this process, so that noise hits both; CPU time. Prints
the ratio, median of all rounds; the goal is 0.3.

    python tests/bench/book_cost.py [--smoke]
"""

from __future__ import annotations

import argparse
import importlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core import answers
from exgate_core.book import Book
from exgate_core.models import Depth, DepthDelta, Level

GOAL = 0.3
SIDE, CHANGED, TOP = 1000, 20, 20


def snapshot() -> Depth:
    """A thousand levels a side, a tick apart."""
    bids = [(f"{60000 - n * 0.01:.2f}", f"{1 + n % 7}.00000000") for n in range(1, SIDE + 1)]
    asks = [(f"{60000 + n * 0.01:.2f}", f"{1 + n % 7}.00000000") for n in range(SIDE)]
    return Depth(bids=bids, asks=asks, last_update_id=1)


def events(count: int, seed: int = 1) -> list[DepthDelta]:
    """Changes near the middle, a third of them removals, that never cross."""
    dice = random.Random(seed)

    def rows(sign: int) -> list[Level]:
        found: dict[str, str] = {}
        for _ in range(CHANGED // 2):
            away = 1 + int(dice.expovariate(1 / 100))
            amount = "0.00000000" if dice.random() < 0.33 else f"{dice.random() + 0.1:.8f}"
            found[f"{60000 + sign * away * 0.01:.2f}"] = amount
        return list(found.items())

    return [DepthDelta(bids=rows(-1), asks=rows(1), previous=n, sequence=n + 1) for n in range(1, count + 1)]


def ours(deltas: list[DepthDelta]) -> Callable[[], None]:
    """One pass of the core's book."""

    def run() -> None:
        book = Book(levels=SIDE)
        book.reset(answers.depth(START))
        for delta in deltas:
            looked_at = answers.book_event(delta)
            assert isinstance(looked_at, DepthDelta)
            book.apply(looked_at)
            book.top(TOP)
        assert book.in_sync

    return run


def theirs(deltas: list[DepthDelta]) -> Callable[[], None] | None:
    """One pass of ccxt.pro's, or None if it isn't installed."""
    try:
        pro = importlib.import_module("ccxt.pro")
    except ImportError:
        return None
    exchange: Any = pro.binance()
    messages = [
        {"u": d.sequence, "U": d.sequence, "E": 1, "b": list(map(list, d.bids)), "a": list(map(list, d.asks))}
        for d in deltas
    ]
    parsed = exchange.parse_order_book({"bids": START.bids, "asks": START.asks}, "BTC/USDT", 1)

    def run() -> None:
        book = exchange.order_book(parsed, SIDE)
        for message in messages:
            exchange.handle_order_book_message(None, message, book)
            book.limit()
            _ = book["bids"][:TOP], book["asks"][:TOP]

    return run


def cpu(run: Callable[[], None]) -> float:
    """CPU seconds of one pass."""
    began = time.process_time()
    run()
    return time.process_time() - began


START = snapshot()


def main() -> int:
    """0 if the goal is met, or there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few events, to see that it runs")
    smoke = parser.parse_args().smoke
    count, rounds = (100, 3) if smoke else (3000, 9)
    deltas = events(count)
    mine, other = ours(deltas), theirs(deltas)
    pairs = [(cpu(mine), cpu(other) if other else 0.0) for _ in range(rounds)]
    print(f"ours: {statistics.median(a for a, _ in pairs) / count * 1e6:.1f} us per event and top-{TOP}")
    if other is None:
        print("ccxt isn't installed: no ratio")
        return 0
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"ccxt.pro: {statistics.median(b for _, b in pairs) / count * 1e6:.1f} us")
    print(f"book_cost {ratio:.3f} (goal {GOAL})")
    return 0 if smoke or ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
