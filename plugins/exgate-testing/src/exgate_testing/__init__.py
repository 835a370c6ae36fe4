"""The kit that judges an ExGate exchange plugin: the same numbered cases for every adapter, over a fake exchange.

An author writes a fake (``fakes.Fake``) that speaks his exchange's dialect; behind it stands the paper engine, whose
ledger is the truth that every answer is compared with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pytest import ExchangeConformance

__all__ = ["ExchangeConformance"]


def __getattr__(name: str) -> Any:
    """``ExchangeConformance``, and with it pytest, is loaded when an author asks for it."""
    if name != "ExchangeConformance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .pytest import ExchangeConformance

    return ExchangeConformance
