"""Measure what every spot exchange of ccxt builds for private calls, over a market that no exchange lists.

    python plugins/exgate-ccxt/tests/make_facts.py [--write] [--show] [ID ...]

No request leaves: each is caught where the plugin hands it to the network, and read by the plugin's own check.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from exgate_ccxt.arguments import created, intent_of
from exgate_ccxt.facts import CLIENT_IDS, Fact
from exgate_ccxt.options import FORCED, options_of
from exgate_ccxt.private_options import private_options
from exgate_ccxt.request_check import Mismatch, check, hosts_of
from exgate_ccxt.table import rows
from exgate_ccxt.wordings import wording_of

from exgate_core import client_ids
from exgate_core.models import ClientIds, Market, OrderRequest

MARKET = Market(symbol="BTC/USDT", id="BTCUSDT", base="BTC", quote="USDT")
CASES: dict[str, dict[str, Any]] = {
    "limit": {"type": "limit", "side": "buy", "price": "45.67", "amount": "0.0123"},
    "limit sell": {"type": "limit", "side": "sell", "price": "45.67", "amount": "0.0123"},
    "market sell": {"type": "market", "side": "sell", "amount": "0.0123"},
    "market buy": {"type": "market", "side": "buy", "amount": "0.0123"},
    "market buy by quote": {"type": "market", "side": "buy", "quote_amount": "45.67"},
    "post only": {"type": "limit", "side": "sell", "price": "45.67", "amount": "0.0123", "post_only": True},
    "IOC": {"type": "limit", "side": "buy", "price": "45.67", "amount": "0.0123", "time_in_force": "IOC"},
    "FOK": {"type": "limit", "side": "buy", "price": "45.67", "amount": "0.0123", "time_in_force": "FOK"},
}


class Caught(Exception):
    """A request on its way out."""


def exchange(exchange_id: str) -> Any:
    """A ccxt client that lists one market and sends nothing."""
    import ccxt.async_support as ccxt

    caught: list[tuple[str, str, Any, Any]] = []

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        caught.append((url, method, headers, body))
        raise Caught(f"{method} {url}")

    made = getattr(ccxt, exchange_id)({"enableRateLimit": False})
    made.fetch, made.caught, made.timeout_on_exit = fetch, caught, 0
    made.apiKey = "account-key" if exchange_id == "gemini" else "key"
    made.secret, made.password, made.uid = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=", "pass", "1"
    if exchange_id in ("coinbase", "revolutx"):
        made.apiKey, made.secret = "organizations/o/apiKeys/k", _pem(exchange_id)
    made.walletAddress, made.privateKey, made.login = "0x" + "11" * 20, "0x" + "22" * 32, "login"
    ours = (options_of(exchange_id), FORCED, private_options(exchange_id), _EXTRA_OPTIONS.get(exchange_id, {}))
    made.options = made.deep_extend(made.options, *ours)
    made.accounts = [{"id": "77", "type": "spot", "info": {}}]
    places = 0.00000001 if made.precisionMode == 4 else 8
    listed = {name: _currency(name, places) for name in ("BTC", "USDT")}
    made.set_markets([_market(places)], listed)
    return made


_EXTRA_OPTIONS: dict[str, dict[str, Any]] = {
    "bitvavo": {"operatorId": 1},
    "cex": {"createOrder": {"accountId": "main"}},
}
"""What a user has to set in ``ccxt.options`` of the section before orders can be built."""


def _pem(exchange_id: str) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key: Any = (
        ec.generate_private_key(ec.SECP256R1()) if exchange_id == "coinbase" else ed25519.Ed25519PrivateKey.generate()
    )
    form = (
        serialization.PrivateFormat.TraditionalOpenSSL
        if exchange_id == "coinbase"
        else serialization.PrivateFormat.PKCS8
    )
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode())


def _currency(code: str, places: float) -> dict[str, Any]:
    return {"id": code, "code": code, "precision": places, "info": {}, "active": True, "networks": {}, "limits": {}}


def _market(places: float) -> dict[str, Any]:
    unlimited = {name: {"min": None, "max": None} for name in ("amount", "price", "cost", "leverage")}
    info = {"orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"], "filters": [], "quoteIncrement": "0.00000001"}
    kinds = {"spot": True} | dict.fromkeys(("margin", "swap", "future", "option", "contract"), False)
    names = {"id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT"}
    more = {"lowercaseId": "btcusdt", "uppercaseId": "BTCUSDT", "numericId": 5, "valueScale": 8, "priceScale": 8}
    rest = {"type": "spot", "active": True, "precision": {"amount": places, "price": places}, "taker": 0.001}
    nothing = dict.fromkeys(("settle", "settleId", "linear", "inverse", "contractSize", "expiry", "strike"))
    return {**names, **more, **kinds, **rest, **nothing, "limits": unlimited, "info": info, "maker": 0.001}


def rule_of(exchange_id: str) -> ClientIds:
    """The exchange's rule for client ids."""
    return CLIENT_IDS.get(exchange_id, ClientIds(pattern=r"[A-Za-z0-9]{1,32}", max_length=32))


async def outcome(exchange_id: str, case: str, *, client_id: bool) -> str:
    """Empty = the request was built and says what was meant; else why not."""
    own = client_ids.derived(rule_of(exchange_id), "facts") if client_id else ""
    order = OrderRequest(market=MARKET, client_order_id=own, **CASES[case])
    made = exchange(exchange_id)
    arguments = created(exchange_id, order)
    try:
        await made.create_order(
            arguments.symbol, arguments.type, arguments.side, arguments.amount, arguments.price, arguments.params
        )
        return "no request was built"
    except Caught:
        url, method, headers, body = made.caught[-1]
        native = made.markets["BTC/USDT"]
        intent = intent_of("place", exchange_id, MARKET, native, order=order, client_order_id=own)
        try:
            check(
                intent,
                wording_of(exchange_id),
                hosts_of(made.urls["api"], made.hostname or ""),
                url,
                method,
                headers,
                body,
            )
        except Mismatch as mismatch:
            return f"{mismatch.message.split(': ', 1)[1]} <- {method} {url[:120]} {str(body or '')[:160]}"
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:140]}"
    finally:
        await made.close()


async def cancel(exchange_id: str) -> str:
    """The same for a cancel."""
    made = exchange(exchange_id)
    try:
        await made.cancel_order("1122334455", None if exchange_id == "coinbaseexchange" else "BTC/USDT")
        return "no request was built"
    except Caught:
        url, method, headers, body = made.caught[-1]
        intent = intent_of("cancel", exchange_id, MARKET, made.markets["BTC/USDT"], order_id="1122334455")
        try:
            check(
                intent,
                wording_of(exchange_id),
                hosts_of(made.urls["api"], made.hostname or ""),
                url,
                method,
                headers,
                body,
            )
        except Mismatch as mismatch:
            return f"{mismatch.message.split(': ', 1)[1]} <- {method} {url[:120]} {str(body or '')[:160]}"
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:140]}"
    finally:
        await made.close()


async def needs_symbol(exchange_id: str) -> tuple[str, ...]:
    """The operations that can't do without a symbol."""
    found = []
    for operation, name, arguments in (
        ("cancel_order", "cancel_order", ("1122334455",)),
        ("pending_orders", "fetch_open_orders", ()),
        ("find_order", "fetch_order", ("1122334455",)),
    ):
        made = exchange(exchange_id)
        try:
            await getattr(made, name)(*arguments)
        except Caught:
            pass
        except Exception as error:
            if type(error).__name__ in ("ArgumentsRequired", "BadSymbol", "TypeError", "KeyError"):
                found.append(operation)
        finally:
            await made.close()
    if exchange_id.startswith("bybit"):
        found = [operation for operation in found if operation != "find_order"]
    return tuple(found)


def mentions(exchange_id: str, pattern: str, functions: str) -> bool:
    """Whether the functions of that name in ccxt's class say the word: an option that none says is ignored upstream."""
    import ccxt.async_support as ccxt

    found: Iterator[str] = (
        inspect.getsource(value)
        for name, value in inspect.getmembers(getattr(ccxt, exchange_id), inspect.isfunction)
        if re.match(functions, name) and value.__module__ != "ccxt.async_support.base.exchange"
    )
    return any(re.search(pattern, text) for text in found)


async def measure(exchange_id: str) -> tuple[Fact, dict[str, str]]:
    """One exchange's facts, and why what is missing is."""
    orders = r"create_\w*order\w*|order_request|create_order_request"
    client = mentions(exchange_id, r"clientOrderId|clientOid|client_order_id", orders) or exchange_id == "coinbase"
    why = {case: await outcome(exchange_id, case, client_id=client) for case in CASES}
    if client and why["limit"]:
        plain = await outcome(exchange_id, "limit", client_id=False)
        if not plain:
            client = False
            why = {case: await outcome(exchange_id, case, client_id=False) for case in CASES}
    for case, word in (("post only", r"[pP]ost_?[oO]nly"), ("IOC", "timeInForce"), ("FOK", "timeInForce")):
        if not why[case] and not mentions(exchange_id, word, orders):
            why[case] = "ccxt hands the option on without knowing it"
    why["cancel"] = await cancel(exchange_id)
    has = exchange(exchange_id).has
    base, quote = not why["market buy"], not why["market buy by quote"]
    base = base and exchange_id in _BASE
    absent = _DISTRUSTED.get(exchange_id) or (why["limit"] or why["limit sell"] or why["cancel"]).split(" <- ")[0]
    limit = not (why["limit"] or why["limit sell"] or absent)
    return Fact(
        id=exchange_id,
        limit=limit,
        market_sell=not why["market sell"],
        market_buy="both" if base and quote else "base" if base else "quote" if quote else "",
        post_only=not why["post only"],
        ioc=not why["IOC"],
        fok=not why["FOK"],
        client_ids=client,
        echoed=mentions(exchange_id, r"'clientOrderId': (?!None)\w", r"parse_\w*order\w*"),
        cancel=not why["cancel"],
        open_orders=bool(has.get("fetchOpenOrders")),
        balances=bool(has.get("fetchBalance")),
        symbol_needed=await needs_symbol(exchange_id),
        absent=absent,
    ), why


_NAMED = "its parameter for the quote asset has another name"
_BASE = {
    "alpaca": "orders.md of its documents: qty is the amount to trade, notional the dollars, never both",
    "aster": "spot API V3, New Order: MARKET takes quantity or quoteOrderQty",
    "backpack": f"quantity; {_NAMED}, quoteQuantity",
    "binance": "rest-api.md, New order: MARKET with quantity = the amount of the base asset",
    "binanceus": "rest-api.md, Create new order: MARKET with quantity = the amount of the base asset",
    "bingx": f"quantity; {_NAMED}, quoteOrderQty",
    "bitso": f"major; {_NAMED}, minor",
    "bitstamp": "Buy market order; an amount of the counter asset goes to another address, Buy instant order",
    "bitvavo": f"amount; {_NAMED}, amountQuote",
    "btcmarkets": f"amount; {_NAMED}, targetAmount",
    "bybit": "create-order: marketUnit=baseCoin; acct-mode: the account that doesn't know it is gone",
    "bybiteu": "as bybit",
    "bybitid": "as bybit",
    "coinbaseexchange": f"size; {_NAMED}, funds",
    "cryptocom": f"quantity; {_NAMED}, notional",
    "kraken": "Add Order: volume is the quantity in terms of the base asset, unless oflags has viqc",
    "kucoin": "Place a new order: size is the amount of base currency, funds the quote currency",
    "mexc": f"quantity; {_NAMED}, quoteOrderQty",
    "myokx": "as okx",
    "okx": "tgtCcy=base_ccy is in the request",
    "okxus": "as okx",
    "whitebit": "order/stock_market, the address for amounts of the base asset",
    "woo": f"quantity; {_NAMED}, amount",
}
"""Exchanges that read the amount of a market buy in the base asset, and why that is sure. Of all others only the
request is known: there a base amount is refused. Bitfinex, deribit and hitbtc with its likes are among them, whose
documents at hand don't say it in so many words."""
_DISTRUSTED = {
    "delta": "a size is a number of lots, and the request doesn't say of how much",
    "phemex": "prices and amounts are scaled integers, which the request check doesn't read",
    "hyperliquid": "orders are packed and signed in a form that the request check doesn't read",
    "lighter": "orders are packed and signed in a form that the request check doesn't read",
    "nado": "orders are packed and signed in a form that the request check doesn't read",
    "pacifica": "orders are packed and signed in a form that the request check doesn't read",
    "derive": "orders are packed and signed in a form that the request check doesn't read",
    "bullish": "a login has to come before every order",
    "coinbaseinternational": "a portfolio has to be asked for before an order",
    "lbank": "no key was at hand with which ccxt signs",
    "revolutx": "no key was at hand with which ccxt signs",
    "ndax": "ccxt sends numbers of instruments that a market of no exchange doesn't have",
    "foxbit": "ccxt cancels by an id turned into a float",
    "coinone": "a cancel needs the order's price and amount",
    "coinspot": "a cancel needs the order's side",
    "indodax": "a cancel needs the order's side",
}
"""Exchanges on which nothing is placed, and why."""


async def run(ids: list[str], show: bool) -> list[Fact]:
    """Measure, and print one line an exchange."""
    found = []
    for exchange_id in ids:
        fact, why = await measure(exchange_id)
        found.append(fact)
        good = [case for case, reason in why.items() if not reason]
        kind = "places" if fact.places else "absent"
        say(f"{exchange_id:22}{kind:8}{', '.join(good)}{'' if fact.places else '  ' + fact.absent}")
        if show:
            for case, reason in why.items():
                if reason:
                    say(f"{'':24}{case}: {reason}")
    return found


def say(line: str) -> None:
    """One line for people."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--write", action="store_true", help="keep the result beside the plugin's modules")
    parser.add_argument("--show", action="store_true", help="say why what is missing is")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    ids = arguments.ids or [row.id for row in rows()]
    found = asyncio.run(run(ids, arguments.show))
    say(f"{sum(fact.places for fact in found)} of {len(found)} place and cancel orders")
    if arguments.write:
        path = Path(__file__).resolve().parents[1] / "src" / "exgate_ccxt" / "facts.json"
        lines = ",\n".join(msgspec.json.encode(fact).decode() for fact in found)
        path.write_text(f"[\n{lines}\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
