"""An order whose look-up freezes the process is found out, and isn't asked for any more."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from exgate_core.freezes import MOST, Freezes
from exgate_core.rows import SENT, Row

pytestmark = pytest.mark.anyio


def row(name: str) -> Row:
    """A row that somebody must ask for."""
    return Row(1, "x:main", name, "", "", name, "BTC/USDT", "buy", "{}", SENT, "", 1, 1, 0, 0, "", 1)


class Frozen(Exception):
    """The process ends here."""


class Runs:
    """One run after the other over the same file, as a gateway that is started again."""

    def __init__(self, path: Path, guilty: set[str]) -> None:
        self._path, self._guilty = path, guilty
        self.asked: list[set[str]] = []
        self.froze = False

    async def next(self, names: set[str]) -> None:
        """Ask for all orders at once; where a guilty one is among them, everything stops there."""
        freezes, asked = Freezes(self._path, froze=self.froze), set[str]()
        freezes.begin()
        kept = self._path.read_bytes() if self._path.exists() else None

        async def ask(name: str) -> None:
            nonlocal kept
            async with freezes.asking(row(name)):
                if not self.froze:
                    asked.add(name)
                    await anyio.lowlevel.checkpoint()
                if name in self._guilty and not self.froze:
                    kept, self.froze = self._path.read_bytes(), True
                if self.froze:
                    raise Frozen

        self.froze = False
        try:
            async with anyio.create_task_group() as tasks:
                for name in sorted(names):
                    if not freezes.deadly(row(name)):
                        tasks.start_soon(ask, name)
        except* Frozen:
            assert kept is not None
            self._path.write_bytes(kept)  # a frozen process tidies nothing up
        self.asked.append(asked)


async def test_the_guilty_ones_are_asked_for_twice_and_the_innocent_always(tmp_path: Path) -> None:
    runs, names = Runs(tmp_path / "lookups.json", {"c", "d"}), set("abcdef")
    for _ in range(2 * MOST + 2):
        await runs.next(names)
    assert not runs.froze
    assert runs.asked[-1] == names - {"c", "d"}
    for guilty in "cd":
        assert sum(guilty in asked for asked in runs.asked) == MOST


async def test_a_run_that_ended_otherwise_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lookups.json"
    for _ in range(MOST + 1):
        freezes = Freezes(path)
        freezes.begin()
        assert not freezes.deadly(row("a"))
        await freezes.asking(row("a")).__aenter__()  # killed here


async def test_an_answer_makes_up_for_a_freeze(tmp_path: Path) -> None:
    path = tmp_path / "lookups.json"
    for _ in range(3):
        await Freezes(path).asking(row("a")).__aenter__()
        again = Freezes(path, froze=True)
        async with again.asking(row("a")):
            pass
        assert not Freezes(path, froze=True).deadly(row("a"))


@pytest.mark.parametrize("text", ["", "[]", '{"asking": 1}'])
async def test_a_file_that_can_not_be_read_keeps_nobody_from_asking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    caplog.set_level(logging.WARNING, "exgate.orders")
    path = tmp_path / "lookups.json"
    path.write_text(text)
    freezes = Freezes(path, froze=True)
    freezes.begin()
    async with freezes.asking(row("a")):
        pass
    assert "can't be read" in caplog.text
    assert path.read_text() == '{"asking":[],"froze":{}}'


async def test_a_folder_that_can_not_be_written_keeps_nobody_from_asking(tmp_path: Path) -> None:
    freezes = Freezes(tmp_path / "absent" / "lookups.json")
    async with freezes.asking(row("a")):
        assert not freezes.deadly(row("a"))
