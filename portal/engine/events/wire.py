"""How values are written on the wire: times, dates, money, text; and the bytes of a body."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID


@lru_cache(maxsize=256)
def wire_time(at: datetime) -> str:
    """ISO 8601 in whole seconds, UTC written as `+00:00`. Refuses a time without a zone."""
    if at.tzinfo is None:
        raise ValueError("A time on the wire needs its zone")
    return at.astimezone(UTC).isoformat(timespec="seconds")


def wire_value(value: object) -> Any:
    """Anything that an event carries, as JSON knows it.

    Times as `wire_time`, dates `YYYY-MM-DD`, Decimal (money, always) as text with two places,
    dataclasses as objects in the order of their fields. Raises TypeError for other kinds.
    """
    if isinstance(value, Enum):
        return wire_value(value.value)
    if isinstance(value, str):
        return value if value.isascii() else _whole_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_key(key): wire_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [wire_value(part) for part in value]
    return _wire_object(value)


def encode(value: object) -> bytes:
    """The JSON bytes of a body: one line, no spaces, plain ASCII.

    Every other character is written as `\\uXXXX`, as PHP's own encoder does. The content type
    names no character set, and ASCII reads the same under any that a receiver may assume.
    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    return json.dumps(wire_value(value), separators=(",", ":"), allow_nan=False).encode("ascii")


def _wire_object(value: object) -> Any:
    if isinstance(value, datetime):
        return wire_time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _money(value)
    if isinstance(value, UUID):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: wire_value(getattr(value, each.name)) for each in fields(value)}
    raise TypeError(f"{type(value).__name__} has no form on the wire")


def _money(amount: Decimal) -> str:
    if not amount.is_finite():
        raise ValueError("An amount on the wire is a number")
    return f"{amount:.2f}"


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("A key on the wire is text")
    return key


def _whole_text(text: str) -> str:
    """Text with lone halves of surrogate pairs replaced: strict JSON readers refuse those."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
