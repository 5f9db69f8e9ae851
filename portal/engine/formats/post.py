"""What a chat is told of an event, before any product's own format."""

from collections.abc import Mapping
from datetime import tzinfo
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from portal.engine.events.catalogue import CATALOGUE

TITLES: Final[Mapping[str, str]] = {event.value: event.name for event in CATALOGUE}


class Severity(StrEnum):
    INFO = "info"
    GOOD = "good"
    WARNING = "warning"
    DANGER = "danger"


class Place(NamedTuple):
    """Where the portal is. `base_url`: None where nobody else could open a link to it."""

    zone: tzinfo
    base_url: str | None


class Fact(NamedTuple):
    label: str
    value: str


class Post(NamedTuple):
    """`asset`: its tag and name. `link`: to the asset, if it has a page."""

    title: str
    asset: str
    facts: tuple[Fact, ...]
    severity: Severity
    link: str | None
    source: str


def post_of(body: bytes, place: Place) -> Post:
    """Return the post of a stored body. What it has not, or in another form, is left out."""
    message = orjson.loads(body)
    asset: dict[str, Any] = message.get("asset") or {}
    asset_id = message.get("asset_id")
    return Post(
        title=TITLES.get(message.get("event"), "Event"),
        asset=f"{asset.get('asset_tag')} {asset.get('name')}",
        facts=(),
        severity=Severity.INFO,
        link=f"{place.base_url}/assets/{asset_id}" if place.base_url and asset_id else None,
        source=str(message.get("source")),
    )
