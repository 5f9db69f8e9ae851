"""One delivery in words: how it stands, why, what to do, and what may be pressed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID, uuid4

from portal.engine.reasons import Explanation, Reason
from portal.lib.durations import in_words
from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail, Siblings, siblings_of
from portal.services.deliveries.dismissals import count_of_act
from portal.services.deliveries.retry import why_not_retry
from portal.services.operations.retention import kept_until
from portal.services.outbox.claimable import WaitsFor
from portal.web.deliveries.log_presenter import same_answer_url
from portal.web.deliveries.request import Sent, sent_of
from portal.web.deliveries.retried_by import TakenDelivery, taken_now
from portal.web.deliveries.steps import DeliveryStep, TestStep, steps_of, steps_of_test, who
from portal.web.deliveries.wording import (
    RetryOutcome,
    advice_of,
    advice_while_off,
    advice_while_slow,
    again_label,
    again_of,
    delay_of,
    earlier_of,
    event_name,
    explanation_of,
    for_the_caller,
    is_doubtful,
    is_live,
    outcome_of,
    repeat_warning,
    sentence_of,
)
from portal.web.frame.status_tags import DELIVERY, Tag
from portal.web.frame.wording import counted, near_time
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
        waits = delivery.now - delivery.created_at if delivery.is_waiting else NOTHING
        return _words([("Waiting here, so far", waits)])
    gaps = [
        (later.kind, later.started_at - earlier.ended_at) for earlier, later in pairwise(attempts)
    ]
    last = attempts[-1].ended_at
    is_open = delivery.is_waiting and delivery.status is DeliveryStatus.RETRYING
    is_retrying = is_open and not delivery.is_manual
    so_far = max(NOTHING, delivery.now - last) if is_retrying else NOTHING
    return _words(
        [
            ("Waiting here", attempts[0].started_at - delivery.created_at),
            ("At their server", sum((_length(attempt) for attempt in attempts), NOTHING)),
            ("Waiting for the retry", _sum(gaps, is_manual=False) + so_far),
            ("Until somebody pressed Retry", _sum(gaps, is_manual=True)),
        ]
    )


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
    of, before it is saved. `of_act`: how many the act that dismissed it did, which still are.
    `earlier`: why it failed before a Retry failed for another reason; else empty. `siblings`: to
    whom else its event went. `delay`: why it has not gone yet though it is long due; else empty.
    `retry`: what came of the Retry, where that was the last attempt.
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
    is_live: bool
    delay: str
    retry: RetryOutcome | None
    out_of_turn: bool
    test_steps: list[TestStep]
    siblings: Siblings
    of_act: int
    earlier: str
    draft: UUID | None
    taken: TakenDelivery | None

    @property
    def answer_note(self) -> str:
        """To which attempt the answer belongs, where later ones got none."""
        if self.answered is None or self.answered is self.delivery.last_attempt:
            return ""
        then = near_time(self.answered.ended_at)
        return (
            "Nothing came back to the last attempt. "
            f"This came back to “{who(self.answered)}”, {then}."
        )

    @property
    def caller_text(self) -> str:
        """Return what to tell whoever asks about it."""
        return for_the_caller(self.delivery, self.taken.to_the_caller if self.taken else "")

    @property
    def is_doubtful(self) -> bool:
        """Return whether it counts as delivered although the answer speaks of an error."""
        return is_doubtful(self.answered)

    @property
    def first_line(self) -> str:
        """The first line of the answer, as much as is read at a glance."""
        lines = self.answered.response_text.strip().splitlines() if self.answered else []
        return lines[0][:FIRST_LINE] if lines else ""

    @property
    def behind(self) -> str:
        """Say "13 deliveries wait": those that go after it, in order."""
        many = self.delivery.behind
        return f"{counted(many)} {'delivery waits' if many == 1 else 'deliveries wait'}"

    @property
    def same_answer_url(self) -> str:
        """Return where the log lists all to its webhook that were answered so; blank where nothing
        is wrong with the answer, or nothing was said."""
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
        """Return what happened to it besides its attempts."""
        return [step for step in self.steps if not step.attempt]

    @property
    def announcement(self) -> str:
        """Return what a screen reader says when the status changes."""
        if self.is_live:
            return self.tag.word
        news = [f"{self.tag.word}.", self.retry.sentence if self.retry else "", self.sentence]
        return " ".join(filter(None, news))

    @property
    def help_url(self) -> str:
        """Return where the help explains why it did not arrive."""
        last = self.delivery.last_attempt
        key, code = (last.reason, last.code) if last else (self.delivery.reason, None)
        return help_url(Reason(key) if key else Reason.INTERRUPTED, code)

    @property
    def once(self) -> str:
        """A token for the button that tests again."""
        return str(uuid4())

    @property
    def kept_until(self) -> datetime | None:
        """Return when it goes, once it is not retried any more."""
        return kept_until(self.delivery.finished_at)

    @property
    def slow_advice(self) -> Advice:
        """Return where to look, or whom to ask, while there is a `delay`."""
        return advice_while_slow(self.delivery)

    @property
    def again_label(self) -> str:
        """Return what `again` is the time of."""
        return again_label(self.delivery)

    @property
    def is_backing_off(self) -> bool:
        """Tell whether it waits because others failed at the same receiver."""
        return self.delivery.waits_for is WaitsFor.RECEIVER

    @property
    def is_dismissed(self) -> bool:
        """Return whether it can be restored."""
        return self.delivery.status is DeliveryStatus.DISMISSED

    @property
    def is_delivered(self) -> bool:
        """Return whether sending it once more has to be asked about first."""
        return self.delivery.status is DeliveryStatus.DELIVERED


def page_of(delivery: DeliveryDetail, draft: UUID | None = None) -> DeliveryPage:
    """Put a delivery into words. `draft`: whose test before saving it is."""
    is_test, taken = delivery.is_test, taken_now(delivery)
    answered = [part for part in delivery.attempts if part.code or part.response_headers]
    return DeliveryPage(
        delivery=delivery,
        heading=f"Test: {event_name(delivery.event)}" if is_test else event_name(delivery.event),
        tag=DELIVERY[delivery.status],
        sentence=sentence_of(delivery, is_taken=taken is not None),
        explanation=explanation_of(delivery),
        advice=advice_of(delivery, is_draft=draft is not None),
        off_advice=advice_while_off(delivery),
        again=again_of(delivery),
        steps=steps_of(delivery),
        times=times_of(delivery),
        repeat_warning=repeat_warning(delivery),
        earlier_attempts=delivery.attempts_made - len(delivery.attempts),
        answered=answered[-1] if answered else None,
        sent=sent_of(delivery),
        why_not_retry=why_not_retry(delivery.eligibility, again=True),
        is_live=is_live(delivery),
        delay=delay_of(delivery),
        retry=outcome_of(delivery),
        out_of_turn=delivery.waits_behind,
        test_steps=steps_of_test(delivery),
        siblings=Siblings() if is_test else siblings_of(delivery.public_id),
        of_act=count_of_act(delivery.dismissal_id) if delivery.dismissal_id else 0,
        earlier=earlier_of(delivery),
        draft=draft,
        taken=taken,
    )
