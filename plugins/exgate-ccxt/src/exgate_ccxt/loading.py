"""Clients of ccxt: imported off the loop, made, given their market list, closed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread

from exgate_core.client import Context
from exgate_core.errors import FailedPrecondition, InvalidArgument, NotFound, Refused, Unavailable, Unimplemented

from . import cache, slim
from .bridge import Bridge
from .canary import Canary
from .markets import Listing
from .options import FORCED, options_of
from .reading import ask
from .table import row
from .wire import Wire

__all__ = ["close_client", "digits_lost", "fetch_listing", "known_listing", "open_client", "use_listing"]

_FRESH: Final = 600.0
_TWO_LISTS: Final = frozenset({"mexc", "poloniex"})
"""Exchanges of whose two lists, spot and swaps, ccxt always asks for both: one that fails must not cost the other."""
_MARGIN: Final = ("publicMarginGetCurrencyPairs", "publicMarginGetV2MarginCurrencies")
"""Gate's and Bitget's lists of margin markets, which ccxt asks for beside those of spot: one that fails must not cost
the other, and nothing here needs them."""
_ORDERING: Final = re.compile(r"(?:create|edit|cancel)\w*[oO]rder\w*|(?:withdraw|transfer|borrow|repay)\w*")
"""ccxt's methods, under both of their names, that change something at an exchange."""


async def open_client(
    context: Context, exchange_id: str, *, private: bool, streams: bool = False, listing: Listing | None = None
) -> Any:
    """A ccxt client of one exchange with its market list, bound to the context's HTTP, budget, proxy and prefix.

    ``private``: it holds ``context.credentials``; the market list is still fetched without them. ``streams``: its
    WebSocket side will be used. ``listing``: a market list that is already here; else an open adapter's of the same
    exchange, else the one on disk, else the exchange is asked. The client has ``exgate`` (its ``Wire``) and
    ``exgate_markets`` (a ``MarketTable``).
    """
    made = await anyio.to_thread.run_sync(_exchange_class, exchange_id)
    client = await anyio.to_thread.run_sync(_make, made, context, context.credentials if private else None)
    owner = _adapter_of(context)
    if listing is None:
        listing = owner.listing if owner is not None else await _of_all_accounts(context, exchange_id)
    use_listing(client, listing)
    if owner is not None:
        owner.dependants.add(client)
    return client


async def close_client(client: Any) -> None:
    """Close every connection that a client has opened."""
    client.timeout_on_exit = 0
    with anyio.CancelScope(shield=True):
        await client.close()


async def fetch_listing(context: Context, exchange_id: str) -> Listing:
    """Ask the exchange for its market list, without credentials, and put it on disk.

    ccxt takes up to half a second of computing for it: that happens in a thread with an event loop of its own, from
    which only the requests come back to ours.
    """
    made = await anyio.to_thread.run_sync(_exchange_class, exchange_id)
    client = await anyio.to_thread.run_sync(_make, made, context, None)

    async def load() -> Listing:
        with Bridge(client.exgate) as bridge:
            client.exgate = bridge
            return await bridge.run(lambda: _ask(client), lambda: Listing.of(client, context.clock.time()))

    try:
        listing: Listing = (await ask(client, exchange_id, load))[0]
    except (Refused, NotFound, InvalidArgument, Unimplemented) as error:  # not of what the caller asked for
        raise Unavailable(f"{exchange_id} lists no markets: {error.message}") from error
    path = cache.path(context, exchange_id)
    if path is not None:
        await anyio.to_thread.run_sync(cache.write, path, listing)
    return listing


async def known_listing(context: Context, exchange_id: str) -> Listing | None:
    """The market list on disk, if it is there and young enough."""
    path = cache.path(context, exchange_id)
    if path is None:
        return None
    made = await anyio.to_thread.run_sync(_exchange_class, exchange_id)
    client = await anyio.to_thread.run_sync(_make, made, context, None)
    return await anyio.to_thread.run_sync(cache.read, path, client, context.clock.time())


async def digits_lost(context: Context, exchange_id: str) -> str:
    """Of what the installed ccxt loses digits: ``books``, ``trades``, both, or nothing."""
    made = await anyio.to_thread.run_sync(_exchange_class, exchange_id)

    def tried() -> str:
        return asyncio.run(Canary(_make(made, context, None)).lost(row(exchange_id)))

    return await anyio.to_thread.run_sync(tried)


def use_listing(client: Any, listing: Listing) -> None:
    """Give a client a market list; lists are shared, never copied."""
    for name, value in listing.attributes.items():
        setattr(client, name, value)
    if "marketsByAltname" in client.options:
        # Kraken names markets so in answers about orders; ccxt notes it in the client that fetched the list
        client.options["marketsByAltname"] = listing.by_altname
    if listing.assets:
        client.options["currenciesByNumericId"] = listing.assets
    client.exgate_markets = listing.table


class _Common:
    """The market list of all accounts over a public side that isn't ccxt's: one of them asks for all."""

    def __init__(self) -> None:
        self.lock, self.listing = asyncio.Lock(), None

    listing: Listing | None


_common: WeakKeyDictionary[Any, _Common] = WeakKeyDictionary()


async def _of_all_accounts(context: Context, exchange_id: str) -> Listing:
    if context.exchange is None:
        return await _known_or_fetched(context, exchange_id)
    common = _common.setdefault(context.exchange, _Common())
    async with common.lock:
        if common.listing is None or context.clock.time() - common.listing.at > _FRESH:
            common.listing = await _known_or_fetched(context, exchange_id)
        return common.listing


async def _known_or_fetched(context: Context, exchange_id: str) -> Listing:
    return await known_listing(context, exchange_id) or await fetch_listing(context, exchange_id)


def _adapter_of(context: Context) -> Any:
    adapters = getattr(context.exchange, "adapters", ())
    return next((adapter for adapter in adapters if getattr(adapter, "listing", None) is not None), None)


async def _ask(client: Any) -> None:
    markets = await (client.fetch_spot_markets() if client.id in _TWO_LISTS else client.fetch_markets())
    client.set_markets([market for market in markets if _is_spot(client.id, market)])


def _is_spot(exchange_id: str, market: Mapping[str, Any]) -> bool:
    # Binance lists markets for margin alone, and ccxt calls them spot
    margin_alone = exchange_id in ("binance", "binanceus") and market["info"].get("isSpotTradingAllowed") is False
    return bool(market.get("spot")) and ":" not in market["symbol"] and not margin_alone


def _exchange_class(exchange_id: str) -> type[Any]:
    slim.install()
    from .factory import exchange_class

    return exchange_class(exchange_id)


def _make(made: type[Any], context: Context, credentials: Any) -> Any:
    given: Mapping[str, Any] = context.settings.ccxt if context.settings is not None else {}
    client = made({"enableRateLimit": True, **_keys(credentials)})
    client.exgate = Wire(context)
    options = client.deep_extend(client.options, options_of(made.__name__), given.get("options", {}))
    client.options = client.deep_extend(options, FORCED)
    if "uid" in given:
        client.uid = str(given["uid"])
    client.has = {**client.has, "fetchCurrencies": False}
    for name in _MARGIN:
        if hasattr(client, name):
            setattr(client, name, _no_markets)
    if context.sandbox:
        if not client.urls.get("test"):
            raise FailedPrecondition(f"{made.__name__} has no sandbox", reason="NO_SANDBOX")
        client.set_sandbox_mode(True)
    if credentials is None:
        for name in filter(_ORDERING.fullmatch, dir(made)):
            setattr(client, name, _no_keys)
    return client


async def _no_markets(*_arguments: Any, **_named: Any) -> list[Any]:
    return []


async def _no_keys(*_arguments: Any, **_named: Any) -> None:
    raise Refused("this client has no keys and changes nothing. Nothing was sent.", reason="NOT_SENDABLE")


def _keys(credentials: Any) -> dict[str, str]:
    if credentials is None:
        return {}
    found = {"apiKey": credentials.api_key, "secret": credentials.api_secret, "password": credentials.passphrase}
    return {name: secret.reveal() for name, secret in found.items() if secret is not None}
