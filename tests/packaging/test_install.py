"""What a stranger's machine sees: wheels in a clean environment, beside plugins that misbehave."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACME = ROOT / "examples" / "exgate-acme"

GOOD = (ACME / "src" / "exgate_acme" / "__init__.py").read_text()
BAD_PLUGINS = {
    "broken": "raise RuntimeError('torn at import')",
    "copy": GOOD,
    "slow": "import threading\nthreading.Event().wait()\n",
    "misspelt": GOOD.replace("def recent_trades", "def recent_trade"),
}

pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(shutil.which("uv") is None, reason="needs uv on the PATH")]


class Installed(NamedTuple):
    """A clean environment with the core, acme and the bad plugins."""

    folder: Path
    home: Path

    def start(self, *command: str) -> subprocess.Popen[str]:
        environment = {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "HOME": str(self.home)}
        return subprocess.Popen(
            command, cwd=self.home, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *command: str) -> str:
        process = self.start(*command)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, output + errors
        return output


def build(project: Path, out: Path) -> Path:
    """The wheel of a project, built with the hatchling that is here: nothing is fetched for it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    [wheel] = out.glob(f"{project.name.replace('-', '_') if project != ROOT else 'exgate'}-*.whl")
    return wheel


def make_plugin(folder: Path, name: str, source: str) -> Path:
    package = folder / f"exgate-{name}"
    shutil.copytree(ACME, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "src" / "exgate_acme").rename(package / "src" / f"exgate_{name}")
    (package / "src" / f"exgate_{name}" / "__init__.py").write_text(source)
    project = (package / "pyproject.toml").read_text()
    # the same name of the entry point, as careless authors choose it
    changed = project.replace('"exgate-acme"', f'"exgate-{name}"').replace('"exgate_acme"', f'"exgate_{name}"')
    (package / "pyproject.toml").write_text(changed)
    return package


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out, sources = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("sources")
    projects = [ROOT, ACME, *(make_plugin(sources, name, source) for name, source in BAD_PLUGINS.items())]
    return {project.name if project != ROOT else "exgate": build(project, out) for project in projects}


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder, home = tmp_path_factory.mktemp("clean") / "env", tmp_path_factory.mktemp("home")
    versions = re.findall(r"^([a-zA-Z0-9._-]+==\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    constraints = home / "constraints.txt"
    constraints.write_text("\n".join(versions))
    for command in (
        ["uv", "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)],
        ["uv", "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "-c", str(constraints)]
        + [str(wheel) for wheel in wheels.values()],
    ):
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        subprocess.run(command, cwd=home, env=environment, check=True, capture_output=True)
    return Installed(folder, home)


def test_the_core_wheel_holds_the_core_and_nothing_else(wheels: dict[str, Path]) -> None:
    names = zipfile.ZipFile(wheels["exgate"]).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"exgate_core", "exgate"}
    assert "exgate_core/py.typed" in names
    templates = [name for name in names if name.startswith("exgate_core/template/")]
    assert {"exgate_core/template/dot-gitignore.tmpl", "exgate_core/template/tests/test_parse.py.tmpl"} <= {*templates}
    assert all(name.endswith(".tmpl") for name in templates)
    assert not [name for name in {*names} - {*templates} if "test" in name or name.endswith(".pyc")]


@pytest.mark.parametrize(
    "project", sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")), ids=lambda path: path.name
)
def test_a_wheel_brings_its_license(project: Path, tmp_path: Path) -> None:
    wheel = zipfile.ZipFile(build(project, tmp_path))
    [license] = [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    assert wheel.read(license) == (ROOT / "LICENSE").read_bytes()


def test_the_command_tells_its_version(installed: Installed) -> None:
    from exgate_core import __version__

    assert __version__ in installed.run("exgate", "--version")


def test_the_report_names_every_plugin_that_misbehaves(installed: Installed) -> None:
    program = (
        "import msgspec; from exgate_core.plugins import load_catalogue\n"
        "reports = msgspec.to_builtins(load_catalogue(budget=3).reports, order='sorted')\n"
        "print(msgspec.json.encode(reports).decode())"
    )
    reports = {one["package"]: one for one in json.loads(installed.run("python", "-c", program))}
    assert set(reports) == {"exgate-acme", *(f"exgate-{name}" for name in BAD_PLUGINS)}
    assert reports["exgate-acme"]["serves"] == {"acme": ["depth", "markets", "pull_trade", "recent_trades"]}
    assert reports["exgate-acme"]["refused"] == ""
    assert reports["exgate-broken"]["refused"] == "RuntimeError: torn at import"
    assert reports["exgate-slow"]["refused"] == "it did not load within 3 s"
    assert "recent_trade: there is no such hook; did you mean recent_trades?" in reports["exgate-misspelt"]["refused"]
    assert "acme is offered by exgate-copy 1.0.0 too" in reports["exgate-acme"]["clash"]
    assert "acme is offered by exgate-acme 1.0.0 too" in reports["exgate-copy"]["clash"]


FAST = 'plugins.load=["exgate-acme", "exgate-broken", "exgate-copy", "exgate-misspelt"]'


def test_the_command_line_shows_the_report(installed: Installed) -> None:
    shown = installed.run("exgate", "plugins", "-s", FAST, "--json")
    problems = {one["package"]: one["refused"] or one["clash"] for one in json.loads(shown)}
    assert set(problems) == {"exgate-acme", "exgate-broken", "exgate-copy", "exgate-misspelt"}
    assert all(problems.values())


def test_a_plugin_from_outside_serves_beside_the_broken_ones(installed: Installed) -> None:
    options = ["-s", FAST, "-s", "exchanges.acme.plugin=exgate-acme", "-s", "server.port=0"]
    process = installed.start("exgate", "serve", *options)
    hurry = threading.Timer(60, process.kill)
    hurry.start()
    try:
        base = address_of(process)
        depth = get(f"{base}/v1/acme/depth?symbol=BTC/USDT&limit=1")
        assert depth["bid_list"] == [{"bid": [{"price": "63999.90", "amount": "1.5000"}]}]
        trades = get(f"{base}/v1/acme/recent_trades?symbol=btcusdt&limit=3")["trades"]
        assert [trade["id"] for trade in trades] == [98, 99, 100]
    finally:
        hurry.cancel()
        process.terminate()
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, output + errors


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    raise AssertionError(f"the gateway did not start: {process.communicate()[1]}")


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)
