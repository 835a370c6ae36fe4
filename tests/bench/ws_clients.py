"""What one frame costs in the WebSocket clients that ExGate could be built on: picows, aiohttp, websockets.

This process floods a process per client with Binance's trade frames, in turns, and each decodes them into a Struct.
"exgate" is the whole way through ``context.ws``: picows, routing by topic, the subscription's callback, the same
decode. Processor time of the client's process per frame, then the time from a frame to the answer that it provokes,
when there is nothing else to do. ``websockets`` is no dependency of ExGate: it is measured where it is installed.

    python tests/bench/ws_clients.py [--smoke]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

sys.path.insert(0, str(Path(__file__).parents[2]))

from exgate_core.budget import Budget
from exgate_core.client import Transport
from exgate_core.clock import Runtime
from exgate_core.dialects import Control, Limits
from tests.support.measuring import Child, Orders, child, run_loop
from tests.support.wire import Visit, text_frame, wire

GOAL = 1.0
FRAME = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":%d,'
    '"p":"16850.01000000","q":"0.00100000","T":1672515782136,"m":true,"M":true}}'
)
TOPIC = "btcusdt@trade"


class Data(Struct):
    """A trade, as far as it is needed."""

    t: int
    p: str
    q: str
    T: int
    m: bool


class Frame(Struct):
    """A frame of a combined stream."""

    stream: str
    data: Data


DECODER = msgspec.json.Decoder(Frame)


class Tally:
    """Counts trades, and knows when enough came."""

    def __init__(self) -> None:
        self.last = 0
        self._wanted, self._there = 0, asyncio.Event()

    def take(self, frame: bytes | str) -> int:
        """Decode one frame; negative if it wants an answer."""
        self.last = DECODER.decode(frame).data.t
        if self.last == self._wanted:
            self._there.set()
        return self.last

    async def serve(self, orders: Orders) -> None:
        """Each order is the id to wait for, answered by the processor time until then; None ends it."""
        while (wanted := await orders.next()) is not None:
            self._wanted = wanted
            self._there.clear()
            orders.say(True)
            before = time.process_time()
            await self._there.wait()
            orders.say(time.process_time() - before)


async def picows(orders: Orders, url: str) -> None:
    """The client as its documentation uses it."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    tally = Tally()

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if tally.take(frame.get_payload_as_bytes()) < 0:
                transport.send(WSMsgType.TEXT, b"back")

    transport, _ = await ws_connect(Listener, url)
    await tally.serve(orders)
    transport.disconnect()


async def aiohttp(orders: Orders, url: str) -> None:
    """The client as its documentation uses it; compression off."""
    import aiohttp as library

    tally = Tally()
    async with library.ClientSession() as session, session.ws_connect(url, compress=0, max_msg_size=0) as socket:

        async def read() -> None:
            async for message in socket:
                if tally.take(message.data) < 0:
                    await socket.send_str("back")

        task = asyncio.create_task(read())
        await tally.serve(orders)
        task.cancel()


async def websockets(orders: Orders, url: str) -> None:
    """The client as its documentation uses it; compression off."""
    library: Any = importlib.import_module("websockets.asyncio.client")
    tally = Tally()
    async with library.connect(url, compression=None, max_size=None) as socket:

        async def read() -> None:
            async for message in socket:
                if tally.take(message) < 0:
                    await socket.send("back")

        task = asyncio.create_task(read())
        await tally.serve(orders)
        task.cancel()


class Dialect:
    """Binance's, as far as it is needed; the answer to a frame goes out as a ping of the dialect would."""

    limits = Limits(ping=3600.0)

    def subscribe(self, topics: Sequence[str], number: int) -> str:
        """Confirmed by the server's first frame."""
        return "subscribe"

    def unsubscribe(self, topics: Sequence[str], number: int) -> str:
        """Not confirmed."""
        return "unsubscribe"

    def ping(self) -> str:
        """A ping frame."""
        return ""

    def route(self, frame: bytes) -> str | Control:
        """The topic, cut out as exgate-binance does it."""
        if frame.startswith(b'{"stream":"'):
            return frame[11 : frame.index(b'"', 11)].decode()
        return Control("confirmed", 1)


async def exgate(orders: Orders, url: str) -> None:
    """ExGate's own client."""
    runtime, tally = Runtime(), Tally()
    budget = Budget(100, 60.0, runtime.clock, runtime.sleep)
    async with Transport(budget, runtime) as its:

        def take(frame: bytes) -> None:
            tally.take(frame)

        async with its.ws(url, Dialect()).subscription(TOPIC, take):
            await tally.serve(orders)


CLIENTS = {"exgate": exgate, "picows": picows, "aiohttp": aiohttp, "websockets": websockets}


class Flood:
    """The server: each connection gets what it is told to send."""

    def __init__(self) -> None:
        self.visits: asyncio.Queue[Visit] = asyncio.Queue()
        self.over = asyncio.Event()
        self._number = 0

    async def talk(self, visit: Visit) -> None:
        """One client."""
        await visit.upgrade()
        if b"User-Agent: exgate" in visit.wire.requests[-1]:
            assert await visit.frame() == b"subscribe"
            visit.send(text_frame('{"result":null,"id":1}'))
        self.visits.put_nowait(visit)
        await self.over.wait()

    async def send(self, visit: Visit, consumer: Child, count: int) -> float:
        """Microseconds of the consumer's processor time per frame."""
        first, self._number = self._number + 1, self._number + count
        await consumer.ask(self._number)
        for number in range(first, self._number + 1):
            visit.send(text_frame(FRAME % number))
            if number % 500 == 0:
                await visit.writer.drain()
        spent = await consumer.hear()
        return float(spent) / count * 1e6

    async def echo(self, visit: Visit, count: int) -> float:
        """Microseconds from a frame to its answer, the median."""
        taken = []
        for _ in range(count):
            before = time.perf_counter()
            visit.send(text_frame(FRAME % -1))
            assert await visit.frame() == b"back"
            taken.append(time.perf_counter() - before)
        return statistics.median(taken) * 1e6


def installed() -> list[str]:
    """The clients that can be measured here."""
    return [name for name in CLIENTS if name == "exgate" or importlib.util.find_spec(name) is not None]


async def measure(rounds: int, count: int, echoes: int) -> dict[str, tuple[list[float], list[float]]]:
    """Microseconds per frame, and per echo, by round, for each client."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in installed()}
    flood = Flood()
    async with wire(flood.talk) as server:
        with ExitStack() as stack:
            ends: dict[str, tuple[Child, Visit]] = {}
            for name in found:
                made = stack.enter_context(child(CLIENTS[name], f"{server.ws}/stream"))
                ends[name] = (made, await asyncio.wait_for(flood.visits.get(), 30))
            for number in range(rounds + 1):
                for name, (made, visit) in ends.items():
                    per_frame = await flood.send(visit, made, count)
                    echo = await flood.echo(visit, echoes) if name != "exgate" else 0.0
                    if number:
                        found[name][0].append(per_frame)
                        found[name][1].append(echo)
        flood.over.set()
        await asyncio.sleep(0)
    return found


def main() -> int:
    """0 if no client that was measured costs less than the chosen one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a quick run whose figures mean little")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if importlib.util.find_spec("picows") is None or importlib.util.find_spec("aiohttp") is None:
        print("skipped: the extra `client` isn't installed")
        return 0
    rounds, count, echoes = (2, 2_000, 50) if chosen.smoke else (9, 50_000, 500)
    found = run_loop(measure(rounds, count, echoes))
    medians = {name: statistics.median(frames) for name, (frames, _) in found.items()}
    for name, (frames, echoed) in found.items():
        echo = f", {statistics.median(echoed):.0f} us from a frame to its answer" if name != "exgate" else ""
        print(f"{name}: {medians[name]:.2f} us per frame (best {min(frames):.2f}){echo}")
    if "websockets" not in found:
        print("websockets isn't installed: not measured")
    best_other = min(value for name, value in medians.items() if name not in ("exgate", "picows"))
    print(f"ws_clients: picows {medians['picows'] / best_other:.2f} of the best other one (goal {GOAL})")
    return 0 if chosen.smoke or medians["picows"] <= GOAL * best_other else 1


if __name__ == "__main__":
    sys.exit(main())
