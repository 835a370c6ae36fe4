"""A copy of this checkout whose source a proof may spoil, to see whether the tests notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .running import ROOT

_LEFT_OUT = shutil.ignore_patterns(".git", ".dev", "__pycache__", ".*_cache", ".hypothesis", "dist", "build")


class Copy:
    """The copy; ``folder`` is its root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sources = [folder, *sorted((folder / "plugins").glob("*/src"))]
        self._environment = {
            **os.environ,
            "CI": "true",
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

    def notices(self, tests: Sequence[str], seconds: float) -> str:
        """The first failing test, or what else went wrong; empty if everything passed."""
        options = ("-x", "-q", "-n0", "-p", "no:cacheprovider", "--timeout=30", "--no-header", "--tb=no", "-rfE")
        command = [sys.executable, "-m", "pytest", *options, *tests]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self._environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return "no end"
        if process.returncode == 0:
            return ""
        named = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return named[0] if named else output.strip().splitlines()[-1] if output.strip() else "no output"


@contextmanager
def copy() -> Iterator[Copy]:
    """A fresh copy that is gone when the block ends."""
    with TemporaryDirectory(prefix="exgate-copy-") as folder:
        place = Path(folder) / "checkout"
        shutil.copytree(ROOT, place, ignore=_LEFT_OUT)
        yield Copy(place)
