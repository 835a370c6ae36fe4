"""What orders can be here: the uniform options, and those that only these exchanges have.

Binance: rest-api.md "New order (TRADE)", enums.md "STP Modes", faqs/trailing-stop-faq.md and faqs/pegged_orders.md of
binance/binance-spot-api-docs, read at 2026-07-21. Binance.US: rest-api.md "New order (TRADE)" of 2023-09-06.
Not offered: ``newOrderRespType`` (the answer holds no more than an id), ``recvWindow`` (a setting) and order lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exgate_core.models import AccountCapabilities, ClientIds, Option

TRIGGER: Final = "trigger"
"""The one option that isn't a parameter: which of two order types a stop price makes."""

_STP_US: Final = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")

BINANCE_US_OPTIONS: Final[Mapping[str, Option]] = {
    TRIGGER: Option(
        description="with stop_price or trailingDelta: stop_loss (the default) buys above or sells below the market, "
        "take_profit buys below or sells above it",
        choices=("stop_loss", "take_profit"),
    ),
    "trailingDelta": Option(
        description="trail the market by so many hundredths of a percent; from stop_price on where that is given",
        kind="integer",
    ),
    "icebergQty": Option(description="show only so much of the amount at a time; GTC limit orders", kind="decimal"),
    "selfTradePreventionMode": Option(
        description="what happens if the order would trade with your own; each market allows some", choices=_STP_US
    ),
}

BINANCE_OPTIONS: Final[Mapping[str, Option]] = {
    **BINANCE_US_OPTIONS,
    "selfTradePreventionMode": Option(
        description="what happens if the order would trade with your own; each market allows some",
        choices=(*_STP_US, "DECREMENT", "TRANSFER"),
    ),
    "strategyId": Option(description="a number that labels the order in your own books", kind="integer"),
    "strategyType": Option(description="a number from 1000000 that labels the kind of strategy", kind="integer"),
    "pegPriceType": Option(
        description="peg the price to the best of the own side (PRIMARY_PEG) or of the other (MARKET_PEG)",
        choices=("PRIMARY_PEG", "MARKET_PEG"),
    ),
    "pegOffsetValue": Option(
        description="with pegPriceType: so many price levels deeper into the book, at most 100", kind="integer"
    ),
}


def capable_of(options: Mapping[str, Option]) -> AccountCapabilities:
    """The private side of an exchange with these options.

    ``settle``: ``recvWindow`` (at most 5 s), the 10 s within which the exchange itself gives up ("General API
    Information"), and 5 s to spare. The pattern of client ids is that of the exchange's own -1100 message.
    """
    return AccountCapabilities(
        symbol_needed=frozenset({"cancel_order", "find_order"}),
        client_ids=ClientIds(pattern=r"[a-zA-Z0-9_-]{1,36}"),
        order_recovery="full",
        settle=20.0,
        times_in_force=frozenset({"GTC", "IOC", "FOK"}),
        post_only=True,
        quote_amount=True,
        stop_price=True,
        options=options,
    )
