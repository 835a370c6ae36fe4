"""OKX spot: hand-written, exact to the last digit."""

from __future__ import annotations

from exgate_core.hookspecs import Register, hookimpl

from .account import OkxAccount
from .exchange import Okx
from .settings import OkxSettings

__all__ = ["EXGATE_API", "Okx", "OkxAccount", "OkxSettings", "register_exchanges"]

EXGATE_API = 1


@hookimpl
def register_exchanges(register: Register) -> None:
    """Offer ``okx``."""
    register("okx", exchange=Okx, account=OkxAccount, settings=OkxSettings)
