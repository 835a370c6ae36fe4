"""A ccxt client with keys: each of its requests is read again before it leaves, each failure is read for its proof."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from exgate_core.budget import Lane
from exgate_core.client import Context
from exgate_core.errors import ExGateError, NotFound, RateLimited, Unimplemented
from exgate_core.listings import Listings
from exgate_core.models import Balance, Market, Order

from .arguments import intent_of
from .evidence import LISTS, MAPS, observe
from .exact import decode
from .facts import fact
from .failures import proven, unreadable
from .intents import CURRENT, Intent
from .loading import close_client, open_client
from .owntrades import order_in
from .private_options import private_options
from .privates import balances_of, is_over, order_of
from .recovery import LISTED_ONLY, Page, page_of, recipe_of
from .request_check import check, hosts_of
from .skew import Turns, is_about_time, set_clock
from .table import row
from .truth import NOTE, bad_answer
from .wire import LANE, Outgoing
from .wordings import wording_of

__all__ = ["Desk"]

_ACCOUNTS_FIRST: Final = frozenset({"htx", "bittrade", "ndax"})
"""Exchanges whose orders name an account that must be asked for once."""
_CATEGORY: Final = frozenset({"bybit", "bybiteu", "bybitid"})
"""Exchanges whose questions must name the kind of market."""
_KIND: Final[Mapping[str, Mapping[str, str]]] = {
    **{name: {"category": "spot"} for name in _CATEGORY},
    **{name: {"instType": "SPOT"} for name in ("okx", "okxus", "myokx")},
}
"""Lists of orders would hold those of other kinds of market, too, or aren't given without."""
_MOST_PAGES: Final = 200
_FRESH: Final = 120_000
"""ms: an order that was traded longer ago stands in every list."""

T = TypeVar("T")


class Desk:
    """One ccxt client with keys; what both kinds of account are made of."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.name = context.name
        self.client: Any = None
        self._wording = wording_of(context.name)
        self._hosts: frozenset[str] = frozenset()
        self._orders_from = 0.0
        self._turns = Turns(context.name)
        self._listings = Listings()

    async def open(self) -> None:
        """Make the client, put the check in front of its requests, ask what orders will need."""
        self.client = client = await open_client(self.context, self.name, private=True)
        self._hosts = hosts_of(client.urls.get("api"), str(client.hostname or ""))
        client.options = client.deep_extend(client.options, private_options(self.name))
        _fill_in(client, row(self.name).credentials)
        client.exgate.check = self._check
        client.on_rest_response = self._note
        observe(client)
        await set_clock(client)
        if self.name in _ACCOUNTS_FIRST:
            await self.call(self.intent("read"), "data", client.load_accounts)

    async def close(self) -> None:
        """Close the client's connections."""
        if self.client is not None:
            await close_client(self.client)

    def intent(self, operation: str, market: Market | None = None, **more: Any) -> Intent:
        """What a call is meant to do."""
        native = self.client.exgate_markets.ccxt.get(market.symbol) if market is not None else None
        intent = intent_of(operation, self.name, market, native, **more)
        intent.evidence.is_list, intent.evidence.map_at = self.name in LISTS, MAPS.get(self.name, "")
        return intent

    async def call(self, intent: Intent, lane: Lane, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run one call of ccxt under its intent. Raises what its failure proves."""
        told, way = CURRENT.set(intent), LANE.set(lane)
        note = NOTE.set(cast(Any, intent.evidence))
        try:
            async with self._turns.turn():
                return await work()
        except Exception as error:
            judged = proven(error, intent, self.name)
            if isinstance(judged, RateLimited):
                self._pause(judged, intent)
            if is_about_time(error, judged, self.name):
                CURRENT.set(None)
                await set_clock(self.client)
            if judged is error and intent.operation == "read" and not isinstance(error, ExGateError):
                judged = unreadable(error, self.name, intent.url)
            if judged is error:
                raise
            raise judged from error
        finally:
            NOTE.reset(note)
            LANE.reset(way)
            CURRENT.reset(told)

    def _pause(self, limit: RateLimited, intent: Intent) -> None:
        """Orders wait where the limit is one of orders; everything waits where it isn't, or may not be."""
        wait, budget = limit.retry_after or 0.0, self.context.budget
        of_orders = intent.operation == "place" and "order" in limit.message.lower() and intent.status != 418
        self._orders_from = self.context.clock.monotonic() + wait
        if budget is not None and not of_orders:
            budget.pause(wait)

    def orders_may_leave(self) -> None:
        """Raises RateLimited while the exchange takes no orders of this account."""
        wait = self._orders_from - self.context.clock.monotonic()
        if wait > 0:
            raise RateLimited(f"{self.name} takes no orders of this account for {wait:.1f} s.", retry_after=wait)

    async def search(self, intent: Intent, work: Callable[[], Awaitable[Any]]) -> list[Order]:
        """The orders that a search finds; "no such order" is none."""
        try:
            found = await self.call(intent, "lookups", work)
        except NotFound:
            return []
        return self._orders(intent, found if isinstance(found, list) else [found])

    def _orders(self, intent: Intent, rows: Sequence[Any]) -> list[Order]:
        """What ccxt made of an answer. Raises Unavailable (BAD_ANSWER) where it isn't what was asked for."""
        if not rows and not (intent.evidence.listed or intent.evidence.nothing):
            raise bad_answer(intent.url, "there is no list of orders in it")
        return self._read(intent, lambda: [order_of(self.name, shown) for shown in rows])

    def _read(self, intent: Intent, parse: Callable[[], T]) -> T:
        try:
            return parse()
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise bad_answer(intent.url, str(error)) from error

    def _check(self, outgoing: Outgoing) -> None:
        intent = CURRENT.get() or Intent("read")
        check(intent, self._wording, self._hosts, outgoing.url, outgoing.method, outgoing.headers, outgoing.body)
        intent.sends += 1
        intent.status, intent.body = 0, ""

    def _note(
        self, code: int, reason: str, url: str, method: str, headers: Mapping[str, str], body: str, *_sent: object
    ) -> str:
        """ccxt's hook for a raw answer: kept, because only the answer proves anything."""
        intent = CURRENT.get()
        if intent is not None:
            intent.status, intent.body, intent.headers, intent.url = code, body, headers, url
        return body.strip()

    async def balances(self) -> Sequence[Balance]:
        """Every row that the exchange sends."""
        if not fact(self.name).balances:
            raise Unimplemented(f"ccxt can't ask {self.name} for balances")
        intent = self.intent("read")
        answer = await self.call(intent, "data", self.client.fetch_balance)
        found = self._read(intent, lambda: balances_of(self.name, answer, self.client.safe_currency_code))
        if not found and not intent.evidence.nothing:
            raise bad_answer(intent.url, "there are no balances in it")
        return found

    async def pending_orders(self, market: Market | None) -> Sequence[Order]:
        """All open orders, page by page."""
        if not fact(self.name).open_orders:
            raise Unimplemented(f"ccxt can't ask {self.name} for open orders")
        listed = await self._listed("fetch_open_orders", market, {})
        return [order for order in listed if not is_over(order)]

    async def _listed(
        self, name: str, market: Market | None, params: Mapping[str, Any], lane: Lane = "data"
    ) -> list[Order]:
        symbol = market.symbol if market is not None else None
        page, found = page_of(self.name), dict[tuple[str, str], Order]()
        query = {**params, **_KIND.get(self.name, {})}
        for number in range(1, _MOST_PAGES):
            limit = page.size if page is not None else None
            intent = self.intent("read", market)
            work = functools.partial(getattr(self.client, name), symbol, None, limit, query)
            rows = await self.call(intent, lane, work)
            orders = self._orders(intent, rows)
            fresh = {key: order for order in orders if (key := (order.symbol, order.order_id)) not in found}
            found |= fresh
            if page is None or not fresh or not (following := _next(page, number, rows, intent.body)):
                break
            query = {**query, page.param: following}
        return list(found.values())

    async def find(self, market: Market | None, order_id: str, client_order_id: str) -> Sequence[Order]:
        """By the order's id, else by its client id in every place that this exchange has."""
        with self._listings.look_up() as began:
            if order_id:
                return await self._by_order_id(market, order_id, began)
            return await self._by_client_id(market, client_order_id, began)

    async def _by_order_id(self, market: Market | None, order_id: str, began: int) -> list[Order]:
        """One place may show an order later than another: it is missing where all of them miss it."""
        symbol = market.symbol if market is not None else None
        params = {"acknowledged": True, "category": "spot"} if self.name in _CATEGORY else {}
        if self.client.has.get("fetchOrder") and self.name not in LISTED_ONLY:
            work = functools.partial(self.client.fetch_order, order_id, symbol, params)
            found = await self.search(self.intent("read", market), work)
            if ours := [order for order in found if order.order_id == order_id]:
                return ours
        recipe = recipe_of(self.name)
        places = [one for one in recipe.searches if one in _LISTS and fact(self.name).open_orders]
        if not places and not self.client.has.get("fetchOrder"):
            raise Unimplemented(f"ccxt can't ask {self.name} for an order")
        for place in places:
            listed = await self._looked_through(place, market, {}, began)
            if ours := [order for order in listed if order.order_id == order_id]:
                return ours
        if recipe.traded:
            await self._untraded(market, order_id)
        return []

    async def _looked_through(
        self, place: str, market: Market | None, params: Mapping[str, Any], began: int
    ) -> list[Order]:
        key = place, market.symbol if market is not None else "", *params.items()
        work = functools.partial(self._listed, _LISTS[place], market, params, "lookups")
        try:
            return await self._listings.ask(key, began, work)
        except NotFound:
            return []

    async def _untraded(self, market: Market | None, order_id: str) -> None:
        """Raises Unavailable where a fresh trade of ours is of the order that no list shows."""
        symbol, since = market.symbol if market is not None else None, self.client.milliseconds() - _FRESH
        try:
            rows = await self.call(self.intent("read", market), "lookups", lambda: self.client.fetch_my_trades(symbol))
        except NotFound:
            return
        if any(str(row["order"]) == order_id for row in rows if (row.get("timestamp") or 0) >= since):
            raise bad_answer(self.name, "it shows a trade of an order that it doesn't show")

    async def _by_client_id(self, market: Market | None, client_order_id: str, began: int) -> list[Order]:
        recipe, out = recipe_of(self.name), self.intent("read", client_order_id=client_order_id).client_order_id
        symbol = market.symbol if market is not None else None
        params = {recipe.listed_by: out} if recipe.listed_by else {}
        for place in recipe.searches:
            if place == "query":
                by, named = ("", {recipe.key: out}) if recipe.key else (out, {})
                work = functools.partial(self.client.fetch_order, by, symbol, named)
                found = await self.search(self.intent("read", market), work)
            elif place == "trades":
                found = await self._by_own_trades(market, out, client_order_id, began)
            else:
                found = await self._looked_through(place, market, params, began)
            if ours := [order for order in found if order.client_order_id == client_order_id]:
                return ours
        return []

    async def _by_own_trades(self, market: Market | None, out: str, client_order_id: str, began: int) -> list[Order]:
        symbol, intent = market.symbol if market is not None else None, self.intent("read", market)
        rows = await self.call(intent, "lookups", lambda: self.client.fetch_my_trades(symbol))
        if not rows and not (intent.evidence.listed or intent.evidence.nothing):
            raise bad_answer(intent.url, "there are no trades in it")
        seen = self._read(intent, lambda: order_in(self.name, rows, out, client_order_id))
        if seen is None:
            return []
        whole = await self._by_order_id(market, seen.order_id, began) if self.client.has.get("fetchOrder") else []
        return [order for order in whole if order.client_order_id == client_order_id] or [seen]


def _fill_in(client: Any, wanted: Sequence[str]) -> None:
    """Give the three keys of the settings the names under which this exchange looks for them."""
    places = {"walletAddress": client.apiKey, "privateKey": client.secret, "login": client.password}
    for name, key in ({**places, "uid": client.uid or client.password}).items():
        if name in wanted:
            setattr(client, name, key)


_LISTS: Final = {
    "open": "fetch_open_orders",
    "closed": "fetch_closed_orders",
    "canceled": "fetch_canceled_orders",
    "ended": "fetch_canceled_and_closed_orders",
    "orders": "fetch_orders",
}


def _next(page: Page, number: int, rows: Sequence[Mapping[str, Any]], body: str) -> str:
    """The parameter that asks for the following page; empty = this was the last."""
    if page.kind == "cursor":
        return _cursor(body, page.cursor)
    if len(rows) < page.size:
        return ""
    return str(number + 1) if page.kind == "number" else min((str(row["id"]) for row in rows), key=_by_age)


def _by_age(order_id: str) -> tuple[int, str]:
    return len(order_id), order_id


def _cursor(body: str, name: str) -> str:
    try:
        answer = decode(body)
    except ValueError:
        return ""
    places = (answer, answer.get("result")) if isinstance(answer, dict) else ()
    return next((str(place[name]) for place in places if isinstance(place, dict) and place.get(name)), "")
