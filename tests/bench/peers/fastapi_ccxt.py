"""What most people write: FastAPI and ccxt. ``PORT``, ``UPSTREAM`` and ``LIMITER`` say how, ``SERVER`` by which server.

hypercorn serves it as it serves ExGate, uvicorn as it does by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.async_support as ccxt
import uvloop
from fastapi import FastAPI
from hypercorn.asyncio import serve
from hypercorn.config import Config
from pydantic import BaseModel


class Book(BaseModel):
    symbol: str
    timestamp: int | None
    nonce: int | None
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


exchanges: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    binance = exchanges["binance"] = ccxt.binance({"enableRateLimit": os.environ["LIMITER"] == "on"})
    binance.options["fetchMarkets"] = {"types": ["spot"]}
    binance.urls["api"] = {
        name: url.replace("https://", os.environ["UPSTREAM"] + "https://") if isinstance(url, str) else url
        for name, url in binance.urls["api"].items()
    }
    yield
    await binance.close()


app = FastAPI(lifespan=lifespan)


@app.get("/v1/{exchange}/depth", response_model=Book)
async def depth(exchange: str, symbol: str, limit: int = 500) -> Any:
    return await exchanges[exchange].fetch_order_book(symbol, limit)


async def on_hypercorn(port: int) -> None:
    config = Config.from_mapping(
        {
            "bind": [f"127.0.0.1:{port}"],
            "loglevel": "error",
            "keep_alive_max_requests": sys.maxsize,
            "keep_alive_timeout": 600,
        }
    )
    await serve(app, config)  # type: ignore[arg-type]


async def on_uvicorn(port: int) -> None:
    import uvicorn

    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", access_log=False)).serve()


if __name__ == "__main__":
    run = on_uvicorn if os.environ.get("SERVER") == "uvicorn" else on_hypercorn
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(int(os.environ["PORT"])))
