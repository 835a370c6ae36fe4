"""Answers of a gateway as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

_NUMERIC = frozenset({"price", "amount", "qty", "quoteQty", "available", "frozen", "bid amount", "ask amount"})
_NUMERIC_MORE = frozenset({"bid", "ask", "filled", "age", "readers", "tick", "step", "minimum"})


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str = "none") -> str:
    """Columns as wide as they need to be, numbers to the right; ``empty`` where there is no row."""
    body = [[_cell(value) for value in row] for row in rows]
    if not body:
        return empty
    widths = [max(len(line[i]) for line in [list(columns), *body]) for i in range(len(columns))]
    right = [column in _NUMERIC or column in _NUMERIC_MORE for column in columns]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in [list(columns), *body]
    )


def fields(pairs: Iterable[tuple[str, Any]]) -> str:
    """One ``name  value`` a line; what is empty is left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value not in ("", None, [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in shown)


def depth(answer: dict[str, Any]) -> str:
    """The two sides beside each other, best level on top."""
    bids, asks = _levels(answer["bid_list"]), _levels(answer["ask_list"])
    count = max(len(bids), len(asks))
    nothing = {"price": "", "amount": ""}
    padded = zip(bids + [nothing] * (count - len(bids)), asks + [nothing] * (count - len(asks)), strict=True)
    rows = [(bid["amount"], bid["price"], ask["price"], ask["amount"]) for bid, ask in padded]
    return table(("bid amount", "bid", "ask", "ask amount"), rows, "the book is empty")


def trades(items: Sequence[dict[str, Any]]) -> str:
    """One trade a line, oldest first."""
    return table(("time", "side", "price", "qty", "quoteQty", "id"), [_trade(item) for item in items], "no trades")


def trade_line(item: dict[str, Any]) -> str:
    """One trade of a stream, in columns that don't depend on the trades around it."""
    time, side, price, qty, _, name = _trade(item)
    return f"{time}  {side:4}  {price:>14}  {qty:>14}  {name}"


def exchanges(answer: dict[str, Any]) -> str:
    """What a gateway serves."""
    return records(("name", "state", "account", "operations", "problem"), answer["exchanges"], "no exchanges")


def markets(answer: dict[str, Any]) -> str:
    """The markets of an exchange and their rules."""
    columns = ("symbol", "id", "tick_size", "step_size", "min_amount", "min_notional", "active")
    return records(columns, answer["markets"], "no markets")


def records(columns: Sequence[str], items: Iterable[dict[str, Any]], empty: str) -> str:
    """The named fields of each item."""
    return table(columns, [[item.get(column, "") for column in columns] for item in items], empty)


def clock(milliseconds: int) -> str:
    """A time stamp in UTC to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{milliseconds % 1000:03d}"


def _levels(side: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    return [level for part in side for level in part["bid"]]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(item) for item in value)
    return "" if value is None else str(value)


def _trade(item: dict[str, Any]) -> tuple[str, str, str, str, str, str]:
    side = "sell" if item["isBuyerMaker"] else "buy"
    name = str(item.get("trade_id", item["id"]))
    return clock(item["time"]), side, item["price"], item["qty"], item["quoteQty"], name
