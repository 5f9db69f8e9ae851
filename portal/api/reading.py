"""Validate queries and bodies, and report every invalid field."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, get_type_hints

from flask import request
from pydantic import (
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    create_model,
    with_config,
)
from pydantic_core import ErrorDetails, from_json
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from portal.lib.typed_text import tidy
from portal.web.frame.problems import FieldError

LONGEST_BODY: Final = 1024 * 1024
JSON: Final = "application/json"
ETAG: Final = '"[0-9]{1,9}"'
KEY: Final = "[!-~]{1,255}"  # an idempotency key
# Neither database can store these (lib/typed_text.py).
_NOT_STORABLE: Final = re.compile("[\0\ud800-\udfff]")
STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)


class InvalidRequest(Exception):
    """A query or body that doesn’t match the operation, with every error."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        super().__init__("Check the fields in “errors”.")
        self.errors = list(errors)


@lru_cache(maxsize=128)
def reader(kind: type) -> TypeAdapter[Any]:
    """Return a strict parser for a dataclass or model."""
    if not is_dataclass(kind):
        return TypeAdapter(kind)
    return TypeAdapter(with_config({**_config(kind), **STRICT})(kind))


def _config(kind: type) -> ConfigDict:
    return getattr(kind, "__pydantic_config__", ConfigDict())


def partial(kind: type, *without: str) -> type[BaseModel]:
    """Return a model of the fields that a PATCH can send.

    A default of None marks a field that can be cleared (`_tidied`).
    """
    required = [each.name for each in fields(kind) if each.default is MISSING]
    describe: Any = _config(kind).get("json_schema_extra", lambda _schema: None)

    def describe_patch(schema: dict[str, Any]) -> None:
        describe({**schema, "required": required})  # a required text can’t be cleared
        for each in schema["properties"].values():
            each.pop("default", None)  # an omitted field stays unchanged

    config = ConfigDict(**STRICT, json_schema_extra=describe_patch)
    types = get_type_hints(kind, include_extras=True)
    wanted: dict[str, Any] = {
        each.name: (types[each.name], each.default if each.default is not MISSING else "")
        for each in fields(kind)
        if each.name not in without
    }
    name = f"{kind.__name__.removesuffix('Body').removesuffix('Change')}Patch"
    return create_model(name, __config__=config, **wanted)


def given(body: BaseModel) -> dict[str, Any]:
    """Return the fields that were sent."""
    return body.model_dump(exclude_unset=True)


def query_of(kind: type | None) -> Any:
    """Parse the query string. Raises `InvalidRequest`."""
    given = request.args
    wrong = [FieldError(name, "Send it once") for name in given if len(given.getlist(name)) > 1]
    if wrong:
        raise InvalidRequest(wrong)
    return _read(kind, given.to_dict(), lambda: reader(kind).validate_strings(given.to_dict()))


def body_of(kind: type | None) -> Any:
    """Parse the body. Raises `InvalidRequest` or the exceptions for 400, 413, and 415."""
    if kind is None:
        return None
    is_empty = not request.mimetype and not request.content_length
    if request.mimetype != JSON and not is_empty:
        raise UnsupportedMediaType
    request.max_content_length = LONGEST_BODY
    if (request.content_length or 0) > LONGEST_BODY:
        raise RequestEntityTooLarge
    sent = request.get_data() or (b"{}" if is_empty else b"")
    try:
        given = from_json(sent, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest from error
    if not isinstance(given, dict):
        raise InvalidRequest([FieldError("", "Send a JSON object")])
    # Strict JSON mode takes a string for a date, and refuses "1" for a number.
    return _read(kind, given, lambda: reader(kind).validate_json(sent, strict=True))


def _read(kind: type | None, given: Mapping[str, Any], read: Callable[[], Any]) -> Any:
    if unstorable := list(_unstorable(given)):
        raise InvalidRequest(unstorable)
    if kind is None:
        if given:
            raise InvalidRequest(FieldError(name, "Unknown parameter. Remove it") for name in given)
        return None
    try:
        return _tidied(read())
    except ValidationError as error:
        known = list(reader(kind).json_schema()["properties"])
        raise InvalidRequest(_field_errors(error.errors(include_url=False), known)) from None


def _tidied(read: Any) -> Any:
    """Tidy texts as forms do. An empty text of an optional field becomes None."""
    if isinstance(read, BaseModel):
        sent = {name: getattr(read, name) for name in read.model_fields_set}
        optional = {name for name, each in type(read).model_fields.items() if each.default is None}
        return read.model_copy(update=_tidy(sent, optional))
    sent = {each.name: getattr(read, each.name) for each in fields(read)}
    return replace(
        read, **_tidy(sent, {each.name for each in fields(read) if each.default is None})
    )


def _tidy(sent: Mapping[str, Any], optional: Collection[str]) -> dict[str, Any]:
    # Not isinstance: members of a StrEnum are strings, too.
    tidied = {name: tidy(value) for name, value in sent.items() if type(value) is str}
    return {name: text or (None if name in optional else "") for name, text in tidied.items()}


def _field_errors(found: Iterable[ErrorDetails], known: list[str]) -> Iterator[FieldError]:
    seen = set()
    for each in found:
        # Pydantic adds its own parts after the field’s name, such as a union’s branch.
        name = str(each["loc"][0]) if each["loc"] else ""
        if name not in seen:
            seen.add(name)
            yield FieldError(name, _words(each, name, known))


def _words(error: ErrorDetails, name: str, known: list[str]) -> str:
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        near = get_close_matches(name, known, 1)
        return f"Unknown. Did you mean “{near[0]}”?" if near else f"Unknown. Use {_list(known)}"
    if error["type"] in ("missing", "missing_argument"):
        return "Required"
    return error["msg"].removeprefix("Value error, ")


def _list(known: list[str]) -> str:
    return ", ".join(known) or "no fields"


def _unstorable(given: Mapping[str, Any]) -> Iterator[FieldError]:
    for name, value in given.items():
        if _NOT_STORABLE.search(name):
            yield FieldError("", "A field’s name has a character that can’t be stored")
        elif any(map(_NOT_STORABLE.search, _texts(value))):
            yield FieldError(name, "Remove NUL characters and half surrogate pairs")


def _texts(value: Any) -> Iterator[str]:
    """Yield all strings in nested values. A loop, because deep nesting would exhaust recursion."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += (*each, *each.values())
