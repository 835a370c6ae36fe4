"""The client of docs/orders-504.md, to the letter, while the gateway is killed every one to three seconds.

    python tests/proofs/client504.py [--orders 500] [--callers 5] [--seed 1] [--short]

Each caller places one order after the other, as a bot does. None may end without an outcome, be lost, be placed twice
or be told otherwise than the exchange has it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.proofs.front_tools import Figures, gateway, truth
from tests.support.client504 import Place, client
from tests.support.front import accepted
from tests.support.running import free_port

STILL = {"rate": 0, "levels": 0}
THINKS = 0.1, 0.3
"""Seconds between two orders of one caller."""


def trade(place: Place, numbers: range, dice: random.Random, told: dict[int, str]) -> None:
    """One caller's orders, each of an amount of its own: what it is told of each."""
    order = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "100"}
    for number in numbers:
        try:
            told[number] = place({**order, "amount": f"{number / 100_000:.5f}"})["order_id"]
        except ValueError:
            told[number] = "refused"
        except TimeoutError:
            told[number] = "still unknown"
        time.sleep(dice.uniform(*THINKS))


def main() -> int:
    """The command line; 1 where a promise doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--callers", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="a tenth of the orders")
    arguments = parser.parse_args()
    count, callers = arguments.orders // (10 if arguments.short else 1), arguments.callers
    figures, dice, port = Figures(f"{count} orders by {callers} callers"), random.Random(arguments.seed), free_port()
    told: dict[int, str] = {}
    place, kills, start = client(f"http://127.0.0.1:{port}"), 0, time.monotonic()
    shares = [range(10_000 + first, 10_000 + count, callers) for first in range(callers)]
    trading = [threading.Thread(target=trade, args=(place, share, dice, told)) for share in shares]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for thread in trading:
            thread.start()
        while any(thread.is_alive() for thread in trading):
            with gateway(folder, "--port", str(port), paper=STILL) as running:
                end = time.monotonic() + dice.uniform(1.0, 3.0)
                for thread in trading:
                    thread.join(max(0.0, end - time.monotonic()))
                running.process.kill()
                kills += 1
        book = truth(folder / "exchanges" / "paper", STILL)
    really = {number: accepted(book, number) for share in shares for number in share}
    figures.say("kills", kills)
    figures.say("seconds", round(time.monotonic() - start))
    for answer, times in Counter(text if not text.isdecimal() else "placed" for text in told.values()).items():
        figures.say(f"told {answer}", times)
    figures.always("orders that were told", len(told), count)
    figures.never("still unknown after a minute", sum(text == "still unknown" for text in told.values()))
    figures.never("placed twice", sum(len(ids) > 1 for ids in really.values()))
    figures.never("told otherwise than it is", sum(_is_lie(text, really[number]) for number, text in told.items()))
    return bool(figures.failed)


def _is_lie(text: str, really: list[str]) -> bool:
    return (text.isdecimal() and [text] != really) or (text == "refused" and bool(really))


if __name__ == "__main__":
    sys.exit(main())
