"""Verdicts for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct

from .judging import Verdict, counts
from .subjects import Subject
from .table import load


class Report(Struct, frozen=True, kw_only=True):
    """What came of one exchange."""

    exchange: str
    plugin: str = ""
    version: str = ""
    judged: bool = True
    why: str = ""
    """Why it wasn't judged."""
    seconds: float = 0.0
    verdicts: Sequence[Verdict] = ()

    @property
    def failed(self) -> bool:
        """Whether any case failed."""
        return any(verdict.result == "failed" for verdict in self.verdicts)


def report(subject: Subject, verdicts: Sequence[Verdict], seconds: float) -> Report:
    """The report on an exchange that was judged."""
    return Report(
        exchange=subject.name,
        plugin=subject.distribution,
        version=subject.offer.version,
        seconds=round(seconds, 1),
        verdicts=verdicts,
    )


def plain(found: Report) -> dict[str, Any]:
    """A report as JSON values."""
    values: dict[str, Any] = msgspec.to_builtins(found)
    values["cases"] = values.pop("verdicts")
    for row, verdict in zip(values["cases"], found.verdicts, strict=True):
        row["label"] = verdict.label
    return {**values, "counts": counts(found.verdicts)}


def text(found: Report) -> Iterator[str]:
    """A report in lines."""
    if not found.judged:
        yield f"{found.exchange}: {found.why}"
        return
    yield f"{found.exchange}: {found.plugin} {found.version}".rstrip()
    for result in ("failed", "waived"):
        for verdict in found.verdicts:
            if verdict.result == result:
                yield f"  {result:8}  {verdict.label:18}  {verdict.title}: {verdict.why}"
    missing = [verdict for verdict in found.verdicts if verdict.result == "not applicable"]
    for why, group in groupby(sorted(missing, key=lambda verdict: (verdict.why, verdict.label)), lambda v: v.why):
        yield f"  not applicable  {why}: {', '.join(_short([verdict.label for verdict in group]))}"
    figures = ", ".join(f"{number} {kind}" for kind, number in counts(found.verdicts).items())
    yield f"  {figures}; {found.seconds:g} s"


def _short(labels: Sequence[str]) -> Iterator[str]:
    """Variants of one case together: ``C50[drop html]``, or ``C50`` where it is all of them."""
    known = load()
    for case, group in groupby(labels, lambda label: label.partition("[")[0]):
        variants = [label.partition("[")[2].rstrip("]") for label in group]
        yield case + (f"[{' '.join(variants)}]" if len(variants) < len(known[case].variants) else "")
