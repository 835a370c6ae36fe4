"""The paper exchange of ExGate: a real matching engine, seeded markets, a ledger of the truth, faults on demand."""

from __future__ import annotations

from exgate_core.hookspecs import Register, hookimpl

from .account import PaperAccount
from .adapter import PaperExchange
from .engine import Engine
from .faults import Fault, Faults
from .ledger import Ledger
from .market import SeededMarket
from .settings import PaperMarket, PaperSettings

__all__ = [
    "EXGATE_API",
    "Engine",
    "Fault",
    "Faults",
    "Ledger",
    "PaperAccount",
    "PaperExchange",
    "PaperMarket",
    "PaperSettings",
    "SeededMarket",
    "register_exchanges",
]

EXGATE_API = 1


@hookimpl
def register_exchanges(register: Register) -> None:
    """Offer the exchange ``paper``."""
    register("paper", exchange=PaperExchange, account=PaperAccount, settings=PaperSettings)
