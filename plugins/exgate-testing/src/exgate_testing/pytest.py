"""The cases as pytest tests, for authors who write ``class TestAcme(ExchangeConformance): exchange = "acme"``.

Only this module imports pytest. Cases of one ten run side by side when the first of them is asked for, so that all of
them take seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from .fakes import Fake
from .judging import Verdict, chosen, judge_all
from .subjects import NotJudged, Subject, subject
from .table import Case

_PAIRS = list(chosen())
_VERDICTS = pytest.StashKey[dict[tuple[type, str], dict[str, Verdict]]]()


class ExchangeConformance:
    """Derive from it, name the exchange, and every case that applies is a test of yours."""

    exchange: ClassVar[str]
    """The name under which the plugin registers it."""
    plugin: ClassVar[str] = ""
    """The distribution; needed only where more than one installed plugin offers the exchange."""
    fake: ClassVar[type[Fake] | None] = None
    """The fake; found by its entry point (group ``exgate.fakes``) where it isn't given."""
    waivers: ClassVar[Mapping[str, str]] = {}
    """Cases that the exchange can't meet, and why, which is printed: ``{"C23": "Acme has no post-only orders"}``."""

    @pytest.mark.parametrize(("case", "variant"), _PAIRS, ids=[case.label(variant) for case, variant in _PAIRS])
    def test_conformance(self, request: pytest.FixtureRequest, case: Case, variant: str) -> None:
        """One variant of one case."""
        label = case.label(variant)
        verdict = _verdicts(request, type(self), label)[label]
        if verdict.result in ("waived", "not applicable"):
            pytest.skip(f"{verdict.result}: {verdict.why}")
        if verdict.result == "failed":
            pytest.fail(f"{label} {case.title}: {verdict.why}\n\n{case.proves}\n\n{verdict.trace}", pytrace=False)


def _verdicts(request: pytest.FixtureRequest, cls: type[ExchangeConformance], label: str) -> Mapping[str, Verdict]:
    """The verdicts of the ten to which the case belongs, as far as they are to be run."""
    known = request.config.stash.setdefault(_VERDICTS, {})
    ten = _ten(label)
    if label not in known.get((cls, ten), {}):
        wanted = {_label(item) for item in request.session.items if getattr(item, "cls", None) is cls}
        labels = {name for name in wanted if _ten(name) == ten} | {label}
        found = asyncio.run(judge_all(_subject(cls), cls.waivers, labels))
        known[cls, ten] = {verdict.label: verdict for verdict in found}
    return known[cls, ten]


def _ten(label: str) -> str:
    """Without the last digit of the number."""
    return label.partition("[")[0][:-1]


def _label(item: pytest.Item) -> str:
    callspec: Any = getattr(item, "callspec", None)
    params = callspec.params if callspec is not None else {}
    case = params.get("case")
    return case.label(params["variant"]) if isinstance(case, Case) else ""


def _subject(cls: type[ExchangeConformance]) -> Subject:
    try:
        return subject(cls.exchange, plugin=cls.plugin, fake=cls.fake)
    except NotJudged as error:
        pytest.fail(str(error), pytrace=False)
