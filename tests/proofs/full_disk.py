"""A disk without room, under load: every order is refused as not sent, every read and every cancel works.

    python tests/proofs/full_disk.py [--short]

A gateway in a process of its own, its journal on a disk that is full: once by a limit of the process, which lets it
write nothing at all, and once, where this may be mounted, on a small tmpfs that is filled. 20 callers at once place
orders, each key twice, while others cancel, find and replay earlier ones, of which only the journal knows something.
With room again every key is asked once more. The exchange's own list of open orders says what is true.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.proofs.front_tools import Figures
from tests.support.front import Caller, Reply, calling, reached
from tests.support.running import Running, serving

CALLERS, SIZE = 20, 6_000
"""Callers at once, and the first size of an order, in steps: each order has its own."""
PAPER = ("-s", "exchanges.paper.rate=0", "-s", "exchanges.paper.state=memory")


@contextmanager
def limited(folder: Path) -> Iterator[Callable[[Running, bool], None]]:
    """What lets the process write nothing, or everything again."""

    def fill(running: Running, full: bool) -> None:
        _, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))

    yield fill


@contextmanager
def mounted(folder: Path) -> Iterator[Callable[[Running, bool], None]]:
    """What fills the folder's own disk, or makes room again. Raises CalledProcessError where none may be mounted."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True, capture_output=True)

    def fill(running: Running, full: bool) -> None:
        filler = folder / "filler"
        if not full:
            filler.unlink()
            return
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                return

    try:
        yield fill
    finally:
        subprocess.run(["umount", folder], check=True)


async def place(caller: Caller, numbers: range) -> list[Reply]:
    """Orders of their own sizes and keys, by 20 callers."""
    room = asyncio.Semaphore(CALLERS)

    async def one(number: int) -> Reply:
        async with room:
            return await caller.buy(SIZE + number, Idempotency_Key=f"key-{number}")

    return await asyncio.gather(*(one(number) for number in numbers))


async def look(caller: Caller, earlier: list[Reply]) -> Counter[str]:
    """Cancel one half of the earlier orders by their ids alone, find and replay the other; what went wrong."""
    wrong, half = Counter[str](), len(earlier) // 2
    for number, known in enumerate(earlier):
        if number < half:
            reply = await caller.post("/v1/paper/cancel", {"order_id": known.order_id})
            wrong["cancels"] += reply.status != 200
            continue
        reply = await caller.get(f"/v1/paper/order?order_id={known.order_id}")
        wrong["reads"] += reply.status != 200
        reply = await caller.buy(SIZE + number, Idempotency_Key=f"key-{number}")
        wrong["replays"] += (reply.status, reply.order_id) != (200, known.order_id)
    return wrong


async def is_ready(caller: Caller) -> bool:
    """Whether it takes orders again."""
    return (await caller.get("/readyz")).status == 200


async def judge(figures: Figures, running: Running, fill: Callable[[Running, bool], None], orders: int) -> None:
    """One disk, from room to none and back."""
    async with calling(running.url) as caller:
        earlier = await place(caller, range(200))
        figures.always("orders placed while there is room", {reply.outcome for reply in earlier}, {"placed"})
        fill(running, True)
        told = Counter[str]()
        numbers = range(200, 200 + orders)

        async def ask_twice() -> None:
            for reply in [*await place(caller, numbers), *await place(caller, numbers)]:
                told[f"{reply.status} {reply.outcome}"] += 1

        _, wrong = await asyncio.gather(ask_twice(), look(caller, earlier))
        figures.say("answers not-sent", told.pop("503 not-sent", 0))
        # A log that is used from its start again may have room for some, though the disk has none.
        figures.say("answers placed", told.pop("200 placed", 0))
        figures.never("answers of any other kind", told.total())
        figures.never("of 100 cancels failed", wrong["cancels"])
        figures.never("of 100 reads failed", wrong["reads"])
        figures.never("of 100 replays failed", wrong["replays"])
        fill(running, False)
        await reached(lambda: is_ready(caller))
        again = await place(caller, numbers)
        figures.always("orders placed with room again", {reply.outcome for reply in again}, {"placed"})
        listed = (await caller.get("/v1/paper/pending_orders")).body["orders"]
        sizes = Counter(order["amount"] for order in listed)
        figures.never("orders placed twice", sum(count - 1 for count in sizes.values()))
        figures.always("orders open at the exchange", len(listed), 100 + orders)


def main() -> int:
    """0 if nothing happened that must never happen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="100 orders instead of 1,000")
    orders = 100 if parser.parse_args().short else 1_000
    failed = []
    for disk, name in ((limited, "nothing can be written"), (mounted, "a full tmpfs")):
        with tempfile.TemporaryDirectory() as folder:
            try:
                with disk(Path(folder)) as fill:
                    figures = Figures(name)
                    with serving(Path(folder), *PAPER, errors=subprocess.DEVNULL) as running:
                        asyncio.run(judge(figures, running, fill, orders))
                    failed += figures.failed
            except (subprocess.CalledProcessError, FileNotFoundError) as error:
                print(f"\n{name}: skipped, for it can't be mounted here ({error})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
