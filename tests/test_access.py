"""Who may come in: names, pages, tokens, keys, binds."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core.access import TOKEN_FILE, Caller, Guard, Tokens, check_bind, is_local, load_tokens, tls_files
from exgate_core.errors import (
    ExGateError,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Unauthenticated,
)
from exgate_core.grants import OWNER, Grant
from exgate_core.settings import Credentials, Secret, Server

TOKEN = "a-token-of-more-than-twenty-characters"
READER = Grant(name="reader", allow=("*:read",))
TOKENS = Tokens({hashlib.sha256(TOKEN.encode()).digest(): OWNER, hashlib.sha256(b"reads").digest(): READER}, Path("t"))

ALLOWED = [
    "127.0.0.1", "127.0.0.1:8000", "localhost", "localhost:8000", "LOCALHOST", "LocalHost:8000", "[::1]", "[::1]:8000",
    "gate.example", "Gate.Example:8000", "other.example:444",
]  # fmt: skip
REFUSED = [
    "evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "evil.com:8000", "127.0.0.1@evil.com", "evil.com.",
    "localhost.", "0.0.0.0", "0.0.0.0:8000", "2130706433", "0x7f.1", "127.1", "127.0.0.2", "", " ", "local host",
    "localhost:", "localhost:80", "localhost:8001", "localhost:08000", "127.0.0.1:8000:8000", "127.0.0.1/x",
    "localhost?x", "localhost#x", "löcalhost", "a" * 10_000, "other.example", "other.example:8000", "::1", "[::]",
    "[::ffff:127.0.0.1]", "[::1%lo]", "xn--lcalhost-n4a", "\x00", "localhost\x00", "user@localhost", "http://localhost",
]  # fmt: skip


class Name:
    """A name behind the API."""

    name = "main"

    def __init__(self, *, real: bool = True) -> None:
        self.private_real = real


def guard(tokens: Tokens = TOKENS, **server: Any) -> Guard:
    hosts = ("gate.example", "other.example:444")
    return Guard(Server(**{"allowed_hosts": hosts, **server}), tokens)


def scope(
    *headers: tuple[str, str], kind: str = "http", method: str = "GET", path: str = "/v1/x/depth", query: bytes = b""
) -> dict[str, Any]:
    encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers]
    if "host" not in {name.lower() for name, _ in headers}:
        encoded.append((b"host", b"localhost"))
    return {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": encoded,
    }


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("host", ALLOWED)
def test_own_names_are_answered(kind: str, host: str) -> None:
    guard().check(scope(("host", host), kind=kind))


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("host", REFUSED)
def test_other_names_are_not(kind: str, host: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        guard().check(scope(("host", host), kind=kind))
    assert caught.value.status == 403
    assert len(caught.value.message) < 500


def test_a_host_is_shown_up_to_eighty_characters() -> None:
    with pytest.raises(PermissionDenied) as caught:
        guard().check(scope(("host", "a" * 81)))
    assert f"'{'a' * 80}'" in caught.value.message


def test_a_body_may_have_64_kib_and_no_byte_more() -> None:
    headers = (("content-type", "application/json"),)
    guard().check(scope(*headers, ("content-length", "65536"), method="POST"))
    with pytest.raises(ExGateError) as caught:
        guard().check(scope(*headers, ("content-length", "65537"), method="POST"))
    assert caught.value.status == 413


def test_no_host_and_two_hosts_are_refused() -> None:
    for headers in ([], [(b"host", b"localhost")] * 2):
        with pytest.raises(PermissionDenied):
            guard().check({**scope(), "headers": headers})


@pytest.mark.parametrize(
    ("server", "host", "answered"),
    [
        ({"host": "2001:db8::1"}, "[2001:db8::1]:8000", True),
        ({"host": "[2001:db8::1]"}, "[2001:db8::1]", True),
        ({"host": "gate.test"}, "gate.test:8000", True),
        ({"host": "0.0.0.0"}, "0.0.0.0", False),
        ({"host": "[::]"}, "[::]", False),
        ({"host": ""}, "", False),
        ({"host": "gate.test", "uds": "/run/exgate"}, "gate.test", False),
        ({"host": "gate.test", "uds": "/run/exgate"}, "localhost", True),
    ],
)
def test_the_name_that_is_bound_is_answered_and_no_name_for_all(
    server: dict[str, Any], host: str, answered: bool
) -> None:
    judge, asked = guard(tls="at-proxy", **server), scope(("host", host), ("authorization", f"Bearer {TOKEN}"))
    if answered:
        judge.check(asked)
    else:
        with pytest.raises(PermissionDenied, match="does not answer to the name"):
            judge.check(asked)


def test_a_name_of_one_long_part_and_a_name_of_other_letters_can_be_allowed() -> None:
    judge = guard(allowed_hosts=("x" * 70, "bücher.example"))
    for host in ("x" * 70, "xn--bcher-kva.example", "XN--BCHER-KVA.example:8000"):
        judge.check(scope(("host", host)))


def test_the_bound_port_counts_not_the_one_in_the_settings() -> None:
    judge = Guard(Server(port=0), TOKENS, 4711)
    judge.check(scope(("host", "localhost:4711")))
    with pytest.raises(PermissionDenied):
        judge.check(scope(("host", "localhost:8000")))


def test_a_name_that_is_bound_on_purpose_is_answered() -> None:
    headers = ("authorization", f"Bearer {TOKEN}")
    bound = guard(host="192.168.7.7", tls="at-proxy")
    bound.check(scope(("host", "192.168.7.7:8000"), headers))
    named = guard(host="gate.lan", tls="at-proxy")
    named.check(scope(("host", "gate.lan:8000"), headers))
    for host in ("0.0.0.0", "::"):
        with pytest.raises(PermissionDenied):
            guard(host=host, tls="at-proxy").check(scope(("host", f"{host}:8000"), headers))


PAGES = [
    ("origin", "http://evil.com"), ("origin", "null"), ("origin", ""), ("origin", "http://localhost:3000"),
    ("origin", "http://localhost.evil.com"), ("origin", "file://"), ("origin", "chrome-extension://abc"),
    ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("sec-fetch-site", "anything"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("header", PAGES)
def test_pages_of_other_sites_are_refused(kind: str, header: tuple[str, str]) -> None:
    with pytest.raises(PermissionDenied):
        guard().check(scope(header, kind=kind))


def test_a_page_of_the_gateway_itself_is_not() -> None:
    guard().check(scope(("host", "localhost:8000"), ("origin", "http://localhost:8000")))
    guard().check(scope(("sec-fetch-site", "same-origin")))
    guard().check(scope(("sec-fetch-site", "none")))


@pytest.mark.parametrize(
    "types",
    [
        [], ["text/plain"], ["application/x-www-form-urlencoded"], ["multipart/form-data; boundary=x"], [""],
        ["application/json;x"], ["application/json, text/plain"], ["application/jsonx"], ["text/json"],
        ["text/plain; application/json"], ["application/json; charset=utf-16"], ["application/json"] * 2,
    ],
)  # fmt: skip
def test_a_post_that_a_form_could_send_is_415(types: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        guard().check(scope(*[("content-type", kind) for kind in types], method="POST"))
    assert (caught.value.status, caught.value.code) == (415, 3)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_json_may_be_posted(kind: str) -> None:
    guard().check(scope(("content-type", kind), method="POST"))


@pytest.mark.parametrize("encodings", [["gzip"], ["identity", "br"]])
def test_a_packed_body_is_415(encodings: list[str]) -> None:
    headers = [("content-type", "application/json"), *(("content-encoding", encoding) for encoding in encodings)]
    with pytest.raises(InvalidArgument, match="without Content-Encoding") as caught:
        guard().check(scope(*headers, method="POST"))
    assert (caught.value.status, caught.value.reason) == (415, "CONTENT_ENCODING")


def test_a_body_that_is_named_as_it_is_may_be_posted() -> None:
    guard().check(scope(("content-type", "application/json"), ("content-encoding", "Identity"), method="POST"))


def test_a_body_that_says_it_is_too_large_is_413() -> None:
    with pytest.raises(InvalidArgument) as caught:
        guard().check(scope(("content-type", "application/json"), ("content-length", "65537"), method="POST"))
    assert caught.value.status == 413


@pytest.mark.parametrize("query", [b"token=x", b"a=1&access_token=x", b"Authorization=Bearer", b"symbol=x;token=y"])
def test_a_token_in_the_address_of_a_stream_is_refused(query: bytes) -> None:
    with pytest.raises(PermissionDenied, match="a token in a URL"):
        guard().check(scope(kind="websocket", query=query))
    guard().check(scope(kind="websocket", query=b"symbol=BTC/USDT&since_id=5"))


@pytest.mark.parametrize("path", ["/v1/../x", "/v1/..", "/.", "/v1/x\\y", "/v1/\x00", "/v1/\x7f", "/v1/\ufffd"])
def test_odd_paths_are_refused(path: str) -> None:
    with pytest.raises(InvalidArgument):
        guard().check({**scope(), "path": path})


WRONG = [
    "Bearer", "Bearer ", f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9",
    "Bearer \x00", "Bearer " + "x" * 10_000, f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} {TOKEN}", "",
    "Bearer " + hashlib.sha256(TOKEN.encode()).hexdigest(),
]  # fmt: skip


@pytest.mark.parametrize("value", WRONG)
def test_a_wrong_token_is_401_and_says_where_the_right_one_is(value: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        guard().caller(scope(("authorization", value)))
    assert "the token is in t" in caught.value.message
    assert TOKEN not in str(caught.value)


@given(st.binary(max_size=200))
def test_no_token_makes_more_than_a_401(value: bytes) -> None:
    asked = {**scope(), "headers": [(b"host", b"localhost"), (b"authorization", value)]}
    with pytest.raises(Unauthenticated):
        guard().caller(asked)


def test_where_no_file_holds_the_token_none_is_named() -> None:
    with pytest.raises(Unauthenticated) as caught:
        guard(Tokens({})).caller(scope(("authorization", f"Bearer {TOKEN}")))
    assert "the token is in" not in caught.value.message


def test_two_tokens_are_one_too_many() -> None:
    with pytest.raises(Unauthenticated):
        guard().caller(scope(*[("authorization", f"Bearer {TOKEN}")] * 2))


def test_scopes() -> None:
    trade, read = (guard().caller(scope(("authorization", f"bearer {token}"))) for token in (TOKEN, "reads"))
    nobody = guard().caller(scope())
    assert (trade.grant, read.grant, nobody.grant) == (OWNER, READER, None)
    for caller, kind, error in (
        (trade, "trade", None),
        (read, "read", None),
        (read, "trade", PermissionDenied),
        (nobody, "read", Unauthenticated),
        (nobody, "trade", Unauthenticated),
    ):
        assert _refusal(guard(), caller, Name(), kind) is error


@pytest.mark.parametrize(("allow", "told"), [(("*:read", "b:trade"), "*:read, b:trade"), ((), "nothing")])
def test_a_token_that_may_not_is_told_what_it_may(allow: tuple[str, ...], told: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        guard().require(Caller(Grant(name="bot", allow=allow)), Name(), "trade")
    assert f"'bot' allows {told}, not main:trade" in caught.value.message


def test_an_account_that_is_only_paper_is_open_on_loopback() -> None:
    assert _refusal(guard(), Caller(None), Name(real=False), "trade") is None


@pytest.mark.parametrize(
    ("server", "read", "trade"),
    [
        ({}, None, None),
        ({"caller_keys": "read"}, None, PermissionDenied),
        ({"caller_keys": "off"}, PermissionDenied, PermissionDenied),
        ({"host": "192.168.7.7", "tls": "at-proxy"}, PermissionDenied, PermissionDenied),
        ({"host": "192.168.7.7", "tls": "at-proxy", "caller_keys": "trade"}, None, None),
    ],
)
def test_what_callers_with_their_own_keys_may_do(server: dict[str, Any], read: Any, trade: Any) -> None:
    caller = Caller(None, Credentials(Secret("k"), Secret("s"), None))
    assert _refusal(guard(**server), caller, Name(), "read") is read
    assert _refusal(guard(**server), caller, Name(), "trade") is trade


def _refusal(judge: Guard, caller: Caller, name: Name, kind: Any) -> type[ExGateError] | None:
    try:
        judge.require(caller, name, kind)
    except ExGateError as error:
        return type(error)
    return None


def test_keys_come_whole_or_not_at_all() -> None:
    found = guard().caller(scope(("X-ExGate-Key", "k"), ("X-ExGate-Secret", "s e"), ("X-ExGate-Passphrase", "p")))
    assert found.credentials is not None
    assert found.credentials.api_secret.reveal() == "s e"
    assert "s e" not in repr(found)
    assert guard().caller(scope()).credentials is None
    empty = [("X-ExGate-Key", ""), ("X-ExGate-Secret", ""), ("X-ExGate-Passphrase", "")]
    for count in range(4):
        assert guard().caller(scope(*empty[:count])).credentials is None
    found = guard().caller(scope(("X-ExGate-Key", "k"), ("X-ExGate-Secret", "s"), ("X-ExGate-Passphrase", "")))
    assert found.credentials is not None and found.credentials.passphrase is None
    for headers in (
        [("X-ExGate-Key", "k")],
        [("X-ExGate-Secret", "s")],
        [("X-ExGate-Passphrase", "p")],
        [("X-ExGate-Key", "k"), ("X-ExGate-Secret", "")],
        [("X-ExGate-Key", "k"), ("X-ExGate-Key", "k"), ("X-ExGate-Secret", "s")],
        [("X-ExGate-Key", "\xe9"), ("X-ExGate-Secret", "s")],
    ):
        with pytest.raises(InvalidArgument):
            guard().caller(scope(*headers))


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_off_loopback_nothing_goes_without_the_token(kind: str) -> None:
    judge = guard(host="0.0.0.0", tls="at-proxy")
    for path in ("/v1/x/depth", "/healthz", "/openapi.json"):
        with pytest.raises(Unauthenticated):
            judge.check(scope(("host", "gate.example"), kind=kind, path=path))
        judge.check(scope(("host", "gate.example"), ("authorization", "Bearer reads"), kind=kind, path=path))


@pytest.mark.parametrize(
    ("server", "local"),
    [
        ({}, True), ({"host": "localhost"}, True), ({"host": "::1"}, True), ({"host": "[::1]"}, True),
        ({"host": "127.9.9.9"}, True), ({"host": "0.0.0.0", "uds": "/x"}, True), ({"host": "0.0.0.0"}, False),
        ({"host": "::"}, False), ({"host": ""}, False), ({"host": "192.168.1.1"}, False), ({"host": "gate.lan"}, False),
        ({"host": "localhost.evil.com"}, False),
    ],
)  # fmt: skip
def test_an_open_door_needs_tls(server: dict[str, Any], local: bool) -> None:
    assert is_local(Server(**server)) is local
    if local:
        check_bind(Server(**server))
    else:
        with pytest.raises(FailedPrecondition, match=r"server\.tls is not set"):
            check_bind(Server(**server))
    check_bind(Server(**server, tls="at-proxy"))


@pytest.mark.parametrize("tls", ["yes", "cert.pem", "missing.pem:missing.key", ":", "at-proxy "])
def test_tls_must_name_files_that_are_there(tls: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"server\.tls"):
        check_bind(Server(tls=tls))


def test_the_gateways_own_tls_needs_both_files_and_a_proxys_none() -> None:
    assert tls_files(Server()) is None
    assert tls_files(Server(tls="at-proxy")) is None
    assert tls_files(Server(tls="cert.pem:key.pem")) == ("cert.pem", "key.pem")


def test_off_loopback_a_missing_token_and_a_wrong_one_are_told_apart() -> None:
    judge = guard(host="0.0.0.0", tls="at-proxy")
    for headers, word in (((), "everything here needs"), ((("authorization", "Bearer x"),), "not the right one")):
        with pytest.raises(Unauthenticated, match=word):
            judge.check(scope(("host", "gate.example"), *headers))


def test_the_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    state = tmp_path / "not" / "there" / "yet"
    made = load_tokens(state)
    file = state / TOKEN_FILE
    token = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert len(token) == 43, "256 bits"
    assert load_tokens(state).digests == made.digests
    assert token not in repr(made)
    assert guard(made).caller(scope(("authorization", f"Bearer {token}"))).grant == OWNER


def test_a_state_folder_that_can_not_be_used_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FailedPrecondition, match=r"file.*server\.state_dir") as caught:
        load_tokens(tmp_path / "file" / "state")
    assert caught.value.reason == "STATE_DIR"


def test_a_token_may_have_twenty_characters_and_no_fewer(tmp_path: Path) -> None:
    file = tmp_path / TOKEN_FILE
    for length in (20, 19):
        file.write_text("x" * length)
        file.chmod(0o600)
        if length == 20:
            assert load_tokens(tmp_path).digests == {hashlib.sha256(b"x" * 20).digest(): OWNER}
        else:
            with pytest.raises(FailedPrecondition, match="at least 20 characters"):
                load_tokens(tmp_path)


@pytest.mark.parametrize(("text", "mode"), [("x" * 40, 0o644), ("x" * 40, 0o640), ("", 0o600), ("short", 0o600)])
def test_a_token_that_others_read_or_guess_stops_the_start(tmp_path: Path, text: str, mode: int) -> None:
    file = tmp_path / TOKEN_FILE
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(FailedPrecondition, match=r"others can read|holds no token"):
        load_tokens(tmp_path)
