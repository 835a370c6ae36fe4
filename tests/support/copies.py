"""A copy of this checkout whose source a proof may spoil, to see whether the tests notice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from .running import ROOT
from .touching import CHOSEN, TOUCHED

_LEFT_OUT = shutil.ignore_patterns(".git", ".dev", "__pycache__", ".*_cache", ".hypothesis", "dist", "build")


_LEAN = ("-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "-p", "anyio", "-p", "pytest_timeout",
         "-p", "_hypothesis_pytestplugin", "-p", "tests.support.touching")  # fmt: skip
"""No plugin of pytest but those that the tests need: half of the time that a short run takes."""

NOTICED = ("FAILED ", "ERROR ")
"""How the first words of ``Copy.notices`` name a test that failed, or a file that couldn't be read."""


class Touched(NamedTuple):
    """Which tests run what."""

    lines: dict[str, dict[str, list[str]]]
    """File -> line -> the tests that run it."""
    seconds: dict[str, float]
    """How long each test takes."""

    def of(self, path: str, lines: Iterable[int] | None) -> list[str]:
        """The tests that run one of these lines, the shortest first; without lines, those that run any of the file."""
        found = self.lines.get(path, {})
        wanted = found.values() if lines is None else (found.get(str(line), ()) for line in lines)
        tests = {test for names in wanted for test in names}
        return sorted(tests, key=lambda test: (round(self.seconds[test], 1), test))

    def add(self, other: Touched) -> None:
        """What other tests run."""
        self.seconds.update(other.seconds)
        for path, lines in other.lines.items():
            known = self.lines.setdefault(path, {})
            for line, tests in lines.items():
                known[line] = [*known.get(line, ()), *tests]


class Copy:
    """The copy; ``folder`` is its root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sources = [folder, *sorted((folder / "plugins").glob("*/src"))]
        self._environment = {
            **os.environ,
            "CI": "true",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(map(str, sources)),
        }

    @contextmanager
    def spoiled(self, path: str, text: str) -> Iterator[None]:
        """Another text in one file, until the block ends."""
        file = self.folder / path
        before = file.read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(before, encoding="utf-8")

    def warm(self, tests: Sequence[str]) -> None:
        """Have the compiled files ready, while everything is as it was: later runs leave them alone."""
        self._run([*tests, "--collect-only"], 120.0, PYTHONDONTWRITEBYTECODE="")

    def touched(self, tests: Sequence[str], seconds: float) -> Touched:
        """Run them once and see which line each runs. Raises SystemExit where one fails."""
        file = self.folder / "touched.json"
        problem = self._verdict(self._run(["--timeout=60", *tests], seconds, **{TOUCHED: str(file)}))
        if problem:
            raise SystemExit(f"fails as it is: {problem}")
        return Touched(**json.loads(file.read_text(encoding="utf-8")))

    def notices(self, tests: Sequence[str], seconds: float) -> str:
        """The first failing test, or what else went wrong; empty if everything passed. In the order of the list."""
        file = self.folder / "chosen.json"
        file.write_text(json.dumps(list(tests)), encoding="utf-8")
        files = sorted({test.partition("::")[0] for test in tests})
        arguments = ("--timeout=20", "--timeout-method=thread", *files)
        return self._verdict(self._run(arguments, seconds, **{CHOSEN: str(file)}))

    def _run(self, arguments: Sequence[str], seconds: float, **environment: str) -> tuple[int | None, str]:
        """The exit code, None without an end, and what was printed."""
        options = ("-x", "-q", "--no-header", "--tb=no", "-rfE")
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *_LEAN, *options, *arguments],
            cwd=self.folder, env={**self._environment, **environment}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, ""
        return process.returncode, output

    def _verdict(self, run: tuple[int | None, str]) -> str:
        code, output = run
        if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return ""
        if code is None:
            return "no end"
        named = [line for line in output.splitlines() if line.startswith(NOTICED)]
        return named[0] if named else output.strip().splitlines()[-1] if output.strip() else "no output"


@contextmanager
def copy() -> Iterator[Copy]:
    """A fresh copy that is gone when the block ends."""
    with TemporaryDirectory(prefix="exgate-copy-") as folder:
        place = Path(folder) / "checkout"
        shutil.copytree(ROOT, place, ignore=_LEFT_OUT)
        yield Copy(place)
