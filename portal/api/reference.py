"""Show the reference at /help/api, made from the OpenAPI document."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import render_template

from portal.api import spec
from portal.api.operations import ANY_TOKEN, LARGEST_ID, Operation
from portal.api.schemas import Schema, resolved
from portal.extensions import settings
from portal.services.core.permissions import PERMISSIONS
from portal.services.people.accounts import ROLE_NAMES
from portal.web.frame.access import requires

PERMISSION: Final = "home.read"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A field of the path, the query, or the body. `type` is for people to read."""

    name: str
    type: str
    is_required: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation in the reference."""

    name: str
    method: str
    path: str
    summary: str
    roles: str
    reads: Sequence[Parameter]
    sends: Sequence[Parameter]
    curl: str
    answer: str
    problems: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """The operations on one kind of resource."""

    anchor: str
    title: str
    entries: Sequence[Entry]


def page_of(operations: Sequence[Operation]) -> Any:
    """Return the reference’s view."""
    document = spec.document(operations)

    @requires(PERMISSION)
    def view() -> str:
        return render_template(
            "help/api.html", parts=list(_parts(operations, document)), root=_root()
        )

    return view


def _root() -> str:
    return f"{settings().base_url}/api/v1"


def _parts(operations: Sequence[Operation], document: Mapping[str, Any]) -> Iterator[Part]:
    found: dict[str, list[Entry]] = {}
    for operation in operations:
        found.setdefault(spec.tag_of(operation), []).append(_entry(operation, document))
    for tag, entries in found.items():
        yield Part(tag.lower().replace(" ", "-"), tag, entries)


def _entry(operation: Operation, document: Mapping[str, Any]) -> Entry:
    path, schemas = spec.path_of(operation), document["components"]["schemas"]
    described = document["paths"][path][operation.method.lower()]
    body = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    answer = described["responses"][str(operation.status)].get("content", {})
    example = answer.get("application/json", {}).get("example")
    return Entry(
        name=operation.name,
        method=operation.method,
        path=path,
        summary=operation.summary,
        roles=_roles(operation.permission),
        reads=[
            Parameter(each["name"], type_words(_filter(each), schemas), each["required"])
            for each in described["parameters"]
        ],
        sends=list(_fields(resolved(body.get("schema", {}), schemas), schemas)),
        curl=_curl(operation.method, path, body.get("example")),
        answer="" if example is None else json.dumps(example, indent=2, ensure_ascii=False),
        problems=[
            (code, each["description"])
            for code, each in described["responses"].items()
            if code >= "400"
        ],
    )


def _roles(permission: str) -> str:
    if permission == ANY_TOKEN:
        return "every role"
    return ", ".join(name for role, name in ROLE_NAMES.items() if role in PERMISSIONS[permission])


def _filter(parameter: Mapping[str, Any]) -> Schema:
    words = {key: value for key, value in parameter.items() if key == "description"}
    return {**parameter["schema"], **words} if parameter["in"] == "query" else parameter["schema"]


def _fields(schema: Schema, schemas: dict[str, Schema]) -> Iterator[Parameter]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        yield Parameter(name, type_words(each, schemas), name in required)


def type_words(schema: Schema, schemas: dict[str, Schema]) -> str:
    """Return a schema’s type for people to read, such as “list of string”."""
    schema = resolved(schema, schemas)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_words(each, schemas) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {type_words(schema.get('items', {}), schemas)}"
    format_: str = schema.get("format", "")
    words = {"date-time": "time", "date": "date", "uuid": "UUID"}.get(format_, str(kind))
    if "maximum" in schema and "minimum" in schema and schema["maximum"] < LARGEST_ID:
        words += f", {schema['minimum']} to {schema['maximum']}"
    if description := schema.get("description"):
        words += f" ({description})"
    return words


def _curl(method: str, path: str, sends: Any) -> str:
    words = ["curl"]
    if method != "GET" and (sends is None or method != "POST"):
        words.append(f"-X {method}")
    words.append('-H "Authorization: Bearer $TOKEN"')
    if sends is not None:
        words.append(f"--json '{json.dumps(sends, ensure_ascii=False)}'")
    address = path.replace("{event}", "asset.checked_out")
    for name in ("asset_id", "staff_id", "row_id", "reservation_id", "maintenance_id"):
        address = address.replace(f"{{{name}}}", "17")
    return " \\\n  ".join([*words, f"{_root()}{address}"])
