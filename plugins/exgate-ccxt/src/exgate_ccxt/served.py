"""The classes that are offered for each exchange: without the hooks of what ccxt can't do there.

So no list names an operation that would only be answered with 501.
"""

from __future__ import annotations

from functools import cache

from .account import CcxtAccount, CcxtViewer
from .exchange import CcxtExchange
from .facts import fact
from .streams import streams_trades
from .table import row
from .windows import streams_books

__all__ = ["account_class", "public_class"]


def public_class(exchange_id: str) -> type:
    """The class of an exchange's public side."""
    known = row(exchange_id)
    served = {
        "depth": known.fetch_order_book,
        "recent_trades": known.fetch_trades,
        "pull_trade": streams_trades(known),
        "pull_depth": known.watch_order_book and streams_books(exchange_id),
    }
    return _without(CcxtExchange, frozenset(name for name, there in served.items() if not there))


def account_class(exchange_id: str) -> type:
    """The class of its account: one without orders where no request of its orders could be read again."""
    known = fact(exchange_id)
    served = {"balances": known.balances, "pending_orders": known.open_orders}
    whole = CcxtAccount if known.places else CcxtViewer
    return _without(whole, frozenset(name for name, there in served.items() if not there))


@cache
def _without(whole: type, absent: frozenset[str]) -> type:
    """A copy of a class that lacks some of its methods; the class itself where it lacks none."""
    if not absent:
        return whole
    left_out = {*absent, "__dict__", "__weakref__"}
    return type(whole.__name__, (), {name: value for name, value in vars(whole).items() if name not in left_out})
