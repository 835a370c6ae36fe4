"""What comes of a case: passed, waived with a reason, not applicable, or failed; and how that is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from exgate_testing import command, judging
from exgate_testing.judging import BadWaiver, check_waivers, chosen, counts, judge, judge_all
from exgate_testing.pace import FastClock
from exgate_testing.report import plain, report, text
from exgate_testing.subjects import NotJudged, Subject, names, subject
from exgate_testing.table import Case, NotApplicable, always, load
from lemon_fake import LemonFake, lemon

from exgate_core.errors import ExGateError

BOOK = 'bids=book["bids"], asks=book["asks"], last_update_id=book["sequence"]'
NO_RULES = {"C01": "Lemon's market list tells no rules"}
NO_TYPES = dict.fromkeys(("C100[depth]", "C101[depth]"), "Lemon looks at nothing in an answer before it is used")


def made(run: object, **more: object) -> Case:
    """A case of its own."""
    fields: dict[str, object] = {"variants": ("",), "applies": always, "alone": False, "proves": "something"}
    return Case(id="C00", title="a case", run=run, **(fields | more))  # type: ignore[arg-type]


def verdict(run: object, waivers: dict[str, str] | None = None, **more: object) -> judging.Verdict:
    """What comes of it, whoever is judged."""
    nobody: Subject = None  # type: ignore[assignment]
    return asyncio.run(judge(nobody, made(run, **more), "", waivers or {}))


def test_the_numbers_are_what_reports_and_waivers_hold_on_to() -> None:
    table = load()
    assert list(table) == sorted(table, key=lambda number: int(number[1:]))
    assert all(number[0] == "C" and number[1:] == f"{int(number[1:]):02d}" for number in table)
    labels = [case.label(variant) for case, variant in chosen()]
    assert len(labels) == len(set(labels))
    assert all(case.title and case.proves and "|" not in case.title + case.proves for case in table.values())


def test_what_becomes_of_a_case() -> None:
    async def well(subject: Subject, variant: str) -> None: ...

    async def wrong(subject: Subject, variant: str) -> None:
        raise AssertionError("3 instead of 2")

    async def broken(subject: Subject, variant: str) -> None:
        raise ExceptionGroup("several", [ExceptionGroup("one", [KeyError("x")])])

    async def pointless(subject: Subject, variant: str) -> None:
        raise NotApplicable("no such thing")

    assert verdict(well).result == "passed"
    assert (verdict(wrong).result, verdict(wrong).why) == ("failed", "3 instead of 2")
    assert (verdict(broken).result, verdict(broken).why) == ("failed", "KeyError: 'x'")
    assert "broken" in verdict(broken).trace
    assert (verdict(pointless).result, verdict(pointless).why) == ("not applicable", "no such thing")
    absent = verdict(wrong, applies=lambda subject, variant: "not here")
    assert (absent.result, absent.why) == ("not applicable", "not here")
    waived = verdict(wrong, {"C00": "it can't"})
    assert (waived.result, waived.why) == ("waived", "it can't")


def test_a_case_that_never_ends_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(subject: Subject, variant: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(judging, "_LIMIT", 0.02)
    assert verdict(stuck).result == "failed"


def test_a_waiver_names_a_case_and_a_reason() -> None:
    check_waivers({"C50": "why", "C50[drop]": "why"})
    for wrong in ({"C000": "why"}, {"C50[no such]": "why"}, {"C50": " "}):
        with pytest.raises(BadWaiver):
            check_waivers(wrong)


def test_the_example_of_the_documentation_passes(tmp_path: Path) -> None:
    verdicts = asyncio.run(judge_all(lemon(tmp_path), {**NO_RULES, **NO_TYPES}))
    assert [(one.label, one.why) for one in verdicts if one.result == "failed"] == []
    found = counts(verdicts)
    assert found["passed"] >= 30
    assert found["waived"] == 3
    told = "\n".join(text(report(lemon(tmp_path), verdicts, 1.0)))
    assert "waived    C01                 market list: Lemon's market list tells no rules" in told
    assert "the plugin has no place_order: " in told
    assert "C50[" not in told, "all variants of a case are told as the case"


@pytest.mark.parametrize(
    ("old", "new", "case"),
    [
        ('bids=book["bids"], asks=book["asks"]', 'bids=book["asks"], asks=book["bids"]', "C04"),
        ('bids=book["bids"]', 'bids=book["bids"][::-1]', "C04"),
        ('bids=book["bids"]', 'bids=[[p, a.rstrip("0")] for p, a in book["bids"]]', "C10"),
        ('bids=book["bids"]', 'bids=[[str(float(p)), a] for p, a in book["bids"]]', "C10"),
        ('"size": str(limit)', '"size": "5"', "C05"),
        ('"market": market.id', '"market": "btcusd"', "C02"),
        ("id=r", 'id="x" + r', "C01"),
        ('last_update_id=book["sequence"]', 'last_update_id=int(float(book["sequence"]))', "C04"),
        (BOOK, "bids=[], asks=[]", "C04"),
        (BOOK, 'bids=book.get("bids", []), asks=book.get("asks", []), last_update_id=0', "C20[depth-blank]"),
        (
            "        book = await",
            "        if hasattr(self, 'kept'):\n            return self.kept\n        self.kept = book = await",
            "C13",
        ),
    ],
)
def test_mistakes_are_caught(tmp_path: Path, old: str, new: str, case: str) -> None:
    found = asyncio.run(judge_all(lemon(tmp_path, old, new), {}, [case]))
    assert [one.result for one in found] == ["failed"], found


def run(*arguments: str) -> Result:
    """``exgate conform``; its exit code is what it returns."""
    return CliRunner().invoke(command.conform, arguments, standalone_mode=False)


def test_the_command_tells_its_verdict_by_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("paper", "--case", "C04", "--case", "C95", "--waive", "C04=no books")
    assert done.return_value == 0
    assert "waived    C04                 books: no books" in done.output
    assert "not applicable  the exchange lives in this process: there is no wire: C95" in done.output
    assert "0 passed, 1 waived, 1 not applicable, 0 failed" in done.output

    async def wrong(*arguments: object) -> list[judging.Verdict]:
        return [judging.Verdict(case="C04", variant="", title="books", result="failed", why="3 instead of 2")]

    monkeypatch.setattr(judging, "judge_all", wrong)
    done = run("paper")
    assert done.return_value == 1
    assert "failed    C04                 books: 3 instead of 2" in done.output


def test_the_report_as_json() -> None:
    done = run("paper", "--json", "--case", "C04", "--case", "C50[drop]")
    (found,) = json.loads(done.output)["exchanges"]
    assert (found["exchange"], found["plugin"], found["judged"]) == ("paper", "exgate-paper", True)
    assert [(row["label"], row["result"]) for row in found["cases"]] == [("C04", "passed"), ("C50[drop]", "passed")]
    assert found["counts"] == {"passed": 2, "waived": 0, "not applicable": 0, "failed": 0}


def test_an_exchange_without_a_fake_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exgate_testing.subjects.names", lambda: {"acme": "exgate-acme", "paper": "exgate-paper"})
    done = run("acme")
    assert done.return_value == 3
    assert "acme: not judged: the plugin of acme ships no fake" in done.output
    done = run("--all", "--case", "C04")
    assert done.return_value == 0
    assert "exgate-acme: not judged: ships no fake for acme" in done.output
    assert "paper: exgate-paper" in done.output


@pytest.mark.parametrize(
    "arguments", [(), ("paper", "--all"), ("paper", "--case", "C000"), ("paper", "--waive", "C50"), ("nosuch",)]
)
def test_wrong_command_lines(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.exception is not None
    assert isinstance(done.exception, ExGateError) == (arguments == ("nosuch",))


def test_the_installed_are_found_by_name() -> None:
    assert names()["paper"] == "exgate-paper"
    assert subject("paper").fake is None
    with pytest.raises(NotJudged, match="ships no fake"):
        subject("no-such-exchange")


def test_a_fake_carries_its_waivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LemonFake, "waivers", NO_RULES, raising=False)
    (found,) = asyncio.run(judge_all(lemon(tmp_path), None, ["C01"]))
    assert (found.result, found.why) == ("waived", NO_RULES["C01"])
    assert plain(report(lemon(tmp_path), [found], 0.1))["counts"]["waived"] == 1


def test_a_fake_says_which_cases_do_not_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LemonFake, "not_applicable", ("C50[drop]", "C40"), raising=False)
    found = asyncio.run(judge_all(lemon(tmp_path), NO_RULES, ["C50[drop]", "C50[html]", "C40[limit-buy]", "C04"]))
    results = {one.label: one.result for one in found}
    no = "not applicable"
    assert results == {"C04": "passed", "C40[limit-buy]": no, "C50[drop]": no, "C50[html]": "failed"}
    assert "this case applies here, and yet it doesn't: the plugin has no place_order" in found[-1].why


def test_later_is_later_for_all_that_an_adapter_sees() -> None:
    clock = FastClock(5.0)
    before = clock.monotonic(), clock.time()
    clock.skipped += 3600.0
    passed = clock.monotonic() - before[0], clock.time() - before[1]
    assert all(3600.0 <= seconds < 3610.0 for seconds in passed)
