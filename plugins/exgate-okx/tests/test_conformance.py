"""The kit's cases over the fake of this package."""

from __future__ import annotations

from exgate_testing import ExchangeConformance


class TestOkx(ExchangeConformance):
    """Every case, none waived."""

    exchange = "okx"
