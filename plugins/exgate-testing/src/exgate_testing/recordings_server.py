"""What the recorder and the replayer have in common: a server for ``upstream_prefix``, for this machine only."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from exgate_core.client import check_url

Answer = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
"""Given a request and the URL that it is meant for."""

_LONGEST_LINE = 64 * 1024  # names of many streams stand in one URL
_LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})


@asynccontextmanager
async def served(answer: Answer, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve while the block runs; yields the prefix, ``http://HOST:PORT/``.

    Raises ValueError for a host beyond this machine, OSError if the port is taken.
    """
    if not is_local(host):
        raise ValueError(f"{host!r} is not an address of this machine: only programs here may use it")
    server = web.Server(_guarded(answer), max_line_size=_LONGEST_LINE, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        yield f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}/"
    finally:
        await runner.cleanup()


def is_local(host: str) -> bool:
    """Whether a server bound to it can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_socket(request: web.BaseRequest) -> bool:
    """Whether it asks for a WebSocket."""
    return "websocket" in request.headers.get("Upgrade", "").lower()


def _guarded(answer: Answer) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if host.rpartition(":")[0] not in _LOCAL or "Origin" in request.headers:
            return web.Response(status=403, text="only for programs of this machine, not for web pages")
        url = request.raw_path.removeprefix("/")
        try:
            check_url(url, "https" if url.startswith("http") else "wss")
        except ValueError as error:
            return web.Response(status=404, text=str(error))
        return await answer(request, url)

    return handler
