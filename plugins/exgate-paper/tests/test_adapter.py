"""The hooks of the paper exchange: what they answer, when they yield, what they raise."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from exgate_paper import EXGATE_API, Fault, PaperAccount, PaperExchange, PaperSettings, register_exchanges
from msgspec.structs import replace
from paper_support import MARKET, STILL, Key, PaperContext, Side, opened, place, request

from exgate_core.clock import Runtime
from exgate_core.errors import NotFound, NotSent, RateLimited, Refused
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


async def test_registers_one_exchange_with_both_sides() -> None:
    found: dict[str, dict[str, object]] = {}
    register_exchanges(lambda name, **rest: found.update({name: rest}))
    assert found == {"paper": {"exchange": PaperExchange, "account": PaperAccount, "settings": PaperSettings}}
    assert EXGATE_API == 1


async def test_an_order_through_the_hooks() -> None:
    async with opened() as pair:
        order_id = await pair.account.place_order(request("buy 1 @ 99", client_order_id="mine"))
        assert [o.order_id for o in await pair.account.pending_orders(pair.market)] == [order_id]
        assert (await pair.account.find_order(None, "", "mine"))[0].status == "open"
        assert {b.asset: b.frozen for b in await pair.account.balances()}["USDT"] == "99.00000000"
        assert (await pair.exchange.depth(pair.market, 5)).bids == [("99.00", "1.000")]
        assert (await pair.account.cancel_order(pair.market, "", "mine")).status == "canceled"
        assert await pair.account.pending_orders(None) == []
        assert await pair.account.find_order(None, "77", "") == []
        with pytest.raises(NotFound):
            await pair.account.cancel_order(None, "77", "")
        with pytest.raises(Refused):
            await pair.account.place_order(request("buy 1 @ 99", stop_price="98"))


async def test_every_call_yields_to_the_event_loop() -> None:
    async with opened() as pair:
        others = 0

        async def count() -> None:
            nonlocal others
            while True:
                others += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            for call in (
                pair.exchange.markets,
                lambda: pair.exchange.depth(pair.market, 5),
                lambda: pair.exchange.recent_trades(pair.market, 5, None),
                pair.account.balances,
                lambda: pair.account.place_order(request("buy 1 @ 99")),
                lambda: pair.account.cancel_order(None, "1", ""),
                lambda: pair.account.pending_orders(None),
                lambda: pair.account.find_order(None, "1", ""),
            ):
                before = others
                await call()
                assert others > before
            tasks.cancel_scope.cancel()


async def test_callers_with_keys_have_accounts_of_their_own() -> None:
    async with opened() as pair:
        side = Side((pair.exchange,))
        for name, key in (("key-" + "a" * 16, Key("a" * 64)), ("main", None)):
            async with PaperAccount(PaperContext(STILL, Runtime(), side, key)) as account:
                assert account.name == name
        assert {"main", "key-" + "a" * 16} < set(pair.engine.accounts)
        assert pair.engine.balances("main") == await pair.account.balances()


async def test_state_outlives_the_exchange(tmp_path: Path) -> None:
    settings = replace(STILL, state=str(tmp_path))
    async with opened(settings) as pair:
        order_id = await pair.account.place_order(request("buy 1 @ 99", client_order_id="mine"))
        before = pair.engine.snapshot()
    async with opened(settings) as pair:
        assert pair.engine.snapshot() == before
        assert (await pair.account.find_order(None, order_id, ""))[0].client_order_id == "mine"


async def test_a_full_disk_sends_nothing(tmp_path: Path) -> None:
    async with opened(replace(STILL, state=str(tmp_path))) as pair:
        order_id = await pair.account.place_order(request("buy 1 @ 99"))
        pair.engine.faults.add(Fault(point="append.before", kind="error", times=2))
        with pytest.raises(NotSent, match="no space left"):
            await pair.account.place_order(request("buy 1 @ 99"))
        with pytest.raises(NotSent, match="no space left"):
            await pair.account.cancel_order(None, order_id, "")
        assert [order.order_id for order in await pair.account.pending_orders(None)] == [order_id]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refuse", Refused),
        ("not_sent", NotSent),
        ("rate_limited", RateLimited),
        ("drop", ConnectionResetError),
        ("error", RuntimeError),
    ],
)
@pytest.mark.parametrize(("point", "exists"), [("place.before_accept", 0), ("place.after_accept", 1)])
async def test_a_fault_strikes_as_often_as_it_was_told(
    kind: str, error: type[Exception], point: str, exists: int
) -> None:
    async with opened() as pair:
        pair.engine.faults.add(Fault(point=point, kind=kind, times=2))  # type: ignore[arg-type]
        for number in range(2):
            with pytest.raises(error):
                await pair.account.place_order(request("buy 1 @ 99", client_order_id=f"id-{number}"))
            assert len(pair.engine.ledger.accepted(f"id-{number}")) == exists
        assert await pair.account.place_order(request("buy 1 @ 99"))
        assert len(pair.engine.faults.fired) == 2
        assert not pair.engine.faults.armed


async def test_lies() -> None:
    async with opened() as pair:
        faults = pair.engine.faults
        faults.add(
            Fault(point="place.before_accept", kind="lie", value="id-that-never-was"),
            Fault(point="place.after_accept", kind="lie"),
            Fault(point="find_order", kind="lie"),
            Fault(point="cancel.before_accept", kind="lie"),
            Fault(point="cancel.after_accept", kind="lie", value="filled"),
        )
        assert await pair.account.place_order(request("buy 1 @ 99", client_order_id="a")) == "id-that-never-was"
        assert await pair.account.place_order(request("buy 1 @ 99", client_order_id="b")) == ""
        assert len(pair.engine.ledger.accepted("b")) == 1 > len(pair.engine.ledger.accepted("a"))
        assert await pair.account.find_order(None, "", "b") == []
        assert (await pair.account.cancel_order(None, "", "b")).status == "canceled"
        assert len(await pair.account.pending_orders(None)) == 1
        assert (await pair.account.cancel_order(None, "", "b")).status == "filled"
        assert await pair.account.pending_orders(None) == []


async def test_a_delay_lets_a_fill_win_the_race_against_a_cancel() -> None:
    clock = ManualClock()
    async with opened(runtime=clock.runtime()) as pair:
        order_id = await pair.account.place_order(request("buy 1 @ 99"))
        pair.engine.faults.add(Fault(point="cancel.before_accept", kind="delay", seconds=2))
        answers = []

        async def cancel() -> None:
            answers.append(await pair.account.cancel_order(None, order_id, ""))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel)
            await clock.advance(1)
            pair.engine.deposit("bob", {"BTC": "1"})
            place(pair.engine, "bob", "sell 1 @ 99")
            assert not answers
            await clock.advance(1)
        assert answers[0].status == "filled"


async def test_faults_can_be_aimed_and_rolled() -> None:
    async with opened() as pair:
        faults = pair.engine.faults
        faults.add(
            Fault(point="depth", kind="drop", symbol="ETH/USDT"),
            Fault(point="recent_trades", kind="drop", probability=0.5, times=0),
            Fault(point="markets", kind="hang"),
        )
        await pair.exchange.depth(pair.market, 5)
        struck = 0
        for _ in range(100):
            try:
                await pair.exchange.recent_trades(MARKET, 5, None)
            except ConnectionResetError:
                struck += 1
        assert 30 < struck < 70
        with anyio.move_on_after(0.05) as scope:
            await pair.exchange.markets()
        assert scope.cancelled_caught
        faults.clear()
        assert await pair.exchange.markets()


async def test_faults_that_cannot_be_are_refused() -> None:
    async with opened() as pair:
        for point, kind in (("nowhere", "drop"), ("depth", "lie"), ("place.after_accept", "cut")):
            with pytest.raises(ValueError, match=r"."):
                pair.engine.faults.add(Fault(point=point, kind=kind))  # type: ignore[arg-type]


async def test_the_market_moves_by_the_clock_that_it_is_given() -> None:
    clock = ManualClock()
    async with opened(PaperSettings(rate=2), clock.runtime()) as pair:
        before = pair.engine.book("BTC/USDT").history.last_id
        assert before > 0
        await clock.advance(0.1)
        assert pair.engine.book("BTC/USDT").history.last_id == before
        await clock.advance(5)
        assert pair.engine.book("BTC/USDT").history.last_id > before


@pytest.mark.parametrize("rate", [0.5, 7, 31, 300])
async def test_the_market_keeps_its_rate(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, steps = ManualClock(), list[int]()
    async with opened(PaperSettings(rate=rate), clock.runtime()) as pair:
        monkeypatch.setattr(pair.exchange.market, "step", steps.append)
        await clock.advance(10)
        assert abs(sum(steps) - 10 * rate * len(pair.engine.markets)) <= 1
