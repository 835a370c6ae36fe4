"""Orders from outside: a hundred at once, a stop with twenty in flight, wrappers that fail after the send."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from exgate_core.settings import Section
from tests.proofs.front_tools import Engine, Fault, Figures, calling, gateway, terminate, truth
from tests.support.front import Caller, House, Reply, accepted, engine, house, is_lie, plugin, reached
from tests.support.odd_plugins import WRAPPERS, loaded
from tests.support.serving import settings_for

TOGETHER = 100
IN_FLIGHT = 20
FAULTS: tuple[tuple[Any, ...], ...] = (
    (),
    ("place.after_accept", "delay", 0.1),
    ("place.before_accept", "delay", 0.1),
    ("place.after_accept", "drop", 0),
    ("place.before_accept", "drop", 0),
    ("place.before_accept", "refuse", 0),
    ("place.before_accept", "not_sent", 0),
    ("place.after_accept", "lie", 0),
)
MODES = ("raise after", "forget", "twice", "impatient", "cancel after", "hang after", "raise before", "never proceed")


def at_once(seed: int, short: bool) -> list[str]:
    """A hundred callers at once with one key, or one client order id."""
    rounds, failed = (8 if short else 40), []
    for named in ("one Idempotency-Key", "no key, one client_order_id"):
        figures = Figures(f"1. {TOGETHER} parallel POSTs with {named}, {rounds} rounds")
        with tempfile.TemporaryDirectory() as folder:
            section = Section(exchange="paper", extra={"rate": 0.0}, settle=0.2)
            with house(settings_for(Path(folder), paper=section)) as home:
                asyncio.run(_rounds(figures, home, named, rounds, random.Random(seed)))
        failed += figures.failed
    return failed


async def _rounds(figures: Figures, home: House, named: str, rounds: int, dice: random.Random) -> None:
    tally, wrongs, times = Counter[str](), Counter[str](), []
    async with calling(home.url) as caller:
        await caller.get("/v1/paper/balances")
        book = engine(home.served.gateway)
        for number in range(rounds):
            hit = FAULTS[number] if number < len(FAULTS) else dice.choice(FAULTS)
            if hit:
                book.faults.add(Fault(point=hit[0], kind=hit[1], seconds=hit[2]))
            amount = 60_000 + number
            headers = {"Idempotency_Key": f"key-{number}"} if "Key" in named else {}
            client_id = "" if headers else f"order-{number}"
            start = time.monotonic()
            replies = await asyncio.gather(
                *(caller.buy(amount, client_order_id=client_id, **headers) for _ in range(TOGETHER))
            )
            times.append(time.monotonic() - start)
            book.faults.clear()
            really = accepted(book, amount)
            tally.update(reply.outcome + " " + (reply.reason or str(reply.status)) for reply in replies)
            tally["rounds that placed"] += len(really) == 1
            wrongs["orders too many"] += max(0, len(really) - 1)
            wrongs["answers that name another order"] += sum(
                reply.status == 200 and reply.order_id not in really for reply in replies
            )
            # Not-sent is no contradiction: whoever came after that with the same key placed the order. Nor is refused
            # where there is no key: a client order id whose refusal was told may be used again.
            wrongs["told refused, and there is an order"] += bool(headers and really) and any(
                reply.outcome == "refused" for reply in replies
            )
            wrongs["answers without ExGate-Outcome"] += sum(not reply.outcome for reply in replies)
    for name, count in sorted(tally.items()):
        figures.say(name, count)
    for name in (
        "orders too many",
        "answers that name another order",
        "told refused, and there is an order",
        "answers without ExGate-Outcome",
    ):
        figures.never(name, wrongs[name])
    figures.goal("slowest round", max(times), 1.0)


def stop(seed: int, short: bool) -> list[str]:
    """SIGTERM while the exchange keeps twenty orders waiting."""
    figures = Figures(f"2. SIGTERM with {IN_FLIGHT} orders in flight")
    dice = random.Random(seed)
    tally, wrongs, ends = Counter[str](), Counter[str](), []
    for point in ("place.after_accept", "place.before_accept") * (1 if short else 3):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            faults = [
                {"point": point, "kind": "delay", "times": 0, "seconds": dice.uniform(1.0, 2.0)},
                {"point": "place.after_accept", "kind": "drop", "times": 0, "probability": 0.2},
                {"point": "place.before_accept", "kind": "refuse", "times": 0, "probability": 0.1},
            ]
            state = {"rate": 0, "levels": 0, "state": str(folder / "paper"), "settle": 0.3}
            with gateway(folder, paper={**state, "faults": faults}) as running:
                replies, late, told = asyncio.run(_stopped(running))
                code = running.process.wait(30)
                ends.append(time.monotonic() - told)
            book = truth(folder / "paper", state)
            wrongs["exit codes other than 0"] += code != 0
            for number, reply in enumerate(replies):
                tally[f"told {reply.outcome or reply.status}"] += 1
                wrongs["answers that the ledger contradicts"] += is_lie(reply, accepted(book, 60_000 + number))
                wrongs["orders in the ledger twice"] += len(accepted(book, 60_000 + number)) > 1
                wrongs["unknown"] += reply.outcome not in ("placed", "refused", "not-sent")
            tally[f"after SIGTERM told {late.outcome or late.status}"] += 1
            wrongs["orders sent after SIGTERM"] += len(accepted(book, 90_000))
            with gateway(folder, paper=state) as running:
                wrongs["orders that a restart shows otherwise"] += asyncio.run(_differ(running.url, replies))
    for name, count in sorted(tally.items()):
        figures.say(name, count)
    for name in (
        "answers that the ledger contradicts",
        "orders in the ledger twice",
        "unknown",
        "orders sent after SIGTERM",
        "orders that a restart shows otherwise",
        "exit codes other than 0",
    ):
        figures.never(name, wrongs[name])
    figures.goal("from SIGTERM to the end of the process, worst", max(ends), 5.0)
    return figures.failed


async def _stopped(running: Any) -> tuple[list[Reply], Reply, float]:
    async with calling(running.url) as caller:
        await caller.get("/v1/paper/balances")
        asking = [asyncio.ensure_future(caller.buy(60_000 + number)) for number in range(IN_FLIGHT)]
        await asyncio.sleep(0.6)
        told = terminate(running)

        async def draining() -> bool:
            return (await caller.get("/readyz")).status == 503

        await reached(draining)
        late = await caller.buy(90_000)
        return await asyncio.gather(*asking), late, told


async def _differ(url: str, replies: list[Reply]) -> int:
    async with calling(url) as caller:
        rows = (await caller.get("/v1/paper/pending_orders")).body["orders"]
        shown = {row["order_id"]: row["amount"] for row in rows}
        placed = {r.order_id: f"{(60_000 + n) / 100_000:.5f}" for n, r in enumerate(replies) if r.outcome == "placed"}
        return len(set(placed.items()) ^ set(shown.items()))


def wrappers(seed: int, short: bool) -> list[str]:
    """Wrappers around everything, then wrappers that misbehave around orders and cancels."""
    figures = Figures("7. wrap_operation around every operation")
    with tempfile.TemporaryDirectory() as folder:
        catalogue = plugin(Path(folder) / "plugins", "wrappers", WRAPPERS)
        settings = settings_for(Path(folder), paper=Section(exchange="paper", extra={"rate": 0.0}))
        settings = replace(settings, server=replace(settings.server, deadline=1.0))
        with house(settings, catalogue) as home:
            asyncio.run(_wrapped(figures, home, 1 if short else 5))
    return figures.failed


async def _wrapped(figures: Figures, home: House, rounds: int) -> None:
    module = loaded("wrappers")
    async with calling(home.url) as caller:
        placed = await caller.buy(60_000)
        paths = [f"{name}?symbol=BTC/USDT" for name in ("depth", "recent_trades", "pending_orders")]
        for path in (*paths, "balances", f"order?order_id={placed.order_id}"):
            await caller.get(f"/v1/paper/{path}")
        await caller.post("/v1/paper/cancel", {"order_id": placed.order_id})
        async with caller.stream() as stream:
            await stream.receive()
        figures.always("operations seen by the wrapper", len({name for _, name, _ in module.seen}), 8)
        book, amount, wrongs = engine(home.served.gateway), 61_000, Counter[str]()
        for mode in MODES * rounds:
            amount += 1
            wrongs += await _one_mode(caller, module.modes, mode, amount, book)
        figures.say("orders and cancels under wrappers that misbehave", 2 * len(MODES) * rounds)
        for name in ("answers that the ledger contradicts", "placed, but not told so", "cancels not told truly"):
            figures.never(name, wrongs[name])
        module.modes["depth"] = "hang after"
        start = time.monotonic()
        reply = await caller.get("/v1/paper/depth?symbol=BTC/USDT")
        figures.always("a read inside a wrapper that hangs", reply.status, 504)
        figures.goal("and how long it takes (deadline 1 s)", time.monotonic() - start, 1.2)


async def _one_mode(caller: Caller, modes: dict[str, str], mode: str, amount: int, book: Engine) -> Counter[str]:
    wrongs = Counter[str]()
    modes["place_order"] = mode
    reply = await caller.buy(amount)
    really = accepted(book, amount)
    wrongs["answers that the ledger contradicts"] += is_lie(reply, really)
    wrongs["placed, but not told so"] += bool(really) and reply.status != 200
    modes.pop("place_order")
    if really:
        modes["cancel_order"] = mode
        cancel = await caller.post("/v1/paper/cancel", {"order_id": really[0]})
        modes.pop("cancel_order")
        rows = (await caller.get("/v1/paper/pending_orders")).body["orders"]
        stands = really[0] in {row["order_id"] for row in rows}
        wrongs["cancels not told truly"] += (cancel.status == 200) == stands
    return wrongs


PROOFS: dict[str, Callable[[int, bool], list[str]]] = {"at-once": at_once, "stop": stop, "wrappers": wrappers}
