"""exgate-kraken on trial: every numbered case of the kit, over the fake that the package ships. No waivers."""

from __future__ import annotations

from exgate_testing import ExchangeConformance


class TestKraken(ExchangeConformance):
    """Kraken spot."""

    exchange = "kraken"
