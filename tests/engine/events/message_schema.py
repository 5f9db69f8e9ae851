"""Validators for the message schema that receivers get, as published and closed.

The published schema accepts future additions. The closed schema accepts only today's members, and
only the listed examples as values.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

from portal.config.settings import ROOT

SCHEMA: Final = ROOT / "docs" / "message.schema.json"
Body = Mapping[str, Any]


@cache
def published() -> Draft202012Validator:
    """Return the validator that receivers can use."""
    return Draft202012Validator(read())


@cache
def closed() -> Draft202012Validator:
    """Return the validator for our own messages."""
    return Draft202012Validator(_closed(read()))


@cache
def closed_for(event: str) -> Draft202012Validator:
    """Return the closed validator for messages of one event."""
    schema = _closed(read())
    schema.update(schema["$defs"][event])
    return Draft202012Validator({name: schema[name] for name in schema if name != "allOf"})


def faults(body: Body) -> list[str]:
    """Return the errors of one of our messages, each with its JSON path."""
    return [f"{error.json_path}: {error.message}" for error in closed().iter_errors(body)]


def read(path: Path = SCHEMA) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    schema = {
        ("enum" if name == "examples" else name): _closed(part) for name, part in node.items()
    }
    return schema | ({"unevaluatedProperties": False} if "unevaluatedProperties" in node else {})
