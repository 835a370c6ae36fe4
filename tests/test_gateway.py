"""The whole gateway over HTTP and WebSocket, judged by the paper exchange's ledger."""

from __future__ import annotations

import asyncio
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from exgate_core.clock import Runtime, SystemClock
from exgate_core.settings import Local, Secret, Section, Settings

from .support.doors import until
from .support.front import Caller, Heard, Wire, accepted, calling, engine, house, is_lie, plugin, reached
from .support.odd_plugins import EXCHANGES, VAULT, WRAPPERS, loaded
from .support.room import Shifted
from .support.running import clean_environment
from .support.running import serving as process
from .support.serving import Served, serving, settings_for

pytestmark = pytest.mark.anyio

DAY = 86_400
ODD = ("hangs-at-open", "raises", "hangs", "wont-open", "cancels")
KEYS = {"X_ExGate_Key": "alice", "X_ExGate_Secret": "her-secret"}


def fault(point: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"point": point, "kind": kind, **more}


def paper(**extra: Any) -> Section:
    return Section(exchange="paper", extra={"rate": 0.0, **extra})


@asynccontextmanager
async def whole(tmp_path: Path, **extra: Any) -> AsyncIterator[tuple[Served, Caller]]:
    async with serving(settings_for(tmp_path, paper=paper(**extra))) as served, calling(served.url) as caller:
        yield served, caller


@asynccontextmanager
async def with_plugin(
    tmp_path: Path, name: str, text: str, settings: Settings | None = None
) -> AsyncIterator[tuple[Served, Caller]]:
    catalogue = plugin(tmp_path / "plugins", name, text)
    settings = settings or settings_for(tmp_path, paper=paper())
    async with serving(settings, catalogue) as served, calling(served.url) as caller:
        yield served, caller


# Orders


@pytest.mark.parametrize("kind", ["none", "delay", "drop"])
@pytest.mark.parametrize("named", ["key", "client_order_id"])
async def test_a_hundred_at_once_place_one_order(tmp_path: Path, named: str, kind: str) -> None:
    faults = [fault("place.after_accept", kind, seconds=0.05)] if kind != "none" else []
    async with whole(tmp_path, faults=faults) as (served, caller):

        async def ask() -> Any:
            if named == "key":
                return await caller.buy(60_000, Idempotency_Key="k")
            return await caller.buy(60_000, client_order_id="mine")

        replies = await asyncio.gather(*(ask() for _ in range(100)))
        really = accepted(engine(served.gateway), 60_000)
    assert len(really) == 1
    assert {reply.order_id for reply in replies if reply.status == 200} == set(really)
    assert {reply.reason for reply in replies if reply.status != 200} <= {"IN_FLIGHT", "ALREADY_EXISTS"}


@pytest.mark.parametrize(
    "starts",
    [(0, 31 * DAY, 0), (-26 * 365 * DAY, 0), (31 * DAY, 0)],
    ids=["31 days ahead", "clock of a dead battery", "put back"],
)
async def test_no_jump_of_the_clock_makes_a_key_send_again(tmp_path: Path, starts: tuple[int, ...]) -> None:
    """Each start has a clock that is wrong by so many seconds; the first and the last get the same key."""
    replies = []
    for number, ahead in enumerate(starts):
        clock = Shifted(SystemClock())
        clock.ahead = ahead
        settings, runtime = settings_for(tmp_path, paper=paper()), Runtime(clock)
        async with serving(settings, runtime=runtime) as served, calling(served.url) as caller:
            if number in (0, len(starts) - 1):
                replies.append(await caller.buy(60_000, Idempotency_Key="k"))
            assert (await caller.buy(50_000)).outcome == "placed", "any other order is"
            sent = accepted(engine(served.gateway), 60_000)
    first, last = replies
    assert (last.outcome, last.order_id, sent) == ("placed", first.order_id, [first.order_id])
    assert float(last.headers["exgate-replayed"]) >= 0


async def test_a_stop_waits_for_orders_in_flight_and_every_answer_is_true(tmp_path: Path) -> None:
    faults = [
        fault("place.after_accept", "delay", times=10, seconds=0.3),
        fault("place.after_accept", "drop", times=3),
        fault("place.before_accept", "refuse", times=2, after=15),
    ]
    extra = {"state": str(tmp_path / "paper"), "faults": faults}
    async with whole(tmp_path, **extra) as (served, caller):
        assert (await caller.get("/v1/paper/pending_orders")).body["orders"] == []
        truth = engine(served.gateway)
        asking = [asyncio.ensure_future(caller.buy(60_000 + number)) for number in range(20)]
        await reached(lambda: len(truth.faults.fired) >= 15)
        served.stop.ask()
        replies = await asyncio.gather(*asking)
    async with whole(tmp_path, state=str(tmp_path / "paper")) as (served, caller):
        assert (await caller.get("/v1/paper/pending_orders")).status == 200
        truth = engine(served.gateway)
        assert [reply.outcome for reply in replies].count("placed") == 18
        assert not [n for n, reply in enumerate(replies) if is_lie(reply, accepted(truth, 60_000 + n))]


async def test_while_it_drains_no_order_is_sent_and_readyz_says_so(tmp_path: Path) -> None:
    faults = [fault("place.after_accept", "hang")]
    settings = settings_for(tmp_path, paper=paper(faults=faults))
    settings = replace(settings, orders=replace(settings.orders, deadline=2.0))
    async with serving(settings) as served, calling(served.url) as caller:
        assert (await caller.get("/readyz")).body["ready"] is True
        await caller.get("/v1/paper/pending_orders")
        held = asyncio.ensure_future(caller.buy(60_000))
        await reached(lambda: bool(accepted(engine(served.gateway), 60_000)))
        served.stop.ask()
        await reached(lambda: served.gateway.draining)
        ready = await caller.get("/readyz")
        assert (ready.status, ready.body["code"], ready.body["state"]["status"]) == (503, 14, "draining")
        late = await caller.buy(70_000)
        assert (late.status, late.outcome) == (503, "not-sent")
        with pytest.raises(Exception, match="503"):
            async with caller.stream():
                pass
        assert not accepted(engine(served.gateway), 70_000)
        assert (await held).outcome == "placed"


def test_while_the_journal_cant_be_written_nothing_is_sent(tmp_path: Path) -> None:
    with process(tmp_path) as running:
        anyio.run(_without_a_disk, running.url, running.process.pid)


async def test_a_damaged_row_is_unknown_and_the_rest_is_served(tmp_path: Path) -> None:
    async with whole(tmp_path) as (_, caller):
        for number in range(3):
            assert (await caller.buy(60_000 + number, Idempotency_Key=str(number))).outcome == "placed"
    with closing(sqlite3.connect(tmp_path / "orders.db")) as connection:
        connection.execute("UPDATE orders SET state = 'SDNT', sent = 'soon', fingerprint = 'x' WHERE key = 'k:1'")
        connection.commit()
    async with whole(tmp_path) as (served, caller):
        ready = await caller.get("/readyz")
        assert (ready.status, ready.body["journal"]) == (200, "damaged")
        assert "row 2 of" in ready.body["problems"]["journal"]
        replies = [await caller.buy(60_000 + number, Idempotency_Key=str(number)) for number in range(4)]
        assert [reply.outcome for reply in replies] == ["placed", "unknown", "placed", "placed"]
        assert replies[1].status == 504 and "row 2" in replies[1].body["message"]
        assert [len(accepted(engine(served.gateway), 60_000 + number)) for number in range(4)] == [1] * 4


def _lose(folder: Path, what: str) -> None:
    """Damage the journal of a gateway that has ended."""
    if what == "the file":
        (folder / "orders.db").unlink()
    elif what == "the log":
        for name in _MAIN_FILES:
            shutil.copyfile(folder / f"{name}.kept", folder / name)
    else:
        with closing(sqlite3.connect(folder / "orders.db")) as connection:
            connection.execute("UPDATE orders SET key = 'k;1' WHERE key = 'k:1'")
            if what == "a row's names":
                connection.execute("UPDATE orders SET client_order_id = 'odd' WHERE key = 'k;1'")
            connection.commit()


_MAIN_FILES = ("orders.db", "orders.db.lock")


@pytest.mark.parametrize("lost", ["the file", "the log", "a row's names", "a row's key"])
async def test_a_key_that_the_journal_has_lost_is_looked_for_before_it_is_sent(tmp_path: Path, lost: str) -> None:
    async with whole(tmp_path) as (_, caller):
        placed = [await caller.buy(60_000 + number, Idempotency_Key=str(number)) for number in range(3)]
        for name in _MAIN_FILES:
            shutil.copyfile(tmp_path / name, tmp_path / f"{name}.kept")
    _lose(tmp_path, lost)
    outcomes = ["placed", "unknown" if lost == "a row's key" else "placed", "placed", "placed"]
    for _ in range(2):  # the second start looks first as well
        async with whole(tmp_path) as (served, caller):
            assert (await caller.get("/readyz")).body["journal"] == "damaged"
            again = [await caller.buy(60_000 + number, Idempotency_Key=str(number)) for number in range(4)]
            assert [reply.outcome for reply in again] == outcomes
            ids = [
                (was.body["order_id"], reply.body.get("order_id")) for was, reply in zip(placed, again, strict=False)
            ]
            assert all(now in (was, None) for was, now in ids)
            assert [len(accepted(engine(served.gateway), 60_000 + number)) for number in range(4)] == [1] * 4


async def _without_a_disk(url: str, pid: int) -> None:
    async with calling(url) as caller:
        assert (await caller.buy(60_000)).outcome == "placed"
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        refused = await caller.buy(60_001)
        assert (refused.status, refused.outcome) == (503, "not-sent")
        ready = await caller.get("/readyz")
        assert ready.status == 503
        assert ready.body["state"]["journal"] != "ok"
        orders = (await caller.get("/v1/paper/pending_orders")).body["orders"]
        assert [order["amount"] for order in orders] == ["0.60000"]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

        async def ready_again() -> bool:
            return (await caller.get("/readyz")).status == 200

        await reached(ready_again)
        assert (await caller.buy(60_002)).outcome == "placed"


# Streams


async def test_a_reader_that_stalls_is_told_what_it_lost_and_others_lose_nothing(tmp_path: Path) -> None:
    async with whole(tmp_path) as (served, _):
        stalled, keen = await Wire.open(served.url), await Wire.open(served.url, room=1 << 20)
        told, heard = Heard(), Heard()
        while not any(status["status"] == "live" for status in heard.statuses):
            heard.take(*await keen.next())
        market = served.gateway.entries["paper"].exchange.adapters[0].market  # type: ignore[attr-defined]
        first = engine(served.gateway).trades("BTC/USDT", 1)
        until = int(first[-1].id) if first else 0
        for _ in range(120):
            market.run("BTC/USDT", 500)
            until = int(engine(served.gateway).trades("BTC/USDT", 1)[-1].id)
            while not heard.ids or heard.ids[-1] < until:
                heard.take(*await keen.next())
        assert (heard.missing, heard.misplaced, heard.ids[-1]) == (0, 0, until)
        await told.rest(stalled)
        stalled.leave("fin")
        keen.leave("fin")
    assert told.code == 1008
    assert (told.missing, told.misplaced) == (0, 0)
    lagging = told.statuses[-1]
    assert lagging["status"] == "lagging"
    assert int(lagging["after_id"]) == told.ids[-1]
    assert int(lagging["lost"]) == int(lagging["before_id"]) - told.ids[-1] - 1 > 0


def test_connections_that_come_and_go_leave_nothing_behind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_for(tmp_path, paper=paper(rate=20.0))
    with house(replace(settings, local=Local(idle_stop=0.05))) as home:
        home.run(home.served.gateway.entry("paper"))
        before = home.tasks
        anyio.run(_come_and_go, home.url)
        until(lambda: home.tasks <= before)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def _come_and_go(url: str) -> None:
    async with calling(url) as caller:
        for number in range(15):
            wire = await Wire.open(url)
            if number % 4:
                await wire.next()
            wire.leave(("close", "fin", "reset")[number % 3])

        async def quiet() -> bool:
            return not (await caller.get("/v1/paper/pulls")).body["pulls"]

        await reached(quiet)


async def test_a_stop_closes_every_stream_with_1012(tmp_path: Path) -> None:
    async with whole(tmp_path, rate=20.0) as (served, _):
        wires = [await Wire.open(served.url) for _ in range(20)]
        heards = [Heard() for _ in wires]
        served.stop.ask()
        await asyncio.gather(*(heard.rest(wire) for heard, wire in zip(heards, wires, strict=True)))
        assert {heard.code for heard in heards} == {1012}
        assert not any(heard.missing for heard in heards)
        for wire in wires:
            wire.leave("fin")


# Plugins


async def test_exchanges_that_hang_or_break_are_alone_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sections = {name: Section(exchange=name) for name in ODD}
    settings = settings_for(tmp_path, paper=paper(), **sections)
    settings = replace(settings, server=replace(settings.server, deadline=0.5))
    async with with_plugin(tmp_path, "odd", EXCHANGES, settings) as (_, caller):
        asking = {name: asyncio.ensure_future(caller.get(f"/v1/{name}/depth?symbol=BTC/USDT")) for name in ODD}
        assert (await caller.get("/v1/paper/depth?symbol=BTC/USDT")).status == 200
        assert not asking["hangs"].done()
        assert not asking["hangs-at-open"].done()
        told = {name: await asked for name, asked in asking.items()}
        assert (told["raises"].status, told["raises"].body["code"]) == (500, 13)
        assert "signature" not in told["raises"].body["message"]
        assert (told["hangs"].status, told["hangs"].reason) == (504, "DEADLINE_EXCEEDED")
        assert (told["hangs-at-open"].status, told["hangs-at-open"].reason) == (503, "EXCHANGE_OPENING")
        assert (told["wont-open"].status, told["wont-open"].reason) == (503, "EXCHANGE_NOT_OPEN")
        assert (told["cancels"].status, told["cancels"].body["code"]) == (500, 13)
        assert (await caller.get("/v1/raises/recent_trades?symbol=BTC/USDT")).status == 500
        states = (await caller.get("/readyz")).body["exchanges"]
        assert states == {
            "cancels": "open",
            "hangs": "open",
            "hangs-at-open": "opening",
            "paper": "open",
            "raises": "open",
            "wont-open": states["wont-open"],
        }
        rows = {row["name"]: row["state"] for row in (await caller.get("/v1/exchanges")).body["exchanges"]}
        assert (rows["hangs-at-open"], rows["hangs"], rows["paper"]) == ("opening", "open", "open")
    broken = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert not [error for error in broken if isinstance(error, TimeoutError)]


async def test_wrappers_see_every_operation(tmp_path: Path) -> None:
    async with with_plugin(tmp_path, "wrappers", WRAPPERS) as (_, caller):
        placed = await caller.buy(60_000)
        for path in ("depth", "recent_trades", "pending_orders"):
            assert (await caller.get(f"/v1/paper/{path}?symbol=BTC/USDT")).status == 200
        assert (await caller.get("/v1/paper/balances")).status == 200
        assert (await caller.get(f"/v1/paper/order?order_id={placed.order_id}")).status == 200
        assert (await caller.post("/v1/paper/cancel", {"order_id": placed.order_id})).status == 200
        async with caller.stream() as stream:
            await stream.receive()
        seen = loaded("wrappers").seen
    assert set(seen) == {
        *(("paper", name, "BTC/USDT") for name in ("place_order", "depth", "recent_trades", "pending_orders")),
        *(("paper", name, "") for name in ("balances", "find_order", "cancel_order")),
        ("paper", "pull_trade", "BTC/USDT"),
    }
    assert len(seen) == 8


@pytest.mark.parametrize(
    "mode",
    ["raise after", "forget", "twice", "impatient", "cancel after", "hang after", "raise before", "never proceed"],
)
async def test_whatever_a_wrapper_does_the_answer_about_an_order_is_true(tmp_path: Path, mode: str) -> None:
    faults = [fault("place.after_accept", "delay", seconds=0.2)] if mode == "impatient" else []
    settings = settings_for(tmp_path, paper=paper(faults=faults))
    settings = replace(settings, server=replace(settings.server, deadline=1.0))
    settings = replace(settings, orders=replace(settings.orders, deadline=1.0))
    async with with_plugin(tmp_path, "wrappers", WRAPPERS, settings) as (served, caller):
        await caller.get("/v1/paper/balances")
        loaded("wrappers").modes["place_order"] = mode
        with anyio.fail_after(10):
            reply = await caller.buy(60_000)
        really = accepted(engine(served.gateway), 60_000)
        if mode in ("raise before", "never proceed"):
            assert (reply.status, reply.outcome, really) == (500, "not-sent", [])
        else:
            assert (reply.status, reply.outcome, [reply.order_id]) == (200, "placed", really)


# Accounts


def vault(tmp_path: Path, **section: Any) -> Settings:
    named = Section(exchange="vault", api_key=Secret("house"), api_secret=Secret("house-secret"), **section)
    return settings_for(tmp_path, paper=paper(), vault=named)


async def test_real_money_wants_a_token_and_trading_switched_on(tmp_path: Path) -> None:
    async with with_plugin(tmp_path, "vault", VAULT, vault(tmp_path)) as (_, caller):
        token = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        assert (await caller.get("/v1/vault/balances")).status == 401
        assert (await caller.get("/v1/vault/balances", Authorization="Bearer nonsense")).status == 401
        assert (await caller.buy(60_000, name="vault")).status == 401
        assert (await caller.get("/v1/vault/balances", **token)).body["balances"][0]["asset"] == "HOUSE"
        refused = await caller.buy(60_000, name="vault", **token)
        assert (refused.status, refused.reason, refused.outcome) == (403, "TRADING_OFF", "refused")
        assert (await caller.post("/v1/vault/cancel", {"order_id": "1"})).status == 401
        assert loaded("vault").sent == []
        cancel = await caller.post("/v1/vault/cancel", {"order_id": "1"}, **token)
        assert (cancel.status, cancel.body, cancel.outcome) == (200, {"status": "canceled"}, "canceled")
        assert loaded("vault").sent == [("house", "cancel")]


async def test_trading_switched_on_trades(tmp_path: Path) -> None:
    async with with_plugin(tmp_path, "vault", VAULT, vault(tmp_path, trading=True)) as (_, caller):
        token = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        assert (await caller.buy(60_000, name="vault")).status == 401
        assert (await caller.buy(60_000, name="vault", **token)).outcome == "placed"
        assert loaded("vault").sent == [("house", "0.60000")]


async def test_trading_switched_off_says_nothing_about_an_order_that_was_sent_before(tmp_path: Path) -> None:
    told = []
    for trading in (True, False):
        async with with_plugin(tmp_path, "vault", VAULT, vault(tmp_path, trading=trading)) as (_, caller):
            token = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
            told.append(await caller.buy(60_000, name="vault", Idempotency_Key="one", **token))
    assert told[0].outcome == told[1].outcome == "placed"
    assert told[0].order_id == told[1].order_id


def test_callers_keys_mean_their_own_accounts_and_stay_secret(tmp_path: Path) -> None:
    anyio.run(_ten_callers, tmp_path)
    written = b"".join(path.read_bytes() for path in tmp_path.glob("orders.db*"))
    assert b"secret-of-" not in written
    assert b"caller1" not in written.replace(b"caller1-", b"")


async def _ten_callers(tmp_path: Path) -> None:
    async with with_plugin(tmp_path, "vault", VAULT, vault(tmp_path)) as (served, caller):
        names = [f"caller{number}" for number in range(10)]

        async def trade(name: str) -> None:
            keys = {"X_ExGate_Key": name, "X_ExGate_Secret": f"secret-of-{name}"}
            placed = [await caller.buy(60_000, name="vault", Idempotency_Key="the same", **keys) for _ in range(2)]
            assert {reply.order_id.split("-")[0] for reply in placed} == {name}
            assert len({reply.order_id for reply in placed}) == 1
            own = await caller.get("/v1/vault/balances", **keys)
            assert own.body["balances"][0]["asset"] == name.upper()

        await asyncio.gather(*map(trade, names))
        sent = loaded("vault").sent
        assert sorted(sent) == [(name, "0.60000") for name in names]
        half = await caller.get("/v1/vault/balances", X_ExGate_Key="half")
        assert half.status == 400
        await served.gateway.drain(1.0)
    assert loaded("vault").open_accounts == []


@pytest.mark.parametrize(("allowed", "reads", "trades"), [("trade", 200, 200), ("read", 200, 403), ("off", 403, 403)])
async def test_what_callers_keys_may_do(tmp_path: Path, allowed: Any, reads: int, trades: int) -> None:
    settings = vault(tmp_path, trading=True)
    settings = replace(settings, server=replace(settings.server, caller_keys=allowed))
    async with with_plugin(tmp_path, "vault", VAULT, settings) as (_, caller):
        assert (await caller.get("/v1/vault/balances", **KEYS)).status == reads
        assert (await caller.buy(60_000, name="vault", **KEYS)).status == trades
        assert len(loaded("vault").sent) == (trades == 200)


async def test_paper_gives_every_key_a_wallet_of_its_own(tmp_path: Path) -> None:
    async with whole(tmp_path) as (_, caller):
        assert (await caller.buy(60_000)).status == 200
        assert (await caller.buy(60_000, **KEYS)).status == 200
        mine, hers = [await caller.get("/v1/paper/pending_orders", **keys) for keys in ({}, KEYS)]
        assert len(mine.body["orders"]) == len(hers.body["orders"]) == 1
        assert mine.body["orders"] != hers.body["orders"]


# What it says about itself


async def test_what_it_serves_is_told(tmp_path: Path) -> None:
    async with whole(tmp_path, rate=20.0) as (_, caller):
        assert (await caller.get("/v1/nobody/depth?symbol=BTC/USDT")).reason == "UNKNOWN_EXCHANGE"
        assert "did you mean paper?" in (await caller.get("/v1/papr/markets")).body["message"]
        markets = (await caller.get("/v1/paper/markets")).body["markets"]
        assert {market["symbol"] for market in markets} == {"BTC/USDT", "ETH/USDT", "ETH/BTC"}
        able = (await caller.get("/v1/paper/capabilities")).body
        assert able["operations"]["depth"] == "PaperExchange"
        assert (able["public"]["trade_ids"], able["private"]["real"]) == ("contiguous", False)
        assert (await caller.get("/v1/paper/pulls")).body == {"pulls": []}
        await caller.get("/v1/paper/pull_trade?symbol=btcusdt")
        (pull,) = (await caller.get("/v1/paper/pulls")).body["pulls"]
        assert (pull["symbol"], pull["stream"], pull["pinned"], pull["readers"]) == ("BTC/USDT", "trades", True, 0)
        rows = {row["name"]: row for row in (await caller.get("/v1/exchanges")).body["exchanges"]}
        assert (rows["paper"]["state"], rows["paper"]["plugins"][0]["name"]) == ("open", "exgate-paper")


def test_a_trace_shows_every_hook_and_no_key(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "vault.py").write_text(VAULT)
    log = tmp_path / "stderr"
    command = [sys.executable, "-m", "exgate_core", "--plugins-dir", str(tmp_path / "plugins"), "serve", "--port", "0"]
    environment = {**clean_environment(tmp_path), "EXGATE_TRACE": "1"}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*command, "-s", f"server.state_dir={tmp_path}"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            cwd=tmp_path,
        ) as serve,
    ):
        assert serve.stdout is not None
        found = re.search(r"http://\S+:\d+", serve.stdout.readline())
        assert found is not None
        anyio.run(_a_little_of_everything, found[0])
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(20) == 0
    text = log.read_text()
    for hook in ("markets", "depth", "place_order", "balances", "register_exchanges"):
        assert re.search(rf"^\S+: {hook}\(.*\)", text, re.MULTILINE), hook
        assert re.search(rf"^\S+: {hook} -> ", text, re.MULTILINE), hook
    assert "her-secret" not in text


async def _a_little_of_everything(url: str) -> None:
    async with calling(url) as caller:
        assert (await caller.get("/v1/paper/depth?symbol=BTC/USDT")).status == 200
        assert (await caller.buy(60_000)).status == 200
        assert (await caller.get("/v1/vault/balances", **KEYS)).status == 200


def test_the_verb_plugins_tells_who_serves_and_who_was_refused(tmp_path: Path) -> None:
    for name, text in (("vault", VAULT), ("wrappers", WRAPPERS), ("broken", "EXGATE_API = 1\nimport nowhere_at_all\n")):
        (tmp_path / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "exgate_core", "plugins", "--plugins-dir", str(tmp_path)]
    shown = subprocess.run(
        command, capture_output=True, text=True, check=True, env=clean_environment(tmp_path), cwd=tmp_path
    ).stdout
    rows = {line.split()[0]: line for line in shown.splitlines()}
    assert "paper" in rows["exgate-paper"]
    assert "vault" in rows["vault.py"]
    assert "yes" in rows["wrappers.py"]
    assert "refused" in rows["broken.py"]
    assert "nowhere_at_all" in rows["broken.py"]
