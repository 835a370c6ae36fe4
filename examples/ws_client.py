"""Read a stream of trades and resume it after a cut: python ws_client.py [URL] [TRADES]

Prints one line per trade and stops after TRADES of them. Needs aiohttp.
"""
# ruff: noqa: T201

import asyncio
import sys
from collections.abc import AsyncIterator

import aiohttp

URL = "ws://127.0.0.1:8000/v1/paper/pull_trade?symbol=BTC/USDT"


async def trades(url: str) -> AsyncIterator[dict]:
    """Every trade once, over however many connections."""
    since_id = ""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.ws_connect(url + (f"&since_id={since_id}" if since_id else "")) as ws:
                    async for message in ws:
                        frame = message.json()
                        for trade in frame.get("trades", []):
                            yield trade
                            since_id = trade["trade_id"]
                        if "status" in frame:  # live, reconnecting, resumed; gap and lagging say what is missing
                            print(frame["status"], frame["desc"], file=sys.stderr)
                print("closed with", ws.close_code, file=sys.stderr)
            except aiohttp.ClientError as error:  # refused, or nobody there: it says which
                print(error, file=sys.stderr)
            await asyncio.sleep(1)  # then go on after since_id: nothing is lost, nothing comes twice


async def main(url: str = URL, count: str = "-1") -> None:
    left = int(count)
    async for trade in trades(url):
        print(trade["trade_id"], trade["price"], trade["qty"], flush=True)
        left -= 1
        if left == 0:
            return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
