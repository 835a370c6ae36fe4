"""The paper exchange, judged like any other."""

from __future__ import annotations

from exgate_testing import ExchangeConformance


class TestPaper(ExchangeConformance):
    """It has no wire: what happens on one doesn't apply."""

    exchange = "paper"
