"""Search everything: assets, people, webhooks and deliveries, by words, an id, a URL, or an error.

What is not allowed is not looked for. An id anywhere in the text goes before words. Where the text
itself finds nothing, its words are tried as whole tags and serial numbers, then the text as the end
of an id, and last as a reason or a response of failed deliveries. All of it is bounded: the ends of
ids by `MOST_ENDS` entries of the index of ids, responses by `MOST_SAID_SO` failed attempts.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Text, case, cast, func, or_, select
from sqlalchemy.orm import joinedload

from portal.engine.http.address_guard import host_of
from portal.engine.reasons import Reason, alike, title
from portal.lib.ids import SHORTEST_BEGINNING, ids_beginning
from portal.models.assets import Asset
from portal.models.deliveries import Attempt, AttemptBody, Delivery, Event, is_failed_attempt
from portal.models.webhooks import Webhook
from portal.services.assets import queries as asset_queries
from portal.services.assets import staff
from portal.services.assets.queries import COUNTED_BESIDE, AssetFilter
from portal.services.assets.staff import ListedStaff
from portal.services.core.permissions import CONTENT
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.log_query import FOLLOWED, MOST_BEGUN, begun
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
_PART: Final = re.compile(r"(?<![\w-])[\da-f-]{8,35}(?![\w-])", re.ASCII | re.IGNORECASE)
# A few digits may be anything: they are tried last.
_END: Final = re.compile(r"[.\u2026]*([\da-f][\da-f-]{3,34})", re.ASCII | re.IGNORECASE)
_ASSET: Final = re.compile(r"/assets/(\d{1,9})(?!\d)", re.ASCII)
_URL: Final = re.compile(r"https?://[^\s\"'<>]{1,2000}", re.ASCII | re.IGNORECASE)
_CODE: Final = re.compile(r"\(([1-5]\d\d)\)", re.ASCII)
# A word of an error, and no time, number, or level.
_TELLING: Final = re.compile(r"[^\W\d][\w.:/-]{4,}")
_WORD: Final = re.compile(r"\w+")
# What stands around a word in a log line, in JSON, in an address, and in a sentence.
_BETWEEN: Final = re.compile(r"[\s\"'`<>(){}\[\],;=|&?\u2018-\u201f]+")
_AROUND: Final = ".:!/#"


@dataclass(frozen=True, slots=True)
class Pasted:
    """The ids in it, beginnings and ends of ids, the numbers of assets in addresses of ours, the
    hosts of URLs, and its words, if there are several; each once, in their order."""

    ids: tuple[UUID, ...]
    beginnings: tuple[str, ...]
    ends: tuple[str, ...]
    asset_ids: tuple[int, ...]
    hosts: tuple[str, ...]
    words: tuple[str, ...]


def read(text: str) -> Pasted:
    """Read it."""
    ids = dict.fromkeys(UUID(match) for match in _ID.findall(text))
    rest = _ID.sub(" ", text)
    parts = dict.fromkeys(_PART.findall(rest))
    ends = dict.fromkeys(part.replace("-", "").lower() for part in parts)
    assets = dict.fromkeys(map(int, _ASSET.findall(text)))
    hosts = dict.fromkeys(filter(None, map(host_of, _URL.findall(text)[:MOST_IDS])))
    words = dict.fromkeys(word.strip(_AROUND) for word in _BETWEEN.split(rest))
    usable = [word for word in words if 1 < len(word) <= LONGEST_WORD]
    return Pasted(
        ids=tuple(ids)[:MOST_IDS],
        beginnings=tuple(part for part in parts if ids_beginning(part))[:MOST_IDS],
        ends=tuple(end for end in ends if len(end) >= SHORTEST_BEGINNING)[:MOST_IDS],
        asset_ids=tuple(assets)[:MOST_IDS],
        hosts=tuple(hosts),
        words=tuple(usable)[:MOST_WORDS] if len(words) > 1 else (),
    )


FEW: Final = 5  # rows of a group
MOST_ENDS: Final = 100_000
SHORTEST_END: Final = 4  # digits
MOST_SAID_SO: Final = 2_000
MOST_READ: Final = 2_000  # characters of a response
MOST_TELLING: Final = 4
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
    """A few of one kind. `total`: how many a list of them shows for the same words, if one does;
    `is_more`: there are more than were counted."""

    rows: Sequence[T] = ()
    total: int | None = None
    is_more: bool = False


@dataclass(frozen=True, slots=True)
class EverythingFound:
    """All that was found. `sure`: the one thing named by its id, tag or serial number. `deleted`:
    the names and ids of webhooks whose deliveries are left. `listed_by`: the filter of the log that
    finds deliveries like these."""

    assets: Hits[Asset] = field(default_factory=Hits)
    people: Hits[ListedStaff] = field(default_factory=Hits)
    webhooks: Hits[ListedWebhook] = field(default_factory=Hits)
    deleted: Sequence[tuple[str, UUID]] = ()
    deliveries: Hits[LogRow] = field(default_factory=Hits)
    listed_by: LogFilter | None = None
    sure: tuple[FoundKind, int | UUID] | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to show."""
        groups = (self.assets, self.people, self.webhooks, self.deliveries)
        return not (any(group.rows for group in groups) or self.deleted)


def find(text: str, may: May) -> EverythingFound:
    """Return what the text, without blanks around it, names or describes, of what `may` be seen."""
    pasted = read(text)
    found = _by_ids(pasted, may)
    if found.is_empty and len(text) <= LONGEST_WORDS:
        found = _by_words(text, may)
    if found.is_empty and pasted.hosts and may("webhooks.read"):
        found = EverythingFound(webhooks=_called(pasted.hosts))
    if found.is_empty and pasted.words and may("assets.read"):
        found = _exactly(pasted.words)
    if found.is_empty and may("deliveries.read"):
        found = _by_ends(text, pasted)
    if found.is_empty and may("deliveries.read"):
        found = _by_error(text, may)
    return found


def _by_ids(pasted: Pasted, may: May) -> EverythingFound:
    found = EverythingFound(
        assets=_assets(pasted.asset_ids) if may("assets.read") else Hits(),
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
        few = _first(page.rows[:FEW], total, COUNTED_BESIDE) if page.rows else exact.assets
        here, left = (staff.listing(text, left=has_left).rows for has_left in (False, True))
        found = replace(
            found,
            assets=few,
            people=Hits([*here, *left][:FEW], staff.count(text) if here else 0),
        )
        # Of some assets the log can be followed; of very many it would be read through.
        if 0 < total <= FOLLOWED and may("deliveries.read"):
            found = replace(found, deliveries=_newest(LogFilter(search=text)))
    if may("webhooks.read"):
        rows = webhook_queries.list_webhooks(text).rows[:FEW]
        total = len(called(session(), text)) if len(rows) == FEW else len(rows)
        found = replace(found, webhooks=Hits(rows, total))
    if may("deliveries.read"):
        part = text.lower()
        names = log_pages.webhook_names()
        gone = [(name, id_) for id_, name, is_gone in names if is_gone and part in name.lower()]
        found = replace(found, deleted=gone[:FEW])
    return found


def _called(hosts: Sequence[str]) -> Hits[ListedWebhook]:
    """Find the webhooks that send there. The rest of an address may be secret."""
    ids = dict.fromkeys(row_id for host in hosts for row_id in called(session(), host))
    return Hits(listed(session(), list(ids)[:FEW]), is_more=len(ids) > FEW)


def _by_ends(text: str, pasted: Pasted) -> EverythingFound:
    """Find deliveries, among the newest ones, by the last digits of their ids: four or more as the
    whole text, eight or more in a pasted line."""
    match = _END.fullmatch(text)
    digits = match[1].replace("-", "").lower() if match else ""
    ends = (digits,) if len(digits) >= SHORTEST_END else pasted.ends
    if not ends:
        return EverythingFound()
    newest = select(Delivery.public_id).order_by(Delivery.public_id.desc()).limit(MOST_ENDS)
    ids = newest.subquery().c.public_id
    written = func.replace(cast(ids, Text), "-", "")
    ends_so = or_(*(written.like(f"%{end}") for end in ends))
    named = session().scalars(select(ids).where(ends_so).limit(MOST_IDS + 1)).all()
    rows = list(log_pages.named(named[:MOST_IDS]))
    sure = (FoundKind.DELIVERY, rows[0].public_id) if len(rows) == 1 else None
    return EverythingFound(deliveries=_first(rows, len(named), MOST_IDS), sure=sure)


def _by_error(text: str, may: May) -> EverythingFound:
    """Find failed deliveries by what people see as the result, else by what the receiver said, else
    by the error of the connection: all that the log lists so."""
    line = " ".join(text.split())
    lower = line.lower()
    reasons = [reason for reason in Reason if title(reason).lower() in lower]
    if reasons:
        longest = max(reasons, key=lambda reason: len(title(reason)))
        code = _CODE.search(line)
        log_filter = LogFilter(reasons=alike(longest), codes=_codes(code and int(code[1])))
        found = _newest(log_filter)
        if found.rows:
            return EverythingFound(deliveries=found, listed_by=log_filter)
    if not may(CONTENT):
        return EverythingFound()
    telling = sorted(dict.fromkeys(_TELLING.findall(line[:MOST_READ])), key=len, reverse=True)
    rows = _said([line]) if len(line) <= LONGEST_WORDS else ()
    rows = rows or (_said(telling[:MOST_TELLING]) if telling else ())
    if not rows:
        return EverythingFound()
    if said := _said_by(rows[0], line[:MOST_READ]):
        log_filter = LogFilter(answer=said)
    elif rows[0].reason:
        reason, webhook = Reason(rows[0].reason), rows[0].webhook_id
        codes = _codes(rows[0].code)
        log_filter = LogFilter(webhook=webhook, reasons=alike(reason), codes=codes)
    else:
        return EverythingFound(deliveries=Hits(rows))
    return EverythingFound(deliveries=_newest(log_filter), listed_by=log_filter)


def _codes(code: int | None) -> tuple[int, int] | None:
    return (code, code) if code else None


def _said_by(row: LogRow, line: str) -> str:
    """Return the most of the line that stands in a response to this delivery; blank where that
    tells nothing."""
    response = func.substr(AttemptBody.response_text, 1, MOST_READ)
    texts = session().scalars(
        select(response)
        .join(Attempt, AttemptBody.attempt_id == Attempt.id)
        .where(Attempt.delivery_id == row.id, is_failed_attempt())
    )
    shared = max((shared_words(line, text) for text in texts if text), key=len, default="")
    return shared if shared == line or _TELLING.search(shared) else ""


def shared_words(line: str, text: str) -> str:
    """Return the longest run of words of the line that stands in the text, no longer than the log
    can be searched for."""
    lower, said = line.lower(), text.lower()
    if len(line) <= LONGEST_WORDS and lower in said:
        return line
    words = [match.span() for match in _WORD.finditer(line)]
    longest, first = "", 0
    for _, end in words:
        # What stands in the text does so without its first word too.
        while (begin := words[first][0]) < end and (
            end - begin > LONGEST_WORDS or lower[begin:end] not in said
        ):
            first += 1
            if first == len(words):
                return longest
        longest = max(longest, line[begin:end], key=len)
    return longest


def _newest(log_filter: LogFilter) -> Hits[LogRow]:
    """Return the newest of the log under a filter, with how many there are."""
    rows = log_pages.latest(log_filter, FEW)
    if len(rows) < FEW:
        return Hits(rows)
    matches = log_pages.count_matches(log_filter)
    return Hits(rows, matches.total, matches.is_more)


def _first(rows: Sequence[T], count: int, most: int) -> Hits[T]:
    """Return these of so many, where counting ends one after `most`."""
    return Hits(rows, min(count, most), count > most)


def _said(words: Sequence[str]) -> Sequence[LogRow]:
    """Find deliveries of which a failed attempt, among the newest, has two of the words, or the
    only one, in its response or error; those with the most of them first."""
    text = func.substr(AttemptBody.response_text, 1, MOST_READ) + " " + AttemptBody.detail
    # The limit has each text put into small letters once, and not for each of the words.
    newest = (
        select(Attempt.delivery_id, Attempt.finished_at, func.lower(text).label("said"))
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(is_failed_attempt())
        .order_by(Attempt.finished_at.desc())
        .limit(MOST_SAID_SO)
        .subquery()
    )
    said = newest.c.said
    found = [case((said.contains(word.lower(), autoescape=True), 1), else_=0) for word in words]
    count = sum(found[1:], start=found[0])
    rows = session().execute(
        select(newest.c.delivery_id)
        .where(count >= min(2, len(words)))
        .group_by(newest.c.delivery_id)
        .order_by(func.max(count).desc(), func.max(newest.c.finished_at).desc())
        .limit(FEW)
    )
    return log_pages.of_ids([row.delivery_id for row in rows])


def _exactly(words: Sequence[str]) -> EverythingFound:
    """Find assets by one of the words as tag or serial number, deleted ones last."""
    statement = {word.lower() for word in words}
    tagged = select(Asset.id).where(func.lower(Asset.asset_tag).in_(statement))
    numbered = select(Asset.id).where(
        func.lower(Asset.serial_number).in_(statement),
        Asset.serial_number.is_not(None),
        Asset.deleted_at.is_(None),
    )
    found = _assets({*session().scalars(tagged), *session().scalars(numbered)})
    alive = [row.id for row in found.rows if row.deleted_at is None]
    sure = (FoundKind.ASSET, alive[0]) if len(alive) == 1 else None
    return EverythingFound(assets=found, sure=sure)


def _assets(ids: Collection[int]) -> Hits[Asset]:
    statement = select(Asset).where(Asset.id.in_(ids)).options(joinedload(Asset.location))
    order = (Asset.deleted_at.is_not(None), Asset.id.desc())
    rows = session().scalars(statement.order_by(*order).limit(FEW + 1)).all() if ids else ()
    return Hits(rows[:FEW], is_more=len(rows) > FEW)


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
        their_ids = session().scalars(of_events.limit(MOST_IDS + 1))
        asked += [LogFilter(delivery=public_id) for public_id in their_ids]
    begun_so = {beginning: begun(session(), beginning) for beginning in pasted.beginnings}
    asked += [LogFilter(search=beginning) for beginning, ids in begun_so.items() if ids]
    rows = {row.id: row for log_filter in asked for row in log_pages.latest(log_filter, FEW)}
    count = sum(map(len, begun_so.values()))
    found = list(rows.values())[:MOST_IDS]
    is_more = len(rows) > len(found)
    return _first(found, count, MOST_BEGUN - 1) if count else Hits(found, is_more=is_more)
