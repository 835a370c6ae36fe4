"""What ``exgate check`` finds, in which words, and that ``serve`` logs the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from exgate_core.cli import main

from .support.odd_plugins import VAULT
from .support.running import serving

SECTION = """
[exchanges.m]
exchange = "paper"
trading = true
api_key = { env = "EXGATE_TEST_NOPE" }
api_secret = { file = "/nowhere/secret" }
"""
FOUND = [
    "exchanges.m.api_key: environment variable EXGATE_TEST_NOPE is empty or not set; set it for the process that runs "
    "exgate",
    "exchanges.m.api_secret: the file /nowhere/secret can't be read: No such file or directory; make it, or name "
    "another",
]


def check(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit code and the problems."""
    code = main(["--json", "check", *arguments])
    problems: list[str] = json.loads(capsys.readouterr().out)["problems"]
    return code, problems


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("EXGATE_CONFIG", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_secrets_that_dont_resolve_are_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "exgate.toml").write_text(SECTION)
    code, problems = check(capsys=capsys)
    assert (code, [line.removeprefix(f"{Path('exgate.toml')}: ") for line in problems]) == (2, FOUND)
    (folder / "secret").write_text("text\n")
    failing = f"exchanges.m.passphrase={{ command = [{json.dumps(sys.executable)}, '-c', 'raise SystemExit(3)'] }}"
    own = (
        "-s",
        f"exchanges.m.api_secret={{ file = '{folder}/secret' }}",
        "-s",
        "exchanges.m.api_key=text",
        "-s",
        failing,
    )
    code, (line,) = check(*own, capsys=capsys)
    assert code == 2 and line.startswith("-s exchanges.m.passphrase") and line.endswith("ended with exit code 3")


@pytest.mark.parametrize("state", ["/proc/nope/deeper", "file/below"])
def test_a_state_folder_that_cant_be_written_is_found(
    state: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").write_text("no folder")
    code, (line,) = check("-s", f"server.state_dir={state}", capsys=capsys)
    assert code == 2 and line.startswith("server.state_dir: ") and "name another" in line


def test_a_check_leaves_nothing_behind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("-s", f"server.state_dir={folder}/not/yet", capsys=capsys) == (0, [])
    assert list(folder.iterdir()) == []


def test_tokens_that_let_nobody_in_are_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "token").write_text("short")
    (folder / "token").chmod(0o600)
    (folder / "tokens.json").write_text('[{"name": "bot", "digest": "xyz"}]')
    (folder / "tokens.json").chmod(0o600)
    code, problems = check("-s", f"server.state_dir={folder}", capsys=capsys)
    assert code == 2 and len(problems) == 2
    assert "at least 20 characters" in problems[0] and "entry 1 ('bot'): digest" in problems[1]


def test_plugins_that_must_be_named_and_orders_that_cant_be_recovered_are_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        text = VAULT.replace('order_recovery="full"', 'order_recovery="none"')
        (folder / f"{name}.py").write_text(text)
    plugins = ("--plugins-dir", str(folder))
    code, problems = check(*plugins, capsys=capsys)
    assert (code, len(problems)) == (2, 1)
    assert problems[0].startswith("exchanges.vault: ") and 'plugin = "one.py" or plugin = "two.py"' in problems[0]
    section = ("-s", "exchanges.v.exchange=vault", "-s", "exchanges.v.api_key=a", "-s", "exchanges.v.api_secret=b")
    code, problems = check(*plugins, *section, capsys=capsys)
    assert (code, sorted(line.partition(":")[0] for line in problems)) == (2, ["exchanges.v", "exchanges.vault"])
    named = ("-s", "exchanges.v.plugin=one.py", "-s", "exchanges.v.trading=true", "-s", "exchanges.vault.plugin=one.py")
    code, (line,) = check(*plugins, *section, *named, capsys=capsys)
    assert line.startswith("exchanges.v: trading = true") and "accept_unrecoverable = true" in line


def test_serve_logs_what_check_finds(folder: Path) -> None:
    (folder / "exgate.toml").write_text(SECTION)
    (folder / "broken.py").write_text("EXGATE_API = 1\nraise RuntimeError('oh no')\n")
    with (folder / "log").open("w") as log, serving(folder, "--plugins-dir", str(folder), errors=log.fileno()):
        pass
    text = (folder / "log").read_text()
    for line in (*FOUND, "plugin broken.py: RuntimeError: oh no"):
        assert line in text
