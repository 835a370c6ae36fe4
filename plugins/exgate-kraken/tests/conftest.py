"""Tests of exgate-kraken. Helpers beside this file are imported by their own names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def anyio_backend() -> str:
    """ExGate runs on asyncio only."""
    return "asyncio"
