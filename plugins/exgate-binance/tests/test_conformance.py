"""The kit's judgement of this plugin, case by case."""

from __future__ import annotations

import pytest

pytest.importorskip("exgate_testing")

from exgate_binance.fake import BinanceFake
from exgate_testing import ExchangeConformance


class TestBinance(ExchangeConformance):
    """Binance, over its fake."""

    exchange = "binance"
    plugin = "exgate-binance"
    fake = BinanceFake
