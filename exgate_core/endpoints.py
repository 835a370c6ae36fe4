"""What each operation does with a request. Reads are planned once and asked often: see ``Plan``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from . import contract
from .caps import hold_to
from .errors import ExGateError, InvalidArgument, Unavailable
from .incoming import Incoming
from .models import Answer, Depth, Freshness, Market, Trade
from .openapi import encoded
from .operations import DEFAULT_LIMIT, MAX_LEVELS, MAX_TRADES
from .replies import JSON_HEADERS, Header, Reply, failure, header, ignored, ok
from .settling import settle
from .wire import encode

Handler = Callable[[Incoming], Awaitable[Reply]]

_SOURCES = {source: (b"exgate-source", source.encode()) for source in ("local", "exchange")}
_PLACED, _CANCELED, _NOT_CANCELED = ((b"exgate-outcome", outcome) for outcome in (b"placed", b"canceled", b"refused"))


class Plan(NamedTuple):
    """A read that is understood. The same request line means the same plan as long as the market list is the same."""

    name: str
    entry: Any
    markets: Any
    market: Market
    limit: int
    freshness: Freshness
    ask: Callable[[Market, int, Freshness], Awaitable[Answer[Any]]]
    encode: Callable[[Answer[Any]], bytes]
    headers: tuple[Header, ...]

    async def run(self) -> Reply:
        """Ask, and encode what isn't encoded yet."""
        answer = await self.ask(self.market, self.limit, self.freshness)
        return Reply(200, (*self.headers, *_from(answer)), self.encode(answer))


async def plan_depth(asked: Incoming) -> Plan:
    """The book that is asked for."""
    entry = await asked.entry()
    return _plan(asked, entry, entry.depth, MAX_LEVELS, _depth_body)


async def plan_trades(asked: Incoming) -> Plan:
    """The trades that are asked for."""
    entry = await asked.entry()
    return _plan(asked, entry, entry.recent_trades, MAX_TRADES, _extended_trades if asked.extended else _trades_body)


def _plan(asked: Incoming, entry: Any, ask: Any, maximum: int, encode: Callable[[Answer[Any]], bytes]) -> Plan:
    markets, params = entry.exchange.markets, asked.params
    limit = contract.parse_limit(params.get("limit"), DEFAULT_LIMIT, maximum)
    freshness = contract.parse_freshness(params)
    market = markets.resolve(params.get("symbol", ""))
    headers = (*JSON_HEADERS, *_symbol(market), *ignored(asked.ignored))
    return Plan(asked.name, entry, markets, market, limit, freshness, ask, encode, headers)


def _depth_body(answer: Answer[Depth]) -> bytes:
    return answer.body or contract.depth_json(answer.value)


def _trades_body(answer: Answer[Sequence[Trade]]) -> bytes:
    return answer.body or contract.trades_json(map(contract.trade_json, answer.value))


def _extended_trades(answer: Answer[Sequence[Trade]]) -> bytes:
    return contract.trades_json(map(contract.extended_trade_json, answer.value))


def _symbol(market: Market | None) -> tuple[Header, ...]:
    return () if market is None else (header(b"exgate-symbol", market.symbol),)


def _from(answer: Answer[Any]) -> tuple[Header, Header]:
    return _SOURCES[answer.source], (b"exgate-age", b"%.3f" % answer.age)


async def _balances(asked: Incoming) -> Reply:
    entry = await asked.entry()
    answer = await entry.balances(asked.allowed(entry, "read"))
    return ok(contract.balances_json(answer.value), *_from(answer))


async def _pending_orders(asked: Incoming) -> Reply:
    entry = await asked.entry()
    credentials = asked.allowed(entry, "read")
    market = _optional_market(entry, asked.params.get("symbol", ""))
    answer = await entry.pending_orders(credentials, market)
    return ok(contract.orders_json(answer.value, asked.extended), *_symbol(market), *_from(answer))


async def _find_order(asked: Incoming) -> Reply:
    entry = await asked.entry()
    credentials = asked.allowed(entry, "read")
    order_id, client_order_id = (asked.params.get(field, "") for field in ("order_id", "client_order_id"))
    contract.check_order_id("order_id", order_id)
    contract.check_order_id("client_order_id", client_order_id)
    if not order_id and not client_order_id:
        raise InvalidArgument.of("order_id", "is required, unless client_order_id is given")
    market = _optional_market(entry, asked.params.get("symbol", ""))
    order = await entry.find_order(credentials, market, order_id, client_order_id)
    return ok(contract.order_json(order), *_client_id(order.client_order_id))


async def _place_order(asked: Incoming) -> Reply:
    entry = await asked.entry()
    credentials = asked.allowed(entry, "trade")
    key = asked.idempotency_key()
    body = contract.parse_place(await asked.body())
    asked.about = {name: getattr(body, name) for name in ("symbol", "side", "type", "price", "amount")} | body.options
    market = entry.exchange.markets.resolve(body.symbol)
    refusal = await _beyond_caps(asked, entry, market, body)
    try:
        placed = await entry.place_order(credentials, market, body, key, refusal)
    except Exception as error:
        raise settle(error, may_have_left=True) from error
    replayed = () if placed.replayed is None else ((b"exgate-replayed", b"%.3f" % placed.replayed),)
    return ok(
        contract.placed_json(placed.order_id, placed.client_order_id, asked.extended),
        *_symbol(market),
        _PLACED,
        *_client_id(placed.client_order_id),
        *replayed,
    )


async def _beyond_caps(asked: Incoming, entry: Any, market: Market, body: contract.PlaceBody) -> ExGateError | None:
    """Why the caller's token doesn't allow this order, or why nobody can tell; None = it does."""
    if asked.caller is None or asked.caller.grant is None:
        return None
    try:
        await hold_to(asked.caller.grant.max_order, entry, market, body)
    except ExGateError as error:
        return error
    return None


async def _cancel_order(asked: Incoming) -> Reply:
    entry = await asked.entry()
    credentials = asked.allowed(entry, "trade")
    body = contract.parse_cancel(await asked.body())
    asked.about = {"symbol": body.symbol, "order_id": body.order_id} | body.options
    market = _optional_market(entry, body.symbol)
    client_order_id = body.options.get("client_order_id", "")
    try:
        result = await entry.cancel_order(credentials, market, body.order_id, client_order_id)
    except Exception as error:
        raise settle(error, may_have_left=True) from error
    outcome = _NOT_CANCELED if result.status == "filled" else _CANCELED
    return ok(contract.cancel_json(result), *_symbol(market), outcome, *_client_id(client_order_id))


def _optional_market(entry: Any, symbol: str) -> Market | None:
    market: Market | None = entry.exchange.markets.resolve(symbol) if symbol else None
    return market


def _client_id(client_order_id: str) -> tuple[Header, ...]:
    return (header(b"exgate-client-order-id", client_order_id),) if client_order_id else ()


async def _pull_trade(asked: Incoming) -> Reply:
    entry = await asked.entry()
    market = entry.exchange.markets.resolve(asked.params.get("symbol", ""))
    return ok(contract.pull_json(*entry.pin(market)), *_symbol(market))


async def _stop_trade(asked: Incoming) -> Reply:
    entry = await asked.entry()
    market = entry.exchange.markets.resolve(asked.params.get("symbol", ""))
    return ok(contract.pull_json(*entry.unpin(market)), *_symbol(market))


async def _pulls(asked: Incoming) -> Reply:
    return ok(encode({"pulls": (await asked.entry()).pulls()}))


async def _capabilities(asked: Incoming) -> Reply:
    return ok(encode((await asked.entry()).capabilities()))


async def _markets(asked: Incoming) -> Reply:
    return ok(encode({"markets": list((await asked.entry()).exchange.markets)}))


async def _exchanges(asked: Incoming) -> Reply:
    gateway = asked.gateway
    standing = gateway.ready[1]
    return ok(encode({"exchanges": [_exchange_row(gateway, name, standing) for name in gateway.names()]}))


def _exchange_row(gateway: Any, name: str, standing: Mapping[str, Any]) -> Mapping[str, Any]:
    section = gateway.settings.exchanges.get(name)
    exchange = section.exchange if section is not None else name
    offers = gateway.catalogue.offers.get(exchange, ())
    return {
        "name": name,
        "exchange": exchange,
        "state": "open" if name in gateway.entries else standing["exchanges"].get(name, "closed"),
        "account": standing["accounts"].get(name, ""),
        "problem": standing["problems"].get(name, ""),
        "clock_skew": gateway.clock_skew(name),
        "plugins": [{"name": offer.distribution, "version": offer.version} for offer in offers],
        "operations": sorted(set().union(*(offer.operations for offer in offers))),
    }


async def _openapi(asked: Incoming) -> Reply:
    return ok(encoded(asked.gateway.settings.server.root_path))


async def _healthz(asked: Incoming) -> Reply:
    return ok(b'{"status":"ok"}')


async def _readyz(asked: Incoming) -> Reply:
    ready, state = asked.gateway.ready
    if ready:
        return ok(encode({"ready": True, **state}))
    reply = failure(asked.scope, Unavailable("starting, stopping, or unable to write the journal", reason="NOT_READY"))
    return reply._replace(body=reply.body[:-1] + b',"state":' + encode(state) + b"}")


PLANS: Mapping[str, Callable[[Incoming], Awaitable[Plan]]] = {
    "ExGate_SpotDepth": plan_depth,
    "ExGate_GetRecentTradesList": plan_trades,
}
"""Operations whose requests are worth remembering."""

HANDLERS: Mapping[str, Handler] = {
    "ExGate_SpotBalances": _balances,
    "ExGate_SpotCancelOrder": _cancel_order,
    "ExGate_SpotPlaceOrder": _place_order,
    "ExGate_SpotPendingOrders": _pending_orders,
    "ExGate_PullSpotTrade": _pull_trade,
    "ExGate_StopSpotTrade": _stop_trade,
    "ExGate_FindOrder": _find_order,
    "ExGate_Exchanges": _exchanges,
    "ExGate_Capabilities": _capabilities,
    "ExGate_Markets": _markets,
    "ExGate_Pulls": _pulls,
    "ExGate_OpenApi": _openapi,
    "ExGate_Health": _healthz,
    "ExGate_Ready": _readyz,
}
"""The other operations, by operationId."""
