"""Two plugins for one exchange, over HTTP: each public operation from the best that has it, an account always from one.

The real pair is a hand-written adapter beside ccxt; the credentials' tests use two small ones, installed one after the
other as a user does it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exgate_core.plugins import load_catalogue
from exgate_core.settings import Secret, Section

from .support.serving import serving, settings_for

aiohttp = pytest.importorskip("aiohttp")
pytestmark = pytest.mark.anyio

SMALL = """
from exgate_core import Balance, Depth, Market, Trade, hookimpl
from exgate_core.errors import Unavailable
EXGATE_API = 1

class Exchange:
    def __init__(self, context):
        pass

    @hookimpl{last}
    async def markets(self):
        return [Market(symbol="A/B", id="AB", base="A", quote="B")]

    {depth}

    {trades}

class Account:
    def __init__(self, context):
        self.key = context.credentials.api_key.reveal()

    @hookimpl{last}
    async def balances(self):
        return [Balance(asset="{name}".upper(), available=str(len(self.key)), frozen="0")]

@hookimpl
def register_exchanges(register):
    register("duo", exchange=Exchange{account})
"""
DEPTH = """@hookimpl{last}
    async def depth(self, market, limit):
        return Depth(bids=(("{price}", "1"),), asks=())
"""
FAILS = """@hookimpl{last}
    async def depth(self, market, limit):
        raise Unavailable("the exchange is away")
"""
TRADES = """@hookimpl{last}
    async def recent_trades(self, market, limit, since_id):
        return [Trade(id="7", price="{price}", qty="1", time=1)]
"""


def small(folder: Path, name: str, price: str, *, last: bool, depth: str = "", trades: str = "", account: bool) -> None:
    """Install a plugin of one file; its figures say where they are from."""
    values = {"last": "(trylast=True)" if last else "", "price": price, "name": name}
    text = SMALL.format(
        **values,
        depth=depth.format(**values),
        trades=trades.format(**values),
        account=", account=Account" if account else "",
    )
    (folder / f"{name}.py").write_text(text)


def keyed(plugin: str = "") -> Section:
    return Section(exchange="duo", plugin=plugin, api_key=Secret("key"), api_secret=Secret("secret"))


class Answer(NamedTuple):
    """Status and body."""

    status: int
    body: Any


class Asked:
    """A gateway, asked over HTTP with its own token."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def __call__(self, path: str, **query: str) -> Answer:
        async with self._client.get(f"/v1/{path}", params=query) as answer:
            return Answer(answer.status, await answer.json())


@asynccontextmanager
async def gateway(state: Path, plugins: Path, *load: str, **sections: Section) -> AsyncIterator[Asked]:
    settings = settings_for(state, **sections)
    async with serving(settings, load_catalogue(load, plugins)) as running:
        headers = {"Authorization": f"Bearer {(state / 'token').read_text().strip()}"} if sections else {}
        async with aiohttp.ClientSession(running.url, headers=headers) as client:
            yield Asked(client)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


def best_bid(answer: Answer) -> str:
    price: str = answer.body["bid_list"][0]["bid"][0]["price"]
    return price


async def test_each_public_operation_comes_from_the_best_that_has_it(plugins: Path, tmp_path: Path) -> None:
    small(plugins, "hand", "1", last=False, depth=DEPTH, account=False)
    small(plugins, "generic", "2", last=True, depth=DEPTH, trades=TRADES, account=False)
    async with gateway(tmp_path / "state", plugins) as ask:
        assert best_bid(await ask("duo/depth", symbol="A/B")) == "1"
        trades = await ask("duo/recent_trades", symbol="A/B")
        assert (trades.status, [trade["price"] for trade in trades.body["trades"]]) == (200, ["2"])


async def test_what_fails_does_not_fall_through(plugins: Path, tmp_path: Path) -> None:
    small(plugins, "hand", "1", last=False, depth=FAILS, account=False)
    small(plugins, "generic", "2", last=True, depth=DEPTH, trades=TRADES, account=False)
    async with gateway(tmp_path / "state", plugins) as ask:
        failed = await ask("duo/depth", symbol="A/B")
        assert (failed.status, "the exchange is away" in failed.body["message"]) == (503, True)
        assert (await ask("duo/recent_trades", symbol="A/B")).status == 200


async def test_what_nobody_has_is_not_implemented(plugins: Path, tmp_path: Path) -> None:
    small(plugins, "hand", "1", last=False, depth=DEPTH, account=False)
    small(plugins, "generic", "2", last=True, depth=DEPTH, account=False)
    async with gateway(tmp_path / "state", plugins) as ask:
        assert (await ask("duo/recent_trades", symbol="A/B")).status == 501


async def test_a_section_that_names_its_plugin_keeps_it_whatever_is_installed(plugins: Path, tmp_path: Path) -> None:
    small(plugins, "generic", "2", last=True, depth=DEPTH, trades=TRADES, account=True)
    before = []
    for step in range(2):
        async with gateway(tmp_path / "state", plugins, mine=keyed("generic.py"), duo=Section(exchange="duo")) as ask:
            mine = [
                await ask("mine/balances"),
                await ask("mine/depth", symbol="A/B"),
                await ask("mine/recent_trades", symbol="A/B"),
            ]
            anybodys = best_bid(await ask("duo/depth", symbol="A/B"))
        if not step:
            before, was = mine, anybodys
            small(plugins, "hand", "1", last=False, depth=DEPTH, trades=TRADES, account=True)
    assert mine == before and [answer.status for answer in mine] == [200] * 3
    assert mine[0].body["balances"][0]["asset"] == "GENERIC"
    assert (was, anybodys) == ("2", "1"), "a name without credentials takes the better one"


async def test_a_section_that_names_none_is_refused_once_there_are_two(
    plugins: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small(plugins, "generic", "2", last=True, depth=DEPTH, account=True)
    async with gateway(tmp_path / "state", plugins, mine=keyed()) as ask:
        assert (await ask("mine/balances")).body["balances"][0]["asset"] == "GENERIC"
    small(plugins, "hand", "1", last=False, depth=DEPTH, account=True)
    async with gateway(tmp_path / "state", plugins, mine=keyed(), other=keyed("hand.py")) as ask:
        line = 'write into [exchanges.mine]: plugin = "hand.py" or plugin = "generic.py"'
        for path in ("mine/balances", "mine/pending_orders"):
            refused = await ask(path)
            assert refused.status == 400, refused
            assert line in refused.body["message"]
        assert (await ask("other/balances")).body["balances"][0]["asset"] == "HAND", "others serve"
    assert f"exchanges.mine: duo is offered by hand.py and generic.py; {line}" in caplog.text


async def test_a_plugin_without_an_account_takes_no_credentials(plugins: Path, tmp_path: Path) -> None:
    small(plugins, "generic", "2", last=True, depth=DEPTH, trades=TRADES, account=True)
    small(plugins, "hand", "1", last=False, depth=DEPTH, account=False)
    async with gateway(tmp_path / "state", plugins, mine=keyed()) as ask:
        assert (await ask("mine/balances")).body["balances"][0]["asset"] == "GENERIC"


async def test_a_named_plugin_that_was_removed_is_replaced_by_no_other(plugins: Path, tmp_path: Path) -> None:
    small(plugins, "hand", "1", last=False, depth=DEPTH, account=True)
    async with gateway(tmp_path / "state", plugins, mine=keyed("generic.py")) as ask:
        for path, query in (("mine/balances", {}), ("mine/depth", {"symbol": "A/B"})):
            refused = await ask(path, **query)
            assert (refused.status, "generic.py offers no exchange duo" in refused.body["message"]) == (400, True), (
                refused
            )


# -- the real pair

HAND = """
from msgspec.json import Decoder
from exgate_core import Depth, Market, hookimpl
EXGATE_API = 1

class Binance:
    def __init__(self, context):
        self.http = context.http("https://api.binance.com")

    @hookimpl
    async def markets(self):
        return [Market(symbol="ETH/BTC", id="ETHBTC", base="ETH", quote="BTC"),
                Market(symbol="LRC/BTC", id="LRCBTC", base="LRC", quote="BTC")]

    @hookimpl
    async def depth(self, market, limit):
        book = await self.http.get_json("/api/v3/depth", Decoder(), params={"symbol": market.id, "limit": str(limit)})
        return Depth(bids=book["bids"], asks=book["asks"], last_update_id=7)

@hookimpl
def register_exchanges(register):
    register("binance", exchange=Binance)
"""


async def test_a_hand_written_exchange_without_trades_gets_ccxts(venue: Any, plugins: Path, tmp_path: Path) -> None:
    pytest.importorskip("exgate_ccxt")
    (plugins / "hand.py").write_text(HAND)
    venue.state.config.update(speed="max", session={"binance": "binance/20211012-small-prices"})
    section = Section(exchange="binance", upstream_prefix=venue.url)
    async with gateway(tmp_path / "state", plugins, "exgate-ccxt", binance=section) as ask:
        markets = await ask("binance/markets")
        assert [market["symbol"] for market in markets.body["markets"]] == ["ETH/BTC", "LRC/BTC"]
        depth = await ask("binance/depth", symbol="LRC/BTC", limit="1000")
        assert (depth.status, depth.body.get("lastUpdateId")) == (200, 7), "from the hand-written one"
        trades = await ask("binance/recent_trades", symbol="ETH/BTC", limit="1000")
        assert trades.status == 200, trades.body
        assert len(trades.body["trades"]) >= 5
        assert all(trade["price"].startswith("0.06") for trade in trades.body["trades"])
