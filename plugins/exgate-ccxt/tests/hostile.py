"""A Binance whose network can't be trusted, on a port of this machine. Serves the tests and proofs beside it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from exgate_core.clock import Runtime
from tests.support.fake_binance import symbol_row

HANG = 0.5
"""Seconds that a request to it may take."""
RESTING = 20
"""Limit orders that are open at a time: older ones are filled."""
THERE = {"drop": 0.16, "503": 0.12, "html 403": 0.06, "-1007": 0.06, "-1015": 0.06, "hang": 0.01}
"""Faults before an order is taken in."""
BACK = {
    **{"drop": 0.17, "truncate": 0.08, "html 200": 0.06, "empty": 0.05, "null": 0.04, "list": 0.03, "no id": 0.05},
    **{"502": 0.05, "-1006": 0.04, "hang": 0.01},
}
"""Faults of the answer about an order that was taken in: of the half that gets so far, again about half."""
LOOK = {"drop": 0.25, "502": 0.2, "html 200": 0.1, "truncate": 0.1, "empty": 0.05, "-1000": 0.05}
"""Faults of a question."""
ANSWERS: dict[str, tuple[int, str]] = {
    "503": (503, "<html>Service Unavailable</html>"),
    "502": (502, "<html>Bad Gateway</html>"),
    "html 403": (403, "<html>Request blocked</html>"),
    "html 200": (200, "<html>one moment please</html>"),
    "-1015": (400, '{"code":-1015,"msg":"Too many new orders; current limit is 50 orders per 10 SECOND."}'),
    "-1000": (400, '{"code":-1000,"msg":"An unknown error occurred while processing the request."}'),
    "-1006": (
        400,
        '{"code":-1006,"msg":"An unexpected response was received from the message bus. Execution status unknown."}',
    ),
    "-1007": (408, '{"code":-1007,"msg":"Timeout waiting for response from backend server."}'),
    "empty": (200, ""),
    "null": (200, "null"),
    "list": (200, "[]"),
    "no id": (200, '{"symbol":"BTCUSDT","status":"NEW"}'),
}


@dataclass
class Hostile:
    """A Binance whose network can't be trusted. A client id is unique among open orders only."""

    dice: random.Random
    runtime: Runtime = field(default_factory=Runtime)
    book: dict[int, dict[str, Any]] = field(default_factory=dict)
    storm: bool = True
    faults: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    named: str = ""
    """What it calls every order in its answers, where that isn't its id."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every request; the path begins with the address that was meant."""
        url = urlsplit(request.raw_path.removeprefix("/"))
        asked = dict(parse_qsl(url.query)) | dict(parse_qsl((await request.read()).decode()))
        if url.path.endswith("exchangeInfo"):
            row = symbol_row("BTC", "USDT") | {"permissions": ["SPOT"], "permissionSets": [["SPOT"]]}
            return web.json_response({"timezone": "UTC", "serverTime": 0, "symbols": [row]})
        self.calls += 1
        if request.method == "POST":
            return await self._place(request, asked)
        return await self._look(request, url.path, asked)

    async def _place(self, request: web.Request, asked: dict[str, str]) -> web.StreamResponse:
        if answer := await self._fault("there", THERE, request):
            return answer
        client = asked["newClientOrderId"]
        if any(order["clientOrderId"] == client and order["status"] == "NEW" for order in self.book.values()):
            return web.json_response({"code": -2010, "msg": "Duplicate order sent."}, status=400)
        number, market = 10_000 + len(self.book), asked["type"] == "MARKET"
        filled, now = asked["quantity"] if market else "0", int(self.runtime.clock.time() * 1000)
        self.book[number] = order = {
            **{"symbol": "BTCUSDT", "orderId": number, "clientOrderId": client, "price": asked.get("price", "0")},
            **{"origQty": asked["quantity"], "executedQty": filled, "cummulativeQuoteQty": "0", "side": asked["side"]},
            **{"status": "FILLED" if market else "NEW", "timeInForce": "GTC", "type": asked["type"]},
            **{"transactTime": now, "time": now},
        }
        self._fill_older(number)
        said = self._said(order)
        return await self._fault("back", BACK, request, json.dumps(said)) or web.json_response(said)

    def _said(self, order: dict[str, Any]) -> dict[str, Any]:
        return order | ({"orderId": self.named} if self.named else {})

    def _fill_older(self, number: int) -> None:
        older = self.book.get(number - 2 * RESTING)
        if older is not None and older["status"] == "NEW":
            older.update(status="FILLED", executedQty=older["origQty"])

    async def _look(self, request: web.Request, path: str, asked: dict[str, str]) -> web.StreamResponse:
        if answer := await self._fault("look", LOOK, request):
            return answer
        if path.endswith("openOrders"):
            return web.json_response([self._said(order) for order in self.book.values() if order["status"] == "NEW"])
        named = (asked.get("origClientOrderId"), asked.get("orderId"))
        for order in reversed(self.book.values()):
            if order["clientOrderId"] == named[0] or str(order["orderId"]) == named[1]:
                return web.json_response(self._said(order))
        return web.json_response({"code": -2013, "msg": "Order does not exist."}, status=400)

    async def _fault(
        self, where: str, odds: dict[str, float], request: web.Request, truth: str = "{}"
    ) -> web.StreamResponse | None:
        roll = self.dice.random() if self.storm else 1.0
        for kind, odd in odds.items():
            roll -= odd
            if roll < 0:
                self.faults[f"{where}: {kind}"] += 1
                return await self._fail(kind, request, truth)
        return None

    async def _fail(self, kind: str, request: web.Request, truth: str) -> web.StreamResponse:
        if kind == "hang":
            await self.runtime.sleep(HANG * 2)
        if kind in ("drop", "hang") and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if kind == "truncate":
            return web.Response(text=truth[: len(truth) // 2] or "{", content_type="application/json")
        status, body = ANSWERS[kind]
        return web.Response(status=status, text=body, content_type="application/json")


@asynccontextmanager
async def serving(hostile: Hostile) -> AsyncIterator[str]:
    """Its address."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hostile.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
