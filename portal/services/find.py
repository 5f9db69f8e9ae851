"""Search assets, people, webhooks, and deliveries by words, an id, a URL, or an error.

Kinds that the user can't read are skipped. Ids in the text come before its words. If the text finds
nothing, its words are tried as whole tags and serial numbers. Then the text is tried as the end of
an id, and last as a reason or response of failed deliveries. All queries are bounded. Ends of ids
read `MOST_ENDS` entries of the index of ids, and responses read `MOST_SAID_SO` failed attempts.
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

# Each id costs a query, and no one reads the results of more ids.
MOST_IDS: Final = 10
MOST_WORDS: Final = 100
LONGEST_WORD: Final = 120  # the limit of a serial number

_ID: Final = re.compile(
    r"(?<![\da-f])(?:[\da-f]{32}|[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12})(?![\da-f])",
    re.ASCII | re.IGNORECASE,
)
_PART: Final = re.compile(r"(?<![\w-])[\da-f-]{8,35}(?![\w-])", re.ASCII | re.IGNORECASE)
# A few digits can mean anything, so they are tried last.
_END: Final = re.compile(r"[.\u2026]*([\da-f][\da-f-]{3,34})", re.ASCII | re.IGNORECASE)
_ASSET: Final = re.compile(r"/assets/(\d{1,9})(?!\d)", re.ASCII)
_URL: Final = re.compile(r"https?://[^\s\"'<>]{1,2000}", re.ASCII | re.IGNORECASE)
_CODE: Final = re.compile(r"\(([1-5]\d\d)\)", re.ASCII)
# A distinctive word of an error, unlike a time, number, or level.
_TELLING: Final = re.compile(r"[^\W\d][\w.:/-]{4,}")
_WORD: Final = re.compile(r"\w+")
# Separators of words in log lines, JSON, URLs, and sentences.
_BETWEEN: Final = re.compile(r"[\s\"'`<>(){}\[\],;=|&?\u2018-\u201f]+")
_AROUND: Final = ".:!/#"


@dataclass(frozen=True, slots=True)
class Pasted:
    """Parts of a pasted text, without duplicates and in their order.

    `beginnings` and `ends` are parts of ids. `asset_ids` are from the portal's own URLs. `words`
    is empty for a single word.
    """

    ids: tuple[UUID, ...]
    beginnings: tuple[str, ...]
    ends: tuple[str, ...]
    asset_ids: tuple[int, ...]
    hosts: tuple[str, ...]
    words: tuple[str, ...]


def read(text: str) -> Pasted:
    """Split a text into ids, hosts, and words."""
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


FEW: Final = 5  # rows per group
MOST_ENDS: Final = 100_000
SHORTEST_END: Final = 4  # digits
MOST_SAID_SO: Final = 2_000
MOST_READ: Final = 2_000  # characters of a response
MOST_TELLING: Final = 4
LONGEST_WORDS: Final = 120  # characters. Longer texts aren't searched as one phrase.

T = TypeVar("T")
May = Callable[[str], bool]


class FoundKind(StrEnum):
    ASSET = "asset"
    PERSON = "person"
    WEBHOOK = "webhook"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class Hits(Generic[T]):
    """A few results of one kind.

    `total` is the count of the list that shows the same words, if there is one. `is_more` means
    that there are more than were counted.
    """

    rows: Sequence[T] = ()
    total: int | None = None
    is_more: bool = False


@dataclass(frozen=True, slots=True)
class EverythingFound:
    """All results of a search.

    `sure` is the one thing named by its id, tag, or serial number. `deleted` has the names and ids
    of deleted webhooks with deliveries left. `listed_by` is the log filter that finds deliveries
    like these.
    """

    assets: Hits[Asset] = field(default_factory=Hits)
    people: Hits[ListedStaff] = field(default_factory=Hits)
    webhooks: Hits[ListedWebhook] = field(default_factory=Hits)
    deleted: Sequence[tuple[str, UUID]] = ()
    deliveries: Hits[LogRow] = field(default_factory=Hits)
    listed_by: LogFilter | None = None
    sure: tuple[FoundKind, int | UUID] | None = None

    @property
    def is_empty(self) -> bool:
        groups = (self.assets, self.people, self.webhooks, self.deliveries)
        return not (any(group.rows for group in groups) or self.deleted)


def find(text: str, may: May) -> EverythingFound:
    """Return the results for a stripped text, of the kinds that `may` permits."""
    pasted = read(text)
    results = _by_ids(pasted, may)
    if results.is_empty and len(text) <= LONGEST_WORDS:
        results = _by_words(text, may)
    if results.is_empty and pasted.hosts and may("webhooks.read"):
        results = EverythingFound(webhooks=_called(pasted.hosts))
    if results.is_empty and pasted.words and may("assets.read"):
        results = _exactly(pasted.words)
    if results.is_empty and may("deliveries.read"):
        results = _by_ends(text, pasted)
    if results.is_empty and may("deliveries.read"):
        results = _by_error(text, may)
    return results


def _by_ids(pasted: Pasted, may: May) -> EverythingFound:
    results = EverythingFound(
        assets=_assets(pasted.asset_ids) if may("assets.read") else Hits(),
        people=Hits(_people(pasted.ids) if may("assets.read") else ()),
        webhooks=Hits(_webhooks(pasted.ids) if may("webhooks.read") else ()),
        deliveries=_deliveries(pasted) if may("deliveries.read") else Hits(),
    )
    named: list[tuple[FoundKind, int | UUID]] = [
        *((FoundKind.ASSET, row.id) for row in results.assets.rows),
        *((FoundKind.PERSON, row.public_id) for row in results.people.rows),
        *((FoundKind.WEBHOOK, row.public_id) for row in results.webhooks.rows),
        *((FoundKind.DELIVERY, row.public_id) for row in results.deliveries.rows),
    ]
    return replace(results, sure=named[0]) if len(named) == 1 else results


def _by_words(text: str, may: May) -> EverythingFound:
    results = EverythingFound()
    if may("assets.read"):
        exact = _exactly([text])
        if exact.sure:
            return exact
        chosen = AssetFilter(search=text)
        page = asset_queries.list_assets(chosen)
        total = asset_queries.count(chosen) if page.rows else 0
        few = _first(page.rows[:FEW], total, COUNTED_BESIDE) if page.rows else exact.assets
        present, former = (staff.listing(text, left=has_left).rows for has_left in (False, True))
        results = replace(
            results,
            assets=few,
            people=Hits([*present, *former][:FEW], staff.count(text) if present else 0),
        )
        # With very many assets, this would read the whole log.
        if 0 < total <= FOLLOWED and may("deliveries.read"):
            results = replace(results, deliveries=_newest(LogFilter(search=text)))
    if may("webhooks.read"):
        rows = webhook_queries.list_webhooks(text).rows[:FEW]
        total = len(called(session(), text)) if len(rows) == FEW else len(rows)
        results = replace(results, webhooks=Hits(rows, total))
    if may("deliveries.read"):
        part = text.lower()
        names = log_pages.webhook_names()
        gone = [(name, id_) for id_, name, is_gone in names if is_gone and part in name.lower()]
        results = replace(results, deleted=gone[:FEW])
    return results


def _called(hosts: Sequence[str]) -> Hits[ListedWebhook]:
    """Find webhooks by host alone, because the rest of a URL can be secret."""
    ids = dict.fromkeys(row_id for host in hosts for row_id in called(session(), host))
    return Hits(listed(session(), list(ids)[:FEW]), is_more=len(ids) > FEW)


def _by_ends(text: str, pasted: Pasted) -> EverythingFound:
    """Find deliveries, among the newest ones, by the last digits of their ids.

    Needs four digits as the whole text, or eight in a pasted line.
    """
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
    """Find failed deliveries by their displayed result, their response, or their connection error.

    Returns all deliveries that the log lists for the first match.
    """
    line = " ".join(text.split())
    lower = line.lower()
    reasons = [reason for reason in Reason if title(reason).lower() in lower]
    if reasons:
        longest = max(reasons, key=lambda reason: len(title(reason)))
        code = _CODE.search(line)
        log_filter = LogFilter(reasons=alike(longest), codes=_codes(code and int(code[1])))
        hits = _newest(log_filter)
        if hits.rows:
            return EverythingFound(deliveries=hits, listed_by=log_filter)
    if not may(CONTENT):
        return EverythingFound()
    telling = sorted(dict.fromkeys(_TELLING.findall(line[:MOST_READ])), key=len, reverse=True)
    rows = _said([line]) if len(line) <= LONGEST_WORDS else ()
    rows = rows or (_said(telling[:MOST_TELLING]) if telling else ())
    if not rows:
        return EverythingFound()
    if shared := _said_by(rows[0], line[:MOST_READ]):
        log_filter = LogFilter(answer=shared)
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
    """Return the longest part of the line that is in a response to this delivery.

    Returns "" if that part isn't distinctive.
    """
    response = func.substr(AttemptBody.response_text, 1, MOST_READ)
    texts = session().scalars(
        select(response)
        .join(Attempt, AttemptBody.attempt_id == Attempt.id)
        .where(Attempt.delivery_id == row.id, is_failed_attempt())
    )
    shared = max((shared_words(line, text) for text in texts if text), key=len, default="")
    return shared if shared == line or _TELLING.search(shared) else ""


def shared_words(line: str, text: str) -> str:
    """Return the longest run of words that the line and the text share.

    It has at most `LONGEST_WORDS` characters, as the log can't be searched for more.
    """
    lower, lower_text = line.lower(), text.lower()
    if len(line) <= LONGEST_WORDS and lower in lower_text:
        return line
    words = [match.span() for match in _WORD.finditer(line)]
    longest, first = "", 0
    for _, end in words:
        # A shared run stays shared without its first word, so `first` never moves back.
        while (begin := words[first][0]) < end and (
            end - begin > LONGEST_WORDS or lower[begin:end] not in lower_text
        ):
            first += 1
            if first == len(words):
                return longest
        longest = max(longest, line[begin:end], key=len)
    return longest


def _newest(log_filter: LogFilter) -> Hits[LogRow]:
    """Return the newest deliveries that match a filter, with their total."""
    rows = log_pages.latest(log_filter, FEW)
    if len(rows) < FEW:
        return Hits(rows)
    matches = log_pages.count_matches(log_filter)
    return Hits(rows, matches.total, matches.is_more)


def _first(rows: Sequence[T], count: int, most: int) -> Hits[T]:
    """Return these rows of `count`. Counting ended one after `most`."""
    return Hits(rows, min(count, most), count > most)


def _said(words: Sequence[str]) -> Sequence[LogRow]:
    """Find deliveries by the responses and errors of the newest failed attempts.

    A response or error must contain two of the words, or the only word. Most matches come first.
    """
    text = func.substr(AttemptBody.response_text, 1, MOST_READ) + " " + AttemptBody.detail
    # The limit makes the database lowercase each text once, not once per word.
    newest = (
        select(Attempt.delivery_id, Attempt.finished_at, func.lower(text).label("said"))
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(is_failed_attempt())
        .order_by(Attempt.finished_at.desc())
        .limit(MOST_SAID_SO)
        .subquery()
    )
    lowered = newest.c.said
    matches = [
        case((lowered.contains(word.lower(), autoescape=True), 1), else_=0) for word in words
    ]
    count = sum(matches[1:], start=matches[0])
    rows = session().execute(
        select(newest.c.delivery_id)
        .where(count >= min(2, len(words)))
        .group_by(newest.c.delivery_id)
        .order_by(func.max(count).desc(), func.max(newest.c.finished_at).desc())
        .limit(FEW)
    )
    return log_pages.of_ids([row.delivery_id for row in rows])


def _exactly(words: Sequence[str]) -> EverythingFound:
    """Find assets that have one of the words as tag or serial number, deleted ones last."""
    lowered = {word.lower() for word in words}
    tagged = select(Asset.id).where(func.lower(Asset.asset_tag).in_(lowered))
    numbered = select(Asset.id).where(
        func.lower(Asset.serial_number).in_(lowered),
        Asset.serial_number.is_not(None),
        Asset.deleted_at.is_(None),
    )
    hits = _assets({*session().scalars(tagged), *session().scalars(numbered)})
    alive = [row.id for row in hits.rows if row.deleted_at is None]
    sure = (FoundKind.ASSET, alive[0]) if len(alive) == 1 else None
    return EverythingFound(assets=hits, sure=sure)


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
    """Find deliveries by their ids, by ids of their events, and by beginnings of ids."""
    filters = [LogFilter(delivery=public_id) for public_id in pasted.ids]
    if pasted.ids:
        event_deliveries = select(Delivery.public_id).join(Event, Event.id == Delivery.event_id)
        of_events = event_deliveries.where(Event.public_id.in_(pasted.ids)).order_by(
            Delivery.id.desc()
        )
        their_ids = session().scalars(of_events.limit(MOST_IDS + 1))
        filters += [LogFilter(delivery=public_id) for public_id in their_ids]
    begun_so = {beginning: begun(session(), beginning) for beginning in pasted.beginnings}
    filters += [LogFilter(search=beginning) for beginning, ids in begun_so.items() if ids]
    rows = {row.id: row for log_filter in filters for row in log_pages.latest(log_filter, FEW)}
    count = sum(map(len, begun_so.values()))
    shown = list(rows.values())[:MOST_IDS]
    is_more = len(rows) > len(shown)
    return _first(shown, count, MOST_BEGUN - 1) if count else Hits(shown, is_more=is_more)
