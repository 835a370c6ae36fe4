"""Tests of exgate-ccxt. Helpers beside this file and its proofs are imported by their own names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "proofs")]


@pytest.fixture
def anyio_backend() -> str:
    """ExGate runs on asyncio only."""
    return "asyncio"
