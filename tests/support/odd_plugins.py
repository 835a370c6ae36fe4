"""Plugins in one file each, as text: wrappers that misbehave, exchanges that hang, an account with real money."""

from __future__ import annotations

import sys
from types import ModuleType

WRAPPERS = '''
"""Writes down every call; around paper's operations it does what ``modes`` says."""
import asyncio

from exgate_core import hookimpl

EXGATE_API = 1
seen = []
modes = {}


@hookimpl
def wrap_operation(exchange, operation):
    async def wrapper(call, proceed):
        seen.append((call.exchange, call.operation, call.market.symbol if call.market else ""))
        mode = modes.get(operation)
        if mode == "raise before":
            raise RuntimeError("on purpose")
        if mode == "never proceed":
            return None
        if mode == "impatient":
            async with asyncio.timeout(0.05):
                return await proceed(call)
        answer = await proceed(call)
        if mode == "twice":
            await proceed(call)
        if mode == "raise after":
            raise RuntimeError("on purpose")
        if mode == "hang after":
            await asyncio.sleep(3600)
        if mode == "cancel after":
            raise asyncio.CancelledError
        return None if mode == "forget" else answer

    return wrapper
'''

EXCHANGES = '''
"""Exchanges that hang or break."""
import asyncio

from exgate_core import ExchangeCapabilities, Market, hookimpl

EXGATE_API = 1
BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")


class HangsAtOpen:
    capabilities = ExchangeCapabilities()

    def __init__(self, context):
        pass

    async def __aenter__(self):
        await asyncio.sleep(3600)

    async def __aexit__(self, *error):
        pass

    @hookimpl
    async def markets(self):
        return [BTC]


class Raises:
    capabilities = ExchangeCapabilities()

    def __init__(self, context):
        pass

    @hookimpl
    async def markets(self):
        return [BTC]

    @hookimpl
    async def depth(self, market, limit):
        raise ZeroDivisionError("https://host/?signature=secret")

    @hookimpl
    async def recent_trades(self, market, limit, since_id):
        return None

    @hookimpl
    async def pull_trade(self, market, emit):
        raise ZeroDivisionError("on purpose")


class Hangs:
    capabilities = ExchangeCapabilities()

    def __init__(self, context):
        pass

    @hookimpl
    async def markets(self):
        return [BTC]

    @hookimpl
    async def depth(self, market, limit):
        await asyncio.sleep(3600)


class Cancels:
    capabilities = ExchangeCapabilities()

    def __init__(self, context):
        pass

    @hookimpl
    async def markets(self):
        return [BTC]

    @hookimpl
    async def depth(self, market, limit):
        task = asyncio.ensure_future(asyncio.sleep(3600))
        task.cancel()
        await task


class WontOpen:
    capabilities = ExchangeCapabilities()

    def __init__(self, context):
        raise OSError("no such device")

    @hookimpl
    async def markets(self):
        return [BTC]


@hookimpl
def register_exchanges(register):
    register("hangs-at-open", exchange=HangsAtOpen)
    register("raises", exchange=Raises)
    register("hangs", exchange=Hangs)
    register("cancels", exchange=Cancels)
    register("wont-open", exchange=WontOpen)
'''

VAULT = '''
"""An exchange whose accounts hold real money; ``sent`` is everything that reached it."""
from exgate_core import AccountCapabilities, Balance, ClientIds, ExchangeCapabilities, Market, hookimpl
from exgate_core.models import CancelResult

EXGATE_API = 1
BTC = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT", tick_size="0.01", step_size="0.00001")
sent = []
open_accounts = []


class Vault:
    capabilities = ExchangeCapabilities()

    def __init__(self, context):
        pass

    @hookimpl
    async def markets(self):
        return [BTC]


class Account:
    capabilities = AccountCapabilities(client_ids=ClientIds(), order_recovery="full", settle=0.1)

    def __init__(self, context):
        self._key = context.credentials.api_key.reveal()

    async def __aenter__(self):
        open_accounts.append(self._key)
        return self

    async def __aexit__(self, *error):
        open_accounts.remove(self._key)

    @hookimpl
    async def balances(self):
        return [Balance(asset=self._key.upper(), available="1", frozen="0")]

    @hookimpl
    async def place_order(self, order):
        sent.append((self._key, order.amount))
        return f"{self._key}-{len(sent)}"

    @hookimpl
    async def cancel_order(self, market, order_id, client_order_id):
        sent.append((self._key, "cancel"))
        return CancelResult(status="canceled")

    @hookimpl
    async def pending_orders(self, market):
        return []

    @hookimpl
    async def find_order(self, market, order_id, client_order_id):
        return []


@hookimpl
def register_exchanges(register):
    register("vault", exchange=Vault, account=Account)
'''


def loaded(name: str) -> ModuleType:
    """The module of a one-file plugin that was loaded last under this name."""
    return sys.modules[f"exgate_plugin_{name}"]
