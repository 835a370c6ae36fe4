"""Three accounts and a paper account of one exchange: what they share, and that paper never asks for anything private.

Counted at the exchange's side: each request and subscription that the replay saw. Needs EXGATE_SHARED.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from exgate_ccxt import CcxtAccount, CcxtExchange
from msgspec.structs import replace
from recorded import opened
from streaming import streamed

from exgate_core.errors import Refused
from exgate_core.plugins import Catalogue, load_catalogue
from exgate_core.settings import Secret, Section, Server, Settings
from tests.support.serving import serving

aiohttp = pytest.importorskip("aiohttp")
PaperAccount = pytest.importorskip("exgate_paper").PaperAccount
pytest.importorskip("exgate_binance", reason="no hand-written plugin of the same exchange is installed")
pytestmark = pytest.mark.anyio

SESSION, MARKET, NATIVE = "binance/20210404-btc-eth-dot", "BTC/USDT", "BTCUSDT"
REAL, ALL = ("one", "two", "three"), ("one", "two", "three", "rehearsal")
PUBLIC_PATHS = {f"/api/v3/{name}" for name in ("exchangeInfo", "depth", "trades", "aggTrades", "time")}
ORDER = {"symbol": MARKET, "side": "buy", "type": "limit", "price": "100.00", "amount": "0.5"}
WEIGHT = {"exgate-ccxt": 25, "exgate-binance": 60}
SIDES = ("exgate-ccxt", "exgate-binance")


class Kind(NamedTuple):
    """One way to serve the public side."""

    plugin: str
    extra: dict[str, Any]


def kind_of(side: str, catalogue: Catalogue) -> Kind:
    """The plugin that sections name so that ``side`` serves the public data."""
    if side == "exgate-ccxt":
        return Kind(side, {"ccxt": {"options": {"watchTrades": {"name": "aggTrade"}}}})
    owns = any(offer.distribution == side and offer.account for offer in catalogue.offers["binance"])
    return Kind(side if owns else "", {"trades": "aggregate"})


def clock() -> dict[str, Any]:
    """A rule for the replay, which has no recording of it: the exchange's time."""
    return {"match": "/api/v3/time", "times": -1, "status": 200, "body": f'{{"serverTime":{int(time.time() * 1000)}}}'}


class Gateway(NamedTuple):
    """A gateway with three real accounts and a paper account."""

    client: Any
    catalogue: Catalogue
    inner: Any

    async def get(self, path: str, **query: str) -> tuple[int, Any, Any]:
        async with self.client.get(f"/v1/{path}", params=query) as answer:
            return answer.status, await answer.json(), answer.headers

    async def post(self, path: str, body: Any) -> tuple[int, Any, Any]:
        async with self.client.post(f"/v1/{path}", json=body) as answer:
            return answer.status, await answer.json(), answer.headers


@asynccontextmanager
async def gateway(
    venue: Any, state: Path, side: str, names: tuple[str, ...] = ALL, *, weight: int = 0
) -> AsyncIterator[Gateway]:
    """Its doors; ``weight`` is what the exchange allows in an hour, 0 = what it really allows."""
    venue.state.config.update(speed="max", session={"binance": SESSION})
    venue.state.faults.append(clock())
    catalogue = load_catalogue()
    if weight:
        few = tuple(
            replace(
                offer,
                exchange_capabilities=replace(offer.exchange_capabilities, weight_limit=weight, weight_window=3600.0),
            )
            for offer in catalogue.offers["binance"]
        )
        catalogue.offers = {**catalogue.offers, "binance": few}
    kind = kind_of(side, catalogue)
    common: dict[str, Any] = {"exchange": "binance", "plugin": kind.plugin, "upstream_prefix": venue.url + "/"}
    sections = {
        name: Section(
            api_key=Secret(f"key-{name}"), api_secret=Secret("secret"), trading=True, extra=kind.extra, **common
        )
        for name in REAL
    }
    own = {"balances": {"USDT": "1000000", "BTC": "10"}, "wallet": "rehearsal"}
    sections["rehearsal"] = Section(account="paper", extra={**kind.extra, **own}, **common)
    settings = Settings(
        server=Server(port=0, state_dir=str(state)),
        exchanges={name: sections[name] for name in names},
    )
    async with serving(settings, catalogue) as running:
        for name in names:
            await opened(running.gateway, name)
        headers = {"Authorization": f"Bearer {(state / 'token').read_text().strip()}"}
        async with aiohttp.ClientSession(running.url, headers=headers) as client:
            yield Gateway(client, catalogue, running.gateway)


def asked(venue: Any, word: str = "") -> list[dict[str, Any]]:
    """The REST requests that the exchange saw."""
    return [entry for entry in venue.state.log if "method" in entry and word in entry["url"]]


def weighty(venue: Any) -> list[dict[str, Any]]:
    """All but questions for the time, of which a last one may still fit."""
    return [entry for entry in asked(venue) if "/time" not in entry["url"]]


def subscribed(venue: Any, word: str) -> dict[str, int]:
    return {name: count for name, count in venue.state.stats["ws_subs"].items() if word in name}


async def trades_of(door: Gateway, name: str, count: int) -> list[str]:
    """The ids of the first trades that a stream of this name brings."""
    ids: list[str] = []
    async with door.client.ws_connect(f"/v1/{name}/pull_trade?symbol={MARKET}", max_msg_size=0) as socket:
        while len(ids) < count:
            frame = json.loads((await socket.receive(timeout=20)).data)
            ids += [trade["trade_id"] for trade in frame.get("trades", ())]
    return ids


async def local_book(door: Gateway, name: str) -> Any:
    """The book as soon as it comes from the copy."""
    while True:
        query = {"symbol": MARKET, "limit": "20", "isLocal": "true", "tolerate_interval": "60"}
        status, book, headers = await door.get(f"{name}/depth", **query)
        assert status == 200, book
        if headers["ExGate-Source"] == "local":
            return book


@pytest.mark.parametrize("side", SIDES)
async def test_one_market_list_one_feed_a_stream_for_four_names(
    venue: Any, shared: Path, tmp_path: Path, side: str
) -> None:
    expected = [trade["id"] for trade in streamed(shared)[SESSION][NATIVE]["trades"]]
    venue.state.faults = [{"kind": "ws", "stall_after": 0, "stall": 0.5, "times": -1}]
    async with gateway(venue, tmp_path, side) as door:
        lists = await asyncio.gather(*(door.get(f"{name}/markets") for name in ALL))
        assert all(found == lists[0][1] for _, found, _ in lists)
        streams = await asyncio.gather(*(trades_of(door, name, len(expected)) for name in ALL))
        assert streams == [expected] * 4
        first = await local_book(door, "one")
        before = len(venue.state.log)
        others = [await local_book(door, name) for name in ALL]
        assert len(venue.state.log) == before, "another name asked the exchange for what was there"
        assert [set(book) for book in others] == [set(first)] * 4
        # An account of another plugin than the public side's has a list of that plugin's own.
        lists_wanted = 1 if kind_of(side, door.catalogue).plugin else 2
    assert len(asked(venue, "exchangeInfo")) == lists_wanted
    assert list(subscribed(venue, "rade").values()) == [1], subscribed(venue, "")
    assert list(subscribed(venue, "depth").values()) == [1], subscribed(venue, "")
    print(f"{side}: {lists_wanted} exchangeInfo, {subscribed(venue, '')}, {len(asked(venue))} requests")  # noqa: T201


@pytest.mark.parametrize("side", SIDES)
async def test_nothing_private_is_shared(venue: Any, tmp_path: Path, side: str) -> None:
    async with gateway(venue, tmp_path, side) as door:
        answers = await asyncio.gather(*(door.get(f"{name}/balances") for name in REAL))
        assert [status for status, _, _ in answers] == [200] * 3, answers
        found = [entry["headers"].get("X-MBX-APIKEY") for entry in asked(venue, "/account")]
        assert sorted(found) == sorted(f"key-{name}" for name in REAL)
        assert all("X-MBX-APIKEY" not in entry["headers"] for entry in asked(venue) if is_public(entry))


@pytest.mark.parametrize("side", SIDES)
async def test_one_budget_for_four_names(venue: Any, tmp_path: Path, side: str) -> None:
    async with gateway(venue, tmp_path / "a", side, weight=WEIGHT[side]) as door:
        alone = await reads_until_refused(door, ("one",))
    async with gateway(venue, tmp_path / "b", side, weight=WEIGHT[side]) as door:
        assert await reads_until_refused(door, ALL) == alone
        while (await door.get("one/balances"))[0] != 429:
            pass
        before = len(weighty(venue))
        for name in REAL:
            status, answer, _ = await door.get(f"{name}/balances")
            assert status == 429, answer
        status, answer, headers = await door.post("rehearsal/order", ORDER)
        assert (status, headers["ExGate-Outcome"]) == (503, "not-sent"), answer
        assert len(weighty(venue)) == before
    print(f"{side}: {alone} books for the whole budget, by one name and by four")  # noqa: T201


async def reads_until_refused(door: Gateway, names: tuple[str, ...]) -> int:
    """How many books all names together get out of the budget."""
    served = 0
    while True:
        name = names[served % len(names)]
        status, answer, _ = await door.get(f"{name}/depth", symbol=MARKET, limit="5")
        if status == 429:
            return served
        assert status == 200, answer
        served += 1


@pytest.mark.parametrize("side", SIDES)
async def test_a_pause_that_one_account_is_told_holds_for_all(venue: Any, tmp_path: Path, side: str) -> None:
    async with gateway(venue, tmp_path, side) as door:
        body = '{"code":-1003,"msg":"Too many requests."}'
        venue.state.faults = [
            clock(),
            {"match": "/account", "status": 429, "headers": {"Retry-After": "60"}, "body": body},
        ]
        assert (await door.get("two/balances"))[0] == 429
        before = len(weighty(venue))
        for name in ALL:
            assert (await door.get(f"{name}/depth", symbol=MARKET))[0] == 429
        for name in REAL:
            status, answer, headers = await door.post(f"{name}/order", ORDER)
            assert (status, headers["ExGate-Outcome"]) == (429, "not-sent"), answer
        late = [entry["url"] for entry in weighty(venue)[before:]]
        assert not late, late


async def test_two_plugins_of_one_exchange_keep_to_the_better_ones_budget(venue: Any, tmp_path: Path) -> None:
    common: dict[str, Any] = {"exchange": "binance", "upstream_prefix": venue.url + "/"}
    for number, order in enumerate((("through", "native"), ("native", "through"))):
        venue.state.config.update(session={"binance": SESSION})
        sections = {"through": Section(plugin="exgate-ccxt", **common), "native": Section(**common)}
        state = Server(port=0, state_dir=str(tmp_path / str(number)))
        settings = Settings(server=state, exchanges={name: sections[name] for name in order})
        async with serving(settings) as running:
            budgets = set()
            for name in order:
                entry = await opened(running.gateway, name)
                budgets.add(entry._public.transport.context("binance").budget)
        (budget,) = budgets
        assert budget is not None
        assert (budget.limit, budget.window) == (6000, 60)


def is_public(entry: dict[str, Any]) -> bool:
    """Whether a request could have been made by anybody."""
    signed = "signature=" in entry["url"] + entry["body"] or "X-MBX-APIKEY" in entry["headers"]
    return entry["method"] == "GET" and urlsplit(entry["url"]).path in PUBLIC_PATHS and not signed


@pytest.mark.parametrize("side", SIDES)
async def test_a_paper_account_has_no_way_to_a_private_endpoint(venue: Any, tmp_path: Path, side: str) -> None:
    async with gateway(venue, tmp_path, side, ("rehearsal",)) as door:
        done = await everything(door)
        found = objects_of(door.inner.entries["rehearsal"])
        print(f"{len(found)} objects")  # noqa: T201
        accounts = [thing for thing in found if callable(getattr(type(thing), "place_order", None))]
        assert {type(thing) for thing in accounts if not type(thing).__module__.startswith("exgate_core")} == {
            PaperAccount
        }
        assert not [thing for thing in found if isinstance(thing, CcxtAccount)]
        clients = [thing.client for thing in found if isinstance(thing, CcxtExchange)]
        for client in clients:
            await has_no_order_method(client)
    requests = asked(venue)
    assert requests and all(is_public(entry) for entry in requests), [entry["url"] for entry in requests]
    print(f"{side}: {done} operations of the paper account, {len(requests)} requests, all public")  # noqa: T201


async def everything(door: Gateway) -> int:
    """Every operation of the paper account, in good ways and bad, also with keys of a caller; how many."""
    keys = {"X-ExGate-Key": "callers-key", "X-ExGate-Secret": "callers-secret"}
    done = 0
    for headers in ({}, keys):
        door.client.headers.update(headers)
        placed = [
            await door.post("rehearsal/order", {**ORDER, **more})
            for more in (
                {},
                {"options": {"client_order_id": f"mine{len(headers)}"}},
                {"type": "market", "price": "", "amount": "0.01"},
                {"type": "market", "price": "", "amount": "", "options": {"quote_amount": "100"}},
                {"side": "sell", "price": "900000.00"},
                {"options": {"time_in_force": "IOC"}},
                {"options": {"post_only": "true"}, "price": "900000.00"},
                {"amount": "0"},
                {"symbol": "NO/SUCH"},
            )
        ]
        assert [status for status, _, _ in placed] == [200] * 6 + [400] * 3, placed
        order_id = placed[0][1]["order_id"]
        for path, query in (
            ("balances", {}),
            ("pending_orders", {}),
            ("pending_orders", {"symbol": MARKET}),
            ("order", {"order_id": order_id}),
            ("order", {"client_order_id": f"mine{len(headers)}", "symbol": MARKET}),
            ("depth", {"symbol": MARKET}),
            ("recent_trades", {"symbol": MARKET}),
            ("markets", {}),
            ("capabilities", {}),
            ("pull_trade", {"symbol": MARKET}),
            ("pulls", {}),
        ):
            status, answer, _ = await door.get(f"rehearsal/{path}", **query)
            assert status == 200, (path, answer)
            done += 1
        canceled = [
            await door.post("rehearsal/cancel", body)
            for body in (
                {"symbol": MARKET, "order_id": order_id},
                {"symbol": MARKET, "order_id": "", "options": {"client_order_id": f"mine{len(headers)}"}},
                {"symbol": MARKET, "order_id": "77777"},
            )
        ]
        assert [status for status, _, _ in canceled] == [200, 200, 404], canceled
        done += len(placed) + len(canceled)
    return done


def objects_of(root: object) -> list[Any]:
    """Everything that can be reached from an entry, but for modules, classes, code and the event loop."""
    seen: dict[int, Any] = {}
    left, others = [root], type | ModuleType | CodeType | FrameType | asyncio.AbstractEventLoop
    while left:
        thing = left.pop()
        if id(thing) in seen or isinstance(thing, others) or is_module(thing):
            continue
        seen[id(thing)] = thing
        inside = [thing.__closure__, thing.__defaults__] if isinstance(thing, FunctionType) else gc.get_referents(thing)
        left += inside
    return list(seen.values())


def is_module(thing: object) -> bool:
    """Whether it holds the names of a module."""
    return isinstance(thing, dict) and "__builtins__" in thing


async def has_no_order_method(client: Any) -> None:
    """A ccxt client without keys sends no order, whatever is called."""
    assert not client.apiKey and not client.secret
    for name, arguments in (
        ("create_order", (MARKET, "limit", "buy", "1", "100")),
        ("cancel_order", ("1", MARKET)),
        ("createMarketOrder", (MARKET, "buy", "1")),
        ("edit_order", ("1", MARKET, "limit", "buy", "1", "100")),
        ("withdraw", ("BTC", "1", "address")),
    ):
        with pytest.raises(Refused):
            await getattr(client, name)(*arguments)
