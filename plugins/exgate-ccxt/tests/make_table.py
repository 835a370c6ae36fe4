"""Write ``table.json`` anew from the installed ccxt: ``python3 dev.py python`` with this file."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ccxt.pro
import msgspec
from exgate_ccxt.canary import Canary
from exgate_ccxt.factory import exchange_class
from exgate_ccxt.options import options_of
from exgate_ccxt.table import Row

from exgate_core.clock import SystemClock

TABLE = Path(__file__).parents[1] / "src" / "exgate_ccxt" / "table.json"

TOP = re.compile(r"parse_trades\((response|responseList)\b")
PRIVATE = (
    *("fetchBalance", "createOrder", "cancelOrder", "fetchOpenOrders", "fetchOrder", "fetchOrders"),
    *("fetchClosedOrders", "fetchMyTrades", "createMarketBuyOrderWithCost"),
)


ABSENT = {
    "coinspot": ("order book and trades", "only with keys, which public questions never carry"),
    "hyperliquid": ("trades", "ccxt gives only those of one user"),
    "p2b": ("trades", "ccxt asks for an id to start from"),
}
"""What ccxt says it has and a public question can't get."""


def rows() -> list[Row]:
    """One row per spot exchange of the installed ccxt that isn't another's second name."""
    clients = (_client(name) for name in sorted(ccxt.exchanges))
    return [asyncio.run(_row(client)) for client in clients if client.has.get("spot") and not client.alias]


def _client(name: str) -> Any:
    client = exchange_class(name)({"enableRateLimit": False, "options": dict(options_of(name))})
    client.exgate = SimpleNamespace(context=SimpleNamespace(clock=SystemClock()))  # as much as a canary needs
    return client


async def _row(client: Any) -> Row:
    has, absent = client.has, ABSENT.get(client.id, ("", ""))[0]
    book = bool(has.get("fetchOrderBook")) and "book" not in absent
    trades = bool(has.get("fetchTrades")) and "trades" not in absent
    credentials = tuple(sorted(name for name, needed in client.requiredCredentials.items() if needed))
    canary = Canary(client)
    return Row(
        id=client.id,
        name=client.name,
        pro=client.id in ccxt.pro.exchanges,
        fetch_order_book=book,
        fetch_trades=trades,
        watch_order_book=bool(has.get("watchOrderBook")),
        watch_trades=bool(has.get("watchTrades")),
        un_watch=bool(has.get("unWatchTrades")),
        has=tuple(name for name in PRIVATE if has.get(name)),
        credentials=credentials,
        rate_limit=float(client.rateLimit),
        exact_depth=book and await canary.depth(),
        exact_trades=trades and await canary.trades(),
        trades_are_top=bool(TOP.search(inspect.getsource(type(client).fetch_trades))),
    )


def encoded() -> bytes:
    """The file: one line per exchange."""
    return b"[\n" + b",\n".join(msgspec.json.encode(row) for row in rows()) + b"\n]\n"


if __name__ == "__main__":
    TABLE.write_bytes(encoded())
    sys.stdout.write(f"{TABLE}: {len(rows())} exchanges\n")
