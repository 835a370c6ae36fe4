"""A book and a trade whose digits are known, sent through ccxt's own parsing before an exchange is trusted.

ccxt changes every week. The canary doesn't know the shape of an exchange's answers: it offers shape after shape in
which every field that could be a number holds the same long one; from one of them it must come back whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from .exact import text
from .parse import raw_amount
from .table import Row

__all__ = ["DIGITS", "Canary"]

DIGITS = "1234567.8901234567890123450"
"""More digits than a float holds, and a zero at the end."""

_TIME = "1618678142557000"
_PRIVATE = frozenset(
    {
        *("OrderGuid", "PrimaryCurrencyCode", "SecondaryCurrencyCode", "baseCurrency", "factor", "fee", "fee_base"),
        *("fee_counter", "fees", "order", "orderId", "order_id", "quoteCurrency", "reference"),
    }
)
"""Fields of one's own trades, by which ccxt tells them from everybody's."""
_NAMES = ("market", "symbol")
_TIMES = ("current", "microtimestamp", "time", "timestamp")
_LONGEST = 5
_FIELDS = 16


class _Any(dict[str, Any]):
    """A JSON object in which every field has the same value; whether it says so when asked is up to ``candid``."""

    def __init__(self, value: Any, *, candid: bool = True) -> None:
        super().__init__()
        self._value, self._candid = value, candid

    def __getitem__(self, key: str) -> Any:
        if key in _PRIVATE:
            raise KeyError(key)
        if isinstance(self._value, str):
            return self._value
        return _TIME if key in _TIMES else DIGITS if key in _NAMES else self._value

    def __contains__(self, key: object) -> bool:
        return self._candid

    def get(self, key: str, default: Any = None) -> Any:
        return default if key in _PRIVATE else self[key]

    def items(self) -> Any:
        return [(DIGITS, self._value)]

    def keys(self) -> Any:
        return [DIGITS]

    def values(self) -> Any:
        return [self._value]

    def __iter__(self) -> Iterator[str]:
        return iter([DIGITS])

    def __len__(self) -> int:
        return 1


class Canary:
    """Asks a client, whose answers it makes up itself; the client is of no other use afterwards."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._answer: Any = None
        client.fetch, client.enableRateLimit = self._fetch, False
        client.set_markets([_market(client)])

    async def lost(self, row: Row) -> str:
        """What loses digits, of what the exchange serves: ``books``, ``trades``, both, or nothing."""
        books = row.fetch_order_book and not await self.depth()
        trades = row.fetch_trades and not await self.trades()
        return " and ".join(name for name, wrong in (("books", books), ("trades", trades)) if wrong)

    async def depth(self) -> bool:
        """Whether a book's prices and amounts come back to the last digit."""
        for answer in _answers():
            book = await self._ask(answer, lambda: self._client.fetch_order_book("BTC/USDT"))
            levels = [*book["bids"], *book["asks"]] if isinstance(book, dict) else []
            if levels and all(_same(level[0]) and _same(level[1]) for level in levels):
                return True
        return False

    async def trades(self) -> bool:
        """Whether a trade's price and amount come back to the last digit."""
        for answer in _answers():
            trades = await self._ask(answer, lambda: self._client.fetch_trades("BTC/USDT"))
            if trades and all(self._whole(trade) for trade in trades):
                return True
        return False

    def _whole(self, trade: Any) -> bool:
        amount = raw_amount(trade, self._client.id) or trade["amount"]
        return _same(trade["price"]) and _same(amount)

    async def _ask(self, answer: Any, question: Any) -> Any:
        self._answer = answer
        try:
            return await question()
        except Exception:  # the wrong shape: whatever ccxt makes of it
            return None

    async def _fetch(self, *_arguments: Any, **_named: Any) -> Any:
        return self._answer


def _answers() -> Iterator[Any]:
    for length, candid in itertools.product(range(_LONGEST), (True, False)):
        for shape in itertools.product("dl", repeat=length):
            for row in ([_Any(DIGITS, candid=candid)], [[DIGITS] * _FIELDS], [DIGITS] * _FIELDS):
                answer: Any = row
                for kind in reversed(shape):
                    answer = _Any(answer, candid=candid) if kind == "d" else [answer]
                yield answer


def _same(value: object) -> bool:
    try:
        return text(value) == DIGITS
    except ValueError:
        return False


def _market(client: Any) -> Any:
    """A market whose name at the exchange is the number too, so that each field that names a market names this one."""
    limits = {"amount": {"min": None, "max": None}, "price": {"min": None, "max": None}, "cost": {"min": None}}
    return client.safe_market_structure(
        {
            **{"id": DIGITS, "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC"},
            **{"quoteId": "USDT", "type": "spot", "spot": True, "active": True, "limits": limits, "info": {}},
            "precision": {"amount": client.parse_number("0.00000001"), "price": client.parse_number("0.01")},
        }
    )
