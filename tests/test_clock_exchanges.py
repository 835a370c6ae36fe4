"""A clock that differs from the exchange's, with every installed adapter: what was lost is found, and nothing else."""

from __future__ import annotations

import pytest

pytest.importorskip("exgate_testing")

from exgate_testing.faults import WireFault
from exgate_testing.house import House, Terms, open_house
from exgate_testing.subjects import subject

pytestmark = pytest.mark.anyio

TERMS = Terms(speed=20.0, settle=1.0)
ADAPTERS = [("binance", ""), ("okx", ""), ("kraken", ""), ("binance", "exgate-ccxt")]


@pytest.mark.parametrize("wrong", [-7200.0, 600.0, 7200.0, 31 * 86_400.0])
@pytest.mark.parametrize(("name", "plugin"), ADAPTERS)
async def test_a_lost_answer_is_told_by_the_exchanges_clock(name: str, plugin: str, wrong: float) -> None:
    async with open_house(subject(name, plugin=plugin), TERMS) as house:
        house.world.skew = -wrong
        start = house.now()
        house.wire.faults.add(WireFault(operation="place_order", kind="drop", when="after"))
        placed = await house.order(house.body(), "lost")
        assert (placed.status, placed.headers["exgate-outcome"]) == (200, "placed"), placed.body
        assert len(house.world.all_orders()) == 1
        assert house.now() - start < 10, "seconds until it was told"
        house.wire.faults.add(WireFault(operation="place_order", kind="drop", when="before"))
        refused = await house.order(house.body(offset=-60), "never")
        assert (refused.status, refused.headers["exgate-outcome"]) == (400, "refused"), refused.body
        assert refused.headers["exgate-reason"] == "ORDER_NEVER_ARRIVED"
        assert len(house.world.all_orders()) == 1
        assert await skew(house) == pytest.approx(wrong, abs=4.0)


async def skew(house: House) -> float:
    rows = (await house.door.get("/v1/exchanges")).json["exchanges"]
    return float(next(row["clock_skew"] for row in rows if row["name"] == house.name))
