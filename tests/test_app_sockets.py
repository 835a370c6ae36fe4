"""What else a server hands to the app: WebSocket handshakes and the lifespan."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exgate_core.app import make_app
from exgate_core.errors import PermissionDenied

from .support.fake_gateway import FakeGateway, FakeGuard, http_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def guard() -> FakeGuard:
    return FakeGuard()


@pytest.fixture
def app(gateway: FakeGateway, guard: FakeGuard) -> Any:
    return make_app(gateway, guard)


async def test_lifespan_is_answered(app: Any) -> None:
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def handshake(app: Any, target: str) -> list[dict[str, Any]]:
    scope = http_scope("GET", target) | {"type": "websocket", "extensions": {"websocket.http.response": {}}}
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "websocket.connect"}, {"type": "websocket.disconnect"}]

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_websockets_elsewhere_are_refused_with_a_status(app: Any, guard: FakeGuard) -> None:
    start, end = await handshake(app, "/v1/paper/depth")
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 404)
    assert json.loads(end["body"])["code"] == 5
    guard.refusal = PermissionDenied("not this Origin")
    assert (await handshake(app, "/v1/paper/pull_trade?symbol=BTC/USDT"))[0]["status"] == 403
    guard.refusal = ZeroDivisionError()
    assert (await handshake(app, "/v1/paper/pull_trade?symbol=BTC/USDT"))[0]["status"] == 500


async def test_the_path_of_pull_trade_is_a_stream_too(app: Any, gateway: FakeGateway) -> None:
    class Reader:
        async def next(self) -> bytes:
            raise ZeroDivisionError

    gateway.paper.reader = Reader()
    sent = await handshake(app, "/v1/paper/pull_trade?symbol=btcusdt&since_id=5")
    assert sent[0]["type"] == "websocket.accept"
    assert gateway.paper.asked == [("pull_trade", "BTC/USDT", "5")]
