"""``python -m tests.support.stub_server``: a server over a stub in a process of its own, for signals.

``order`` on stdin puts an order in flight, which the next line lets finish; each is answered by a line.
"""

from __future__ import annotations

import asyncio
import sys

from exgate_core.access import Guard, Tokens
from exgate_core.app import make_app
from exgate_core.server import Stop, listen, run
from exgate_core.settings import Server

from .doors import StubEntry, StubGateway


async def _commands(gateway: StubGateway) -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        if gateway.in_flight is None:
            gateway.in_flight = loop.create_future()
        elif not gateway.in_flight.done():
            gateway.in_flight.set_result(None)
        _say("done")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _main() -> None:
    stop = Stop()
    stop.listen_to_signals()
    server = Server(port=0, graceful_timeout=float(sys.argv[1]))
    listener = listen(server)
    gateway = StubGateway(server, StubEntry())
    app = make_app(gateway, Guard(server, Tokens({}), listener.getsockname()[1]))
    commands = asyncio.create_task(_commands(gateway))
    await run(app, server, listener, gateway, stop, ready=_say)
    commands.cancel()


if __name__ == "__main__":
    asyncio.run(_main())
