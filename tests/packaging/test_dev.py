"""dev.py on a machine that has a Python with pip, an empty home and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE = os.path.realpath(sys.executable)
BUILD_TOOLS = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers", "uv")


def has_pip() -> bool:
    return subprocess.run([BASE, "-m", "pip", "--version"], capture_output=True).returncode == 0


pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(not has_pip(), reason=f"{BASE} has no pip")]

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "exgate"
version = "1"
[project.scripts]
hello = "exgate_core:hello"
[tool.hatch.build.targets.wheel]
packages = ["exgate_core"]
"""


class Checkout(NamedTuple):
    """A small checkout with the real dev.py."""

    folder: Path
    home: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "UV_"))}
        environment = {**kept, "PATH": "/usr/bin:/bin", "HOME": str(self.home)}
        command = [BASE, str(self.folder / "dev.py"), *arguments]
        return subprocess.Popen(
            command, cwd=self.home, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=240)
        return process.returncode, output, errors


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("home"))
    shutil.copy(ROOT / "dev.py", made.folder)
    lock = (ROOT / "requirements.lock").read_text()
    blocks = [re.search(rf"^{name}==(?:.*\\\n)*.*\n", lock, re.MULTILINE) for name in BUILD_TOOLS]
    (made.folder / "requirements.lock").write_text("".join(block[0] for block in blocks if block))
    (made.folder / "pyproject.toml").write_text(PROJECT)
    (made.folder / "exgate_core").mkdir()
    (made.folder / "exgate_core" / "__init__.py").write_text("def hello():\n    print('hello')\n")
    return made


def test_two_first_runs_at_once_make_one_environment_and_leave_python_alone(checkout: Checkout) -> None:
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(Path(BASE).parents[1])}))
    before = packages.stat().st_mtime_ns
    ends = [process.communicate(timeout=240) for process in [checkout.start("hello"), checkout.start("hello")]]
    assert [output for output, _ in ends] == ["hello\n", "hello\n"], ends
    assert sum("making the environment" in errors for _, errors in ends) == 1
    assert packages.stat().st_mtime_ns == before
    assert checkout.run("hello") == (0, "hello\n", "")


def test_an_edited_member_is_installed_anew_and_nothing_else(checkout: Checkout) -> None:
    checkout.run("hello")
    project = checkout.folder / "pyproject.toml"
    project.write_text(PROJECT.replace("hello =", "greet ="))
    assert checkout.run("greet") == (0, "hello\n", "")
    project.write_text(PROJECT)
    assert checkout.run("hello") == (0, "hello\n", "")


def test_the_command_takes_the_place_of_dev_py(checkout: Checkout) -> None:
    checkout.run("hello")
    program = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    process = checkout.start("python", "-c", program)
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM


def test_the_environment_comes_first_on_the_path(checkout: Checkout) -> None:
    program = "import os, sys; print(sys.prefix, os.environ['PATH'].split(':')[0])"
    _, output, _ = checkout.run("python", "-c", program)
    prefix, first = output.split()
    assert Path(prefix).parent == checkout.folder / ".dev" and Path(first) == Path(prefix) / "bin"


def test_a_command_that_is_not_there_is_named(checkout: Checkout) -> None:
    code, _, errors = checkout.run("no-such-command")
    assert code == 1 and "there is no command 'no-such-command'" in errors
    assert checkout.run()[0] == 2
