"""``exgate conform``: the cases without pytest, on what is installed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from exgate_core.errors import NotFound

if TYPE_CHECKING:
    from .report import Report

NOT_JUDGED = 3
"""The exit code for an exchange that ships no fake."""
FAILED = 1
_SHOWN = 8


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every installed exchange.")
@click.option("--case", "only", multiple=True, metavar="ID", help="Only this case: C50, or C50[drop]; may be repeated.")
@click.option("--waive", "waived", multiple=True, metavar="ID=REASON", help="Don't try a case; the reason is printed.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def conform(
    names: tuple[str, ...], everything: bool, only: tuple[str, ...], waived: tuple[str, ...], as_json: bool
) -> int:
    """Judge installed exchange plugins: numbered cases over the fake that each ships.

    Ends with 0 if no case failed, 1 if one did, 3 if an exchange that was named ships no fake.
    """
    from .judging import BadWaiver, check_waivers

    if bool(names) == everything:
        raise click.UsageError("name the exchanges to judge, or say --all")
    waivers = dict(map(_waiver, waived))
    try:
        check_waivers({**waivers, **dict.fromkeys(only, "named")})
    except BadWaiver as error:
        raise click.UsageError(str(error)) from error
    return _judge(list(names), everything, only, waivers, as_json)


def _waiver(text: str) -> tuple[str, str]:
    case, _, reason = text.partition("=")
    return case, reason


def _judge(names: Sequence[str], everything: bool, only: Sequence[str], waivers: dict[str, str], as_json: bool) -> int:
    from .report import plain, text
    from .subjects import names as installed

    known = installed()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NotFound(f"no installed plugin offers an exchange {unknown[0]}; `exgate plugins` lists them")
    reports: list[Report] = []
    with _quiet():
        for name in names or known:
            reports.append(found := _report(name, known[name], only, waivers))
            if not as_json and not (everything and not found.judged):
                click.echo("\n".join(text(found)))
    if as_json:
        click.echo(json.dumps({"exchanges": [plain(found) for found in reports]}, indent=2, ensure_ascii=False))
    elif everything:
        _tell_unjudged(reports)
    if any(found.failed for found in reports):
        return FAILED
    return NOT_JUDGED if names and not all(found.judged for found in reports) else 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Faults are made here by the hundred: nobody wants to read of each."""
    log = logging.getLogger("exgate")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _report(name: str, plugin: str, only: Sequence[str], waivers: dict[str, str]) -> Report:
    from .judging import judge_all
    from .report import Report, report
    from .subjects import NotJudged, subject

    try:
        trial = subject(name)
    except NotJudged as error:
        return Report(exchange=name, plugin=plugin, judged=False, why=str(error))
    start = time.monotonic()
    verdicts = asyncio.run(judge_all(trial, waivers, only))
    return report(trial, verdicts, time.monotonic() - start)


def _tell_unjudged(reports: Sequence[Report]) -> None:
    """Exchanges without a fake, by their plugin."""
    absent = [found for found in reports if not found.judged]
    for plugin in dict.fromkeys(found.plugin for found in absent):
        names = [found.exchange for found in absent if found.plugin == plugin]
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        click.echo(f"{plugin}: not judged: ships no fake for {shown}")
