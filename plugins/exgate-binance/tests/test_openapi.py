"""Every request that the adapter can build, held to the exchange's OpenAPI description. Needs EXGATE_SHARED."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("exgate_testing")
pytest.importorskip("yaml")

from binance_stage import stage
from binance_tour import Description, everything

KEY = {"x-mbx-apikey": "k"}
SIGNED = "timestamp=1499827319559&signature=00"


@pytest.fixture(scope="module")
def description(shared: Path) -> Description:
    return Description(shared)


@pytest.mark.anyio
async def test_every_request_is_one_that_the_exchange_describes(description: Description) -> None:
    async with stage() as on_stage:
        await everything(on_stage)
        seen = [row.request for row in on_stage.exchange.requests]
    kinds = {f"{request.method} {request.path.removeprefix('/api/v3')}" for request in seen}
    assert kinds == {
        "POST /order",
        "DELETE /order",
        "GET /order",
        "GET /openOrders",
        "GET /allOrders",
        "GET /myTrades",
        "GET /account",
        "GET /exchangeInfo",
        "GET /depth",
        "GET /trades",
        "GET /historicalTrades",
    }
    for request in seen:
        wrong = description.problems(request.method, request.path, request.query, request.headers)
        assert not wrong, (request, wrong)
        assert request.body == b""
        names = [pair.partition("=")[0] for pair in request.query.split("&")]
        assert names[-1] == "signature" or "signature" not in names
    assert len(seen) > 40


@pytest.mark.parametrize(
    ("method", "path", "query", "key"),
    [
        ("GET", "/api/v3/account", "timestamp=1", True),
        ("GET", "/api/v3/account", SIGNED, False),
        ("GET", "/api/v3/account", f"{SIGNED}&recvWindow=5s", True),
        ("POST", "/api/v3/order", f"symbol=BTCUSDT&side=BUY&type=LIMIT_OR_SO&{SIGNED}", True),
        ("POST", "/api/v3/order", f"symbol=BTCUSDT&side=BUY&type=LIMIT&qty=1&{SIGNED}", True),
        ("POST", "/api/v3/order", f"symbol=BTCUSDT&side=BUY&type=LIMIT&price=1,5&{SIGNED}", True),
        ("GET", "/api/v3/depth", "symbol=BTCUSDT&limit=5&limit=5", True),
    ],
)
def test_the_description_is_a_judge(description: Description, method: str, path: str, query: str, key: bool) -> None:
    assert description.problems(method, path, query, KEY if key else {})
