"""An order as a caller wrote it, against the rules of its market and of its exchange. Pure: nothing is sent.

What doesn't fit is refused with the field, the rule and the fix; nothing is rounded or dropped in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, cast

from . import numbers
from .errors import InvalidArgument
from .models import AccountCapabilities, Market, Option, OrderRequest, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from .contract import PlaceBody

_DECIMAL = 'must be a decimal string above zero such as "0.015": digits and one point, no sign, no exponent'
_UNIFORM = ("client_order_id", "time_in_force", "post_only", "quote_amount", "stop_price", "round")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def trading_problem(capabilities: AccountCapabilities, *, trading: bool, accept_unrecoverable: bool) -> str:
    """Why an account may not trade as its section is written, with the line to write; empty = it may."""
    if not trading or not capabilities.real or capabilities.order_recovery != "none" or accept_unrecoverable:
        return ""
    return (
        "trading = true, but orders of this exchange can't be looked up again: one whose answer is lost stays unknown; "
        "write accept_unrecoverable = true to trade nevertheless"
    )


def check(market: Market, capabilities: AccountCapabilities, body: PlaceBody, client_order_id: str) -> OrderRequest:
    """The order as it may be sent. ``client_order_id`` is the one that goes upstream, empty where there is none.

    Raises InvalidArgument that names the field, the rule and the fix, both neighbours included.
    """
    side, kind = _side(body.side), _type(body.type, capabilities)
    if not market.active:
        raise InvalidArgument.of("symbol", f"{market.symbol} isn't traded at the moment", reason="MARKET_INACTIVE")
    options = _options(body.options, capabilities)
    rounding = _truth("round", options)
    price = _price(market, side, kind, body.price, rounding)
    amount, quote_amount = _amounts(market, kind, body.amount, options, rounding)
    _check_notional(market, price, amount, quote_amount)
    return OrderRequest(
        market=market,
        side=side,
        type=kind,
        client_order_id=client_order_id,
        price=price,
        amount=amount,
        quote_amount=quote_amount,
        time_in_force=_time_in_force(kind, options, capabilities),
        post_only=_post_only(kind, options),
        stop_price=_stop_price(market, options),
        options={name: _typed(name, options[name], capabilities.options[name]) for name in _declared(options)},
    )


def _side(text: str) -> Side:
    side = text.lower()
    if side not in ("buy", "sell"):
        raise InvalidArgument.of("side", f'must be "buy" or "sell", not "{text[:40]}"')
    return cast(Side, side)


def _type(text: str, capabilities: AccountCapabilities) -> OrderType:
    kind = text.lower()
    known = sorted(capabilities.order_types & {"limit", "market"})
    if kind not in known:
        fix = _instead(kind, known, capabilities)
        raise InvalidArgument.of("type", f'must be one of {", ".join(known)}, not "{text[:40]}"{fix}')
    return cast(OrderType, kind)


def _instead(kind: str, known: Collection[str], capabilities: AccountCapabilities) -> str:
    """How to write an order of a type that others know."""
    if any(word in kind for word in ("stop", "profit", "trigger")):
        offered = f"; a stop order is a {' or '.join(known)} order with options.stop_price"
        return offered if capabilities.stop_price else f"{offered}, which this exchange doesn't offer here"
    return "; a resting order is a limit order with options.post_only = true" if "limit" in known else ""


def _known(capabilities: AccountCapabilities) -> list[str]:
    missing = {
        name
        for name, there in (
            ("client_order_id", capabilities.client_ids),
            ("post_only", capabilities.post_only),
            ("quote_amount", capabilities.quote_amount),
            ("stop_price", capabilities.stop_price),
        )
        if not there
    }
    return sorted((set(_UNIFORM) - missing) | set(capabilities.options))


def _options(options: Mapping[str, str], capabilities: AccountCapabilities) -> dict[str, str]:
    known = _known(capabilities)
    for name in options:
        if name not in known:
            why = "isn't supported by this exchange" if name in _UNIFORM else "is unknown"
            raise InvalidArgument.of(f"options.{name[:40]}", f"{why}; the known options are {', '.join(known)}")
    return {name: value for name, value in options.items() if value}


def _declared(options: Mapping[str, str]) -> list[str]:
    return [name for name in options if name not in _UNIFORM]


def _truth(name: str, options: Mapping[str, str]) -> bool:
    text = options.get(name, "false").lower()
    if text not in _TRUTH:
        raise InvalidArgument.of(f"options.{name}", f'must be "true" or "false", not "{text[:40]}"')
    return _TRUTH[text]


def _positive(field: str, text: str) -> str:
    if not numbers.is_positive(text):
        raise InvalidArgument.of(field, f'{_DECIMAL}; not "{text[:40]}"')
    return text


def _price(market: Market, side: Side, kind: OrderType, text: str, rounding: bool) -> str:
    if kind == "market":
        if text:
            raise InvalidArgument.of("price", "a market order has no price; leave it out, or send type = limit")
        return ""
    if not text:
        raise InvalidArgument.of("price", "a limit order needs a price")
    return _on_grid("price", _positive("price", text), market.tick_size, "tick size", rounding, up=side == "sell")


def _on_grid(field: str, value: str, step: str, name: str, rounding: bool, *, up: bool = False) -> str:
    """The value if it is a multiple of the step; rounded where the caller asked for it and something is left."""
    if not step or numbers.is_multiple(value, step):
        return value
    below, above = numbers.neighbours(value, step)
    rounded = above if up else below
    if rounding and not numbers.is_zero(rounded):
        return rounded
    nearest = f"the nearest is {above}" if numbers.is_zero(below) else f"the nearest are {below} and {above}"
    fix = "" if rounding or field not in ("price", "amount") else "; options.round = true takes the harmless one"
    raise InvalidArgument.of(field, f"{value} is no multiple of the {name} {step}; {nearest}{fix}", reason="OFF_GRID")


def _amounts(
    market: Market, kind: OrderType, amount: str, options: Mapping[str, str], rounding: bool
) -> tuple[str, str]:
    quote_amount = options.get("quote_amount", "")
    if bool(amount) == bool(quote_amount):
        fix = "; or options.quote_amount for a market order" if kind == "market" else ""
        text = "give either amount or options.quote_amount, not both" if amount else f"is required{fix}"
        raise InvalidArgument.of("amount", text)
    if quote_amount:
        if kind != "market":
            raise InvalidArgument.of("options.quote_amount", "is for market orders; a limit order takes amount")
        return "", _positive("options.quote_amount", quote_amount)
    amount = _on_grid("amount", _positive("amount", amount), market.step_size, "step size", rounding)
    _check_bounds(market, amount)
    return amount, ""


def _check_bounds(market: Market, amount: str) -> None:
    least, most = market.min_amount, market.max_amount
    if least and numbers.compare(amount, least) < 0:
        raise InvalidArgument.of("amount", f"{amount} is below the minimum {least} {market.base}", reason="TOO_SMALL")
    if most and not numbers.is_zero(most) and numbers.compare(amount, most) > 0:
        raise InvalidArgument.of("amount", f"{amount} is above the maximum {most} {market.base}", reason="TOO_LARGE")


def _check_notional(market: Market, price: str, amount: str, quote_amount: str) -> None:
    least = market.min_notional
    worth = quote_amount or (numbers.product(price, amount) if price else "")
    if not least or not worth or numbers.compare(worth, least) >= 0:
        return
    field = "options.quote_amount" if quote_amount else "amount"
    what = worth if quote_amount else f"{price} x {amount} = {worth}"
    raise InvalidArgument.of(field, f"{what} is below the minimum {least} {market.quote}", reason="TOO_SMALL")


def _time_in_force(kind: OrderType, options: Mapping[str, str], capabilities: AccountCapabilities) -> TimeInForce:
    text = options.get("time_in_force", "")
    if not text:
        return "GTC"
    if kind == "market":
        raise InvalidArgument.of("options.time_in_force", "a market order has none; leave it out")
    known = sorted(capabilities.times_in_force & {"GTC", "IOC", "FOK"})
    if text.upper() not in known:
        raise InvalidArgument.of("options.time_in_force", f'must be one of {", ".join(known)}, not "{text[:40]}"')
    if text.upper() != "GTC" and _truth("post_only", options):
        raise InvalidArgument.of("options.post_only", "an order that may only rest can't be IOC or FOK; drop one")
    return cast(TimeInForce, text.upper())


def _post_only(kind: OrderType, options: Mapping[str, str]) -> bool:
    wanted = _truth("post_only", options)
    if wanted and kind == "market":
        raise InvalidArgument.of("options.post_only", "a market order can't rest; leave it out, or send type = limit")
    return wanted


def _stop_price(market: Market, options: Mapping[str, str]) -> str:
    text = options.get("stop_price", "")
    if not text:
        return ""
    field = "options.stop_price"
    return _on_grid(field, _positive(field, text), market.tick_size, "tick size", rounding=False)


def _typed(name: str, text: str, option: Option) -> str:
    field = f"options.{name}"
    if option.choices and text not in option.choices:
        raise InvalidArgument.of(field, f'must be one of {", ".join(option.choices)}, not "{text[:40]}"')
    if option.kind == "boolean":
        return "true" if _truth(name, {name: text}) else "false"
    if option.kind == "decimal" and not numbers.is_decimal(text):
        raise InvalidArgument.of(field, f'must be a decimal such as "0.5", not "{text[:40]}"')
    if option.kind == "integer" and not (numbers.is_decimal(text) and "." not in text):
        raise InvalidArgument.of(field, f'must be a whole number, not "{text[:40]}"')
    return text
