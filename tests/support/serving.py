"""A whole gateway on a free port, inside the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio

from exgate_core.access import Guard, load_tokens
from exgate_core.app import make_app
from exgate_core.clock import Runtime
from exgate_core.gateway import Gateway, open_gateway
from exgate_core.plugins import Catalogue, load_catalogue
from exgate_core.server import Stop, listen, run
from exgate_core.settings import Section, Server, Settings, state_dir


class Served(NamedTuple):
    """A running gateway."""

    url: str
    gateway: Gateway
    stop: Stop


def settings_for(state: Path, **sections: Section) -> Settings:
    """Settings for one test: a free port, a state folder of its own."""
    return Settings(server=Server(port=0, state_dir=str(state)), exchanges=sections)


@asynccontextmanager
async def serving(
    settings: Settings, catalogue: Catalogue | None = None, runtime: Runtime | None = None
) -> AsyncIterator[Served]:
    """Serve until the block ends, then stop as SIGTERM does."""
    stop, server = Stop(), settings.server
    listener = listen(server)
    port = listener.getsockname()[1]
    guard = Guard(server, load_tokens(state_dir(settings)), port)
    ready = anyio.Event()
    async with open_gateway(settings, catalogue or load_catalogue(), runtime) as gateway:
        app = make_app(gateway, guard)
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                await run(app, server, listener, gateway, stop, ready=lambda line: ready.set())

            tasks.start_soon(serve)
            await ready.wait()
            try:
                yield Served(f"http://127.0.0.1:{port}", gateway, stop)
            finally:
                stop.ask()
