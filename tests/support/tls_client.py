"""Run by a test in a process of its own: an order and a subscription to each server named on the command line.

Prints one line of JSON per server: what became of the two.
"""

from __future__ import annotations

import json
import sys

import anyio

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.errors import ExGateError
from tests.test_client import Talk


async def main() -> None:
    """Ask every port."""
    runtime = Runtime()
    proxy, *ports = sys.argv[1:]
    async with Transport(Budget(100, 60, runtime.clock, runtime.sleep), runtime, proxy=proxy) as its:
        for port in ports:
            print(json.dumps([await order(its, port), await subscription(its, port)]), flush=True)  # noqa: T201


async def order(its: Transport, port: str) -> str:
    """What an order's POST gave."""
    try:
        http = its.http(f"https://127.0.0.1:{port}")
        answer = await http.request("POST", "/order", headers={"X-Key": "SECRET"}, body=b"SECRET", lane="orders")
    except ExGateError as error:
        return type(error).__name__
    return str(answer.status)


async def subscription(its: Transport, port: str) -> str:
    """What a subscription gave."""
    try:
        async with its.ws(f"wss://127.0.0.1:{port}/ws", Talk(handshake=5)).subscription("a", print):
            return "confirmed"
    except ExGateError as error:
        return type(error).__name__


if __name__ == "__main__":
    anyio.run(main)
