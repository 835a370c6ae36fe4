"""The mistakes of tests/proofs/twenty_faults.py still fit the packages that they are put into."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "proofs"))


def test_every_mistake_fits() -> None:
    from twenty_faults import FURTHER, TWENTY, misfits

    assert len(TWENTY) == 20
    absent = [one.exchange for one in TWENTY + FURTHER if not importlib.util.find_spec(f"exgate_{one.exchange}")]
    if absent:
        pytest.skip(f"not installed: {sorted(set(absent))}")
    assert misfits(TWENTY + FURTHER) == []
