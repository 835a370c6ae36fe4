"""An order whose look-up freezes the process is found out, and isn't asked for any more."""

from __future__ import annotations

import logging
from pathlib import Path, PosixPath

import anyio
import anyio.lowlevel
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
        await anyio.lowlevel.checkpoint()
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
    await anyio.lowlevel.checkpoint()
    assert "can't be read" in caplog.text
    assert path.read_text() == '{"asking":[],"froze":{}}'


async def test_a_folder_that_can_not_be_written_keeps_nobody_from_asking(tmp_path: Path) -> None:
    freezes = Freezes(tmp_path / "absent" / "lookups.json")
    async with freezes.asking(row("a")):
        assert not freezes.deadly(row("a"))


async def test_a_thousand_orders_that_are_asked_for_at_once_are_written_before_the_first_question_and_once(
    tmp_path: Path,
) -> None:
    written: list[bytes] = []

    class Watched(PosixPath):
        def write_bytes(self, content: bytes) -> int:  # type: ignore[override]  # bytes are all that is written
            written.append(content)
            return super().write_bytes(content)

    freezes, answered = Freezes(Watched(tmp_path / "lookups.json")), anyio.Event()

    async def ask(number: int) -> None:
        async with freezes.asking(row(f"order-{number}.")):
            assert f"order-{number}.".encode() in written[-1]
            await answered.wait()

    async with anyio.create_task_group() as tasks:
        for number in range(1000):
            tasks.start_soon(ask, number)
        await anyio.wait_all_tasks_blocked()
        assert written[-1].count(b"order-") == 1000
        answered.set()
    await anyio.lowlevel.checkpoint()
    assert written[-1].count(b"order-") == 0
    assert len(written) < 10
