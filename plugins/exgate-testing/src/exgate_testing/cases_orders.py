"""Cases about orders that meet no fault: what is sent, what is refused, and under which id."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from exgate_core.models import AccountCapabilities, Market, OrderRequest

from . import checks
from .checks import expect, hold
from .fakes import Keys
from .house import House, credential_headers, open_house
from .serving import running
from .subjects import Subject
from .table import NotApplicable, case, every, needs, wired

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_NEVER = (
    "amount", "quantity", "qty", "origQty", "sz", "size", "volume", "vol", "side", "S", "symbol", "s", "pair", "instId",
    "market", "type", "ordType", "ordertype", "tdMode", "account", "accountId", "subaccount", "subAccount", "leverage",
    "margin", "marginMode", "reduceOnly", "reduce_only", "viqc", "oflags", "tgtCcy", "quoteOrderQty", "price", "px",
    "newClientOrderId", "clOrdId", "cl_ord_id", "userref", "nonce", "timestamp", "recvWindow", "signature", "apiKey",
    "ccy", "cost", "funds", "params", "validate", "sandbox", "test", "user", "broker", "close", "trigger", "hidden",
)  # fmt: skip
"""Keys with which exchanges, or libraries in front of them, change the size, the side, the market or the account."""


def _capable(subject: Subject) -> AccountCapabilities:
    return subject.offer.account_capabilities


@case(
    "C30",
    "unknown options",
    "an option that isn't declared is refused by name, and nothing is sent",
    needs("place_order"),
)
async def unknown_option(subject: Subject, variant: str) -> None:
    """A typing error must not turn a resting order into a taker."""
    async with open_house(subject) as house:
        for name in ("post_olny", "no_such_option", "POST_ONLY"):
            answer = await house.order(house.body(options={name: "true"}))
            checks.refused(answer, f"an order with the option {name}", (400,))
            hold(name in answer.json["message"], f"{answer!r} doesn't name {name}")
        _nothing_sent(house)


@case(
    "C31",
    "options that change another field",
    "no option can change the size, the side, the market, the account or a field of the signature",
    needs("place_order"),
)
async def dangerous_options(subject: Subject, variant: str) -> None:
    """Not even one that the adapter declares: what was accepted is what was ordered."""
    async with open_house(subject) as house:
        declared = set(_capable(subject).options)
        for name in _NEVER:
            before = len(house.world.all_orders())
            body = house.body(options={name: "7"})
            answer = await house.order(body)
            if name in declared and answer.status == 200:
                _same_order(house, house.world.all_orders()[-1], body, f"the order with the option {name}")
            else:
                checks.refused(answer, f"an order with the option {name}", (400,))
                expect(len(house.world.all_orders()), before, f"orders after a refused option {name}")


@case("C32", "declared options", "an option of the adapter changes nothing but what it says", needs("place_order"))
async def declared_options(subject: Subject, variant: str) -> None:
    """Each by itself: accepted with the fields that were ordered, or refused with nothing placed."""
    options = _capable(subject).options
    if not options:
        raise NotApplicable("options = {}: the adapter declares none of its own")
    async with open_house(subject) as house:
        house.crowd.books()
        for name, option in options.items():
            samples = {"string": "a1", "boolean": "true", "integer": "1", "decimal": house.crowd.amount(house.market)}
            for text in option.choices or (samples[option.kind],):
                before = len(house.world.all_orders())
                body = house.body(options={name: text})
                answer = await house.order(body)
                if answer.status == 200:
                    _same_order(house, house.world.all_orders()[-1], body, f"the order with {name} = {text}")
                else:
                    checks.refused(answer, f"an order with {name} = {text}", (400, 404))
                    expect(len(house.world.all_orders()), before, f"orders after {name} = {text} was refused")


def _same_order(house: House, order: Any, body: Mapping[str, Any], what: str) -> None:
    expect((order.symbol, order.side), (body["symbol"], body["side"]), f"market and side of {what}")
    checks.same_number(order.amount, body["amount"], f"the amount of {what}")
    if body["type"] == "limit":
        checks.same_number(order.price, body["price"], f"the price of {what}")


_KINDS: Mapping[str, Mapping[str, Any]] = {
    "limit-buy": {},
    "limit-sell": {"side": "sell", "offset": 50},
    "taker-buy": {"offset": 12},
    "taker-sell": {"side": "sell", "offset": -12},
    "market-buy": {"type": "market"},
    "market-sell": {"type": "market", "side": "sell"},
    "IOC": {"offset": 12, "options": {"time_in_force": "IOC"}},
    "FOK": {"offset": 12, "options": {"time_in_force": "FOK"}},
    "post-only": {"options": {"post_only": "true"}},
    "post-only-sell": {"side": "sell", "offset": 50, "options": {"post_only": "true"}},
    "quote-amount": {"type": "market", "amount": "", "options": {"quote_amount": "*"}},
    "stop-limit": {"side": "sell", "offset": -60, "options": {"stop_price": "*"}},
    "stop-market": {"type": "market", "side": "sell", "options": {"stop_price": "*"}},
    "client-id": {"options": {"client_order_id": "*"}},
}
"""Arguments of ``House.body``; a ``*`` is filled in by the market's rules."""


def _offered(subject: Subject, variant: str) -> str:
    able, kind = _capable(subject), _KINDS[variant]
    options = kind.get("options", {})
    declared = {
        "post_only": able.post_only,
        "quote_amount": able.quote_amount,
        "stop_price": able.stop_price,
        "client_order_id": able.client_ids is not None,
        "time_in_force": options.get("time_in_force", "GTC") in able.times_in_force,
    }
    undeclared = [name for name in options if not declared[name]]
    if undeclared:
        return f"the adapter doesn't declare {undeclared[0]} ({variant})"
    return "" if kind.get("type", "limit") in able.order_types else f"order_types has no {kind['type']}"


@case(
    "C40",
    "what is sent is what was ordered",
    "the exchange accepts exactly one order: side, type, price, amount, quote amount, time in force, post only, stop "
    "price and client order id as they were ordered; and the id that is answered is its id",
    every(needs("place_order"), _offered),
    variants=tuple(_KINDS),
)
async def request_check(subject: Subject, variant: str) -> None:
    """On every market."""
    async with open_house(subject) as house:
        house.crowd.books()
        for market in house.world.markets:
            body = _body(house, market, variant)
            answer = await house.order(body)
            placed = checks.ok(answer, f"{variant} on {market.symbol}")
            expect(list(placed), ["order_id"], "the fields of the answer")
            hold(_ID.fullmatch(placed["order_id"]), f"order_id {placed['order_id']!r}")
            expect(answer.outcome, "placed", "ExGate-Outcome")
            _accepted(house, body, answer.headers.get("exgate-client-order-id", ""), f"{variant} on {market.symbol}")
            await _is_its_id(house, market, placed["order_id"])
        if house.has_wire:
            expect(house.sent("place_order"), len(house.world.markets), "requests for as many orders")


def _body(house: House, market: Market, variant: str) -> dict[str, Any]:
    options = dict(_KINDS[variant].get("options", {}))
    if "quote_amount" in options:
        worth = Decimal(house.crowd.price(market, 0)) * Decimal(house.crowd.amount(market, 3))
        options["quote_amount"] = format(worth.normalize(), "f")
    if "stop_price" in options:
        options["stop_price"] = house.crowd.price(market, -40)
    if "client_order_id" in options:
        options["client_order_id"] = _longest_id(house, house.world.markets.index(market))
    return house.body(market, **{**_KINDS[variant], "options": options})


def _longest_id(house: House, number: int) -> str:
    """The longest id of letters and digits that the adapter's rule allows; another one for each number."""
    rule = house.private.client_ids
    assert rule is not None
    for length in range(rule.max_length - len(rule.prefix), 0, -1):
        for text in ("7" * length,) if rule.digits_only else (("a1B2c3D4" * 8)[:length], ("a1b2c3d4" * 8)[:length]):
            found = f"{rule.prefix}{text[:-1]}{number}"
            if re.fullmatch(rule.pattern, found, re.ASCII):
                return found
    raise AssertionError(f"no client order id of letters and digits fits the rule {rule}")


def _accepted(house: House, body: Mapping[str, Any], client_order_id: str, what: str) -> None:
    order = house.world.all_orders(body["symbol"])
    expect(len(order), 1, f"orders on the exchange after {what}")
    if not house.has_wire:
        expect(order[0].client_order_id, client_order_id, f"the client order id of {what}")
        return
    found, options = house.world.accepted[-1][0], body.get("options", {})
    wanted = {
        "side": body["side"],
        "type": body["type"],
        "time_in_force": options.get("time_in_force", "GTC"),
        "post_only": options.get("post_only") == "true",
        "client_order_id": client_order_id,
    }
    expect(found.market.symbol, body["symbol"], f"the market of {what}")
    if body["type"] == "market":
        del wanted["time_in_force"]
    for name, value in wanted.items():
        expect(getattr(found, name), value, f"{name} of {what}")
    _figures(found, body, options, what)
    sent = options.get("client_order_id")
    hold(
        not sent or sent == client_order_id,
        f"the client order id {sent!r} fits the rule and went out as {client_order_id!r}",
    )


def _figures(found: OrderRequest, body: Mapping[str, Any], options: Mapping[str, Any], what: str) -> None:
    figures = {
        "price": body["price"],
        "amount": body["amount"],
        "quote_amount": options.get("quote_amount", ""),
        "stop_price": options.get("stop_price", ""),
    }
    for name, text in figures.items():
        checks.same_number(getattr(found, name) or "0", text or "0", f"{name} of {what}")


async def _is_its_id(house: House, market: Market, order_id: str) -> None:
    """The answered id finds the order that was placed, and nothing else."""
    if not house.subject.has("find_order"):
        return
    found = checks.ok(await house.get("order", order_id=order_id, symbol=market.symbol), f"the order {order_id}")
    expect(found["order_id"], order_id, "the id of the order that was found by it")
    truth = house.world.all_orders(market.symbol)[-1]
    expect((found["symbol"], found["side"]), (truth.symbol, truth.side), f"the order {order_id}")
    if house.private.client_ids is not None:
        expect(found["client_order_id"], truth.client_order_id, f"the client order id of {order_id}")


@case(
    "C41",
    "refusals",
    "what the exchange refuses is refused here, in its words, with nothing placed",
    every(needs("place_order"), wired),
    variants=("funds", "would-take", "delisted"),
)
async def refusals(subject: Subject, variant: str) -> None:
    """One request; the outcome is refused, not unknown."""
    if variant == "would-take" and not _capable(subject).post_only:
        raise NotApplicable("post_only = False")
    async with open_house(subject) as house:
        house.crowd.books()
        body = house.body()
        if variant == "funds":
            house.poor(house.market.quote)
        elif variant == "would-take":
            body = house.body(offset=12, options={"post_only": "true"})
        else:
            house.world.delisted.add(house.market.symbol)
        answer = await house.order(body)
        if variant == "would-take" and answer.status == 200:
            # Some exchanges take it in and cancel it at once: it must never have been filled.
            expect(house.world.fills(), [], "executions of an order that may only rest")
            return
        checks.refused(answer, f"an order that the exchange refuses ({variant})")
        expect(answer.outcome, "refused", f"ExGate-Outcome of {answer!r}")
        expect(len(house.world.all_orders()), 0, "orders on the exchange")
        expect(house.sent("place_order"), 1, "requests sent for one order")


@case(
    "C42",
    "a client order id that is taken",
    "the exchange's refusal of a double is told as such: the answer names the order that it has",
    every(needs("place_order"), wired),
)
async def duplicate(subject: Subject, variant: str) -> None:
    """A second gateway on the same account, with another journal, uses the id of an open order."""
    if _capable(subject).client_ids is None:
        raise NotApplicable("client_ids = None: the exchange has none")
    assert subject.fake is not None
    async with running(subject.fake) as wire:
        async with open_house(subject, wire=wire) as house:
            body = _body(house, house.market, "client-id")
            first = checks.ok(await house.order(body), "the first order")["order_id"]
        async with open_house(subject, wire=wire) as house:
            answer = await house.order(body)
            expect(len(house.world.all_orders()), 1, "orders on the exchange")
            hold(answer.status in (200, 409), f"{answer!r} instead of the order that is there, or a 409")
            hold(first in answer.body.decode(), f"{answer!r} doesn't name the earlier order {first}")


@case(
    "C43",
    "wrong credentials",
    "a wrong key, secret or passphrase is a refusal, for questions and for orders, and nothing is placed",
    every(needs("balances"), wired),
    variants=("key", "secret", "passphrase"),
)
async def wrong_keys(subject: Subject, variant: str) -> None:
    """Certainly not placed: the outcome is refused."""
    assert subject.fake is not None
    right = subject.fake.credentials
    if variant == "passphrase" and not right.passphrase:
        raise NotApplicable("the exchange has no passphrase")
    wrong = Keys(
        right.api_key[::-1] if variant == "key" else right.api_key,
        right.api_secret.swapcase() if variant == "secret" else right.api_secret,
        "wrong" if variant == "passphrase" else right.passphrase,
    )
    async with open_house(subject) as house:
        stranger = house.door.other(credential_headers(wrong))
        answer = await stranger.get(house.path("balances"))
        checks.refused(answer, f"balances with a wrong {variant}", (400, 401, 403))
        if subject.has("place_order"):
            placed = await stranger.post(house.path("order"), house.body())
            checks.refused(placed, f"an order with a wrong {variant}", (400, 401, 403))
            expect(placed.outcome, "refused", f"ExGate-Outcome of {placed!r}")
            expect(len(house.world.all_orders()), 0, "orders on the exchange")
        if subject.has("cancel_order"):
            own = checks.ok(await house.order(house.body()), "an order with the right keys")
            body = {"order_id": own["order_id"], "symbol": house.market.symbol}
            canceled = await stranger.post(house.path("cancel"), body)
            checks.refused(canceled, f"a cancel with a wrong {variant}", (400, 401, 403))
            expect(canceled.outcome, "refused", f"ExGate-Outcome of {canceled!r}")
            expect([order.status for order in house.world.all_orders()], ["open"], "what the owner's order is")
        checks.ok(await stranger.get(house.path("depth"), symbol=house.market.symbol), "a book, for anybody")


@case(
    "C44",
    "clocks that differ",
    "an order over clocks that are an hour apart is placed or refused, and never left unknown",
    every(needs("place_order"), wired),
    variants=("ahead", "behind"),
)
async def skew(subject: Subject, variant: str) -> None:
    """A time stamp or nonce that the exchange doesn't take is a refusal: nothing was done."""
    async with open_house(subject) as house:
        house.world.skew = 3600.0 if variant == "ahead" else -3600.0
        answer = await house.order(house.body())
        orders = house.world.all_orders()
        if answer.status == 200:
            expect(len(orders), 1, "orders on the exchange")
        else:
            checks.refused(answer, f"an order over clocks that differ by an hour ({variant})", (400, 401, 403, 404))
            expect((answer.outcome, len(orders)), ("refused", 0), f"outcome of {answer!r} and orders on the exchange")


@case(
    "C45",
    "many at once",
    "orders and questions that are sent together are all taken: no nonce or time stamp overtakes another",
    needs("place_order", "balances"),
)
async def together(subject: Subject, variant: str) -> None:
    """Ten orders and ten questions."""
    async with open_house(subject) as house:
        house.crowd.books()
        asking = [
            task
            for number in range(10)
            for task in (house.order(house.body(offset=-50 - number)), house.get("balances"))
        ]
        for answer in await asyncio.gather(*asking):
            checks.ok(answer, "one of twenty requests at once")
        expect(len({order.order_id for order in house.world.all_orders()}), 10, "orders on the exchange")
        if house.has_wire:
            expect(house.sent("place_order"), 10, "requests sent for ten orders")


@case("C46", "the journal's replay", "the same Idempotency-Key never sends twice", needs("place_order"))
async def replay(subject: Subject, variant: str) -> None:
    """One order, one id, whatever the adapter does."""
    async with open_house(subject) as house:
        answers = [await house.order(house.body(), key="k1") for _ in range(3)]
        ids = {checks.ok(answer, "a replay")["order_id"] for answer in answers}
        expect((len(ids), len(house.world.all_orders())), (1, 1), "ids answered, and orders on the exchange")


def _nothing_sent(house: House) -> None:
    expect(len(house.world.all_orders()), 0, "orders on the exchange")
    if house.has_wire:
        expect(house.sent("place_order"), 0, "requests for orders")
