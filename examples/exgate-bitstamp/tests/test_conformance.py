"""The kit's cases over the fake of this package."""

from __future__ import annotations

from exgate_testing import ExchangeConformance


class TestBitstamp(ExchangeConformance):
    """Every case; what Bitstamp lacks is waived by its fake, with the reason."""

    exchange = "bitstamp"
