"""Describe the types of requests and responses as JSON Schemas, each under one name."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar, cast, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

T = TypeVar("T")
Schema = dict[str, Any]

ROOT: Final = "#/components/schemas/"
NOT_BLANK: Final = r"\S"


@dataclass(frozen=True, slots=True)
class Paged(Generic[T]):
    """A page of a list."""

    items: Sequence[T]
    next: Annotated[
        str | None, Field(description="The “after” of the next page. Null on the last one")
    ]


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A whole list."""

    items: Sequence[T]


ENDINGS: Final = {Paged: "Page", Listed: "List"}


class _WithoutTitles(GenerateJsonSchema):
    """Repeats no field’s name in other words."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def get_title_from_name(self, name: str) -> str:
        return name

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        """Leave out empty defaults. Clients would send them, and filters refuse them."""
        described = super().default_schema(schema)
        if described.get("default", 0) in (None, ""):
            del described["default"]
        return described


class Schemas:
    """Collects schemas by their names in `components`."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(
        self, kind: Any, mode: JsonSchemaMode, adapter: TypeAdapter[Any] | None = None
    ) -> Schema:
        """Return the schema of a type, whose parts are references."""
        schema = (adapter or TypeAdapter(kind)).json_schema(
            mode=mode, ref_template=f"{ROOT}{{model}}", schema_generator=_WithoutTitles
        )
        for name, part in schema.pop("$defs", {}).items():
            self._add(name, part)
        return cast(Schema, _renamed(_plain(schema)))

    def reference(
        self, kind: Any, mode: JsonSchemaMode, adapter: TypeAdapter[Any] | None = None
    ) -> Schema:
        """Return a reference to the schema of a type."""
        schema = self.of(kind, mode, adapter)
        for each in schema["properties"].values():
            _say_preset(each)
        return self.refer(name_of(kind), schema)

    def refer(self, name: str, schema: Schema) -> Schema:
        """Name a schema and return a reference to it."""
        self._add(name, schema)
        return {"$ref": f"{ROOT}{_name(name)}"}

    def resolved(self, schema: Schema) -> Schema:
        """Return the schema that a reference names, or the schema itself."""
        return resolved(schema, self.named)

    def _add(self, name: str, schema: Schema) -> None:
        schema = _renamed(_plain(schema))
        if self.named.setdefault(_name(name), schema) != schema:
            raise ValueError(f"Two schemas have the name {name}.")


def _say_preset(schema: Schema) -> None:
    """Describe a preset in words. TypeScript generators require fields that have a default."""
    if "default" in schema:
        preset = f"Preset: {json.dumps(schema.pop('default'), default=str)}"
        words = [schema["description"], preset] if "description" in schema else [preset]
        schema["description"] = ". ".join(words)


def resolved(schema: Schema, named: dict[str, Schema]) -> Schema:
    """Return the schema that a reference names, or the schema itself."""
    name = str(schema.get("$ref", "")).removeprefix(ROOT)
    return (
        {**named[name], **{key: schema[key] for key in schema if key != "$ref"}} if name else schema
    )


def name_of(kind: Any) -> str:
    """Return a type’s name in `components`."""
    origin = get_origin(kind)
    return f"{name_of(get_args(kind)[0])}{ENDINGS[origin]}" if origin else _name(kind.__name__)


def _name(name: str) -> str:
    """Return a class’s name without the ending that tells it from its model."""
    return name.removesuffix("Answer")


def _renamed(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: f"{ROOT}{_name(value.removeprefix(ROOT))}" if key == "$ref" else _renamed(value)
            for key, value in part.items()
        }
    return [_renamed(each) for each in part] if isinstance(part, list) else part


def _plain(schema: Schema) -> Schema:
    """Leave out the class’s name and docstring, which are for readers of the code."""
    return {key: value for key, value in schema.items() if key not in ("description", "title")}


def described_as(*words: str) -> Schema:
    """Describe a text that is one of these words. An enum here would be a class without a name."""
    return {"type": "string", "pattern": f"^({'|'.join(words)})$"}


def limited(longest: Callable[[str], int | None]) -> Callable[[type[T]], type[T]]:
    """Describe the texts of a body, whose limits the services check, by the field’s name."""

    def describe(schema: Schema) -> None:
        for name, each in schema.get("properties", {}).items():
            for part in each.get("anyOf", [each]):
                if part.get("type") == "string" and (most := longest(name)):
                    part.setdefault("maxLength", most)
                    if name in schema.get("required", ()) and "format" not in part:
                        part.setdefault("pattern", NOT_BLANK)

    return with_config(ConfigDict(json_schema_extra=describe))
