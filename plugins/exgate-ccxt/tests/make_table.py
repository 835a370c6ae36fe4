"""Write ``table.json`` anew from the installed ccxt: ``python3 dev.py python plugins/exgate-ccxt/tests/make_table.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ccxt.async_support
import ccxt.pro
import msgspec

from exgate_ccxt.table import Row

TABLE = Path(__file__).parents[1] / "src" / "exgate_ccxt" / "table.json"

PRIVATE = (
    *("fetchBalance", "createOrder", "cancelOrder", "fetchOpenOrders", "fetchOrder", "fetchOrders"),
    *("fetchClosedOrders", "fetchMyTrades", "createMarketBuyOrderWithCost"),
)


def rows() -> list[Row]:
    """One row per spot exchange of the installed ccxt that isn't another's second name."""
    clients = (_client(name) for name in sorted(ccxt.exchanges))
    return [_row(client) for client in clients if client.has.get("spot") and not client.alias]


def _client(name: str) -> Any:
    return (getattr(ccxt.pro, name, None) or getattr(ccxt.async_support, name))()


def _row(client: Any) -> Row:
    has = client.has
    return Row(
        id=client.id,
        name=client.name,
        pro=client.id in ccxt.pro.exchanges,
        fetch_order_book=bool(has.get("fetchOrderBook")),
        fetch_trades=bool(has.get("fetchTrades")),
        watch_order_book=bool(has.get("watchOrderBook")),
        watch_trades=bool(has.get("watchTrades")),
        un_watch=bool(has.get("unWatchTrades")),
        has=tuple(name for name in PRIVATE if has.get(name)),
        credentials=tuple(sorted(name for name, needed in client.requiredCredentials.items() if needed)),
        rate_limit=float(client.rateLimit),
    )


def encoded() -> bytes:
    """The file: one line per exchange."""
    return b"[\n" + b",\n".join(msgspec.json.encode(row) for row in rows()) + b"\n]\n"


if __name__ == "__main__":
    TABLE.write_bytes(encoded())
    sys.stdout.write(f"{TABLE}: {len(rows())} exchanges\n")
