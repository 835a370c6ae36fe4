"""How long a trade takes through a running gateway, from the exchange's bytes to a client's, against a bare relay.

This process is the exchange and the only client, so both ends have one clock. The relay is a process with the same
upstream WebSocket client (picows), the same server, and nothing between them but a send of the frame as it came.
One trade at a time, first through one, then through the other. Prints medians and 99th percentiles; the goal is for
the ratio of the medians.

    python tests/bench/tick_latency.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.plugins import load_catalogue
from exgate_core.settings import Section, Server, Settings
from tests.support.fake_binance import FakeBinance, fake_binance
from tests.support.measuring import Crowd, Orders, child, crowd, run_loop, serve_bare, serve_exgate

GOAL = 1.5
PATH = "/v1/binance/pull_trade?symbol=BTC/USDT"
APART = 0.002


async def relay(orders: Orders, prefix: str) -> None:
    """ETH/USDT's frames as they come, to everybody."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    frames: asyncio.Queue[str] = asyncio.Queue()

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is WSMsgType.TEXT:
                frames.put_nowait(frame.get_payload_as_utf8_text())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": await frames.get()})

    target = prefix.replace("http", "ws", 1) + "wss://stream.binance.com:9443/stream"
    transport, _ = await ws_connect(Listener, target)
    transport.send(WSMsgType.TEXT, b'{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":1}')
    await serve_bare(app, orders)
    transport.disconnect()


async def took(fake: FakeBinance, name: str, client: Crowd, marker: str) -> float:
    """Seconds from the exchange's write to the client's read of one trade."""
    client.expect(b'"%s%d' % (marker.encode(), fake.last[name] + 1))
    left = time.perf_counter()
    fake.trade(name)
    await client.everybody()
    return time.perf_counter() - left


async def measure(trades: int) -> tuple[list[float], list[float]]:
    """Seconds of each trade through ExGate and through the relay."""
    async with fake_binance() as fake:
        with TemporaryDirectory() as folder:
            section = Section(exchange="binance", upstream_prefix=fake.prefix)
            settings = Settings(server=Server(port=0, state_dir=folder), exchanges={"binance": section})
            with child(serve_exgate, settings) as gateway, child(relay, fake.prefix) as bare:
                async with (
                    crowd(await gateway.hear(), PATH, 1) as ours,
                    crowd(await bare.hear(), "/", 1) as theirs,
                ):
                    await fake.followed("BTCUSDT")
                    await fake.followed("ETHUSDT")
                    return await alternate(fake, ours, theirs, trades)


async def alternate(fake: FakeBinance, ours: Crowd, theirs: Crowd, trades: int) -> tuple[list[float], list[float]]:
    """The same, once everybody is connected."""
    found: tuple[list[float], list[float]] = [], []
    for number in range(trades + 50):
        for seconds, name, client, marker in (
            (found[0], "BTCUSDT", ours, 'trade_id":"'),
            (found[1], "ETHUSDT", theirs, 't":'),
        ):
            spent = await took(fake, name, client, marker)
            if number >= 50:  # the first ones warm up
                seconds.append(spent)
            await asyncio.sleep(APART)
    return found


def quantile(seconds: list[float], share: float) -> float:
    """The value below which this share lies."""
    return sorted(seconds)[int(share * (len(seconds) - 1))]


def main() -> int:
    """0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    parser.add_argument("--trades", type=int, default=3000)
    chosen = parser.parse_args()
    if "binance" not in load_catalogue().offers:
        print("skipped: exgate-binance isn't installed")
        return 0
    ours, theirs = run_loop(measure(100 if chosen.smoke else chosen.trades))
    for name, seconds in (("exgate", ours), ("bare relay", theirs)):
        p50, p99 = (quantile(seconds, share) * 1e6 for share in (0.5, 0.99))
        print(f"{name}: p50 {p50:.0f} us, p99 {p99:.0f} us")
    found = quantile(ours, 0.5) / quantile(theirs, 0.5)
    print(f"tick_latency p99 {quantile(ours, 0.99) / quantile(theirs, 0.99):.2f} of the relay's")
    print(f"tick_latency p50 {found:.2f} of the relay's (goal {GOAL})")
    return 0 if chosen.smoke or found <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
