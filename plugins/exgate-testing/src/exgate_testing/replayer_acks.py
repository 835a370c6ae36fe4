"""How exchanges confirm subscriptions, by the form of the message; for recordings that hold no confirmation.

Binance, "WebSocket Streams", live subscribing; OKX, "WebSocket / Subscribe"; Kraken, "WebSocket v2 / Subscribe", and
v1's subscriptionStatus; Bitstamp, "WebSocket API v2"; Coinbase, "WebSocket overview".
"""

from __future__ import annotations

import json
from typing import Any

_NUMBERS = ("id", "req_id", "reqid")


def number_of(message: Any) -> Any:
    """The number by which an answer is told; None if it has none."""
    if not isinstance(message, dict):
        return None
    return next((message[name] for name in _NUMBERS if message.get(name) is not None), None)


def with_number(message: Any, number: Any) -> Any:
    """A message, or its text, with another number in place of its own."""
    if isinstance(message, str):
        parsed = json.loads(message)
        return message if number_of(parsed) in (None, number) else _dumped(with_number(parsed, number))
    return {name: number if name in _NUMBERS else value for name, value in message.items()}


def acknowledged(message: Any) -> list[str]:
    """What answers a message; nothing if it has no known form."""
    if message is None:
        return []
    for answer in (_ping, _binance, _args, _kraken, _kraken_old, _bitstamp, _coinbase):
        found = answer(message) if isinstance(message, dict) else None
        if found is not None:
            return [_dumped(it) for it in found]
    return []


def _dumped(it: Any) -> str:
    return json.dumps(it, separators=(",", ":"), ensure_ascii=False)


def _numbered(message: dict[str, Any]) -> dict[str, Any]:
    return {name: message[name] for name in _NUMBERS if name in message}


def _ping(message: dict[str, Any]) -> list[Any] | None:
    for name in ("method", "event", "op"):
        if message.get(name) == "ping":
            return [{name: "pong", **_numbered(message)}]
    if message.get("event") == "bts:heartbeat":
        return [{"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}}]
    return None


def _binance(message: dict[str, Any]) -> list[Any] | None:
    known = message.get("method") in ("SUBSCRIBE", "UNSUBSCRIBE") and isinstance(message.get("params"), list)
    return [{"result": None, **_numbered(message)}] if known else None


def _args(message: dict[str, Any]) -> list[Any] | None:
    if message.get("op") not in ("subscribe", "unsubscribe") or not isinstance(message.get("args"), list):
        return None
    return [{**_numbered(message), "event": message["op"], "arg": arg, "connId": "replayed"} for arg in message["args"]]


def _kraken(message: dict[str, Any]) -> list[Any] | None:
    parameters = message.get("params")
    if message.get("method") not in ("subscribe", "unsubscribe") or not isinstance(parameters, dict):
        return None
    moment = {"time_in": "2020-01-01T00:00:00.000000Z", "time_out": "2020-01-01T00:00:00.000001Z"}
    shared = {name: value for name, value in parameters.items() if name not in ("symbol", "token")}
    told = {"method": message["method"], "success": True, **moment, **_numbered(message)}
    return [{**told, "result": {**shared, "symbol": symbol}} for symbol in parameters.get("symbol", [])]


def _kraken_old(message: dict[str, Any]) -> list[Any] | None:
    subscription = message.get("subscription")
    if not isinstance(subscription, dict) or "pair" not in message:
        return None
    status = "unsubscribed" if message.get("event") == "unsubscribe" else "subscribed"
    told = {"event": "subscriptionStatus", "status": status, "subscription": subscription, **_numbered(message)}
    return [{**told, "pair": pair} for pair in message["pair"]]


def _bitstamp(message: dict[str, Any]) -> list[Any] | None:
    event = str(message.get("event", ""))
    if event not in ("bts:subscribe", "bts:unsubscribe"):
        return None
    done = event.replace("subscribe", "subscription_succeeded")
    return [{"event": done, "channel": message.get("data", {}).get("channel", ""), "data": {}}]


def _coinbase(message: dict[str, Any]) -> list[Any] | None:
    if message.get("type") not in ("subscribe", "unsubscribe"):
        return None
    if "channel" in message:
        subscriptions = {message["channel"]: message.get("product_ids", [])}
        told = {"channel": "subscriptions", "client_id": "", "timestamp": "2020-01-01T00:00:00Z", "sequence_num": 0}
        return [{**told, "events": [{"subscriptions": subscriptions}]}]
    return [{"type": "subscriptions", "channels": message.get("channels", [])}]
