"""docs/fifteen-minutes.md, word for word: every command is run, every replacement is made, what is shown appears.

``bash`` blocks are commands; a ``text`` block behind one holds what its output must contain, and if that says
``failed`` the last command must fail. ``py`` blocks take the place of what the sentence before them names.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.running import ROOT

PAGE = (ROOT / "docs" / "fifteen-minutes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
REPLACE = re.compile(r"In\s+`([^`]+)`,\s+replace\s+`([^`]+)`\s+by:\s*\Z")
SCRIPT = "#!{python}\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n"

pytestmark = pytest.mark.timeout(300)


class Block(NamedTuple):
    """One block of the page, and what stands before it."""

    language: str
    text: str
    before: str


def blocks() -> list[Block]:
    found, end = [], 0
    for match in BLOCK.finditer(PAGE):
        found.append(Block(match["language"], match["text"], PAGE[end : match.start()]))
        end = match.end()
    return found


class Author:
    """Somebody with a new environment, who types what the page says."""

    def __init__(self, folder: Path) -> None:
        self.here = folder / "work"
        self.here.mkdir()
        env = folder / "env"
        # the interpreter's own pip and the packages of this environment are seen: what the index would have
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", env], check=True)
        [packages] = env.glob("lib/python*/site-packages")
        places = [sysconfig.get_path("purelib"), str(ROOT)]
        (packages / "here.pth").write_text("".join(f"import site; site.addsitedir({one!r})\n" for one in places))
        for script, module, name in (("exgate", "exgate_core.cli", "main"), ("pytest", "pytest", "console_main")):
            (env / "bin" / script).write_text(SCRIPT.format(python=env / "bin" / "python", module=module, name=name))
            (env / "bin" / script).chmod(0o755)
        self.python = env / "bin" / "python"
        # hatchling is here, so pip need not fetch it; uv would not see the packages of this environment
        self.variables = {
            "PATH": f"{env / 'bin'}:{folder / 'tools'}:/usr/bin:/bin",
            "HOME": str(folder),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        (folder / "tools").mkdir()
        (folder / "tools" / "ruff").symlink_to(Path(sys.executable).parent / "ruff")

    def types(self, commands: str) -> tuple[int, str]:
        """One block of commands; the code of the last one and everything that was said."""
        script = f"set -e\ntrap 'pwd > \"$HOME/cwd\"' EXIT\n{commands}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.here,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.here = Path(Path(self.variables["HOME"], "cwd").read_text().strip())
        return done.returncode, done.stdout

    def replaces(self, path: str, what: str, text: str) -> None:
        """Put the text in the place of a definition, an assignment or a line."""
        file = self.here / path
        lines = file.read_text().splitlines(keepends=True)
        first, last = place(lines, what)
        file.write_text("".join([*lines[: first - 1], text, *lines[last:]]))


def place(lines: list[str], what: str) -> tuple[int, int]:
    """The first and the last line of what is to be replaced."""
    for node in ast.parse("".join(lines)).body:
        names = [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if what.split()[-1] in names and (isinstance(node, ast.Assign) or " " in what):
            return node.lineno, node.end_lineno or node.lineno
    [number] = [number for number, line in enumerate(lines, 1) if line.rstrip("\n") == what]
    return number, number


@pytest.fixture
def author(tmp_path: Path) -> Author:
    made = Author(tmp_path)
    if subprocess.run([made.python, "-m", "pip", "--version"], env=made.variables, capture_output=True).returncode:
        pytest.skip("no pip here")
    return made


def test_every_block_is_of_a_kind_that_is_followed() -> None:
    found = blocks()
    assert {block.language for block in found} == {"bash", "text", "json", "py", "toml"}
    assert all(REPLACE.search(block.before) for block in found if block.language == "py")
    assert [one.language for one, two in pairwise(found) if two.language == "text"] == ["bash"] * 5
    assert found[0].text.splitlines()[1] == "exgate plugins new lemon"


def test_the_page_word_for_word(author: Author) -> None:
    page = blocks()
    for number, block in enumerate(page):
        following = page[number + 1] if number + 1 < len(page) else None
        shown = following.text.splitlines() if following and following.language == "text" else []
        if block.language == "bash":
            code, output = author.types(block.text)
            assert (code != 0) == ("failed" in shown), output[-4000:]
            assert [line for line in shown if line not in output] == [], output[-4000:]
        elif block.language == "py":
            replaced = REPLACE.search(block.before)
            assert replaced is not None
            author.replaces(replaced[1], replaced[2], block.text)
    plugins = author.variables["HOME"] + "/.config/exgate/plugins.txt"
    assert os.path.exists(plugins)
    package = author.here
    for tool in (["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        subprocess.run([sys.executable, "-m", *tool], cwd=package, check=True)
