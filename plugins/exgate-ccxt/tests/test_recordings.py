"""Every recorded REST answer of all seven exchanges through the gateway's HTTP. Needs EXGATE_SHARED."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("ccxt")
pytest.importorskip("cryptography")

from recorded import CANCELS, MARKETS, NOT_ASKED, ORDERS, Recorded, compared_all, private, public, recorded

pytestmark = pytest.mark.anyio


@pytest.fixture
async def gateway(venue: Any, tmp_path: Path) -> AsyncIterator[Recorded]:
    async with recorded(venue, tmp_path, patience=1.0) as running:
        yield running


async def test_books_and_trades_to_the_last_character(gateway: Recorded, shared: Path) -> None:
    done = await judged(gateway, public(shared))
    assert done.total() == 73


async def test_balances_orders_cancels_and_open_orders_to_the_last_character(gateway: Recorded, shared: Path) -> None:
    done = await judged(gateway, private(shared))
    assert done.total() == 33
    assert set(ORDERS) | set(CANCELS) <= {record["record"] for record in private(shared)}
    asked = {entry.get("record") for entry in gateway.state.log}
    assert not asked & set(NOT_ASKED), asked & set(NOT_ASKED)


async def judged(gateway: Recorded, found: list[dict[str, Any]]) -> Counter[str]:
    done, wrong = await compared_all(gateway, found)
    print("recorded answers compared:", ", ".join(f"{name} {count}" for name, count in sorted(done.items())))  # noqa: T201
    assert not wrong, "\n".join(wrong)
    return done


async def test_an_order_leaves_as_it_was_asked_for_with_the_id_that_is_told(gateway: Recorded) -> None:
    gateway.state.config["session"] = {**MARKETS, "okx": "okx/samples"}
    status, _, headers = await gateway.post("okx/order", ORDERS["okx/samples/r0005"])
    assert (status, headers["ExGate-Outcome"]) == (200, "placed")
    (sent,) = [entry for entry in gateway.state.log if entry.get("method") == "POST"]
    assert f'"clOrdId":"{headers["ExGate-Client-Order-Id"]}"' in sent["body"]
    assert '"px":"59200"' in sent["body"]
