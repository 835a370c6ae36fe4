"""A few of the kit's cases for each exchange of which there is a fake; all of them: ``proofs/ccxt_conform.py``."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from conforming import EXCHANGES, WAIVERS, judged
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from exgate_testing.bare import open_bare
from exgate_testing.judging import judge_all
from exgate_testing.subjects import NotJudged

FEW = (
    *("C02", "C04", "C07", "C10", "C12", "C20[depth-blank]", "C20[balances-html]", "C21[balances]", "C22[depth]"),
    *("C40[limit-buy]", "C41", "C43[secret]", "C44[ahead]", "C44[behind]", "C45", "C49[ahead]", "C49[behind]"),
    *("C50[drop]", "C51[cut]", "C51[html]", "C53", "C55", "C58[drop]", "C59", "C62", "C63[filled]", "C63[unknown]"),
    *("C67", "C68", "C73", "C81[later]", "C88", "C106"),
)


@pytest.mark.parametrize("name", EXCHANGES)
def test_cases_of_the_kit(name: str) -> None:
    try:
        subject = judged(name)
    except NotJudged as error:
        pytest.skip(str(error))
    verdicts = asyncio.run(judge_all(subject, WAIVERS[name], FEW))
    wrong = {verdict.label: verdict.why for verdict in verdicts if verdict.result == "failed"}
    assert not wrong
    assert sum(verdict.result == "passed" for verdict in verdicts) >= len(FEW) - 3


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.anyio
async def test_a_frame_without_end_ends_the_stream(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        subject = judged(name)
    except NotJudged as error:
        pytest.skip(str(error))

    def shout(_fake: Any, session: Any, _text: str) -> None:
        session.send("[" + "0," * 6_000_000 + "0]")

    monkeypatch.setattr(subject.fake, "message", shout)
    async with open_bare(subject) as bare:
        with anyio.fail_after(5), pytest.raises(Exception, match="MESSAGE_TOO_BIG"):
            await bare.exchange.pull_trade(bare.market, lambda batch: None)


@pytest.mark.anyio
async def test_a_stranger_with_a_certificate_of_his_own_is_told_nothing(tmp_path: Path) -> None:
    """The session that ccxt's streams connect by: certificate and name are verified."""
    try:
        subject = judged("binance")
    except NotJudged as error:
        pytest.skip(str(error))
    told: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.read(1))
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    server = await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, open_bare(subject) as bare:
        adapter: Any = bare.exchange.adapters[0]
        client = adapter.client
        client.open()
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.session.ws_connect(f"wss://127.0.0.1:{port}/ws")
    assert not told


def _certificate(folder: Path) -> Path:
    """A key and a certificate that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "own.pem"
    kept = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(kept + made.public_bytes(Encoding.PEM))
    return path
