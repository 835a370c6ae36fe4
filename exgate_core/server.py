"""The running server: sockets, hypercorn, signals, and a stop that loses neither an order nor a word to a client."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config

from .access import Guard, check_bind, load_tokens, tls_files
from .connections import Connections, Deadlines
from .errors import FailedPrecondition
from .http2 import MAX_STREAMS
from .protocols import MAX_FRAME
from .settings import state_dir
from .streams import Capped, Receive, Send

if TYPE_CHECKING:
    from .journal import Step
    from .plugins import Catalogue
    from .settings import Server, Settings

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger("exgate.server")
_FOR_STREAMS = 3.0
_FOR_ABORTED = 2.0
_DESCRIPTORS = 64
_SEND_BUFFER = 256 * 1024


class Life(Protocol):
    """What must be wound down before the connections are."""

    async def drain(self, seconds: float) -> None:
        """Take no new streams and orders, let orders in flight finish (at most so long), end every stream."""
        ...


class Stop:
    """The wish to stop: SIGTERM or SIGINT once, and again to hurry. Must be made inside the running loop."""

    def __init__(self) -> None:
        self.asked, self.hurry = asyncio.Event(), asyncio.Event()

    def ask(self) -> None:
        """Stop; the second time, hurry."""
        (self.hurry if self.asked.is_set() else self.asked).set()

    def listen_to_signals(self) -> None:
        """Let SIGTERM and SIGINT ask."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)


def serve(settings: Settings, catalogue: Catalogue, *, ready: Callable[[str], None], step: Step | None = None) -> None:
    """Run a gateway until SIGTERM or SIGINT. ``ready`` is given the one line that says where it listens.

    ``step`` is called with the name of each step of an order, for tests of crashes.

    Raises FailedPrecondition where it must not start: an unsafe bind, an address in use, a readable token file.
    """
    check_bind(settings.server)
    _open_standard_streams()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, catalogue, ready, step))


async def _serve(
    settings: Settings, catalogue: Catalogue, ready: Callable[[str], None], step: Step | None = None
) -> None:
    # Here, not above: tests of the server alone need no gateway.
    from .app import make_app
    from .freezes import FREEZES_FILE, Freezes
    from .gateway import open_gateway
    from .journal import no_step
    from .watchdog import LastResort, Notify, Watchdog, last_words

    stop, notify = Stop(), Notify(os.environ)
    stop.listen_to_signals()
    server, state = settings.server, state_dir(settings)
    listener = listen(server)

    def tell(line: str) -> None:
        ready(line)
        notify.say("READY=1")

    try:
        guard = Guard(server, load_tokens(state), _port(listener))
        words = last_words(state)
        if words:
            _LOG.error("the watchdog ended the last run, for its event loop was held too long. Stack:\n%s", words)
        freezes = Freezes(state / FREEZES_FILE, froze=bool(words))
        async with open_gateway(settings, catalogue, step=step or no_step, freezes=freezes) as gateway:
            app = make_app(gateway, guard)
            with Watchdog():
                async with LastResort(server.watchdog, state, notify):
                    await run(app, server, listener, gateway, stop, ready=tell, source=settings.path)
    finally:
        listener.close()
        if server.uds:
            with suppress(FileNotFoundError):
                os.unlink(server.uds)


def _open_standard_streams() -> None:
    """Whatever is opened next would else take the number of one that was closed, and get what C code says there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def listen(server: Server) -> socket.socket:
    """The bound socket. Raises FailedPrecondition where the address can't be had."""
    try:
        return _unix(server.uds) if server.uds else _tcp(server.host, server.port)
    except OSError as error:
        where = server.uds or f"{server.host}:{server.port}"
        raise FailedPrecondition(f"can't listen on {where}: {error.strerror or error}", reason="BIND") from None


async def run(
    app: App,
    server: Server,
    listener: socket.socket,
    life: Life,
    stop: Stop,
    *,
    ready: Callable[[str], None],
    source: object = None,
    deadlines: Deadlines | None = None,
) -> None:
    """Serve an app on a bound socket until ``stop`` is asked for, then end in order."""
    config = _config(server)
    limit = _descriptors(server.max_connections + server.max_streams) - server.max_streams
    capped: Any = Capped(app, server.max_streams)
    connections = Connections(
        ASGIWrapper(capped), config, max(limit, 1), deadlines or Deadlines(body=server.deadline + 5)
    )
    opened = await asyncio.start_server(
        connections.accept, sock=listener, backlog=512, ssl=config.create_ssl_context() if config.ssl_enabled else None
    )
    watch = asyncio.create_task(connections.watch())
    try:
        ready(_start_line(server, listener, config.ssl_enabled, source))
        await stop.asked.wait()
        await _wind_down(server, opened, connections, life, stop)
    finally:
        watch.cancel()
        opened.close()
        connections.abort()
        with suppress(TimeoutError):
            await asyncio.wait_for(connections.ended(), _FOR_ABORTED)


async def _wind_down(server: Server, opened: asyncio.Server, connections: Connections, life: Life, stop: Stop) -> None:
    end = asyncio.get_running_loop().time() + server.graceful_timeout
    await _unless_hurried(life.drain(max(0.0, server.graceful_timeout - _FOR_STREAMS)), server.graceful_timeout, stop)
    opened.close()
    await connections.stop()
    left = max(_FOR_STREAMS, end - asyncio.get_running_loop().time())
    await _unless_hurried(connections.ended(), left, stop)


async def _unless_hurried(work: Coroutine[Any, Any, None], seconds: float, stop: Stop) -> None:
    """Do the work unless it takes too long or somebody hurries."""
    task, hurry = asyncio.create_task(work), asyncio.create_task(stop.hurry.wait())
    try:
        await asyncio.wait((task, hurry), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurry.cancel()
        if not task.done():
            task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _config(server: Server) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = _LOG
    config.include_server_header = False
    config.keep_alive_max_requests = sys.maxsize
    config.root_path = server.root_path
    config.h2_max_concurrent_streams = MAX_STREAMS
    config.websocket_max_message_size = MAX_FRAME
    # Without a bound on the queue nobody waits for an app that has answered; what goes in is bounded in protocols.
    config.max_app_queue_size = 0
    files = tls_files(server)
    if files is not None:
        config.certfile, config.keyfile = files
    return config


def _tcp(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Accepted sockets inherit it: the kernel would else hold megabytes for a client that has stopped reading, and
        # a slow one would be noticed a minute late.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found


def _unix(path: str) -> socket.socket:
    _remove_stale(path)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        found.bind(path)
    except OSError:
        found.close()
        raise
    finally:
        os.umask(mask)
    return found


def _remove_stale(path: str) -> None:
    """Remove the socket of a gateway that is gone; leave one that answers."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(path) != 0:
                    os.unlink(path)


def _port(listener: socket.socket) -> int | None:
    return None if listener.family == socket.AF_UNIX else int(listener.getsockname()[1])


def _start_line(server: Server, listener: socket.socket, tls: bool, source: object) -> str:
    scheme = "https" if tls else "http"
    host = f"[{server.host}]" if ":" in server.host and "[" not in server.host else server.host
    where = f"unix:{server.uds}" if server.uds else f"{scheme}://{host}:{_port(listener)}{server.root_path}"
    return f"ExGate listens on {where} (settings: {source or 'defaults, no file'})"


def _descriptors(wanted: int) -> int:
    """Raise the limit on open files where it is too low; how many connections it then allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < needed:
            _LOG.warning("only %d files may be open; that is too few for max_connections and max_streams", soft)
            return soft - _DESCRIPTORS
    return wanted


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
