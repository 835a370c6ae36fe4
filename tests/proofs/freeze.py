"""Numbers that freeze whoever computes with them, in the answers of an exchange: the whole process must not notice.

    python tests/proofs/freeze.py [--short] [--only WORD]

A real ``exgate serve``, which is killed where it freezes, in front of a Binance of this process that is spoken to by
hand and through ccxt. Each field of each answer that says a price or an amount is in its turn 1e999999999,
1e-999999999, and 100,000 digits long, as a text and as a number. Meanwhile /healthz is asked all the time. Goals: it
answers within a second throughout, no answer is a 500, and none passes such a number on. ``--short``: through ccxt, as
texts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
from aiohttp import web

from tests.proofs.front_tools import quantile
from tests.support.fake_binance import symbol_row
from tests.support.running import Running, serving

WAYS: Final = ("binance", "ccxt")
BOMBS: Final = {"1e999999999": "1e999999999", "1e-999999999": "1e-999999999", "100,000 digits": "9" * 100_000}
SHAPES: Final = (
    *("depth price", "depth amount", "recent_trades price", "recent_trades qty", "balances free", "balances locked"),
    *("pending_orders origQty", "pending_orders executedQty", "pending_orders price", "order origQty"),
    *("order executedQty", "order cummulativeQuoteQty", "place executedQty", "cancel executedQty"),
)
"""The question of the caller, and the field of the exchange's answer."""
AWAKE: Final = 1.0
"""Seconds within which /healthz answers."""
FROZEN: Final = 5.0
"""Seconds after which a process that doesn't is taken for frozen and killed."""
_MARK: Final = "@@"


class Case(NamedTuple):
    """One number in one field."""

    way: str
    shape: str
    bomb: str
    bare: bool
    """As a number of JSON, without quotes."""

    def __str__(self) -> str:
        return f"{self.way:8} {self.shape:26} {self.bomb}{' bare' if self.bare else ''}"


@dataclass
class Exchange:
    """A Binance with one order and one book; ``case`` says which field of which answer is spoilt."""

    case: Case | None = None
    client_id: str = "mine"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Every request; the path begins with the address that was meant."""
        asked = dict(request.query) | {name: str(value) for name, value in (await request.post()).items()}
        if request.method == "POST":
            self.client_id = asked["newClientOrderId"]
        path = request.path.rpartition("/")[2]
        question = {"POST": "place", "DELETE": "cancel"}.get(request.method) or _QUESTIONS.get(path, "")
        body = json.dumps(self._body(path, question))
        if self.case is not None:
            bomb = BOMBS[self.case.bomb]
            body = body.replace(f'"{_MARK}"', bomb if self.case.bare else f'"{bomb}"')
        return web.Response(text=body, content_type="application/json")

    def _body(self, path: str, question: str) -> Any:
        spoilt = self.case.shape.split() if self.case is not None else ["", ""]

        def number(name: str, value: str) -> str:
            return _MARK if [question, name] == spoilt else value

        if path == "exchangeInfo":
            row = symbol_row("BTC", "USDT") | {"permissions": ["SPOT"], "permissionSets": [["SPOT"]]}
            return {"timezone": "UTC", "serverTime": _now(), "rateLimits": [], "exchangeFilters": [], "symbols": [row]}
        if path == "time":
            return {"serverTime": _now()}
        if question == "depth":
            level = [number("price", "64000.00"), number("amount", "1.0")]
            return {"lastUpdateId": 1, "bids": [level], "asks": [["64001.00", "1.0"]]}
        if question == "recent_trades":
            trade = {"id": 1, "price": number("price", "64000.0"), "qty": number("qty", "1.0"), "quoteQty": "64000.0"}
            return [{**trade, "time": _now(), "isBuyerMaker": True, "isBestMatch": True}]
        if question == "balances":
            row = {"asset": "BTC", "free": number("free", "1.0"), "locked": number("locked", "0.0")}
            return {"accountType": "SPOT", "canTrade": True, "updateTime": _now(), "uid": 1, "balances": [row]}
        order = {
            **{"symbol": "BTCUSDT", "orderId": 4711, "orderListId": -1, "clientOrderId": self.client_id},
            **{"price": number("price", "60000.00"), "origQty": number("origQty", "0.00100000")},
            **{"executedQty": number("executedQty", "0.00000000"), "side": "BUY", "type": "LIMIT"},
            **{"cummulativeQuoteQty": number("cummulativeQuoteQty", "0.00"), "timeInForce": "GTC"},
            **{"status": "CANCELED" if question == "cancel" else "NEW", "time": _now(), "updateTime": _now()},
            **{"transactTime": _now(), "workingTime": _now(), "isWorking": True, "origQuoteOrderQty": "0.00"},
            **{"stopPrice": "0.00", "icebergQty": "0.00", "selfTradePreventionMode": "NONE", "fills": []},
        }
        return [order] if path in ("openOrders", "allOrders") else [] if path == "myTrades" else order


_QUESTIONS: Final = {
    **{"depth": "depth", "trades": "recent_trades", "account": "balances"},
    **{"openOrders": "pending_orders", "order": "order"},
}


def _now() -> int:
    return int(time.time() * 1000)


@asynccontextmanager
async def exchange() -> AsyncIterator[tuple[Exchange, str]]:
    """The exchange, listening, and its address."""
    found = Exchange()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield found, f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@dataclass
class Findings:
    """What the cases came to."""

    told: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)


class Frozen(Exception):
    """The gateway answers nobody any more."""


async def one(case: Case, session: aiohttp.ClientSession, findings: Findings) -> None:
    """One case: the caller's question, and /healthz all the while. Raises Frozen."""
    asking = asyncio.create_task(_ask(case, session))
    try:
        while True:
            start = time.monotonic()
            async with session.get("/healthz", timeout=aiohttp.ClientTimeout(FROZEN)) as answer:
                await answer.read()
            findings.took.append(time.monotonic() - start)
            if asking.done():
                break
            await asyncio.wait([asking], timeout=0.02)
    except TimeoutError:
        asking.cancel()
        raise Frozen from None
    status, outcome, text = await asking
    findings.told[f"{status} {outcome}".strip()] += 1
    if status == 500 or (status == 200 and BOMBS[case.bomb][:40] in text):
        findings.wrong.append(f"{case}: {status} {text[:160]}")


async def _ask(case: Case, session: aiohttp.ClientSession) -> tuple[int, str, str]:
    question, section = case.shape.split()[0], case.way
    known = {"symbol": "BTC/USDT", "order_id": "4711"}
    body: dict[str, str] | None = None
    path, params = question, {} if question == "balances" else {"symbol": "BTC/USDT"}
    if question == "order":
        params = known
    elif question == "place":
        path, params = "order", {}
        body = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "60000", "amount": "0.001"}
    elif question == "cancel":
        params, body = {}, known
    method = "GET" if body is None else "POST"
    async with session.request(method, f"/v1/{section}/{path}", params=params, json=body) as answer:
        return answer.status, answer.headers.get("ExGate-Outcome", ""), await answer.text()


async def until_frozen(cases: Iterator[Case], prefix: str, fake: Exchange, findings: Findings) -> bool:
    """Take cases until there are none, or one freezes the gateway: whether there may be more."""
    fake.case = None
    with TemporaryDirectory() as folder, _gateway(Path(folder), prefix) as gateway:
        token = (Path(folder) / "token").read_text(encoding="utf-8").strip()
        headers, patience = {"Authorization": f"Bearer {token}"}, aiohttp.ClientTimeout(30)
        async with aiohttp.ClientSession(gateway.url, headers=headers, timeout=patience) as session:
            for way in WAYS:
                for shape in ("depth", "balances", "place"):  # opened, and well
                    status, _, text = await _ask(Case(way, f"{shape} x", "1e999999999", False), session)
                    assert status == 200, f"{way} {shape}: {status} {text}"
            for case in cases:
                fake.case = case
                try:
                    await one(case, session, findings)
                except Frozen:
                    findings.wrong.append(f"{case}: FROZEN")
                    gateway.process.kill()
                    return True
                finally:
                    fake.case = None
    return False


def _gateway(folder: Path, prefix: str) -> AbstractContextManager[Running]:
    plugins = {"binance": "exgate-binance", "ccxt": "exgate-ccxt"}
    settings = ["orders.deadline=2", "orders.reconcile_deadline=2"]
    for name in WAYS:
        more = {"exchange": "binance", "plugin": plugins[name], "upstream_prefix": prefix, "trading": "true"}
        settings += [f"exchanges.{name}.{key}={value}" for key, value in more.items()]
        settings += [f"exchanges.{name}.api_key=key", f"exchanges.{name}.api_secret=secret"]
    given = [part for setting in settings for part in ("-s", setting)]
    return serving(folder, *given, errors=subprocess.DEVNULL)


async def measure(cases: list[Case]) -> Findings:
    """All cases; a gateway that froze is followed by a new one."""
    findings, left = Findings(), iter(cases)
    async with exchange() as (fake, prefix):
        while await until_frozen(left, prefix, fake, findings):
            pass
    return findings


def main() -> int:
    """0 if the gateway was awake all the time, no answer was a 500 and none held such a number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="through ccxt alone, as texts")
    parser.add_argument("--only", default="", help="cases with this in their names")
    chosen = parser.parse_args()
    ways, forms = (WAYS[1:], (False,)) if chosen.short else (WAYS, (False, True))
    every = [Case(way, shape, bomb, bare) for way in ways for shape in SHAPES for bomb in BOMBS for bare in forms]
    cases = [case for case in every if chosen.only in str(case)]
    findings = asyncio.run(measure(cases))
    worst = max(findings.took, default=0.0)
    print(f"{len(cases)} cases, {len(findings.wrong)} wrong; answers {dict(findings.told)}")
    print(f"/healthz: {len(findings.took)} times, p99 {quantile(findings.took, 0.99):.3f} s, worst {worst:.3f} s")
    for line in findings.wrong:
        print(f"  {line}")
    return 1 if findings.wrong or worst > AWAKE or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
