"""What else a server hands to the app: WebSocket handshakes and the lifespan."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exgate_core.app import make_app
from exgate_core.errors import PermissionDenied, Unavailable

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
    assert "/v1/{exchange}/pull_trade" in json.loads(end["body"])["message"]
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
    assert sent[0] == {"type": "websocket.accept", "headers": [(b"exgate-symbol", b"BTC/USDT")]}
    assert gateway.paper.asked == [("pull_trade", "BTC/USDT", "5")]


async def test_a_misspelt_parameter_of_a_stream_is_told(app: Any, gateway: FakeGateway) -> None:
    sent = await handshake(app, "/v1/paper/pull_trade?symbol=BTC/USDT&sinceid=5&extended=1")
    assert (b"exgate-ignored", b"sinceid") in sent[0]["headers"]
    refused = await handshake(app, "/v1/paper/pull_trade?symbol=BTC/USDT&extended=maybe")
    assert refused[0]["status"] == 400


async def test_a_refused_stream_has_the_headers_and_the_form_of_every_other_error(
    app: Any, gateway: FakeGateway
) -> None:
    gateway.opening = Unavailable("still opening", reason="EXCHANGE_OPENING", retry_after=1.2)
    start, end = await handshake(app, "/v1/paper/pull_trade?symbol=BTC/USDT&extended=true")
    headers = dict(start["headers"])
    assert (start["status"], headers[b"retry-after"], headers[b"exgate-reason"]) == (503, b"2", b"EXCHANGE_OPENING")
    assert (headers[b"cache-control"], headers[b"x-content-type-options"]) == (b"no-store", b"nosniff")
    assert headers[b"content-length"] == b"%d" % len(end["body"])
    assert json.loads(end["body"])["reason"] == "EXCHANGE_OPENING"
