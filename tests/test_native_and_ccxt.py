"""Hand-written adapters and ccxt, asked the same over the same recordings: the same answers, digit for digit.

Both stand side by side in one gateway, as sections that name their plugin. Whatever differs is listed here, by
exchange, field and reason; a difference that is listed and doesn't occur fails too.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import parse_qsl, quote

import anyio
import pytest

from exgate_core.settings import Secret, Section, Server, Settings

from .support.serving import Served, serving

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("ccxt")
pytestmark = pytest.mark.anyio


class Exchange(NamedTuple):
    """An exchange that both can serve."""

    plugin: str
    """The hand-written one."""
    markets: str
    """The session whose market list is used."""
    native: Mapping[str, Any] = {}
    """Further keys of the hand-written one's section, so that both follow the streams that were recorded."""
    ccxt: Mapping[str, Any] = {}


_AGGREGATE: dict[str, Any] = {
    "native": {"trades": "aggregate"},
    "ccxt": {"ccxt": {"options": {"watchTrades": {"name": "aggTrade"}}}},
}
EXCHANGES = {
    "binance": Exchange("exgate-binance", "binance/20210404-btc-eth-dot", **_AGGREGATE),
    "binanceus": Exchange("exgate-binance", "binanceus/20211012", **_AGGREGATE),
    "okx": Exchange("exgate-okx", "okx/20220513"),
    "kraken": Exchange("exgate-kraken", "kraken/20210417-v2"),
    "bitstamp": Exchange("exgate-bitstamp", "bitstamp/20220105"),
}

STREAMS = {
    "binance": ("binance/20210404-btc-eth-dot", ("DOTUSDT", "ETHUSDT")),
    "binanceus": ("binanceus/20211012", ("OMGBUSD",)),
    "okx": ("okx/20220513", ("BTC-USDT",)),
    "kraken": ("kraken/20210417-v2", ("XMR/USD", "SC/EUR")),
    "bitstamp": ("bitstamp/20220105", ("ethusd",)),
}
"""Session and markets whose recorded streams are compared."""
NO_TRADES = {"kraken": "this recording numbers the trades of all markets together: the core waits for those between"}
"""Exchanges whose streams of trades can't be compared through a gateway, and why; their adapters' own tests do it."""


def missing(name: str) -> str:
    """The plugin that isn't installed, of those that an exchange needs."""
    for needed in (EXCHANGES[name].plugin, "exgate-ccxt"):
        try:
            distribution(needed)
        except PackageNotFoundError:
            return needed
    return ""


def exchanges() -> list[Any]:
    """One parameter an exchange; those without a plugin are skipped by name."""
    return [
        pytest.param(name, marks=[pytest.mark.skip(f"{lacking} isn't installed")] if (lacking := missing(name)) else [])
        for name in EXCHANGES
    ]


class Both(NamedTuple):
    """A gateway in which NAME is the hand-written one and NAME-ccxt is ccxt."""

    name: str
    client: Any
    served: Served
    venue: Any

    async def ask(self, operation: str, **query: str) -> list[tuple[Any, str]]:
        """The two answers, and the record that the exchange gave to each: hand-written first."""
        found = []
        for section in (self.name, f"{self.name}-ccxt"):
            before = len(self.venue.state.log)
            async with self.client.get(f"/v1/{section}/{operation}", params=query) as answer:
                text = await answer.text()
                value = {"status": answer.status, **json.loads(text, parse_float=str)}
            log = list(self.venue.state.log)[before:]
            found.append((value, " ".join(entry["record"] for entry in log if "record" in entry)))
        return found


async def _at_once(*_: object) -> None:
    """The recordings hold more questions than ccxt's own limit lets out in a test's time."""


@asynccontextmanager
async def both(name: str, venue: Any, state: Path, *, streams: bool = False) -> AsyncIterator[Both]:
    from exgate_ccxt.wire import Wire
    from exgate_testing.pace import runtime

    exchange = EXCHANGES[name]
    venue.state.config.update(speed="max", session={name: exchange.markets})
    venue.state.faults = [
        {"match": "/api/v3/time$", "times": -1, "status": 200, "body": '{"serverTime":1700000000000}'}
    ]
    venue.state.faults += [todays_kraken(venue)] if name == "kraken" else []
    common: dict[str, Any] = {
        "exchange": name,
        "api_key": Secret("key"),
        "api_secret": Secret("c2VjcmV0c2VjcmV0"),
        "passphrase": Secret("pass"),
        "upstream_prefix": venue.url,
    }
    sections = {
        name: Section(**common, plugin=exchange.plugin, extra=dict(exchange.native) if streams else {}),
        f"{name}-ccxt": Section(**common, plugin="exgate-ccxt", extra=dict(exchange.ccxt) if streams else {}),
    }
    settings = Settings(server=Server(port=0, state_dir=str(state)), exchanges=sections)
    with mock.patch.object(Wire, "take", _at_once):
        async with serving(settings, runtime=runtime(1.0 if streams else 30.0)) as served:
            for section in sections:
                await served.gateway.entry(section)
            headers = {"Authorization": f"Bearer {(state / 'token').read_text().strip()}"}
            async with aiohttp.ClientSession(served.url, headers=headers) as client:
                yield Both(name, client, served, venue)


def todays_kraken(venue: Any) -> dict[str, Any]:
    """A rule: Kraken's recorded market list with the status that it says of each market today; ccxt reads none as off.

    https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs: ``status``, "online".
    """
    session = next(found for found in venue.state.lib.sessions if found.id == EXCHANGES["kraken"].markets)
    listed = json.loads(next(record["r"] for record in session.rest if "AssetPairs" in record["u"]))
    for market in listed["result"].values():
        market["status"] = "online"
    return {"match": "AssetPairs", "times": -1, "body": json.dumps(listed)}


def records(shared: Path, name: str, *operations: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "oracles" / "rest.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return [record for record in found if record["exchange"] == name and record["op"] in operations]


class Difference(NamedTuple):
    """Where two answers differ."""

    field: str
    value: bool
    """Whether the value differs; else only its text."""
    one: Any
    other: Any


def differences(one: Any, other: Any, field: str = "") -> Iterator[Difference]:
    """Every difference of two answers; places in lists are left out of the names."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from differences(one.get(name), other.get(name), f"{field}.{name}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from differences(left, right, field)
    elif one != other:
        yield Difference(field, not _equal(one, other), one, other)


def _equal(one: Any, other: Any) -> bool:
    try:
        return isinstance(one, str) and isinstance(other, str) and Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def in_order(answer: dict[str, Any], codes: Mapping[str, str]) -> dict[str, Any]:
    """Rows that have no order of their own, in one."""
    for row in answer.get("balances", ()):
        row["asset"] = codes.get(row["asset"], row["asset"])
    for name, key in (("balances", "asset"), ("orders", "order_id")):
        if name in answer:
            answer[name].sort(key=lambda row: row[key])
    return answer


class Judge:
    """Collects differences, and knows which are expected."""

    def __init__(self, expected: Mapping[str, str]) -> None:
        self.expected, self.seen, self.wrong, self.compared = expected, set[str](), list[str](), 0

    def same_question(self, record: str, its: str, theirs: str) -> bool:
        """Whether both got the same recorded answers."""
        if its != theirs:
            self.wrong.append(f"{record}: {its} != {theirs}")
        return its == theirs

    def compare(self, what: str, one: Any, other: Any) -> None:
        """One pair of answers; ``what`` begins with exchange and operation."""
        self.compared += 1
        for found in differences(one, other):
            operation = " ".join(what.split()[:2])
            keys = {f"{operation} {found.field}", f"{what} {found.field}"}
            known = keys & self.expected.keys()
            self.seen |= known
            if not known:
                self.wrong.append(f"{what} {found.field}: {found.one!r} {'!=' if found.value else '~'} {found.other!r}")

    def done(self, name: str, operations: tuple[str, ...]) -> None:
        """Fails for what was found, and for what was expected and not found."""
        due = {key for key in self.expected if key.split()[0] == name and key.split()[1] in operations}
        assert not self.wrong, "\n".join(self.wrong[:40])
        assert due <= self.seen, f"listed, but equal: {due - self.seen}"
        assert self.compared


_NANOSECONDS = "ccxt's trades tell no more than milliseconds"
_COMPUTED = "the exchange doesn't tell it; ccxt computes it without the zeros at the end"
DIFFERENT: Mapping[str, str] = {
    "binance pending_orders orders.remaining": _COMPUTED,
    "binance pending_orders binance/gct-rest/r0032 orders.symbol": "no market BTCUDT: ccxt names the one asked for",
    "binance pending_orders binance/samples/r0005 orders": "asked for BTCUSDT, the sample is of LTCBTC: ccxt drops it",
    "kraken recent_trades trades.time_ns": _NANOSECONDS,
    "kraken pending_orders orders.remaining": _COMPUTED,
    "kraken pending_orders orders.client_order_id": "ccxt shows userref, which is no id, as one",
}
"""``exchange operation[ record] field`` -> why the answers differ."""
CODES: Mapping[str, Mapping[str, str]] = {"binance": {"BSV": "BCHSV", "YOYOW": "YOYO"}}
"""ccxt's code of an asset -> the exchange's own, which the hand-written one keeps."""


@pytest.mark.parametrize("name", exchanges())
async def test_books_and_trades(name: str, venue: Any, shared: Path, tmp_path: Path) -> None:
    operations = ("depth", "recent_trades")
    judge = Judge(DIFFERENT)
    async with both(name, venue, tmp_path) as it:
        for record in records(shared, name, *operations):
            venue.state.config["session"] = {name: record["record"].rpartition("/")[0]}
            limit = dict(parse_qsl(record["request"].partition("?")[2])).get("limit", "1000")
            query = {"symbol": record["symbol"], "limit": limit, "extended": "true"}
            (one, its), (other, theirs) = await it.ask(record["op"], **query)
            if judge.same_question(record["record"], its, theirs):
                judge.compare(f"{name} {record['op']} {record['record']}", one, other)
    judge.done(name, operations)


@pytest.mark.parametrize("name", exchanges())
async def test_balances_and_open_orders(name: str, venue: Any, shared: Path, tmp_path: Path) -> None:
    operations = ("balances", "pending_orders")
    if not records(shared, name, *operations):
        pytest.skip(f"no private answer of {name} was recorded")
    judge, codes = Judge(DIFFERENT), CODES.get(name, {})
    async with both(name, venue, tmp_path) as it:
        for record in records(shared, name, *operations):
            venue.state.config["session"] = {name: record["record"].rpartition("/")[0]}
            query = {"symbol": record["symbol"]} if record["symbol"] and record["op"] == "pending_orders" else {}
            (one, its), (other, theirs) = await it.ask(record["op"], **query, extended="true")
            if judge.same_question(record["record"], its, theirs):
                judge.compare(f"{name} {record['op']} {record['record']}", in_order(one, {}), in_order(other, codes))
    judge.done(name, operations)


@pytest.mark.parametrize("name", exchanges())
async def test_market_lists(name: str, venue: Any, shared: Path, tmp_path: Path) -> None:
    judge = Judge(DIFFERENT)
    async with both(name, venue, tmp_path) as it:
        (one, _), (other, _) = await it.ask("markets")
    ours, theirs = ({row["symbol"]: row for row in answer["markets"]} for answer in (one, other))
    for symbol in ours.keys() & theirs.keys():
        judge.compare(f"{name} markets", ours[symbol], theirs[symbol])
    assert len(ours.keys() & theirs.keys()) > 0.9 * len(ours), ours.keys() ^ theirs.keys()
    judge.done(name, ("markets",))


@pytest.mark.parametrize("text", ["XBT/USD", "XBTUSD", "XXBTZUSD"])
async def test_krakens_own_names_are_understood(text: str, venue: Any, tmp_path: Path) -> None:
    async with both("kraken", venue, tmp_path) as it:
        for section in it.served.gateway.entries:
            async with it.client.get(f"/v1/{section}/pull_trade", params={"symbol": text}) as answer:
                assert (answer.status, answer.headers["ExGate-Symbol"]) == (200, "BTC/USD"), await answer.text()


async def stream(client: Any, path: str, count: int) -> list[dict[str, Any]]:
    trades: list[dict[str, Any]] = []
    async with client.ws_connect(path, max_msg_size=0) as socket:
        while len(trades) < count:
            frame = json.loads((await socket.receive(timeout=30)).data, parse_float=str)
            trades += frame.get("trades", ())
    return trades


@pytest.mark.parametrize("name", exchanges())
async def test_streams_of_trades(name: str, venue: Any, shared: Path, tmp_path: Path, matches: None) -> None:
    if name in NO_TRADES:
        pytest.skip(NO_TRADES[name])
    session, symbols = STREAMS[name]
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        oracle = json.load(text)[session]
    async with both(name, venue, tmp_path, streams=True) as it:
        venue.state.config["session"] = {name: session}
        venue.state.faults.append({"match": "GET .*([tT]rades|Trades)", "status": 503, "times": -1})
        for symbol in symbols:
            count = len(oracle[symbol]["trades"])
            query = f"pull_trade?symbol={quote(symbol)}"
            one = await stream(it.client, f"/v1/{name}/{query}", count)
            other = await stream(it.client, f"/v1/{name}-ccxt/{query}", count)
            assert [trade["trade_id"] for trade in one] == [trade["id"] for trade in oracle[symbol]["trades"]]
            judge = Judge(DIFFERENT)
            judge.compare(f"{name} pull_trade", {"trades": one}, {"trades": other})
            judge.done(name, ("pull_trade",))


LEVELS = {"kraken": "100"}
"""How many levels to ask for where the recorded stream kept many: one of few would drift away from it."""


@pytest.mark.parametrize("name", exchanges())
async def test_local_books(name: str, venue: Any, shared: Path, tmp_path: Path) -> None:
    session, symbols = STREAMS[name]
    with gzip.open(shared / "oracles" / "ws.json.gz", "rt") as text:
        oracle = json.load(text)[session]
    async with both(name, venue, tmp_path, streams=True) as it:
        venue.state.config["session"] = {name: session}
        for symbol in symbols:
            final = oracle[symbol]["final_book"]
            for section in (name, f"{name}-ccxt"):
                await until_book(it.client, f"/v1/{section}/depth", symbol, LEVELS.get(name, "25"), final)


async def until_book(client: Any, path: str, symbol: str, levels: str, final: Mapping[str, Any]) -> None:
    """Ask for the local copy until its top is that of the book after the last recorded change, in value."""
    query = {"symbol": symbol, "limit": levels, "isLocal": "true", "tolerate_interval": "600"}
    wanted = {side: levels_of(final[f"{side}s"][:25]) for side in ("bid", "ask")}
    with anyio.fail_after(20):
        while True:
            async with client.get(path, params=query) as answer:
                found = await answer.json()
            if answer.headers.get("ExGate-Source") == "local":
                rows = {side: found[f"{side}_list"][0]["bid"] for side in ("bid", "ask")}
                got = {side: levels_of((row["price"], row["amount"]) for row in rows[side][:25]) for side in rows}
                if got == wanted:
                    return
            await anyio.sleep(0.01)


def levels_of(rows: Iterable[Iterable[str]]) -> list[tuple[Decimal, ...]]:
    return [tuple(map(Decimal, row)) for row in rows]


@pytest.fixture
def matches(venue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """OKX's channel ``trades`` of 2022 told each match by itself, as ``trades-all`` does now: it is played as that."""
    dialect = type(venue.state).websocket.__globals__["DIALECTS"]["okx"]
    monkeypatch.setitem(dialect.alias, "trades-all", "trades")
    monkeypatch.setattr(dialect, "out", _renamed)


def _renamed(data: str, key: str, url: str) -> str:
    return data.replace('"channel":"trades"', '"channel":"trades-all"') if key.startswith("trades-all:") else data
