"""The schema that receivers are given, by an official validator; as published, and closed.

As published it bears what may be added some day. Closed, it bears what is there today and no more:
where it says that unknown members may follow they may not, and its examples are all there are.
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
    """What a receiver can check messages with."""
    return Draft202012Validator(read())


@cache
def closed() -> Draft202012Validator:
    """What our own messages are checked with."""
    return Draft202012Validator(_closed(read()))


@cache
def closed_for(event: str) -> Draft202012Validator:
    """The same for messages of one event."""
    schema = _closed(read())
    schema.update(schema["$defs"][event])
    return Draft202012Validator({name: schema[name] for name in schema if name != "allOf"})


def faults(body: Body) -> list[str]:
    """What our own message has that it may not have, or lacks; by its place."""
    return [f"{each.json_path}: {each.message}" for each in closed().iter_errors(body)]


def read(path: Path = SCHEMA) -> dict[str, Any]:
    """The schema as it lies in the file."""
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
