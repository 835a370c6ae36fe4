"""Accounts that can't be opened or that nobody has: what orders, reads and the state of the gateway say of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from exgate_core.errors import FailedPrecondition, NotSent
from exgate_core.secrets import Secret, SettingsError
from exgate_core.settings import Section
from exgate_core.settling import settle

from .support.front import calling, plugin
from .support.odd_plugins import VAULT, loaded
from .support.serving import serving, settings_for

pytestmark = pytest.mark.anyio

ORDER = {"symbol": "BTC/USDT", "side": "buy", "type": "limit", "price": "100.00", "amount": "0.1"}


def unset() -> str:
    raise SettingsError("exchanges.vault: environment variable VAULT_KEY is empty or not set")


async def test_an_account_whose_keys_are_not_there_sends_nothing_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keyless = Section(exchange="vault", api_key=Secret(unset), api_secret=Secret("x"), trading=True)
    other = Section(exchange="vault", api_key=Secret("house"), api_secret=Secret("x"), trading=True)
    lost = Section(exchange="valt")
    settings = settings_for(tmp_path, vault=keyless, other=other, lost=lost)
    catalogue = plugin(tmp_path / "plugins", "vault", VAULT)
    async with serving(settings, catalogue) as served, calling(served.url) as caller:
        token = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        for path, body in (("order", ORDER), ("cancel", {"order_id": "1", "symbol": "BTC/USDT"})):
            told = await caller.post(f"/v1/vault/{path}", body, **token)
            assert (told.status, told.outcome, told.reason) == (503, "not-sent", "SETTINGS"), path
            assert int(told.headers["retry-after"]) >= 1
            assert told.body["message"].endswith("VAULT_KEY is empty or not set. Nothing was sent.")
        told = await caller.get("/v1/vault/balances", **token)
        assert (told.status, told.reason) == (503, "SETTINGS")
        assert (await caller.get("/v1/other/balances", **token)).status == 200
        ready = (await caller.get("/readyz")).body
        rows = {row["name"]: row for row in (await caller.get("/v1/exchanges")).body["exchanges"]}
        assert loaded("vault").sent == []
    assert ready["ready"] is True
    assert ready["exchanges"] == {"vault": "open", "other": "open", "lost": "failed"}
    assert ready["accounts"] == {"vault": "failed", "other": "open"}
    assert "VAULT_KEY" in ready["problems"]["vault"] and "did you mean vault" in ready["problems"]["lost"]
    assert set(ready["problems"]) == {"vault", "lost"}
    assert [rows["vault"][name] for name in ("state", "account", "problem")] == [
        "open",
        "failed",
        ready["problems"]["vault"],
    ]
    assert [rows["lost"][name] for name in ("state", "account")] == ["failed", ""]
    # the reason in one line, not a traceback at every try
    assert not [record for record in caplog.records if record.exc_info and record.levelno >= logging.ERROR]


CLOSED = """
from exgate_core import hookimpl
from exgate_core.errors import Refused

EXGATE_API = 1


class Closed:
    def __init__(self, context):
        context.log.warning("made")

    @hookimpl
    async def markets(self):
        raise Refused("we are closed", metadata={"outcome": "refused"})


@hookimpl
def register_exchanges(register):
    register("closed", exchange=Closed)
"""


async def test_what_cant_be_opened_is_the_sections_problem_and_each_line_of_the_log_names_the_section(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sections = {"one": Section(exchange="closed"), "two": Section(exchange="closed", sandbox=True)}
    catalogue = plugin(tmp_path / "plugins", "closed", CLOSED)
    async with serving(settings_for(tmp_path, **sections), catalogue) as served, calling(served.url) as caller:
        for name in (*sections, "closed"):
            for told in (
                await caller.get(f"/v1/{name}/depth?symbol=BTC/USDT"),
                await caller.post(f"/v1/{name}/cancel", {"order_id": "1"}),
            ):
                assert (told.status, told.reason) == (503, "EXCHANGE_REFUSED"), told
            assert told.outcome == "not-sent"
        problems = (await caller.get("/readyz")).body["problems"]
    assert "we are closed" in problems["one"] and "we are closed" in problems["two"]
    failed = {r.getMessage().partition(" can't")[0] for r in caplog.records if r.name == "exgate.lives"}
    assert failed == {"one (closed)", "two (closed)"}
    assert {r.name.rpartition(".")[2] for r in caplog.records if r.getMessage() == "made"} == {"one", "two"}


@pytest.mark.parametrize("keyed", [False, True])
async def test_two_plugins_for_one_name_need_a_token_only_where_the_settings_have_keys(
    tmp_path: Path, keyed: bool
) -> None:
    section = Section(exchange="vault")
    if keyed:
        section = replace(section, api_key=Secret("house"), api_secret=Secret("x"))
    settings = settings_for(tmp_path, vault=section)
    last = VAULT.replace("    @hookimpl\n", "    @hookimpl(trylast=True)\n")
    plugin(tmp_path / "plugins", "rival", last)
    catalogue = plugin(tmp_path / "plugins", "vault", VAULT)
    async with serving(settings, catalogue) as served, calling(served.url) as caller:
        told = await caller.get("/v1/vault/balances")
        assert (told.status, told.reason) == ((401, "UNAUTHENTICATED") if keyed else (400, "AMBIGUOUS_PLUGIN"))


async def test_a_name_without_an_account_says_so_and_not_that_a_token_is_missing(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, vault=Section(exchange="vault"))
    settings = replace(settings, server=replace(settings.server, caller_keys="trade"))
    catalogue = plugin(tmp_path / "plugins", "vault", VAULT)
    async with serving(settings, catalogue) as served, calling(served.url) as caller:
        for told in (
            await caller.get("/v1/vault/balances"),
            await caller.post("/v1/vault/order", ORDER),
        ):
            assert (told.status, told.reason) == (400, "NO_ACCOUNT")
        assert told.outcome == "refused"
        keys = {"X_ExGate_Key": "alice", "X_ExGate_Secret": "hers"}
        assert (await caller.get("/v1/vault/balances", **keys)).status == 200


@pytest.mark.parametrize("error", [FailedPrecondition("broken", metadata={"a": "b"}), NotSent("no route")])
def test_what_is_said_to_one_caller_is_not_said_to_the_next(error: Any) -> None:
    before = (error.message, dict(error.metadata), error.retry_after)
    told = settle(error, may_have_left=False)
    assert told.message.endswith("Nothing was sent.") and told.metadata["outcome"] in ("refused", "not-sent")
    assert type(told) is type(error)
    assert (error.message, error.metadata, error.retry_after) == before


def test_an_error_of_a_plugin_that_wants_more_arguments_is_copied_too() -> None:
    class Picky(NotSent):
        def __init__(self, message: str, *, where: str) -> None:
            super().__init__(message)
            self.where = where

    told = settle(Picky("gone", where="there"), may_have_left=True)
    assert isinstance(told, Picky)
    assert (told.where, told.metadata["outcome"]) == ("there", "not-sent")
