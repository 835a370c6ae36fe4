"""Binance spot, and Binance.US, which speaks the same dialect at other hosts and prices."""

from __future__ import annotations

from exgate_core.hookspecs import Register, hookimpl

from .account import BinanceAccount
from .exchange import Binance
from .hosts import HOSTS
from .settings import BinanceSettings

__all__ = ["EXGATE_API", "Binance", "BinanceAccount", "BinanceSettings", "register_exchanges"]

EXGATE_API = 1


@hookimpl
def register_exchanges(register: Register) -> None:
    """Offer ``binance`` and ``binanceus``."""
    for name, host in HOSTS.items():
        register(
            name,
            exchange=Binance,
            account=BinanceAccount,
            settings=BinanceSettings,
            exchange_capabilities=host.capabilities,
            account_capabilities=host.account,
        )
