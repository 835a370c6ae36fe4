"""The OpenAPI 3.1 document, made from the same tables and Structs that serve the requests."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from . import __version__, wire
from .models import Market
from .operations import OPERATIONS, MarketsResponse, Operation, Parameter

SCHEMAS: dict[str, type[msgspec.Struct]] = {
    "PendingOrdersResponseOrder": wire.OrderRow,
    "exgatev1CancelOrderResponse": wire.CancelOrderResponse,
    "exgatev1DepthResponse": wire.DepthResponse,
    "exgatev1DepthResponseBidList": wire.LevelList,
    "exgatev1DepthResponsebills": wire.LevelRow,
    "exgatev1PlaceOrderResponse": wire.PlaceOrderResponse,
    "exgatev1RecentTradesListResponse": wire.TradesResponse,
    "exgatev1RecentTradesListResponseRecentTradesList": wire.TradeRow,
    "protobufAny": wire.Detail,
    "rpcStatus": wire.Status,
    "v1BalancesResponse": wire.BalancesResponse,
    "v1BalancesResponseBalance": wire.BalanceRow,
    "v1PendingOrdersResponse": wire.PendingOrdersResponse,
    "v1PullSpotTradeResponse": wire.PullTradeResponse,
    "exgateOrder": wire.ExtendedOrderRow,
    "exgateMarketsResponse": MarketsResponse,
    "exgateMarket": Market,
}
"""The names of the seed's schemas, then ExGate's own."""

_NAMES = {struct.__name__: name for name, struct in SCHEMAS.items()}
_REF = "#/components/schemas/"
_DECIMAL_SECONDS = r"^(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?$"


@cache
def encoded(root_path: str) -> bytes:
    """The document as JSON, made once."""
    return msgspec.json.encode(document(root_path))


def document(root_path: str = "") -> dict[str, Any]:
    """The whole document as plain JSON values; ``root_path`` is the prefix under which everything is served."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ExGate", "version": __version__},
        "servers": [{"url": root_path or "/"}],
        "tags": [{"name": "ExGate"}],
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": ["ExGate"],
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": {
            "200": {"description": "A successful response.", "content": _json(_answer(operation))},
            "default": {
                "description": "An unexpected error response.",
                "content": _json({"$ref": _REF + "rpcStatus"}),
            },
        },
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _json(_body(operation.body))}
    return described


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.answer is None:
        return {"type": "object"}
    return {"$ref": _REF + _NAMES[operation.answer.__name__]}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = {"type": "string", "format": "int64"} if parameter.kind == "int64" else {"type": parameter.kind}
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "schema": schema,
    }
    if parameter.description:
        described["description"] = parameter.description
    return described


def _body(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """A request body: every field optional and a string, as in the seed; what is unknown is refused."""
    properties: dict[str, Any] = {name: {"type": "string"} for name in struct.__struct_fields__}
    properties["options"] = {"type": "object", "additionalProperties": {"type": "string"}}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _schemas() -> dict[str, Any]:
    _, found = msgspec.json.schema_components(list(SCHEMAS.values()), ref_template=_REF + "{name}")
    schemas = {name: _renamed(found[struct.__name__]) for name, struct in SCHEMAS.items()}
    for name, struct in SCHEMAS.items():
        if struct.__module__ == wire.__name__:
            schemas[name]["required"] = []  # The seed requires no field of an answer.
    return schemas


def _renamed(schema: Any) -> Any:
    """The schema with the seed's names, without titles and defaults, which the seed doesn't have."""
    if isinstance(schema, list):
        return [_renamed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": _REF + _NAMES[schema["$ref"].removeprefix(_REF)]}
    return {
        key: {name: _renamed(item) for name, item in value.items()} if key == "properties" else _renamed(value)
        for key, value in schema.items()
        if key not in ("title", "default")
    }
