"""The private side: balances and orders of one set of credentials ("Orders", HTTP API v2)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from exgate_core.budget import Lane
from exgate_core.client import Context
from exgate_core.errors import NotFound, RateLimited
from exgate_core.fetch import Response, bad_answer, decode
from exgate_core.hookspecs import hookimpl
from exgate_core.models import (
    AccountCapabilities,
    Balance,
    CancelResult,
    ClientIds,
    Market,
    Option,
    Order,
    OrderRequest,
)

from . import private_parse as parse
from .exchange import REST
from .failures import judged
from .signing import FORM, VERSION, signature

HOST: Final = urlsplit(REST).netloc
_FLAGS: Final = {"IOC": "ioc_order", "FOK": "fok_order"}
_PENDING: Final = "Cancel pending"
_PATIENCE: Final = 2.0
"""Seconds that an order or a cancel may wait for its turn: later it is another order."""

T = TypeVar("T")


class BitstampAccount:
    """One set of credentials."""

    # "Order status" knows an order for 30 days, whatever became of it, by its id or by its client order id; such an id
    # can't be used again (400.019).
    capabilities = AccountCapabilities(
        client_ids=ClientIds(pattern=r"[A-Za-z0-9_-]{1,36}", max_length=36),
        order_recovery="full",
        times_in_force=frozenset({"GTC", "IOC", "FOK"}),
        post_only=True,
        quote_amount=True,
        options={
            "daily_order": Option(description="limit orders: cancelled at midnight UTC", kind="boolean"),
        },
    )

    def __init__(self, context: Context) -> None:
        self._http = context.http(REST)
        self._exchange, self._credentials = context.exchange, context.credentials
        self._clock, self._random, self._budget = context.clock, context.random, context.budget
        self._deadline = context.deadline

    @hookimpl
    async def balances(self) -> Sequence[Balance]:
        """``POST /api/v2/account_balances/``."""
        return parse.balances(await self._ask("/api/v2/account_balances/", {}, parse.BALANCES))

    @hookimpl
    async def place_order(self, order: OrderRequest) -> str:
        """``POST /api/v2/buy|sell/[market/|instant/]MARKET/``, once."""
        path, form = placing(order)
        placed = decode(await self._signed(path, form, lane="orders"), parse.PLACED)
        if placed.client_order_id not in (None, "", order.client_order_id):
            raise bad_answer(REST + path, f"it is about order {placed.id}")
        return str(placed.id)

    @hookimpl
    async def cancel_order(self, market: Market | None, order_id: str, client_order_id: str) -> CancelResult:
        """``POST /api/v2/cancel_order/``, always by the order's id: an answer names no other."""
        order_id = order_id or await self._id_of(client_order_id)
        path = "/api/v2/cancel_order/"
        canceled = decode(await self._signed(path, {"id": order_id}, lane="cancels"), parse.CANCELED)
        if str(canceled.id) != order_id:
            raise bad_answer(REST + path, f"it is about order {canceled.id}")
        return CancelResult(status="pending" if canceled.status == _PENDING else "canceled")

    @hookimpl
    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """``POST /api/v2/open_orders/all/`` or ``.../MARKET/``: all of them in one answer."""
        path = f"/api/v2/open_orders/{market.id if market is not None else 'all'}/"
        native = self._native()
        return [parse.open_order(row, native) for row in await self._ask(path, {}, parse.OPEN_ORDERS)]

    @hookimpl
    async def find_order(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """``POST /api/v2/order_status/``: open, finished, cancelled and expired orders of 30 days."""
        if order_id and not order_id.isdecimal():
            return []
        form = {"id": order_id} if order_id else {"client_order_id": client_order_id}
        try:
            row = await self._ask("/api/v2/order_status/", form, parse.ORDER_STATE, "lookups")
        except NotFound:
            return []
        if (str(row.id) != order_id) if order_id else row.client_order_id not in (None, "", client_order_id):
            raise bad_answer(f"{REST}/api/v2/order_status/", f"it is about order {row.id}")
        return [parse.order_state(row, self._native())]

    async def _id_of(self, client_order_id: str) -> str:
        found = await self.find_order(None, "", client_order_id)
        if not found:
            raise NotFound(f"Bitstamp has no order {client_order_id}", reason="NO_SUCH_ORDER")
        return found[0].order_id

    async def _ask(
        self, path: str, form: Mapping[str, str], decoder: msgspec.json.Decoder[T], lane: Lane = "data"
    ) -> T:
        return decode(await self._signed(path, form, lane=lane), decoder)

    async def _signed(self, path: str, form: Mapping[str, str], *, lane: Lane = "data") -> Response:
        """One request, signed when its turn has come. Raises what its answer says."""
        body = urlencode(form)
        if self._budget is not None:
            await self._budget.take(1, lane, _PATIENCE if lane in ("orders", "cancels") else self._deadline)
        headers = self._headers(path, body)
        response = await self._http.request(
            "POST", path, headers=headers, body=body.encode() or None, weight=0, lane=lane
        )
        error = judged(response)
        if isinstance(error, RateLimited) and self._budget is not None:
            self._budget.pause(error.retry_after or 0.0)
        if error is not None:
            raise error
        return response

    def _headers(self, path: str, body: str) -> dict[str, str]:
        key, secret = self._credentials.api_key.reveal(), self._credentials.api_secret.reveal()
        now = self._clock.time()
        # A nonce may not come twice within 150 s: not even where chance is replayed.
        nonce = str(uuid.UUID(int=(self._random.getrandbits(128) ^ int(now * 1e6)), version=4))
        timestamp = str(int(now * 1000))
        return {
            "X-Auth": f"BITSTAMP {key}",
            "X-Auth-Signature": signature(secret, key, "POST", HOST, path, nonce, timestamp, body),
            "X-Auth-Nonce": nonce,
            "X-Auth-Timestamp": timestamp,
            "X-Auth-Version": VERSION,
            **({"Content-Type": FORM} if body else {}),
        }

    def _native(self) -> dict[str, str]:
        return {market.symbol: market.id for market in self._exchange.markets}


def placing(order: OrderRequest) -> tuple[str, dict[str, str]]:
    """Path and form of an order: limit, market (amount in the base), or instant (amount in the counter currency)."""
    form = {"amount": order.quote_amount or order.amount, "client_order_id": order.client_order_id}
    kind = ""
    if order.type == "market":
        kind = "instant/" if order.quote_amount else "market/"
        if order.quote_amount and order.side == "sell":
            form["amount_in_counter"] = "True"
    else:
        flags = (_FLAGS.get(order.time_in_force, ""), "moc_order" if order.post_only else "")
        form |= {"price": order.price, **{flag: "True" for flag in flags if flag}}
        if order.options.get("daily_order") == "true":
            form["daily_order"] = "True"
    return f"/api/v2/{order.side}/{kind}{order.market.id}/", {name: text for name, text in form.items() if text}
