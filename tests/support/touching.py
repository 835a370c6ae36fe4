"""A pytest plugin: writes which tests run which lines of the core, or runs nothing but a list of tests, in its order.

What it is to do stands in the environment: ``EXGATE_TOUCHED`` is the file to write, ``EXGATE_CHOSEN`` one with a list.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis
import pytest

TOUCHED = "EXGATE_TOUCHED"
CHOSEN = "EXGATE_CHOSEN"


class Recorder:
    """``lines``: file -> line -> the tests that ran it. ``seconds``: test -> how long it took."""

    def __init__(self, folder: Path) -> None:
        self.lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.seconds: dict[str, float] = defaultdict(float)
        self._folder = f"{folder}{os.sep}exgate_core{os.sep}"
        self._test = ""
        self._watchers: dict[str, Callable[..., Any]] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Whatever runs now belongs to this test, in whatever thread."""
        self._test = item.nodeid
        threading.settrace(self._called)
        sys.settrace(self._called)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Fixtures count."""
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Write it all."""
        lines = {file: {line: sorted(tests) for line, tests in found.items()} for file, found in self.lines.items()}
        Path(os.environ[TOUCHED]).write_text(json.dumps({"lines": lines, "seconds": self.seconds}), encoding="utf-8")

    def _called(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        return self._watcher(file) if file.startswith(self._folder) else None

    def _watcher(self, file: str) -> Callable[..., Any]:
        if file not in self._watchers:
            lines = self.lines["exgate_core/" + file.removeprefix(self._folder)]

            def watch(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
                lines[frame.f_lineno].add(self._test)
                return watch

            self._watchers[file] = watch
        return self._watchers[file]


class Chosen:
    """Runs only these tests."""

    def __init__(self, tests: list[str]) -> None:
        self._places = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """In the order of the list; a name without parameters is all of them."""
        placed = [(place, item) for item in items if (place := self._place(item.nodeid)) is not None]
        items[:] = [item for _, item in sorted(placed, key=lambda each: each[0])]

    def _place(self, test: str) -> int | None:
        return self._places.get(test, self._places.get(test.partition("[")[0]))


def pytest_configure(config: pytest.Config) -> None:
    """A counterexample is enough: nobody reads it, so that no time is spent on a smaller one."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("noticing", hypothesis.settings(), phases=phases)
    hypothesis.settings.load_profile("noticing")
    if TOUCHED in os.environ:
        config.pluginmanager.register(Recorder(config.rootpath))
    if CHOSEN in os.environ:
        config.pluginmanager.register(Chosen(json.loads(Path(os.environ[CHOSEN]).read_text(encoding="utf-8"))))
