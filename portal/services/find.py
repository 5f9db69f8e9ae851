"""Search everything: assets, people, webhooks and deliveries, by words or by an id.

What is not allowed is not looked for. An id that stands anywhere in the text goes before words; the
single words of a text are tried, as whole tags and serial numbers, where the text itself found
nothing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from portal.lib.ids import ids_beginning
from portal.models.assets import Asset
from portal.models.deliveries import Delivery, Event
from portal.models.webhooks import Webhook
from portal.services.assets import queries as asset_queries
from portal.services.assets import staff
from portal.services.assets.queries import AssetFilter
from portal.services.assets.staff import ListedStaff
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.log_query import FOLLOWED, begun
from portal.services.deliveries.statuses import LogFilter
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.queries import ListedWebhook, listed
from portal.services.webhooks.rows import called, is_shown

# Of more than that nobody looks at what was found; and it is a search for each.
MOST_IDS: Final = 10
MOST_WORDS: Final = 100
LONGEST_WORD: Final = 120  # as long as a serial number can be

_ID: Final = re.compile(
    r"(?<![\da-f])(?:[\da-f]{32}|[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12})(?![\da-f])",
    re.ASCII | re.IGNORECASE,
)
_BEGINNING: Final = re.compile(r"(?<![\w-])[\da-f-]{8,35}(?![\w-])", re.ASCII | re.IGNORECASE)
_ASSET: Final = re.compile(r"/assets/(\d{1,9})(?!\d)", re.ASCII)
# What stands around a word in a log line, in JSON, in an address, and in a sentence.
_BETWEEN: Final = re.compile(r"[\s\"'`<>(){}\[\],;=|&?\u2018-\u201f]+")
_AROUND: Final = ".:!/#"


@dataclass(frozen=True, slots=True)
class Pasted:
    """The ids in it, the beginnings of ids, the numbers of assets in addresses of ours, and its
    words, if there are several; each once, in their order."""

    ids: tuple[UUID, ...]
    beginnings: tuple[str, ...]
    asset_ids: tuple[int, ...]
    words: tuple[str, ...]


def read(text: str) -> Pasted:
    """Read it."""
    ids = dict.fromkeys(UUID(match) for match in _ID.findall(text))
    rest = _ID.sub(" ", text)
    beginnings = dict.fromkeys(
        beginning for beginning in _BEGINNING.findall(rest) if ids_beginning(beginning)
    )
    assets = dict.fromkeys(map(int, _ASSET.findall(text)))
    words = dict.fromkeys(word.strip(_AROUND) for word in _BETWEEN.split(rest))
    usable = [word for word in words if 1 < len(word) <= LONGEST_WORD]
    return Pasted(
        ids=tuple(ids)[:MOST_IDS],
        beginnings=tuple(beginnings)[:MOST_IDS],
        asset_ids=tuple(assets)[:MOST_IDS],
        words=tuple(usable)[:MOST_WORDS] if len(words) > 1 else (),
    )


FEW: Final = 5  # rows of a group
LONGEST_WORDS: Final = 120  # characters; a longer text is looked through for ids and words alone

T = TypeVar("T")
May = Callable[[str], bool]


class FoundKind(StrEnum):
    """Kinds of things that can be found."""

    ASSET = "asset"
    PERSON = "person"
    WEBHOOK = "webhook"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class Hits(Generic[T]):
    """A few of one kind. `total`: how many a list of them shows for the same words, if one does."""

    rows: Sequence[T] = ()
    total: int | None = None


@dataclass(frozen=True, slots=True)
class EverythingFound:
    """All that was found. `sure`: the one thing named by its id, tag or serial number."""

    assets: Hits[Asset] = field(default_factory=Hits)
    people: Hits[ListedStaff] = field(default_factory=Hits)
    webhooks: Hits[ListedWebhook] = field(default_factory=Hits)
    deliveries: Hits[LogRow] = field(default_factory=Hits)
    sure: tuple[FoundKind, int | UUID] | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to show."""
        return not (
            self.assets.rows or self.people.rows or self.webhooks.rows or self.deliveries.rows
        )


def find(text: str, may: May) -> EverythingFound:
    """Return what the text, without blanks around it, names or describes, of what `may` be seen."""
    pasted = read(text)
    found = _by_ids(pasted, may)
    if found.is_empty and len(text) <= LONGEST_WORDS:
        found = _by_words(text, may)
    if found.is_empty and pasted.words and may("assets.read"):
        found = _exactly(pasted.words)
    return found


def _by_ids(pasted: Pasted, may: May) -> EverythingFound:
    found = EverythingFound(
        assets=Hits(_assets(pasted.asset_ids) if may("assets.read") else ()),
        people=Hits(_people(pasted.ids) if may("assets.read") else ()),
        webhooks=Hits(_webhooks(pasted.ids) if may("webhooks.read") else ()),
        deliveries=_deliveries(pasted) if may("deliveries.read") else Hits(),
    )
    named: list[tuple[FoundKind, int | UUID]] = [
        *((FoundKind.ASSET, row.id) for row in found.assets.rows),
        *((FoundKind.PERSON, row.public_id) for row in found.people.rows),
        *((FoundKind.WEBHOOK, row.public_id) for row in found.webhooks.rows),
        *((FoundKind.DELIVERY, row.public_id) for row in found.deliveries.rows),
    ]
    return replace(found, sure=named[0]) if len(named) == 1 else found


def _by_words(text: str, may: May) -> EverythingFound:
    found = EverythingFound()
    if may("assets.read"):
        exact = _exactly([text])
        if exact.sure:
            return exact
        chosen = AssetFilter(search=text)
        page = asset_queries.list_assets(chosen)
        total = asset_queries.count(chosen) if page.rows else 0
        here, left = (staff.listing(text, left=has_left).rows for has_left in (False, True))
        found = replace(
            found,
            assets=Hits(page.rows[:FEW], total) if page.rows else exact.assets,
            people=Hits([*here, *left][:FEW], staff.count(text) if here else 0),
        )
        # Of some assets the log can be followed; of very many it would be read through.
        if 0 < total <= FOLLOWED and may("deliveries.read"):
            found = replace(found, deliveries=Hits(log_pages.latest(LogFilter(search=text), FEW)))
    if may("webhooks.read"):
        rows = webhook_queries.list_webhooks(text).rows[:FEW]
        total = len(called(session(), text)) if len(rows) == FEW else len(rows)
        found = replace(found, webhooks=Hits(rows, total))
    return found


def _exactly(words: Sequence[str]) -> EverythingFound:
    """Find assets by one of the words as tag or serial number, deleted ones last."""
    statement = {word.lower() for word in words}
    tagged = select(Asset.id).where(func.lower(Asset.asset_tag).in_(statement))
    numbered = select(Asset.id).where(
        func.lower(Asset.serial_number).in_(statement),
        Asset.serial_number.is_not(None),
        Asset.deleted_at.is_(None),
    )
    rows = _assets([*session().scalars(tagged), *session().scalars(numbered)])
    alive = [row.id for row in rows if row.deleted_at is None]
    sure = (FoundKind.ASSET, alive[0]) if len(alive) == 1 else None
    return EverythingFound(assets=Hits(rows), sure=sure)


def _assets(ids: Sequence[int]) -> Sequence[Asset]:
    statement = select(Asset).where(Asset.id.in_(ids)).options(joinedload(Asset.location))
    order = (Asset.deleted_at.is_not(None), Asset.id.desc())
    return session().scalars(statement.order_by(*order).limit(FEW)).all() if ids else ()


def _people(ids: Sequence[UUID]) -> Sequence[ListedStaff]:
    return [person for person in map(staff.find_listed, ids) if person]


def _webhooks(ids: Sequence[UUID]) -> Sequence[ListedWebhook]:
    statement = select(Webhook.id).where(*is_shown(), Webhook.public_id.in_(ids))
    return listed(session(), session().scalars(statement).all()) if ids else ()


def _deliveries(pasted: Pasted) -> Hits[LogRow]:
    """Return those of the ids, of the events whose ids they are, and those that begin so."""
    asked = [LogFilter(delivery=public_id) for public_id in pasted.ids]
    if pasted.ids:
        theirs = select(Delivery.public_id).join(Event, Event.id == Delivery.event_id)
        of_events = theirs.where(Event.public_id.in_(pasted.ids)).order_by(Delivery.id.desc())
        their_ids = session().scalars(of_events.limit(MOST_IDS))
        asked += [LogFilter(delivery=public_id) for public_id in their_ids]
    begun_so = {beginning: begun(session(), beginning) for beginning in pasted.beginnings}
    asked += [LogFilter(search=beginning) for beginning, ids in begun_so.items() if ids]
    rows = {row.id: row for log_filter in asked for row in log_pages.latest(log_filter, FEW)}
    return Hits(list(rows.values())[:MOST_IDS], sum(map(len, begun_so.values())) or None)
