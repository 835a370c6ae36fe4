"""Bitstamp spot for ExGate."""

from __future__ import annotations

from exgate_core.hookspecs import Register, hookimpl

from .account import BitstampAccount
from .exchange import Bitstamp

__all__ = [
    "EXGATE_API",
    "Bitstamp",
    "BitstampAccount",
    "register_exchanges",
]

EXGATE_API = 1


@hookimpl
def register_exchanges(register: Register) -> None:
    """Offer ``bitstamp``."""
    register(
        "bitstamp",
        exchange=Bitstamp,
        account=BitstampAccount,
    )
