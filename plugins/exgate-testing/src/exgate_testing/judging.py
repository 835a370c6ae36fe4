"""Trying cases one by one or side by side, and what comes of them."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from .subjects import Subject
from .table import Case, NotApplicable, load

Result = Literal["passed", "waived", "not applicable", "failed"]
_LIMIT = 60.0
_SIDE_BY_SIDE = 8
_DOUBTFUL = 5
"""More failures than this are no accident."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What came of one variant of one case."""

    case: str
    variant: str
    title: str
    result: Result
    why: str = ""
    """The reason of a waiver, what makes it not applicable, or what is wrong."""
    seconds: float = 0.0
    trace: str = ""
    """Where it went wrong."""

    @property
    def label(self) -> str:
        """``C45[drop]``."""
        return f"{self.case}[{self.variant}]" if self.variant else self.case


class BadWaiver(ValueError):
    """A waiver without a reason, or of a case that there is none."""


def check_waivers(waivers: Mapping[str, str]) -> None:
    """Each names a case, or one variant of it, and says why. Raises BadWaiver."""
    known = {label for case in load().values() for label in (case.id, *map(case.label, case.variants))}
    for label, reason in waivers.items():
        if label not in known:
            raise BadWaiver(f"a waiver of {label}: there is no such case")
        if not reason.strip():
            raise BadWaiver(f"the waiver of {label} gives no reason")


def waiver(waivers: Mapping[str, str], case: Case, variant: str) -> str:
    """The reason why this variant is waived; empty if it isn't."""
    return waivers.get(case.label(variant), "") or waivers.get(case.id, "")


async def attempt(subject: Subject, case: Case, variant: str) -> None:
    """Try one variant. Raises NotApplicable, or what is wrong: AssertionError, or whatever broke."""
    why = case.applies(subject, variant)
    if why:
        raise NotApplicable(why)
    try:
        async with asyncio.timeout(_LIMIT):
            await case.run(subject, variant)
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def judge(subject: Subject, case: Case, variant: str, waivers: Mapping[str, str]) -> Verdict:
    """The verdict on one try of a variant. A waived one isn't tried."""
    reason, start = waiver(waivers, case, variant), time.monotonic()
    result: Result = "waived" if reason else "passed"
    trace = ""
    if not reason:
        try:
            await attempt(subject, case, variant)
        except NotApplicable as error:
            result, reason = _applies(subject, case, variant, str(error))
        except Exception as error:
            result, reason = "failed", _said(error)
            trace = "".join(traceback.format_exception(error))
    return Verdict(
        case=case.id,
        variant=variant,
        title=case.title,
        result=result,
        why=reason,
        seconds=round(time.monotonic() - start, 3),
        trace=trace,
    )


def _applies(subject: Subject, case: Case, variant: str, why: str) -> tuple[Result, str]:
    """What it means that a case proves nothing: a fault where the fake says that it must prove something."""
    idle = getattr(subject.fake, "not_applicable", None) if subject is not None and subject.own else None
    if idle is None or {case.id, case.label(variant)} & {*idle}:
        return "not applicable", why
    return "failed", f"by the fake's not_applicable this case applies here, and yet it doesn't: {why}"


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


def chosen(only: Collection[str] = ()) -> Iterator[tuple[Case, str]]:
    """Every variant of every case, or of those that are named (``C50``, ``C50[drop]``)."""
    for case in load().values():
        for variant in case.variants:
            if not only or case.id in only or case.label(variant) in only:
                yield case, variant


async def judge_all(
    subject: Subject, waivers: Mapping[str, str] | None = None, only: Collection[str] = ()
) -> list[Verdict]:
    """All verdicts, in the order of the table. Cases run side by side but for those that look at the whole process.

    A few that fail beside others are tried once more by themselves, and only then count: cases measure how long things
    take, and a busy machine takes long.
    """
    given = {**(getattr(subject.fake, "waivers", {}) if subject.own else {}), **(waivers or {})}
    check_waivers(given)
    pairs = list(chosen(only))
    room = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def bounded(case: Case, variant: str) -> Verdict:
        async with room:
            return await judge(subject, case, variant, given)

    beside = [(case, variant) for case, variant in pairs if not case.alone]
    found = dict(zip(beside, await asyncio.gather(*(bounded(*pair) for pair in beside)), strict=True))
    failed = [pair for pair in beside if found[pair].result == "failed"]
    doubtful = failed if len(failed) <= _DOUBTFUL else []
    for case, variant in [*doubtful, *(pair for pair in pairs if pair[0].alone)]:
        found[case, variant] = await judge(subject, case, variant, given)
    return [found[pair] for pair in pairs]


def counts(verdicts: Sequence[Verdict]) -> dict[Result, int]:
    """How many of each kind."""
    kinds: tuple[Result, ...] = ("passed", "waived", "not applicable", "failed")
    return {kind: sum(verdict.result == kind for verdict in verdicts) for kind in kinds}
