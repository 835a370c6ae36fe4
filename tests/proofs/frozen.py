"""A plugin whose C call never returns, after the exchange took the order, and again whenever it is asked for.

    python tests/proofs/frozen.py [--orders 60] [--freezes 8] [--seed 1] [--short]

A loop starts the gateway anew as a service manager would; the callers ask again with their keys. The process must end
itself within the watchdog's time, every time; the exchange's ledger must hold each order once; and an order that can't
be asked for without a freeze must stop freezing, be told as unknown, and stay in the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from exgate_core.freezes import MOST
from tests.support.running import clean_environment, free_port

WATCHDOG = 2.0
LATEST = WATCHDOG + 2.0
"""Seconds after the last sign of life: a machine with other work writes a stack slowly."""
CALLERS = 4

PLUGIN = '''
"""An exchange with a ledger in a file, which freezes the process on purpose."""
import ctypes
import json
import os
import time
from pathlib import Path

from exgate_core import AccountCapabilities, Market, Order, hookimpl
from exgate_core.models import ClientIds

EXGATE_API = 1
LEDGER = Path(os.environ["LEDGER"])
FREEZES, DEADLY = os.environ["FREEZES"].split(), os.environ["DEADLY"]
LOCK = ctypes.create_string_buffer(64)


def freeze():
    while True:
        ctypes.PyDLL(None).pthread_mutex_lock(LOCK)


class Exchange:
    def __init__(self, context):
        pass

    @hookimpl
    async def markets(self):
        return [Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")]


class Account:
    capabilities = AccountCapabilities(
        needs_credentials=False, real=False, client_ids=ClientIds(), order_recovery="full", settle=1.0
    )

    def __init__(self, context):
        pass

    @hookimpl
    async def place_order(self, order):
        name = order.client_order_id
        row = {"name": name, "amount": order.amount, "price": order.price, "time": time.time_ns() // 1_000_000}
        with LEDGER.open("a") as file:
            file.write(json.dumps(row) + "\\n")
        if name in FREEZES:
            freeze()
        return f"id-{name}"

    @hookimpl
    async def find_order(self, market, order_id, client_order_id):
        if client_order_id == DEADLY:
            freeze()
        rows = [json.loads(line) for line in LEDGER.read_text().splitlines()]
        return [
            Order(
                order_id=f"id-{row['name']}", client_order_id=row["name"], symbol="BTC/USDT", side="buy", type="limit",
                status="open", price=row["price"], amount=row["amount"], filled="0", time=row["time"],
            )
            for row in rows if row["name"] == client_order_id
        ]


@hookimpl
def register_exchanges(register):
    register("frozen", exchange=Exchange, account=Account)
'''


class Told(NamedTuple):
    """The last that a caller was told of its order."""

    status: int
    order_id: str
    outcome: str
    message: str


class Manager:
    """Starts the gateway again whenever it has ended."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.port, self.over = free_port(), False
        self.ends: list[tuple[int, float]] = []
        """Exit code, and seconds since the last sign of life."""
        self._folder, self._environment = folder, environment

    def run(self) -> None:
        """Until it is told that it is over."""
        command = [sys.executable, "-m", "exgate_core", "serve", "--port", str(self.port)]
        command += ["--plugins-dir", str(self._folder), "-s", f"server.watchdog={WATCHDOG}"]
        command += ["-s", f"server.state_dir={self._folder}", "-s", "orders.reconcile_deadline=3"]
        while not self.over:
            with (self._folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
            alive = time.monotonic()
            while process.poll() is None:
                alive = time.monotonic() if self._answers() else alive
                time.sleep(0.05)
                if self.over:
                    process.send_signal(signal.SIGTERM)
                    process.wait(20)
                elif time.monotonic() - alive > 20:
                    process.kill()
            if not self.over:
                self.ends.append((process.returncode, time.monotonic() - alive))

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
                connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                return bool(connection.recv(1))
        except OSError:
            return False


async def place(session: aiohttp.ClientSession, port: int, name: str, deadly: bool) -> Told:
    """Ask with one key until the outcome is known, or until nobody looks for it any more."""
    body = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "10", "amount": "1"}
    asked = {**body, "options": {"client_order_id": name}}
    while True:
        try:
            async with session.post(
                f"http://127.0.0.1:{port}/v1/frozen/order", json=asked, headers={"Idempotency-Key": name}
            ) as answer:
                got = await answer.json()
                outcome = answer.headers.get("ExGate-Outcome", "")
                told = Told(answer.status, str(got.get("order_id", "")), outcome, str(got.get("message", "")))
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(0.2)
            continue
        if told.status in (200, 400) or (deadly and "froze" in told.message):
            return told
        await asyncio.sleep(0.2)


async def ask_all(names: Sequence[str], deadly: str, port: int) -> dict[str, Told]:
    """What every caller was told last."""
    queue, told = list(reversed(names)), dict[str, Told]()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:

        async def caller() -> None:
            while queue:
                name = queue.pop()
                told[name] = await place(session, port, name, name == deadly)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return told


def trial(orders: int, freezes: int, seed: int) -> Counter[str]:
    """All of it; what must be 0 and what is only told."""
    dice, found = random.Random(seed), Counter[str]()
    names = [f"o{number}" for number in range(orders)]
    frozen = dice.sample(names, freezes)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "frozen.py").write_text(PLUGIN)
        (folder / "ledger").touch()
        own = {"LEDGER": str(folder / "ledger"), "FREEZES": " ".join(frozen), "DEADLY": frozen[0]}
        manager = Manager(folder, {**clean_environment(folder), **own})
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(manager.run)
            told = asyncio.run(ask_all(names, frozen[0], manager.port))
            time.sleep(2 * WATCHDOG)
            manager.over = True
            running.result()
        ledger = Counter(json.loads(line)["name"] for line in (folder / "ledger").read_text().splitlines())
        listed = subprocess.run(
            [sys.executable, "-m", "exgate_core", "--json", "-s", f"server.state_dir={folder}", "journal", "list"],
            env=clean_environment(folder), capture_output=True, text=True, check=True,
        )  # fmt: skip
        log = (folder / "log").read_text(errors="replace")
    certain = {name: answer for name, answer in told.items() if name != frozen[0]}
    absent = [name for name, answer in certain.items() if "ORDER_NEVER_ARRIVED" in answer.message]
    placed = [name for name, answer in certain.items() if (answer.status, answer.order_id) == (200, f"id-{name}")]
    found["lost"] = sum(not ledger[name] for name in placed)
    found["doubled"] = sum(ledger[name] > 1 for name in names)
    found["placed and told as not"] = sum(ledger[name] > 0 for name in absent)
    found["answered otherwise"] = len(certain) - len(placed) - len(absent)
    found["the deadly one not told as unknown"] = int(told[frozen[0]].outcome != "unknown")
    left = [row["client_order_id"] for row in json.loads(listed.stdout)]
    found["the journal's open rows are others"] = int(left != [frozen[0]])
    found["ends by another hand"] = sum(code != 1 for code, _ in manager.ends)
    found["ends too late"] = sum(late > LATEST for _, late in manager.ends)
    found["ends too many"] = max(0, len(manager.ends) - freezes - MOST)
    found["stacks missing"] = max(0, len(manager.ends) - log.count("the watchdog ended the last run"))
    ends = ", ".join(f"{late:.1f}" for _, late in manager.ends)
    print(f"{len(placed)} placed, {len(absent)} told that they never left, and absent")
    print(f"{orders} orders, {freezes} freezes, {len(manager.ends)} ends after {ends} s without a sign of life")
    return found


def main() -> int:
    """0 if nothing was lost, doubled or answered wrongly, and every freeze ended by itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=60)
    parser.add_argument("--freezes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="12 orders, 2 freezes")
    chosen = parser.parse_args()
    logging.disable()
    start = time.monotonic()
    orders, freezes = (12, 2) if chosen.short else (chosen.orders, chosen.freezes)
    found = trial(orders, freezes, chosen.seed)
    for name, count in found.items():
        print(f"  {name}: {count}")
    print(f"{time.monotonic() - start:.0f} s")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
