"""docs/testing-a-plugin.md tells the cases as they are. To write its table anew: EXGATE_WRITE_DOCS=1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from exgate_testing.table import load

PAGE = Path(__file__).resolve().parents[3] / "docs" / "testing-a-plugin.md"
BEGIN, END = "<!-- cases -->\n", "<!-- end of cases -->"


def table() -> str:
    """Every case, in order."""
    rows = ["| case | | what holds for an adapter that passes | variants |", "|---|---|---|---|"]
    for case in load().values():
        variants = len(case.variants) if case.variants != ("",) else ""
        rows.append(f"| {case.id} | {case.title} | {case.proves} | {variants} |")
    return "\n".join(rows) + "\n"


def test_the_page_has_the_table_of_cases() -> None:
    if not PAGE.exists():
        pytest.skip("the documentation lies beside the package only in its repository")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = before + BEGIN + table() + END + after
    if os.environ.get("EXGATE_WRITE_DOCS"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert text == wanted, "write the table anew: EXGATE_WRITE_DOCS=1 pytest plugins/exgate-testing/tests/test_page.py"
