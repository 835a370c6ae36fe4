"""Whether a private answer says what ccxt makes of it: what ccxt doesn't understand, it reads as "nothing there".

An empty list of orders or balances counts only where ccxt found the list that it looked for; "no such order" only where
the exchange said it, or an empty list did; a cancel only where the answer names the order or says yes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from .intents import CURRENT, Evidence

__all__ = ["LISTS", "MAPS", "acknowledged", "observe"]

LISTS: Final = frozenset("alpaca bitfinex gate gateeu hyperliquid latoken whitebit".split())
"""Exchanges for ``Evidence.is_list``: in ccxt 4.5.90 their answers are gone through as they are."""
MAPS: Final = {"whitebit": "/order/history"}
"""Exchanges for ``Evidence.map_at``: where they answer with an object of lists, one a market."""

_LOOKUPS: Final = {"safe_value": 1, "safe_value_2": 2, "safe_value_n": 1}
"""The readers that all others of ccxt use for lists and objects, and how many arguments name keys."""
_TELLING: Final = frozenset(
    """bitteam bitbank btcturk cex coinmate cryptomus kraken luno woo xt zebpay independentreserve""".split()
)
"""Exchanges whose answer to a cancel doesn't name the order, as ccxt's samples of their answers have it."""
_YES: Final = {
    **dict.fromkeys(("success", "ok"), ("true", "1", "ok", "success")),
    **dict.fromkeys(("status", "state"), ("success", "canceled", "cancelled", "cancel_sent")),
    **dict.fromkeys(("mc",), ("success",)),
}


def observe(client: Any) -> None:
    """Have a client tell the evidence of the running call what it finds."""
    for name, keys in _LOOKUPS.items():
        setattr(client, name, partial(_look_up, getattr(client, name), keys))
    for name in ("parse_orders", "parse_balance", "parse_trades"):
        setattr(client, name, partial(_parse, getattr(client, name)))
    client.handle_errors = partial(_handle, client.handle_errors)


def _current() -> Evidence | None:
    intent = CURRENT.get()
    return None if intent is None else intent.evidence


def _look_up(original: Any, named: int, container: Any, *keys: Any) -> Any:
    found, evidence = original(container, *keys), _current()
    if evidence is not None:
        default = keys[named] if len(keys) > named else None
        evidence.looked_up(container, None if found is default else found)
    return found


def _parse(original: Any, value: Any, *arguments: Any, **named: Any) -> Any:
    evidence = _current()
    if evidence is not None and isinstance(value, list):
        evidence.read(value)
    return original(value, *arguments, **named)


def _handle(original: Any, *arguments: Any) -> Any:
    try:
        return original(*arguments)
    except Exception:
        evidence = _current()
        if evidence is not None:
            evidence.told = True
        raise


def acknowledged(exchange_id: str, body: str, order_id: str) -> bool:
    """Whether the answer to a cancel says that it was taken in: it names the order, or says so where none is named."""
    try:
        answer = json.loads(body, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return False
    leaves = list(_leaves(answer))
    if any(text == order_id.casefold() for pair in leaves for text in pair):
        return True
    if exchange_id not in _TELLING:
        return False
    counted = any(key == "count" and value.isdecimal() and int(value) > 0 for key, value in leaves)
    return counted or any(value in _YES.get(key, ()) for key, value in leaves)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, text), in lower case; keys of objects count as texts too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "", name.casefold()
            yield from _leaves(inner, name.casefold())
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    elif value is not None:
        yield key, str(value).casefold()
