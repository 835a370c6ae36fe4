"""The command line: what it asks, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from exgate_core.cli import main

from .support.running import ROOT, FakeGateway, Running, clean_environment, fake_gateway, free_port, serving

DEPTH = {
    "lastUpdateId": 7,
    "timeStamp": 1,
    "bid_list": [{"bid": [{"price": "64999.90", "amount": "0.50000000"}, {"price": "64999.8", "amount": "12"}]}],
    "ask_list": [{"bid": [{"price": "65000.10", "amount": "1"}]}],
}
ORDER = ("order", "paper", "BTC/USDT", "buy", "limit", "--price", "100", "--amount", "0.10")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's own settings, no token, no gateway on the default port."""
    for name in [name for name in os.environ if name.startswith(("EXGATE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with fake_gateway() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("state")) as running:
        yield running


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def answer(*arguments: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """The JSON that a verb prints."""
    code, out, err = run("--json", *arguments, capsys=capsys)
    assert code == 0, err
    return json.loads(out)


# What is asked and printed


def test_a_book_is_a_table_with_age_and_source(fake: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer(200, DEPTH, {"ExGate-Symbol": "BTC/USDT", "ExGate-Source": "local", "ExGate-Age": "0.120"})
    code, out, _ = run(
        "depth", "x", "btcusdt", "--limit", "5", "--local", "--tolerate", "0.5", "--url", fake.url, capsys=capsys
    )
    assert code == 0
    assert out.splitlines() == [
        "bid amount       bid       ask  ask amount",
        "0.50000000  64999.90  65000.10           1",
        "        12   64999.8",
        "BTC/USDT, from local, 0.120 s old",
    ]
    assert fake.asked[0].path == "/v1/x/depth?symbol=btcusdt&limit=5&isLocal=true&tolerate_interval=0.5"


def test_json_is_the_gateways_answer_byte_for_byte(fake: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer(200, b'{"bid_list": [],\n  "lastUpdateId": 100050000000000000001}')
    assert run("--url", fake.url, "depth", "x", "B/U", "--json", capsys=capsys)[1] == fake.body.decode() + "\n"


def test_an_order_is_sent_with_a_key_and_its_digits(fake: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer(200, {"order_id": "77"}, {"ExGate-Outcome": "placed", "ExGate-Client-Order-Id": "abc"})
    code, out, _ = run(*ORDER, "--option", "post_only=true", "--key", "k1", "--url", fake.url, capsys=capsys)
    assert (code, out.split()) == (0, ["order_id", "77", "client_order_id", "abc", "key", "k1"])
    (asked,) = fake.asked
    assert (asked.method, asked.headers["Idempotency-Key"]) == ("POST", "k1")
    assert asked.body == {
        "symbol": "BTC/USDT",
        "side": "buy",
        "type": "limit",
        "price": "100",
        "amount": "0.10",
        "options": {"post_only": "true"},
    }


def test_each_order_has_a_key_of_its_own(fake: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer(200, {"order_id": "77"})
    for _ in range(2):
        run(*ORDER, "--url", fake.url, capsys=capsys)
    first, second = (asked.headers["Idempotency-Key"] for asked in fake.asked)
    assert first and first != second


@pytest.fixture
def state(home: Path) -> Path:
    """A state folder with a token."""
    (home / "state").mkdir()
    (home / "state" / "token").write_text("t0ken\n")
    return home / "state"


@pytest.mark.parametrize(
    ("server", "url", "sent"),
    [
        ("port=PORT", "http://127.0.0.1:PORT", True),
        ("port=PORT", "http://localhost:PORT/", True),
        ("port=PORT", "", True),
        ("port=1", "http://127.0.0.1:PORT", False),
        ("port=0", "http://127.0.0.1:PORT", False),
        ("port=PORT", "http://127.0.0.1:PORT/other", False),
        ("host=127.0.0.2", "http://127.0.0.1:PORT", False),
    ],
)
def test_the_token_of_a_state_folder_goes_to_the_gateway_of_these_settings_only(
    server: str, url: str, sent: bool, fake: FakeGateway, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = fake.url.rpartition(":")[2]
    own = ("-s", f"server.state_dir={state}", "-s", f"server.{server.replace('PORT', port)}")
    fake.fail(401, 16, "UNAUTHENTICATED")
    code, _, err = run("balances", "x", "--url", url.replace("PORT", port), *own, capsys=capsys)
    assert (code, fake.asked[0].headers.get("Authorization")) == (7, "Bearer t0ken" if sent else None)
    assert "t0ken" not in err
    assert (f"sent the token in {state / 'token'}" if sent else "sent no token: EXGATE_TOKEN isn't set") in err


def test_a_token_that_was_given_goes_where_it_was_told_to(
    fake: FakeGateway, state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXGATE_TOKEN", "g1ven")
    fake.fail(403, 7, "TOKEN_SCOPE")
    code, _, err = run("balances", "x", "--url", fake.url, "-s", f"server.state_dir={state}", capsys=capsys)
    assert (code, fake.asked[0].headers["Authorization"]) == (7, "Bearer g1ven")
    assert "sent the token in EXGATE_TOKEN" in err and "g1ven" not in err


# How it ends


@pytest.mark.parametrize(
    ("status", "code", "reason", "ends_with"),
    [
        (400, 3, "INVALID_ARGUMENT", 3),
        (400, 9, "EXCHANGE_REFUSED", 3),
        (409, 6, "ALREADY_EXISTS", 3),
        (501, 12, "UNIMPLEMENTED", 3),
        (404, 5, "NOT_FOUND", 4),
        (429, 8, "RATE_LIMITED", 5),
        (503, 14, "EXCHANGE_UNAVAILABLE", 5),
        (504, 4, "DEADLINE_EXCEEDED", 5),
        (403, 7, "PERMISSION_DENIED", 7),
        (500, 13, "INTERNAL", 1),
    ],
)
def test_exit_codes_of_reads(
    fake: FakeGateway, capsys: pytest.CaptureFixture[str], status: int, code: int, reason: str, ends_with: int
) -> None:
    fake.fail(status, code, reason)
    ended, out, err = run("depth", "x", "B/U", "--url", fake.url, capsys=capsys)
    assert (ended, out, err) == (ends_with, "", f"exgate: {reason}: no.\n")


@pytest.mark.parametrize(
    ("status", "code", "reason", "outcome", "ends_with"),
    [
        (400, 3, "INVALID_ARGUMENT", "refused", 3),
        (429, 8, "RATE_LIMITED", "not-sent", 5),
        (503, 14, "NOT_SENT", "not-sent", 5),
        (504, 4, "ORDER_OUTCOME_UNKNOWN", "unknown", 6),
        (503, 14, "NOT_SENT", "", 6),
        (400, 3, "INVALID_ARGUMENT", "", 6),
        (500, 13, "INTERNAL", "", 6),
    ],
)
def test_exit_codes_of_orders(
    fake: FakeGateway,
    capsys: pytest.CaptureFixture[str],
    status: int,
    code: int,
    reason: str,
    outcome: str,
    ends_with: int,
) -> None:
    fake.fail(status, code, reason, outcome)
    ended, _, err = run(*ORDER, "--key", "k9", "--url", fake.url, capsys=capsys)
    assert ended == ends_with
    assert reason in err
    assert ("--key k9" in err) == (ends_with == 6)


def test_a_proxys_503_is_an_unknown_outcome(fake: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer(503, b"<html>Service Unavailable</html>")
    assert run(*ORDER, "--url", fake.url, capsys=capsys)[0] == 6
    assert run("cancel", "x", "1", "--url", fake.url, capsys=capsys)[0] == 6
    assert run("balances", "x", "--url", fake.url, capsys=capsys)[0] == 5


def test_a_lost_answer_is_unknown_for_orders_only(fake: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    fake.cut = True
    code, _, err = run(*ORDER, "--key", "k2", "--url", fake.url, capsys=capsys)
    assert (code, "It may have been sent." in err, "--key k2" in err) == (6, True, True)
    assert len(fake.asked) == 1
    assert run("depth", "x", "B/U", "--url", fake.url, capsys=capsys)[0] == 5


def test_nobody_there_is_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for arguments in (ORDER, ("cancel", "x", "1"), ("balances", "x"), ("depth", "x", "B/U")):
        code, _, err = run(*arguments, "--url", url, capsys=capsys)
        assert code == 5
        assert url in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "No such command"),
        (("depth", "x"), "SYMBOL"),
        (("order", "x", "B/U", "hold", "limit"), "hold"),
        ((*ORDER, "--option", "post_only"), "KEY=VALUE"),
        (("depth", "x", "B/U", "--url", "localhost:8000"), "http://"),
        (("depth", "x", "B/U", "--url", "http://localhost:8ooo"), "http://"),
        (("check", "-s", "server.prot=1"), "did you mean port?"),
        (("check", "--config", "missing.toml"), "missing.toml"),
        (("journal", "resolve", "1"), "--never-placed"),
    ],
)
def test_usage_errors_say_what_to_do(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert said in err


def test_settings_errors_name_file_key_and_the_nearest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / "mine.toml"
    file.write_text('[exchanges.a]\nexchange = "paper"\ntradnig = true\n')
    code, _, err = run("check", "--config", str(file), capsys=capsys)
    assert code == 2
    assert str(file) in err and "exchanges.a.tradnig" in err and "trading" in err
    file.write_text('[exchanges.a]\nexchange = "paper"\nrates = 1\n')
    code, out, _ = run("check", "--config", str(file), capsys=capsys)
    assert code == 2
    assert str(file) in out and "exchanges.a.rates" in out and "did you mean rate?" in out


# Against a gateway


def test_an_order_from_placing_to_cancelling(gateway: Running, capsys: pytest.CaptureFixture[str]) -> None:
    url = ("--url", gateway.url)
    placed = answer(*ORDER, *url, capsys=capsys)["order_id"]
    listed = answer("orders", "paper", "BTC/USDT", *url, capsys=capsys)["orders"]
    assert [(row["price"], row["amount"]) for row in listed if row["order_id"] == placed]
    assert answer("cancel", "paper", placed, "--symbol", "BTC/USDT", *url, capsys=capsys) == {"status": "canceled"}
    found = answer("orders", "paper", "--order-id", placed, *url, capsys=capsys)
    assert (found["order_id"], found["status"]) == (placed, "canceled")


def test_the_same_key_gives_the_same_order(gateway: Running, capsys: pytest.CaptureFixture[str]) -> None:
    ids = {answer(*ORDER, "--key", "once", "--url", gateway.url, capsys=capsys)["order_id"] for _ in range(2)}
    assert len(ids) == 1


def test_tables_of_the_reading_verbs(gateway: Running, capsys: pytest.CaptureFixture[str]) -> None:
    url = ("--url", gateway.url)
    for arguments, heading in (
        (("exchanges",), "name"),
        (("markets", "paper"), "symbol"),
        (("depth", "paper", "BTC/USDT"), "bid amount"),
        (("trades", "paper", "BTC/USDT"), "time"),
        (("balances", "paper"), "asset"),
    ):
        code, out, err = run(*arguments, *url, capsys=capsys)
        assert code == 0, err
        assert out.startswith(heading)
        assert len(out.splitlines()) > 1


def test_an_unknown_symbol_is_refused_and_names_the_nearest(
    gateway: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run("depth", "paper", "BTC/USDD", "--url", gateway.url, capsys=capsys)
    assert code == 3
    assert "BTC/USDT" in err
    assert run("depth", "nosuch", "BTC/USDT", "--url", gateway.url, capsys=capsys)[0] == 4


def test_following_prints_trades_until_interrupted(gateway: Running, home: Path) -> None:
    command = [sys.executable, "-m", "exgate_core", "trades", "paper", "BTC/USDT", "--follow", "--json"]
    lines = _first_lines([*command, "--url", gateway.url], home, 3)
    assert all("trades" in frame or "status" in frame for frame in map(json.loads, lines))


def test_following_ends_when_nobody_reads(gateway: Running, home: Path) -> None:
    command = [sys.executable, "-m", "exgate_core", "trades", "paper", "BTC/USDT", "--follow", "--url", gateway.url]
    env, errors = clean_environment(home), home / "errors"
    with errors.open("w") as stderr:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.wait(20) == 141
    assert "Broken pipe" not in errors.read_text()


def test_following_says_why_it_was_refused(gateway: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("trades", "paper", "BTC/USDD", "--follow", "--url", gateway.url, capsys=capsys)
    assert code == 3
    assert "BTC/USDT" in err


def test_watching_shows_the_book_again_and_again(gateway: Running, home: Path) -> None:
    command = [sys.executable, "-m", "exgate_core", "depth", "paper", "BTC/USDT", "--watch", "--interval", "0.05"]
    assert len(_first_lines([*command, "--json", "--url", gateway.url], home, 3)) == 3


def test_public_verbs_work_without_a_gateway(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = ("-s", f"server.port={free_port()}", "-s", f"server.state_dir={home / 'state'}")
    assert answer("depth", "paper", "BTC/USDT", *nobody, capsys=capsys)["bid_list"]
    assert answer("markets", "paper", *nobody, capsys=capsys)["markets"]
    assert answer("exchanges", *nobody, capsys=capsys)
    assert run("balances", "paper", *nobody, capsys=capsys)[0] == 5
    assert not list(home.rglob("orders.db"))


def test_following_works_without_a_gateway(home: Path) -> None:
    command = [sys.executable, "-m", "exgate_core", "trades", "paper", "BTC/USDT", "--follow", "--json"]
    assert _first_lines([*command, "-s", f"server.port={free_port()}"], home, 2)


def test_the_address_and_the_settings_file_are_printed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[local]\nidle_stop = 1\n")
    with serving(tmp_path, "--config", str(file)) as running:
        (line,) = running.lines
        assert running.url in line and str(file) in line


def test_a_unix_socket_is_asked_where_the_settings_name_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "exgate.toml"
    file.write_text(f'[server]\nuds = "{tmp_path / "s"}"\n')
    with serving(tmp_path, "--config", str(file)):
        assert answer("balances", "paper", "--config", str(file), capsys=capsys)["balances"]
        following = (sys.executable, "-m", "exgate_core", "trades", "paper", "BTC/USDT", "--follow", "--json")
        assert _first_lines([*following, "--config", str(file)], tmp_path, 2)


def test_a_gateways_own_certificate_is_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem")
    subprocess.run([*make, *names], cwd=tmp_path, check=True, capture_output=True)
    tls = ("-s", f"server.tls={tmp_path / 'cert.pem'}:{tmp_path / 'key.pem'}")
    with serving(tmp_path, *tls) as running:
        assert running.url.startswith("https://")
        port = ("-s", f"server.port={urlsplit(running.url).port}", "-s", f"server.state_dir={tmp_path}")
        assert answer("balances", "paper", *port, *tls, capsys=capsys)["balances"]
        assert run("balances", "paper", "--url", running.url, capsys=capsys)[0] == 5


def test_a_logged_event_is_one_line_whatever_text_it_holds() -> None:
    code = (
        "import logging; from exgate_core.logs import log_to_stderr; log_to_stderr(); "
        "logging.getLogger('x').info('a\\nb \\x1b[2J %s', 'c\\r\\u2028d')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean_environment(ROOT), capture_output=True, text=True)
    assert done.stderr.endswith(" INFO x: a\\x0ab \\x1b[2J c\\x0d\\x2028d\n")
    assert len(done.stderr.splitlines()) == 1


def test_plugins_are_listed_with_what_they_serve(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["package"]: row for row in answer("plugins", capsys=capsys)}
    assert "depth" in rows["exgate-paper"]["serves"]["paper"]
    assert rows["exgate-paper"]["refused"] == ""


def test_a_broken_plugin_is_shown_with_the_reason(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "extra").mkdir()
    (home / "extra" / "broken.py").write_text("EXGATE_API = 1\nraise RuntimeError('oh no')\n")
    code, out, _ = run("plugins", "--plugins-dir", str(home / "extra"), capsys=capsys)
    assert code == 0
    assert "broken" in out and "oh no" in out
    assert run("check", "--plugins-dir", str(home / "extra"), capsys=capsys)[0] == 2


def test_check_finds_a_section_that_nobody_serves(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", capsys=capsys)[0] == 0
    code, out, _ = run("check", "-s", "exchanges.a.exchange=nosuch", capsys=capsys)
    assert code == 2
    assert out.startswith("exchanges.a: ") and "nosuch" in out
    code, out, _ = run("check", "-s", "server.tls=no.pem:no.key", capsys=capsys)
    assert (code, "'no.pem' is not there" in out) == (2, True)


def test_a_secret_in_the_settings_is_warned_of_at_the_start_and_by_check_only(
    home: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    keys = ("-s", "exchanges.paper.api_key=abcdefgh", "-s", "exchanges.paper.api_secret=ijklmnop")
    assert run("journal", "list", *keys, capsys=capsys)[0] == 0
    assert caplog.text == ""
    run("check", *keys, capsys=capsys)
    assert caplog.text.count("a secret in plain text") == 2


def test_the_openapi_document_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "/v1/{exchange}/depth" in answer("openapi", capsys=capsys)["paths"]


def test_a_crash_leaves_a_row_that_can_be_settled_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = ("-s", f"server.state_dir={tmp_path}")
    with serving(tmp_path, environment={"EXGATE_CRASH_AT": "exchange.place"}) as running:
        assert run(*ORDER, "--url", running.url, capsys=capsys)[0] == 6
        assert running.process.wait(10) == -signal.SIGKILL
    (row,) = answer("journal", "list", *state, capsys=capsys)
    assert row["state"] == "SENT"
    number = str(row["id"])
    assert answer("journal", "show", number, *state, capsys=capsys)["symbol"] == "BTC/USDT"
    assert answer("journal", "resolve", number, "--never-placed", *state, capsys=capsys)["state"] == "REFUSED"
    assert answer("journal", "list", *state, capsys=capsys) == []
    assert run("journal", "show", "99", *state, capsys=capsys)[0] == 4
    with serving(tmp_path):
        code, _, err = run("journal", "resolve", number, "--never-placed", *state, capsys=capsys)
        assert (code, "stop it, resolve" in err) == (3, True)
    (tmp_path / "orders.db").write_bytes(b"no journal at all, but a text of some length" * 100)
    code, _, err = run("journal", "list", *state, capsys=capsys)
    assert (code, "JOURNAL_UNREADABLE" in err, "orders.db" in err) == (3, True, True)


def test_a_damaged_row_is_listed_and_a_damaged_file_stops_the_start_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, path = ("-s", f"server.state_dir={tmp_path}"), tmp_path / "orders.db"
    with serving(tmp_path) as running:
        assert run(*ORDER, "--url", running.url, capsys=capsys)[0] == 0
    assert answer("journal", "list", *state, capsys=capsys) == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE orders SET order_id = '99'")
        connection.commit()
    (row,) = answer("journal", "list", *state, capsys=capsys)
    assert (row["id"], row["state"], row["symbol"]) == (1, "DAMAGED", "BTC/USDT")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    code, _, err = run("journal", "list", *state, capsys=capsys)
    assert (code, "JOURNAL_VERSION" in err, "start of the gateway" in err) == (3, True, True)
    path.write_bytes(path.read_bytes()[:5_000])
    code, _, err = run("serve", "--port", "0", *state, capsys=capsys)
    assert (code, "JOURNAL_DAMAGED" in err, "runbook.md" in err, str(path) in err) == (5, True, True, True)


def test_help_loads_neither_server_nor_clients(home: Path) -> None:
    code = (
        "import sys; from exgate_core.cli import main; main(['--help']); "
        "heavy = {'hypercorn', 'starlette', 'aiohttp', 'picows', 'sqlite3', 'ssl', 'asyncio'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean_environment(home), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _first_lines(command: list[str], home: Path, count: int) -> list[str]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment(home), cwd=home) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(count)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    return lines
