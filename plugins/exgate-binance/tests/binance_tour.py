"""A tour of every request that the adapter can build, and the exchange's own OpenAPI description to hold them to.

The description (github.com/binance/binance-api-swagger, ``spot_api.yaml``) is older than the API's document: what is
newer stands in ``NEWER`` with the date at which the document got it.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from binance_stage import BTC, NONE_LISTED, ODD, Stage, order
from exgate_binance.options import BINANCE_OPTIONS

NEWER: Final = {
    "showPermissionSets": "CHANGELOG 2024-10-17",
    "pegPriceType": "CHANGELOG 2025-08-12",
    "pegOffsetValue": "CHANGELOG 2025-08-12",
    "pegOffsetType": "CHANGELOG 2025-08-12",
}
NEWER_VALUES: Final = {"selfTradePreventionMode": {"DECREMENT": "2025-04-07", "TRANSFER": "2026-03-27"}}
_VALUES: Final = {
    "trailingDelta": "150",
    "icebergQty": "0.05000000",
    "strategyId": "7",
    "strategyType": "1000000",
    "pegOffsetValue": "3",
}
_STOP: Final = {"stop_price": "90.00000000", "side": "sell"}
_MARKET: Final = {"type": "market", "price": ""}


def orders() -> list[dict[str, Any]]:
    """What tells every kind of order from the plainest one."""
    kinds: list[dict[str, Any]] = [
        {},
        {"side": "sell", "price": "50000.00000000"},
        {"time_in_force": "IOC"},
        {"time_in_force": "FOK"},
        {"post_only": True},
        _MARKET,
        {**_MARKET, "side": "sell"},
        {**_MARKET, "amount": "", "quote_amount": "50"},
        _STOP,
        {**_STOP, **_MARKET},
        {"stop_price": "90.00000000", "options": {"trigger": "take_profit"}},
        {**_MARKET, "stop_price": "90.00000000", "options": {"trigger": "take_profit"}},
        {**_MARKET, "side": "sell", "options": {"trailingDelta": "100"}},
        {"market": ODD, "price": "1.00000000", "amount": "10.00000000"},
    ]
    for name, option in BINANCE_OPTIONS.items():
        if name != "trigger":
            conditional = _STOP if name == "trailingDelta" else {}
            kinds += [{**conditional, "options": {name: value}} for value in option.choices or (_VALUES[name],)]
    return kinds


async def everything(stage: Stage) -> None:
    """Make the adapter send every request that it knows, in every form."""
    account, public = stage.account, stage.public
    stage.exchange.simulation.engine.deposit("other", {"BTC": "1000", "USDT": "10000000"})
    for number, side in enumerate(("buy", "sell")):
        price = "99.00000000" if side == "buy" else "101.00000000"
        resting = order(side=side, price=price, amount="50.00000000", client_order_id=f"other-{number}")
        stage.exchange.simulation.engine.place("other", resting)
    for number, changes in enumerate(orders()):
        await account.place_order(order(client_order_id=f"tour-{number}", **changes))
    await account.balances()
    for market in (None, BTC):
        for found in await account.pending_orders(market):
            await account.find_order(BTC, found.order_id, "")
    await account.find_order(BTC, "", "tour-5")
    await account.find_order(BTC, "", NONE_LISTED)
    await account.find_order(BTC, "77", "")
    await account.cancel_order(BTC, "", "tour-0")
    for found in await account.pending_orders(BTC):
        await account.cancel_order(BTC, found.order_id, "")
    await public.markets()
    await public.depth(BTC, 1000)
    await public.recent_trades(BTC, 500, None)
    await public.recent_trades(BTC, 500, "41")


class Description:
    """What the exchange's OpenAPI description says of requests."""

    def __init__(self, shared: Path) -> None:
        import yaml  # type: ignore[import-untyped]

        text = gzip.decompress((shared / "specs" / "binance_spot_api.yaml.gz").read_bytes())
        self._root = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    def parameters(self, method: str, path: str) -> dict[str, Mapping[str, Any]]:
        """The parameters of one operation by name. Raises KeyError if there is none."""
        stated = self._root["paths"][path][method.lower()].get("parameters", [])
        found = [self._resolved(parameter) for parameter in stated]
        return {parameter["name"]: parameter for parameter in found}

    def needs_key(self, method: str, path: str) -> bool:
        """Whether the operation asks for the header with the key."""
        return bool(self._root["paths"][path][method.lower()].get("security"))

    def problems(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> list[str]:
        """What is wrong with a request; empty = the description has nothing against it."""
        known = self.parameters(method, path)
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        sent = dict(pairs)
        wrong = [f"{name} is missing" for name, rule in known.items() if rule.get("required") and name not in sent]
        wrong += [f"{name} isn't known" for name in sent if name not in known and name not in NEWER]
        wrong += [f"{name} = {text!r}" for name, text in pairs if name in known and not _fits(known[name], text)]
        if len(sent) != len(pairs):
            wrong.append("a parameter is sent twice")
        if self.needs_key(method, path) and "x-mbx-apikey" not in headers:
            wrong.append("X-MBX-APIKEY is missing")
        return wrong

    def _resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in value:
            return value
        found: Any = self._root
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return self._resolved(found)


def _fits(parameter: Mapping[str, Any], text: str) -> bool:
    schema = parameter["schema"]
    if schema["type"] in ("integer", "number"):
        try:
            value = Decimal(text)
        except InvalidOperation:
            return False
        most = schema.get("maximum")
        whole = schema["type"] == "number" or value == value.to_integral_value()
        return whole and (most is None or value <= most)
    return "enum" not in schema or text in (*schema["enum"], *NEWER_VALUES.get(parameter["name"], ()))
