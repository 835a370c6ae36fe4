"""All recorded traffic of seven exchanges through a gateway's HTTP and WebSocket, compared to the last character.

    EXGATE_SHARED=FOLDER python plugins/exgate-ccxt/tests/proofs/ccxt_recordings.py [--short] [--clients 100]

Books, trade lists, balances, orders, cancels and open orders over HTTP; every recorded trade stream to a hundred
WebSocket clients; every final book through ``isLocal=true``; and by name the records that ccxt never asks for.
Without EXGATE_SHARED there is nothing to compare: it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from recorded import NOT_ASKED, REFUSED, compared_all, private, public, recorded
from recorded_streams import expected_trades, final_book, gateway, to_many
from streaming import SESSIONS, streamed


class Venue(NamedTuple):
    """A running replay server."""

    url: str
    state: Any
    served: set[str]
    """The records that it has answered with."""


@asynccontextmanager
async def replaying(shared: Path) -> AsyncIterator[Venue]:
    """The replay server of that folder, on a free port."""
    spec = importlib.util.spec_from_file_location("venue", shared / "venue" / "venue.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = module.app(str(shared / "recordings"))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    venue = Venue(f"http://127.0.0.1:{runner.addresses[0][1]}", app["venue"], set())
    find = venue.state.lib.find

    def found(*arguments: Any) -> Any:
        hit = find(*arguments)
        if hit:
            venue.served.add(f"{hit[2].id}/{hit[1]['id']}")
        return hit

    venue.state.lib.find = found
    try:
        yield venue
    finally:
        await runner.cleanup()


async def answers(venue: Venue, shared: Path) -> list[str]:
    """Compare every REST answer; what was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        async with recorded(venue, Path(folder)) as running:
            done, wrong = await compared_all(running, public(shared) + private(shared))
    for name, count in sorted(done.items()):
        print(f"  {name:38}{count:4}")
    print(f"  {done.total()} recorded answers compared over HTTP, {len(wrong)} differ")
    for name, why in REFUSED.items():
        print(f"  not answered with 200: {name}: {why}")
    return wrong


async def streams(
    venue: Venue, shared: Path, session: str, clients: int, short: bool
) -> tuple[Counter[str], list[str]]:
    """Every trade stream and every final book of a session; how many, and what was wrong."""
    done, wrong = Counter[str](), list[str]()
    trades = expected_trades(shared, session)
    symbols = SESSIONS[session][:1] if short else SESSIONS[session]
    for symbol in list(trades)[:1] if short else trades:
        with tempfile.TemporaryDirectory() as folder:
            async with gateway(venue, Path(folder), session) as url:
                wrong += await to_many(venue, url, symbol, trades[symbol], clients)
        done.update(streams=1, trades=len(trades[symbol]))
    venue.state.reset()
    with tempfile.TemporaryDirectory() as folder:
        async with gateway(venue, Path(folder), session) as url:
            for symbol in symbols:
                difference = await final_book(url, symbol, streamed(shared)[session][symbol]["final_book"])
                wrong += [difference] if difference else []
                done["books"] += 1
    print(
        f"  {session:34}{done['streams']:3} streams, {done['trades']:5} trades x {clients} clients; "
        f"{done['books']:3} final books; {len(wrong)} wrong"
    )
    return done, [f"{session} {text}" for text in wrong]


def never_asked(venue: Venue) -> list[str]:
    """One line a record that no question of ccxt was answered with."""
    questions = {(exchange, path): name for exchange, path, name in _questions(venue) if name in venue.served}
    lines = []
    for exchange, path, name in _questions(venue):
        if name not in venue.served:
            same = questions.get((exchange, path))
            why = NOT_ASKED.get(name) or (
                f"the path of {same} with other parameters, or of another session"
                if same
                else f"no operation asks for {path}"
            )
            lines.append(f"{name}: {why}")
    return lines


def _questions(venue: Venue) -> list[tuple[str, str, str]]:
    return [
        (session.exchange, f"{record['m']} {urlsplit(record['u']).path}", f"{session.id}/{record['id']}")
        for session in venue.state.lib.sessions
        for record in session.rest
    ]


async def run(shared: Path, clients: int, short: bool) -> int:
    """All of it; how many differences."""
    async with replaying(shared) as venue:
        print("REST:")
        wrong = await answers(venue, shared)
        print("Streams:")
        total = Counter[str]()
        for session in SESSIONS:
            done, differences = await streams(venue, shared, session, clients, short)
            total += done
            wrong += differences
        print(
            f"  in all {total['streams']} streams, {total['trades']} trades, {total['trades'] * clients} deliveries, "
            f"{total['books']} final books"
        )
        lines = never_asked(venue)
        print(f"Never asked for, {len(lines)} of {len(_questions(venue))} records:", *lines, sep="\n  ")
    print(*(["Wrong:"] if wrong else ["No difference."]), *wrong, sep="\n  ")
    return len(wrong)


def main() -> int:
    """The command line; the exit code is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one stream and one book a session, 10 clients")
    parser.add_argument("--clients", type=int, default=100)
    arguments = parser.parse_args()
    folder = os.environ.get("EXGATE_SHARED")
    if not folder:
        print("EXGATE_SHARED is not set: no recordings")
        return 0
    logging.disable()
    start, clients = time.monotonic(), 10 if arguments.short else arguments.clients
    wrong = asyncio.run(run(Path(folder), clients, arguments.short))
    print(f"{time.monotonic() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
