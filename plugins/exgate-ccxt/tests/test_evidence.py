"""What an empty list, a missing one and an answer to a cancel prove."""

from __future__ import annotations

from typing import Any

import pytest
from exgate_ccxt.evidence import LISTS, acknowledged, observe
from exgate_ccxt.intents import CURRENT, Intent
from exgate_ccxt.loading import use_listing
from exgate_ccxt.markets import Listing
from exgate_ccxt.table import rows
from make_facts import exchange

pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio


async def proof(exchange_id: str, name: str, answer: Any) -> Intent:
    """The evidence of one call of ccxt that gets this answer."""
    client, intent = exchange(exchange_id), Intent("read")
    intent.evidence.is_list = exchange_id in LISTS

    async def fetch(*_request: Any, **_named: Any) -> Any:
        return intent.evidence.watch(None, answer)

    client.fetch = fetch
    observe(client)
    token = CURRENT.set(intent)
    try:
        assert await getattr(client, name)() is not None
    finally:
        CURRENT.reset(token)
        await client.close()
    return intent


@pytest.mark.parametrize(
    ("exchange_id", "name", "answer"),
    [
        ("binance", "fetch_open_orders", []),
        ("binance", "fetch_balance", {"balances": []}),
        ("gate", "fetch_open_orders", []),
        ("kraken", "fetch_open_orders", {"error": [], "result": {"open": {}}}),
        ("kraken", "fetch_balance", {"error": [], "result": {}}),
        ("okx", "fetch_open_orders", {"code": "0", "data": []}),
        ("coinbase", "fetch_open_orders", {"orders": [], "has_next": False}),
    ],
)
async def test_an_empty_list_is_proof_where_it_was_looked_for(exchange_id: str, name: str, answer: Any) -> None:
    assert (await proof(exchange_id, name, answer)).evidence.nothing


@pytest.mark.parametrize(
    ("exchange_id", "name", "answer"),
    [
        ("binance", "fetch_balance", {}),
        ("binance", "fetch_balance", {"a": []}),
        ("binance", "fetch_balance", {"balances": None}),
        ("kraken", "fetch_open_orders", {"error": [], "result": {}}),
        ("kraken", "fetch_open_orders", {"error": [], "result": None}),
        ("okx", "fetch_open_orders", {"code": "0", "data": None}),
        ("okx", "fetch_open_orders", []),
        ("coinbase", "fetch_balance", {}),
        ("bitstamp", "fetch_balance", [{}]),
    ],
)
async def test_a_list_that_is_not_there_proves_nothing(exchange_id: str, name: str, answer: Any) -> None:
    assert not (await proof(exchange_id, name, answer)).evidence.nothing


@pytest.mark.parametrize(
    ("exchange_id", "body", "right"),
    [
        ("binance", '{"symbol":"LTCBTC","orderId":4,"status":"CANCELED"}', True),
        ("binance", '{"symbol":"LTCBTC","orderId":5,"status":"CANCELED"}', False),
        ("binance", '{"success":true}', False),
        ("coinbaseexchange", '"4"', True),
        ("coinbaseexchange", '"ok"', False),
        ("kraken", '{"error":[],"result":{"count":1}}', True),
        ("kraken", '{"error":[],"result":{"count":0}}', False),
        ("luno", '{"success": true}', True),
        ("luno", '{"success": false}', False),
        ("xt", '{"rc":0,"mc":"SUCCESS","ma":[],"result":{"cancelId":"208322474307982720"}}', True),
        ("kucoin", '{"code":"200000","data":{"cancelledOrderIds":["4"]}}', True),
        ("bitfinex", '[1,"oc-req",null,null,[4,null],null,"SUCCESS",""]', True),
        ("kraken", "{}", False),
        ("kraken", "<html>", False),
        ("kraken", "[{}]", False),
    ],
)
def test_a_cancel_is_taken_in_where_the_answer_says_so(exchange_id: str, body: str, right: bool) -> None:
    assert acknowledged(exchange_id, body, "4") is right


async def test_balances_by_the_numbers_of_assets_are_told_by_their_names() -> None:
    client = exchange("delta")
    market = client.markets["BTC/USDT"]
    market["info"] = {"underlying_asset": {"id": 14, "symbol": "BTC"}, "quoting_asset": {"id": 5, "symbol": "USDT"}}
    use_listing(client, Listing.of(client, 0.0))
    shown = client.parse_balance({"result": [{"asset_id": "14", "balance": "1.50", "available_balance": "1.00"}]})
    assert (shown["BTC"]["free"], "14" in shown) == (1.0, False)
    await client.close()


def test_every_name_in_the_list_is_an_exchange() -> None:
    assert {row.id for row in rows()} >= LISTS
