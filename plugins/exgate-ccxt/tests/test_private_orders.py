"""Orders through the adapter: what each failure proves, how lost orders are found, what is never sent."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from ccxt_chaos import opened
from exgate_ccxt.account import CcxtAccount, CcxtViewer
from exgate_ccxt.desk import Desk, _fill_in
from exgate_ccxt.facts import account_capabilities, fact
from exgate_ccxt.failures import proven
from exgate_ccxt.intents import CURRENT, Intent
from exgate_ccxt.privates import is_over, order_of
from exgate_ccxt.served import account_class
from hostile import Hostile, serving
from make_facts import MARKET
from msgspec.structs import replace

from exgate_core.account import Account
from exgate_core.clock import Runtime
from exgate_core.errors import DUPLICATE, NotFound, NotSent, RateLimited, Refused
from exgate_core.models import OrderRequest
from exgate_core.settings import Orders, Secret, Section, Server, Settings
from tests.support.serving import serving as gateway

ccxt = pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio

REFUSAL = '{"code":-2010,"msg":"Account has insufficient balance for requested action."}'


def sent(body: str = "", status: int = 200, operation: Any = "place", **headers: str) -> Intent:
    """An intent whose request has left and was answered so."""
    return Intent(operation, sends=1, status=status, body=body, headers=headers)


def refused_connection() -> Exception:
    error: Exception = ccxt.ExchangeNotAvailable("binance POST")
    error.__cause__ = aiohttp.ClientConnectorError(None, OSError("refused"))  # type: ignore[arg-type]  # no key needed
    return error


@pytest.mark.parametrize(
    ("error", "intent", "kind", "reason"),
    [
        (ccxt.ArgumentsRequired("no price"), Intent("place"), Refused, "NOT_SENDABLE"),
        (refused_connection(), sent(), NotSent, ""),
        (NotSent("no route"), Intent("place", sends=1), NotSent, ""),
        (ccxt.InsufficientFunds("x"), sent(REFUSAL, 400), Refused, ""),
        (ccxt.InvalidOrder("x"), sent('{"code":-2010,"msg":"Duplicate order sent."}', 400), Refused, DUPLICATE),
        (ccxt.InvalidOrder("x"), sent('{"code":"1","data":[{"sCode":"51016"}]}', 400), Refused, DUPLICATE),
        (ccxt.InvalidNonce("x"), sent('{"code":-1021,"msg":"outside of the recvWindow."}', 400), Refused, ""),
        (ccxt.RateLimitExceeded("x"), sent('{"code":-1015,"msg":"Too many new orders"}', 400), RateLimited, ""),
        (ccxt.OrderNotFound("x"), sent('{"code":-2013,"msg":"none"}', 400, "cancel"), NotFound, ""),
    ],
)
def test_what_an_answer_proves(error: Exception, intent: Intent, kind: type, reason: str) -> None:
    found = proven(error, intent, "binance")
    assert isinstance(found, kind)
    assert not reason or getattr(found, "reason", "") == reason


@pytest.mark.parametrize(
    ("error", "intent"),
    [
        (ccxt.ExchangeError("truncated"), sent('{"orderId": 1', 200)),
        (
            ccxt.InvalidOrder("bithumb createOrder() did not return an order id"),
            sent('{"uuid":"C0101000000001799653"}'),
        ),
        (ccxt.InvalidOrder("a page"), sent("<html>bad request</html>", 400)),
        (ccxt.OperationFailed("x"), sent('{"code":-1006,"msg":"Execution status unknown."}', 400)),
        (ccxt.RequestTimeout("x"), sent('{"code":-1007,"msg":"Timeout waiting for response"}', 408)),
        (ccxt.InvalidOrder("x"), sent('{"msg":"Internal error; unable to process"}', 400)),
        (ccxt.InsufficientFunds("x"), sent(REFUSAL, 502)),
        (ccxt.ExchangeError("a new code"), sent('{"code":-9999}', 400)),
        (ccxt.OrderNotFound("of a new order?"), sent('{"code":-2013}', 400)),
        (ccxt.RequestTimeout("no answer"), sent(status=0)),
    ],
)
def test_what_proves_nothing_stays_unknown(error: Exception, intent: Intent) -> None:
    assert proven(error, intent, "binance") is error


@pytest.mark.parametrize("status", [200, 201, 302, 403, 408, 409, 451, 500, 503, 599])
@pytest.mark.parametrize("operation", ["place", "cancel", "read"])
def test_a_refusal_counts_only_with_a_status_that_refuses(status: int, operation: str) -> None:
    told = sent(REFUSAL, status, operation)
    told.evidence.told = True
    for error in (ccxt.InsufficientFunds("x"), ccxt.OrderNotFound("x"), ccxt.InvalidNonce("x")):
        assert proven(error, told, "binance") is error
    if operation != "read":
        limited = ccxt.RateLimitExceeded("x")
        assert proven(limited, told, "binance") is limited


def test_an_exchange_refuses_with_the_statuses_of_its_documents() -> None:
    """Bybit says everything with 200, Bitvavo says 403 of a key, Kraken 200 with an error in it."""
    said = {
        "bybit": ('{"retCode":170131,"retMsg":"Insufficient balance."}', 200),
        "bitvavo": ('{"errorCode":216,"error":"You do not have sufficient balance"}', 403),
        "kraken": ('{"error":["EOrder:Insufficient funds"]}', 200),
        "okx": ('{"code":"1","data":[{"sCode":"51016"}]}', 200),
    }
    for name, (body, status) in said.items():
        told = sent(body, status)
        told.evidence.told = True
        assert isinstance(proven(ccxt.InsufficientFunds("x"), told, name), Refused)


def test_a_limit_is_proof_only_where_the_exchange_says_so() -> None:
    error = ccxt.RateLimitExceeded("x")
    limited = proven(error, sent("{}", 429, **{"Retry-After": "7"}), "binance")
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == 7
    for name in ("zaif", "kucoin", "okx"):
        assert proven(error, sent("{}", 429), name) is error
    assert proven(error, sent("{}", 429, "cancel"), "okx") is error
    rejected = '{"error":["EOrder:Rate limit exceeded"]}'
    assert isinstance(proven(error, sent(rejected, 200), "kraken"), RateLimited)
    assert proven(error, sent('{"error":["EGeneral:Temporary lockout"]}', 200), "kraken") is error


@pytest.fixture
async def calm() -> AsyncIterator[tuple[Hostile, Account]]:
    hostile = Hostile(random.Random(0), storm=False)
    async with serving(hostile) as url, opened(url, Runtime()) as account:
        yield hostile, account


def request(account: Account, **changed: Any) -> OrderRequest:
    market = account.exchange.markets.resolve("BTC/USDT")
    order = {"type": "limit", "price": "100.00", "amount": "1.000", "side": "buy", "client_order_id": "mine"}
    return OrderRequest(market=market, **(order | changed))


async def test_an_order_is_found_by_its_client_id_open_or_filled(calm: Any) -> None:
    hostile, account = calm
    placed = [
        await account.place_order(request(account)),
        await account.place_order(request(account, type="market", price="", client_order_id="filled")),
    ]
    market = account.exchange.markets.resolve("BTC/USDT")
    for order_id, client_id, status in zip(placed, ("mine", "filled"), ("open", "filled"), strict=True):
        (found,) = await account.find_order(market, "", client_id)
        assert (found.order_id, found.client_order_id, found.status) == (order_id, client_id, status)
        (again,) = await account.find_order(market, order_id, "")
        assert again == found
    assert await account.find_order(market, "", "nobody") == []
    assert len(hostile.book) == 2


@pytest.mark.parametrize("named", ["../../x", "1\r\nX: y", "9" * 100_000, "a b", "\u0661"])
async def test_an_order_whose_id_nobody_could_name_again_is_unknown(tmp_path: Path, named: str) -> None:
    hostile = Hostile(random.Random(0), storm=False, named=named)
    async with serving(hostile) as url:
        keys = Section(api_key=Secret("key"), api_secret=Secret("secret"), trading=True)
        section = replace(keys, exchange="binance", plugin="exgate-ccxt", upstream_prefix=url)
        server, orders = Server(port=0, state_dir=str(tmp_path)), Orders(deadline=0.3, reconcile_deadline=0.3)
        settings = Settings(server=server, orders=orders, exchanges={"binance": section})
        async with gateway(settings) as running:
            headers = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
            order = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "100", "amount": "1"}
            async with (
                aiohttp.ClientSession(running.url, headers=headers) as client,
                client.post("/v1/binance/order", json=order) as answer,
            ):
                told = (answer.status, answer.headers["ExGate-Outcome"])
                assert told == (504, "unknown"), await answer.text()
    assert len(hostile.book) == 1


async def test_a_market_buy_by_amount_goes_only_where_the_unit_is_sure() -> None:
    assert fact("gate").market_buy == "quote"
    assert "market" in account_capabilities("gate").order_types
    adapter = CcxtAccount(SimpleNamespace(name="gate"))  # type: ignore[arg-type]  # no more of a context is used
    order = OrderRequest(market=MARKET, side="buy", type="market", amount="1", client_order_id="t-1")
    with pytest.raises(Refused, match="quote_amount"):
        await adapter.place_order(order)


def test_a_limit_maker_is_a_limit_order_that_only_rests() -> None:
    import ccxt as library

    raw = {
        **{"symbol": "BTCUSDT", "orderId": 7, "clientOrderId": "mine", "price": "100.00000000", "side": "BUY"},
        **{"origQty": "0.20100000", "executedQty": "0.00000000", "status": "NEW", "type": "LIMIT_MAKER", "time": 5},
    }
    order = order_of("binance", library.binance().parse_order(raw))
    assert (order.type, order.post_only, order.price, order.amount) == ("limit", True, "100.00000000", "0.20100000")


@pytest.mark.parametrize(
    ("said", "own", "filled", "expected"),
    [
        ("closed", "PartiallyFilledCanceled", "0.1", "canceled"),
        ("closed", "partial_fill", "0.1", "partially_filled"),
        ("closed", "FILLED", "0.1", "filled"),
        ("closed", "", "0.1", "canceled"),
        ("closed", "", "2", "filled"),
        ("open", "partially_canceled", "0.1", "canceled"),
        ("canceled", "PENDING_CANCEL", "0", "open"),
        ("canceled", "EXPIRED", "0", "expired"),
        ("depth_not_enough", "cancelled", "0", "canceled"),
        ("unfilled", "", "0", "open"),
        (None, "", "0.1", "partially_filled"),
    ],
)
def test_what_became_of_an_order_is_what_the_exchange_says(said: Any, own: str, filled: str, expected: str) -> None:
    shown = {"id": "1", "side": "sell", "type": "limit", "status": said, "amount": "2", "filled": filled}
    assert order_of("test", {**shown, "info": {"status": own}}).status == expected


def test_a_status_that_nobody_knows_is_handed_on_as_that_of_an_order_that_is_there() -> None:
    shown = {"id": "1", "side": "sell", "info": {}}
    found = order_of("test", {**shown, "status": "paused_for_review"})
    assert (found.status, is_over(found)) == ("paused_for_review", False)
    assert is_over(order_of("test", {**shown, "status": "cancelled_by_review"}))
    with pytest.raises(ValueError, match="no word"):
        order_of("test", {**shown, "status": {}})


def test_exchanges_without_readable_orders_have_no_method_that_places() -> None:
    assert account_class("hyperliquid") is CcxtViewer
    assert not hasattr(CcxtViewer, "place_order")
    assert account_class("kraken") is CcxtAccount


@pytest.mark.parametrize("name", ["coinone", "cryptocom", "bitflyer", "zaif", "luno"])
def test_where_ccxt_drops_the_client_id_orders_cant_be_recovered(name: str) -> None:
    capabilities = account_capabilities(name)
    assert capabilities.client_ids is None
    assert capabilities.order_recovery == "none"


class Lists:
    """A ccxt client that keeps what its lists were asked for."""

    def __init__(self, **pages: list[list[dict[str, Any]]]) -> None:
        self.pages, self.asked = pages, list[tuple[str, Any]]()
        self.has = {"fetchOrder": True}
        self.exgate_markets = None

    def __getattr__(self, name: str) -> Any:
        async def answer(symbol: Any, since: Any = None, limit: Any = None, params: Any = None) -> list[dict[str, Any]]:
            asked = sum(which == name for which, _ in self.asked)
            self.asked.append((name, dict(params or {})))
            intent = CURRENT.get()
            assert intent is not None
            intent.evidence.listed = True
            pages = self.pages.get(name, [])
            return pages[asked] if asked < len(pages) else []

        return answer


def shown(number: int, client_id: str = "") -> dict[str, Any]:
    """An open order as ccxt shows it."""
    numbers = {"price": "1.50", "amount": "2.0", "filled": "0"}
    return {"id": str(number), "clientOrderId": client_id, "side": "buy", "type": "limit", "status": "open", **numbers}


def desk_of(name: str, client: Lists) -> Desk:
    desk = Desk(SimpleNamespace(name=name))  # type: ignore[arg-type]  # no more of a context is used
    desk.client = client
    return desk


async def test_kraken_is_asked_by_the_field_under_which_it_was_told() -> None:
    client = Lists(fetch_closed_orders=[[shown(9, "mine")]])
    found = await desk_of("kraken", client).find(None, "", "mine")
    assert [order.order_id for order in found] == ["9"]
    asked = {"clientOrderId": "mine"}
    assert client.asked == [("fetch_open_orders", asked), ("fetch_closed_orders", asked)]


def own(trade: str, order: str, client_id: str, amount: str) -> dict[str, Any]:
    """A trade of the account's own, as ccxt shows Gemini's."""
    info = {"tid": trade, "order_id": order, "client_order_id": client_id}
    return {"id": trade, "symbol": "BTC/USDT", "side": "buy", "amount": amount, "timestamp": 5, "info": info}


async def test_an_order_that_only_its_trades_show_is_found_by_them() -> None:
    trades = [own("1", "7", "other", "9"), own("2", "8", "mine", "0.10"), own("3", "8", "mine", "0.25")]
    client = Lists(fetch_my_trades=[trades])
    client.has = {}
    (order,) = await desk_of("gemini", client).find(None, "", "mine")
    assert (order.order_id, order.client_order_id, order.filled) == ("8", "mine", "0.35")
    assert order.status == "partially_filled"
    assert not await desk_of("gemini", Lists(fetch_my_trades=[trades])).find(None, "", "nobody")


@pytest.mark.parametrize(
    ("name", "lists"),
    [
        ("gemini", ["fetch_my_trades"]),
        ("woo", ["fetch_closed_orders"]),
        ("cryptomus", ["fetch_canceled_and_closed_orders"]),
        ("latoken", ["fetch_orders"]),
    ],
)
async def test_every_list_that_there_is_is_searched(name: str, lists: list[str]) -> None:
    client = Lists()
    assert not await desk_of(name, client).find(None, "", "mine")
    assert [asked for asked, _ in client.asked] == ["fetch_open_orders", *lists]


async def test_open_orders_are_paged_to_the_end() -> None:
    pages = [[shown(1000 - row) for row in range(100)], [shown(900 - row) for row in range(40)]]
    client = Lists(fetch_open_orders=pages)
    found = await desk_of("okx", client).pending_orders(None)
    assert len(found) == 140
    assert [asked.get("after") for _, asked in client.asked] == [None, "901"]


async def test_a_page_that_comes_again_ends_the_list() -> None:
    page = [shown(row) for row in range(100)]
    client = Lists(fetch_open_orders=[page, page, page])
    assert len(await desk_of("gate", client).pending_orders(None)) == 100
    assert len(client.asked) == 2


def test_keys_go_where_an_exchange_looks_for_them() -> None:
    client = SimpleNamespace(apiKey="a", secret="s", password="p", uid="")
    _fill_in(client, ("privateKey", "walletAddress"))
    assert (client.privateKey, client.walletAddress) == ("s", "a")
    _fill_in(client, ("secret", "uid"))
    assert client.uid == "p"
    assert not hasattr(client, "login")
