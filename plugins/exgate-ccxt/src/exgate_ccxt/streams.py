"""Streams over ccxt.pro."""

from __future__ import annotations

from typing import Any

from exgate_core.errors import Unimplemented
from exgate_core.hookspecs import EmitDepth, EmitTrades
from exgate_core.models import Market

__all__ = ["pull_depth", "pull_trade"]


async def pull_trade(side: Any, market: Market, emit: EmitTrades) -> None:
    """Runs while the stream lives; ``side`` is the CcxtExchange."""
    raise Unimplemented(f"no stream of {side.context.name} yet")


async def pull_depth(side: Any, market: Market, levels: int, emit: EmitDepth) -> None:
    """Runs while the stream lives; ``side`` is the CcxtExchange."""
    raise Unimplemented(f"no stream of {side.context.name} yet")
