"""An account whose exchange does what a script says, and keeps the truth in a ledger."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from exgate_core.errors import NotFound, NotSent, RateLimited, Refused
from exgate_core.markets import MarketList
from exgate_core.models import AccountCapabilities, CancelResult, ClientIds, Market, Order, OrderRequest, OrderStatus

BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT", tick_size="0.01", step_size="0.001")
ETH = Market(symbol="ETH/BTC", id="ETHBTC", base="ETH", quote="BTC", tick_size="0.01", step_size="0.001")
RECOVERABLE = AccountCapabilities(client_ids=ClientIds(), order_recovery="full", settle=0.02)


class FakeExchange:
    """The public side."""

    name = "fake"
    markets = MarketList([BTC, ETH])


@dataclass
class Desk:
    """``script``: what the next calls of place_order do; ``finds`` and ``cancels`` likewise. An empty one = well."""

    identity: str = "fake:main"
    capabilities: AccountCapabilities = RECOVERABLE
    settle: float = 0.02
    exchange: FakeExchange = field(default_factory=FakeExchange)
    script: deque[str] = field(default_factory=deque)
    finds: deque[str] = field(default_factory=deque)
    cancels: deque[str] = field(default_factory=deque)
    ledger: list[Order] = field(default_factory=list)
    lacks: frozenset[str] = frozenset()
    sends: int = 0
    looks: int = 0
    cancel_sends: int = 0
    time: Callable[[], float] = lambda: 0.0
    ahead: float | None = None
    """Seconds by which the exchange's clock, ``time``, is measured ahead of itself; None = nobody has measured it."""
    gate: asyncio.Event | None = None
    """While set and not yet triggered, place_order waits for it after it was counted."""

    def has(self, operation: str) -> bool:
        return operation not in self.lacks

    def exchange_now(self) -> int:
        return 0 if self.ahead is None else int((self.time() + self.ahead) * 1000)

    async def reached(self) -> None:
        """Wait until an order has come."""
        while not self.sends:
            await anyio.lowlevel.checkpoint()

    async def place_order(self, order: OrderRequest) -> str:
        self.sends += 1
        if self.gate is not None:
            await self.gate.wait()
        return await _PLACE[self.script.popleft() if self.script else "accept"](self, order)

    def accept(self, order: OrderRequest) -> str:
        made = Order(
            order_id=str(1000 + len(self.ledger)),
            symbol=order.market.symbol,
            side=order.side,
            type=order.type,
            price=order.price or "0",
            amount=order.amount,
            client_order_id=order.client_order_id,
            time=int(self.time() * 1000),
        )
        self.ledger.append(made)
        return made.order_id

    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        self.looks += 1
        what = self.finds.popleft() if self.finds else "well"
        if what == "fail":
            raise ConnectionResetError("reset")
        if what == "hang":
            await asyncio.Event().wait()
        if what == "missing":
            raise NotFound("no such order")
        return [
            order
            for order in self.ledger
            if (order_id and order.order_id == order_id) or (not order_id and order.client_order_id == client_order_id)
        ]

    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        self.cancel_sends += 1
        what = self.cancels.popleft() if self.cancels else "well"
        if what == "not_sent":
            raise NotSent("no route")
        if what == "limited":
            raise RateLimited("slow down", retry_after=3)
        if what == "refuse":
            raise Refused("not now")
        if what == "drop_before":
            raise ConnectionResetError("reset")
        found = await self.find_order(market, order_id, client_order_id)
        if not found or found[0].status not in ("open", "partially_filled"):
            raise NotFound("unknown order")
        self.end(found[0].order_id, "canceled")
        if what == "drop_after":
            raise ConnectionResetError("reset")
        if what == "junk":
            return None  # type: ignore[return-value]  # what a careless adapter does
        return CancelResult(status="canceled")

    def end(self, order_id: str, status: OrderStatus) -> None:
        """Change the status of an order."""
        for place, order in enumerate(self.ledger):
            if order.order_id == order_id:
                self.ledger[place] = Order(
                    **{name: getattr(order, name) for name in order.__struct_fields__} | {"status": status}
                )


async def _accept(desk: Desk, order: OrderRequest) -> str:
    return desk.accept(order)


async def _refuse(desk: Desk, order: OrderRequest) -> str:
    raise Refused("insufficient balance", reason="INSUFFICIENT_BALANCE")


async def _not_sent(desk: Desk, order: OrderRequest) -> str:
    raise NotSent("connection refused")


async def _limited(desk: Desk, order: OrderRequest) -> str:
    raise RateLimited("too many", retry_after=7)


async def _drop_before(desk: Desk, order: OrderRequest) -> str:
    raise ConnectionResetError("reset before")


async def _drop_after(desk: Desk, order: OrderRequest) -> str:
    desk.accept(order)
    raise ConnectionResetError("reset after")


async def _empty(desk: Desk, order: OrderRequest) -> str:
    desk.accept(order)
    return ""


async def _none(desk: Desk, order: OrderRequest) -> str:
    desk.accept(order)
    return None  # type: ignore[return-value]  # what a careless adapter does


async def _rejected(desk: Desk, order: OrderRequest) -> str:
    """Takes the order in, rejects it later."""
    desk.end(desk.accept(order), "rejected")
    raise ConnectionResetError("reset after")


async def _number(desk: Desk, order: OrderRequest) -> str:
    return int(desk.accept(order))  # type: ignore[return-value]  # likewise


async def _hang_before(desk: Desk, order: OrderRequest) -> str:
    await asyncio.Event().wait()
    raise AssertionError


async def _hang_after(desk: Desk, order: OrderRequest) -> str:
    desk.accept(order)
    await asyncio.Event().wait()
    raise AssertionError


async def _stubborn(desk: Desk, order: OrderRequest) -> str:
    """Accepts, and ignores being cancelled once."""
    desk.accept(order)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(0)
    return "late"


async def _bug(desk: Desk, order: OrderRequest) -> str:
    raise ZeroDivisionError("a bug of the adapter")


async def _duplicate(desk: Desk, order: OrderRequest) -> str:
    raise Refused("Duplicate order sent.", reason="DUPLICATE_CLIENT_ORDER_ID")


async def _twice(desk: Desk, order: OrderRequest) -> str:
    """Something on the way sent the order twice: the answer is that to the second one."""
    desk.accept(order)
    raise Refused("Duplicate order sent.", reason="DUPLICATE_CLIENT_ORDER_ID")


_PLACE: dict[str, Callable[[Desk, OrderRequest], Awaitable[str]]] = {
    "accept": _accept,
    "refuse": _refuse,
    "not_sent": _not_sent,
    "limited": _limited,
    "drop_before": _drop_before,
    "drop_after": _drop_after,
    "empty": _empty,
    "none": _none,
    "number": _number,
    "rejected": _rejected,
    "hang_before": _hang_before,
    "hang_after": _hang_after,
    "stubborn": _stubborn,
    "bug": _bug,
    "duplicate": _duplicate,
    "twice": _twice,
}
