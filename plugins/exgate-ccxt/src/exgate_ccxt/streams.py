"""Streams over ccxt.pro, and over questions where an exchange has no streams."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Any

from exgate_core.hookspecs import EmitDepth, EmitTrades
from exgate_core.models import Market

from .booktap import BookTap
from .parse import trade_of
from .polling import poll
from .proofs import proof_for
from .stream import Stream
from .table import Row
from .tradetap import TradeTap
from .windows import stream_limit

__all__ = ["is_polled", "pull_depth", "pull_trade", "streams_trades"]

_PAGE = 1000
_KEYED = frozenset({"alpaca", "luno"})
# Their public streams want keys.
_PROTOBUF = frozenset({"mexc"})
# Their frames can only be read with the package protobuf, which ccxt doesn't bring along.


def _protobuf() -> bool:
    try:
        return find_spec("google.protobuf") is not None
    except ModuleNotFoundError:
        return False


def streams_trades(known: Row) -> bool:
    """Whether ``pull_trade`` can serve an exchange: by its streams, or by asking again and again."""
    return known.fetch_trades or not is_polled(known)


def is_polled(known: Row) -> bool:
    """Whether an exchange has no stream of trades for everybody."""
    return not known.watch_trades or known.id in _KEYED


async def pull_trade(side: Any, market: Market, emit: EmitTrades) -> None:
    """Runs while the stream lives; ``side`` is the CcxtExchange. Every trade once, in the order of its arrival."""
    client, context = side.client, side.context
    if not client.has.get("watchTrades") or client.id in _KEYED or (client.id in _PROTOBUF and not _protobuf()):
        await poll(lambda: side.recent_trades(market, _PAGE, None), context.sleep, emit)
        return
    tap = TradeTap(client.id, market.symbol, partial(trade_of, exchange_id=client.id), emit)
    await Stream(client, context, tap).run(lambda own: own.watch_trades(market.symbol))


async def pull_depth(side: Any, market: Market, levels: int, emit: EmitDepth) -> None:
    """Runs while the stream lives; ``side`` is the CcxtExchange. The whole book, then what changes.

    Raises Unimplemented for an exchange of which it isn't known how much of the book its stream shows.
    """
    client, context = side.client, side.context
    limit = stream_limit(client.id, levels)
    tap = BookTap(market.symbol, proof_for(client.id), emit)
    await Stream(client, context, tap).run(lambda own: own.watch_order_book(market.symbol, limit))
