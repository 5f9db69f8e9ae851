"""The facts of an event that conditions test, read from its body."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import orjson

from portal.engine.events.catalogue import EventName

# A new or deleted asset hasn't changed.
UNCHANGED: Final = frozenset({EventName.CREATED, EventName.DELETED})
OTHER_HOLDER: Final = frozenset(
    {EventName.ALLOCATED, EventName.REVOKED, EventName.CHECKED_OUT, EventName.CHECKED_IN}
)


class Facts(NamedTuple):
    """The asset after the event, and the change. Missing facts are None.

    `category` and `location`: their IDs as text. `changed`: the changed fields. `folded_tag` and
    `folded_name`: tag and name with their case folded.
    """

    category: str | None = None
    location: str | None = None
    status: str | None = None
    tag: str | None = None
    name: str | None = None
    cost: Decimal | None = None
    origin: str | None = None
    changed: frozenset[str] = frozenset()
    folded_tag: str | None = None
    folded_name: str | None = None


def facts_of(body: bytes) -> Facts:
    """Return the facts of a stored body. Malformed facts are missing."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Facts()
    whole = _object(message)
    asset, data = _object(whole.get("asset")), _object(whole.get("data"))
    tag, name = _text(asset.get("asset_tag")), _text(asset.get("name"))
    return Facts(
        category=_id(asset.get("category")),
        location=_id(asset.get("location")),
        status=_text(asset.get("status")),
        tag=tag,
        name=name,
        cost=_amount(asset.get("purchase_cost")),
        origin=_text(data.get("origin")),
        changed=_changed(whole.get("event"), data),
        folded_tag=None if tag is None else tag.casefold(),
        folded_name=None if name is None else name.casefold(),
    )


def _changed(event: Any, data: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields that this event changed."""
    if not isinstance(event, str) or event in UNCHANGED:
        return frozenset()
    named = data.get("changed_fields")
    changed = (
        {name for name in named if isinstance(name, str)} if isinstance(named, list) else set()
    )
    before, after = _text(data.get("status_from")), _text(data.get("status_to"))
    if before and after and before != after:
        changed.add("status")
    if event == EventName.TRANSFERRED or _id(data.get("return_location")):
        changed.add("location")
    if event in OTHER_HOLDER:
        changed.add("holder")
    return frozenset(changed)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _id(value: Any) -> str | None:
    row_id = _object(value).get("id")
    return str(row_id) if isinstance(row_id, int) and not isinstance(row_id, bool) else None


def _amount(value: Any) -> Decimal | None:
    try:
        amount = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        return None
    return amount if amount is not None and amount.is_finite() else None
