"""Present webhooks with problems as table rows and as sentences."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from flask import url_for
from markupsafe import Markup

from portal.engine.circuit_breaker import PATIENCE_IN_WORDS, has_asked
from portal.engine.formats.answers import Meaning, meaning
from portal.engine.next_steps import EDIT, SWITCH
from portal.engine.reasons import NEEDS_EDIT, Reason
from portal.engine.redirects import Redirect
from portal.lib.clock import utcnow
from portal.lib.durations import is_now
from portal.models.deliveries import DeliveryStatus
from portal.models.webhooks import OffReason
from portal.services.deliveries.answers import Answer
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.webhooks import backlog as backlogs
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.backlog import Backlog, Cause, Taken, WebhookStatus
from portal.services.webhooks.notes import Note
from portal.web.deliveries.contents import answers_of
from portal.web.deliveries.log_presenter import answer_line
from portal.web.deliveries.retried_by import QueuedDeliveries, queued
from portal.web.deliveries.share import ToldCause
from portal.web.deliveries.wording import attempt_time, by_status
from portal.web.frame.access import can
from portal.web.frame.site_state import in_trouble, may_send, sending_stop
from portal.web.frame.status_tags import WEBHOOK
from portal.web.frame.wording import counted, near_time, plural, time_tag
from portal.web.help.advice import delete_link, edit_url, step_of, use_url

MOST_LISTED: Final = 40
ABOUT_TO_TRY: Final = "We’re about to try again"
SHARE: Final = "Update to share"
# The URL is fine for these reasons. At best, the response tells a wrong key from a wrong header.
EDITED: Final = {Reason.AUTH: "Edit security", Reason.BAD_HEADERS: "Edit headers"}
WHY_OFF: Final = {
    OffReason.GONE: "URL permanently closed",
    OffReason.FAILING: f"nothing delivered for {PATIENCE_IN_WORDS}",
    OffReason.LOST_KEY: "its secrets can’t be decrypted",
}


# With any other status filter, the log shows unrelated deliveries.
LISTED_UNDER: Final = (
    None,
    StatusFilter.ATTENTION,
    StatusFilter.UNDELIVERED,
    StatusFilter.QUEUED,
    StatusFilter.RETRYING,
)


class Act(NamedTuple):
    """A button or menu item with its link."""

    label: str
    url: str
    icon: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogRow:
    """One webhook's row.

    `state` is the webhook's status beside its name, and `note` is for colleagues. `is_bad` makes
    the dot red. `said` is the usual response or its meaning. `others` are the other causes with
    their counts. `parts` counts deliveries by status. `delivered`, `pause`, and `sent` appear below
    `since`, the next attempt, and `number`. `next`, the next attempt, is a time or words. `main` is
    the primary action, and `acts` are the others.
    """

    public_id: UUID
    name: str
    name_url: str
    is_bad: bool
    state: str
    cause: str
    said: str
    others: Sequence[tuple[str, str]]
    number: str
    parts: str
    sent: Sequence[str]
    since: datetime | None
    delivered: str
    next: datetime | str
    pause: str
    taken: Taken | None
    note: Note | None
    main: Act
    acts: Sequence[Act]
    may_dismiss: bool

    @property
    def others_count(self) -> str:
        """Return "+2 other causes"."""
        return f"+{plural(len(self.others), 'other cause')}"


@dataclass(frozen=True, slots=True)
class BacklogTable:
    """The rows of a page, with totals of all webhooks with problems.

    `total` counts undelivered deliveries, and `parts` counts them by status. `shown` counts the
    webhooks that the list of webhooks includes.
    """

    rows: Sequence[BacklogRow] = ()
    total: int = 0
    parts: str = ""
    webhooks: int = 0
    shown: int = 0
    oldest: datetime | None = None

    def __bool__(self) -> bool:
        """Return whether the table has rows."""
        return bool(self.rows)

    @property
    def headline(self) -> str:
        """Return "612 undelivered in 5 webhooks, the oldest failing since 13:47"."""
        since = Markup(", the oldest failing since {}")
        oldest = since.format(time_tag(self.oldest)) if self.oldest else ""
        many = Markup("<b>{}</b>").format(counted(self.total))
        where = plural(self.webhooks, "webhook")
        return Markup("{} undelivered in {}{}").format(many, where, oldest)

    @property
    def all_words(self) -> str:
        """Return the link label "View all 12 webhooks with problems", or "" if each has a row."""
        if len(self.rows) == self.webhooks:
            return ""
        return f"View all {plural(self.shown, 'webhook')} with problems"

    @property
    def names(self) -> str:
        """Return "Helpdesk 212, Door 16" for the first three rows."""
        short = [f"{row.name} {row.number}" for row in self.rows[:3]]
        return f"{', '.join(short)}{', …' if self.webhooks > 3 else ''}"


NONE: Final = BacklogTable()
NO_ANSWER: Final = Answer()


def table_of(found: Sequence[Backlog], most: int) -> BacklogTable:
    """Return up to `most` rows in the given order.

    The webhook that has failed the longest always gets a row. If there is one webhook more than
    `most`, all get a row.
    """
    in_bulk_retries = queued() if found else QueuedDeliveries()
    # A link to one more webhook takes as much room as its row.
    rows = found if len(found) == most + 1 else found[:most]
    since = min((backlog.since for backlog in found if backlog.since), default=None)
    oldest = next(backlog for backlog in found if backlog.since == since) if since else None
    if oldest and oldest not in rows:
        rows = [*rows[:-1], oldest]
    total = backlogs.count_of(found)
    examples = webhook_queries.examples_of(rows)
    responses = answers_of(list(examples.values()))
    return BacklogTable(
        [
            _row(
                backlog,
                in_bulk_retries,
                responses.get(examples.get(backlog.public_id, 0), NO_ANSWER),
            )
            for backlog in rows
        ],
        total.undelivered,
        by_status(sum((backlog.counts for backlog in found), Counter())),
        len(found),
        total.webhooks,
        since,
    )


def table_beside(log_filter: LogFilter) -> BacklogTable:
    """Return the table above the log, or `NONE` if this filter has no table."""
    webhook = log_filter.webhook
    plain = LogFilter(status=log_filter.status, webhook=webhook)
    if log_filter != plain or log_filter.status not in LISTED_UNDER:
        return NONE
    if webhook is None:
        return table_of(in_trouble(), MOST_LISTED)
    backlog = backlogs.of_webhook(webhook)
    return table_of([backlog], MOST_LISTED) if backlog else NONE


def log_url(webhook: UUID) -> str:
    """Return the log URL of a webhook's undelivered deliveries."""
    return url_for("deliveries.index", status=StatusFilter.UNDELIVERED, webhook=webhook)


def cause_of(backlog: Backlog) -> str:
    """Return why it was turned off, when its settings changed, or its most common cause."""
    if backlog.is_off_by_us and backlog.off_reason:
        return f"Turned off automatically: {WHY_OFF[backlog.off_reason]}"
    if backlog.changed_at:
        return f"Settings changed at {near_time(backlog.changed_at)}"
    return backlog.cause.words if backlog.cause else ""


def backlog_words(backlog: Backlog) -> Sequence[str]:
    """Return the undelivered count with its start, then the time of the last delivery."""
    many = counted(backlog.undelivered)
    since = f", {backlog.since_words} {near_time(backlog.since)}" if backlog.since else ""
    words = [f"{many} undelivered{since}"] if backlog.undelivered else []
    return [*words, *filter(None, [_delivered(backlog)])]


def untouched(backlog: Backlog) -> str:
    """Return "Nothing delivered since" or "Nothing delivered yet", or "" if something was."""
    if not backlog.is_untouched:
        return ""
    return "Nothing delivered since" if backlog.last_delivered_at else "Nothing delivered yet"


def _delivered(backlog: Backlog) -> str:
    """Return the time of the last delivery, or that nothing was delivered."""
    at = backlog.last_delivered_at
    is_since = backlog.since and at and not backlog.is_untouched
    return f"Last delivered {near_time(at)}" if at and is_since else untouched(backlog)


def asks_to_wait(backlog: Backlog) -> bool:
    """Return whether the receiver asked us to wait."""
    return backlog.waits_until is not None and has_asked(backlog.waits_until, utcnow())


def pause_words(backlog: Backlog) -> str:
    """Return the reason the next attempt is delayed, or "" if none is."""
    until = backlog.waits_until
    if until is None or sending_stop():
        return ""
    if asks_to_wait(backlog):
        return f"The receiver asked us to wait until {near_time(until)}"
    times = plural(backlog.failures_in_row, "time")
    at = backlog.next_attempt_at or until
    then = ABOUT_TO_TRY if is_now(at, utcnow()) else f"The next attempt is at {near_time(at)}"
    return f"Failed {times} in a row. {then}"


def _row(backlog: Backlog, in_bulk_retries: QueuedDeliveries, said: Answer) -> BacklogRow:
    page = url_for("webhooks.show", public_id=backlog.public_id)
    view = Act("View", page)
    if backlog.undelivered:
        view = Act(f"View {counted(backlog.undelivered)}", log_url(backlog.public_id))
    meant = _meaning(backlog, backlog.cause, said)
    ways = list(_ways_out(backlog, in_bulk_retries, meant, said.redirect))
    main, *others = [view, *ways] if asks_to_wait(backlog) else [*ways, view]
    words = response_words(backlog, backlog.cause, said)
    share = [Act(SHARE, f"{page}#share")] if _can_share(backlog, meant) else []
    return BacklogRow(
        public_id=backlog.public_id,
        name=backlog.name,
        name_url="" if backlog.is_deleted else page,
        is_bad=not backlog.is_deleted and backlog.status is not WebhookStatus.ACTIVE,
        state=_state(backlog),
        cause=cause_of(backlog),
        said="" if backlog.is_off_by_us and not meant else words,
        others=[(each.words, counted(each.count)) for each in backlog.causes[1:] if backlog.cause],
        number=counted(backlog.undelivered),
        parts=by_status(backlog.counts),
        sent=in_bulk_retries.words(backlog.public_id),
        since=backlog.since or backlog.off_at,
        delivered=_delivered(backlog),
        next=next(_next(backlog), ""),
        pause="Receiver asked us to wait" if asks_to_wait(backlog) else "",
        taken=backlog.taken,
        note=backlog.note,
        main=main,
        may_dismiss=backlog.undelivered > 0 and can("deliveries.dismiss"),
        acts=[*others[::-1], *share],
    )


def response_words(backlog: Backlog, cause: Cause | None, said: Answer) -> str:
    """Return the response's meaning if it is known, a redirect's target, or the response."""
    meant, words = _meaning(backlog, cause, said), answer_line(said)
    if meant:
        return meant.happened
    return words if said.redirect else words and f"“{words}”"


def _meaning(backlog: Backlog, cause: Cause | None, said: Answer) -> Meaning | None:
    # Responses from before the change might come from another product.
    if cause is None or backlog.changed_at:
        return None
    return meaning(backlog.host, backlog.format, cause.code, said.text)


def _can_share(backlog: Backlog, meant: Meaning | None) -> bool:
    """Return whether the webhook's page has an update to share."""
    cause = backlog.cause
    if cause is None or cause.reason is None or backlog.is_deleted:
        return False
    return bool(ToldCause(cause.reason, cause.code, meaning=meant).request)


def _ways_out(
    backlog: Backlog,
    in_bulk_retries: QueuedDeliveries,
    meant: Meaning | None,
    redirect: Redirect | None,
) -> Iterator[Act]:
    """Yield the reader's possible fixes, the likeliest first.

    `meant` and `redirect` are the meaning of the usual response and its target, if known.
    """
    webhook, cause = backlog.public_id, backlog.cause
    reason = cause.reason if cause else None
    if backlog.is_off_by_us:
        reason = Reason.GONE if backlog.off_reason is OffReason.GONE else None
    is_about = cause is not None and cause.reason is reason
    step = step_of(reason, meant if is_about else None) if reason else None
    is_edited = step is not None and step.permission == EDIT
    is_mended = backlog.off_reason is not OffReason.LOST_KEY and not is_edited
    if backlog.is_off_by_us and is_mended and can(SWITCH):
        yield Act("Turn on", url_for("webhook_switches.on", public_id=webhook))
    if reason and is_edited and not backlog.is_deleted:
        label = "Edit webhook" if meant else EDITED.get(reason, "Edit URL")
        asked = url_for("webhooks.show", public_id=webhook, _anchor="next-step")
        if can(EDIT) and redirect and redirect.is_usable:
            yield Act(*use_url(webhook, redirect))
        own = Act(label, edit_url(webhook, reason, meant))
        yield own if can(EDIT) else Act("View next step", asked)
        if can(EDIT) and reason is Reason.GONE:
            yield Act(*delete_link(webhook, backlog.unsent))
    if is_about and reason in NEEDS_EDIT:  # a retry would fail
        return
    to_retry = backlog.retryable - in_bulk_retries.count(webhook)
    if to_retry > 0 and may_send("deliveries.retry"):
        where = url_for("batches.confirm", status=StatusFilter.UNDELIVERED, webhook=webhook, all=1)
        yield Act(f"Retry {counted(to_retry)}", where, "arrow-clockwise")


def _state(backlog: Backlog) -> str:
    if backlog.is_deleted:
        return "Deleted"
    return "" if backlog.status is WebhookStatus.ACTIVE else WEBHOOK[backlog.status].word


def _next(backlog: Backlog) -> Iterator[datetime | str]:
    """Yield the next attempt's time, or the text shown in place of it."""
    if backlog.is_deleted:
        return
    if backlog.status is WebhookStatus.OFF:
        yield "When turned on"
    elif sending_stop() and backlog.next_attempt_at:
        yield "When sending resumes"
    elif backlog.next_attempt_at:
        yield attempt_time(backlog.next_attempt_at)
    elif backlog.counts[DeliveryStatus.FAILED]:
        yield "None left"
