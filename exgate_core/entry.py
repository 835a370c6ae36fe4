"""One name of the API: an exchange, its reads and feeds, and the accounts behind it, inside the plugins' wrappers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from .account import Account
from .accounts import Accounts
from .clock import Clock
from .contract import PlaceBody
from .errors import ExGateError, PermissionDenied
from .feeds import Reader
from .hookspecs import Proceed, Wrapper
from .models import Answer, Balance, Call, CancelResult, Depth, Freshness, Market, Order, Trade
from .opening import Public
from .orders import Orders, Placed
from .settings import Credentials
from .settling import settle
from .wrapping import in_time, send_once, wrap

T = TypeVar("T")


class Entry:
    """What doors call for one name. Every method raises ExGateError and nothing else."""

    def __init__(
        self,
        name: str,
        public: Public,
        accounts: Accounts,
        orders: Orders,
        clock: Clock,
        wrappers: Callable[[str], Sequence[Wrapper]],
        *,
        deadline: float,
    ) -> None:
        self.name = name
        self.exchange = public.exchange
        self.private_real = accounts.private.real
        """Whether an account behind this name holds real money."""
        self._public, self._accounts, self._orders, self._clock = public, accounts, orders, clock
        self._account_capabilities, self._deadline = accounts.private.capabilities, deadline
        self._wrappers = {operation: tuple(wrappers(operation)) for operation in _OPERATIONS}
        self._wrapped = {name: wrap(self._wrappers[name], final) for name, final in self._public_finals().items()}
        self._bare_reads = not (self._wrappers["depth"] or self._wrappers["recent_trades"])

    async def depth(self, market: Market, limit: int, freshness: Freshness) -> Answer[Depth]:
        """The book."""
        if self._bare_reads:
            return await self._public.reads.depth(market, limit, freshness, deadline=self._deadline)
        answer: Answer[Depth] = await self._read("depth", market, limit=limit, freshness=freshness)
        return answer

    async def recent_trades(self, market: Market, limit: int, freshness: Freshness) -> Answer[Sequence[Trade]]:
        """The newest trades, oldest first."""
        if self._bare_reads:
            return await self._public.reads.recent_trades(market, limit, freshness, deadline=self._deadline)
        answer: Answer[Sequence[Trade]] = await self._read("recent_trades", market, limit=limit, freshness=freshness)
        return answer

    async def balances(self, credentials: Credentials | None) -> Answer[Sequence[Balance]]:
        """What the account holds."""
        return await self._private(credentials, "balances", None, {}, lambda account: self._timed(account.balances()))

    async def pending_orders(self, credentials: Credentials | None, market: Market | None) -> Answer[Sequence[Order]]:
        """The account's open orders."""

        def ask(account: Account) -> Awaitable[Answer[Sequence[Order]]]:
            return self._timed(account.pending_orders(market))

        return await self._private(credentials, "pending_orders", market, {}, ask)

    async def find_order(
        self, credentials: Credentials | None, market: Market | None, order_id: str, client_order_id: str
    ) -> Order:
        """One order from the journal and the exchange; can never send."""

        def ask(account: Account) -> Awaitable[Order]:
            return self._orders.find(account, market, order_id, client_order_id)

        arguments = {"order_id": order_id, "client_order_id": client_order_id}
        return await self._private(credentials, "find_order", market, arguments, ask)

    async def place_order(
        self,
        credentials: Credentials | None,
        market: Market,
        body: PlaceBody,
        key: str,
        refusal: ExGateError | None = None,
    ) -> Placed:
        """Place once. ``key`` is the caller's Idempotency-Key, or empty; ``refusal`` as in ``Orders.place``."""
        account = await self._account(credentials)
        if not account.trading:
            refusal = refusal or _trading_off(self.name)

        async def final(call: Call) -> Placed:
            return await self._orders.place(account, market, body, key, refusal)

        arguments = {"body": body, "key": key}
        call = Call(
            exchange=self.name, operation="place_order", market=market, account=account.name, arguments=arguments
        )
        placed: Placed = await send_once(self._wrappers["place_order"], final, call, self._deadline)
        return placed

    async def cancel_order(
        self, credentials: Credentials | None, market: Market | None, order_id: str, client_order_id: str
    ) -> CancelResult:
        """Cancel once, by either id."""
        account = await self._account(credentials)

        async def final(call: Call) -> CancelResult:
            return await self._orders.cancel(account, market, order_id, client_order_id)

        arguments = {"order_id": order_id, "client_order_id": client_order_id}
        call = Call(
            exchange=self.name, operation="cancel_order", market=market, account=account.name, arguments=arguments
        )
        result: CancelResult = await send_once(self._wrappers["cancel_order"], final, call, self._deadline)
        return result

    async def pull_trade(
        self, market: Market, since_id: str | None, serve: Callable[[Reader], Awaitable[None]]
    ) -> None:
        """Subscribe and run ``serve(reader)``; the subscription lasts as long as it does."""

        async def final(call: Call) -> None:
            async with self._public.feeds.subscribe(market, since_id) as reader:
                await serve(reader)

        call = Call(exchange=self.name, operation="pull_trade", market=market, arguments={"since_id": since_id})
        await wrap(self._wrappers["pull_trade"], final)(call)

    def pin(self, market: Market) -> tuple[str, str]:
        """Keep the feed running without readers; its status and what that means."""
        return self._public.feeds.pin(market)

    def unpin(self, market: Market) -> tuple[str, str]:
        """Let the feed stop when its readers are gone."""
        return self._public.feeds.unpin(market)

    def pulls(self) -> list[dict[str, Any]]:
        """Every feed: symbol, stream, status, desc, pinned, readers, age."""
        return list(self._public.feeds.statuses())

    def capabilities(self) -> dict[str, Any]:
        """What works here and how, as plain JSON values."""
        account = self._account_capabilities
        stated: dict[str, Any] = {
            "exchange": self.exchange.name,
            "operations": self.exchange.serves(),
            "public": msgspec.to_builtins(self.exchange.capabilities),
            "private": None if account is None else msgspec.to_builtins(account),
        }
        return stated

    async def _read(self, operation: str, market: Market, **arguments: Any) -> Any:
        call = Call(exchange=self.name, operation=operation, market=market, arguments=arguments)
        return await in_time(self._deadline, self._wrapped[operation], call)

    def _public_finals(self) -> Mapping[str, Proceed]:
        reads = self._public.reads

        async def depth(call: Call) -> Any:
            assert call.market is not None
            limit, freshness = call.arguments["limit"], call.arguments["freshness"]
            return await reads.depth(call.market, limit, freshness, deadline=self._deadline)

        async def recent_trades(call: Call) -> Any:
            assert call.market is not None
            limit, freshness = call.arguments["limit"], call.arguments["freshness"]
            return await reads.recent_trades(call.market, limit, freshness, deadline=self._deadline)

        return {"depth": depth, "recent_trades": recent_trades}

    async def _private(
        self,
        credentials: Credentials | None,
        operation: str,
        market: Market | None,
        arguments: Mapping[str, Any],
        ask: Callable[[Account], Awaitable[T]],
    ) -> T:
        account = await self._accounts.get(credentials, self._deadline)

        async def final(call: Call) -> T:
            return await ask(account)

        call = Call(exchange=self.name, operation=operation, market=market, account=account.name, arguments=arguments)
        wrappers = self._wrappers[operation]
        if not wrappers:
            return await final(call)
        found: T = await in_time(self._deadline, wrap(wrappers, final), call)
        return found

    async def _timed(self, asking: Awaitable[T]) -> Answer[T]:
        left = self._clock.monotonic()
        found = await asking
        return Answer(found, "exchange", self._clock.monotonic() - left)

    async def _account(self, credentials: Credentials | None) -> Account:
        try:
            return await self._accounts.get(credentials, self._deadline)
        except ExGateError as error:
            raise settle(error, may_have_left=False) from error


def _trading_off(name: str) -> PermissionDenied:
    return PermissionDenied(
        f"trading is off for {name}: set trading = true in its section. Nothing was sent.",
        reason="TRADING_OFF",
        metadata={"outcome": "refused"},
    )


_OPERATIONS = (
    "depth",
    "recent_trades",
    "pull_trade",
    "balances",
    "place_order",
    "cancel_order",
    "pending_orders",
    "find_order",
)
