"""Present a webhook's next steps, its update for the receiver's team, and its backlog by cause."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from flask import url_for

from portal.engine.formats.answers import Meaning, meaning, product_at
from portal.engine.next_steps import ASK, EDIT, SWITCH
from portal.engine.reasons import NEEDS_EDIT, NEVER_LEFT, Reason, Side, explain, title
from portal.models.deliveries import OPEN, DeliveryStatus
from portal.models.webhooks import OffReason
from portal.services.core.permissions import CONTENT
from portal.services.deliveries import trends
from portal.services.deliveries.answers import Answer
from portal.services.deliveries.statuses import StatusFilter
from portal.services.deliveries.trends import Share, Span
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.backlog import Backlog, Cause, WebhookStatus
from portal.services.webhooks.queries import EXAMPLES, HistoryEntry, LastFailure, WebhookDetail
from portal.web.deliveries.backlog import NO_ANSWER, response_words, untouched
from portal.web.deliveries.contents import answers_of
from portal.web.deliveries.log_presenter import answer_line, said_in
from portal.web.deliveries.retried_by import queued
from portal.web.deliveries.share import ToldCause, Trouble, key_words, update_to_share
from portal.web.frame import charts
from portal.web.frame.access import can
from portal.web.frame.site_state import may_send
from portal.web.frame.status_tags import DELIVERY, Tag
from portal.web.frame.wording import counted, day_of, days_kept, number, percent, plural, zone
from portal.web.help.advice import NO_NEW_URL, Advice, Link, asking, delete_link
from portal.web.webhooks.wording import (
    advice_about_held,
    advice_of,
    has_moved,
    held_count,
    held_until_words,
    reason_of,
)

MOST_TOLD: Final = 3  # causes in an update to share, plus the latest
FIRST_ONE: Final = "We’ll send one first. The others follow after it’s delivered."


@dataclass(frozen=True, slots=True)
class Step:
    """One action and its reason. `is_post` makes its link a button that sends at once.

    `others` are further links to take it.
    """

    text: str
    note: str = ""
    link: Link | None = None
    is_post: bool = False
    others: Sequence[Link] = ()


@dataclass(frozen=True, slots=True)
class NextStep:
    """All steps in order, and the person who acts.

    `message` is for the reader to copy and send to the `recipient`.
    """

    who: str
    steps: Sequence[Step]
    message: str = ""
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One cause of undelivered deliveries.

    `said` is a response or its meaning. `share` is in percent of all. The status is a `tag`, or
    `state` in words.
    """

    words: str
    said: str
    url: str
    number: str
    share: float
    is_bad: bool
    tag: Tag | None
    state: str
    retry_url: str
    retry_label: str


@dataclass(frozen=True, slots=True)
class Week:
    """The share of a week's deliveries that were delivered, in words, and its two numbers."""

    words: str
    share: str
    numbers: str


def weeks_of(webhook: WebhookDetail) -> list[Week]:
    """Return the webhook's weeks, newest first, without those before its first delivery."""
    edges = charts.last_weeks(days_kept())
    while len(edges) > 1 and edges[1] <= webhook.created_at:
        edges = edges[1:]
    if len(edges) == 1:  # even this week is longer than deliveries are kept
        return []
    counts = trends.undelivered(edges, [webhook.public_id]).get(webhook.public_id)
    if counts is None:
        return []
    spans = trends.trend(edges, webhook.public_id).spans
    shares = [Share(span.delivered, many) for span, many in zip(spans, counts, strict=True)]
    weeks = [
        Week(_week(span, is_now=span is spans[-1]), share_words(share), of_all(share))
        for span, share in zip(spans, shares, strict=True)
    ]
    first = next((place for place, share in enumerate(shares) if share.total), len(shares))
    return weeks[first:][::-1]


def _week(span: Span, *, is_now: bool) -> str:
    last = span.ends.astimezone(zone()).date() - timedelta(days=1)
    return "This week" if is_now else f"{day_of(span.begins)} to {day_of(last)}"


def share_words(share: Share) -> str:
    """Return "99.7%", "at most 62.5%" above the limit of counts, or "" without deliveries."""
    if not share.total:
        return ""
    words = percent(share.delivered, share.total)
    return f"at most {words}" if share.is_more and share.delivered else words


def share_line(share: Share | None) -> str:
    """Return "99.7% of 1,206" for the list, "None", or "" if it isn't known."""
    if share is None:
        return ""
    if not share.total:
        return "None"
    if share.is_more:
        return of_all(share)
    return f"{share_words(share)} of {number(share.total)}"


def of_all(share: Share) -> str:
    """Return "1,203 of 1,206 delivered", "10,000+ undelivered" above the limit of counts."""
    if not share.total:
        return "No deliveries"
    if share.is_more:
        return f"{number(share.delivered)} delivered, {counted(share.undelivered)} not"
    return f"{number(share.delivered)} of {number(share.total)} delivered"


Responses = Mapping[Cause, Answer]
NOTHING_SAID: Final[Responses] = MappingProxyType({})


def responses(backlog: Backlog | None) -> Responses:
    """Return an example response for each cause that has one with text."""
    examples = webhook_queries.examples(backlog) if backlog else {}
    texts = answers_of(list(examples.values()))
    said = {cause: texts.get(row_id, NO_ANSWER) for cause, row_id in examples.items()}
    return {cause: answer for cause, answer in said.items() if answer_line(answer)}


def next_step(
    webhook: WebhookDetail,
    failures: Sequence[LastFailure] = (),
    said: Responses = NOTHING_SAID,
    tested: str = "",
) -> NextStep | None:
    """Return the steps for a webhook, or None if nothing has to be done.

    `failures` are the last ones for its most common cause, the latest first. `tested` is the
    sentence about its last test.
    """
    answer, meant = _behind(webhook, said)
    words = said_in(answer.text)
    failed_at = failures[0].at if failures else None
    advice = advice_of(webhook, failed_at, words, meant, answer.redirect)
    is_auth = reason_of(webhook) is Reason.AUTH and not (meant and meant.is_advice)
    check = check_signature(failures[0].public_id) if is_auth and failures else None
    if answer.redirect:
        words = ""
    quoted = f"{webhook.name} responded “{words.rstrip('.')}”." if words else ""
    key = _key(webhook) if is_auth else ""
    note = " ".join(filter(None, (quoted, meant.happened if meant else "", key)))
    checks = [check] if check and webhook.has_secret and can(CONTENT) else []
    steps = list(_steps(webhook, advice, note, tested, checks))
    if not steps:
        return None
    message, recipient = (advice.message, advice.recipient) if advice else ("", "")
    return NextStep(_who(webhook, advice, steps, meant), steps, message, recipient)


def _who(
    webhook: WebhookDetail, advice: Advice | None, steps: Sequence[Step], meant: Meaning | None
) -> str:
    then_you = ", then you" if any(step.link for step in steps) else ""
    if meant and meant.who:
        return f"{meant.who[:1].upper()}{meant.who[1:]}{then_you}"
    if advice and advice.message:
        return advice.recipient[:1].upper() + advice.recipient[1:]
    reason = reason_of(webhook)
    is_known = advice is not None and not advice.links and not meant
    if reason is None or not is_known or explain(reason, host="").side is not Side.RECEIVER:
        return "You"
    return f"The receiver’s team{then_you}"


def check_signature(delivery: UUID) -> Link:
    """Return the link to check a signature of a delivery."""
    return "Check signature", url_for("delivery_help.signature", public_id=delivery)


def _steps(
    webhook: WebhookDetail,
    advice: Advice | None,
    quoted: str,
    tested: str,
    checks: Sequence[Link],
) -> Iterator[Step]:
    is_off = webhook.status is WebhookStatus.OFF
    if advice:
        links = [*advice.links, *checks]
        first = links[0] if links else None
        yield Step(advice.sentence, quoted, first, others=links[1:])
    if reason_of(webhook) is Reason.GONE and can(EDIT):
        unsent = webhook.backlog.unsent if webhook.backlog else webhook.held
        yield Step(NO_NEW_URL, "", delete_link(webhook.public_id, unsent))
    if is_off and webhook.off_reason == OffReason.FAILING and can("webhooks.switch"):
        yield Step("Ask the receiver’s team to confirm that it works again.")
        yield from _test(webhook, tested or "We send tests even while the webhook is off.")
    if is_off and can("webhooks.switch"):
        where = url_for("webhook_switches.on", public_id=webhook.public_id)
        note = "You choose which on-hold deliveries to send." if webhook.held else ""
        is_post = not webhook.is_asked_about
        by_us = webhook.off_reason not in (None, OffReason.PERSON)
        text = "Turn the webhook on." if by_us else "Turn the webhook on when it’s needed again."
        if webhook.off_until:
            text = "Turn the webhook on if it’s needed sooner."
        yield Step(text, note, ("Turn on", where), is_post=is_post)
    elif is_off and advice and not advice.message:
        yield Step(asking(f"{ASK} to turn on the webhook.", SWITCH, webhook.public_id))
    elif not is_off and webhook.backlog:
        yield from _mending(webhook, webhook.backlog, tested)
    elif webhook.waits and may_send("deliveries.retry"):
        yield _resume(webhook)
    if not is_off and webhook.held:
        about = advice_about_held(webhook)
        where = url_for("webhook_switches.on", public_id=webhook.public_id)
        link = ("Review", where) if can("webhooks.switch") else None
        yield Step(about.sentence, _held(webhook), link)


def _key(webhook: WebhookDetail) -> str:
    """Return the facts about our secret key, or "" while two keys sign."""
    if webhook.old_secret_until or not webhook.has_secret:
        return ""
    return key_words(webhook.secret_hint, webhook.secret_set_at)


def what_reopens(webhook: WebhookDetail) -> str:
    """Return why the receiver closed its URL if the same URL can reopen, or else ""."""
    _, meant = _behind(webhook, responses(webhook.backlog))
    return meant.happened if meant and meant.is_advice and not meant.step else ""


def _behind(webhook: WebhookDetail, said: Responses) -> tuple[Answer, Meaning | None]:
    """Return the response that the next step is about and its meaning, or a blank one and None."""
    cause = webhook.backlog.cause if webhook.backlog else None
    if cause is None or cause.reason is not reason_of(webhook):
        return NO_ANSWER, None
    return said.get(cause, NO_ANSWER), _meaning(webhook, cause, said)


def _meaning(webhook: WebhookDetail, cause: Cause, said: Responses) -> Meaning | None:
    return meaning(webhook.host, webhook.format, cause.code, said.get(cause, NO_ANSWER).text)


def _held(webhook: WebhookDetail) -> str:
    are = "is" if webhook.held == 1 else "are"
    return f"{held_count(webhook.held)} {are} on hold. {held_until_words(webhook)}"


def _mending(webhook: WebhookDetail, backlog: Backlog, tested: str) -> Iterator[Step]:
    """Yield the steps that get a failing webhook's deliveries sent again."""
    if backlog.cause and backlog.cause.reason in NEEDS_EDIT:  # a test or retry would fail
        return
    note, changed, delivered = "", backlog.changed_at, backlog.last_delivered_at
    if webhook.is_backing_off:
        note = "If it’s delivered, the pause ends."
    elif changed and not tested:
        note = "The result shows whether the new settings work."
    if changed is None or delivered is None or delivered < changed:
        yield from _test(webhook, " ".join(filter(None, (tested, note))))
    if webhook.waits and may_send("deliveries.retry"):
        yield _resume(webhook)
    elif not _goes_on(backlog) and (retry := retry_all(backlog)):
        taken = queued().count(backlog.public_id)
        note = f"{counted(taken)} more are in a bulk retry." if taken > 1 else ""
        yield Step("Retry the undelivered deliveries.", note, retry)


def _test(webhook: WebhookDetail, note: str) -> Iterator[Step]:
    if may_send("webhooks.test"):
        where = url_for("webhook_switches.test", public_id=webhook.public_id)
        yield Step("Send a test.", note, ("Send test", where), is_post=True)


def _goes_on(backlog: Backlog) -> bool:
    """Return whether the whole backlog is sent without help, if nothing waits for later."""
    return not backlog.failures_in_row and not backlog.counts[DeliveryStatus.FAILED]


def _resume(webhook: WebhookDetail) -> Step:
    later = "These deliveries are scheduled for a later retry."
    note = FIRST_ONE if webhook.is_backing_off else later
    text = f"Send {held_count(webhook.waits)} now instead of later."
    where = url_for("webhook_switches.resume", public_id=webhook.public_id)
    return Step(text, note, ("Resume now", where), is_post=True)


def retry_all(backlog: Backlog | None) -> Link | None:
    """Return the link that retries the backlog, or None if nothing can be retried by this user."""
    if backlog is None or not may_send("deliveries.retry"):
        return None
    many = backlog.retryable - queued().count(backlog.public_id)
    if many <= 0:
        return None
    return f"Retry {counted(many)}", _retry_url(backlog)


def _retry_url(backlog: Backlog, **narrowed: Any) -> str:
    where = {"status": StatusFilter.UNDELIVERED, "webhook": backlog.public_id, **narrowed}
    return url_for("batches.confirm", **where, all="1")


def update_of(
    webhook: WebhookDetail,
    failures: Sequence[LastFailure],
    changes: Sequence[HistoryEntry],
    said: Responses = NOTHING_SAID,
) -> str:
    """Return the update for the receiver's team, or "" if there is nothing to tell.

    Failures from before a change of URL don't concern them.
    """
    backlog = webhook.backlog
    failures = [each for each in failures if not has_moved(each.at, changes)]
    if backlog is None or backlog.since is None or backlog.cause is None or not failures:
        return ""
    last = failures[0]
    causes = list(backlog.causes[:MOST_TOLD])
    causes += [each for each in backlog.causes[MOST_TOLD:] if _is_for(last, each)]
    sent = dict.fromkeys(
        failure.public_id for failure in failures if failure.reason not in NEVER_LEFT
    )
    is_on = webhook.status is not WebhookStatus.OFF
    return update_to_share(
        Trouble(
            what=plural(backlog.undelivered, "delivery", "deliveries"),
            count=backlog.undelivered,
            failed=sum(cause.count for cause in backlog.causes),
            url=webhook.url,
            causes=[
                ToldCause(
                    each.reason,
                    each.code,
                    each.count,
                    said.get(each, NO_ANSWER).text,
                    _meaning(webhook, each, said),
                    said.get(each, NO_ANSWER).redirect,
                )
                for each in causes
                if each.reason
            ],
            first=None if has_moved(backlog.since, changes) else backlog.since,
            last=last.at,
            last_cause=title(last.reason, last.code) if last.reason else "",
            ids=[] if product_at(webhook.host, webhook.format) else list(sent)[:EXAMPLES],
            untouched=untouched(backlog),
            retried=sum(backlog.counts[status] for status in OPEN) if is_on else 0,
            ended=backlog.counts[DeliveryStatus.FAILED],
            held=_held(webhook) if webhook.held else "",
            key=_key(webhook),
            is_signed=webhook.has_secret,
        )
    )


def _is_for(failure: LastFailure, cause: Cause) -> bool:
    return (failure.reason, failure.code) == (cause.reason, cause.code)


def cause_rows(backlog: Backlog | None, said: Responses = NOTHING_SAID) -> list[CauseRow]:
    """Return rows by cause, the most common first, then rows without a failure."""
    if backlog is None or not backlog.undelivered:
        return []
    # The causes of deliveries that are in a bulk retry are not known here.
    is_free = backlog.status is not WebhookStatus.OFF and not queued().count(backlog.public_id)
    may_retry = is_free and may_send("deliveries.retry")
    rows = [
        _cause_row(
            backlog, cause, may_retry, response_words(backlog, cause, said.get(cause, NO_ANSWER))
        )
        for cause in backlog.causes
    ]
    held = backlog.counts[DeliveryStatus.ON_HOLD]
    untried = backlog.undelivered - held - sum(cause.count for cause in backlog.causes)
    for words, many, status in (
        ("No failed attempt yet", untried, DeliveryStatus.QUEUED),
        ("The webhook was off", held, DeliveryStatus.ON_HOLD),
    ):
        if many > 0:
            rows.append(_row(backlog, words, many, DELIVERY[status], status=status))
    return rows


def _cause_row(backlog: Backlog, cause: Cause, may_retry: bool, said: str) -> CauseRow:
    where: dict[str, Any] = {"status": StatusFilter.UNDELIVERED}
    if cause.reason:
        where["reason"] = cause.reason
    if cause.code:
        where["code"] = cause.code
    left = cause.count - cause.failed
    states = [(left, DeliveryStatus.RETRYING), (cause.failed, DeliveryStatus.FAILED)]
    several = [f"{counted(many)} {status}" for many, status in states if many]
    tag = DELIVERY[next(status for many, status in states if many)] if len(several) == 1 else None
    return _row(
        backlog,
        cause.words,
        cause.count,
        tag,
        state=", ".join(several) if tag is None else "",
        said=said,
        retry_url=_retry_url(backlog, **where) if may_retry and _may_help(backlog, cause) else "",
        is_bad=True,
        **where,
    )


def _may_help(backlog: Backlog, cause: Cause) -> bool:
    """Return whether a retry can succeed, as far as the cause says."""
    return bool(cause.reason and (backlog.changed_at or cause.reason not in NEEDS_EDIT))


def _row(
    backlog: Backlog,
    words: str,
    many: int,
    tag: Tag | None,
    *,
    said: str = "",
    state: str = "",
    retry_url: str = "",
    is_bad: bool = False,
    **where: Any,
) -> CauseRow:
    return CauseRow(
        words=words,
        said=said,
        url=url_for("deliveries.index", webhook=backlog.public_id, **where),
        number=counted(many),
        share=round(100 * many / backlog.undelivered, 1),
        is_bad=is_bad,
        tag=tag,
        state=state,
        retry_url=retry_url,
        retry_label=f"Retry {counted(many)}",
    )
