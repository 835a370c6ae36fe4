"""The public side: one class for every exchange of ccxt; ``context.name`` is ccxt's id."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from exgate_core.client import Context
from exgate_core.hookspecs import EmitDepth, EmitTrades, hookimpl
from exgate_core.models import Depth, Market, Trade

from . import streams
from .loading import close_client, open_client
from .parse import depth_of, trades_of

__all__ = ["CcxtExchange"]


class CcxtExchange:
    """The public spot data of an exchange, as ccxt knows it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client: Any = None
        """The ccxt client, while the exchange is open."""

    async def __aenter__(self) -> CcxtExchange:
        self.client = await open_client(self.context, self.context.name, private=False, streams=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await close_client(self.client)

    @hookimpl(trylast=True)
    async def markets(self) -> Sequence[Market]:
        """All spot markets."""
        values: tuple[Market, ...] = self.client.exgate_markets.values
        return values

    @hookimpl(trylast=True)
    async def depth(self, market: Market, limit: int) -> Depth:
        """The best ``limit`` levels a side."""
        return depth_of(await self.client.fetch_order_book(market.symbol, limit))

    @hookimpl(trylast=True)
    async def recent_trades(self, market: Market, limit: int, since_id: str | None) -> Sequence[Trade]:
        """The newest trades."""
        return trades_of(await self.client.fetch_trades(market.symbol, None, limit))

    @hookimpl(trylast=True)
    async def pull_trade(self, market: Market, emit: EmitTrades) -> None:
        """Every trade once, over ccxt.pro's connection."""
        await streams.pull_trade(self, market, emit)

    @hookimpl(trylast=True)
    async def pull_depth(self, market: Market, levels: int, emit: EmitDepth) -> None:
        """The book over ccxt.pro's connection."""
        await streams.pull_depth(self, market, levels, emit)
