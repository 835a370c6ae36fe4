"""A machine whose clock is wrong is told so: in the log, by /readyz and /v1/exchanges."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from exgate_core.exchange_clock import ExchangeClock
from exgate_core.secrets import Secret
from exgate_core.settings import Section

from .support.front import calling, plugin
from .support.odd_plugins import VAULT
from .support.serving import serving, settings_for

pytestmark = pytest.mark.anyio

OPENED = "        open_accounts.append(self._key)\n"
ASKED = OPENED + "        self._context.report_time((self._context.clock.time() - {ahead}) * 1000)\n"
MADE = "        self._key = context.credentials"


@pytest.mark.parametrize(
    ("ahead", "words"), [(7200.0, "7200.0 s ahead of vault's"), (-600.0, "600.0 s behind vault's"), (4.0, "")]
)
async def test_a_clock_that_is_wrong_is_told_and_keeps_nothing_from_being_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ahead: float, words: str
) -> None:
    text = VAULT.replace(OPENED, ASKED.format(ahead=ahead)).replace(MADE, f"        self._context = context\n{MADE}")
    main = Section(exchange="vault", api_key=Secret("main"), api_secret=Secret("x"))
    second = Section(exchange="vault", api_key=Secret("second"), api_secret=Secret("x"))
    catalogue = plugin(tmp_path / "plugins", "vault", text)
    settings = settings_for(tmp_path, main=main, second=second)
    async with serving(settings, catalogue) as served, calling(served.url) as caller:
        token = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        for name in ("main", "second"):
            assert (await caller.get(f"/v1/{name}/balances", **token)).status == 200
        ready = await caller.get("/readyz")
        rows = {row["name"]: row for row in (await caller.get("/v1/exchanges")).body["exchanges"]}
    assert (ready.status, ready.body["ready"]) == (200, True)
    assert set(ready.body["problems"]) == ({"main", "second"} if words else set())
    warnings = [record for record in caplog.records if record.name == "exgate.clock"]
    assert len(warnings) == (1 if words else 0)
    for name in ("main", "second"):
        assert rows[name]["clock_skew"] == pytest.approx(ahead, abs=0.5)
        assert rows[name]["problem"] == ready.body["problems"].get(name, "")
        assert words in rows[name]["problem"]
    for warning in warnings:
        assert warning.levelno == logging.WARNING
        assert warning.getMessage().startswith("main, second (vault): ") and words in warning.getMessage()
        assert "timedatectl set-ntp true" in warning.getMessage()


async def test_an_exchange_that_was_never_asked_has_no_figure(tmp_path: Path) -> None:
    catalogue = plugin(tmp_path / "plugins", "vault", VAULT)
    settings = settings_for(tmp_path, vault=Section(exchange="vault"))
    async with serving(settings, catalogue) as served, calling(served.url) as caller:
        rows = {row["name"]: row for row in (await caller.get("/v1/exchanges")).body["exchanges"]}
    assert rows["vault"]["clock_skew"] is None


class Hands:
    """A clock whose two hands a test moves."""

    def __init__(self) -> None:
        self.steady, self.wall = 100.0, 1_790_000_000.0

    def monotonic(self) -> float:
        return self.steady

    def time(self) -> float:
        return self.wall


async def test_the_exchanges_time_goes_on_whatever_is_done_to_this_machines(caplog: pytest.LogCaptureFixture) -> None:
    hands = Hands()
    clock = ExchangeClock(hands, "main", "vault")
    assert (clock.now_ms(), clock.skew, clock.problem) == (0, None, "")
    clock.report(1_790_000_000_000)
    hands.steady += 10
    hands.wall += 10 + 600
    assert clock.now_ms() == 1_790_000_010_000
    assert clock.skew == pytest.approx(600)
    for _ in range(2):
        clock.report(1_790_000_010_000)
    hands.wall -= 600
    assert clock.problem == ""
    clock.report(1_790_000_010_000)
    hands.wall -= 600
    clock.report(1_790_000_010_000)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and "600.0 s ahead" in told[0] and "600.0 s behind" in told[1]
