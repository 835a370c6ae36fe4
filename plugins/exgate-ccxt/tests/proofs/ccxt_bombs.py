"""Answers of the documents with one number in them that nobody may compute with, each number in its turn.

    python plugins/exgate-ccxt/tests/proofs/ccxt_bombs.py [--short] [EXCHANGE ...]

And refusals of one endless word, and of lists without end. Whoever starts it ends it when it hangs. ``--short``: two
of the bombs in the place of each number. Ends with 1 if an answer was taken, or an error is none of the gateway's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from documented import DOCUMENTS, document, driven
from test_documents import OPERATIONS, cases, failing

BARE = ("1e999999999", "1E-999999999", "9" * 100_000, "0." + "9" * 100_000)
"""As a JSON number."""
TEXTS = (*BARE, "1E+0000000000999", " -1e-999999999 ", "1e9_9_9_9_9_9", "1e\u0669\u0669\u0669\u0669\u0669\u0669\u0669")
"""As a text, and as the name of a field."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_ID = re.compile(r"(?<![bBaA])[iI][dD]$")
"""An id is no number, whatever it looks like."""
_SENT = ("place_order", "cancel_order")
_MARK = "@bomb@"


def bombed(body: str, *, every: bool) -> Iterator[str]:
    """An answer with a bomb in the place of each number that stands alone."""
    for number, (whole, text) in enumerate(_marked(json.loads(body, parse_float=str, parse_int=str))):
        plain = json.dumps(whole)
        kinds = [*((f'"{_MARK}"', bomb) for bomb in BARE), *((f'"{_MARK}"', json.dumps(bomb)) for bomb in TEXTS)]
        for mark, bomb in kinds if every else (kinds[number % len(kinds)], (f'"{_MARK}"', '"1e999999999"')):
            yield plain.replace(mark, json.dumps(json.loads(bomb, parse_int=str, parse_float=str)) if text else bomb)


def _marked(value: Any) -> Iterator[tuple[Any, bool]]:
    """Copies with one number each marked, and whether that number is a key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if _NUMBER.fullmatch(name):
                yield {(_MARK if key == name else key): kept for key, kept in value.items()}, True
            named = () if isinstance(inner, str) and _ID.search(name) else _marked(inner)
            yield from (({**value, name: marked}, key) for marked, key in named)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from (([*value[:at], marked, *value[at + 1 :]], key) for marked, key in _marked(inner))
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        yield _MARK, False


def cases_of(table: Mapping[str, Any], operation: str, *, every: bool) -> Iterator[dict[str, Any]]:
    """The good answers of a document, bombed."""
    for case in table.get(operation, ()):
        for one in cases(table, case):
            if isinstance(one["wanted"], str) and failing(one["wanted"]):
                continue
            answers = one.get("answers") or {"": one.get("answer", "")}
            for part, body in answers.items():
                status, body = (body[:4], body[4:]) if body[:3].isdecimal() else ("", body)
                for bomb in bombed(body, every=every):
                    yield {**one, "answers": {**answers, part: status + bomb}}


def endless(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Answers that refuse an order, with a word of 300,000 letters in each text; and a list in a list in a list ..."""
    yield {"answer": "[" * 100_000, "status": 404}
    for case in table["place_order"]:
        for one in cases(table, case):
            if failing(one["wanted"]) and one.get("answer", "")[:1] in ("{", "["):
                body = json.dumps(_longer(json.loads(one["answer"])))
                yield {**one, "answer": body, "status": one.get("status", 400)}


def _longer(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _longer(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_longer(inner) for inner in value]
    return f"{value} {'a' * 300_000}" if isinstance(value, str) and " " in value else value


async def tried(name: str, *, every: bool) -> tuple[int, list[str]]:
    """How many answers, and which came out otherwise than as an answer that can't be read."""
    table, count, wrong = document(name), 0, list[str]()
    async with driven(name, table) as side:
        for operation in OPERATIONS:
            wanted = "unknown" if operation in _SENT else "Unavailable BAD_ANSWER"
            for case in cases_of(table, operation, every=every):
                count += 1
                if (found := await side.do(operation, case)) != wanted:
                    wrong.append(f"{operation}: {str(found)[:200]} of {str(case['answers'])[:400]}")
        for case, operation in itertools.product(endless(table), OPERATIONS):  # last: a limit stops all that follows
            found = await side.do(operation, case)
            if not isinstance(found, str) or (found == "unknown" and operation not in _SENT):
                wrong.append(f"{operation}: {str(found)[:200]} of an endless word")
    return count, wrong


def main() -> int:
    """0 if no answer hung, none was taken, and there were some of each exchange."""
    names = [word for word in sys.argv[1:] if not word.startswith("--")] or list(DOCUMENTS)
    good = True
    for name in names:
        start = time.monotonic()
        count, wrong = asyncio.run(tried(name, every="--short" not in sys.argv))
        print(f"{name}: {count} answers, {len(wrong)} wrong, {time.monotonic() - start:.0f} s", flush=True)
        for line in wrong[:5]:
            print(f"  {line}")
        good &= count > 10 and not wrong
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
