"""Clients of ccxt: imported off the loop, made, given their market list, closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread

from exgate_core.client import Context
from exgate_core.errors import FailedPrecondition

from .wire import Wire
from .markets import MarketTable
from .options import OPTIONS

__all__ = ["close_client", "open_client"]


async def open_client(context: Context, exchange_id: str, *, private: bool, streams: bool) -> Any:
    """A ccxt client of one exchange with its market list loaded, bound to the context's HTTP, budget and prefix.

    ``private``: it holds ``context.credentials``; the market list is still fetched without them. ``streams``: whether
    its WebSocket side will be used. The client has ``exgate`` (its ``Wire``) and ``exgate_markets``.
    """
    made = await anyio.to_thread.run_sync(_exchange_class, exchange_id)
    public = await anyio.to_thread.run_sync(_make, made, context, None)
    await public.load_markets()
    client = public
    if private:
        client = await anyio.to_thread.run_sync(_make, made, context, context.credentials)
        share_markets(public, client)
        await close_client(public)
    client.exgate_markets = MarketTable(client.markets, client.precisionMode)
    return client


async def close_client(client: Any) -> None:
    """Close every connection that a client has opened."""
    client.timeout_on_exit = 0
    with anyio.CancelScope(shield=True):
        await client.close()


def share_markets(source: Any, target: Any) -> None:
    """Give a client the market list of another of the same exchange."""
    for name in _MARKET_LISTS:
        setattr(target, name, getattr(source, name))


_MARKET_LISTS = (
    *("markets", "markets_by_id", "symbols", "ids", "currencies", "currencies_by_id", "codes"),
    *("baseCurrencies", "quoteCurrencies"),
)


def _exchange_class(exchange_id: str) -> type[Any]:
    from .factory import exchange_class

    return exchange_class(exchange_id)


def _make(made: type[Any], context: Context, credentials: Any) -> Any:
    given: Mapping[str, Any] = context.settings.ccxt if context.settings is not None else {}
    client = made({"enableRateLimit": True, **_keys(credentials)})
    client.exgate = Wire(context)
    options = client.deep_extend(client.options, OPTIONS.get(made.__name__, {}), given.get("options", {}))
    client.options = client.deep_extend(options, _FORCED)
    if "uid" in given:
        client.uid = str(given["uid"])
    client.has = {**client.has, "fetchCurrencies": False}
    if context.sandbox:
        if "test" not in client.urls:
            raise FailedPrecondition(f"{made.__name__} has no sandbox", reason="NO_SANDBOX")
        client.set_sandbox_mode(True)
    return client


_FORCED = {"maxRetriesOnFailure": 0, "adjustForTimeDifference": False, "builderFee": False, "approvedBuilderFee": True}


def _keys(credentials: Any) -> dict[str, str]:
    if credentials is None:
        return {}
    found = {"apiKey": credentials.api_key, "secret": credentials.api_secret, "password": credentials.passphrase}
    return {name: secret.reveal() for name, secret in found.items() if secret is not None}
