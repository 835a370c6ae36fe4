"""The private side through ccxt."""

from __future__ import annotations

from collections.abc import Sequence

from exgate_core.client import Context
from exgate_core.errors import Unimplemented
from exgate_core.hookspecs import hookimpl
from exgate_core.models import AccountCapabilities, Balance

__all__ = ["CcxtAccount", "account_capabilities"]


def account_capabilities(exchange_id: str) -> AccountCapabilities:
    """What the account of an exchange can do, without importing ccxt."""
    return AccountCapabilities()


class CcxtAccount:
    """One set of credentials on one exchange."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @hookimpl(trylast=True)
    async def balances(self) -> Sequence[Balance]:
        """Every row that the exchange sends."""
        raise Unimplemented(f"no account of {self.context.name} yet")
