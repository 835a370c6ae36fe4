"""What is shipped for containers and systemd: what it names exists, and what belongs together fits together."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from exgate_core import cli, settings
from exgate_core.access import check_bind

from .support.running import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
UNIT = (ROOT / "deploy" / "exgate.service").read_text(encoding="utf-8")
FILES = ("Dockerfile", "compose.yaml", ".dockerignore", "deploy/exgate.service", "deploy/exgate.toml")


def instructions(kind: str) -> list[str]:
    """The arguments of every instruction of one kind in the Dockerfile, lines joined."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [rest for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word == kind]


def started() -> list[str]:
    """The words that a container starts with."""
    words: list[str] = json.loads(instructions("ENTRYPOINT")[-1]) + json.loads(instructions("CMD")[-1])
    return words


def environment() -> dict[str, str]:
    """The variables of the image."""
    return dict(word.split("=", 1) for text in instructions("ENV") for word in shlex.split(text))


def service() -> dict[str, Any]:
    """The compose file's one service."""
    yaml = pytest.importorskip("yaml")
    parsed = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    [found] = parsed["services"].values()
    assert isinstance(found, dict)
    return found


def unit() -> configparser.SectionProxy:
    """The unit's service section."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as the documentation of the class says
    parser.read_string(UNIT)
    return parser["Service"]


def seconds(text: str) -> float:
    """A time of compose or systemd in seconds."""
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_an_address_to_download_from(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("http://127.0.0.1:8000", "")
    assert "://" not in text


# Dockerfile


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignore[0] == "*"
    for text in instructions("COPY"):
        if not text.startswith("--from"):
            for source in text.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignore, source


def test_every_plugin_is_installed() -> None:
    [install] = [text for text in instructions("RUN") if "uv pip install" in text]
    installed = set(re.findall(r"\./plugins/(\S+)", install))
    assert installed == {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")} - {"exgate-testing"}
    extras = re.search(r"'\.\[(.*)\]'", install)
    assert extras is not None
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name} = \[", text, re.MULTILINE) for name in extras[1].split(","))
    assert "--constraint requirements.lock" in install


def test_uv_is_taken_from_the_lock() -> None:
    [command] = [text for text in instructions("RUN") if "sed" in text]
    script = shlex.split(command.partition(">")[0])[2]
    lines = subprocess.run(["sed", "-n", script, ROOT / "requirements.lock"], capture_output=True, text=True).stdout
    assert re.fullmatch(r"uv==\S+ \\\n(    --hash=sha256:\w+( \\)?\n)+", lines)


def test_the_container_starts_with_settings_that_exist_and_may_be_bound() -> None:
    words = started()
    assert words[:2] == ["exgate", "serve"]
    overrides = [word for before, word in pairwise(words) if before == "-s"]
    assert words[2:] == [word for override in overrides for word in ("-s", override)]
    loaded = settings.load(None, overrides)
    check_bind(loaded.server)
    assert loaded.server.host == "0.0.0.0"
    assert instructions("EXPOSE") == [str(loaded.server.port)]


def test_the_health_check_is_a_verb_that_asks_the_running_gateway() -> None:
    [check] = instructions("HEALTHCHECK")
    words = json.loads(check.partition("CMD ")[2])
    assert words[:3] == ["exgate", "--url", f"http://127.0.0.1:{settings.Server().port}"]
    assert words[-1] in cli.cli.commands


def test_state_and_settings_are_where_the_image_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        if name.startswith("XDG_"):
            monkeypatch.setenv(name, value)
    state = settings.state_dir(settings.Settings())
    assert instructions("VOLUME") == [str(state)]
    assert any(f"-m 0700 -o exgate -g exgate {state}" in text for text in instructions("RUN"))
    assert instructions("USER") == ["exgate"]
    mounts = [volume.split(":") for volume in service()["volumes"]]
    assert str(state) in [mount[1] for mount in mounts]
    assert f"{environment()['XDG_CONFIG_HOME']}/exgate/exgate.toml" in [mount[1] for mount in mounts]


# compose


def test_compose_publishes_on_loopback_under_the_same_number() -> None:
    assert service()["ports"] == [f"127.0.0.1:{settings.Server().port}:{settings.Server().port}"]


def test_compose_mounts_files_that_are_there() -> None:
    for volume in service()["volumes"]:
        source = volume.split(":")[0]
        assert not source.startswith(".") or (ROOT / source).is_file()


def test_a_stop_gets_the_time_that_orders_need() -> None:
    needed = settings.Server().graceful_timeout
    assert seconds(service()["stop_grace_period"]) > needed
    assert seconds(unit()["TimeoutStopSec"]) > needed


def test_as_many_files_may_be_open_as_the_defaults_need() -> None:
    needed = settings.Server().max_connections + settings.Server().max_streams + 64
    assert service()["ulimits"]["nofile"] >= needed
    assert int(unit()["LimitNOFILE"]) >= needed


# systemd


def test_the_unit_starts_a_verb_with_its_state_where_it_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(unit()["ExecStart"])
    assert Path(words[0]).name == "exgate"
    assert words[1] in cli.cli.commands
    for name, value in (pair.split("=") for pair in unit()["Environment"].split()):
        monkeypatch.setenv(name, value)
    state = settings.state_dir(settings.Settings())
    assert str(state) == f"/var/lib/{unit()['StateDirectory']}" == unit()["WorkingDirectory"]
    assert unit()["StateDirectoryMode"] == "0700"
    check_bind(settings.Server())


def test_the_unit_waits_longer_than_the_gateways_own_watchdog_and_keeps_no_image_of_its_memory() -> None:
    assert seconds(unit()["WatchdogSec"]) > settings.Server().watchdog > 0
    assert (unit()["Type"], unit()["Restart"], unit()["LimitCORE"]) == ("notify", "always", "0")


def test_what_is_hopeless_is_not_started_again(tmp_path: Path) -> None:
    hopeless = {int(code) for code in unit()["RestartPreventExitStatus"].split()}
    for override in ("server.prot=1", "server.host=0.0.0.0"):
        command = [sys.executable, "-m", "exgate_core", "-s", override, "-s", f"server.state_dir={tmp_path}", "serve"]
        assert subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=30).returncode in hopeless


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    file = tmp_path / "exgate.service"
    file.write_text(UNIT.replace("/opt/exgate/bin/exgate", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=60)
    assert "exgate.service" not in done.stderr, done.stderr


# settings


def test_the_shipped_settings_can_be_loaded_with_and_without_their_example(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "exgate.toml").read_text(encoding="utf-8")
    loaded = settings.load(ROOT / "deploy" / "exgate.toml")
    assert set(loaded.exchanges) == {"paper"}
    file = tmp_path / "exgate.toml"
    file.write_text(re.sub(r"^# (\[|\w+ = )", r"\1", text, flags=re.MULTILINE))
    main = settings.load(file).exchanges["main"]
    assert main.credentials is not None
    assert not main.trading
