"""The description of the API: OpenAPI 3.1, made of the operations."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from flask import Response
from pydantic import TypeAdapter

from portal.api.operations import ANY_TOKEN, Operation
from portal.api.reading import JSON, reader
from portal.web.frame.access import PUBLIC, requires
from portal.web.frame.problems import CONTENT_TYPE, SENTENCES

# Of every operation, whatever it does.
DOOR: Final = (401, 422, 429, 503)
_CONVERTER: Final = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
PROBLEM: Final = {
    "type": "object",
    "required": ["title", "status"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for people"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def view_of(operations: Sequence[Operation]) -> Callable[[], Response]:
    """Return the view of the description, which anybody can read."""
    text = json.dumps(document(operations), ensure_ascii=False)
    return requires(PUBLIC)(lambda: Response(text, content_type=JSON))


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        path = _CONVERTER.sub(r"{\2}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _described(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Asset register", "version": "1"},
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": PROBLEM},
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "x-permission": operation.permission,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {str(operation.status): _answer(operation), **_problems(operation)},
    }
    if operation.body is not None:
        schema = _inlined(reader(operation.body).json_schema())
        content = {JSON: {"schema": schema}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _answer(operation: Operation) -> dict[str, Any]:
    schema = _inlined(TypeAdapter(operation.answers).json_schema(mode="serialization"))
    content = {JSON: {"schema": schema, "example": operation.example}}
    return {"description": operation.summary, "content": content}


def _problems(operation: Operation) -> dict[str, Any]:
    codes = {*DOOR, *operation.problems}
    if operation.permission != ANY_TOKEN:
        codes.add(403)
    if operation.body is not None:
        codes |= {400, 413, 415}
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(code): {"description": SENTENCES[code], "content": content} for code in sorted(codes)
    }


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    kinds: dict[str, dict[str, str]] = {
        "int": {"type": "integer"},
        "uuid": {"type": "string", "format": "uuid"},
        "": {"type": "string"},
    }
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": kinds.get(kind, {"type": "string"}),
        }
        for kind, name in _CONVERTER.findall(operation.path)
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = _inlined(reader(operation.query).json_schema())
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": each}
        for name, each in schema["properties"].items()
    ]


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Put what is defined aside where it is used: each schema then stands for itself."""
    definitions = schema.pop("$defs", {})

    def inline(part: Any) -> Any:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions:
                return inline(definitions[name])
            return {key: inline(value) for key, value in part.items()}
        if isinstance(part, list):
            return [inline(each) for each in part]
        return part

    inlined: dict[str, Any] = inline(schema)
    return inlined
