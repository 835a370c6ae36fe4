"""Pages that are made from the source are what the source says; the version policy is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import directory, pages
from exgate_core import EXGATE_API, client, dialects, errors, fetch, hookspecs, models, rows
from exgate_core.plugins import load_catalogue

from .support.running import ROOT
from .test_rooms import PUBLIC

VERSIONS = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
HOOKS = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
PLUGIN = """
from exgate_core import Market, hookimpl
{line}

class Exchange:
    def __init__(self, context): ...

    @hookimpl
    async def markets(self):
        raise AssertionError("never called")

@hookimpl
def register_exchanges(register):
    register("fig", exchange=Exchange)
"""


def test_the_pages_are_what_the_generator_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert pages.main(["--check"]) == 0, f"{capsys.readouterr().out}python docs/pages.py writes them"


def test_a_stale_page_is_found_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    (tmp_path / "hooks.md").write_text("old")
    assert pages.main(["--check"]) == len(pages.PAGES)
    assert "hooks.md: out of date" in capsys.readouterr().out
    assert pages.main([]) == 0
    assert (tmp_path / "hooks.md").read_text(encoding="utf-8") == HOOKS


@pytest.mark.parametrize("owner", [hookspecs.ModuleHooks, hookspecs.ExchangeHooks, hookspecs.AccountHooks])
def test_every_hook_stands_in_the_reference(owner: type) -> None:
    for name, function in vars(owner).items():
        if hasattr(function, "exgate_spec"):
            entry = HOOKS.split(f"### `{name}`\n")[1].split("\n### ")[0]
            assert all(f"{argument}: " in entry for argument in function.__annotations__ if argument != "return")
            assert (function.__doc__ or "").split("``")[0].split("\n")[0] in entry


@pytest.mark.parametrize("name", pages.VALUES)
def test_every_field_stands_in_the_reference(name: str) -> None:
    entry = HOOKS.split(f"### `{name}`\n")[1].split("\n#")[0]
    assert re.findall(r"^\| `(\w+)` \|", entry, re.MULTILINE) == list(getattr(models, name).__struct_fields__)


def test_the_reference_has_every_value_that_hooks_name() -> None:
    text = "".join(str(function.__annotations__) for side in (hookspecs.ExchangeHooks, hookspecs.AccountHooks)
                   for function in vars(side).values() if hasattr(function, "exgate_spec"))  # fmt: skip
    for name in re.findall(r"\b[A-Z]\w+", text):
        assert f"### `{name}`" in HOOKS or f"\n{name} = " in HOOKS or name in ("None", "Sequence"), name


def test_the_reference_has_the_whole_context_and_the_errors_of_adapters() -> None:
    for name in (
        *client.Context.__annotations__,
        *fetch.Response.__struct_fields__,
        *dialects.Limits.__struct_fields__,
    ):
        assert f"| `{name}` |" in HOOKS
    raised = re.findall(r"(\w+) +\d+ +\d+ .*\(adapters raise it\)", errors.__doc__ or "")
    assert sorted(raised) == sorted(pages.RAISED)


def test_the_directory_says_what_the_plugins_register() -> None:
    text = directory.PAGE.read_text(encoding="utf-8")
    catalogue = load_catalogue(directory.OWN)
    assert [report.refused for report in catalogue.reports] == [""] * len(directory.OWN)
    assert directory.page(catalogue, directory.judged(text)) == text, "python docs/directory.py writes it"
    shipped = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert shipped - set(directory.OWN) == {"exgate-testing"}  # which offers no exchange


def test_the_directory_has_a_verdict_on_every_exchange_that_can_be_judged() -> None:
    said = directory.judged(directory.PAGE.read_text(encoding="utf-8"))
    for name in directory.with_fakes() & set(said):
        assert re.fullmatch(r"passed(, \d+ waived)?", said[name]), f"{name}: python docs/directory.py --conform"
    assert {name for name, verdict in said.items() if verdict != "-"} <= directory.with_fakes()


# Versions


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("nothing", ""),
        ("an older one", "EXGATE_API = 0"),
        ("a newer one", "EXGATE_API = 2"),
        ("the gateway's own", f"EXGATE_API = {EXGATE_API}"),
    ],
)
def test_a_gateway_does_with_the_integer_what_the_page_says(row: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "fig.py").write_text(PLUGIN.format(line=line))
    [report] = load_catalogue([], tmp_path).reports
    [said] = re.findall(rf"^\| {row} \| (.*) \|$", VERSIONS, re.MULTILINE)
    if report.refused:
        assert said.startswith("refused: `") and report.refused.endswith(said.removeprefix("refused: `").rstrip("`"))
    else:
        assert said.startswith("loaded") and "fig" in report.serves


def test_the_page_names_the_numbers_of_today() -> None:
    assert f"    EXGATE_API = {EXGATE_API}\n" in VERSIONS
    assert f"The journal of orders has a version too (now {rows.SCHEMA})" in VERSIONS
    assert f"One integer, now {EXGATE_API}," in VERSIONS
    paragraph = VERSIONS.split("Only what is listed")[1].split("belongs to it")[0]
    assert set(re.findall(r"`(\w+)`", paragraph)) == PUBLIC


def test_an_argument_that_an_implementation_does_not_name_is_not_given_to_it(tmp_path: Path) -> None:
    """Why a new argument of a hook breaks no plugin."""
    shorter = PLUGIN.format(line="EXGATE_API = 1").replace(
        "@hookimpl\ndef", "    @hookimpl\n    async def depth(self, market): ...\n\n@hookimpl\ndef"
    )
    (tmp_path / "fig.py").write_text(shorter)
    [report] = load_catalogue([], tmp_path).reports
    assert (report.refused, sorted(report.serves["fig"])) == ("", ["depth", "markets"])
