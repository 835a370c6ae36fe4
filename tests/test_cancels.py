"""Cancelling and finding orders by their ids."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import pytest
from msgspec import structs

from exgate_core import rows
from exgate_core.contract import PlaceBody
from exgate_core.errors import (
    ExGateError,
    InvalidArgument,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
    Unimplemented,
)
from exgate_core.models import AccountCapabilities, CancelResult, ClientIds, Market, OrderRequest, OrderStatus
from tests.support.desk import BTC, ETH, RECOVERABLE, Desk
from tests.support.room import Room, anyio_backend, failure, foreign, room, virtual

__all__ = ["anyio_backend", "room", "virtual"]  # fixtures: pytest finds them by their names here

pytestmark = pytest.mark.anyio


async def test_a_cancel_says_what_the_order_is_now(room: Room) -> None:
    desk = Desk()
    for _ in range(2):
        await room.place(desk, key="")
    desk.end("1001", "filled")
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "already_canceled"
    assert (await room.orders.cancel(desk, None, "1001", "")).status == "filled"
    error = await failure_of_cancel(room, desk, "99")
    assert isinstance(error, NotFound)


async def failure_of_cancel(room: Room, desk: Desk, order_id: str = "1000", client_order_id: str = "") -> ExGateError:
    with pytest.raises(ExGateError) as caught:
        await room.orders.cancel(desk, None, order_id, client_order_id)
    return caught.value


@pytest.mark.parametrize(
    ("happens", "kind", "outcome"),
    [
        ("not_sent", NotSent, "not-sent"),
        ("limited", RateLimited, "not-sent"),
        ("refuse", Refused, "refused"),
        ("drop_before", OutcomeUnknown, "unknown"),
    ],
)
async def test_a_cancel_that_did_not_work_is_told_as_what_it_is(
    room: Room, happens: str, kind: type[ExGateError], outcome: str
) -> None:
    desk = Desk()
    await room.place(desk)
    desk.cancels.append(happens)
    error = await failure_of_cancel(room, desk)
    assert (type(error), error.metadata["outcome"]) == (kind, outcome)
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"


async def test_a_cancel_whose_answer_is_lost_is_looked_up(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    desk.cancels.append("drop_after")
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"
    assert desk.cancel_sends == 1


async def test_a_caller_who_leaves_cuts_no_cancel(room: Room) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()

    class Slow(Desk):
        async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
            reached.set()
            await gate.wait()
            return await super().cancel_order(market, order_id, client_order_id)

    desk = Slow()
    placed = await room.place(desk)
    caller = asyncio.ensure_future(room.orders.cancel(desk, BTC, placed.order_id, ""))
    await reached.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    gate.set()
    assert await room.orders.drain(5)
    assert desk.cancel_sends == 1
    (order,) = await desk.find_order(BTC, placed.order_id, "")
    assert order.status == "canceled"


async def test_a_cancel_goes_out_without_the_journal_and_while_draining(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    room.broken.update({"journal.read", "journal.intent", "journal.commit"})
    room.orders.close()
    assert (await room.orders.cancel(desk, BTC, "1000", "")).status == "canceled"


async def test_a_cancel_by_client_id_reaches_the_order_under_its_id_upstream(room: Room) -> None:
    desk = Desk(
        capabilities=structs.replace(RECOVERABLE, client_ids=ClientIds(prefix="t-", pattern=r"t-[a-z0-9]{1,28}"))
    )
    await room.place(desk, client_order_id="mine")
    assert desk.ledger[0].client_order_id == "t-mine"
    assert (await room.orders.cancel(desk, None, "", "mine")).status == "canceled"


async def test_a_cancel_takes_the_symbol_from_the_journal_or_asks_for_it(room: Room) -> None:
    needy: AccountCapabilities = structs.replace(RECOVERABLE, symbol_needed=frozenset({"cancel_order"}))
    desk = Desk(capabilities=needy)
    await room.place(desk)
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"
    error = await failure_of_cancel(room, desk, "55")
    assert isinstance(error, InvalidArgument)
    assert error.violations[0].field == "symbol"


async def test_a_cancel_of_an_order_that_may_still_appear_is_not_called_not_found(room: Room) -> None:
    desk = Desk(settle=5.0)
    desk.script.append("drop_before")
    await failure(lambda: room.place(desk, client_order_id="x"))
    assert isinstance(await failure_of_cancel(room, desk, "", "x"), OutcomeUnknown)


async def test_an_order_is_found_by_either_id(room: Room) -> None:
    desk = Desk()
    await room.place(desk, client_order_id="mine")
    assert (await room.orders.find(desk, None, "1000", "")).order_id == "1000"
    assert (await room.orders.find(desk, None, "", "mine")).order_id == "1000"
    with pytest.raises(NotFound):
        await room.orders.find(desk, None, "4711", "")
    assert desk.sends == 1


async def test_finding_an_undecided_order_decides_it(room: Room) -> None:
    desk = Desk()
    desk.script.append("drop_after")
    desk.finds.extend(["fail"] * 200)
    await failure(lambda: room.place(desk, client_order_id="x"))
    with pytest.raises(ExGateError):
        await room.orders.find(desk, None, "", "x")
    desk.finds.clear()
    assert (await room.orders.find(desk, None, "", "x")).order_id == "1000"
    row = await room.journal.by_key(desk.identity, "k:k")
    assert row is not None
    assert row.state == rows.PLACED
    assert desk.sends == 1


async def test_an_order_that_was_never_placed_is_not_found_and_says_why(room: Room) -> None:
    desk = Desk()
    desk.script.append("refuse")
    await failure(lambda: room.place(desk, client_order_id="x"))
    with pytest.raises(NotFound) as caught:
        await room.orders.find(desk, None, "", "x")
    assert caught.value.metadata["outcome"] == "refused"


async def test_what_a_plugin_lacks_is_refused_before_anything_is_sent(room: Room) -> None:
    desk = Desk(lacks=frozenset({"place_order", "cancel_order", "find_order"}))
    assert isinstance(await failure(lambda: room.place(desk)), Unimplemented)
    assert isinstance(await failure_of_cancel(room, desk), Unimplemented)
    with pytest.raises(Unimplemented):
        await room.orders.find(desk, None, "1", "")
    assert desk.sends == 0


async def test_an_order_that_is_being_sent_is_not_called_never_placed(room: Room) -> None:
    desk = Desk(gate=asyncio.Event())
    assert desk.gate is not None
    placing = asyncio.ensure_future(room.place(desk, client_order_id="x"))
    await desk.reached()
    finding = asyncio.ensure_future(room.orders.find(desk, None, "", "x"))
    await anyio.lowlevel.checkpoint()
    desk.gate.set()
    assert (await finding).order_id == (await placing).order_id


async def test_a_cancel_answered_with_nonsense_is_looked_up(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    desk.cancels.append("junk")
    assert (await room.orders.cancel(desk, None, "1000", "")).status == "canceled"


async def test_a_cancel_that_nobody_can_look_up_is_unknown(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    desk.cancels.append("drop_before")
    desk.finds.extend(["fail"] * 100)
    error = await failure_of_cancel(room, desk)
    assert (type(error), error.reason) == (OutcomeUnknown, "CANCEL_OUTCOME_UNKNOWN")


async def test_a_refused_cancel_whose_order_cannot_be_seen_stays_refused(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    desk.cancels.append("refuse")
    desk.finds.append("fail")
    assert isinstance(await failure_of_cancel(room, desk), Refused)


@pytest.mark.parametrize(("order_id", "client_order_id"), [("", ""), ("../x", ""), ("", "a b")])
async def test_a_cancel_needs_an_id_that_can_be_one(room: Room, order_id: str, client_order_id: str) -> None:
    error = await failure_of_cancel(room, Desk(), order_id, client_order_id)
    assert (type(error), error.metadata["outcome"]) == (InvalidArgument, "refused")
    assert error.message.endswith("Nothing was sent.")


async def test_an_exchange_without_client_ids_wants_the_order_id(room: Room) -> None:
    desk = Desk(capabilities=AccountCapabilities())
    assert isinstance(await failure_of_cancel(room, desk, "", "mine"), InvalidArgument)


async def test_while_the_exchange_is_away_nothing_is_called_not_found(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    desk.finds.append("fail")
    with pytest.raises(Unavailable):
        await room.orders.find(desk, None, "1000", "")


async def test_a_placed_order_that_is_not_listed_any_more_says_so(room: Room) -> None:
    desk = Desk()
    await room.place(desk)
    desk.ledger.clear()
    with pytest.raises(NotFound) as caught:
        await room.orders.find(desk, None, "1000", "")
    assert caught.value.metadata["outcome"] == "placed"


class PerMarket(Desk):
    """Counts the orders of each market from 1000 on; finds and cancels them by market."""

    def accept(self, order: OrderRequest) -> str:
        order_id = str(1000 + sum(other.symbol == order.market.symbol for other in self.ledger))
        super().accept(order)
        self.ledger[-1] = structs.replace(self.ledger[-1], order_id=order_id)
        return order_id

    def end(self, order_id: str, status: OrderStatus) -> None:
        raise AssertionError("which one?")

    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        assert market is not None
        self.ledger = [
            structs.replace(order, status="canceled")
            if (order.symbol, order.order_id) == (market.symbol, order_id)
            else order
            for order in self.ledger
        ]
        return CancelResult(status="canceled")

    @property
    def states(self) -> dict[str, str]:
        """Status by symbol."""
        return {order.symbol: order.status for order in self.ledger}


async def place_in(room: Room, desk: Desk, market: Market, key: str) -> str:
    body = PlaceBody(symbol=market.symbol, side="buy", type="limit", price="100.00", amount="1")
    return (await room.orders.place(desk, market, body, key)).order_id


async def test_an_order_is_found_whose_id_an_order_of_another_market_has(room: Room) -> None:
    desk = PerMarket(settle=0.1)
    assert await place_in(room, desk, BTC, "btc") == "1000"
    desk.script.append("drop_after")
    assert await place_in(room, desk, ETH, "eth") == "1000"
    assert len(desk.ledger) == 2


async def test_an_id_that_counts_anew_in_the_same_market_makes_no_placed_order_a_refused_one(room: Room) -> None:
    desk = PerMarket(settle=0.1)
    assert await place_in(room, desk, BTC, "before") == "1000"
    desk.ledger.clear()
    desk.script.append("drop_after")
    assert await place_in(room, desk, BTC, "after") == "1000"


async def test_an_id_of_two_markets_needs_its_symbol(room: Room) -> None:
    desk = PerMarket()
    for market in (BTC, ETH):
        await place_in(room, desk, market, market.symbol)
    failed = await failure_of_cancel(room, desk)
    assert isinstance(failed, InvalidArgument) and failed.violations[0].field == "symbol"
    for asking in (room.orders.cancel(desk, None, "1000", ""), room.orders.find(desk, None, "1000", "")):
        with pytest.raises(InvalidArgument, match="BTC/USDT and ETH/BTC each have an order 1000; send"):
            await asking
    assert desk.states == {"BTC/USDT": "open", "ETH/BTC": "open"}
    for market, ended in (
        (BTC, {"BTC/USDT": "canceled", "ETH/BTC": "open"}),
        (ETH, {"BTC/USDT": "canceled", "ETH/BTC": "canceled"}),
    ):
        assert (await room.orders.find(desk, market, "1000", "")).symbol == market.symbol
        assert (await room.orders.cancel(desk, market, "1000", "")).status == "canceled"
        assert desk.states == ended


async def test_an_id_of_two_markets_that_only_the_exchange_knows_needs_its_symbol_too(room: Room) -> None:
    desk = Desk()
    desk.ledger += [foreign(1.0), structs.replace(foreign(2.0), symbol="ETH/BTC")]
    with pytest.raises(InvalidArgument, match="BTC/USDT and ETH/BTC each have an order 7"):
        await room.orders.find(desk, None, "7", "")
    assert (await room.orders.find(desk, BTC, "7", "")).symbol == "BTC/USDT"


async def test_a_client_id_of_another_market_never_cancels_by_that_orders_id(room: Room) -> None:
    desk = PerMarket()
    body = PlaceBody(
        symbol="BTC/USDT", side="buy", type="limit", price="100.00", amount="1", options={"client_order_id": "mine"}
    )
    await room.orders.place(desk, BTC, body, "")
    await place_in(room, desk, ETH, "eth")
    await room.orders.cancel(desk, ETH, "", "mine")
    assert desk.states == {"BTC/USDT": "open", "ETH/BTC": "open"}


async def test_an_undecided_order_is_not_asked_for_in_place_of_another_markets(room: Room) -> None:
    desk = PerMarket()
    await place_in(room, desk, BTC, "btc")
    desk.looks = 0
    with pytest.raises(NotFound) as caught:
        await room.orders.find(desk, ETH, "1000", "")
    assert caught.value.reason == "NO_SUCH_ORDER"


@pytest.mark.parametrize("newest", ["placed", "undecided", "refused"])
async def test_a_client_id_of_two_markets_needs_the_symbol(room: Room, newest: str) -> None:
    """Exchanges take a client id again in another market, and so does the gateway for another key."""
    desk = Desk(settle=5.0)
    await room.place(desk, "1", client_order_id="mine")
    desk.script.extend({"undecided": ["drop_before"], "refused": ["refuse"]}.get(newest, []))
    body = PlaceBody(
        symbol="ETH/BTC", side="buy", type="limit", price="0.05", amount="1", options={"client_order_id": "mine"}
    )
    with contextlib.suppress(ExGateError):
        await room.orders.place(desk, ETH, body, "2")
    if newest != "refused":
        error = await failure_of_cancel(room, desk, "", "mine")
        assert isinstance(error, InvalidArgument) and error.violations[0].field == "symbol"
        assert "BTC/USDT and ETH/BTC each have an order mine" in error.message
        with pytest.raises(InvalidArgument, match="BTC/USDT and ETH/BTC"):
            await room.orders.find(desk, None, "", "mine")
        assert desk.cancel_sends == 0
    market = None if newest == "refused" else BTC
    assert (await room.orders.find(desk, market, "", "mine")).symbol == "BTC/USDT"
    assert (await room.orders.cancel(desk, market, "", "mine")).status == "canceled"
    assert desk.ledger[0].status == "canceled"
