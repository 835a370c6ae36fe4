"""Keys, secrets, passphrases and tokens that nobody may ever see again, and a second server that nobody may ever ask.

    python tests/proofs/canary.py [--requests 1000] [--seed 1] [--short]

A gateway at log level debug serves Binance, OKX and Kraken by their own plugins and Binance through ccxt, each over a
fake that checks signatures. Every operation is asked while every kind of fault strikes on the wire, with the keys of
the settings and with keys of callers; then come spoiled requests that carry tokens and keys. Whatever the gateway has
written - answers and their headers, stdout, the log, every file of its state - is searched for each secret in every
spelling. Redirects, prefixes and options that name another server must lead nowhere.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiohttp
from exgate_binance.fake import BinanceFake
from exgate_kraken.fake import KrakenFake
from exgate_okx.fake import OkxFake
from exgate_testing.fakes import Keys
from exgate_testing.faults import WireFault
from exgate_testing.serving import FakeExchange, running

from tests.proofs.fuzz import spoiled
from tests.support.running import serving

KINDS = (
    "", "drop", "hang", "cut", "html", "truncated", "empty", "null", "blank", "redirect", "too_many", "banned",
    "error_500", "error_503", "stale",
)  # fmt: skip
ENTRIES = {"binance": "exgate-binance", "okx": "exgate-okx", "kraken": "exgate-kraken", "viaccxt": "exgate-ccxt"}
FAKES: Mapping[str, Any] = {"binance": BinanceFake, "okx": OkxFake, "kraken": KrakenFake, "viaccxt": BinanceFake}
_READS = (
    "depth?symbol=BTC/USDT&limit=5", "recent_trades?symbol=BTC/USDT", "balances", "pending_orders",
    "pending_orders?symbol=BTC/USDT", "order?order_id=123&symbol=BTC/USDT", "markets", "pulls",
)  # fmt: skip
TOKEN = "CANARYtokenCANARYtokenCANARYtoken0001"


def _keys(name: str, number: int) -> Keys:
    secret = base64.b64encode(f"CANARYsecret{name}{number}CANARY".encode().ljust(48, b"x")).decode()
    return Keys(f"CANARYkey{name}{number}CANARY", secret, f"CANARYpassphrase{name}{number}" if name == "okx" else "")


KEYS = {name: _keys(name, 1) for name in ("binance", "okx", "kraken")}
CALLERS = {name: _keys(name, 2) for name in ("binance", "okx", "kraken")}


def spellings(text: str) -> Iterator[bytes]:
    """How a secret may look where it stands."""
    raw = text.encode()
    yield from (raw, quote(text, safe="").encode(), base64.b64encode(raw).rstrip(b"="), raw.hex().encode())
    yield repr(text)[1:-1].encode()
    try:
        yield base64.b64decode(text, validate=True)
    except ValueError:
        pass


def secrets() -> dict[str, str]:
    """Every secret by its name."""
    found = {"token": TOKEN}
    for whose, keys in (("own", KEYS), ("caller's", CALLERS)):
        for name, each in keys.items():
            found |= {f"{whose} {name} key": each.api_key, f"{whose} {name} secret": each.api_secret}
            if each.passphrase:
                found[f"{whose} {name} passphrase"] = each.passphrase
    return found


class Seen:
    """Everything that the gateway has said to its callers."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.statuses: dict[int, int] = {}

    async def ask(
        self, session: aiohttp.ClientSession, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}
    ) -> int:
        """One request."""
        async with session.request(method, path, json=body, headers=headers) as answer:
            text = await answer.read()
            self.parts += [str(dict(answer.headers)).encode(), text]
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            return answer.status


def config(exchanges: Mapping[str, FakeExchange]) -> str:
    """The settings file; its secrets come from the environment."""
    lines = ['[server]\nlog_level = "debug"\ndeadline = 1.0\n[orders]\ndeadline = 1.5\n']
    for name, plugin in ENTRIES.items():
        base = "binance" if name == "viaccxt" else name
        lines.append(
            f'[exchanges.{name}]\nexchange = "{base}"\nplugin = "{plugin}"\ntrading = true\nsettle = 0.2\n'
            f'api_key = {{ env = "{base.upper()}_KEY" }}\napi_secret = {{ env = "{base.upper()}_SECRET" }}\n'
            f'upstream_prefix = "{exchanges[name].prefix}"\n'
        )
        if KEYS[base].passphrase:
            lines.append(f'passphrase = {{ env = "{base.upper()}_PASSPHRASE" }}\n')
    return "".join(lines)


def environment() -> dict[str, str]:
    """The secrets of the settings."""
    found = {"PYTHONFAULTHANDLER": "1"}
    for name, keys in KEYS.items():
        found |= {f"{name.upper()}_KEY": keys.api_key, f"{name.upper()}_SECRET": keys.api_secret}
        found[f"{name.upper()}_PASSPHRASE"] = keys.passphrase
    return found


async def tour(seen: Seen, session: aiohttp.ClientSession, name: str, headers: Mapping[str, str], tag: str) -> None:
    """Every operation of one name, good and bad."""
    order = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "90.00", "amount": "0.5"}
    base = f"/v1/{name}"
    for path in _READS:
        await seen.ask(session, "GET", f"{base}/{path}", headers=headers)
    key = {"Idempotency-Key": f"key-{tag}"}
    await seen.ask(session, "POST", f"{base}/order", order, {**headers, **key})
    await seen.ask(session, "POST", f"{base}/order", {**order, "price": "1e5"}, headers)
    await seen.ask(session, "POST", f"{base}/order", {**order, "amount": "99999999"}, headers)
    await seen.ask(session, "POST", f"{base}/order", {**order, "options": {"apiKey": "x"}}, headers)
    cancel = {"symbol": "BTC/USDT", "order_id": "123"}
    await seen.ask(session, "POST", f"{base}/cancel", cancel, headers)


def caller(name: str) -> dict[str, str]:
    """The headers of a caller with keys of its own."""
    keys = CALLERS["binance" if name == "viaccxt" else name]
    found = {"X-ExGate-Key": keys.api_key, "X-ExGate-Secret": keys.api_secret}
    return {**found, "X-ExGate-Passphrase": keys.passphrase} if keys.passphrase else found


async def _opened(seen: Seen, session: aiohttp.ClientSession, name: str) -> None:
    for _ in range(60):  # each of them waits for the exchange that opens
        if await seen.ask(session, "GET", f"/v1/{name}/depth?symbol=BTC/USDT&limit=5") == 200:
            return
    raise AssertionError(f"{name} never opened: {seen.parts[-1]!r}")


async def faults(seen: Seen, url: str, exchanges: Mapping[str, FakeExchange], kinds: Sequence[str]) -> None:
    """Every operation under every fault, once with the keys of the settings and once with a caller's."""
    own = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=60)) as session:
        for name in ENTRIES:
            await _opened(seen, session, name)
        for kind, (number, when) in itertools.product(kinds, enumerate(("before", "after"))):
            for exchange in exchanges.values():
                exchange.faults.clear()
                if kind:
                    exchange.faults.add(WireFault(operation="*", kind=kind, when=when, times=0))  # type: ignore[arg-type]
            async with asyncio.TaskGroup() as tasks:
                for name in ENTRIES:
                    headers = own if number == 0 else caller(name)
                    tasks.create_task(tour(seen, session, name, headers, f"{name}-{kind}-{when}"))


async def spoil(seen: Seen, port: int, count: int, seed: int) -> None:
    """Spoiled requests that carry a token and keys."""
    secret_lines = b"".join(
        f"{name}: {value}\r\n".encode() for name, value in {"Authorization": f"Bearer {TOKEN}", **caller("okx")}.items()
    )
    for number in range(count):
        raw = spoiled(random.Random(seed * 7919 + number), port).replace(
            b"HTTP/1.1\r\n", b"HTTP/1.1\r\n" + secret_lines, 1
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(raw.replace(b"/v1/paper", random.Random(number).choice((b"/v1/okx", b"/v1/binance")), 1))
            async with asyncio.timeout(0.05):
                while more := await reader.read(65536):
                    seen.parts.append(more)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


class Elsewhere:
    """A server that nobody may ever ask."""

    def __init__(self) -> None:
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count and close."""
        self.connections += 1
        writer.close()


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    """It listens."""
    found = Elsewhere()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield found


async def lure(seen: Seen, url: str, target: str) -> None:
    """Everything by which a caller could hope to name another server."""
    order = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "90.00", "amount": "0.5"}
    host = target.split("//")[1].rstrip("/")
    names = (
        "proxyUrl", "httpProxy", "httpsProxy", "socksProxy", "wsProxy", "aiohttp_proxy", "hostname", "urls", "url",
        "host", "baseUrl", "upstream_prefix", "prefix", "redirect", "callback", "webhook", "endpoint", "api",
    )  # fmt: skip
    async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        for name in ENTRIES:
            base = f"/v1/{name}"
            for option in names:
                await seen.ask(session, "POST", f"{base}/order", {**order, "options": {option: target}})
                await seen.ask(session, "GET", f"{base}/depth?symbol=BTC/USDT&{option}={quote(target, safe='')}")
            for text in (target, f"../../{host}", f"@{host}", f"//{host}/x", f"BTC/USDT@{host}"):
                await seen.ask(session, "GET", f"{base}/depth?symbol={quote(text, safe='')}")
                await seen.ask(session, "GET", f"{base}/order?order_id={quote(text, safe='')}")
                await seen.ask(session, "POST", f"{base}/cancel", {"symbol": "BTC/USDT", "order_id": text})
            for header in ("Host", "X-Forwarded-Host", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "Referer"):
                await seen.ask(session, "GET", f"{base}/depth?symbol=BTC/USDT", headers={header: host})


def hits(where: Mapping[str, bytes]) -> list[str]:
    """Which secret stands where."""
    return [
        f"{secret} in {place}: ...{text[max(0, text.index(each) - 60) : text.index(each) + 40]!r}"
        for place, text in where.items()
        for secret, value in secrets().items()
        for each in spellings(value)
        if each in text
    ]


async def run(folder: Path, requests: int, seed: int, kinds: Sequence[str]) -> tuple[Seen, bytes, int]:
    """Everything; what was said, what was printed, and how often elsewhere was asked."""
    seen = Seen()
    for name, fake in FAKES.items():
        fake.credentials = KEYS["binance" if name == "viaccxt" else name]
    async with AsyncExitStack() as stack:
        exchanges = {name: await stack.enter_async_context(running(fake)) for name, fake in FAKES.items()}
        lured = await stack.enter_async_context(elsewhere())
        settings, state = folder / "exgate.toml", folder / "state"
        settings.write_text(config(exchanges))
        state.mkdir()
        (state / "token").write_text(TOKEN + "\n")
        (state / "token").chmod(0o600)
        with (folder / "stderr").open("wb") as errors:
            gateway = serving(state, "--config", str(settings), environment=environment(), errors=errors.fileno())
            served = await asyncio.to_thread(gateway.__enter__)
            try:
                await faults(seen, served.url, exchanges, kinds)
                for exchange in exchanges.values():
                    exchange.faults.clear()
                await lure(seen, served.url, lured.url)
                await spoil(seen, int(served.url.rpartition(":")[2]), requests, seed)
                os.kill(served.process.pid, signal.SIGABRT)  # the dump of a crash is searched too
                rest = await asyncio.to_thread(served.process.communicate)
            finally:
                await asyncio.to_thread(gateway.__exit__, None, None, None)
        followed = lured.connections + sum(exchange.followed for exchange in exchanges.values())
    return seen, "\n".join([*served.lines, rest[0] or ""]).encode(), followed


def search(folder: Path, seen: Seen, printed: bytes) -> list[str]:
    """Whatever was found in whatever was written."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del files["state/token"]
    itself = " ".join(secrets().values()).encode()
    assert len(hits({"a text that holds them all": itself})) >= len(secrets()), "the search finds nothing"
    where = {"answers": b"\n".join(seen.parts), "stdout": printed, **files}
    print(f"searched {', '.join(f'{place} ({len(text)} bytes)' for place, text in where.items())}")
    return hits(where)


def main() -> int:
    """0 if nothing was found and nobody was asked elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="four kinds of faults, 100 spoiled requests")
    chosen = parser.parse_args()
    kinds = ("", "html", "redirect", "drop") if chosen.short else KINDS
    with TemporaryDirectory() as folder:
        requests = 100 if chosen.short else chosen.requests
        seen, printed, followed = asyncio.run(run(Path(folder), requests, chosen.seed, kinds))
        found = search(Path(folder), seen, printed)
    for line in found[:20]:
        print(f"FOUND {line}")
    print(f"{sum(seen.statuses.values())} answers {dict(sorted(seen.statuses.items()))}, {requests} spoiled requests")
    print(f"secrets found {len(found)} (of {len(secrets())}, each in up to 6 spellings); asked elsewhere {followed}")
    return 1 if found or followed else 0


if __name__ == "__main__":
    sys.exit(main())
