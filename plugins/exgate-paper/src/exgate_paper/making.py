"""How an engine is made of settings."""

from __future__ import annotations

from collections.abc import Sequence

from exgate_core.clock import Clock
from exgate_core.models import Market

from .bank import FEES
from .engine import Engine
from .faults import Faults
from .ledger import Ledger
from .rules import Fees
from .settings import PaperSettings


def make_engine(markets: Sequence[Market], settings: PaperSettings, clock: Clock, house: frozenset[str]) -> Engine:
    """An engine whose ledger leaves out the accounts in ``house``, which also remember no closed orders."""
    faults = Faults(settings.seed)
    faults.add(*settings.faults)
    return Engine(
        markets,
        now=lambda: int(clock.time() * 1000),
        fees=Fees.of(settings.maker_fee, settings.taker_fee),
        ledger=Ledger(settings.ledger or None, house | {FEES}),
        faults=faults,
        client_ids=settings.client_ids,
        history=settings.history,
        forgetful=house,
    )
