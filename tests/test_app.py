"""The HTTP door: what is asked of the gateway, what callers get, and that every failure is a Status."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from exgate_core import contract
from exgate_core.access import Caller
from exgate_core.app import make_app
from exgate_core.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from exgate_core.markets import MarketList
from exgate_core.models import Freshness
from exgate_core.settings import Credentials, Secret

from .support.fake_gateway import (
    BTC,
    DEPTH,
    ETH,
    ORDER,
    TRADE,
    FakeEntry,
    FakeGateway,
    FakeGuard,
    ask,
    http_scope,
    read,
)

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


async def test_depth(app: Any, gateway: FakeGateway) -> None:
    for _ in range(2):  # the second time it is a remembered plan
        got = await ask(
            app, "GET", "/v1/paper/depth?symbol=btc-usdt&limit=5&isLocal=true&tolerate_interval=2.5&x=1&y=2"
        )
        assert (got.status, got.body) == (200, contract.depth_json(DEPTH))
        assert got.headers["exgate-source"] == "local"
        assert got.headers["exgate-age"] == "0.012"
        assert got.headers["exgate-symbol"] == "BTC/USDT"
        assert got.headers["exgate-ignored"] == "x, y"
    assert gateway.paper.asked == [("depth", "BTC/USDT", 5, Freshness(True, 2.5))] * 2


async def test_encoded_bytes_are_sent_as_they_are(app: Any, gateway: FakeGateway) -> None:
    gateway.paper.body = b'{"ready":1}'
    assert (await ask(app, "GET", "/v1/paper/depth?symbol=BTC/USDT")).body == b'{"ready":1}'
    assert (await ask(app, "GET", "/v1/paper/recent_trades?symbol=BTC/USDT")).body == b'{"ready":1}'
    extended = await ask(app, "GET", "/v1/paper/recent_trades?symbol=BTC/USDT&extended=true")
    assert extended.json["trades"][0]["trade_id"] == TRADE.id


async def test_a_local_read_is_answered_without_suspending(app: Any) -> None:
    for _ in range(2):
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        call = app(http_scope("GET", "/v1/paper/depth?symbol=BTC/USDT&isLocal=true"), None, send)
        with pytest.raises(StopIteration):
            call.send(None)
        assert read(sent).status == 200


@pytest.mark.parametrize(
    ("query", "limit"), [("", 500), ("&limit=0", 500), ("&limit=", 500), ("&limit=7", 7), ("&limit=99999", 5000)]
)
async def test_the_limits_of_depth(app: Any, gateway: FakeGateway, query: str, limit: int) -> None:
    assert (await ask(app, "GET", "/v1/paper/depth?symbol=BTC/USDT" + query)).status == 200
    assert gateway.paper.asked == [("depth", "BTC/USDT", limit, Freshness(False, None))]


async def test_recent_trades(app: Any, gateway: FakeGateway) -> None:
    got = await ask(app, "GET", "/v1/paper/recent_trades?symbol=ETHUSDT&limit=2000&isLocal=0")
    assert got.body == contract.trades_json([contract.trade_json(TRADE)])
    assert (got.headers["exgate-source"], got.headers["exgate-age"]) == ("exchange", "1.500")
    assert gateway.paper.asked == [("recent_trades", "ETH/USDT", 1000, Freshness(False, None))]


async def test_a_plan_ends_with_the_market_list_and_with_the_entry(app: Any, gateway: FakeGateway) -> None:
    target = "/v1/paper/depth?symbol=BTC/USDT"
    assert (await ask(app, "GET", target)).status == 200
    gateway.paper.exchange.markets = MarketList([ETH])
    assert (await ask(app, "GET", target)).reason == "UNKNOWN_SYMBOL"
    gateway.paper.exchange.markets = MarketList([BTC])
    assert (await ask(app, "GET", target)).status == 200
    reopened = gateway.entries["paper"] = FakeEntry()
    assert (await ask(app, "GET", target)).status == 200
    assert len(reopened.asked) == 1
    del gateway.entries["paper"]
    assert (await ask(app, "GET", target)).status == 404


class CountingMarkets(MarketList):
    """Counts look-ups; the only way to see from outside whether a plan was remembered."""

    looks = 0

    def resolve(self, text: str) -> Any:
        self.looks += 1
        return super().resolve(text)


async def test_plans_are_remembered_and_bounded(app: Any, gateway: FakeGateway) -> None:
    markets = gateway.paper.exchange.markets = CountingMarkets([BTC])
    for _ in range(3):
        await ask(app, "GET", "/v1/paper/depth?symbol=BTC/USDT")
    assert markets.looks == 1
    for number in range(1100):
        await ask(app, "GET", f"/v1/paper/depth?symbol=BTC/USDT&n={number}")
    assert markets.looks == 1101
    await ask(app, "GET", "/v1/paper/depth?symbol=BTC/USDT&n=1099")
    assert markets.looks == 1101
    await ask(app, "GET", "/v1/paper/depth?symbol=BTC/USDT")
    assert markets.looks == 1102
    for looks in (1103, 1104):
        await ask(app, "GET", "/v1/paper/depth?symbol=BTC/USDT&long=" + "x" * 256)
        assert markets.looks == looks


BAD_QUERIES = [
    "",
    "symbol=",
    "symbol=DOGE/USDT",
    "symbol=BTC/USDT&symbol=BTC/USDT",
    "symbol=BTC/USDT&limit=-1",
    "symbol=BTC/USDT&limit=1.5",
    "symbol=BTC/USDT&isLocal=yes",
    "symbol=BTC/USDT&tolerate_interval=-1",
    "symbol=BTC/USDT&tolerate_interval=1e3",
    "symbol=%ff",
    "symbol=%",
    "symbol=BTC/USDT&extended=maybe",
]


@pytest.mark.parametrize("query", BAD_QUERIES)
@pytest.mark.parametrize("operation", ["depth", "recent_trades"])
async def test_bad_queries_are_400_and_ask_nothing(app: Any, gateway: FakeGateway, operation: str, query: str) -> None:
    got = await ask(app, "GET", f"/v1/paper/{operation}?{query}")
    assert (got.status, got.json["code"]) == (400, 3)
    assert gateway.paper.asked == []


async def test_private_reads(app: Any, gateway: FakeGateway, guard: FakeGuard) -> None:
    keys = Credentials(Secret("a key"), Secret("a secret"))
    guard.who = Caller(None, keys)
    balances = await ask(app, "GET", "/v1/paper/balances")
    assert balances.json == {"balances": [{"asset": "BTC", "available": "1.0", "frozen": "0"}]}
    assert (balances.headers["exgate-source"], balances.headers["exgate-age"]) == ("exchange", "0.250")
    plain = await ask(app, "GET", "/v1/paper/pending_orders")
    assert plain.body == contract.orders_json([ORDER])
    extended = await ask(app, "GET", "/v1/paper/pending_orders?symbol=BTCUSDT&extended=1")
    assert extended.body == contract.orders_json([ORDER], extended=True)
    assert extended.headers["exgate-symbol"] == "BTC/USDT"
    found = await ask(app, "GET", "/v1/paper/order?client_order_id=mine")
    assert found.body == contract.order_json(ORDER)
    assert found.headers["exgate-client-order-id"] == "mine"
    assert gateway.paper.asked == [
        ("balances", keys),
        ("pending_orders", keys, None),
        ("pending_orders", keys, "BTC/USDT"),
        ("find_order", keys, None, "", "mine"),
    ]
    assert guard.required == ["read"] * 4


@pytest.mark.parametrize("query", ["", "order_id=", "order_id=../x", "client_order_id=a/b", "order_id=1&order_id=2"])
async def test_a_look_up_needs_a_safe_id(app: Any, gateway: FakeGateway, query: str) -> None:
    assert (await ask(app, "GET", f"/v1/paper/order?{query}")).status == 400
    assert gateway.paper.asked == []


@pytest.mark.parametrize("path", ["balances", "pending_orders", "order?order_id=1"])
async def test_private_reads_are_refused_before_anything_is_asked(
    app: Any, gateway: FakeGateway, guard: FakeGuard, path: str
) -> None:
    guard.denial = Unauthenticated("bring the token")
    got = await ask(app, "GET", f"/v1/paper/{path}")
    assert (got.status, got.json["code"], got.headers["www-authenticate"]) == (401, 16, "Bearer")
    assert gateway.paper.asked == []


async def test_pull_trade_pins_and_delete_unpins(app: Any, gateway: FakeGateway, guard: FakeGuard) -> None:
    got = await ask(app, "GET", "/v1/paper/pull_trade?symbol=BTC_USDT")
    assert got.json == {"status": "starting", "desc": "opening the stream"}
    assert got.headers["exgate-symbol"] == "BTC/USDT"
    assert (await ask(app, "DELETE", "/v1/paper/pull_trade?symbol=BTC/USDT")).json["status"] == "live"
    assert (await ask(app, "GET", "/v1/paper/pull_trade")).status == 400
    assert gateway.paper.asked == [("pin", "BTC/USDT"), ("unpin", "BTC/USDT")]
    assert guard.required == []


async def test_what_lies_beyond_the_seed(app: Any, gateway: FakeGateway) -> None:
    rows = (await ask(app, "GET", "/v1/exchanges")).json["exchanges"]
    told = ("name", "exchange", "state", "account", "problem", "clock_skew")
    assert [[row[name] for name in told] for row in rows] == [
        ["main", "paper", "failed", "", "no keys", None],
        ["paper", "paper", "open", "open", "", 0.25],
    ]
    assert rows[1]["plugins"] == [{"name": "exgate-paper", "version": "1.0"}]
    assert rows[1]["operations"] == ["depth"]
    markets = (await ask(app, "GET", "/v1/paper/markets")).json["markets"]
    assert [(row["symbol"], row["tick_size"]) for row in markets] == [("BTC/USDT", "0.01"), ("ETH/USDT", "")]
    assert (await ask(app, "GET", "/v1/paper/pulls")).json == {"pulls": gateway.paper.pulls()}
    assert (await ask(app, "GET", "/v1/paper/capabilities")).json == gateway.paper.capabilities()
    assert (await ask(app, "GET", "/openapi.json")).json["openapi"].startswith("3.1")
    assert (await ask(app, "GET", "/healthz")).status == 200
    assert (await ask(app, "GET", "/readyz")).json == {"ready": True, **gateway.ready[1]}
    gateway.ready = (False, {"journal": "read-only"})
    not_ready = await ask(app, "GET", "/readyz")
    assert (not_ready.status, not_ready.reason) == (503, "NOT_READY")
    assert not_ready.json["state"] == {"journal": "read-only"}
    assert (await ask(app, "HEAD", "/readyz")).status == 503


UNKNOWN_PATHS = [
    "/",
    "/v1",
    "/v1/paper",
    "/v1/paper/",
    "/v1/paper/balances/",
    "//evil/v1/paper/balances",
    "/v1/paper/depth/x",
    "/v1/%2e%2e%2fx/balances",
    "/V1/paper/depth",
    "/healthz/",
    "/docs",
]


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_unknown_paths_are_404_without_a_location(app: Any, method: str, path: str) -> None:
    got = await ask(app, method, path)
    assert (got.status, got.json["code"]) == (404, 5)
    assert "location" not in got.headers


@pytest.mark.parametrize(
    "name", ["nobody", "Paper", "..", "a" * 33, "%00", "%ff", "pa per", "-x", "_", "é", "__class__"]
)
async def test_unknown_exchanges_are_404(app: Any, gateway: FakeGateway, name: str) -> None:
    for operation in ("balances", "depth?symbol=BTC/USDT", "pull_trade?symbol=BTC/USDT", "markets"):
        assert (await ask(app, "GET", f"/v1/{name}/{operation}")).status == 404
    assert (await ask(app, "HEAD", f"/v1/{name}/balances")).status == 404
    assert gateway.paper.asked == []


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/paper/order", "GET, HEAD, POST"),
        ("/v1/paper/cancel", "POST"),
        ("/v1/paper/pull_trade", "DELETE, GET, HEAD"),
        ("/v1/paper/depth", "GET, HEAD"),
        ("/v1/exchanges", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
    ],
)
async def test_wrong_methods_are_405_with_every_right_one(app: Any, path: str, allow: str) -> None:
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "X"} - set(allow.split(", ")):
        got = await ask(app, method, path, headers=[(b"origin", b"http://evil.com")])
        assert (got.status, got.headers["allow"]) == (405, allow)
        assert method == "HEAD" or got.json["message"].endswith(f" takes {allow}, not {method}")
        assert not any(name.startswith("access-control") for name in got.headers)


async def test_head_asks_and_starts_nothing(app: Any, gateway: FakeGateway, guard: FakeGuard) -> None:
    await ask(app, "GET", "/v1/paper/depth?symbol=BTC/USDT")
    gateway.paper.asked.clear()
    for operation in ("depth", "recent_trades", "pull_trade", "balances", "pending_orders", "order", "markets"):
        assert (await ask(app, "HEAD", f"/v1/paper/{operation}?symbol=BTC/USDT&order_id=1")).status == 200
    assert gateway.paper.asked == []
    assert int((await ask(app, "HEAD", "/healthz")).headers["content-length"]) > 0


async def test_a_get_with_a_body_works(app: Any) -> None:
    got = await ask(app, "GET", "/v1/paper/balances", body={"json": "of the seed's Go sample"})
    assert got.status == 200


@pytest.mark.parametrize("trick", [[(b"x-http-method-override", b"POST")], [(b"x-method-override", b"DELETE")]])
async def test_methods_can_not_be_overridden(app: Any, gateway: FakeGateway, trick: Any) -> None:
    await ask(app, "GET", "/v1/paper/pull_trade?symbol=BTC/USDT&_method=DELETE", headers=trick)
    assert gateway.paper.asked == [("pin", "BTC/USDT")]


async def test_below_a_root_path(guard: FakeGuard) -> None:
    gateway = FakeGateway(root_path="/api")
    app = make_app(gateway, guard)
    for _ in range(2):
        assert (await ask(app, "GET", "/api/v1/paper/depth?symbol=BTC/USDT")).status == 200
    assert (await ask(app, "GET", "/v1/paper/depth?symbol=BTC/USDT")).status == 404
    assert (await ask(app, "GET", "/apiv1/paper/depth?symbol=BTC/USDT")).status == 404
    assert (await ask(app, "GET", "/api/openapi.json")).json["servers"] == [{"url": "/api"}]
    order = await ask(app, "POST", "/api/v1/paper/order", body=b"")
    assert order.headers["exgate-outcome"] == "refused"


@pytest.mark.parametrize("path", ["/v1/paper/depth?symbol=BTC/USDT", "/nowhere", "/healthz"])
async def test_the_guard_comes_first(app: Any, gateway: FakeGateway, guard: FakeGuard, path: str) -> None:
    await ask(app, "GET", path)
    gateway.paper.asked.clear()
    guard.refusal = PermissionDenied("not this Host")
    got = await ask(app, "GET", path)
    assert (got.status, got.json["code"]) == (403, 7)
    assert gateway.paper.asked == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RateLimited("slow", retry_after=1.2), 429, 8),
        (Unavailable("no answer"), 503, 14),
        (DeadlineExceeded("no answer in time"), 504, 4),
        (NotFound("no such"), 404, 5),
        (Unimplemented("nobody can"), 501, 12),
        (InvalidArgument("x", status=415, reason="CONTENT_TYPE"), 415, 3),
        (ZeroDivisionError("secret text"), 500, 13),
    ],
)
async def test_errors_of_reads(
    app: Any, gateway: FakeGateway, caplog: pytest.LogCaptureFixture, error: Exception, status: int, code: int
) -> None:
    gateway.paper.error = error
    for target in ("depth?symbol=BTC/USDT", "depth?symbol=BTC/USDT", "balances"):
        with caplog.at_level(logging.CRITICAL):
            got = await ask(app, "GET", f"/v1/paper/{target}")
        assert (got.status, got.json["code"]) == (status, code)
        assert b"secret text" not in got.body
        assert got.headers.get("retry-after") == {429: "2", 503: "1", 504: "1"}.get(status)
        assert "exgate-outcome" not in got.headers


async def test_a_crash_is_logged_once_with_its_traceback(
    app: Any, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.paper.error = ZeroDivisionError("the cause")
    await ask(app, "GET", "/v1/paper/balances")
    (record,) = caplog.records
    assert record.exc_info is not None and record.exc_info[1] is gateway.paper.error


async def test_extended_errors_say_reason_and_metadata(app: Any, gateway: FakeGateway) -> None:
    gateway.paper.error = RateLimited("slow", metadata={"limit": "1"})
    got = await ask(app, "GET", "/v1/paper/balances?extended=true")
    assert (got.json["reason"], got.json["metadata"]) == ("RATE_LIMITED", {"limit": "1"})
    assert "reason" not in (await ask(app, "GET", "/v1/paper/balances")).json


async def test_the_names_of_ignored_parameters_are_safe_in_a_header(app: Any) -> None:
    got = await ask(app, "GET", "/v1/paper/balances?a%20b=1&%C3%A9=2&" + "&".join(f"p{n}" for n in range(99)))
    names = got.headers["exgate-ignored"].split(", ")
    assert names[:3] == ["a b", "%C3%A9", "p0"] and len(names) == 20
