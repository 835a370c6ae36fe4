"""Open and close an exchange a thousand times and say what is left: ``dev.py python`` with this file [times]."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import sys
import time
import warnings
from pathlib import Path

from aiohttp import web
from exgate_ccxt import CcxtExchange

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime


def left() -> str:
    """Memory, open files, tasks and clients of this process."""
    gc.collect()
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024
    clients = sum(type(thing).__name__ == "okx" for thing in gc.get_objects())
    return f"{memory} MB, {len(os.listdir('/proc/self/fd'))} files, {len(asyncio.all_tasks())} tasks, {clients} clients"


async def main(times: int) -> None:
    """Every transport, session and client is made anew each time."""
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(Path(os.environ["EXGATE_SHARED"]) / "venue"))
    runner = web.AppRunner(importlib.import_module("venue").app(str(Path(os.environ["EXGATE_SHARED"]) / "recordings")))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    prefix = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    runtime, began = Runtime(), time.perf_counter()
    for cycle in range(times + 1):
        budget = Budget(10**9, 10.0, runtime.clock, runtime.sleep)
        async with Transport(budget, runtime, upstream_prefix=prefix) as transport:
            async with CcxtExchange(transport.context("okx")) as exchange:
                market = next(market for market in await exchange.markets() if market.symbol == "BTC/USDT")
                await exchange.depth(market, 5)
        if cycle in (1, 10, times // 2, times):
            print(f"after {cycle}: {left()}, {(time.perf_counter() - began) / (cycle + 1) * 1000:.0f} ms each")
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
