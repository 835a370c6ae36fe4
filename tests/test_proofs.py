"""What the longer proofs rely on still stands, so that a change that moves it is noticed at once."""

from __future__ import annotations

import pytest

from tests.proofs.defences import DEFENCES, Defence
from tests.support.running import ROOT


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_each_defence_stands_where_the_proof_takes_it_out(defence: Defence) -> None:
    path, name = defence.test.split("::")
    assert (ROOT / defence.path).read_text(encoding="utf-8").count(defence.old) == 1
    assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(encoding="utf-8")
