"""Signatures against the examples that the exchange publishes."""

from __future__ import annotations

import base64
import sys
from urllib.parse import unquote

import pytest
from exgate_binance.signing import signer_of

from exgate_core.errors import FailedPrecondition

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
ED25519 = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u
-----END PRIVATE KEY-----
"""
ORDER = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        # rest-api.md (2026-07-21) and Binance.US's (2023-09-06): the same example
        (f"symbol=LTCBTC&{ORDER}", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (
            f"symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&{ORDER}",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ],
)
def test_hmac(query: str, signature: str) -> None:
    assert signer_of(SECRET)(query) == signature


@pytest.mark.parametrize("pem", [ED25519, ED25519.strip(), ED25519.replace("\n", "\\n"), f"\n {ED25519}"])
def test_ed25519(pem: str) -> None:
    """fix-api.md "Signature Computation" (2026-07-21): the one example whose private key is published. The payload of
    a FIX Logon is another than that of a request; what is done with it is the same."""
    pytest.importorskip("cryptography")
    payload = "\x01".join(("A", "EXAMPLE", "SPOT", "1", "20240627-11:17:25.223"))
    published = "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
    signature = signer_of(pem)(payload)
    assert unquote(signature) == published
    assert not set("+/=") & set(signature), "it must be percent-encoded"


def test_rsa() -> None:
    """No private key is published: what the exchange would check with the public one is checked here."""
    asymmetric = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    padding = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.padding")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    key = asymmetric.generate_private_key(public_exponent=65537, key_size=2048)
    signature = base64.b64decode(unquote(signer_of(pem_of(key))("symbol=BTCUSDT")), validate=True)
    key.public_key().verify(signature, b"symbol=BTCUSDT", padding.PKCS1v15(), hashes.SHA256())


def pem_of(key: object) -> str:
    forms = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    text: bytes = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())  # type: ignore[attr-defined]
    return text.decode()


@pytest.mark.parametrize("pem", ["-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----", "-----BEGIN X"])
def test_a_key_that_cant_be_read_is_never_shown(pem: str) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(FailedPrecondition) as caught:
        signer_of(pem)
    assert caught.value.reason == "BAD_API_SECRET" and "MC4C" not in str(caught.value)


def test_another_kind_of_key_is_refused() -> None:
    curves = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    with pytest.raises(FailedPrecondition, match="neither Ed25519 nor RSA"):
        signer_of(pem_of(curves.generate_private_key(curves.SECP256R1())))


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name == "cryptography" or name.startswith("cryptography."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'exgate-binance\[ed25519\]'"):
        signer_of(ED25519)
    assert signer_of(SECRET)("a=1")
