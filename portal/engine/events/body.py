"""Build the body of a delivery from a change: its `asset`, its `data`, and its bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from portal.engine.events.catalogue import EventName

__all__ = [
    "Actor",
    "ActorKind",
    "AssetSnapshot",
    "Holder",
    "Origin",
    "Ref",
    "as_json_object",
    "build_body",
    "changes",
    "event_data",
    "wire_time",
]

# Every change updates these, so they aren't listed as changes.
BOOKKEEPING: Final = frozenset({"id", "version", "created_at", "updated_at", "deleted_at"})
STOCK_FIELDS: Final = ("quantity", "min_quantity", "unit")


class ActorKind(StrEnum):
    USER = "user"
    SYSTEM = "system"
    API = "api"
    IMPORT = "import"


class Origin(StrEnum):
    """The sources of actions."""

    UI = "ui"
    BULK = "bulk"
    IMPORT = "import"
    API = "api"
    COMMAND = "command"
    CRON = "cron"


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or program that caused an event, with the name at that time."""

    type: ActorKind
    id: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A category, a location, or a colleague by ID and name."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Holder:
    """The person who holds the asset. `due_at` is set only for a check-out."""

    id: int
    name: str
    email: str
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSnapshot:
    """An asset after the change, with the fields in wire order.

    `quantity`, `min_quantity`, and `unit` are sent for `kind` stock only. `purchase_cost` is in
    `currency` (ISO 4217).
    """

    id: int
    asset_tag: str
    name: str
    kind: str
    category: Ref | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    status: str
    condition: str
    location: Ref | None = None
    holder: Holder | None = None
    supplier: str | None = None
    order_number: str | None = None
    purchase_date: date | None = None
    purchase_cost: Decimal | None = None
    currency: str | None = None
    warranty_expires: date | None = None
    quantity: int | None = None
    min_quantity: int | None = None
    unit: str | None = None
    version: int
    created_at: datetime
    updated_at: datetime


def as_json_object(snapshot: AssetSnapshot) -> dict[str, Any]:
    asset: dict[str, Any] = wire_value(snapshot)
    if snapshot.kind != "stock":
        for name in STOCK_FIELDS:
            del asset[name]
    return asset


def event_data(
    actor: Actor,
    origin: Origin,
    *,
    batch_id: object = None,
    status_from: str | None = None,
    status_to: str | None = None,
    note: str = "",
    **extra: object,
) -> dict[str, Any]:
    """Return the `data` of a body: the six keys of every event, then the event's own keys."""
    always = {
        "actor": actor,
        "origin": origin,
        "batch_id": batch_id,
        "status_from": status_from,
        "status_to": status_to,
        "note": note,
    }
    data: dict[str, Any] = wire_value({**always, **extra})
    return data


def changes(
    before: Mapping[str, object], after: Mapping[str, object]
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return `changed_fields` and `changes {field: {from, to}}`, in the order of `after`.

    A field that is missing on one side counts as null there.
    """
    names = [name for name in {**after, **before} if name not in BOOKKEEPING]
    changed = [name for name in names if before.get(name) != after.get(name)]
    return changed, {
        name: {"from": wire_value(before.get(name)), "to": wire_value(after.get(name))}
        for name in changed
    }


def build_body(
    event: EventName,
    *,
    occurred_at: datetime,
    source: str,
    asset_id: int | None,
    asset: AssetSnapshot | Mapping[str, object],
    data: Mapping[str, object],
) -> bytes:
    """Return the exact body for every attempt, with six keys in the contract's order.

    `asset_id` is None for asset.deleted only.
    """
    _check_id(event, asset_id, data)
    return encode(
        {
            "event": event,
            "timestamp": occurred_at,
            "source": source,
            "asset_id": asset_id,
            "asset": as_json_object(asset) if isinstance(asset, AssetSnapshot) else asset,
            "data": data,
        }
    )


def _check_id(event: EventName, asset_id: int | None, data: Mapping[str, object]) -> None:
    if (asset_id is None) is not (event is EventName.DELETED):
        raise ValueError(f"{event}: the asset's id is null when the asset is deleted, only then")
    if asset_id is None and "deleted_asset_id" not in data:
        raise ValueError(f"{event}: the data must name the deleted asset's id")


@lru_cache(maxsize=256)
def wire_time(at: datetime) -> str:
    """Return ISO 8601 in whole seconds with `+00:00`. Raises ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError("Event times need a time zone")
    return at.astimezone(UTC).isoformat(timespec="seconds")


def wire_value(value: object) -> Any:
    """Convert a value of an event to JSON types.

    Times become `wire_time`, dates `YYYY-MM-DD`, Decimal (always money) text with two decimals, and
    dataclasses objects in the order of their fields. Raises TypeError for other types.
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
    """Return the JSON bytes of a body: one line, no spaces, plain ASCII.

    Other characters become `\\uXXXX`, as in PHP's encoder. The content type names no charset, and
    ASCII reads the same in any charset that a receiver assumes. Raises ValueError for NaN and
    infinity, which JSON doesn't have.
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
        return {field.name: wire_value(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} can’t be in the body")


def _money(amount: Decimal) -> str:
    if not amount.is_finite():
        raise ValueError("Amounts in the body must be numbers")
    return f"{amount:.2f}"


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("Keys in the body must be text")
    return key


def _whole_text(text: str) -> str:
    """Replace lone surrogates, which strict JSON parsers reject."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
