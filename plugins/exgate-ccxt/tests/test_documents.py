"""Exchanges of which there are no recordings: answers of the shapes that their documents show, judged to the digit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Template
from typing import Any

import pytest

pytest.importorskip("ccxt")

from documented import DOCUMENTS, Driven, document, driven
from test_bad_answers import BODIES

pytestmark = pytest.mark.anyio

OPERATIONS = (*("depth", "recent_trades", "balances", "pending_orders", "find_order", "place_order", "cancel_order"),)


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_answers_of_the_documents_to_the_last_digit(name: str) -> None:
    assert await wrong_in(name) == []


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_an_error_is_never_an_answer(name: str) -> None:
    """Whatever an exchange says when it takes no order, said to a question: no book, no balances, no orders."""
    table, taken = document(name), []
    failed = [one for case in table["place_order"] for one in cases(table, case) if failing(one["wanted"])]
    async with driven(name, table) as side:
        for case in failed:
            for operation in ("depth", "recent_trades", "balances", "pending_orders"):
                found = await side.do(operation, case)
                taken += [] if isinstance(found, str) else [f"{operation}: {case['name'] or case} -> {found}"]
    assert not taken
    assert len(failed) > 3


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_what_is_no_answer_is_none(name: str) -> None:
    wrong, table = [], document(name)
    client_id = {"order": {"client_order_id": "17"}} if name == "bitfinex" else {}
    async with driven(name, table) as side:
        for kind, body in BODIES.items():
            for operation in OPERATIONS:
                found = await side.do(operation, {"answer": body, "id": "4711", **client_id})
                sent = operation in ("place_order", "cancel_order")
                if (found != "unknown" if sent else not isinstance(found, str)) and (name, kind) != _FILTERED:
                    wrong.append(f"{operation}: {kind} -> {found}")
    assert not wrong


_FILTERED = ("bitfinex", "a list of lists")
"""Rows of no market: ccxt leaves them out of a market's orders."""


def failing(wanted: str) -> bool:
    """Whether a case is one of an order that wasn't placed."""
    return wanted.startswith(("Refused", "unknown", "RateLimited", "NotFound"))


async def wrong_in(name: str) -> list[str]:
    """What of an exchange's table came out otherwise; it must have every operation."""
    table = document(name)
    missing = set(OPERATIONS) - set(table)
    wrong = [f"{name}: nothing is shown of {', '.join(sorted(missing))}"] if missing else []
    async with driven(name, table) as side:
        rules = {key: getattr(side.market, key) for key in table["markets"]["wanted"]}
        if rules != table["markets"]["wanted"]:
            wrong.append(f"{name} markets: {rules} != {table['markets']['wanted']}")
        for operation in OPERATIONS:
            for case in table.get(operation, ()):
                for one in cases(table, case):
                    wrong += await judged(side, f"{name} {operation}", operation, one)
    return wrong


async def judged(side: Driven, name: str, operation: str, case: Mapping[str, Any]) -> list[str]:
    """What is wrong with what one case became."""
    found = await side.do(operation, case)
    asked = " ".join(side.net.asked)
    wrong = [f"{name}: {case.get('name', '')} {found} != {case['wanted']}"] if found != case["wanted"] else []
    return wrong + [f"{name}: {part} is not in {asked}" for part in case.get("sent", ()) if part not in asked]


def cases(table: Mapping[str, Any], case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A case; one with ``each`` is several: a word of the exchange, where ``@`` stands, and what is wanted of it."""
    for word, wanted in case.get("each", {"": case.get("wanted")}).items():
        one = {**case, "name": word, "wanted": wanted}
        if "answer" in case:
            one["answer"] = written(table, case, case["answer"], word)
        if "answers" in case:
            one["answers"] = {part: written(table, case, body, word) for part, body in case["answers"].items()}
        yield one


def written(table: Mapping[str, Any], case: Mapping[str, Any], text: str, word: str) -> str:
    """An answer with the shapes of the table in the place of their names, and the case's fields in these."""
    fields = {**table.get("fields", {}), **case.get("fields", {})}
    for names in (table.get("shapes", {}), fields):
        text = Template(text).safe_substitute(names)
    return text.replace("@", word)
