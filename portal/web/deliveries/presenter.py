"""One delivery in words: how it stands, why, what to do, and what may be pressed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID, uuid4

from portal.engine.http.url import host_of
from portal.engine.reason_keys import UNCLEAR, Reason
from portal.engine.reasons import Explanation, title
from portal.engine.retry_policy import AttemptKind
from portal.lib.durations import in_words
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail, Siblings, siblings_of
from portal.services.deliveries.dismissals import FailedDelivery, dismissal_of
from portal.services.deliveries.retry import why_not_retry, why_not_stop
from portal.services.operations.retention import kept_until
from portal.services.outbox.due import PausedFor, ShownStatus
from portal.web.deliveries.bulk_retry_wording import TakenDelivery, taken_now
from portal.web.deliveries.explanation import (
    advice_of,
    advice_while_off,
    advice_while_slow,
    explanation_of,
    for_the_caller,
    is_doubtful,
)
from portal.web.deliveries.progress import (
    RetryOutcome,
    again_label,
    again_of,
    delay_of,
    earlier_of,
    is_live,
    left_alone,
    next_attempt,
    outcome_of,
)
from portal.web.deliveries.request import Sent, sent_of
from portal.web.deliveries.rows import event_name, held_end, same_answer_url, took, tries
from portal.web.deliveries.steps import DeliveryStep, TestStep, steps_of, steps_of_test, who
from portal.web.frame.access import can
from portal.web.frame.status_tags import Tag, delivery_tag
from portal.web.frame.wording import counted, moment, near_time, plural, stop_sentence
from portal.web.help.advice import Advice
from portal.web.help.anchors import help_url

NOTHING: Final = timedelta()


def times_of(delivery: DeliveryDetail) -> list[tuple[str, str]]:
    """Waiting here, at their server, for a retry, for a person: what there was of each.

    Nothing where early attempts are no longer shown: the sums would not be true.
    """
    attempts = delivery.attempts
    if len(attempts) < delivery.attempts_made:
        return []
    if not attempts:
        is_open = delivery.status in (ShownStatus.WAITING, ShownStatus.PAUSED)
        waits = delivery.now - delivery.created_at if is_open else NOTHING
        return _words([("Waiting here, so far", waits)])
    gaps = [(later.kind, later.started_at - _end(earlier)) for earlier, later in pairwise(attempts)]
    last = _end(attempts[-1])
    is_retrying = delivery.status in (ShownStatus.RETRYING, ShownStatus.PAUSED)
    so_far = max(NOTHING, delivery.now - last) if is_retrying else NOTHING
    return _words(
        [
            ("Waiting here", attempts[0].started_at - delivery.created_at),
            ("At their server", sum((_length(each) for each in attempts), NOTHING)),
            ("Waiting for the retry", _sum(gaps, is_manual=False) + so_far),
            ("Until somebody pressed Retry", _sum(gaps, is_manual=True)),
        ]
    )


def repeat_warning(delivery: DeliveryDetail) -> str:
    """What to know where the receiver has the message more than once, or may have."""
    arrived = [each for each in delivery.attempts if each.is_delivered]
    unclear = list(_unclear(delivery.attempts))
    if len(arrived) > 1:
        return f"It has arrived {len(arrived)} times."
    for each in delivery.attempts:
        if each.phases.get("again") is not None:
            return f"It may have arrived more than once: attempt {each.number} went out twice."
    if len(arrived) + len(unclear) < 2:
        return ""
    first = unclear[0]
    why = title(Reason(first.reason) if first.reason else Reason.INTERRUPTED).lower()
    return f"It may have arrived more than once: after attempt {first.number} nobody knows ({why})."


def held_sentence(delivery: DeliveryDetail) -> str:
    """Why a held delivery is kept, and until when."""
    name = delivery.webhook_name
    is_off = delivery.is_webhook_off
    why = f"Held because the webhook “{name}” is off."
    if not is_off:
        why = f"Still held since the webhook “{name}” was turned on: nobody has decided about it."
    return f"{why} {held_end(delivery.created_at, delivery.webhook_off_at)}; then it is stopped."


def _unclear(attempts: Sequence[AttemptDetail]) -> Iterator[AttemptDetail]:
    for each in attempts:
        if not (each.is_delivered or each.is_being_sent):
            reason = Reason(each.reason) if each.reason else Reason.INTERRUPTED
            if reason in UNCLEAR:
                yield each


def _end(attempt: AttemptDetail) -> datetime:
    return attempt.finished_at or attempt.started_at


def _length(attempt: AttemptDetail) -> timedelta:
    total = attempt.phases.get("total")
    return timedelta(milliseconds=total) if total else NOTHING


def _sum(gaps: list[tuple[str, timedelta]], *, is_manual: bool) -> timedelta:
    return sum((gap for kind, gap in gaps if (kind == "manual") is is_manual), NOTHING)


def _words(parts: list[tuple[str, timedelta]]) -> list[tuple[str, str]]:
    return [
        (label, in_words(length.total_seconds())) for label, length in parts if length > NOTHING
    ]


FIRST_LINE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Everything that the templates print. `is_live`: something is under way right now.

    `answered`: the newest attempt to which anything came back. `draft`: the form that it is a test
    of, before it is saved. `failed`: whether it was dismissed, or can be. `earlier`: why it failed
    before a Retry failed for another reason; else empty. `siblings`: to whom else its event went.
    `delay`: why it has not gone yet though it is long due; else empty. `retry`: what came of the
    Retry, where that was the last attempt.
    """

    delivery: DeliveryDetail
    heading: str
    tag: Tag
    sentence: str
    explanation: Explanation | None
    advice: Advice | None
    off_advice: Advice | None
    again: str
    steps: list[DeliveryStep]
    times: list[tuple[str, str]]
    repeat_warning: str
    earlier_attempts: int
    answered: AttemptDetail | None
    sent: Sent
    why_not_retry: str | None
    why_not_stop: str | None
    is_live: bool
    delay: str
    retry: RetryOutcome | None
    out_of_turn: bool
    test_steps: list[TestStep]
    siblings: Siblings
    failed: FailedDelivery | None
    earlier: str
    draft: UUID | None
    taken: TakenDelivery | None

    @property
    def answer_note(self) -> str:
        """To which attempt the answer belongs, where later ones got none."""
        if self.answered is None or self.answered is self.delivery.last_attempt:
            return ""
        then = near_time(self.answered.finished_at or self.answered.started_at)
        return (
            "Nothing came back to the last attempt. "
            f"This came back to “{who(self.answered)}”, {then}."
        )

    @property
    def caller_text(self) -> str:
        """What to tell whoever asks about it."""
        return for_the_caller(self.delivery, self.taken.to_the_caller if self.taken else "")

    @property
    def is_doubtful(self) -> bool:
        """Whether it counts as delivered although the answer speaks of an error."""
        return is_doubtful(self.answered)

    @property
    def first_line(self) -> str:
        """The first line of the answer, as much as is read at a glance."""
        lines = self.answered.response_text.strip().splitlines() if self.answered else []
        return lines[0][:FIRST_LINE] if lines else ""

    @property
    def behind(self) -> str:
        """ "13 deliveries wait": those that go after it, in order."""
        many = self.delivery.behind
        return f"{counted(many)} {'delivery waits' if many == 1 else 'deliveries wait'}"

    @property
    def same_answer_url(self) -> str:
        """Where the log lists all to its webhook that were answered so; blank where nothing is
        wrong with the answer, or nothing was said."""
        is_well = self.answered and self.answered.is_delivered and not self.is_doubtful
        if self.answered is None or self.draft or is_well:
            return ""
        return same_answer_url(self.delivery.webhook_id, self.answered.response_text)

    @property
    def attempt_steps(self) -> list[DeliveryStep]:
        """Its attempts, the newest first."""
        return [step for step in reversed(self.steps) if step.attempt]

    @property
    def milestones(self) -> list[DeliveryStep]:
        """What happened to it besides its attempts."""
        return [step for step in self.steps if not step.attempt]

    @property
    def announcement(self) -> str:
        """What a screen reader says when the status changes."""
        if self.is_live:
            return self.tag.word
        news = [f"{self.tag.word}.", self.retry.sentence if self.retry else "", self.sentence]
        return " ".join(filter(None, news))

    @property
    def help_url(self) -> str:
        """Where the help explains why it did not arrive."""
        last = self.delivery.last_attempt
        key, code = (last.reason, last.code) if last else (self.delivery.reason, None)
        return help_url(Reason(key) if key else Reason.INTERRUPTED, code)

    @property
    def once(self) -> str:
        """A token for the button that tests again."""
        return str(uuid4())

    @property
    def kept_until(self) -> datetime | None:
        """When it goes, once it is not retried any more."""
        return kept_until(self.delivery.finished_at)

    @property
    def slow_advice(self) -> Advice:
        """Where to look, or whom to ask, while there is a `delay`."""
        return advice_while_slow(self.delivery)

    @property
    def again_label(self) -> str:
        """What `again` is the time of."""
        return again_label(self.delivery)

    @property
    def is_left_alone(self) -> bool:
        """Whether it waits, untried as it may be, because others failed at the same receiver."""
        return self.delivery.paused_for is PausedFor.RECEIVER

    @property
    def is_delivered(self) -> bool:
        """Whether sending it once more has to be asked about first."""
        return self.delivery.status is ShownStatus.DELIVERED


def page_of(delivery: DeliveryDetail, draft: UUID | None = None) -> DeliveryPage:
    """Put a delivery into words. `draft`: whose test before saving it is."""
    is_test, taken = delivery.is_test, taken_now(delivery)
    return DeliveryPage(
        delivery=delivery,
        heading=f"Test: {event_name(delivery.event)}" if is_test else event_name(delivery.event),
        tag=delivery_tag(delivery.status),
        sentence=sentence_of(delivery, is_taken=taken is not None),
        explanation=explanation_of(delivery),
        advice=advice_of(delivery, is_draft=draft is not None),
        off_advice=advice_while_off(delivery),
        again=again_of(delivery),
        steps=steps_of(delivery),
        times=times_of(delivery),
        repeat_warning=repeat_warning(delivery),
        earlier_attempts=delivery.attempts_made - len(delivery.attempts),
        answered=_answered(delivery),
        sent=sent_of(delivery),
        why_not_retry=why_not_retry(delivery.eligibility, again=True),
        why_not_stop=why_not_stop(delivery.eligibility),
        is_live=is_live(delivery),
        delay=delay_of(delivery),
        retry=outcome_of(delivery),
        out_of_turn=delivery.waits_behind,
        test_steps=steps_of_test(delivery),
        siblings=Siblings() if is_test else siblings_of(delivery.public_id),
        failed=dismissal_of(delivery.public_id) if delivery.status is ShownStatus.FAILED else None,
        earlier=earlier_of(delivery),
        draft=draft,
        taken=taken,
    )


def _answered(delivery: DeliveryDetail) -> AttemptDetail | None:
    answered = [each for each in delivery.attempts if each.code or each.response_headers]
    return answered[-1] if answered else None


def sentence_of(delivery: DeliveryDetail, *, is_taken: bool = False) -> str:
    """How it stands, in one sentence or two. `is_taken`: it is in a bulk retry now."""
    if delivery.comes_to_rest:
        is_gone = delivery.is_webhook_deleted
        return f"Its webhook {'was deleted' if is_gone else 'is off'}, so it is not sent."
    if delivery.stop and delivery.waits_for_start:
        return f"{stop_sentence(delivery.stop)} This goes out once it is started again."
    match delivery.status:
        case ShownStatus.WAITING:
            return f"{_asked(delivery)}It is about to be sent."
        case ShownStatus.PAUSED:
            return _paused(delivery)
        case ShownStatus.SENDING:
            return f"It is being sent to {_host(delivery)} now."
        case ShownStatus.DELIVERED:
            return _delivered(delivery)
        case ShownStatus.RETRYING:
            return f"Not delivered yet: {_made(delivery)} Next attempt: {next_attempt(delivery)}."
        case ShownStatus.FAILED:
            return _failed(delivery, is_taken=is_taken)
        case ShownStatus.STOPPED:
            by = f" by {delivery.stopped_by}" if delivery.stopped_by else ""
            return f"Stopped{by}. It is not retried automatically."
        case _:
            return held_sentence(delivery)


def _asked(delivery: DeliveryDetail) -> str:
    is_retry = bool(delivery.requested_by and delivery.is_manual)
    return f"{delivery.requested_by} pressed Retry. " if is_retry else ""


def _paused(delivery: DeliveryDetail) -> str:
    if delivery.paused_for is PausedFor.ORDER:
        return "An older delivery goes first: this webhook gets one at a time, in order."
    if delivery.is_manual:
        # Planned attempts may be over: this one is apart from them.
        retried = "" if delivery.may_go_later else f" Retried: {next_attempt(delivery)}."
        return f"{_asked(delivery)}{left_alone(delivery)}{retried}"
    made = f" {_made(delivery)}" if delivery.tries else ""
    if delivery.may_go_later:
        return f"{left_alone(delivery)}{made}"
    label = "First attempt" if delivery.is_untried else "Next attempt"
    return f"{left_alone(delivery)}{made} {label}: {next_attempt(delivery)}."


def _made(delivery: DeliveryDetail) -> str:
    """ "4 of 10 attempts made, and 1 Retry.": a person's count apart."""
    retries = _retries(delivery)
    return f"{tries(delivery.tries)} attempts made{f', and {retries}' if retries else ''}."


def _retries(delivery: DeliveryDetail) -> str:
    by_people = sum(each.kind == AttemptKind.MANUAL for each in delivery.attempts)
    return plural(by_people, "Retry", "Retries") if by_people else ""


def _delivered(delivery: DeliveryDetail) -> str:
    arrived = [each for each in delivery.attempts if each.is_delivered]
    if not arrived:
        return "It has arrived."
    last = arrived[-1]
    when = moment(last.finished_at or last.started_at).text
    total = took(round(last.phases["total"])) if last.phases.get("total") else ""
    return f"{host_of(last.url)} answered {last.code}{f' in {total}' if total else ''}, {when}."


def _failed(delivery: DeliveryDetail, *, is_taken: bool) -> str:
    if delivery.is_test:
        how = "was not accepted" if delivery.code else "did not arrive"
        return f"The test {how}. Nothing else is affected by it."
    made = " and ".join(filter(None, (plural(delivery.tries, "attempt"), _retries(delivery))))
    if is_taken:
        return f"Not delivered after {made}."
    then = " Fix the cause, then Retry." if can("deliveries.retry") else ""
    return f"Not delivered after {made}, and not retried automatically.{then}"


def _host(delivery: DeliveryDetail) -> str:
    return host_of(delivery.webhook_url) or "the receiver"
