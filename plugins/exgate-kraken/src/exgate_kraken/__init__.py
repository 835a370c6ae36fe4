"""Kraken spot: REST for questions and orders, WebSocket v2 for trades and books."""

from __future__ import annotations

from exgate_core.hookspecs import Register, hookimpl

from .account import KrakenAccount
from .exchange import Kraken
from .settings import KrakenSettings

__all__ = ["EXGATE_API", "Kraken", "KrakenAccount", "KrakenSettings", "register_exchanges"]

EXGATE_API = 1


@hookimpl
def register_exchanges(register: Register) -> None:
    """Offer ``kraken``."""
    register("kraken", exchange=Kraken, account=KrakenAccount, settings=KrakenSettings)
