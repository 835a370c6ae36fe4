"""How single exchanges write orders, where that differs from what most do."""

from __future__ import annotations

from typing import Final

from .request_check import Wording

__all__ = ["id_forms", "wording_of"]

_ANY_ACCOUNT: Final = Wording(constants=frozenset({("accountid", "*")}))
_NONE: Final = Wording()

_WORDINGS: Final[dict[str, Wording]] = {
    "bitfinex": Wording(signed_amount=True, flags={"flags=4096": "postonly"}),
    "bitget": Wording(cost_key="size"),
    "bithumb": Wording(cost_key="price", flags={"ordertype=price": "market"}),
    "bittrade": Wording(constants=frozenset({("accountid", "*")}), cost_key="amount"),
    "bitvavo": Wording(constants=frozenset({("operatorid", "*")})),
    "btcbox": Wording(implied_quote=True),
    "bybit": Wording(cost_key="qty"),
    "bybiteu": Wording(cost_key="qty"),
    "bybitid": Wording(cost_key="qty"),
    "cex": _ANY_ACCOUNT,
    "coinmate": Wording(constants=frozenset({("clientid", "*")}), market_words=frozenset({"instant", "market"})),
    "coinspot": Wording(implied_quote=True),
    "digifinex": Wording(cost_key="amount"),
    "gate": Wording(cost_key="amount"),
    "gateeu": Wording(cost_key="amount"),
    "hashkey": Wording(cost_key="quantity"),
    "htx": Wording(constants=frozenset({("accountid", "*")}), cost_key="amount"),
    "luno": Wording(market_words=frozenset({"marketorder"})),
    "poloniex": Wording(cost_key="amount"),
    "tokocrypto": Wording(
        flags={
            "side=0": "buy",
            "side=1": "sell",
            "type=1": "limit",
            "type=2": "market",
            "timeinforce=1": "gtc",
            "timeinforce=2": "ioc",
            "timeinforce=3": "fok",
        }
    ),
    "toobit": Wording(cost_key="quantity"),
    "upbit": Wording(cost_key="price", flags={"ordtype=price": "market"}),
}

_ID_FORMS: Final[dict[str, tuple[str, ...]]] = {
    "bithumb": ("{quote}-{base}",),
    "tokocrypto": ("{base}_{quote}",),
    "bitbns": ("{base}_{quote}", "{base}{quote}"),
}


def wording_of(exchange_id: str) -> Wording:
    """How an exchange writes orders."""
    return _WORDINGS.get(exchange_id, _NONE)


def id_forms(exchange_id: str, base: str, quote: str) -> tuple[str, ...]:
    """Names of a market that its list doesn't hold and requests do."""
    return tuple(form.format(base=base, quote=quote) for form in _ID_FORMS.get(exchange_id, ()))
