"""``ExchangeConformance`` as an author uses it: in a test file of his own, run by pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILE = """
from exgate_testing import ExchangeConformance


class TestPaper(ExchangeConformance):
    exchange = "paper"
    waivers = {"C06[bids]": "a reason that is printed"}


class TestNobody(ExchangeConformance):
    exchange = "nobody"
"""


def test_every_variant_is_a_test_that_passes_fails_or_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FILE)
    chosen = "C04] or C06 or C95] or C62]"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rsf", "-v", "-k", chosen, "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    told = {line.split("::", 1)[1].split()[0]: line.split()[1] for line in done.stdout.splitlines() if "%]" in line}
    assert told == {
        "TestPaper::test_conformance[C04]": "PASSED",
        "TestPaper::test_conformance[C06[empty]]": "PASSED",
        "TestPaper::test_conformance[C06[bids]]": "SKIPPED",
        "TestPaper::test_conformance[C06[asks]]": "PASSED",
        "TestPaper::test_conformance[C62]": "PASSED",
        "TestPaper::test_conformance[C95]": "SKIPPED",
        "TestNobody::test_conformance[C04]": "FAILED",
        "TestNobody::test_conformance[C06[empty]]": "FAILED",
        "TestNobody::test_conformance[C06[bids]]": "FAILED",
        "TestNobody::test_conformance[C06[asks]]": "FAILED",
        "TestNobody::test_conformance[C62]": "FAILED",
        "TestNobody::test_conformance[C95]": "FAILED",
    }, done.stdout + done.stderr
    assert "waived: a reason that is printed" in done.stdout
    assert "not applicable: the exchange lives in this process: there is no wire" in done.stdout
    assert "the plugin of nobody ships no fake" in done.stdout


def test_a_failure_tells_the_case_what_is_wrong_and_where(tmp_path: Path) -> None:
    broken = """
from exgate_paper.adapter import PaperExchange
from msgspec.structs import replace


async def depth(self, market, limit):
    found = self.engine.depth(market.symbol, limit)
    return replace(found, bids=found.bids[::-1])


depth.exgate_impl = PaperExchange.depth.exgate_impl
PaperExchange.depth = depth
"""
    (tmp_path / "test_it.py").write_text(FILE + broken)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "TestPaper and C04]", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert "C04 books: a price of the bids of BTC/USDT" in done.stdout
    assert "levels, best first on both sides, in the seed's JSON" in done.stdout
    assert "cases_public.py" in done.stdout
