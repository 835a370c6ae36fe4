"""The further keys of a paper exchange's section, and the markets it has by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from exgate_core.models import Market

from .faults import Fault


class PaperMarket(Struct, frozen=True, kw_only=True):
    """One market of the paper exchange. All numbers are decimal strings."""

    symbol: str
    """``BASE/QUOTE``."""
    price: str
    """Where the seeded market starts."""
    tick: str = "0.01"
    step: str = "0.0001"
    min_amount: str = ""
    """Empty = one step."""
    max_amount: str = ""
    min_notional: str = ""

    def market(self) -> Market:
        """As the contract lists it; the exchange's own name is ``BASEQUOTE``."""
        base, _, quote = self.symbol.partition("/")
        if not base or not quote:
            raise ValueError(f"a paper market's symbol is BASE/QUOTE, not {self.symbol!r}")
        return Market(
            symbol=self.symbol,
            id=base + quote,
            base=base,
            quote=quote,
            tick_size=self.tick,
            step_size=self.step,
            min_amount=self.min_amount or self.step,
            max_amount=self.max_amount,
            min_notional=self.min_notional,
        )


DEFAULT_MARKETS = (
    PaperMarket(symbol="BTC/USDT", price="60000.00", tick="0.01", step="0.00001", max_amount="9000", min_notional="5"),
    PaperMarket(symbol="ETH/USDT", price="3000.00", tick="0.01", step="0.0001", max_amount="9000", min_notional="5"),
    PaperMarket(
        symbol="ETH/BTC", price="0.05000", tick="0.00001", step="0.0001", max_amount="100000", min_notional="0.0001"
    ),
)


MEMORY = "memory"
"""The ``state`` of an exchange that a restart forgets."""

DEFAULT_BALANCES = {"USDT": "100000", "BTC": "10", "ETH": "100"}


class PaperSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a section of a paper exchange may say."""

    seed: int = 1
    """The seeded market does the same for the same seed, whenever nobody else trades."""
    rate: float = 5.0
    """Steps of the seeded market per second and market; 0 = nothing moves by itself."""
    levels: int = 20
    """Price levels a side that the market makers keep; 0 = empty books."""
    markets: tuple[PaperMarket, ...] = DEFAULT_MARKETS
    balances: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_BALANCES))
    """What a new paper account is given; assets that no market has are left out."""
    wallet: str = "main"
    """The name of the paper account; callers that bring keys get one of their own per key."""
    maker_fee: str = "0.001"
    taker_fee: str = "0.001"
    client_ids: Literal["open", "ever"] = "open"
    """Among which orders a client order id must be unique: open ones (as on Binance) or all."""
    state: str = ""
    """A folder in which the exchange outlives its process; empty = one in the gateway's state folder, ``memory`` =
    nowhere: a restart forgets everything."""
    history: int = 200_000
    """Trades that are kept per market."""
    ledger: int = 500_000
    """Entries that the ledger keeps; 0 = all."""
    faults: tuple[Fault, ...] = ()
    """Armed from the start."""
