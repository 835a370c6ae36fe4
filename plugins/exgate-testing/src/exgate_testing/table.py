"""The numbered cases: what each proves, when it applies, and the function that tries it.

The table is filled by the modules ``cases_*``; reports, pytest ids and the table in docs/testing-a-plugin.md are made
from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from .subjects import Subject

Run = Callable[[Subject, str], Awaitable[None]]
Applies = Callable[[Subject, str], str]


class NotApplicable(Exception):
    """Raised by a case that finds out as it runs that it proves nothing here; the text says why."""


class Case(Struct, frozen=True, kw_only=True):
    """One case. Each variant is tried, and reported, by itself."""

    id: str
    """``C`` and two digits or more. Numbers are never used again for something else."""
    title: str
    proves: str
    """What holds for an adapter that passes."""
    variants: tuple[str, ...]
    """One empty variant where there is nothing to tell apart."""
    applies: Applies
    """Why the case proves nothing of this subject; empty = it does."""
    alone: bool
    """It looks at the whole process: nothing else may run beside it."""
    run: Run
    """Raises AssertionError, or whatever goes wrong."""

    def label(self, variant: str) -> str:
        """How a variant is called: ``C45[drop]``."""
        return f"{self.id}[{variant}]" if variant else self.id


CASES: dict[str, Case] = {}
"""Every case by its id, in order."""


def always(subject: Subject, variant: str) -> str:
    """Applies to everybody."""
    return ""


def needs(*operations: str) -> Applies:
    """Applies where the plugin has these hooks."""

    def applies(subject: Subject, variant: str) -> str:
        missing = [operation for operation in operations if not subject.has(operation)]
        return f"the plugin has no {missing[0]}" if missing else ""

    return applies


def every(*conditions: Applies) -> Applies:
    """Applies where all of them do."""

    def applies(subject: Subject, variant: str) -> str:
        return next((why for condition in conditions if (why := condition(subject, variant))), "")

    return applies


def wired(subject: Subject, variant: str) -> str:
    """Applies to exchanges that are reached over a network."""
    return "" if subject.fake is not None else "the exchange lives in this process: there is no wire"


def faulty(subject: Subject, variant: str) -> str:
    """Applies where such a fault can happen: an exchange of this process can fall silent, break, or be busy."""
    kind = variant.rpartition("-")[2]
    return "" if kind in ("", "drop", "hang", "html", "too_many", "once") else wired(subject, variant)


def case(
    number: str,
    title: str,
    proves: str,
    applies: Applies = always,
    variants: Sequence[str] = ("",),
    *,
    alone: bool = False,
) -> Callable[[Run], Run]:
    """Enter a function into the table."""

    def enter(run: Run) -> Run:
        assert number not in CASES, number
        CASES[number] = Case(
            id=number,
            title=title,
            proves=proves,
            variants=tuple(variants),
            applies=applies,
            alone=alone,
            run=run,
        )
        return run

    return enter


def load() -> dict[str, Case]:
    """The whole table."""
    from . import (  # noqa: F401 - they enter their cases
        cases_books,
        cases_errors,
        cases_hostile,
        cases_joins,
        cases_life,
        cases_lines,
        cases_lookups,
        cases_options,
        cases_orders,
        cases_own,
        cases_private,
        cases_public,
        cases_sends,
        cases_streams,
        cases_times,
    )

    return dict(sorted(CASES.items(), key=lambda item: int(item[0][1:])))
