"""``exgate plugins add | remove | sync`` in environments of their own, with local wheels and no network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exgate_core import installer, pluginverbs
from exgate_core.cli import main
from exgate_core.errors import FailedPrecondition

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "{version}"
requires-python = ">=3.11"
[project.entry-points.exgate]
{exchange} = "{module}"
"""
PLUGIN = """
from exgate_core import Market, hookimpl
EXGATE_API = {api}

class Exchange:
    def __init__(self, context): ...

    @hookimpl
    async def markets(self):
        return [Market(symbol="A/B", id="ab", base="A", quote="B")]

@hookimpl
def register_exchanges(register):
    register("{exchange}", exchange=Exchange)
"""

pytestmark = pytest.mark.timeout(300)


def make_wheel(folder: Path, name: str, version: str, *, api: int = 1, more: str = "") -> Path:
    module = name.replace("-", "_")
    source = folder / f"{name}-{version}-source"
    (source / module).mkdir(parents=True)
    texts = {"name": name, "version": version, "exchange": name.removeprefix("exgate-"), "module": module, "api": api}
    (source / "pyproject.toml").write_text(PROJECT.format(**texts).replace("[project.entry", more + "[project.entry"))
    (source / module / "__init__.py").write_text(PLUGIN.format(**texts))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return folder / f"{module}-{version}-py3-none-any.whl"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name, version in (("exgate-lime", "1.0"), ("exgate-lime", "1.1"), ("exgate-plum", "2.0")):
        make_wheel(folder, name, version)
    make_wheel(folder, "exgate-stale", "1.0", api=99)
    make_wheel(folder, "exgate-tart", "1.0", more='dependencies = ["exgate-plum"]\n')
    return folder


class Place(NamedTuple):
    """An environment, a folder with exgate.toml in it, and wheels as the only source of packages."""

    python: Path
    folder: Path
    variables: dict[str, str]

    @property
    def file(self) -> Path:
        return self.folder / "plugins.txt"

    def run(self, *arguments: str) -> tuple[int, str, str]:
        command = [str(self.python), "-m", "exgate_core", "plugins", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.variables, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def good(self, *arguments: str) -> Any:
        code, out, err = self.run("--json", *arguments)
        assert code == 0, out + err
        return json.loads(out)

    def versions(self) -> dict[str, str]:
        code = "import json, exgate_core.installer as i; print(json.dumps(i.installed()))"
        done = subprocess.run([self.python, "-c", code], env=self.variables, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        return {name: version for name, version in found.items() if name.split("-")[-1] in ("lime", "plum", "tart")}


def make_place(folder: Path, tool: str, wheels: Path) -> Place:
    """A new environment that sees the packages of this one, and only installs what is local."""
    env = folder / "env"
    # the interpreter's own pip is seen, so that none has to be installed
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", env], check=True)
    [packages] = env.glob("lib/python*/site-packages")
    places = [sysconfig.get_path("purelib"), str(ROOT)]
    (packages / "here.pth").write_text("".join(f"import site; site.addsitedir({one!r})\n" for one in places))
    (folder / "exgate.toml").write_text("")
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    if tool == "uv":
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if uv is None:
            pytest.skip("no uv here")
        (env / "bin" / "uv").symlink_to(uv)
        (folder / "uv.toml").write_text(f'[pip]\nno-index = true\nfind-links = ["{wheels}"]\n')
        variables |= {"UV_CONFIG_FILE": str(folder / "uv.toml"), "UV_CACHE_DIR": str(folder / "cache")}
    else:
        if subprocess.run([env / "bin" / "python", "-m", "pip", "--version"], capture_output=True).returncode:
            pytest.skip("no pip here")
        variables |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    return Place(env / "bin" / "python", folder, variables)


@pytest.fixture
def place(tmp_path: Path, wheels: Path) -> Place:
    return make_place(tmp_path, "uv", wheels)


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_what_was_added_comes_back_in_a_new_environment(tool: str, wheels: Path, tmp_path: Path) -> None:
    place = make_place(tmp_path, tool, wheels)
    place.file.write_text("# chosen with care\nexgate-plum  # any\n")
    told = place.good("add", "exgate-lime==1.0")
    assert told["packages"] == [{"package": "exgate-lime", "version": "1.0", "state": "installed"}]
    assert place.file.read_text() == "# chosen with care\nexgate-plum  # any\nexgate-lime==1.0\n"
    assert place.versions() == {"exgate-lime": "1.0", "exgate-plum": "2.0"}
    assert {"exgate-lime", "exgate-plum"} <= {row["package"] for row in place.good()}

    (tmp_path / "later").mkdir()
    later = make_place(tmp_path / "later", tool, wheels)
    later.file.write_text(place.file.read_text())
    code, out, _ = later.run("sync", "--dry-run")
    assert code == 3 and "exgate-lime is listed and not installed" in out
    assert later.versions() == {}
    later.good("sync")
    assert later.versions() == place.versions()


def test_upgrade_pin_and_removal(place: Place, wheels: Path) -> None:
    digest = hashlib.sha256((wheels / "exgate_lime-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    place.good("add", f"exgate-lime==1.0 --hash=sha256:{digest}")
    pinned = place.file.read_text()
    place.good("add", "exgate-lime")
    assert place.file.read_text() == pinned == f"exgate-lime==1.0 --hash=sha256:{digest}\n"
    place.good("add", "exgate-lime==1.1")
    assert place.file.read_text() == "exgate-lime==1.1\n"
    assert place.versions() == {"exgate-lime": "1.1"}
    told = place.good("remove", "Exgate_Lime")
    assert told["packages"] == [{"package": "exgate-lime", "version": "", "state": "not installed"}]
    assert (place.file.read_text(), place.versions()) == ("", {})


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_a_failure_changes_nothing_and_says_so(tool: str, wheels: Path, tmp_path: Path) -> None:
    place = make_place(tmp_path, tool, wheels)
    place.good("add", "exgate-lime==1.0")
    wrongs = ["exgate-nowhere", f"exgate-plum==2.0 --hash=sha256:{'0' * 64}", "exgate-lime==9"]
    for wrong in wrongs[: 1 if tool == "pip" else 3]:
        code, out, err = place.run("add", wrong)
        assert (code, out) == (3, "")
        assert "plugins.txt was not changed; everything that it lists is installed" in err
        assert wrong.split("=")[0] in err
    assert place.file.read_text() == "exgate-lime==1.0\n"
    assert place.versions() == {"exgate-lime": "1.0"}
    assert [path.name for path in place.folder.glob(".*")] in ([], [".cache"])


def test_drift_is_reported_and_repaired(place: Place) -> None:
    place.good("add", "exgate-lime==1.0")
    place.good("add", "exgate-plum")
    place.file.write_text("exgate-lime==1.1\nexgate-tart\n")
    code, out, _ = place.run("sync", "--dry-run")
    assert code == 3
    assert "exgate-lime is listed as 1.1, 1.0 is installed" in out
    assert "exgate-tart is listed and not installed" in out
    assert "exgate-plum is installed and not listed" in out
    assert place.good("sync")["drift"]["missing"] == []
    assert place.versions() == {"exgate-lime": "1.1", "exgate-plum": "2.0", "exgate-tart": "1.0"}
    code, _, err = place.run("remove", "exgate-plum")
    assert code == 3 and "exgate-plum is needed by exgate-tart. Nothing was done" in err
    place.good("remove", "exgate-plum", "exgate-tart")
    assert place.versions() == {"exgate-lime": "1.1"}


def test_a_wheel_and_what_it_turns_out_to_be(place: Place, wheels: Path) -> None:
    wheel = wheels / "exgate_stale-1.0-py3-none-any.whl"
    told = place.good("add", os.path.relpath(wheel, place.folder))
    assert "refused: exgate_stale was written for EXGATE_API = 99" in told["packages"][0]["state"]
    assert place.file.read_text() == f"exgate-stale @ {wheel.as_uri()}\n"


def test_a_dry_run_touches_nothing(place: Place) -> None:
    told = place.good("add", "exgate-lime", "--dry-run")
    assert told["text"] == "exgate-lime\n" and told["command"][-2:] == ["-r", str(place.file)]
    assert not place.file.exists() and place.versions() == {}
    place.good("add", "exgate-lime==1.0")
    told = place.good("remove", "exgate-lime", "--dry-run")
    assert told["text"] == "" and told["command"][-1] == "exgate-lime"
    assert place.file.exists() and place.versions() == {"exgate-lime": "1.0"}


# In this process, with an installer that only pretends


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("EXGATE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pretend(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    fake = installer.Installer("fake", (sys.executable, "-c", code), (sys.executable, "-c", code))
    monkeypatch.setattr(pluginverbs, "_installer", lambda: fake)


def test_the_list_lies_beside_the_settings_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, "")
    assert main(["plugins", "add", "exgate-paper"]) == 0
    assert (home / ".config" / "exgate" / "plugins.txt").read_text() == "exgate-paper\n"
    (home / "etc").mkdir()
    (home / "etc" / "exgate.toml").write_text("")
    assert main(["--config", "etc/exgate.toml", "plugins", "add", "exgate-paper"]) == 0
    assert (home / "etc" / "plugins.txt").exists() and not (home / "plugins.txt").exists()
    assert "exgate-paper" in capsys.readouterr().out


def test_a_list_that_changed_meanwhile_is_not_overwritten(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "exgate.toml").write_text("")
    pretend(monkeypatch, f"open({str(home / 'plugins.txt')!r}, 'w').write('exgate-other\\n')")
    assert main(["plugins", "add", "exgate-paper"]) == 3
    assert (home / "plugins.txt").read_text() == "exgate-other\n"
    assert "The environment was changed" in capsys.readouterr().err


def test_a_place_that_can_not_be_written_is_found_before_anything_is_installed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, f"open({str(home / 'ran')!r}, 'w')")
    (home / ".config").write_text("a file where a folder should be")
    assert main(["plugins", "add", "exgate-paper"]) == 3
    assert "Nothing was done" in capsys.readouterr().err
    assert not (home / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["remove", "exgate"], 3, "exgate itself is no plugin"),
        (["remove", "anyio"], 3, "'anyio' is installed, but is no plugin"),
        (["remove", "exgate-nothing"], 4, "neither installed nor in"),
        (["sync"], 4, "there is no such file"),
        (["add", "--", "--pre"], 3, "'--pre' is no package"),
        (["add"], 2, "Missing argument"),
        (["ad"], 2, "No such command"),
    ],
)
def test_what_makes_no_sense_is_refused(
    home: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_python_of_the_system_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    with pytest.raises(FailedPrecondition, match=r"PEP 668.*python3 -m venv DIR"):
        installer.find_installer()


def test_only_the_tool_that_knows_the_index_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv would look for a company's package on the public index, where anybody may have put one of that name."""
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    answers = {"index": "global.index-url='https://packages.example/simple'\n", "none": "global.timeout='60'\n"}
    for known, tool in (("index", "pip"), ("none", "uv")):
        script = tmp_path / "python"
        script.write_text(f"#!/bin/sh\nprintf '%s' \"{answers[known]}\"\n")
        script.chmod(0o755)
        assert installer.find_installer({}).name == tool
    script.write_text(f"#!/bin/sh\nprintf '%s' \"{answers['index']}\"\n")
    assert installer.find_installer({"UV_INDEX": "https://packages.example/simple"}).name == "uv"
