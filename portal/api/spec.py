"""Describe the operations in OpenAPI 3.1."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from flask import Response

from portal.api.operations import ANY_TOKEN, Operation
from portal.api.reading import ETAG, JSON, KEY, reader
from portal.api.schemas import Schema, Schemas, name_of
from portal.engine.events.catalogue import CATALOGUE, EventType
from portal.engine.events.samples import sample_body
from portal.web.frame.access import PUBLIC, requires
from portal.web.frame.problems import CONTENT_TYPE, SENTENCES

NO_CONTENT: Final = 204
TAGS: Final = {"me": "This token", "retries": "Bulk retries", "tasks": "Tasks"}
# Examples of body fields, among them every required one.
EXAMPLES: Final[dict[str, Any]] = {
    "name": "ThinkPad T14",
    "email": "maria.lopez@example.com",
    "url": "https://erp.example.com/hooks",
    "events": ["asset.checked_out"],
    "secret": "generate",
    "reason": "The receiver was replaced",
    "again": True,
    "event": "asset.checked_out",
    "on_hold": "send",
    "status": "failed",
    "staff_id": 17,
    "location_id": 3,
    "due_at": "2026-12-07T17:00:00Z",
    "starts_at": "2026-12-07T08:00:00Z",
    "ends_at": "2026-12-09T17:00:00Z",
    "description": "It fell",
    "problem": "The screen stays dark",
    "method": "sold",
    "quantity": 5,
    "title": "Battery check",
    "due_on": "2026-12-15",
    "completed_on": "2026-12-15",
    "outcome": "ok",
    "rejection_reason": "Needed for a trade fair",
    "note": "With its charger",
}
EVERYWHERE: Final = (401, 422, 429, 503)  # from every operation
_CONVERTER: Final = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
NAMES: Final = {
    "Staff": "Maria Lopez",
    "Categories": "Laptops",
    "Locations": "Hamburg",
    "Webhooks": "Nordwind ERP",
}
SECRET: Final = {
    "type": "string",
    "description": "A generated secret key. Only this response has it. A repeat doesn’t",
}
FIELD_PROBLEM: Final = {
    "type": "object",
    "required": ["field", "detail"],
    "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
}


def view_of(operations: Sequence[Operation]) -> Callable[[], Response]:
    """Return the view of the OpenAPI document, which anyone can read."""
    text = json.dumps(document(operations), ensure_ascii=False)
    return requires(PUBLIC)(lambda: Response(text, content_type=JSON))


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of these operations."""
    schemas = Schemas()
    problem = schemas.refer("Problem", _problem(schemas))
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        described = _described(each, schemas, problem)
        paths.setdefault(path_of(each), {})[each.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Asset register", "version": "1"},
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "webhooks": {str(each.value): _webhook(each) for each in CATALOGUE},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas.named,
        },
    }


def _problem(schemas: Schemas) -> Schema:
    return {
        "type": "object",
        "required": ["title", "status"],
        "properties": {
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "A sentence for people"},
            "errors": {"type": "array", "items": schemas.refer("FieldProblem", FIELD_PROBLEM)},
        },
    }


def path_of(operation: Operation) -> str:
    """Return the path in OpenAPI’s syntax."""
    return _CONVERTER.sub(r"{\2}", operation.path)


def tag_of(operation: Operation) -> str:
    """Return the name of the group that an operation belongs to."""
    first = operation.path.split("/")[1]
    return TAGS.get(first) or first.replace("-", " ").capitalize()


def _webhook(kind: EventType) -> dict[str, Any]:
    """Describe a request to receivers; docs/message.schema.json has the full schema."""
    sample = json.loads(sample_body(kind.value))
    schema = {"type": "object", "required": list(sample)}
    content = {JSON: {"schema": schema, "example": sample}}
    posted = {
        "summary": kind.name,
        "description": kind.explanation,
        "requestBody": {"required": True, "content": content},
        "responses": {"2XX": {"description": "The receiver accepted the delivery"}},
    }
    return {"post": posted}


def _described(operation: Operation, schemas: Schemas, problem: Schema) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [tag_of(operation)],
        "x-permission": operation.permission,
        "parameters": [
            *_path_parameters(operation),
            *_query_parameters(operation, schemas),
            *_header_parameters(operation),
        ],
        "responses": {
            str(operation.status): _answer(operation, schemas),
            **_problems(operation, problem),
        },
    }
    if operation.body is not None:
        kind = operation.body
        schema = schemas.reference(kind, "validation", reader(kind))
        example = example_of(schemas.resolved(schema), tag_of(operation))
        content = {JSON: {"schema": schema, "example": example}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _answer(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    shown = operation.shows or operation
    described: dict[str, Any] = {"description": operation.summary}
    if operation.status != NO_CONTENT:
        schema = schemas.reference(shown.answers, "serialization")
        example = shown.example
        if operation.shows_secret:
            whole = schemas.resolved(schema)
            with_secret = {**whole, "properties": {**whole["properties"], "secret": SECRET}}
            schema = schemas.refer(f"{name_of(shown.answers)}WithSecret", with_secret)
            example = {**example, "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
        described["content"] = {JSON: {"schema": schema, "example": example}}
    return described


def example_of(schema: dict[str, Any], tag: str) -> dict[str, Any]:
    """Return a body with every required field, or with one if none is."""
    examples = EXAMPLES | {"name": NAMES.get(tag, EXAMPLES["name"])}
    names = schema.get("required") or [name for name in schema["properties"] if name in examples]
    return {name: examples[name] for name in (names if schema.get("required") else names[:1])}


def _problems(operation: Operation, problem: Schema) -> dict[str, Any]:
    codes = {*EVERYWHERE, *operation.problems}
    if operation.permission != ANY_TOKEN:
        codes.add(403)
    if operation.body is not None:
        codes |= {400, 409, 413, 415}
    content = {CONTENT_TYPE: {"schema": problem}}
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


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    wanted = []
    if 412 in operation.problems:
        words = "The ETag of the version that you read. If it has changed, you get 412"
        wanted.append(("If-Match", words, f"^{ETAG}$"))
    if operation.method == "POST":
        words = "If you repeat a request with the same key within 24 hours, it counts once"
        wanted.append(("Idempotency-Key", words, f"^{KEY}$"))
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string", "pattern": pattern},
            "description": words,
        }
        for name, words, pattern in wanted
    ]


def _query_parameters(operation: Operation, schemas: Schemas) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = schemas.of(operation.query, "validation", reader(operation.query))
    return [_query_parameter(name, each) for name, each in schema["properties"].items()]


def _query_parameter(name: str, schema: Schema) -> dict[str, Any]:
    """Describe a filter. Each is optional, and a query can’t send null."""
    kinds = [each for each in schema.get("anyOf", [schema]) if each != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key in ("default", "description")}
    described = {**kinds[0], **others}
    words = described.pop("description", None)
    parameter = {"name": name, "in": "query", "required": False, "schema": described}
    return parameter | ({"description": words} if words else {})
