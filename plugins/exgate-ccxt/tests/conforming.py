"""Who is judged by the author's kit: this plugin, with the fakes that hand-written plugins ship of their exchanges."""

from __future__ import annotations

from typing import Final

from exgate_testing.subjects import Subject, subject

EXCHANGES: Final = ("binance", "okx", "kraken")
_CUT: Final = "ccxt cuts a quote amount to the decimals of prices: such an order is refused, and never sent"
_TAKEN_IN: Final = "OKX answers a cancel when it has taken it in, and ccxt hands that on: it is told as pending"
WAIVERS: Final[dict[str, dict[str, str]]] = {
    "binance": {
        "C48[filled]": "by its client id an order is looked for in its lists only: own trades don't say it",
        "C40[quote-amount]": _CUT,
    },
    "okx": {
        "C48[filled]": "by its client id an order is looked for in its lists only",
        "C40[quote-amount]": _CUT,
        "C63[open]": _TAKEN_IN,
        "C63[partially_filled]": _TAKEN_IN,
        "C64": _TAKEN_IN,
    },
    "kraken": {},
}
"""Exchange -> case -> what ccxt can't do there."""


def judged(name: str) -> Subject:
    """An exchange through ccxt. Raises NotJudged where no installed plugin ships its fake."""
    return subject(name, plugin="exgate-ccxt")
