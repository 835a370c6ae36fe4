"""Orders by their id: cancelling them, and finding them. A cancel goes out even while the journal doesn't work."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from msgspec import Struct

from . import client_ids, outcomes, rows
from .clock import Runtime
from .contract import check_order_id
from .errors import ExGateError, InvalidArgument, NotFound, NotSent, RateLimited, Refused, Unavailable
from .journal import Journal, JournalError, Step
from .lookups import Lookups, market_of
from .models import CancelResult, CancelStatus, Market, Order
from .outcomes import Account, text_of, told
from .rows import Row
from .waiting import Attempt

_SEND_SHARE = 0.6
_STATUSES = ("canceled", "already_canceled", "filled", "pending")
_ENDED: dict[str, CancelStatus] = {
    "filled": "filled",
    "canceled": "canceled",
    "expired": "canceled",
    "rejected": "canceled",
}
_log = logging.getLogger("exgate.orders")


class Target(Struct, frozen=True):
    """One order as its exchange knows it."""

    account: Account
    market: Market | None
    order_id: str
    client_order_id: str
    """The id that goes upstream."""
    row: Row | None

    @property
    def exchange(self) -> str:
        """The exchange's name."""
        return self.account.exchange.name

    @property
    def undecided(self) -> bool:
        """Whether the order itself may still appear at the exchange."""
        return self.row is not None and self.row.state in rows.MAYBE_SENT

    @property
    def shown(self) -> str:
        """The order for people."""
        return f"order {self.order_id or self.client_order_id}"


class Cancels:
    """What the orders room does with an order that is named by an id."""

    def __init__(
        self, journal: Journal, runtime: Runtime, attempt: Attempt, lookups: Lookups, step: Step, deadline: float
    ) -> None:
        self._journal, self._runtime, self._attempt, self._lookups = journal, runtime, attempt, lookups
        self._step, self._deadline = step, deadline

    async def row_of(self, account: Account, market: Market | None, order_id: str, client_order_id: str) -> Row | None:
        """The journal's row of an order. Raises JournalError; InvalidArgument for no id, or one of several markets."""
        check_order_id("order_id", order_id)
        check_order_id("client_order_id", client_order_id)
        symbol = "" if market is None else market.symbol
        if order_id:
            found = await self._journal.all_by_order_id(account.identity, order_id)
        elif client_order_id:
            found = await self._journal.all_by_client_id(account.identity, client_order_id, symbol)
        else:
            raise InvalidArgument.of("order_id", "is required, unless client_order_id names the order")
        found = [row for row in found if symbol in ("", row.symbol)]
        _check_one_market(order_id or client_order_id, {row.symbol for row in found})
        return found[0] if found else None

    async def find(self, account: Account, market: Market | None, order_id: str, client_order_id: str) -> Order:
        """The order as the exchange has it. Raises NotFound, Unavailable."""
        row = await self.row_of(account, market, order_id, client_order_id)
        target = _target(account, market, order_id, client_order_id, row, "find_order")
        try:
            found = await self._shown(target)
        except Exception as error:
            text = f"{target.exchange} gave no usable answer to the search for {target.shown}: {text_of(error)}"
            raise told(Unavailable(text, retry_after=1.0), target.exchange, target.client_order_id) from error
        order = _only(target, found)
        if order is None:
            raise told(_missing(target), target.exchange, target.client_order_id)
        return order

    async def cancel(
        self, account: Account, market: Market | None, order_id: str, client_order_id: str
    ) -> CancelResult:
        """Send one cancel and say what the order is now; after an error the order itself is looked at."""
        until = self._runtime.clock.monotonic() + self._deadline
        try:
            row = await self.row_of(account, market, order_id, client_order_id)
        except JournalError as error:
            _log.error("%s: a cancel goes out without the journal: %s", account.identity, error)
            row = None
        except InvalidArgument as error:
            raise _bad(error, account) from None
        try:
            target = _target(account, market, order_id, client_order_id, row, "cancel_order")
        except InvalidArgument as error:
            raise _bad(error, account) from None
        sent_ms = int(self._runtime.clock.time() * 1000)
        try:
            return await self._send(target, until)
        except ExGateError as error:
            raise told(error, target.exchange, target.client_order_id, sent_ms) from error.__cause__

    async def _send(self, target: Target, until: float) -> CancelResult:
        async def call() -> CancelResult:
            self._step("exchange.cancel")
            result = await target.account.cancel_order(target.market, target.order_id, target.client_order_id)
            self._step("exchange.canceled")
            return result

        try:
            result = await self._attempt.run(call, self._deadline * _SEND_SHARE)
        except NotSent as error:
            raise outcomes.not_sent(
                f"{target.exchange} was not reached: {text_of(error)}", error.retry_after
            ) from error
        except RateLimited as error:
            raise outcomes.limited(error, target.exchange) from error
        except (NotFound, Refused) as error:
            return await self._after_refusal(target, error)
        except Exception as error:
            return await self._after_silence(target, f"{type(error).__name__}: {text_of(error)}", until)
        if isinstance(result, CancelResult) and result.status in _STATUSES:
            return result
        return await self._after_silence(target, "an answer that is none", until)

    async def _after_refusal(self, target: Target, error: NotFound | Refused) -> CancelResult:
        """Exchanges mix up filled, cancelled and never heard of: look which it is."""
        try:
            order = await self._ask(target)
        except Exception as failure:
            _log.info("%s: looking after a refused cancel failed: %r", target.account.identity, failure)
            order = None
        if order is not None and order.status in _ENDED:
            ended = _ENDED[order.status]
            return CancelResult(status="already_canceled" if ended == "canceled" else ended)
        if target.undecided and order is None:
            text = f"{target.exchange} doesn't know {target.shown} yet, and its own outcome is undecided"
            raise outcomes.unknown_cancel(text)
        if isinstance(error, NotFound) and order is not None:
            raise outcomes.unknown_cancel(
                f"{target.exchange} didn't find {target.shown}, but lists it as {order.status}"
            )
        text = f"{target.exchange} refused to cancel {target.shown}: {text_of(error)}. Nothing was canceled."
        raise type(error)(text, reason=error.reason, metadata={**error.metadata, "outcome": "refused"}) from error

    async def _after_silence(self, target: Target, why: str, until: float) -> CancelResult:
        """The cancel may have arrived: look at the order until that shows."""
        pause = 0.01
        while True:
            try:
                order = await self._ask(target)
            except Exception as failure:
                _log.info("%s: looking after a cancel failed: %r", target.account.identity, failure)
                order = None
            if order is not None and order.status in _ENDED:
                return CancelResult(status=_ENDED[order.status])
            left = until - self._runtime.clock.monotonic()
            if left <= 0:
                raise outcomes.unknown_cancel(f"{target.exchange} doesn't tell what became of {target.shown} ({why})")
            await self._runtime.sleep(min(pause, left))
            pause = min(pause * 2, 1.0)

    async def _ask(self, target: Target) -> Order | None:
        return _only(target, await self._shown(target))

    async def _shown(self, target: Target) -> Sequence[Order]:
        """What the exchange shows under these names."""
        found = await self._lookups.ask(target.account, target.market, target.order_id, target.client_order_id)
        symbol = target.market.symbol if target.market is not None else ""
        return [order for order in found if target.order_id in ("", order.order_id) and symbol in ("", order.symbol)]


def _target(
    account: Account, market: Market | None, order_id: str, client_order_id: str, row: Row | None, operation: str
) -> Target:
    """The names under which the exchange knows the order. Raises InvalidArgument where a symbol is missing."""
    upstream = row.client_order_id if row else _upstream(account, client_order_id)
    if not order_id and not upstream and not (row and row.order_id):
        raise InvalidArgument.of("client_order_id", "this exchange has none; name the order by order_id")
    known = market or (market_of(account, row.symbol) if row else None)
    if known is None and operation in account.capabilities.symbol_needed:
        raise InvalidArgument.of("symbol", f"is required: {account.exchange.name} finds orders by symbol only")
    return Target(account, known, order_id or (row.order_id if row else ""), upstream, row)


def _only(target: Target, found: Sequence[Order]) -> Order | None:
    """The newest of the orders. Raises InvalidArgument where an order id is that of several markets."""
    if target.order_id:
        _check_one_market(target.order_id, {order.symbol for order in found})
    return max(found, key=lambda order: order.time, default=None)


def _check_one_market(name: str, symbols: Collection[str]) -> None:
    """Ids are unique per market: the same one may be that of two orders. Raises InvalidArgument where it is."""
    if len(symbols) > 1:
        text = f"is required: {' and '.join(sorted(symbols))} each have an order {name}; send the one you mean"
        raise InvalidArgument.of("symbol", text)


def _upstream(account: Account, client_order_id: str) -> str:
    rule = account.capabilities.client_ids
    return client_ids.own(rule, client_order_id) if rule is not None and client_order_id else ""


def _bad(error: InvalidArgument, account: Account) -> ExGateError:
    error.message = f"{error.message}. Nothing was sent."
    error.metadata["outcome"] = "refused"
    return told(error, account.exchange.name)


def _missing(target: Target) -> NotFound:
    row = target.row
    if row is None or row.state == rows.DAMAGED:
        return NotFound(f"{target.exchange} has no {target.shown}", reason="NO_SUCH_ORDER")
    if row.state == rows.PLACED:
        text = f"{target.exchange} placed it as order {row.order_id} and doesn't list it any more"
        return NotFound(text, reason="ORDER_NOT_LISTED", metadata={"outcome": "placed", "order_id": row.order_id})
    outcome = "refused" if row.state == rows.REFUSED else "not-sent"
    return NotFound(f"{target.shown} was never placed", reason="NEVER_PLACED", metadata={"outcome": outcome})
