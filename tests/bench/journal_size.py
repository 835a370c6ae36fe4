"""What a long journal costs: each of its look-ups, and orders a second on paper, with many rows of one account.

The look-ups are timed over the connection itself, without the commit; orders go through the whole orders machinery to
a paper account in this process. Beside them stands the ceiling of the same disk in the same run: how often SQLite
commits one small row, which an order needs three times, but shares with whoever else waits.

    python tests/bench/journal_size.py [--smoke] [--rows 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core import rows
from exgate_core.journal import no_step
from exgate_core.rows import Draft
from tests.support.paper_desk import PaperDesk, gateway

GOAL_MS, GOAL_ORDERS, CALLERS = 0.2, 700, (1, 4, 16, 64)
ACCOUNT = PaperDesk.identity


def draft(number: int, account: str = ACCOUNT) -> Draft:
    """An order of its own key and ids."""
    return Draft(
        account=account,
        key=f"k:{number:08}",
        fingerprint=f"{number:064x}",
        caller_id=f"mine-{number}",
        client_order_id=f"xg-{number:028}",
        symbol="BTC/USDT",
        side="buy",
        request='{"symbol":"BTC/USDT","side":"buy","type":"limit","price":"30000.00","amount":"0.00100"}',
    )


def fill(path: Path, count: int) -> None:
    """Write so many placed orders into the file of a journal."""
    now = int(time.time() * 1000)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows.prepare(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        rows.create(connection, now)
        connection.execute("BEGIN")
        for number in range(count):
            made = rows.claim(connection, draft(number), now, now).row
            rows.mark_sent(connection, made.id, now, 0)
            rows.decide(connection, made.id, rows.PLACED, str(number), "", now, "")
        connection.execute("COMMIT")


def each(path: Path, count: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of each look-up over the file."""
    now = int(time.time() * 1000)
    fresh = iter(range(count, count + rounds))

    def by_client_id(client_order_id: str) -> None:
        for where in (rows.BY_CLIENT_ORDER_ID, rows.BY_CALLER_ID):
            rows.newest_of_two_markets(connection, f"{where} AND {rows.MAYBE_THERE}", client_order_id, ACCOUNT)

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows.prepare(connection)
        connection.execute("BEGIN")
        work: dict[str, Callable[[int], object]] = {
            "claim": lambda number: rows.claim(connection, draft(next(fresh)), now, now),
            "claim again": lambda number: rows.claim(connection, draft(number), now, now),
            "by order id": lambda number: rows.select(connection, rows.BY_ORDER_ID, str(number), ACCOUNT),
            "by client id": lambda number: by_client_id(f"mine-{number}"),
            "prune": lambda number: rows.prune(connection, now),
        }
        took: dict[str, list[float]] = {name: [] for name in work}
        for number in range(0, count, max(count // rounds, 1)):
            for name, run in work.items():
                if name == "claim" and len(took[name]) == rounds:
                    continue
                began = time.perf_counter()
                run(number)
                took[name].append(time.perf_counter() - began)
        connection.execute("ROLLBACK")
    return {name: statistics.median(times) * 1000 for name, times in took.items()}


def commits(folder: Path, seconds: float) -> float:
    """Durable commits of one small row a second."""
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE bare (text TEXT)")
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            connection.execute("INSERT INTO bare VALUES (?)", ("x" * 300,))
            done += 1
        return done / (time.perf_counter() - began)


async def orders(folder: Path, callers: int, seconds: float) -> float:
    """Orders a second that so many callers place, each one after the other."""
    done = 0
    async with gateway(folder, no_step, deadline=30, persistent=False) as house:
        began = time.perf_counter()

        async def call(caller: int) -> None:
            nonlocal done
            number = 0
            while time.perf_counter() - began < seconds:
                await house.place(f"{caller}-{callers}-{number}")
                number += 1
                done += 1

        await asyncio.gather(*(call(caller) for caller in range(callers)))
        return done / (time.perf_counter() - began)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    count = min(options.rows, 2_000) if options.smoke else options.rows
    seconds = 0.2 if options.smoke else 3.0
    with TemporaryDirectory() as name:
        path = Path(name) / "journal.db"
        fill(path, count)
        for what, took in each(path, count, 200).items():
            print(f"{what:12} {took:.3f} ms with {count:,} rows (goal {GOAL_MS})")
    for kept in (0, count // 2):
        with TemporaryDirectory() as name:
            folder = Path(name)
            fill(folder / "journal.db", kept)
            for callers in CALLERS:
                ceiling = commits(folder, seconds / 3)
                (folder / "bare.db").unlink()
                rate = asyncio.run(orders(folder, callers, seconds))
                goal = f", goal {GOAL_ORDERS}" if callers == CALLERS[-1] else ""
                print(f"{kept:7,} rows, {callers:2} callers: {rate:6.0f} orders/s", end=" ")
                print(f"({rate / ceiling:.2f} of {ceiling:.0f} commits/s{goal})")


if __name__ == "__main__":
    main()
