"""Orders at the door: three outcomes, always said, and never a guess."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from exgate_core.app import make_app
from exgate_core.contract import PlaceBody
from exgate_core.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    ExGateError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    NotSent,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    Refused,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from exgate_core.models import CancelResult

from .support.fake_gateway import JSON, FakeGateway, FakeGuard, Placed, ask, http_scope, read

pytestmark = pytest.mark.anyio

GOOD = {"symbol": "btcusdt", "side": "Buy", "type": "limit", "price": "1.50", "amount": "2"}
PLACE, CANCEL = "/v1/paper/order", "/v1/paper/cancel"
NOTHING, MAYBE = "Nothing was sent.", "It may have been sent."


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def guard() -> FakeGuard:
    return FakeGuard()


@pytest.fixture
def app(gateway: FakeGateway, guard: FakeGuard) -> Any:
    return make_app(gateway, guard)


async def test_a_placed_order(app: Any, gateway: FakeGateway, guard: FakeGuard) -> None:
    got = await ask(app, "POST", PLACE, GOOD)
    assert (got.status, got.body) == (200, b'{"order_id":"A-1"}')
    assert got.headers["exgate-outcome"] == "placed"
    assert got.headers["exgate-client-order-id"] == "mine"
    assert got.headers["exgate-symbol"] == "BTC/USDT"
    assert "exgate-replayed" not in got.headers
    body = PlaceBody(symbol="btcusdt", side="buy", type="limit", price="1.50", amount="2")
    assert gateway.paper.asked == [("place_order", None, "BTC/USDT", body, "")]
    assert guard.required == ["trade"]


async def test_a_replayed_order_and_the_extended_answer(app: Any, gateway: FakeGateway) -> None:
    gateway.paper.placed = Placed("7", "é x", 12.5)
    got = await ask(app, "POST", PLACE + "?extended=true&z=1", GOOD)
    assert got.json == {"order_id": "7", "client_order_id": "é x"}
    assert got.headers["exgate-replayed"] == "12.500"
    assert got.headers["exgate-client-order-id"] == "%C3%A9 x"
    assert got.headers["exgate-ignored"] == "z"


async def test_a_cancelled_order(app: Any, gateway: FakeGateway, guard: FakeGuard) -> None:
    got = await ask(app, "POST", CANCEL, {"symbol": "BTC/USDT", "order_id": "A-1"})
    assert (got.json, got.headers["exgate-outcome"]) == ({"status": "canceled"}, "canceled")
    await ask(app, "POST", CANCEL, {"options": {"client_order_id": "mine"}})
    assert gateway.paper.asked == [
        ("cancel_order", None, "BTC/USDT", "A-1", ""),
        ("cancel_order", None, None, "", "mine"),
    ]
    assert guard.required == ["trade", "trade"]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("canceled", "canceled"), ("already_canceled", "canceled"), ("pending", "canceled"), ("filled", "refused")],
)
async def test_a_cancels_outcome(app: Any, gateway: FakeGateway, status: Any, outcome: str) -> None:
    gateway.paper.canceled = CancelResult(status=status)
    got = await ask(app, "POST", CANCEL, {"symbol": "BTC/USDT", "order_id": "A-1"})
    assert (got.status, got.json, got.headers["exgate-outcome"]) == (200, {"status": status}, outcome)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"abc", "abc"),
        (b'"abc"', "abc"),
        (b' "a \\"b\\" \\\\" ', 'a "b" \\'),
        (b"x" * 255, "x" * 255),
        (b"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
    ],
)
async def test_the_idempotency_key(app: Any, gateway: FakeGateway, value: bytes, key: str) -> None:
    assert (await ask(app, "POST", PLACE, GOOD, [*JSON, (b"idempotency-key", value)])).status == 200
    assert gateway.paper.asked[0][-1] == key


@pytest.mark.parametrize(
    "values", [[b""], [b'""'], [b"x" * 256], [b'"abc'], [b'"a"b"'], [b"\xe9"], [b"a\tb"], [b"a", b"a"]]
)
async def test_bad_idempotency_keys_are_refused(app: Any, gateway: FakeGateway, values: list[bytes]) -> None:
    got = await ask(app, "POST", PLACE, GOOD, [*JSON, *((b"idempotency-key", value) for value in values)])
    assert (got.status, got.headers["exgate-outcome"]) == (400, "refused")
    assert gateway.paper.asked == []


# What the gateway raises once the order is on its way: the answer, its outcome, how its message ends.
AFTER = [
    (InvalidArgument.of("price", "off the tick"), 400, "refused", NOTHING),
    (FailedPrecondition("no such"), 400, "refused", NOTHING),
    (Refused("insufficient balance"), 400, "refused", NOTHING),
    (Refused("no. No order was placed.", metadata={"outcome": "refused"}), 400, "refused", "No order was placed."),
    (NotFound("no such order"), 404, "refused", NOTHING),
    (AlreadyExists("used before"), 409, "refused", NOTHING),
    (Aborted("in flight"), 409, "unknown", MAYBE),
    (PermissionDenied("trading is off"), 403, "refused", NOTHING),
    (Unimplemented("nobody can"), 501, "refused", NOTHING),
    (RateLimited("wait", retry_after=3), 429, "not-sent", NOTHING),
    (RateLimited("wait"), 429, "not-sent", NOTHING),
    (NotSent("no route"), 503, "not-sent", NOTHING),
    (OutcomeUnknown("no answer"), 504, "unknown", MAYBE),
    (DeadlineExceeded("no answer"), 504, "unknown", MAYBE),
    (Unavailable("gave HTML"), 504, "unknown", MAYBE),
    (Internal("returned None"), 504, "unknown", MAYBE),
    (ExGateError("odd"), 504, "unknown", MAYBE),
    (ZeroDivisionError("secret text"), 504, "unknown", MAYBE),
    (Internal("early bug", metadata={"outcome": "not-sent"}), 500, "not-sent", NOTHING),
    (Unavailable("opening", metadata={"outcome": "not-sent"}), 503, "not-sent", NOTHING),
    (DeadlineExceeded("opening", metadata={"outcome": "not-sent"}), 503, "not-sent", NOTHING),
    (Internal("late bug", metadata={"outcome": "unknown"}), 504, "unknown", MAYBE),
]


@pytest.mark.parametrize(("error", "status", "outcome", "ending"), AFTER, ids=range(len(AFTER)))
@pytest.mark.parametrize(("path", "body"), [(PLACE, GOOD), (CANCEL, {"order_id": "1"})])
async def test_outcomes_of_what_is_on_its_way(
    app: Any, gateway: FakeGateway, path: str, body: Any, error: Exception, status: int, outcome: str, ending: str
) -> None:
    gateway.paper.error = error
    got = await ask(app, "POST", path, body)
    assert (got.status, got.headers["exgate-outcome"]) == (status, outcome)
    assert got.json["message"].endswith(ending)
    assert b"secret text" not in got.body
    assert ("retry-after" in got.headers) == (status in (429, 503))
    if status == 504:
        assert (got.json["code"], got.reason) == (4, "ORDER_OUTCOME_UNKNOWN")


# What fails before: nothing was sent, whatever it is.
BEFORE = [
    (Unavailable("still opening", reason="EXCHANGE_OPENING", retry_after=2), 503, "not-sent"),
    (DeadlineExceeded("still opening"), 503, "not-sent"),
    (NotFound("no such exchange"), 404, "refused"),
    (ZeroDivisionError(), 500, "not-sent"),
]


@pytest.mark.parametrize(("error", "status", "outcome"), BEFORE, ids=range(len(BEFORE)))
@pytest.mark.parametrize("path", [PLACE, CANCEL])
async def test_outcomes_of_what_never_started(
    app: Any, gateway: FakeGateway, path: str, error: Exception, status: int, outcome: str
) -> None:
    gateway.opening = error
    got = await ask(app, "POST", path, GOOD)
    assert (got.status, got.headers["exgate-outcome"]) == (status, outcome)
    assert got.json["message"].endswith(NOTHING)


@pytest.mark.parametrize("place", ["refusal", "denial"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthenticated("no token"), 401),
        (PermissionDenied("not you"), 403),
        (InvalidArgument("x", status=415, reason="CONTENT_TYPE"), 415),
    ],
)
async def test_who_may_not_is_told_that_nothing_was_sent(
    app: Any, gateway: FakeGateway, guard: FakeGuard, place: str, error: Exception, status: int
) -> None:
    setattr(guard, place, error)
    got = await ask(app, "POST", PLACE, GOOD)
    assert (got.status, got.headers["exgate-outcome"]) == (status, "refused")
    assert got.json["message"].endswith(NOTHING)
    assert gateway.paper.asked == []


async def test_the_client_id_of_an_unknown_order_is_told(app: Any, gateway: FakeGateway) -> None:
    gateway.paper.error = OutcomeUnknown("no answer", metadata={"client_order_id": "mine", "outcome": "unknown"})
    got = await ask(app, "POST", PLACE + "?extended=1", GOOD)
    assert got.headers["exgate-client-order-id"] == "mine"
    assert got.json["metadata"] == {"client_order_id": "mine", "outcome": "unknown"}


async def test_a_bug_after_the_send_is_logged_with_its_cause(
    app: Any, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.paper.error = ZeroDivisionError("the cause")
    with caplog.at_level(logging.ERROR):
        await ask(app, "POST", PLACE, GOOD)
    (record,) = caplog.records
    assert record.exc_info is not None and record.exc_info[1] is gateway.paper.error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"nonsense",
        b"\xff",
        json.dumps({**GOOD, "symbol": "DOGE/USDT"}).encode(),
        json.dumps({**GOOD, "post_only": "true"}).encode(),
        json.dumps({**GOOD, "amount": "-1"}).encode(),
        json.dumps(GOOD).encode()[:-1] + b', "side": "sell"}',
    ],
)
async def test_bad_bodies_are_refused(app: Any, gateway: FakeGateway, body: bytes) -> None:
    got = await ask(app, "POST", PLACE, body)
    assert (got.status, got.json["code"], got.headers["exgate-outcome"]) == (400, 3, "refused")
    assert got.json["message"].endswith(NOTHING)
    assert any(detail["type_url"].endswith("BadRequest") for detail in got.json["details"])
    assert gateway.paper.asked == []


async def test_a_body_in_pieces(app: Any) -> None:
    whole = json.dumps(GOOD).encode()
    assert (await ask(app, "POST", PLACE, chunks=[whole[:9], b"", whole[9:], b""])).status == 200


async def test_a_body_that_is_too_large_is_not_read_to_its_end(app: Any, gateway: FakeGateway) -> None:
    chunks = [b" " * 10_000] * 100
    got = await ask(app, "POST", PLACE, chunks=chunks)
    assert (got.status, got.json["code"], got.headers["exgate-outcome"]) == (413, 3, "refused")
    fits = json.dumps(GOOD).encode().ljust(64 * 1024)
    assert (await ask(app, "POST", PLACE, fits)).status == 200
    assert (await ask(app, "POST", PLACE, fits + b" ")).status == 413
    assert len(gateway.paper.asked) == 1


async def test_reading_stops_at_the_cap(app: Any) -> None:
    read_so_far = 0

    async def receive() -> Any:
        nonlocal read_so_far
        read_so_far += 10_000
        return {"type": "http.request", "body": b" " * 10_000, "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope("POST", PLACE, JSON), receive, send)
    assert read(sent).status == 413
    assert read_so_far == 70_000


@pytest.mark.parametrize("gone", [False, True])
async def test_a_body_that_never_ends_or_breaks_off(guard: FakeGuard, gone: bool) -> None:
    gateway = FakeGateway(deadline=0.01)
    messages = [
        {"type": "http.request", "body": b"{", "more_body": True},
        *([{"type": "http.disconnect"}] if gone else []),
    ]

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await make_app(gateway, guard)(http_scope("POST", PLACE, JSON), receive, send)
    got = read(sent)
    assert (got.status, got.reason) == (400, "CLIENT_GONE" if gone else "BODY_TOO_SLOW")
    assert got.headers["exgate-outcome"] == "refused"
    assert gateway.paper.asked == []


# A server closes the connection under an answer that comes before the end of the request's body.


async def exchange_with_body(app: Any, method: str, target: str, pieces: list[bytes], more: bool) -> tuple[Any, int]:
    """The answer to a request whose body comes in pieces, and how many were read before the answer began."""
    length = b"%d" % (sum(map(len, pieces)) + more)
    waiting, taken, sent = list(pieces), 0, []

    async def receive() -> Any:
        nonlocal taken
        if not waiting:
            await asyncio.Event().wait()
        taken += 1
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or more}

    async def send(message: Any) -> None:
        sent.append((message, taken))

    await app(http_scope(method, target, [*JSON, (b"content-length", length)]), receive, send)
    return read([message for message, _ in sent]), sent[0][1]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/paper/balances"),
        ("GET", "/v1/paper/depth?symbol=BTC/USDT"),
        ("GET", "/nowhere"),
        ("PUT", "/v1/paper/order"),
        ("POST", "/v1/nobody/order"),
        ("POST", "/v1/paper/order"),
    ],
)
@pytest.mark.parametrize("refused", [False, True])
async def test_the_body_is_read_before_every_answer(
    app: Any, guard: FakeGuard, method: str, target: str, refused: bool
) -> None:
    guard.refusal = PermissionDenied("no") if refused else None
    got, taken = await exchange_with_body(app, method, target, [b"{", b"}", b""], more=False)
    assert taken == 3
    assert "connection" not in got.headers


async def test_a_body_that_can_not_be_read_to_its_end_closes_the_connection(guard: FakeGuard) -> None:
    app = make_app(FakeGateway(deadline=0.01), guard)
    for target in ("/v1/paper/balances", "/nowhere"):
        slow, taken = await exchange_with_body(app, "GET", target, [b"{"], more=True)
        assert (taken, slow.headers["connection"]) == (1, "close")
        large, taken = await exchange_with_body(app, "GET", target, [b" " * 40_000] * 9, more=True)
        assert (taken, large.headers["connection"]) == (2, "close")
