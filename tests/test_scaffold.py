"""``exgate plugins new``: what it writes is whole, clean and accepted at once; what is there is never touched.

That it passes the kit after a real installation is shown by tests/proofs/publish.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from exgate_core import EXGATE_API
from exgate_core.cli import main
from exgate_core.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from exgate_core.scaffold import write_package

from .support.running import ROOT, clean_environment

NAMES = ["demo", "1inch", "my-own_x", "a", "a" * 32]


@pytest.mark.parametrize("name", NAMES)
def test_the_package_is_written_whole_and_clean(name: str, tmp_path: Path) -> None:
    package = write_package(name, tmp_path / "new")
    dist = f"exgate-{name.replace('_', '-')}"
    module = dist.replace("-", "_")
    assert package == tmp_path / "new" / dist
    written = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert written == {
        *(".gitignore", ".github/workflows/ci.yml", "LICENSE", "README.md", "pyproject.toml"),
        *(f"src/{module}/{file}.py" for file in "__init__ account dialect exchange fake parse signing".split()),
        *(f"src/{module}/py.typed", "tests/test_conformance.py", "tests/test_parse.py"),
    }
    text = "".join((package / path).read_text() for path in sorted(written))
    assert not re.search(r"@\w+@|MODULE", text)
    assert "https://pypi" not in text and "files.pythonhosted" not in text
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["exgate"] == {name: module}
    assert f"EXGATE_API = {EXGATE_API}\n" in (package / "src" / module / "__init__.py").read_text()
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=package, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_the_package_is_typed_strictly(tmp_path: Path) -> None:
    package = write_package("demo", tmp_path)
    paths = os.pathsep.join([str(package / "src"), str(ROOT), str(ROOT / "plugins" / "exgate-testing" / "src")])
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache" / "scaffold")]
    environment = {**clean_environment(tmp_path), "MYPYPATH": paths}
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gateway_accepts_it(tmp_path: Path) -> None:
    """As a plugin of an environment that it is installed in: its name, its hooks, its fake."""
    package = write_package("my-own", tmp_path)
    info = tmp_path / "site" / "exgate_my_own-0.1.0.dist-info"
    info.mkdir(parents=True)
    points = tomllib.loads((package / "pyproject.toml").read_text())["project"]["entry-points"]
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: exgate-my-own\nVersion: 0.1.0\n")
    lines = [
        line for group, names in points.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    environment = clean_environment(tmp_path)
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(tmp_path / "site"), str(package / "src"), environment["PYTHONPATH"]]
    )
    command = [sys.executable, "-m", "exgate_core", "plugins", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    [report] = [row for row in json.loads(done.stdout) if row["package"] == "exgate-my-own"]
    assert report["refused"] == ""
    assert set(report["serves"]["my-own"]) == {
        *("markets", "depth", "recent_trades", "pull_trade", "pull_depth"),
        *("balances", "place_order", "cancel_order", "pending_orders", "find_order"),
    }


@pytest.mark.parametrize(
    "name", ["", "Demo", "-x", "x-", "a--b", "a/b", "../x", "a b", "ä", "x" * 33, "core", "testing", "a.b", "a\nb"]
)
def test_a_name_that_can_not_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument) as refused:
        write_package(name, tmp_path)
    assert refused.value.message.startswith("name: ")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "exgate-demo").mkdir()
    (tmp_path / "exgate-demo" / "mine.txt").write_text("mine")
    with pytest.raises(AlreadyExists, match="nothing was written"):
        write_package("demo", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["exgate-demo", "mine.txt"]


def test_half_a_package_is_never_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *rest: object, **named: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(FailedPrecondition, match="No space left on device; nothing was written"):
        write_package("demo", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "demo"]) == 0
    assert "README.md" in capsys.readouterr().out
    assert main(["--json", "plugins", "new", "other", "--dir", "sub dir"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": "sub dir/exgate-other"}
    assert (tmp_path / "sub dir" / "exgate-other" / "pyproject.toml").exists()
    assert main(["plugins", "new", "demo"]) == 3
    assert main(["plugins", "new", "Bad Name"]) == 3
    assert capsys.readouterr().out == ""
