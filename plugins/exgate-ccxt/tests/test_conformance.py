"""A few of the kit's cases for each exchange of which there is a fake; all of them: ``proofs/ccxt_conform.py``."""

from __future__ import annotations

import asyncio

import pytest
from conforming import EXCHANGES, WAIVERS, judged
from exgate_testing.judging import judge_all
from exgate_testing.subjects import NotJudged

FEW = (
    *("C02", "C04", "C07", "C10", "C12", "C20[depth-blank]", "C20[balances-html]", "C21[balances]", "C22[depth]"),
    *("C40[limit-buy]", "C41", "C43[secret]", "C44[ahead]", "C44[behind]", "C45", "C49[ahead]", "C49[behind]"),
    *("C50[drop]", "C51[cut]", "C51[html]", "C53", "C55", "C58[drop]", "C59", "C62", "C63[filled]", "C63[unknown]"),
    *("C67", "C68", "C73", "C81[later]", "C88"),
)


@pytest.mark.parametrize("name", EXCHANGES)
def test_cases_of_the_kit(name: str) -> None:
    try:
        subject = judged(name)
    except NotJudged as error:
        pytest.skip(str(error))
    verdicts = asyncio.run(judge_all(subject, WAIVERS[name], FEW))
    wrong = {verdict.label: verdict.why for verdict in verdicts if verdict.result == "failed"}
    assert not wrong
    assert sum(verdict.result == "passed" for verdict in verdicts) >= len(FEW) - 3
