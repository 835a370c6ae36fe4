"""Mistakes that authors make, put into exgate-binance (further ones also into exgate-okx and exgate-kraken) one at a
time: each is caught by the case that is meant for it.

    python plugins/exgate-testing/tests/proofs/twenty_faults.py [--short] [--only TEXT] [--whole]

A mistake is an exchange of text in a copy of the package, which then stands before the installed one. The unchanged
copy must pass every case that is used. ``--short`` tries the mistakes with one variant of their case; ``--whole`` runs
all cases for each and counts how many others notice it too.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

SIDE_BY_SIDE = 2
LIMIT = 300.0


class Mistake(NamedTuple):
    """One mistake."""

    what: str
    file: str
    old: str
    new: str
    case: str
    """The case that is meant for it, or the variant of it that is tried first."""
    exchange: str = "binance"
    """Who is judged, and whose package it is put into."""
    module: str = ""
    """The package, where it isn't the exchange's: a plugin inherits what the core does wrong."""

    @property
    def package(self) -> str:
        """The package that it is put into."""
        return self.module or f"exgate_{self.exchange}"


TWENTY = (
    Mistake(
        "isBuyerMaker inverted",
        "parse.py",
        'taker_side="sell" if row.isBuyerMaker else "buy"',
        'taker_side="buy" if row.isBuyerMaker else "sell"',
        "C07",
    ),
    Mistake(
        "trailing zeros dropped",
        "parse.py",
        "return Depth(bids=book.bids,",
        'return Depth(bids=[(p.rstrip("0"), a.rstrip("0")) for p, a in book.bids],',
        "C10",
    ),
    Mistake("numbers through floats", "parse.py", "qty=row.qty,", 'qty=f"{float(row.qty):.8f}",', "C11"),
    Mistake(
        "sides swapped",
        "parse.py",
        "Depth(bids=book.bids, asks=book.asks,",
        "Depth(bids=book.asks, asks=book.bids,",
        "C04",
    ),
    Mistake(
        "delta lost",
        "joining.py",
        "        previous = max(last, event.U - 1)\n",
        "        previous = last\n",
        "C81[later]",
    ),
    Mistake(
        "gap swallowed between pages", "exchange.py", "return int(since_id) + 1", "return int(since_id) + 2", "C09"
    ),
    Mistake(
        "limit ignored",
        "exchange.py",
        'params = {"symbol": market.id, "limit": str(limit)}\n        return parse.depth',
        'params = {"symbol": market.id, "limit": "100"}\n        return parse.depth',
        "C05",
    ),
    Mistake(
        "order sent again after its answer was lost",
        "account.py",
        'response = await self._desk.change("POST", form, "orders")',
        """try:
            response = await self._desk.change("POST", form, "orders")
        except Unavailable:
            response = await self._desk.change("POST", form, "orders")""",
        "C51[drop]",
    ),
    Mistake(
        "answer that can't be read taken for success",
        "account.py",
        "        placed = decode(response, private.PLACED)\n",
        """        try:
            placed = decode(response, private.PLACED)
        except Unavailable:
            return order.client_order_id
""",
        "C50[html]",
    ),
    Mistake(
        "5xx taken for a refusal",
        "failures.py",
        '    message = f"{response.url} answered',
        "    if response.status >= 500:\n        return _refused(response, code, text)\n"
        '    message = f"{response.url} answered',
        "C51[error_503]",
    ),
    Mistake(
        "a look-up that fails taken for not there",
        "account.py",
        "            rows = await self._find.by_client_id(market, client_order_id)\n",
        """            try:
                rows = await self._find.by_client_id(market, client_order_id)
            except ExGateError:
                rows = []
""",
        "C54[error_503]",
    ),
    Mistake(
        "key leaked in a log",
        "desk.py",
        "        self._window = str(settings.recv_window)\n",
        '        self._window = str(settings.recv_window)\n        context.log.debug("with %s", self._headers)\n',
        "C95",
    ),
    Mistake(
        "wrong time stamp",
        "desk.py",
        "await self.time.now() * 1000:.0f}",
        "await self.time.now() * 1000 + 5000:.0f}",
        "C45",
    ),
    Mistake(
        "only open orders looked through",
        "finding.py",
        '        everything = await self._listings.ask(("all", market.id), began, lambda: self._newest(market))\n',
        "        everything: list[OrderRow] = []\n        shown, found = None, {}\n",
        "C61[canceled]",
    ),
    Mistake(
        "open orders cut after a page",
        "account.py",
        "return private.orders(rows, self._public.markets)",
        "return private.orders(rows[:100], self._public.markets)",
        "C69",
    ),
    Mistake(
        "an unknown order told as canceled",
        "account.py",
        "        if row is None:\n            raise error\n",
        '        if row is None:\n            return CancelResult(status="canceled")\n',
        "C63[unknown]",
    ),
    Mistake(
        "available and frozen exchanged",
        "private.py",
        "available=row.free, frozen=row.locked",
        "available=row.locked, frozen=row.free",
        "C67",
    ),
    Mistake(
        "post only dropped", "forms.py", '        return "LIMIT_MAKER"\n', '        return "LIMIT"\n', "C40[post-only]"
    ),
    Mistake(
        "the answer of another order taken",
        "account.py",
        "if (placed.symbol, placed.client_order_id) != (order.market.id, order.client_order_id):",
        "if placed.symbol != order.market.id:",
        "C53",
    ),
    Mistake(
        "{} taken for an empty book",
        "parse.py",
        "    lastUpdateId: int\n    bids: list[Level]\n    asks: list[Level]\n",
        "    lastUpdateId: int = 0\n    bids: list[Level] = []\n    asks: list[Level] = []\n",
        "C20[depth-blank]",
    ),
)
FURTHER = (
    Mistake(
        "the taker's side inverted in the stream only",
        "parse.py",
        'time=data.T, taker_side="sell" if data.m else "buy")',
        'time=data.T, taker_side="buy" if data.m else "sell")',
        "C70",
    ),
    Mistake(
        "books remembered",
        "exchange.py",
        '        return parse.depth(await self._get("/api/v3/depth", parse.DEPTH, params, weight))',
        '        self._kept = getattr(self, "_kept", None) or parse.depth(\n'
        '            await self._get("/api/v3/depth", parse.DEPTH, params, weight))\n        return self._kept',
        "C13",
    ),
    Mistake(
        "requests that cost nothing",
        "exchange.py",
        "params=params, weight=weight, explain=parse.words",
        "params=params, weight=0, explain=parse.words",
        "C15",
    ),
    Mistake(
        "too many requests taken for no answer",
        "failures.py",
        "    if response.status in (418, 429):\n        return failure",
        "    if response.status in (418,):\n        return failure",
        "C55",
    ),
    Mistake(
        "a price rounded on its way out",
        "forms.py",
        '        "price": order.price,\n',
        '        "price": order.price and f"{float(order.price):.6f}",\n',
        "C40[limit-buy]",
    ),
    Mistake(
        "cancellation swallowed",
        "exchange.py",
        '        return parse.depth(await self._get("/api/v3/depth", parse.DEPTH, params, weight))',
        "        import asyncio\n        while True:\n            try:\n"
        '                return parse.depth(await self._get("/api/v3/depth", parse.DEPTH, params, weight))\n'
        "            except asyncio.CancelledError:\n                pass",
        "C91[depth]",
    ),
    Mistake(
        "a task that nobody ends",
        "account.py",
        '        """Compare clocks, so that the first order doesn\'t wait for that."""\n',
        "        import asyncio\n        self._left = asyncio.ensure_future(asyncio.Event().wait())\n",
        "C96",
    ),
    Mistake(
        "times in seconds",
        "parse.py",
        "            time=row.time,\n            taker_side",
        "            time=row.time // 1000,\n            taker_side",
        "C07",
    ),
    Mistake(
        "the tick of another filter",
        "parse.py",
        'filters.get("PRICE_FILTER", none).tick_size',
        'filters.get("LOT_SIZE", none).step_size',
        "C01",
    ),
    Mistake(
        "a double of an order told as any refusal",
        "failures.py",
        "return _refused(response, code, text, reason=DUPLICATE)",
        "return _refused(response, code, text)",
        "C42",
    ),
    Mistake(
        "a wrong key taken for no answer",
        "failures.py",
        "    if _is_answer(response) and code in _DEFINITE:\n",
        "    if _is_answer(response) and code in _DEFINITE and code not in _KEYS:\n",
        "C43[secret]",
    ),
    Mistake(
        "one nonce for all requests",
        "desk.py",
        "        nonce = self.key.nonces.next(self.clock.time(), self._unit)\n",
        "        self._one = nonce = getattr(self, '_one', 0) or self.key.nonces.next(self.clock.time(), self._unit)\n",
        "C45",
        "kraken",
    ),
    Mistake(
        "a checksum that isn't handed on",
        "frames.py",
        '    return "" if entry.checksum is None else str(entry.checksum)\n',
        '    return ""\n',
        "C82",
        "kraken",
    ),
    Mistake(
        "digits of JSON numbers through floats",
        "frames.py",
        "    return text if _PLAIN(text) else digits(raw)\n",
        "    return format(float(text), '.12g')\n",
        "C80",
        "kraken",
    ),
    Mistake(
        "closed orders not looked through",
        "account.py",
        'look("ClosedOrders", {**named, "without_count": "true"}, privates.CLOSED)).closed\n',
        'look("ClosedOrders", {**named, "without_count": "true"}, privates.CLOSED)).closed and {}\n',
        "C52",
        "kraken",
    ),
    Mistake(
        "a refusal inside a 200 taken for success",
        "account.py",
        '        if code == "0" and ack.ord_id:\n',
        "        if ack.ord_id or not ack.ord_id:\n",
        "C41[funds]",
        "okx",
    ),
    Mistake(
        "sequence numbers of changes made up",
        "joining.py",
        "        delta = parse.delta(book)\n",
        "        from msgspec.structs import replace\n\n"
        "        delta = replace(parse.delta(book), previous=self._last[0])\n",
        "C81[later]",
        "okx",
    ),
    Mistake(
        "only the first page of open orders",
        "finding.py",
        "            if len(page) < _PAGE or not fresh:\n",
        "            if page or not page:\n",
        "C69",
        "okx",
    ),
    Mistake(
        "the answer of another order taken",
        "account.py",
        '        if ack.cl_ord_id not in ("", order.client_order_id):\n',
        "        if not ack.ord_id:\n",
        "C53",
        "okx",
    ),
    Mistake(
        "a number that is none taken for nothing",
        "private.py",
        "available=row.free, frozen=row.locked",
        'available=row.free if row.free.isascii() else "0", frozen=row.locked',
        "C100[balances]",
    ),
    Mistake(
        "a conflict taken for a refusal",
        "failures.py",
        '    message = f"{response.url} answered',
        "    if response.status == 409:\n        return _refused(response, code, text)\n"
        '    message = f"{response.url} answered',
        "C101[place_order]",
    ),
    Mistake(
        "this machine's time told as the exchange's",
        "server_time.py",
        "        self._report(server_ms)\n",
        "        import time\n\n        self._report(time.time() * 1000 - 10_000_000)\n",
        "C102[two hours ahead]",
    ),
    Mistake(
        "an id made fit",
        "account.py",
        "            return ack.ord_id\n",
        '            return ack.ord_id.strip("./")\n',
        "C105",
        "okx",
    ),
    Mistake(
        "a number that is none taken for another, in the stream",
        "parse.py",
        "id=str(data.t), price=data.p, qty=data.q",
        'id=str(data.t), price=data.p if data.p.isascii() else "1", qty=data.q',
        "C107[arabic]",
    ),
    Mistake(
        "a state that nobody knows taken for canceled",
        "private_parse.py",
        "status=_STATES.get(row.state, row.state),",
        'status=_STATES.get(row.state, "canceled"),',
        "C106",
        "okx",
    ),
    Mistake(
        "what is too small for an integer taken for 0",
        "parse.py",
        "Counted = Annotated[int, msgspec.Meta(gt=0)]\n",
        "Counted = Annotated[int, msgspec.Meta()]\n",
        "C100[recent_trades]",
        "okx",
    ),
    Mistake(
        "of two orders with one id the newer one meant",
        "journal.py",
        "        return list(newest.values())\n",
        "        return list(newest.values())[:1]\n",
        "C103",
        module="exgate_core",
    ),
    Mistake(
        "live as soon as it is connected",
        "tradefeed.py",
        "        return self._told if self._is_joining else self.supervisor.status\n",
        "        return self.supervisor.status\n",
        "C108",
        module="exgate_core",
    ),
    Mistake(
        "a frame known by its first bytes",
        "dialect.py",
        "        reply = _FRAME.decode(frame)\n",
        '        if b\'"stream":"\' not in frame and b\'"id"\' not in frame:\n'
        '            return Control("ignored")\n        reply = _FRAME.decode(frame)\n',
        "C109[trade]",
    ),
    Mistake(
        "a crossed book handed on",
        "answers.py",
        "Decimal(book.bids[0][0]) > Decimal(book.asks[0][0])",
        "Decimal(book.bids[0][0]) > 2 * Decimal(book.asks[0][0])",
        "C110[answer]",
        module="exgate_core",
    ),
)
"""More of them, tried without ``--short``."""


# -- the judge: this file again, in a process whose path begins with the changed copy


async def judge(exchange: str, cases: list[str]) -> list[Any]:
    """[label, why] of every case that failed."""
    from exgate_testing.judging import judge_all
    from exgate_testing.subjects import subject

    verdicts = await judge_all(subject(exchange), {}, cases)
    return [[verdict.label, verdict.why] for verdict in verdicts if verdict.result == "failed"]


def judged(exchange: str, cases: list[str]) -> int:
    """Print the failures as JSON."""
    logging.disable(logging.CRITICAL)
    print(json.dumps(asyncio.run(judge(exchange, cases))))
    sys.stdout.flush()
    os._exit(0)  # whatever a mistake left running


# -- the mistakes


def installed(package: str) -> Path:
    """Where a package stands."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def copy(folder: Path, exchange: str, mistake: Mistake | None) -> None:
    """The package, with a mistake in it."""
    package = mistake.package if mistake else f"exgate_{exchange}"
    shutil.copytree(installed(package), folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    if mistake is None:
        return
    file = folder / package / mistake.file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(mistake.old, mistake.new), encoding="utf-8")


def misfits(mistakes: tuple[Mistake, ...]) -> list[str]:
    """Mistakes whose text doesn't stand in its file, or more than once: the package was changed."""
    found = []
    for mistake in mistakes:
        text = (installed(mistake.package) / mistake.file).read_text(encoding="utf-8")
        if text.count(mistake.old) != 1:
            found.append(f"{mistake.what}: its text stands {text.count(mistake.old)} times in {mistake.file}")
    return found


def failures(exchange: str, mistake: Mistake | None, cases: list[str]) -> list[Any]:
    """What fails with a mistake."""
    with tempfile.TemporaryDirectory() as name:
        copy(Path(name), exchange, mistake)
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([name, os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, __file__, "--judge", exchange, *cases]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT)
    if not done.stdout.startswith("["):
        return [["nothing could be judged", done.stderr.strip().splitlines()[-1] if done.stderr else "no output"]]
    found: list[Any] = json.loads(done.stdout)
    return found


def tried(mistake: Mistake, short: bool, whole: bool) -> tuple[Mistake, list[Any]]:
    """A mistake and what failed."""
    cases = [] if whole else [mistake.case if short else mistake.case.partition("[")[0]]
    return mistake, failures(mistake.exchange, mistake, cases)


def tell(mistakes: tuple[Mistake, ...], short: bool, whole: bool) -> int:
    """Try them, and print a line for each; how many were caught by their case."""
    caught = 0
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for mistake, found in pool.map(lambda one: tried(one, short, whole), mistakes):
            own = [(label, why) for label, why in found if label.partition("[")[0] == mistake.case.partition("[")[0]]
            caught += bool(own)
            others = f" (and {len(found) - len(own)} others)" if whole else ""
            label, why = own[0] if own else ("NOT CAUGHT", str(found[:2]))
            print(f"  {mistake.exchange:8}{mistake.what:48} {label:16}{others} {why[:80]}", flush=True)
    return caught


def main() -> int:
    """The command line; 0 if every mistake was caught by its case."""
    if sys.argv[1:2] == ["--judge"]:
        return judged(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the twenty, each with one variant of its case")
    parser.add_argument("--whole", action="store_true", help="all cases for every mistake")
    parser.add_argument("--only", default="", metavar="TEXT", help="the mistakes whose name holds this")
    args = parser.parse_args()
    start = time.monotonic()
    twenty = tuple(mistake for mistake in TWENTY if args.only in mistake.what)
    further = () if args.short else tuple(mistake for mistake in FURTHER if args.only in mistake.what)
    wrong = len(unfit := misfits(twenty + further))
    print("\n".join(unfit))
    for exchange in dict.fromkeys(mistake.exchange for mistake in twenty + further):
        mine = [mistake.case for mistake in twenty + further if mistake.exchange == exchange]
        used = sorted({case if args.short else case.partition("[")[0] for case in mine})
        failed = failures(exchange, None, used)
        wrong += len(failed)
        print(f"{exchange} without a mistake: {len(used)} cases, {len(failed)} failed {failed[:2] or ''}")
    found = tell(twenty, args.short, args.whole)
    print(f"{found} of {len(twenty)} caught, each by the case meant for it")
    more = tell(further, args.short, args.whole)
    if further:
        print(f"further ones: {more} of {len(further)}")
    print(f"{time.monotonic() - start:.0f} s")
    return 0 if not wrong and found == len(twenty) and more == len(further) else 1


if __name__ == "__main__":
    sys.exit(main())
