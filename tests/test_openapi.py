"""The OpenAPI document says exactly what the seed says, and more only beyond it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from exgate_core import contract
from exgate_core.models import Depth, Trade
from exgate_core.openapi import document

_KINDS = {
    "string": {"type": "string"},
    "string(int64)": {"type": "string", "format": "int64"},
    "string(byte)": {"type": "string", "format": "byte"},
    "boolean": {"type": "boolean"},
    "number(double)": {"type": "number", "format": "double"},
    "integer(int32)": {"type": "integer", "format": "int32"},
}
_OWN_PARAMETERS = {"extended", "Idempotency-Key"}


@pytest.fixture(scope="module")
def seed(shared: Path) -> str:
    return (shared / "seed" / "exgate-api.md").read_text()


@pytest.fixture(scope="module")
def made() -> Any:
    return json.loads(json.dumps(document()))


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but heads and rules."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in found if row[0] not in ("Name", "Status") and not row[0].startswith("---")]


def operations(seed: str) -> list[tuple[str, str, str, str]]:
    """(operationId, method, path, section) of each operation in the seed."""
    found = []
    for section in seed.split("\n# Schemas")[0].split("\n## ")[1:]:
        line = re.search(r"^`(GET|POST|DELETE) (\S+)`$", section, re.MULTILINE)
        if line:
            found.append((section.split("\n", 1)[0].strip(), line[1].lower(), line[2], section))
    return found


def schemas(seed: str) -> dict[str, dict[str, str]]:
    """Property types by schema in the seed."""
    found = {}
    for part in seed.split('<h2 id="tocS_')[1:]:
        found[part.split('"', 1)[0]] = {row[0]: row[1] for row in rows(part)}
    return found


def schema_of(kind: str) -> Any:
    reference = re.search(r"\(#schema(\w+)\)", kind)
    if not reference:
        return _KINDS[kind]
    return {"type": "array", "items": reference[1]}


def test_every_operation_of_the_seed(seed: str, made: Any) -> None:
    found = operations(seed)
    assert len(found) == 7
    for operation_id, method, path, _ in found:
        assert made["paths"][path][method]["operationId"] == operation_id


def test_every_parameter_of_the_seed_and_only_known_ones_beyond(seed: str, made: Any) -> None:
    for _, method, path, section in operations(seed):
        table = section.split('-parameters">')[1].split("> Example responses")[0]
        wanted = {
            row[0]: {"in": row[1], "required": row[3] == "true", "schema": _KINDS[row[2]]}
            for row in rows(table)
            if row[1] != "body"
        }
        got = {
            parameter["name"]: {key: parameter[key] for key in ("in", "required", "schema")}
            for parameter in made["paths"][path][method]["parameters"]
            if parameter["name"] not in _OWN_PARAMETERS
        }
        assert got == wanted


def test_every_body_of_the_seed(seed: str, made: Any) -> None:
    posts = 0
    for _, method, path, section in operations(seed):
        body = made["paths"][path][method].get("requestBody")
        table = rows(section.split('-parameters">')[1].split("> Example responses")[0])
        fields = {row[0].removeprefix("» "): row[2] for row in table if row[0].startswith("» ")}
        assert (body is None) == (not fields)
        if body is None:
            continue
        posts += 1
        assert body["required"] is True
        properties = body["content"]["application/json"]["schema"]["properties"]
        assert {name: described["type"] for name, described in properties.items()} == fields
        assert properties["options"]["additionalProperties"] == {"type": "string"}
    assert posts == 2


def test_every_answer_of_the_seed(seed: str, made: Any) -> None:
    for _, method, path, section in operations(seed):
        responses = made["paths"][path][method]["responses"]
        names = re.findall(r"\[(\w+)\]\(#schema", section)
        got = [responses[status]["content"]["application/json"]["schema"]["$ref"] for status in ("200", "default")]
        assert got == [f"#/components/schemas/{name}" for name in names]
        assert set(responses) == {"200", "default"}


def test_every_schema_of_the_seed_property_by_property(seed: str, made: Any) -> None:
    wanted = schemas(seed)
    assert len(wanted) == 14
    for name, properties in wanted.items():
        described = made["components"]["schemas"][name]
        assert described["type"] == "object" and not described.get("required")
        assert list(described["properties"]) == list(properties)
        for field, kind in properties.items():
            got = described["properties"][field]
            if "items" in got:
                got = {"type": got["type"], "items": got["items"]["$ref"].rsplit("/", 1)[1].lower()}
            assert got == schema_of(kind), (name, field)


def test_every_reference_leads_somewhere(made: Any) -> None:
    names = set(made["components"]["schemas"])
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(made)))
    assert references <= names
    ids = [operation["operationId"] for path in made["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == 16


def test_the_example_shapes_of_the_seed_are_the_encoded_ones(seed: str) -> None:
    examples = {
        name: json.loads(section.split("> 200 Response\n\n```json\n")[1].split("```")[0])
        for name, _, _, section in operations(seed)
    }
    depth = json.loads(contract.depth_json(Depth(bids=[("1", "2")], asks=[("3", "4")])))
    trades = json.loads(contract.trades_json([contract.trade_json(Trade(id="1", price="1", qty="1", time=1))]))
    assert shape(depth) == shape(examples["ExGate_SpotDepth"])
    assert shape(trades) == shape(examples["ExGate_GetRecentTradesList"])


def shape(value: Any) -> Any:
    """The value with every leaf replaced by its type, fields in their order."""
    if isinstance(value, dict):
        return [(name, shape(item)) for name, item in value.items()]
    return [shape(item) for item in value] if isinstance(value, list) else type(value)
