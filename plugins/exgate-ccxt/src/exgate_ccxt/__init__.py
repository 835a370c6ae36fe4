"""Every spot exchange of ccxt. Nothing here imports ccxt: that happens when an exchange is first opened."""

from __future__ import annotations

from exgate_core.hookspecs import Register, hookimpl

from .account import CcxtAccount
from .exchange import CcxtExchange
from .facts import account_capabilities
from .served import account_class, public_class
from .settings import CcxtSettings
from .table import exchange_capabilities, rows

__all__ = ["EXGATE_API", "CcxtAccount", "CcxtExchange", "CcxtSettings", "register_exchanges"]

EXGATE_API = 1


@hookimpl(trylast=True)
def register_exchanges(register: Register) -> None:
    """Offer every spot exchange under ccxt's id."""
    for row in rows():
        register(
            row.id,
            exchange=public_class(row.id),
            account=account_class(row.id),
            settings=CcxtSettings,
            exchange_capabilities=exchange_capabilities(row.id),
            account_capabilities=account_capabilities(row.id),
        )
