"""Plugins and accounts from outside: exchanges that hang or break, callers with keys of their own, what is told."""

from __future__ import annotations

import asyncio
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from exgate_core.settings import Secret, Section
from tests.proofs.front_tools import Figures, calling, gateway, quantile, terminate, watch_latency
from tests.support.front import Caller, House, house, plugin, reached
from tests.support.odd_plugins import EXCHANGES, VAULT, loaded
from tests.support.running import clean_environment
from tests.support.serving import settings_for

ODD = {
    "hangs-at-open": (503, "EXCHANGE_OPENING"),
    "wont-open": (503, "EXCHANGE_NOT_OPEN"),
    "raises": (500, "INTERNAL"),
    "cancels": (500, "INTERNAL"),
    "hangs": (504, "DEADLINE_EXCEEDED"),
}
DEADLINE = 2.0


def neighbours(seed: int, short: bool) -> list[str]:
    """Exchanges that hang at opening, hang, raise or cancel themselves, all asked again and again beside paper."""
    figures = Figures("6. Exchanges that hang or break beside paper")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plugin(folder / "plugins", "odd", EXCHANGES)
        paper = {"rate": 20.0, "seed": seed}
        sections = [f"exchanges.{odd}.exchange={odd}" for odd in ODD]
        arguments = ["--plugins-dir", str(folder / "plugins"), f"server.deadline={DEADLINE}", *sections]
        with gateway(folder, *arguments, paper=paper) as running:
            asyncio.run(_beside(figures, running.url, 8.0 if short else 30.0))
            told = terminate(running)
            figures.always("exit code", running.process.wait(30), 0)
            figures.goal("from SIGTERM to the end, one still opening", time.monotonic() - told, 3.0)
    return figures.failed


async def _beside(figures: Figures, url: str, seconds: float) -> None:
    took: list[float] = []
    answers: dict[str, Counter[str]] = {name: Counter() for name in ODD}
    longest: dict[str, float] = dict.fromkeys(ODD, 0.0)
    async with calling(url) as caller:
        await caller.get("/v1/paper/depth?symbol=BTC/USDT")
        path = "/v1/paper/depth?symbol=BTC/USDT&limit=20"
        tasks = [asyncio.ensure_future(watch_latency(caller, path, took)) for _ in range(2)]
        for name in ODD:
            tasks += [asyncio.ensure_future(_ask(caller, name, answers[name], longest)) for _ in range(5)]
        await asyncio.sleep(seconds)
        ready = await caller.get("/readyz")
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                figures.always("a caller ended", result, None)
    figures.say("reads of paper meanwhile", f"{len(took):,}")
    figures.goal("their p50", quantile(took, 0.5), 0.02)
    figures.goal("their p99", quantile(took, 0.99), 0.05)
    for name, (status, reason) in ODD.items():
        figures.always(f"{name}: every answer", set(answers[name]), {f"{status} {reason}"})
        figures.say(f"{name}: answers", answers[name].total())
        figures.goal(f"{name}: slowest (deadline {DEADLINE:g} s)", longest[name], DEADLINE + 0.5)
    figures.always("readyz meanwhile", ready.status, 200)


async def _ask(caller: Caller, name: str, answers: Counter[str], longest: dict[str, float]) -> None:
    while True:
        start = time.monotonic()
        reply = await caller.get(f"/v1/{name}/depth?symbol=BTC/USDT")
        longest[name] = max(longest[name], time.monotonic() - start)
        answers[f"{reply.status} {reply.reason}"] += 1
        await asyncio.sleep(0.1)


def callers(seed: int, short: bool) -> list[str]:
    """Many callers with keys of their own at once, beside a configured account of real money that may not trade."""
    figures = Figures("8. Keys of callers and an account of real money")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalogue = plugin(folder / "plugins", "vault", VAULT)
        named = Section(exchange="vault", api_key=Secret("house"), api_secret=Secret("house-secret"))
        settings = settings_for(folder, paper=Section(exchange="paper", extra={"rate": 0.0}), vault=named)
        with house(settings, catalogue) as home:
            token = (folder / "token").read_text().strip()
            asyncio.run(_trade(figures, home, token, random.Random(seed), 20 if short else 60))
        figures.never("accounts open after the end", len(loaded("vault").open_accounts))
        written = b"".join(path.read_bytes() for path in folder.glob("orders.db*"))
        figures.never("secrets in the journal", written.count(b"secret-of-") + written.count(b"house-secret"))
        for allowed, wanted in (("read", [200, 403]), ("off", [403, 403])):
            closed = replace(settings, server=replace(settings.server, caller_keys=allowed))
            with house(closed, catalogue) as home:
                found = asyncio.run(_allowed(home.url))
            figures.always(f"caller_keys = {allowed}: balances, order", found, wanted)
    return figures.failed


async def _trade(figures: Figures, home: House, token: str, dice: random.Random, count: int) -> None:
    wrongs, bearer = Counter[str](), {"Authorization": f"Bearer {token}"}
    async with calling(home.url) as caller:
        for headers, wanted in (
            ({}, (401, 401)),
            ({"Authorization": "Bearer wrong"}, (401, 401)),
            (bearer, (403, 200)),
        ):
            placed = await caller.buy(60_000, name="vault", **headers)
            cancel = await caller.post("/v1/vault/cancel", {"order_id": "1"}, **headers)
            wrongs["orders and cancels of the house let through"] += (placed.status, cancel.status) != wanted
        figures.always("the house's order with the token", placed.reason, "TRADING_OFF")
        figures.always("sent for the house: its cancel", loaded("vault").sent, [("house", "cancel")])
        loaded("vault").sent.clear()
        figures.never(
            "orders and cancels of the house let through", wrongs["orders and cancels of the house let through"]
        )

        async def trade(number: int) -> None:
            name = f"caller{number}"
            keys = {"X_ExGate_Key": name, "X_ExGate_Secret": f"secret-of-{name}"}
            await asyncio.sleep(dice.random() * 0.2)
            again = [caller.buy(60_000 + number, name="vault", Idempotency_Key="one for all", **keys) for _ in range(3)]
            replies = await asyncio.gather(*again)
            wrongs["answers of another's order"] += sum(r.order_id.split("-")[0] != name for r in replies)
            own = (await caller.get("/v1/vault/balances", **keys)).body["balances"]
            wrongs["balances of another"] += own[0]["asset"] != name.upper()

        start = time.monotonic()
        await asyncio.gather(*map(trade, range(count)))
        figures.say("callers, all with the same Idempotency-Key", count)
        figures.goal("and how long all of them took", time.monotonic() - start, 2.0)
        sent = Counter(loaded("vault").sent)
        figures.always("orders sent", sent.total(), count)
        figures.never("orders sent twice", sum(times - 1 for times in sent.values()))
        for name in ("answers of another's order", "balances of another"):
            figures.never(name, wrongs[name])


async def _allowed(url: str) -> list[int]:
    keys = {"X_ExGate_Key": "alice", "X_ExGate_Secret": "her-secret"}
    async with calling(url) as caller:
        read = await caller.get("/v1/vault/balances", **keys)
        return [read.status, (await caller.buy(60_000, name="vault", **keys)).status]


def told(seed: int, short: bool) -> list[str]:
    """What it says about itself, and what it does while its journal can't be written."""
    figures = Figures("9. What it says about itself")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plugin(folder / "plugins", "vault", VAULT)
        (folder / "plugins" / "broken.py").write_text("EXGATE_API = 1\nimport nowhere_at_all\n")
        command = [sys.executable, "-m", "exgate_core", "plugins", "--plugins-dir", str(folder / "plugins")]
        shown = subprocess.run(
            command, capture_output=True, text=True, check=True, env=clean_environment(folder), cwd=folder
        ).stdout
        rows = {line.split()[0]: line for line in shown.splitlines()}
        figures.always("exgate plugins lists", {"exgate-paper", "vault.py", "broken.py"} <= set(rows), True)
        figures.always("and says what was refused", "refused" in rows["broken.py"], True)
        paper = {"rate": 20.0, "seed": seed, "state": "memory"}  # no real exchange is on the disk that fills up
        with gateway(folder, "--plugins-dir", str(folder / "plugins"), paper=paper) as running:
            asyncio.run(_tour(figures, running.url))
            asyncio.run(_no_disk(figures, running.url, running.process.pid))
    return figures.failed


async def _tour(figures: Figures, url: str) -> None:
    wanted = ("exchanges", "paper/capabilities", "paper/markets", "paper/pulls", "vault/capabilities", "vault/markets")
    async with calling(url) as caller:
        for path in wanted:
            figures.always(f"/v1/{path}", (await caller.get(f"/v1/{path}")).status, 200)
        figures.always("/readyz", (await caller.get("/readyz")).body["status"], "ready")


async def _no_disk(figures: Figures, url: str, pid: int) -> None:
    async with calling(url) as caller:
        first = await caller.buy(60_000)
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        replies = await asyncio.gather(*(caller.buy(60_001 + number) for number in range(20)))
        figures.always(
            "orders while nothing can be written", {(r.status, r.outcome) for r in replies}, {(503, "not-sent")}
        )
        figures.always("/readyz meanwhile", (await caller.get("/readyz")).status, 503)
        figures.always("depth meanwhile", (await caller.get("/v1/paper/depth?symbol=BTC/USDT")).status, 200)
        figures.always(
            "cancel meanwhile", (await caller.post("/v1/paper/cancel", {"order_id": first.order_id})).status, 200
        )
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

        async def ready() -> bool:
            return (await caller.get("/readyz")).status == 200

        with suppress(TimeoutError):
            figures.goal("until it is ready once it can", await reached(ready), 3.0)
        figures.always("an order then", (await caller.buy(70_000)).outcome, "placed")
        rows = (await caller.get("/v1/paper/pending_orders")).body["orders"]
        figures.never("orders that were called not sent", len(rows) - 1)


PROOFS: dict[str, Callable[[int, bool], list[str]]] = {"neighbours": neighbours, "callers": callers, "told": told}
