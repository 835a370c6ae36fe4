"""Whoever can't prove to be the exchange gets not one byte of an order."""

from __future__ import annotations

import json
import os
import ssl
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from exgate_core.fetch import tls

from .support.certificates import authority, server_for
from .support.wire import Visit, text_frame, wire

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent


async def serve(visit: Visit) -> None:
    """An exchange: accepts an order, and a subscription."""
    head = await visit.reader.readuntil(b"\r\n")
    visit.wire.requests.append(head)
    if head.startswith(b"POST"):
        rest = await visit.reader.readuntil(b"SECRET")
        await visit.reader.readuntil(b"SECRET")
        assert b"X-Key" in rest
        visit.answer()
        return
    await visit.upgrade()
    await visit.frame()
    visit.send(text_frame("ok|1"))
    await visit.gone()


async def outcomes(folder: Path, trusted: Path, proxy: str, ports: list[int]) -> list[list[str]]:
    """What a client that trusts this authority reports."""
    environment = {**os.environ, "SSL_CERT_FILE": str(trusted), "SSL_CERT_DIR": str(folder / "none")}
    command = [sys.executable, "-m", "tests.support.tls_client", proxy, *map(str, ports)]
    run = await anyio.run_process(command, cwd=ROOT, env=environment, stderr=None)
    return [json.loads(line) for line in run.stdout.splitlines()]


async def tunnel(visit: Visit) -> None:
    """An HTTP proxy."""
    request = await visit.request()
    port = int(request.split()[1].rpartition(b":")[2])
    visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    async with await anyio.connect_tcp("127.0.0.1", port) as stream, anyio.create_task_group() as tasks:

        async def back() -> None:
            async for data in stream:
                visit.send(data)
            visit.writer.close()

        tasks.start_soon(back)
        while data := await visit.reader.read(65536):
            await stream.send(data)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("through_proxy", [False, True])
async def test_only_the_server_that_the_authority_names_is_told_anything(tmp_path: Path, through_proxy: bool) -> None:
    trusted, foreign = authority(), authority()
    identities = {
        "good": server_for("127.0.0.1", trusted),
        "another name": server_for("api.example.com", trusted),
        "another address": server_for("127.0.0.2", trusted),
        "expired": server_for("127.0.0.1", trusted, days=-1),
        "vouches for itself": server_for("127.0.0.1", None),
        "vouched for by a stranger": server_for("127.0.0.1", foreign),
    }
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(wire(serve, identity.server(tmp_path, name)))
            for name, identity in identities.items()
        }
        authorities = trusted.save(tmp_path, "authority")
        proxy = await stack.enter_async_context(wire(tunnel))
        ports = [server.port for server in servers.values()]
        rows = await outcomes(tmp_path, authorities, proxy.url if through_proxy else "", ports)
        found = dict(zip(servers, rows, strict=True))
        assert found.pop("good") == ["200", "confirmed"]
        assert found == {name: ["NotSent", "NotSent"] for name in found}
        assert [name for name, server in servers.items() if server.requests] == ["good"]
        assert bool(proxy.visits) is through_proxy


def test_nothing_older_than_tls_1_2_and_never_unverified() -> None:
    context = tls()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
