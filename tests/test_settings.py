from __future__ import annotations

import logging
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgate_core import settings
from exgate_core.settings import Credentials, Secret, SettingsError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "exgate.toml"
    path.write_text(text)
    return path


def refusal(path: Path | None, *overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load(path, overrides)
    return str(caught.value)


def test_without_a_file_everything_has_its_default() -> None:
    loaded = settings.load(None, [])
    assert (loaded.server.host, loaded.server.port, loaded.local.tolerate_interval) == ("127.0.0.1", 8000, 5.0)
    assert loaded.server.watchdog == 30.0
    assert loaded.plugins.load == "all"
    assert loaded.exchanges == {} and loaded.path is None


def test_a_file_with_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path,
        """
        [server]
        port = 9000
        allowed_hosts = ["gate.lan"]
        [local]
        tolerate_interval = 2
        [plugins]
        load = ["exgate-binance"]
        [exchanges.main]
        exchange = "binance"
        plugin = "exgate-binance"
        api_key = { env = "EXGATE_TEST_KEY" }
        api_secret = { env = "EXGATE_TEST_SECRET" }
        trading = true
        pull = ["BTC/USDT"]
        upstream_prefix = "http://127.0.0.1:9443"
        settle = 1.5
        own = { deep = 1 }
        [exchanges.kraken]
        """,
    )
    monkeypatch.setenv("EXGATE_TEST_KEY", "k")
    monkeypatch.setenv("EXGATE_TEST_SECRET", "s")
    loaded = settings.load(path, [])
    main = loaded.exchanges["main"]
    assert loaded.server.port == 9000 and loaded.server.allowed_hosts == ("gate.lan",)
    assert loaded.local.tolerate_interval == 2.0
    assert loaded.plugins.load == ("exgate-binance",)
    assert loaded.exchanges["kraken"].exchange == "kraken"
    assert (main.exchange, main.pull, main.settle) == ("binance", ("BTC/USDT",), 1.5)
    assert main.upstream_prefix == "http://127.0.0.1:9443/"
    assert main.extra == {"own": {"deep": 1}}
    assert main.credentials is not None and main.credentials.api_secret.reveal() == "s"
    assert loaded.path == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1", "server.prot: unknown key; did you mean port?"),
        ("[sever]\nport = 1", "sever: unknown key; did you mean server?"),
        ("[server]\nqqqq = 1", "server.qqqq: unknown key; known here: allowed_hosts, "),
        ("[server]\nport = '1'", "server.port: expected int, got str"),
        ("[server]\nport = 65536", "server.port: expected int <= 65535"),
        ("[server]\nallowed_hosts = ['a', 1]", "server.allowed_hosts[1]: expected str, got int"),
        ("[server]\ndeadline = nan", "server.deadline: "),
        ("[server]\ndeadline = inf", "server.deadline: "),
        (
            "[server]\ncaller_keys = 'all'",
            'server.caller_keys: invalid enum value \'all\'; it may be "off", "read" or "trade"',
        ),
        ("[plugins]\nload = 'none'", "plugins.load: invalid enum value 'none'; it may be \"all\" or a list"),
        (
            "[exchanges.a]\nproxy = 'socks5://127.0.0.1:1080'",
            "exchanges.a.proxy: expected the address of an HTTP proxy",
        ),
        ("[exchanges.a]\nproxy = '127.0.0.1:3128'", "exchanges.a.proxy: expected the address of an HTTP proxy"),
        ("[server]\nroot_path = 'api'", 'server.root_path: expected a path like "/api"'),
        ("[server]\ntls = 'cert.pem'", "server.tls: expected"),
        ("[server]\nhost = '0.0.0.0'", "server.host: 0.0.0.0 can be reached from other machines and needs TLS"),
        ("server = 1", "server: expected a table, got int"),
        ("[plugins]\nload = 'some'", "plugins.load: "),
        ("[exchanges]\nmain = 1", "exchanges.main: expected a table, got int"),
        ("[server]\nwatchdog = 0.5", "server.watchdog: expected 0, which turns it off, or at least 1 second"),
        ("[exchanges.BTC]", "exchanges.BTC: a name is made of"),
        ("[exchanges.a]\nexchange = '../x'", "exchanges.a.exchange: a name is made of"),
        ("[exchanges.a]\ntrading = 'yes'", "exchanges.a.trading: expected bool, got str"),
        ("[exchanges.a]\napi_key = { env = 'A' }", "exchanges.a: api_key and api_secret are needed together"),
        ("[exchanges.a]\napi_key = { envs = 'A' }", "exchanges.a.api_key: expected one of { env"),
        ("[exchanges.a]\napi_key = { env = 'A', file = 'b' }", "exchanges.a.api_key: expected one of"),
        ("[exchanges.a]\napi_key = { env = 1 }", "exchanges.a.api_key: env: expected a text"),
        ("[exchanges.a]\napi_key = { command = 'pass x' }", "exchanges.a.api_key: command: expected a list of texts"),
        ("[exchanges.a]\npassphrase = 'x'", "exchanges.a.passphrase: a passphrase needs api_key"),
        (
            "[exchanges.a]\naccount = 'paper'\napi_key = 'x'\napi_secret = 'y'",
            "exchanges.a: a paper account takes no keys",
        ),
        ("[exchanges.a]\nupstream_prefix = '127.0.0.1:1'", "exchanges.a.upstream_prefix: expected an address"),
        (
            "[exchanges.a]\nupstream_prefix = 'http://10.0.0.1/'\napi_key = 'x'\napi_secret = 'y'",
            "exchanges.a.upstream_prefix: credentials would cross the network in plain text",
        ),
    ],
)
def test_a_mistake_is_named_with_file_key_and_nearest_name(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    assert refusal(path).startswith(f"{path}: {said}")


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = 1\nport = 2\n")
    assert refusal(path).startswith(f"{path}: ") and "line 3" in refusal(path)
    path.write_bytes(b"# \xff")
    assert refusal(path) == f"{path}: not UTF-8 text"


@pytest.mark.parametrize(
    "prefix", ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "https://10.0.0.1/"]
)
def test_a_prefix_that_shows_no_credentials_is_taken(tmp_path: Path, prefix: str) -> None:
    path = write(tmp_path, f"[exchanges.a]\nupstream_prefix = '{prefix}'\napi_key = 'x'\napi_secret = 'y'")
    section = settings.load(path, []).exchanges["a"]
    assert section.upstream_prefix == prefix and not section.exposed_prefix


def test_a_plain_prefix_without_credentials_is_taken_and_known_as_exposed(tmp_path: Path) -> None:
    path = write(tmp_path, "[exchanges.a]\nupstream_prefix = 'http://recorder.lan/'")
    assert settings.load(path, []).exchanges["a"].exposed_prefix


def test_overrides_are_toml_or_plain_text(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = 1\n[exchanges.a]\nexchange = 'x'")
    loaded = settings.load(
        path,
        [
            "server.port=9000",
            "server.host=::1",
            'server.allowed_hosts=["a", "b"]',
            "plugins.load=[]",
            "exchanges.a.exchange=binance",
            "exchanges.b.trading=true",
            "exchanges.a.own.deep=1",
        ],
    )
    assert (loaded.server.port, loaded.server.host, loaded.server.allowed_hosts) == (9000, "::1", ("a", "b"))
    assert loaded.plugins.load == ()
    assert loaded.exchanges["a"].exchange == "binance" and loaded.exchanges["b"].trading
    assert loaded.exchanges["a"].extra == {"own": {"deep": 1}}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("server.prot=1", "-s server.prot: server.prot: unknown key; did you mean port?"),
        ("server.port=x", "-s server.port: server.port: expected int, got str"),
        ("server.port.x=1", "-s server.port.x: server.port is no table"),
        ("server.port", "-s server.port: expected KEY=VALUE"),
        ("=1", "-s : expected KEY=VALUE"),
        ("server.port=1\nhost='0.0.0.0'", "-s server.port: expected KEY=VALUE"),
        ("a b=1", "-s a: expected KEY=VALUE"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override: str, said: str) -> None:
    assert refusal(write(tmp_path, "[server]\nport = 1"), override).startswith(said)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_override_is_taken_or_refused_with_a_reason(key: str, value: str) -> None:
    try:
        settings.load(None, [f"{key}={value}"])
    except SettingsError as error:
        assert str(error)


def test_a_secret_never_shows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "[exchanges.a]\napi_key = 'CANARY1'\napi_secret = 'CANARY2'")
    with caplog.at_level(logging.DEBUG):
        loaded = settings.load(path, ["exchanges.a.passphrase=CANARY3"])
    section = loaded.exchanges["a"]
    assert section.passphrase is not None and section.passphrase.reveal() == "CANARY3"
    shown = f"{loaded!r} {section.credentials!s} {section.api_key} {section.api_key!r:>9} {caplog.text}"
    assert "CANARY" not in shown and "***" in shown
    assert f"{path}: exchanges.a.api_key: a secret in plain text" in caplog.text
    assert "-s exchanges.a.passphrase" in caplog.text
    with pytest.raises(TypeError):
        msgspec.json.encode(section)
    assert "CANARY" not in refusal(None, "exchanges.a.api_key=CANARY", "exchanges.a.api_secret={ x = 'CANARY' }")
    assert "CANARY" not in refusal(None, "exchanges.a.api_key CANARY")


def test_secrets_are_fetched_when_first_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, log = tmp_path / "key", tmp_path / "log"
    program = f"open({str(log)!r}, 'a').write('ran '); print('from command')"
    path = write(
        tmp_path,
        f"[exchanges.a]\napi_key = {{ file = '{key}' }}\n"
        f"api_secret = {{ command = ['{sys.executable}', '-c', \"{program}\"] }}\n"
        "passphrase = { env = 'EXGATE_TEST_PASS' }",
    )
    section = settings.load(path, []).exchanges["a"]
    key.write_text("from file\n")
    monkeypatch.setenv("EXGATE_TEST_PASS", "from env")
    assert not log.exists()
    secrets = (section.api_key, section.api_secret, section.passphrase)
    assert [secret and secret.reveal() for secret in secrets * 2] == ["from file", "from command", "from env"] * 2
    assert log.read_text() == "ran "


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("{ env = 'EXGATE_TEST_ABSENT' }", "environment variable EXGATE_TEST_ABSENT is empty or not set"),
        ("{ file = '/nowhere/key' }", "the file /nowhere/key can't be read: No such file"),
        ("{ command = ['/nowhere/program'] }", "the command '/nowhere/program' can't be run: No such file"),
        ("{ command = ['false'] }", "the command 'false' ended with exit code 1"),
        ("{ command = ['true'] }", "the command 'true' is empty"),
    ],
)
def test_a_secret_that_cannot_be_fetched_says_which(tmp_path: Path, reference: str, said: str) -> None:
    path = write(tmp_path, f"[exchanges.a]\napi_key = {reference}\napi_secret = 'x'")
    secret = settings.load(path, []).exchanges["a"].api_key
    assert secret is not None
    with pytest.raises(SettingsError) as caught:
        secret.reveal()
    assert str(caught.value).startswith(f"{path}: exchanges.a.api_key: {said}")


def test_credentials_are_told_apart_by_every_part() -> None:
    def mark(*parts: str) -> str:
        return Credentials(*map(Secret, parts)).fingerprint

    marks = {mark("a", "b"), mark("ab", ""), mark("a", "b", ""), mark("a", "b", "c"), mark("b", "a")}
    assert len(marks) == 5 and mark("a", "b") in marks


def test_the_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EXGATE_CONFIG", raising=False)
    assert settings.find_file(None) is None
    user = tmp_path / "config" / "exgate" / "exgate.toml"
    user.parent.mkdir(parents=True)
    user.touch()
    assert settings.find_file(None) == user
    here = write(tmp_path, "")
    assert settings.find_file(None) == Path("exgate.toml") and here.exists()
    named = tmp_path / "named.toml"
    monkeypatch.setenv("EXGATE_CONFIG", str(named))
    with pytest.raises(SettingsError, match=r"named.toml: there is no such file \(EXGATE_CONFIG\)"):
        settings.find_file(None)
    named.touch()
    assert settings.find_file(None) == named
    with pytest.raises(SettingsError, match=r"no.toml: there is no such file$"):
        settings.find_file(Path("no.toml"))
    assert settings.find_file(here) == here


def test_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert settings.state_dir(settings.load(None, [])) == tmp_path / "exgate"
    assert settings.state_dir(settings.load(None, ["server.state_dir=/var/x"])) == Path("/var/x")


class Inner(msgspec.Struct, frozen=True):
    number: int = 1


class PluginKeys(msgspec.Struct, frozen=True, kw_only=True):
    balances: dict[str, str] = {}
    wallet: Secret | None = None
    inner: Inner | None = None


def test_a_plugins_own_keys_become_its_struct(tmp_path: Path) -> None:
    path = write(
        tmp_path, "[exchanges.a]\nbalances = { BTC = '1' }\nwallet = 'w'\ninner = { number = 2 }\n[exchanges.b]"
    )
    loaded = settings.load(path, [])
    keys = settings.plugin_settings(loaded, "a", PluginKeys)
    assert keys is not None and keys.wallet is not None and keys.inner is not None
    assert (keys.balances, keys.wallet.reveal(), keys.inner.number) == ({"BTC": "1"}, "w", 2)
    assert settings.plugin_settings(loaded, "b", PluginKeys) == PluginKeys()
    assert settings.plugin_settings(loaded, "no-section", PluginKeys) == PluginKeys()
    assert settings.plugin_settings(loaded, "b", None) is None


@pytest.mark.parametrize(
    ("line", "struct", "said"),
    [
        ("balance = 1", PluginKeys, "exchanges.a.balance: unknown key; did you mean balances?"),
        ("tradng = true", PluginKeys, "exchanges.a.tradng: unknown key; did you mean trading?"),
        ("tradng = true", None, "exchanges.a.tradng: unknown key; did you mean trading?"),
        ("inner = { nummer = 1 }", PluginKeys, "exchanges.a.inner.nummer: unknown key; did you mean number?"),
        ("inner = { number = 'x' }", PluginKeys, "exchanges.a.inner.number: expected int, got str"),
        ("wallet = 1", PluginKeys, "exchanges.a.wallet: expected one of { env"),
    ],
)
def test_a_mistake_in_a_plugins_keys(tmp_path: Path, line: str, struct: type[PluginKeys] | None, said: str) -> None:
    path = write(tmp_path, f"[exchanges.a]\n{line}")
    with pytest.raises(SettingsError) as caught:
        settings.plugin_settings(settings.load(path, []), "a", struct)
    assert str(caught.value).startswith(f"{path}: {said}")


def test_a_misspelt_key_of_a_section_is_found_though_no_plugin_is_there(tmp_path: Path) -> None:
    path = write(tmp_path, '[exchanges.main]\nexchnge = "binance"')
    with pytest.raises(SettingsError, match=r"exchanges\.main\.exchnge: unknown key; did you mean exchange\?"):
        settings.load(path, [])


class OtherKeys(msgspec.Struct, frozen=True):
    other: str = ""


def test_the_keys_of_another_plugin_of_the_exchange_are_left_to_it(tmp_path: Path) -> None:
    loaded = settings.load(write(tmp_path, "[exchanges.a]\nother = 'x'\nbalances = { BTC = '1' }"), [])
    keys = settings.plugin_settings(loaded, "a", PluginKeys, [OtherKeys, None])
    assert keys == PluginKeys(balances={"BTC": "1"})
    assert settings.plugin_settings(loaded, "a", OtherKeys, [PluginKeys]) == OtherKeys(other="x")
    assert settings.plugin_settings(loaded, "a", None, [PluginKeys, OtherKeys]) is None
