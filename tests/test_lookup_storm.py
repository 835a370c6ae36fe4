"""A second in which the answers of many orders are lost: the rest of the exchange's limit stays everybody's."""

from __future__ import annotations

import pytest

pytest.importorskip("exgate_testing")
from tests.support.lookup_storm import Storm


@pytest.mark.parametrize("name", ["binance", "okx", "kraken"])
def test_look_ups_of_lost_orders_leave_cancels_orders_and_reads_alone(name: str) -> None:
    pytest.importorskip(f"exgate_{name}")
    storm = Storm(lost=30, down=12.0).run(name, cancels=12)
    assert storm.failed == []
    assert max(storm.cancels) < 1.0
    assert set(storm.reads) == {200}
    assert storm.wrong == []
    assert set(storm.told.values()) == {"placed", "refused"}
    assert max(storm.settled) < 60.0
